/**
 * What a block is called and where it belongs. A block's key is its multihash (the CID without the
 * codec), so equal bytes are kept once whatever they are said to mean; its slot is the first 16 bits
 * of the digest, the unit of placement and comparison.
 */

import { fromHex, toHex } from './bytes.ts'
import { append, type Codec, fixed, u8 } from './codec.ts'
import { CairnError } from './errors.ts'

declare const BLOCK_KEY: unique symbol
/** A multihash in lower-case hexadecimal. Sorts as its bytes do. */
export type BlockKey = string & { readonly [BLOCK_KEY]: true }

declare const PEER_ID: unique symbol
/** A libp2p peer id of an Ed25519 key, as text (`12D3KooW…`). */
export type PeerId = string & { readonly [PEER_ID]: true }

/** Equal parts of the hash space. */
export const SLOTS = 65_536
/** The most that one block may hold, bytes. Bitswap's limit too, so any IPFS peer can take it. */
export const BLOCK_BYTES_MAX = 2 * 1024 * 1024

/**
 * The hashes that may name a block, by multicodec, with the digest's length in bytes. MD5, SHA-1 and
 * identity may not: the first two can be forged, the third is no checksum.
 */
export const BLOCK_HASHES = { 18: 32, 19: 64, 30: 32 } as const
export type BlockHash = keyof typeof BLOCK_HASHES

/** The key of a multihash given as bytes. @throws CairnError BAD_CID when it may not name a block. */
export function blockKey(multihash: Uint8Array): BlockKey {
  const length = BLOCK_HASHES[multihash[0] as BlockHash] as number | undefined
  if (length === undefined || multihash[1] !== length || multihash.length !== length + 2) {
    throw new CairnError('BAD_CID', 'not the hash of a block: sha2-256, sha2-512 and blake3 name blocks')
  }
  return toHex(multihash) as BlockKey
}

export function multihashOf(key: BlockKey): Uint8Array {
  return fromHex(key)
}

/** The slot of a block: 0 … SLOTS - 1. */
export function slotOf(key: BlockKey): number {
  return Number.parseInt(key.slice(4, 8), 16)
}

/** Lengths of all allowed digests fit one byte, so the multihash needs no length of its own before it. */
export const blockKeyCodec: Codec<BlockKey> = {
  write(out, key) {
    append(out, fromHex(key))
  },
  read(from) {
    const hash = u8.read(from)
    const length = u8.read(from)
    if (BLOCK_HASHES[hash as BlockHash] !== length) {
      throw new CairnError('BAD_MESSAGE', 'malformed message: a key that names no block')
    }
    return toHex(Uint8Array.of(hash, length, ...fixed(length).read(from))) as BlockKey
  }
}
