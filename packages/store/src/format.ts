/**
 * How a segment is a CARv1 file and yet aligned: CAR sections (length, CID, bytes), filler sections that
 * bring what follows to a boundary, and the first page. docs/on-disk-format.md is the same in prose.
 */
import { hash } from 'node:crypto'
import { CairnError } from '@cairn/core'

/** Groups begin and end at multiples of it, so that O_DIRECT can write and read them: a page. */
export const ALIGN_BYTES = 4096
/** From this size on a block's own bytes begin at a boundary: 4 KiB lost is then at most an eighth. */
export const LARGE_BLOCK_BYTES = 32 * 1024

/** CIDv1, raw: what bytes mean is not the store's business. The multihash follows. */
const CID_PREFIX = Uint8Array.of(0x01, 0x55)
const SHA256_PREFIX = Uint8Array.of(0x12, 0x20)
/** Length, CID and nothing: the shortest section. */
const FILLER_BYTES_MIN = 37
/** 36 + 92 needs a second length byte, and 36 + 91 must not have one: no single section is this long. */
const FILLER_BYTES_NEVER = 129

const SEGMENT_MAGIC = Buffer.from('CAIRNSEG')
const SEGMENT_VERSION = 1
export const NONCE_BYTES = 16
const SEGMENT_HEADER_BYTES = 8 + 1 + NONCE_BYTES + 4

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4
}

function writeVarint(out: Buffer, at: number, value: number): number {
  let rest = value
  let end = at
  while (rest >= 0x80) {
    out[end++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[end++] = rest
  return end
}

/** Bytes before a section's data: its length and its CID. */
export function sectionHeadBytes(multihashBytes: number, dataBytes: number): number {
  const cid = CID_PREFIX.length + multihashBytes
  return varintBytes(cid + dataBytes) + cid
}

/** Writes a section's length and CID at `at`, and returns where its data begins. */
export function writeSectionHead(out: Buffer, at: number, multihash: Uint8Array, dataBytes: number): number {
  const start = writeVarint(out, at, CID_PREFIX.length + multihash.length + dataBytes)
  out.set(CID_PREFIX, start)
  out.set(multihash, start + CID_PREFIX.length)
  return start + CID_PREFIX.length + multihash.length
}

export function sha256Multihash(bytes: Uint8Array): Buffer {
  return Buffer.concat([SHA256_PREFIX, hash('sha256', bytes, 'buffer')])
}

export const SHA256_MULTIHASH_BYTES = 34

/** Filler that brings `at`, plus `head` bytes after the filler, to a boundary. */
export function padding(at: number, head = 0): number {
  const gap = (ALIGN_BYTES - ((at + head) % ALIGN_BYTES)) % ALIGN_BYTES
  return gap === 0 || gap >= FILLER_BYTES_MIN ? gap : gap + ALIGN_BYTES
}

const zeros = Buffer.alloc(2 * ALIGN_BYTES)
const fillerHashes = new Map<number, Buffer>()

/** Sections of zeros that take `length` bytes together, as `padding` gave it. Returns where they end. */
export function writeFiller(out: Buffer, at: number, length: number): number {
  if (length === 0) return at
  if (length === FILLER_BYTES_NEVER) {
    return writeFiller(out, writeFiller(out, at, FILLER_BYTES_MIN), length - FILLER_BYTES_MIN)
  }
  const size = length - (length < FILLER_BYTES_NEVER ? FILLER_BYTES_MIN : FILLER_BYTES_MIN + 1)
  let multihash = fillerHashes.get(size)
  if (multihash === undefined) {
    multihash = sha256Multihash(zeros.subarray(0, size))
    fillerHashes.set(size, multihash) // at most two pages of lengths
  }
  const start = writeSectionHead(out, at, multihash, size)
  out.fill(0, start, start + size)
  return start + size
}

/** The first page: CAR header whose root is the first section, which says whose segment this is. */
export function segmentPage(nonce: Uint8Array, segment: number): Buffer {
  const body = Buffer.alloc(SEGMENT_HEADER_BYTES)
  SEGMENT_MAGIC.copy(body)
  body[8] = SEGMENT_VERSION
  body.set(nonce, 9)
  body.writeUInt32BE(segment, 9 + NONCE_BYTES)
  const multihash = sha256Multihash(body)
  const page = Buffer.alloc(ALIGN_BYTES)
  // DAG-CBOR: {roots: [42(h'00' CID)], version: 1}, keys in the order that DAG-CBOR wants.
  const open = Buffer.from('a265726f6f747381d82a582500', 'hex')
  const close = Buffer.from('6776657273696f6e01', 'hex')
  const cbor = Buffer.concat([open, CID_PREFIX, multihash, close])
  let at = writeVarint(page, 0, cbor.length)
  cbor.copy(page, at)
  at = writeSectionHead(page, at + cbor.length, multihash, body.length)
  body.copy(page, at)
  at += body.length
  writeFiller(page, at, padding(at))
  return page
}

/**
 * Whether `page` begins a segment of this store with this number.
 * @throws CairnError NEWER_VERSION when a newer Cairn wrote it.
 */
export function isSegmentPage(page: Uint8Array, nonce: Uint8Array, segment: number): boolean {
  const ours = segmentPage(nonce, segment)
  if (ours.compare(page) === 0) return true
  const version = ours.indexOf(SEGMENT_MAGIC) + SEGMENT_MAGIC.length
  const found = Buffer.from(page.buffer, page.byteOffset, page.length)
  if (
    found.indexOf(SEGMENT_MAGIC) === version - SEGMENT_MAGIC.length &&
    (found[version] ?? 0) > SEGMENT_VERSION
  ) {
    throw new CairnError('NEWER_VERSION', `segment ${segment} was written by a newer Cairn`, {
      hint: 'Run the version of Cairn that wrote it, or a later one.'
    })
  }
  return false
}

/** The nonce of the store that `page` begins a segment of, for a store whose identity was lost. */
export function nonceOfPage(page: Buffer, segment: number): Buffer | undefined {
  const at = page.indexOf(SEGMENT_MAGIC) + SEGMENT_MAGIC.length + 1
  const nonce = Buffer.from(page.subarray(at, at + NONCE_BYTES))
  if (nonce.length < NONCE_BYTES || segmentPage(nonce, segment).compare(page) !== 0) return undefined
  return nonce
}
