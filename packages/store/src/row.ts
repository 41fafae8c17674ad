/**
 * What the index knows of one block: where its bytes and its claims' proofs lie. Claims are in the row
 * itself but for their proofs, so comparing slots touches no segment.
 */
import { crc32 } from 'node:zlib'
import { type BlockKey, CairnError, type HeldClaim, isMirrorsOnly, sharedClaims, slotOf } from '@cairn/core'
import { replicasOf } from './claims.ts'
import { isBefore, type Position } from './record.ts'

/** Objects are shared between rows and filled in once the group's layout is known. */
export interface RowBlock extends Position {
  size: number
}

/** A claim whose proof lies at the position. */
export interface RowClaim extends Position, Omit<HeldClaim, 'proof'> {
  /** Of the proof. */
  length: number
  /** CRC-32 of the proof: a record's own hash covers it only as long as the whole record is good. */
  crc: number
  /** Bytes of its segment that are in use for it: its fields, and its share of the proof. */
  weight: number
}

export interface Row {
  /** Absent only while a rebuild has seen claims but no bytes; such a block is not held. */
  block: RowBlock | undefined
  /** Sorted by claimant. */
  claims: readonly RowClaim[]
}

const VERSION = 1
const NO_BLOCK = 0xffffffff
/** Version, CRC-32 of what follows, block, number of claims. LevelDB does not check what it reads. */
const HEAD_BYTES = 1 + 4 + 4 + 4 + 4 + 2
const CLAIM_FIXED_BYTES = 1 + 8 + 1 + 1 + 4 + 4 + 2 + 4 + 4

export function encodeRow({ block, claims }: Row): Buffer {
  let size = HEAD_BYTES
  for (const { claimant } of claims) size += CLAIM_FIXED_BYTES + claimant.length / 2
  const out = Buffer.allocUnsafe(size)
  out[0] = VERSION
  let at = out.writeUInt32BE(block?.segment ?? 0, 5)
  at = out.writeUInt32BE(block?.offset ?? 0, at)
  at = out.writeUInt32BE(block?.size ?? NO_BLOCK, at)
  at = out.writeUInt16BE(claims.length, at)
  for (const claim of claims) {
    out[at] = claim.claimant.length / 2
    at += 1 + out.write(claim.claimant, at + 1, 'hex')
    at = out.writeDoubleBE(claim.sequence, at)
    out[at++] = claim.live ? 1 : 0
    out[at++] = claim.replicas
    at = out.writeUInt32BE(claim.segment, at)
    at = out.writeUInt32BE(claim.offset, at)
    at = out.writeUInt16BE(claim.length, at)
    at = out.writeUInt32BE(claim.crc, at)
    at = out.writeUInt32BE(claim.weight, at)
  }
  out.writeUInt32BE(crc32(out.subarray(5)), 1)
  return out
}

/** @throws CairnError STORE_DAMAGED */
export function decodeRow(from: Buffer): Row {
  if (from.length < HEAD_BYTES || from[0] !== VERSION || crc32(from.subarray(5)) !== from.readUInt32BE(1)) {
    throw new CairnError('STORE_DAMAGED', 'the index is damaged', {
      hint: 'Restart the node: it makes the index again from the segments. Or run `cairn store rebuild`.'
    })
  }
  const [segment, offset, size] = [from.readUInt32BE(5), from.readUInt32BE(9), from.readUInt32BE(13)]
  const claims: RowClaim[] = []
  let at = HEAD_BYTES
  for (let count = from.readUInt16BE(17); count > 0; count--) {
    const length = from.readUInt8(at)
    const claimant = from.toString('hex', at + 1, at + 1 + length)
    at += 1 + length
    claims.push({
      claimant,
      sequence: from.readDoubleBE(at),
      live: from.readUInt8(at + 8) === 1,
      replicas: from.readUInt8(at + 9),
      segment: from.readUInt32BE(at + 10),
      offset: from.readUInt32BE(at + 14),
      length: from.readUInt16BE(at + 18),
      crc: from.readUInt32BE(at + 20),
      weight: from.readUInt32BE(at + 24)
    })
    at += CLAIM_FIXED_BYTES - 1
  }
  return { block: size === NO_BLOCK ? undefined : { segment, offset, size }, claims }
}

/** A row as `changes` needs it: all but the proofs. */
export interface RowStat {
  key: BlockKey
  slot: number
  size: number
  replicas: number
  claims: readonly RowClaim[]
}

/** `undefined` for a row that holds no block, or one for mirrors alone. */
export function rowStat(key: BlockKey, row: Row | undefined): RowStat | undefined {
  if (row?.block === undefined || isMirrorsOnly(row.claims)) return undefined
  const { block } = row
  const claims = sharedClaims(row.claims)
  return { key, slot: slotOf(key), size: block.size, replicas: replicasOf(claims), claims }
}

/** What is left of a row when everything before the position is deleted. */
export function without(row: Row | undefined, before: Position): Row | undefined {
  if (row === undefined || !partsOf(row).some((part) => isBefore(part, before))) return row
  const block = row.block !== undefined && isBefore(row.block, before) ? undefined : row.block
  const claims = row.claims.filter((claim) => !isBefore(claim, before))
  return block === undefined && claims.length === 0 ? undefined : { block, claims }
}

/** Everything of a row that lies in a segment. */
export function partsOf({ block, claims }: Row): Position[] {
  return block === undefined ? [...claims] : [block, ...claims]
}
