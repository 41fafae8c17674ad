/**
 * CIDs and checksums: what a block is called, and whether bytes are the block that a name means. The
 * hash in the CID is the only checksum Cairn has, so a name without a strong one is refused here.
 */

import { BLOCK_BYTES_MAX, type BlockKey, blockKey, CairnError, equalBytes, multihashOf } from '@cairn/core'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { digest } from '#hash'

/** One block and its name. `bytes` may be a view of a larger buffer: copy what outlives the loop. */
export interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
}

/** Gives the bytes of a block, already verified against `cid`, or throws. */
export type GetBlock = (cid: CID) => Promise<Uint8Array>

/** The multicodec numbers of the hashes that may name a block. */
export const HASHES = { 'sha2-256': 0x12, 'sha2-512': 0x13, blake3: 0x1e } as const
export type HashName = keyof typeof HASHES

/** The multicodec numbers of what Cairn itself writes. It keeps blocks of any codec. */
export const CODECS = { raw: 0x55, 'dag-pb': 0x70 } as const
export type CodecName = keyof typeof CODECS

/** No CID that may name a block is longer: sha2-512 in base32 takes 114 characters. Base58 is quadratic. */
const CID_TEXT_MAX = 160

const BY_CODE = new Map<number, HashName>(
  Object.entries(HASHES).map(([name, code]) => [code, name as HashName])
)

const REFUSED = new Map([
  [0x00, 'identity: it carries the bytes themselves and so can never be wrong about them'],
  [0x11, 'sha1: two contents with one SHA-1 can be made'],
  [0xd5, 'md5: two contents with one MD5 can be made']
])

export interface CidOptions {
  hash?: HashName
  codec?: CodecName
}

export function cidOf(bytes: Uint8Array, { hash = 'sha2-256', codec = 'raw' }: CidOptions = {}): CID {
  return CID.createV1(CODECS[codec], Digest.create(HASHES[hash], digest(hash, bytes)))
}

/** The CID of a block whose codec is known from elsewhere, say from the link that led to it. */
export function cidOfKey(key: BlockKey, codec: CodecName | number): CID {
  const code = typeof codec === 'number' ? codec : CODECS[codec]
  return CID.createV1(code, Digest.decode(multihashOf(key)))
}

/**
 * The CID that `text` spells: version 0 or 1, in base58btc, base32 or base36.
 *
 * @throws CairnError BAD_CID when it is none, or one whose hash may not name a block.
 */
export function parseCid(text: string | CID): CID {
  const cid = typeof text === 'string' ? fromText(text) : CID.asCID(text)
  if (cid === null || cid === undefined) throw new CairnError('BAD_CID', 'not a CID', { hint: CID_HINT })
  keyOf(cid)
  return cid
}

const CID_HINT = 'a CID looks like bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa'

function fromText(text: string): CID {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text
  if (text.length > CID_TEXT_MAX)
    throw new CairnError('BAD_CID', `too long for a CID: ${shown}`, { hint: CID_HINT })
  try {
    const cid: CID = CID.parse(text)
    // Decoders take longer spellings of the same numbers; a name must have one.
    return cid.version === 0
      ? cid
      : CID.createV1(cid.code, Digest.create(cid.multihash.code, cid.multihash.digest))
  } catch (cause) {
    throw new CairnError('BAD_CID', `not a CID: ${shown === '' ? 'it is empty' : shown}`, {
      cause,
      hint: CID_HINT
    })
  }
}

/** @throws CairnError BAD_CID when the hash may not name a block. */
export function keyOf(cid: CID): BlockKey {
  const { code, digest } = cid.multihash
  if (!BY_CODE.has(code)) {
    const reason = REFUSED.get(code) ?? `the hash 0x${code.toString(16)}, which Cairn does not know`
    throw new CairnError('BAD_CID', `a block may not be named by ${reason}`, {
      hint: 'add the data again with sha2-256, sha2-512 or blake3'
    })
  }
  if (cid.multihash.bytes.length !== digest.length + 2) {
    return blockKey(Digest.create(code, digest).bytes) // a longer spelling of the code or the length
  }
  return blockKey(cid.multihash.bytes)
}

/** The hash that names the block. @throws CairnError BAD_CID when it may not. */
export function hashOf(cid: CID): HashName {
  keyOf(cid)
  return BY_CODE.get(cid.multihash.code) as HashName
}

/** @throws CairnError BLOCK_CORRUPT, or BLOCK_TOO_LARGE, or BAD_CID */
export function verifyBlock(name: CID | BlockKey, bytes: Uint8Array): void {
  const cid = typeof name === 'string' ? cidOfKey(name, 'raw') : name
  const hash = hashOf(cid)
  checkBlockSize(bytes)
  if (equalBytes(digest(hash, bytes), cid.multihash.digest)) return
  throw new CairnError('BLOCK_CORRUPT', `${bytes.length} bytes that are not the block ${String(name)}`, {
    hint: 'ask another member; the one that sent this has a bad copy'
  })
}

export function checkBlockSize(bytes: Uint8Array): void {
  if (bytes.length <= BLOCK_BYTES_MAX) return
  throw new CairnError(
    'BLOCK_TOO_LARGE',
    `a block of ${bytes.length} bytes; ${BLOCK_BYTES_MAX} are the limit`,
    {
      hint: 'put the bytes as a file, which is cut into blocks'
    }
  )
}
