/**
 * The record that opens every group: what the group holds, byte for byte. One group is one write; its
 * record comes first and says how long the group is, so a reader never looks for records inside blocks,
 * and it carries the store's nonce, so that no block sent by a stranger can pass for one.
 */
import type { BlockKey } from '@cairn/core'
import {
  NONCE_BYTES,
  SHA256_MULTIHASH_BYTES,
  sectionHeadBytes,
  sha256Multihash,
  writeSectionHead
} from './format.ts'

const MAGIC = Buffer.from('CAIRNREC')
export const RECORD_VERSION = 1
/** Magic, version, nonce, segment, offset, length, durable; five counts; where extensions begin. */
const HEAD_BYTES = 8 + 1 + NONCE_BYTES + 4 * 4 + 5 * 4
/** A record of the largest group stays under it; one that claims more is no record. */
export const RECORD_BYTES_MAX = 16 * 1024 * 1024

/** Where something lies: its segment and the byte in it. Later is greater. */
export interface Position {
  segment: number
  offset: number
}

export function isBefore(a: Position, b: Position): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset)
}

/** Indices point into `keys` and `proofs`; offsets count from the group's first byte. */
export interface GroupRecord {
  segment: number
  /** Of the group in its segment. */
  offset: number
  /** Of the group, padding included. */
  length: number
  /** Bytes of this segment that were known to be durable when the group was written. */
  durable: number
  keys: BlockKey[]
  blocks: { key: number; size: number; offset: number }[]
  proofs: { offset: number; length: number }[]
  claims: {
    key: number
    claimant: string
    sequence: number
    live: boolean
    replicas: number
    proof: number
  }[]
  /** Everything about the key that lies before the position is gone. */
  deletions: { key: number; before: Position }[]
}

/** A record's parts before positions are known: proofs as bytes. */
export interface Draft {
  keys: BlockKey[]
  blocks: { key: number; size: number }[]
  proofs: Uint8Array[]
  claims: GroupRecord['claims']
  deletions: GroupRecord['deletions']
}

const CLAIM_FIXED_BYTES = 2 + 1 + 8 + 1 + 1 + 2

/** What a draft takes as a section, CID and all. */
export function recordBytes(draft: Draft): { head: number; body: number } {
  let body = HEAD_BYTES
  for (const key of draft.keys) body += 1 + key.length / 2
  body += draft.blocks.length * (2 + 4 + 4)
  for (const proof of draft.proofs) body += 2 + proof.length
  for (const claim of draft.claims) body += CLAIM_FIXED_BYTES + claim.claimant.length / 2
  body += draft.deletions.length * (2 + 4 + 4)
  return { head: sectionHeadBytes(SHA256_MULTIHASH_BYTES, body), body }
}

export interface Placed {
  nonce: Uint8Array
  segment: number
  offset: number
  length: number
  durable: number
  /** Of each block of the draft, from the group's start. */
  blockOffsets: readonly number[]
}

/** Writes the record section at the start of `out`; returns where each proof begins, from there. */
export function writeRecord(out: Buffer, draft: Draft, placed: Placed): number[] {
  const { head, body } = recordBytes(draft)
  let at = writeHead(out, head, draft, placed)
  for (const key of draft.keys) {
    out[at] = key.length / 2
    at += 1 + out.write(key, at + 1, 'hex')
  }
  draft.blocks.forEach((block, i) => {
    out.writeUInt16BE(block.key, at)
    out.writeUInt32BE(block.size, at + 2)
    out.writeUInt32BE(placed.blockOffsets[i] as number, at + 6)
    at += 10
  })
  const proofOffsets: number[] = []
  for (const proof of draft.proofs) {
    out.writeUInt16BE(proof.length, at)
    proofOffsets.push(at + 2)
    out.set(proof, at + 2)
    at += 2 + proof.length
  }
  for (const claim of draft.claims) at = writeClaim(out, at, claim)
  for (const { key, before } of draft.deletions) {
    out.writeUInt16BE(key, at)
    out.writeUInt32BE(before.segment, at + 2)
    out.writeUInt32BE(before.offset, at + 6)
    at += 10
  }
  const bytes = out.subarray(head, head + body)
  writeSectionHead(out, 0, sha256Multihash(bytes), body)
  return proofOffsets
}

function writeHead(out: Buffer, start: number, draft: Draft, placed: Placed): number {
  let at = start + MAGIC.copy(out, start)
  out[at++] = RECORD_VERSION
  out.set(placed.nonce, at)
  at += NONCE_BYTES
  const { keys, blocks, proofs, claims, deletions } = draft
  const { segment, offset, length, durable } = placed
  const counts = [keys.length, blocks.length, proofs.length, claims.length, deletions.length]
  for (const value of [segment, offset, length, durable, ...counts]) at = out.writeUInt32BE(value, at)
  return at
}

function writeClaim(out: Buffer, start: number, claim: GroupRecord['claims'][number]): number {
  let at = out.writeUInt16BE(claim.key, start)
  out[at] = claim.claimant.length / 2
  at += 1 + out.write(claim.claimant, at + 1, 'hex')
  at = out.writeBigUInt64BE(BigInt(claim.sequence), at)
  out[at++] = claim.live ? 1 : 0
  out[at++] = claim.replicas
  return out.writeUInt16BE(claim.proof, at)
}

/**
 * How many bytes, from the group's start, the record section that begins `bytes` takes; `undefined` when
 * no section of a record begins there. Needs the first 64 bytes.
 */
export function recordSectionBytes(bytes: Buffer): number | undefined {
  let length = 0
  let at = 0
  for (; ; at++) {
    const byte = bytes[at]
    if (byte === undefined || at > 3) return undefined
    length += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) break
  }
  const start = at + 1
  const body = start + 2 + SHA256_MULTIHASH_BYTES
  if (!bytes.subarray(body, body + MAGIC.length).equals(MAGIC)) return undefined
  return length > RECORD_BYTES_MAX ? undefined : start + length
}

/**
 * The record in a whole record section, or `undefined` when it is not intact, not this store's, or not
 * at its place. Bytes after the known fields are a later version's and are passed over.
 */
export function readRecord(section: Buffer, nonce: Uint8Array, place: Position): GroupRecord | undefined {
  const head = sectionHeadBytes(SHA256_MULTIHASH_BYTES, 0)
  const start = section.indexOf(MAGIC) // the head is at most 40 bytes, and the hash is checked below
  if (start < head || start > head + 3) return undefined
  const body = section.subarray(start)
  if (sha256Multihash(body).compare(section, start - SHA256_MULTIHASH_BYTES, start) !== 0) return undefined
  try {
    const record = parse(body, start, nonce)
    return record?.segment === place.segment && record.offset === place.offset ? record : undefined
  } catch (cause) {
    if (cause instanceof RangeError) return undefined // counts that lead past the end
    throw cause
  }
}

function parse(body: Buffer, start: number, nonce: Uint8Array): GroupRecord | undefined {
  let at = MAGIC.length + 1
  if (Buffer.compare(body.subarray(at, at + NONCE_BYTES), nonce) !== 0) return undefined
  at += NONCE_BYTES
  const u32 = (): number => {
    at += 4
    return body.readUInt32BE(at - 4)
  }
  const u16 = (): number => {
    at += 2
    return body.readUInt16BE(at - 2)
  }
  const u8 = (): number => body.readUInt8(at++)
  const hex = (): string => {
    const length = u8()
    at += length
    return body.toString('hex', at - length, at)
  }
  const times = <T>(count: number, read: () => T): T[] => {
    if (count > body.length) throw new RangeError('a count beyond the record')
    return Array.from({ length: count }, read)
  }
  const [segment, offset, length, durable] = [u32(), u32(), u32(), u32()]
  const [keys, blocks, proofs, claims, deletions] = [u32(), u32(), u32(), u32(), u32()]
  return {
    segment,
    offset,
    length,
    durable,
    keys: times(keys, () => hex() as BlockKey),
    blocks: times(blocks, () => ({ key: u16(), size: u32(), offset: u32() })),
    proofs: times(proofs, () => {
      const size = u16()
      at += size
      return { offset: start + at - size, length: size }
    }),
    claims: times(claims, () => {
      const [key, claimant] = [u16(), hex()]
      at += 8
      const sequence = Number(body.readBigUInt64BE(at - 8))
      return { key, claimant, sequence, live: u8() === 1, replicas: u8(), proof: u16() }
    }),
    deletions: times(deletions, () => ({ key: u16(), before: { segment: u32(), offset: u32() } }))
  }
}
