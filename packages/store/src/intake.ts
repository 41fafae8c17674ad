/**
 * Takes groups from segments into the index: after a crash those since the last batch, in a rebuild all.
 * Order does not matter beyond positions: claims merge, the later copy of a block counts, and a deletion
 * takes what lies before the position it names. So a rebuild brings nothing deleted back.
 */
import { crc32 } from 'node:zlib'
import type { BlockKey } from '@cairn/core'
import type { Catalog, SegmentRow } from './catalog.ts'
import { replaceClaims, supersedes } from './claims.ts'
import type { GroupRecord, Position } from './record.ts'
import { type Row, type RowClaim, without } from './row.ts'
import type { WalkedGroup } from './walk.ts'
import { CLAIM_WEIGHT_BYTES, count, DELETION_WEIGHT_BYTES, type Totals, weigh } from './weigh.ts'

/** Rows changed in memory before they go to the index as one batch. */
const BATCH_ROWS = 4096

export interface IntakeInto {
  catalog: Catalog
  /** Hex. */
  nonce: string
  segments: Map<number, SegmentRow>
  totals: Totals
  /** What the index has taken in already. */
  applied: Position
}

export class Intake {
  readonly #catalog: Catalog
  readonly #nonce: string
  readonly #segments: Map<number, SegmentRow>
  readonly #totals: Totals
  readonly #rows = new Map<BlockKey, Row | undefined>()
  #applied: Position
  /** Rows with claims and no block may be left: their block comes later, or is lost. */
  orphans = false

  constructor({ catalog, nonce, segments, totals, applied }: IntakeInto) {
    this.#catalog = catalog
    this.#nonce = nonce
    this.#segments = segments
    this.#totals = totals
    this.#applied = applied
  }

  /** Takes in a group; of its blocks only those that `good` lets pass. */
  async take({ record, section }: WalkedGroup, good: (block: number) => boolean): Promise<void> {
    const at = { segment: record.segment, offset: record.offset }
    const unknown = record.keys.filter((key) => !this.#rows.has(key))
    const found = await this.#catalog.rows(unknown)
    unknown.forEach((key, i) => {
      this.#rows.set(key, found[i])
    })
    const changed = changedRows(record, section, good, (key) => this.#rows.get(key))
    for (const [key, after] of changed) {
      const before = this.#rows.get(key)
      weigh({ key, before, after }, at, (segment, weight) => this.#add(segment, weight))
      count({ key, before, after }, this.#totals)
      if (after !== undefined && after.block === undefined) this.orphans = true
      this.#rows.set(key, after)
    }
    for (const _ of record.deletions) this.#add(at.segment, DELETION_WEIGHT_BYTES)
    this.reached({ segment: at.segment, offset: at.offset + record.length })
    if (this.#rows.size >= BATCH_ROWS) await this.flush(false)
  }

  #add(segment: number, weight: number): void {
    const row = this.#segments.get(segment)
    if (row !== undefined) row.live += weight
  }

  /** Everything before the position is taken in. */
  reached(position: Position): void {
    this.#applied = position
  }

  async flush(sync: boolean): Promise<void> {
    const state = { nonce: this.#nonce, applied: this.#applied, ...this.#totals }
    await this.#catalog.apply({ rows: this.#rows, segments: this.#segments, state }, sync)
    this.#rows.clear()
  }
}

function changedRows(
  record: GroupRecord,
  section: Buffer,
  good: (block: number) => boolean,
  rowOf: (key: BlockKey) => Row | undefined
): Map<BlockKey, Row | undefined> {
  const changed = new Map<BlockKey, Row | undefined>()
  const change = (index: number, update: (row: Row | undefined) => Row | undefined): void => {
    const key = record.keys[index] as BlockKey
    changed.set(key, update(changed.has(key) ? changed.get(key) : rowOf(key)))
  }
  for (const { key, before } of record.deletions) change(key, (row) => without(row, before))
  record.blocks.forEach(({ key, size, offset }, i) => {
    if (!good(i)) return
    const block = { segment: record.segment, offset: record.offset + offset, size }
    change(key, (row) => ({ block, claims: row?.claims ?? [] }))
  })
  const claims = placedClaims(record, section)
  record.claims.forEach(({ key }, i) => {
    change(key, (row) => withClaim(row, claims[i] as RowClaim))
  })
  return changed
}

/** The claim wins if it supersedes, and also if it is the same one written again: its segment stays. */
function withClaim(row: Row | undefined, claim: RowClaim): Row {
  const held = row?.claims.find(({ claimant }) => claimant === claim.claimant)
  const wins = supersedes(claim, held) || (held?.sequence === claim.sequence && held.live === claim.live)
  const claims = row?.claims ?? []
  return { block: row?.block, claims: wins ? replaceClaims(claims, [claim]) : claims }
}

function placedClaims(record: GroupRecord, section: Buffer): RowClaim[] {
  const sharers = new Array<number>(record.proofs.length).fill(0)
  for (const { proof } of record.claims) sharers[proof] = (sharers[proof] ?? 0) + 1
  return record.claims.map(({ claimant, sequence, live, replicas, proof }) => {
    const { offset, length } = record.proofs[proof] as GroupRecord['proofs'][number]
    const crc = crc32(section.subarray(offset, offset + length))
    const weight = CLAIM_WEIGHT_BYTES + Math.ceil(length / (sharers[proof] as number))
    const at = { segment: record.segment, offset: record.offset + offset }
    return { claimant, sequence, live, replicas, ...at, length, crc, weight }
  })
}
