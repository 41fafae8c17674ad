/**
 * Takes room back: of a sealed segment with little in use, what is in use is written again at the end,
 * and the file removed. Below half in use normally, so that a byte freed costs at most one written; with
 * nine tenths too once room runs out. Reads are never held up, and any step may be the last one done.
 */
import type { BlockKey } from '@cairn/core'
import type { Catalog, SegmentRow } from './catalog.ts'
import type { Files } from './files.ts'
import { ALIGN_BYTES } from './format.ts'
import type { Pace } from './pace.ts'
import type { Op } from './plan.ts'
import type { Reader } from './reader.ts'
import type { Position } from './record.ts'
import type { Room } from './room.ts'
import { partsOf } from './row.ts'
import { type WalkedGroup, walk } from './walk.ts'
import type { Writer } from './writer.ts'

/** In use of a segment, at most, for it to be compacted: bytes written for each freed is then at most 1. */
const IN_USE_MAX = 0.5
/** The same when room runs out: up to nine bytes written for each freed. */
const IN_USE_MAX_SCARCE = 0.9
/** Room is scarce below this part of the capacity. */
const SCARCE = 1 / 16
/** Sealed segments shorter than a quarter, from crashes, that may be left alone. */
const SHORT_MAX = 8
/** Moved in one write. */
const MOVE_BYTES_MAX = 2 * 1024 * 1024
const MOVE_OPS_MAX = 256

export interface CompactContext {
  files: Files
  catalog: Catalog
  writer: Writer
  reader: Reader
  room: Room
  segments: ReadonlyMap<number, SegmentRow>
  nonce: Buffer
  /** Holds back when bytes moved run ahead of the budget. */
  pace: Pace
}

/** Compacts the segment that is most worth it. False when none is. */
export async function compactOne(context: CompactContext): Promise<boolean> {
  const scarce = context.room.full || context.room.free < context.room.capacity * SCARCE
  const victim = choose(context, scarce)
  if (victim === undefined) return scarce && (await sealActive(context))
  if (!(await empty(context, victim, scarce))) return false
  const { writer, files, room } = context
  const row = context.segments.get(victim) as SegmentRow
  // Synced before the file goes: an index that is thrown back by a power cut must not miss the moves.
  await writer.setSegment(victim, { doomed: true })
  await files.remove(victim)
  room.segments -= row.size
  await writer.setSegment(victim, undefined)
  return true
}

function choose({ segments, writer, room }: CompactContext, scarce: boolean): number | undefined {
  const limit = scarce ? IN_USE_MAX_SCARCE : IN_USE_MAX
  let best: { segment: number; inUse: number } | undefined
  const short: number[] = []
  for (const [segment, { size, live, sealed }] of segments) {
    if (!sealed || segment === writer.segment) continue
    const inUse = live / size
    if (inUse <= limit && (best === undefined || inUse < best.inUse)) best = { segment, inUse }
    if (size < room.segmentBytesMax / 4) short.push(segment)
  }
  return best?.segment ?? (short.length > SHORT_MAX ? short[0] : undefined)
}

/** What was deleted from the segment that is being written can only be taken back once it is sealed. */
async function sealActive({ segments, writer }: CompactContext): Promise<boolean> {
  const active = segments.get(writer.segment)
  if (active === undefined || active.size <= ALIGN_BYTES || active.live / active.size > IN_USE_MAX)
    return false
  await writer.seal()
  return true
}

/** Writes again all that is in use of the segment. False when it was stopped before the end. */
async function empty(context: CompactContext, victim: number, scarce: boolean): Promise<boolean> {
  const { files, nonce, segments, writer, pace } = context
  const { size } = segments.get(victim) as SegmentRow
  let covered = ALIGN_BYTES
  let gaps = false
  for await (const group of walk({ files, nonce, segment: victim, from: ALIGN_BYTES, size })) {
    gaps ||= group.record.offset !== covered
    covered = group.record.offset + group.record.length
    for await (const ops of movesOf(context, group, victim)) {
      await writer.submit(ops, true)
      if (!scarce) await pace.spend(bytesOf(ops))
      if (pace.stopped) return false
    }
  }
  if (gaps || covered < size) await emptyByIndex(context, victim)
  return true
}

async function* movesOf(
  context: CompactContext,
  { record }: WalkedGroup,
  victim: number
): AsyncGenerator<Op[]> {
  const { catalog, reader, segments } = context
  const inVictim = ({ segment }: Position): boolean => segment === victim
  const rows = await catalog.rows(record.keys)
  let ops: Op[] = []
  for (const { key, before } of record.deletions) {
    if (isNeeded(before, victim, segments))
      ops.push({ type: 'bury', key: record.keys[key] as BlockKey, before })
  }
  for (const [i, row] of rows.entries()) {
    if (row === undefined || !partsOf(row).some(inVictim)) continue
    const op = await reader.moved(record.keys[i] as BlockKey, row, inVictim)
    if (op !== undefined) ops.push(op)
    if (bytesOf(ops) >= MOVE_BYTES_MAX || ops.length >= MOVE_OPS_MAX) {
      yield ops
      ops = []
    }
  }
  if (ops.length > 0) yield ops
}

/** A deletion is needed as long as a segment is left that may hold what it deletes. */
function isNeeded(before: Position, victim: number, segments: ReadonlyMap<number, SegmentRow>): boolean {
  for (const segment of segments.keys()) if (segment !== victim && segment <= before.segment) return true
  return false
}

/** Damaged records hide what is in the segment: every row is looked at instead. */
async function emptyByIndex({ catalog, reader, writer }: CompactContext, victim: number): Promise<void> {
  const inVictim = ({ segment }: Position): boolean => segment === victim
  for await (const [key, row] of catalog.all()) {
    if (!partsOf(row).some(inVictim)) continue
    const op = await reader.moved(key, row, inVictim)
    if (op !== undefined) await writer.submit([op], true)
  }
}

function bytesOf(ops: readonly Op[]): number {
  let bytes = 0
  for (const op of ops) {
    if (op.type !== 'move') continue
    bytes += op.bytes?.length ?? 0
    for (const { proof } of op.proofs) bytes += proof.length
  }
  return bytes
}
