/**
 * What happens when a store is opened: the index is checked against the segments, groups that it lacks
 * are taken in, and the end of the last segment, which no sync may have reached, is verified. What is
 * whole there is written again rather than trusted: after a failed sync the page cache may show bytes
 * that the disk never got (fsyncgate). Nothing else is ever cut.
 */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, CairnError, type HeldClaim } from '@cairn/core'
import { Catalog, type CatalogState, type SegmentRow } from './catalog.ts'
import type { Files } from './files.ts'
import { ALIGN_BYTES, isSegmentPage, nonceOfPage } from './format.ts'
import { Intake } from './intake.ts'
import type { Op } from './plan.ts'
import { isBefore, type Position } from './record.ts'
import { matches } from './verify.ts'
import { type WalkedGroup, walk } from './walk.ts'
import type { Totals } from './weigh.ts'

export interface Recovery {
  files: Files
  nonce: Buffer
  writeBufferBytes: number
  /** Make the index anew whatever it looks like. */
  rebuild: boolean
  onProgress?: ((progress: RecoveryProgress) => void) | undefined
}

/** While segments are taken in: bytes of them walked so far, of all there are to walk. */
export interface RecoveryProgress {
  bytes: number
  total: number
  blocks: number
}

export interface Recovered {
  catalog: Catalog
  segments: Map<number, SegmentRow>
  totals: Totals
  /** The end of what is known to be durable in the last segment; `undefined` when there is no segment. */
  end: Position | undefined
  /** Operations found whole after that end, in order: to be written again before it is cut there. */
  tail: Op[]
  /** Rows may be left that have claims and, unless the tail brings it, no block. */
  orphans: boolean
}

const INDEX_NAME = 'index'
const REBUILD_NAME = 'rebuild'

/** The nonce that the first readable segment page carries. */
export async function segmentNonce(
  files: Files,
  sizes: ReadonlyMap<number, number>
): Promise<Buffer | undefined> {
  for (const segment of sizes.keys()) {
    const nonce = nonceOfPage(await files.read(segment, 0, ALIGN_BYTES), segment)
    if (nonce !== undefined) return nonce
  }
  return undefined
}

export function indexDirectory(directory: string): string {
  return join(directory, INDEX_NAME)
}

/** Its presence makes the next opening rebuild the index. */
export function rebuildMark(directory: string): string {
  return join(directory, REBUILD_NAME)
}

export async function recover(recovery: Recovery): Promise<Recovered> {
  const { files, nonce, writeBufferBytes } = recovery
  const mark = rebuildMark(files.directory)
  const marked = await stat(mark).then(
    () => true,
    () => false
  )
  const directory = indexDirectory(files.directory)
  const { catalog, fresh } = await openCatalog(directory, writeBufferBytes)
  const sizes = await usableSegments(recovery)
  try {
    const [state, segments] = [await catalog.state(), await catalog.segments()]
    await finishRemovals(files, sizes, segments)
    if (!recovery.rebuild && !marked && !fresh && agrees(state, segments, sizes, nonce)) {
      return await takeIn(recovery, catalog, sizes, { state: state as CatalogState, segments })
    }
  } catch (cause) {
    if (!CairnError.is(cause, 'STORE_DAMAGED')) {
      await catalog.close()
      throw cause
    }
  }
  await catalog.close()
  await Catalog.destroy(directory)
  const recovered = await takeInAll(recovery, await Catalog.open(directory, writeBufferBytes), sizes)
  if (marked) await rm(mark)
  return recovered
}

async function openCatalog(
  directory: string,
  writeBufferBytes: number
): Promise<{ catalog: Catalog; fresh: boolean }> {
  try {
    return { catalog: await Catalog.open(directory, writeBufferBytes), fresh: false }
  } catch (cause) {
    if (!CairnError.is(cause, 'STORE_DAMAGED')) throw cause
    await Catalog.destroy(directory)
    return { catalog: await Catalog.open(directory, writeBufferBytes), fresh: true }
  }
}

/** Segments by number with their sizes. A last one that never got to hold a group is removed. */
async function usableSegments({ files, nonce }: Recovery): Promise<Map<number, number>> {
  const sizes = await files.list()
  for (const segment of [...sizes.keys()].reverse()) {
    const size = sizes.get(segment) as number
    if (size > ALIGN_BYTES) break
    const page = await files.read(segment, 0, ALIGN_BYTES)
    if (isSegmentPage(page, nonce, segment)) break
    await files.remove(segment)
    sizes.delete(segment)
  }
  return sizes
}

/** Compaction was done with them when the process stopped. */
async function finishRemovals(
  files: Files,
  sizes: Map<number, number>,
  segments: Map<number, SegmentRow>
): Promise<void> {
  for (const [segment, { doomed }] of [...segments]) {
    if (!doomed) continue
    if (sizes.delete(segment)) await files.remove(segment)
    segments.delete(segment)
  }
}

/** Whether the index belongs to these segments: neither newer than they are nor blind to any of them. */
function agrees(
  state: CatalogState | undefined,
  segments: ReadonlyMap<number, SegmentRow>,
  sizes: ReadonlyMap<number, number>,
  nonce: Buffer
): boolean {
  if (state === undefined || state.nonce !== nonce.toString('hex')) return false
  const { applied } = state
  for (const [segment, { size }] of segments) if ((sizes.get(segment) ?? 0) < size) return false
  for (const segment of sizes.keys()) if (segment <= applied.segment && !segments.has(segment)) return false
  return (sizes.get(applied.segment) ?? (applied.segment === 0 ? 0 : -1)) >= applied.offset
}

async function takeInAll(
  recovery: Recovery,
  catalog: Catalog,
  sizes: Map<number, number>
): Promise<Recovered> {
  const nonce = recovery.nonce.toString('hex')
  const state = { nonce, applied: { segment: 0, offset: 0 }, blocks: 0, bytes: 0 }
  return takeIn(recovery, catalog, sizes, { state, segments: new Map() })
}

async function takeIn(
  recovery: Recovery,
  catalog: Catalog,
  sizes: ReadonlyMap<number, number>,
  { state, segments }: { state: CatalogState; segments: Map<number, SegmentRow> }
): Promise<Recovered> {
  const totals = { blocks: state.blocks, bytes: state.bytes }
  const { applied } = state
  const intake = new Intake({ catalog, nonce: state.nonce, segments, totals, applied })
  const todo = [...sizes].filter(([segment]) => segment >= applied.segment)
  const last = todo.at(-1)?.[0]
  const progress = { bytes: 0, total: todo.reduce((sum, [, size]) => sum + size, 0), blocks: 0 }
  let end: Position | undefined
  let tail: Op[] = []
  for (const [segment, size] of todo) {
    const known = segments.get(segment) ?? { size, live: 0, sealed: true, scrubbedAtMs: 0 }
    segments.set(segment, known)
    const from = segment === applied.segment ? Math.max(applied.offset, ALIGN_BYTES) : ALIGN_BYTES
    const durable = await durableEnd(recovery, { segment, size, from })
    for await (const group of walk({ ...recovery, segment, from, size })) {
      progress.blocks += group.record.blocks.length
      recovery.onProgress?.({ ...progress, bytes: progress.bytes + group.record.offset })
      const synced = group.record.offset + group.record.length <= durable
      if (segment === last && !synced) continue
      const good = synced ? () => true : await goodBlocks(recovery.files, group)
      await intake.take(group, good)
    }
    progress.bytes += size
    known.size = segment === last ? durable : size
    known.sealed = segment !== last
    intake.reached({ segment, offset: known.size })
    if (segment !== last) continue
    end = { segment, offset: durable }
    tail = await readTail(recovery, { segment, from: durable, size })
  }
  await intake.flush(true)
  const orphans = intake.orphans || tail.some((op) => op.type === 'put' && op.early)
  return { catalog, segments, totals, end, tail, orphans }
}

interface Span {
  segment: number
  from: number
  size: number
}

/** Up to where the segment was synced for certain: by its records, or by the index, which follows syncs. */
async function durableEnd(recovery: Recovery, span: Span): Promise<number> {
  let durable = span.from
  for await (const { record } of walk({ ...recovery, ...span })) durable = Math.max(durable, record.durable)
  return Math.min(durable, span.size)
}

/** Which blocks of a group are what their keys say. */
async function goodBlocks(files: Files, { record }: WalkedGroup): Promise<(block: number) => boolean> {
  const good = new Set<number>()
  for (const [i, { key, size, offset }] of record.blocks.entries()) {
    const bytes = await files.read(record.segment, record.offset + offset, size)
    if (bytes.length === size && matches(record.keys[key] as BlockKey, bytes)) good.add(i)
  }
  return (block) => good.has(block)
}

/** The operations of all groups from `from` on, up to the first that is not whole. */
async function readTail(recovery: Recovery, span: Span): Promise<Op[]> {
  const ops: Op[] = []
  let expected = span.from
  for await (const group of walk({ ...recovery, ...span })) {
    if (group.record.offset !== expected) break
    expected += group.record.length
    const groupOps = await opsOf(recovery.files, group)
    if (groupOps === undefined) break
    ops.push(...groupOps)
  }
  return ops
}

async function opsOf(files: Files, { record, section }: WalkedGroup): Promise<Op[] | undefined> {
  const at = { segment: record.segment, offset: record.offset }
  const ops: Op[] = record.deletions.map(({ key: index, before }) => {
    const key = record.keys[index] as BlockKey
    return isBefore(before, at) ? { type: 'bury', key, before } : { type: 'delete', key }
  })
  const claims = new Map<number, HeldClaim[]>()
  for (const { key, proof, ...claim } of record.claims) {
    const { offset, length } = record.proofs[proof] as { offset: number; length: number }
    const held = claims.get(key) ?? []
    claims.set(key, held)
    held.push({ ...claim, proof: Uint8Array.from(section.subarray(offset, offset + length)) })
  }
  for (const { key: index, size, offset } of record.blocks) {
    const key = record.keys[index] as BlockKey
    const bytes = await files.read(record.segment, record.offset + offset, size)
    if (bytes.length !== size || !matches(key, bytes)) return undefined
    ops.push({ type: 'put', key, bytes, claims: claims.get(index) ?? [] })
    claims.delete(index)
  }
  for (const [index, held] of claims)
    ops.push({ type: 'put', key: record.keys[index] as BlockKey, claims: held, early: true })
  return ops
}
