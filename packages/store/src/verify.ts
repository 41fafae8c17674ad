/**
 * The one place where the store checks bytes against their name. SHA-2 straight from OpenSSL, since it
 * is most of what reading and writing costs; the rest as @cairn/blocks does it.
 */
import { hash } from 'node:crypto'
import { verifyBlock } from '@cairn/blocks'
import { BLOCK_BYTES_MAX, type BlockKey, CairnError } from '@cairn/core'

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
