/**
 * The one place where the store checks bytes against their name. SHA-2 straight from OpenSSL, since it
 * is most of what reading and writing costs; the rest as @cairn/blocks does it. Long blocks are hashed on
 * threads of their own, so that the event loop stays free and two cores share it.
 */
import { hash } from 'node:crypto'
import { verifyBlock } from '@cairn/blocks'
import { BLOCK_BYTES_MAX, type BlockKey, CairnError } from '@cairn/core'
import { hashAside } from './aside.ts'
import type { Entry } from './store.ts'

/** From this size on a hash is made aside: 160 us on a slow core, some times what handing it over costs. */
export const ASIDE_BYTES_MIN = 64 * 1024
/** Hashed in one turn of the event loop: 1.3 ms on a slow core, and nothing else runs meanwhile. */
const HASH_BYTES_PER_TURN = 512 * 1024

/** The long ones; `undefined` if there are none. @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE, BUSY */
export function verifyLong(entries: readonly Entry[]): Promise<void> | undefined {
  const long: Promise<void>[] = []
  for (const { key, bytes, verified } of entries) {
    if (bytes !== undefined && !verified && isLong(bytes)) long.push(verifyAside(key, bytes))
  }
  return long.length === 0 ? undefined : Promise.all(long).then(() => undefined)
}

export function isLong(bytes: Uint8Array): boolean {
  return bytes.length >= ASIDE_BYTES_MIN
}

export interface Named {
  key: BlockKey
  bytes: Uint8Array
}

/** Those of many callers' short blocks for `refuse` to throw why; hashed here, in turns. */
export async function misnamed<T extends Named>(blocks: readonly T[]): Promise<ReadonlySet<T>> {
  const wrong = new Set<T>()
  let hashed = 0
  for (const block of blocks) {
    if (hashed >= HASH_BYTES_PER_TURN) {
      await new Promise((resolve) => setImmediate(resolve))
      hashed = 0
    }
    if (!isNamed(block)) wrong.add(block)
    hashed += block.bytes.length
  }
  return wrong
}

function isNamed({ key, bytes }: Named): boolean {
  try {
    return matches(key, bytes)
  } catch {
    return false // no name that we know: `refuse` throws the same
  }
}

/**
 * Short bytes at once. Long ones, which must not change meanwhile, on other threads: their verdict is late.
 * @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE, BUSY
 */
export function verifySoon(key: BlockKey, bytes: Uint8Array): Promise<void> | undefined {
  if (isLong(bytes)) return verifyAside(key, bytes)
  verifyBytes(key, bytes)
  return undefined
}

/** @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE, BUSY */
export async function verifyAside(key: BlockKey, bytes: Uint8Array): Promise<void> {
  if (bytes.length > BLOCK_BYTES_MAX || !(await matchesAside(key, bytes))) refuse(key, bytes)
}

/** As `matches`, with what is long off the event loop. @throws CairnError BUSY */
export async function matchesAside(key: BlockKey, bytes: Uint8Array): Promise<boolean> {
  const name = key.startsWith('1220') ? 'sha256' : key.startsWith('1340') ? 'sha512' : undefined
  if (name === undefined || bytes.length < ASIDE_BYTES_MIN) return matches(key, bytes)
  return (await hashAside(name, bytes)) === key.slice(4)
}

/** @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE */
export function verifyBytes(key: BlockKey, bytes: Uint8Array): void {
  if (bytes.length > BLOCK_BYTES_MAX || !matches(key, bytes)) refuse(key, bytes)
}

/** @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE: why bytes are not what their name says. */
export function refuse(key: BlockKey, bytes: Uint8Array): void {
  try {
    verifyBlock(key, bytes)
  } catch (cause) {
    if (!CairnError.is(cause)) throw cause
    const hint = cause.hint === undefined ? {} : { hint: cause.hint }
    throw new CairnError(cause.code, `block ${key}: ${cause.message}`, { cause, ...hint })
  }
}

export function matches(key: BlockKey, bytes: Uint8Array): boolean {
  if (key.startsWith('1220')) return hash('sha256', bytes) === key.slice(4)
  if (key.startsWith('1340')) return hash('sha512', bytes) === key.slice(4)
  try {
    verifyBlock(key, bytes)
    return true
  } catch (cause) {
    if (CairnError.is(cause, 'BLOCK_CORRUPT')) return false
    throw cause
  }
}
