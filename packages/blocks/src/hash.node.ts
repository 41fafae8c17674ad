/**
 * Digests on Node: OpenSSL and BLAKE3's own code, called at once on the main thread. 1 MiB of sha2-256
 * costs 0.6 ms there; `subtle` halves that but copies its input and makes every caller asynchronous.
 * The browser's half is hash.web.ts; package.json's `#hash` chooses.
 */
import { hash as native } from 'node:crypto'
import { blake3 } from '@napi-rs/blake-hash'
import type { HashName } from './cid.ts'

export function digest(hash: HashName, bytes: Uint8Array): Uint8Array {
  switch (hash) {
    case 'sha2-256':
      return native('sha256', bytes, 'buffer')
    case 'sha2-512':
      return native('sha512', bytes, 'buffer')
    case 'blake3':
      return blake3(bytes)
  }
}
