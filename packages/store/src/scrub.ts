/**
 * Reads everything again, oldest look first, past the page cache where the system lets it, and compares
 * it with its hashes. A damaged copy is deleted and reported, so that the rule fetches it again; what lies
 * in a group whose record is damaged is written again while it is good.
 */
import fs from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { BlockKey } from '@cairn/core'
import type { Catalog, SegmentRow } from './catalog.ts'
import { fault, isErrno } from './fault.ts'
import type { Files } from './files.ts'
import { ALIGN_BYTES } from './format.ts'
import type { Pace } from './pace.ts'
import type { Reader } from './reader.ts'
import { type GroupRecord, type Position, readRecord, recordSectionBytes } from './record.ts'
import { partsOf } from './row.ts'
import { matchesAside } from './verify.ts'
import { walk } from './walk.ts'
import type { Writer } from './writer.ts'

/** Between two entries of progress in the index: at most so much is read twice after a stop. */
const PROGRESS_BYTES = 32 * 1024 * 1024

/** From a byte of a segment to before another. */
type Span = readonly [from: number, to: number]

export interface ScrubContext {
  files: Files
  catalog: Catalog
  reader: Reader
  writer: Writer
  segments: Map<number, SegmentRow>
  nonce: Buffer
}

export interface ScrubReport {
  /** Read and compared. */
  blocks: number
  bytes: number
  /** Copies found damaged, deleted and told to `onLost`. */
  lost: BlockKey[]
  /** Groups whose record was damaged; what was good in them was written again. */
  records: number
}

/** The segments as of now, those not looked at for longest first. */
export function scrubOrder(segments: ReadonlyMap<number, SegmentRow>): number[] {
  return [...segments]
    .filter(([, { doomed }]) => !doomed)
    .sort(([a, x], [b, y]) => x.scrubbedAtMs - y.scrubbedAtMs || a - b)
    .map(([segment]) => segment)
}

export interface ScrubAim {
  report: ScrubReport
  pace: Pace
  nowMs: () => number
  /** After each group. */
  onGroup?: () => void
}

/** Scrubs a segment from a byte on, into the report; stops with the pace, or when compaction took it. */
export async function scrubSegment(context: ScrubContext, from: Position, aim: ScrubAim): Promise<void> {
  const { files, segments, writer } = context
  const { segment } = from
  const startMs = aim.nowMs()
  const direct = await openDirect(files.path(segment))
  if (direct === undefined) return
  try {
    const gaps = await readGroups(context, from, direct, aim)
    if (aim.pace.stopped) return
    if (gaps.length > 0) await rescue(context, segment, gaps, aim.report)
    await writer.setSegment(segment, { scrubbedAtMs: startMs })
  } catch (cause) {
    const row = segments.get(segment)
    const compacted = row === undefined || row.doomed === true
    if (!compacted || !isErrno(cause, 'ENOENT')) throw cause
  } finally {
    await direct.close()
  }
}

/** Compares group by group. Returns the spans that have no intact record. */
async function readGroups(
  context: ScrubContext,
  { segment, offset: from }: Position,
  direct: Direct,
  { report, pace, onGroup }: ScrubAim
): Promise<Span[]> {
  const { files, nonce, segments, catalog } = context
  const { size, sealed } = segments.get(segment) ?? { size: from, sealed: true }
  const gaps: Span[] = []
  let covered = from
  let saved = from
  for await (const { record } of walk({ files, nonce, segment, from, size })) {
    if (pace.stopped) return gaps
    const end = record.offset + record.length
    if (record.offset > covered) gaps.push([covered, record.offset])
    covered = end
    const bytes = await direct.read(record.offset, record.length)
    if (!(await scrubGroup(context, { record, bytes, report }))) gaps.push([record.offset, end])
    if (sealed && end - saved >= PROGRESS_BYTES) {
      await catalog.setScrubbed({ segment, offset: end })
      saved = end
    }
    onGroup?.()
    await pace.spend(record.length)
  }
  if (covered < size) gaps.push([covered, size])
  return gaps
}

/** Compares all that is in use of one group. False when its record is damaged. */
async function scrubGroup(
  { catalog, reader, nonce }: ScrubContext,
  { record, bytes, report }: { record: GroupRecord; bytes: Buffer; report: ScrubReport }
): Promise<boolean> {
  const rows = await catalog.rows(record.keys)
  for (const { key: index, size, offset } of record.blocks) {
    const [key, row] = [record.keys[index] as BlockKey, rows[index]]
    if (row?.block?.segment !== record.segment || row.block.offset !== record.offset + offset) continue
    report.blocks++
    report.bytes += size
    if (await matchesAside(key, bytes.subarray(offset, offset + size))) continue
    await reader.lose(key, row.block)
    report.lost.push(key)
  }
  const length = recordSectionBytes(bytes.subarray(0, ALIGN_BYTES))
  const section = length !== undefined && length <= bytes.length ? bytes.subarray(0, length) : undefined
  return section !== undefined && readRecord(section, nonce, record) !== undefined
}

/** Writes again what is good of the rows that point into damaged groups; the rest is lost. */
async function rescue(
  { catalog, reader, writer }: ScrubContext,
  segment: number,
  gaps: readonly Span[],
  report: ScrubReport
): Promise<void> {
  const lies = (at: Position): boolean =>
    at.segment === segment && gaps.some(([from, to]) => at.offset >= from && at.offset < to)
  report.records += gaps.length
  for await (const [key, row] of catalog.all()) {
    if (!partsOf(row).some(lies)) continue
    const op = await reader.moved(key, row, lies)
    if (op !== undefined) await writer.submit([op], true)
    else if ((await catalog.row(key))?.block === undefined) report.lost.push(key)
  }
}

interface Direct {
  read(offset: number, length: number): Promise<Buffer>
  close(): Promise<void>
}

const WASM_PAGE_BYTES = 65_536

/**
 * Past the page cache where that is possible, since a bit that flipped on the disk stays hidden behind
 * memory that is still right. What a read returns is overwritten by the next. `undefined`: no such file.
 */
async function openDirect(path: string): Promise<Direct | undefined> {
  const file = await openFirst(path, [
    fs.constants.O_RDONLY | (fs.constants.O_DIRECT ?? 0),
    fs.constants.O_RDONLY
  ])
  if (file === undefined) return undefined
  // O_DIRECT wants memory that begins at a page; this does, and a Buffer does not.
  let memory = new WebAssembly.Memory({ initial: 48 })
  return {
    async read(offset, length) {
      if (memory.buffer.byteLength < length) {
        memory = new WebAssembly.Memory({ initial: Math.ceil(length / WASM_PAGE_BYTES) })
      }
      const bytes = Buffer.from(memory.buffer, 0, length)
      const { bytesRead } = await file.read(bytes, 0, length, offset)
      return bytes.subarray(0, bytesRead)
    },
    close: () => file.close()
  }
}

async function openFirst(path: string, flags: readonly number[]): Promise<FileHandle | undefined> {
  for (const flag of flags) {
    try {
      return await open(path, flag)
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return undefined
      if (!isErrno(cause, 'EINVAL')) throw fault(cause, `cannot read ${path}`)
    }
  }
  return undefined
}
