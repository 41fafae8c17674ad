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

/**
 * Long blocks on other threads, short ones here in turns; `undefined` when that is done already.
 * @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE, BUSY
 */
export function verifyEntries(entries: readonly Entry[]): Promise<void> | undefined {
  const long: Promise<void>[] = []
  const turns: Entry[][] = []
  let hashed = HASH_BYTES_PER_TURN
  for (const entry of entries) {
    const { key, bytes, verified } = entry
    if (bytes === undefined || verified) continue
    if (bytes.length >= ASIDE_BYTES_MIN) {
      long.push(verifyAside(key, bytes))
      continue
    }
    if (hashed >= HASH_BYTES_PER_TURN) {
      turns.push([])
      hashed = 0
    }
    hashed += bytes.length
    turns.at(-1)?.push(entry)
  }
  if (long.length > 0 || turns.length > 1)
    return Promise.all([...long, verifyInTurns(turns)]).then(() => undefined)
  for (const { key, bytes } of turns[0] ?? []) verifyBytes(key, bytes as Uint8Array)
  return undefined
}

async function verifyInTurns(turns: readonly (readonly Entry[])[]): Promise<void> {
  for (const turn of turns) {
    for (const { key, bytes } of turn) verifyBytes(key, bytes as Uint8Array)
    await new Promise((resolve) => setImmediate(resolve))
  }
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

function refuse(key: BlockKey, bytes: Uint8Array): void {
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
