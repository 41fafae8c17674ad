/** How a change of one row changes what is in use: bytes of each segment, blocks and bytes in all. */
import type { BlockKey } from '@cairn/core'
import { sectionHeadBytes } from './format.ts'
import type { Position } from './record.ts'
import type { Row } from './row.ts'

/** A deletion in a record, and its key. */
export const DELETION_WEIGHT_BYTES = 10 + 35
/** A claim in a record, and its key; its share of the proof comes on top. */
export const CLAIM_WEIGHT_BYTES = 15 + 33 + 35

export interface Totals {
  blocks: number
  bytes: number
}

export interface RowChange {
  key: BlockKey
  before: Row | undefined
  after: Row | undefined
  /** Written with it, into the segment that is being written. */
  deletion?: unknown
}

/** The bytes of a segment that are in use for a block. */
export function blockWeight(key: BlockKey, size: number): number {
  return sectionHeadBytes(key.length / 2, size) + size
}

/** What the change adds to and takes from the bytes in use of each segment. */
export function weigh(change: RowChange, at: Position, add: (segment: number, weight: number) => void): void {
  const { key, before, after, deletion } = change
  if (before?.block !== after?.block) {
    if (before?.block) add(before.block.segment, -blockWeight(key, before.block.size))
    if (after?.block) add(after.block.segment, blockWeight(key, after.block.size))
  }
  const [old, now] = [new Set(before?.claims), new Set(after?.claims)]
  for (const claim of old) if (!now.has(claim)) add(claim.segment, -claim.weight)
  for (const claim of now) if (!old.has(claim)) add(claim.segment, claim.weight)
  if (deletion !== undefined) add(at.segment, DELETION_WEIGHT_BYTES)
}

export function count({ before, after }: RowChange, totals: Totals): void {
  totals.blocks += (after?.block ? 1 : 0) - (before?.block ? 1 : 0)
  totals.bytes += (after?.block?.size ?? 0) - (before?.block?.size ?? 0)
}
