/**
 * The one writer: takes what callers submit, plans it against the index, writes it in groups, syncs, and
 * only then tells the index and the callers. While one sync runs the next group is written (pipelined
 * group commit), so concurrent callers share syncs. A failed sync is final: the store fences itself.
 */
import { type BlockKey, CairnError, sharedClaims, slotOf } from '@cairn/core'
import type { Catalog, CatalogBatch, CatalogState, SegmentRow } from './catalog.ts'
import { replicasOf } from './claims.ts'
import { fault, fullError } from './fault.ts'
import type { Files } from './files.ts'
import { ALIGN_BYTES, segmentPage } from './format.ts'
import { effectBytes, Group, payloadBytes } from './group.ts'
import { type Effect, effectOf, isUnverified, type Op, split, type Unverified } from './plan.ts'
import type { Position } from './record.ts'
import type { Room } from './room.ts'
import type { Row } from './row.ts'
import type { Changes } from './summary.ts'
import { misnamed, refuse } from './verify.ts'
import { count, type Totals, weigh } from './weigh.ts'

/** Written but not synced: beyond it the writer waits. Six groups; more bought nothing when measured. */
const UNSYNCED_BYTES_MAX = 16 * 1024 * 1024
/** Operations planned at once. */
const ROUND_OPS_MAX = 512
const ROUND_BYTES_MAX = 2.5 * 1024 * 1024
/** Calls that wait for the writer; beyond it a put is refused as BUSY. */
const QUEUE_MAX = 65_536
/** Between attempts to write the index again after its disk refused. */
const INDEX_RETRY_MS = 1000

export interface WriterContext {
  files: Files
  catalog: Catalog
  /** Of the store, 16 bytes. */
  nonce: Buffer
  /** As of what the index has taken in. */
  segments: Map<number, SegmentRow>
  totals: Totals
  room: Room
  changes: Changes
  /** Where the next group goes: the end of a segment that is not sealed. */
  position: Position
}

interface Job {
  ops: readonly Op[]
  urgent: boolean
  /** Afterwards the segment is full, however short. */
  seal: boolean
  resolve: () => void
  reject: (error: unknown) => void
  /** Groups written for it and not applied yet. */
  left: number
  /** All its effects are in groups. */
  planned: boolean
  retried: boolean
}

interface Written {
  number: number
  effects: readonly Effect[]
  jobs: ReadonlySet<Job>
  at: Position
  end: Position
}

export class Writer {
  readonly #context: WriterContext
  readonly #queue: Job[] = []
  /** Rows of groups that are written and not yet in the index. */
  readonly #overlay = new Map<BlockKey, { row: Row | undefined; number: number }>()
  readonly #written: Written[] = []
  #last: Written | undefined
  #group = new Group()
  #groupJobs = new Set<Job>()
  #groups = 0
  #position: Position
  /** As the index has it, or is about to. */
  #state: CatalogState
  #durable: number
  #running: Promise<void> | undefined
  #syncing: Promise<void> | undefined
  #applying: Promise<void> = Promise.resolve()
  #fence: CairnError | undefined
  /** The index can't be written for now. */
  #stuck: CairnError | undefined
  #closing = false
  /** The index lacks a batch, so nothing later may go in either. */
  #abandoned: CairnError | undefined
  /** Segments whose rows go into the next batch whatever it touches. */
  #unsaved = new Set<number>()
  #syncIndex = false

  constructor(context: WriterContext) {
    this.#context = context
    this.#position = { ...context.position }
    this.#durable = context.position.offset
    const { nonce, position, totals } = context
    this.#state = { nonce: nonce.toString('hex'), applied: { ...position }, ...totals }
  }

  get fenced(): boolean {
    return this.#fence !== undefined
  }

  get stuck(): boolean {
    return this.#stuck !== undefined
  }

  /** The segment that is being written, never to be compacted. */
  get segment(): number {
    return this.#position.segment
  }

  /** Resolves when all of it is durable and in the index. Not urgent: refused when the store is full. */
  submit(ops: readonly Op[], urgent: boolean): Promise<void> {
    return this.#enqueue({ ops, urgent, seal: false })
  }

  /** Makes what follows go into a new segment, so that this one can be compacted. */
  seal(): Promise<void> {
    return this.#enqueue({ ops: [], urgent: true, seal: true })
  }

  #enqueue(job: Pick<Job, 'ops' | 'urgent' | 'seal'>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closing) throw new RangeError('the store is closed')
      if (this.#fence !== undefined) throw this.#fence
      if (this.#stuck !== undefined && !job.urgent) throw this.#stuck
      if (this.#queue.length >= QUEUE_MAX) {
        throw new CairnError('BUSY', `${QUEUE_MAX} calls wait for the disk`, { hint: 'Send fewer at once.' })
      }
      this.#queue.push({ ...job, resolve, reject, left: 0, planned: false, retried: false })
      this.#running ??= this.#run()
    })
  }

  /**
   * Changes the row of a segment, or drops it, in the index; synced when it resolves, and with it
   * everything that went into the index before.
   */
  async setSegment(segment: number, change: Partial<SegmentRow> | undefined): Promise<void> {
    const { segments, catalog } = this.#context
    const done = this.#applying.then(async () => {
      const row = segments.get(segment)
      if (row === undefined || this.#abandoned !== undefined) return
      if (change === undefined) segments.delete(segment)
      else Object.assign(row, change)
      await catalog.apply({ rows: [], segments: [[segment, change && row]], state: this.#state }, true)
    })
    this.#applying = done.catch(() => undefined) // the caller's to handle
    await done
  }

  async close(): Promise<void> {
    this.#closing = true
    await this.#running
    await this.#syncing
    await this.#applying
    if (this.#fence !== undefined || this.#abandoned !== undefined) return
    const { files, catalog, segments } = this.#context
    if (this.#durable < this.#position.offset) await files.sync(this.#position.segment)
    const state = { ...this.#state, applied: { ...this.#position } }
    await catalog.apply({ rows: [], segments, state }, true)
  }

  async #run(): Promise<void> {
    await undefined // calls of the same turn share the first round
    while (this.#queue.length > 0) {
      const round = this.#takeRound()
      try {
        await this.#runRound(round)
      } catch (cause) {
        await this.#roundFailed(round, fault(cause, 'cannot write'))
      }
    }
    this.#running = undefined
  }

  #takeRound(): Job[] {
    let ops = 0
    let bytes = 0
    let count = 0
    for (const job of this.#queue) {
      if (count > 0 && (ops >= ROUND_OPS_MAX || bytes >= ROUND_BYTES_MAX)) break
      count++
      ops += job.ops.length
      for (const op of job.ops) if ('bytes' in op) bytes += op.bytes?.length ?? 0
    }
    return this.#queue.splice(0, count)
  }

  async #runRound(round: readonly Job[]): Promise<void> {
    if (this.#fence !== undefined) throw this.#fence
    const { room } = this.#context
    if (round.some(({ urgent }) => !urgent)) await room.ballast(Date.now())
    const unverified = round.flatMap(({ ops }) => ops.filter(isUnverified))
    const [rows, wrong] = await Promise.all([this.#rowsOf(round), misnamed(unverified)])
    for (const job of round) await this.#plan(job, rows, wrong)
    await this.#flush()
  }

  /** The rows of all keys of a round, as they will be once everything written is applied. */
  async #rowsOf(round: readonly Job[]): Promise<Map<BlockKey, Row | undefined>> {
    const rows = new Map<BlockKey, Row | undefined>()
    const unknown = new Set<BlockKey>()
    for (const { ops } of round) {
      for (const { key } of ops) {
        const written = this.#overlay.get(key)
        if (written === undefined) unknown.add(key)
        else rows.set(key, written.row)
      }
    }
    const keys = [...unknown]
    const found = await this.#context.catalog.rows(keys)
    keys.forEach((key, i) => {
      rows.set(key, found[i])
    })
    return rows
  }

  async #plan(job: Job, rows: Map<BlockKey, Row | undefined>, wrong: ReadonlySet<Unverified>): Promise<void> {
    const planned = new Map<BlockKey, Row | undefined>()
    const effects: Effect[] = []
    let bytes = 0
    try {
      for (const op of job.ops) {
        if (isUnverified(op) && wrong.has(op)) refuse(op.key, op.bytes)
        const row = planned.has(op.key) ? planned.get(op.key) : rows.get(op.key)
        const effect = effectOf(op, row)
        if (effect === undefined) continue
        effects.push(...split(effect))
        planned.set(op.key, effect.after)
        bytes += effectBytes(effect)
      }
      // A group's record and padding, and a new segment's page. An index row takes less than its record.
      const need = effects.length === 0 ? 0 : 2 * bytes - payloadBytes(effects) + 4 * ALIGN_BYTES
      if (need > 0 && !this.#context.room.admits(need, job.urgent)) {
        throw fullError(this.#context.room.capacity)
      }
    } catch (cause) {
      job.reject(cause)
      return
    }
    if (job.seal) {
      await this.#flush()
      if (this.#position.offset > ALIGN_BYTES) await this.#roll()
    }
    for (const [key, row] of planned) rows.set(key, row)
    for (const effect of effects) {
      if (!this.#group.fits(effect)) await this.#flush()
      this.#group.add(effect)
      this.#join(job, this.#groupJobs)
    }
    job.planned = true
    if (effects.length === 0) this.#joinLast(job)
  }

  #join(job: Job, jobs: Set<Job>): void {
    if (jobs.has(job)) return
    jobs.add(job)
    job.left++
  }

  /** A call that changes nothing may rest on what is not durable yet: it waits for that. */
  #joinLast(job: Job): void {
    const failed = this.#fence ?? this.#abandoned
    if (failed !== undefined)
      job.reject(failed) // those of the last group were told already
    else if (this.#group.effects.length > 0) this.#join(job, this.#groupJobs)
    else if (this.#last !== undefined) this.#join(job, this.#last.jobs as Set<Job>)
    else job.resolve()
  }

  async #flush(): Promise<void> {
    if (this.#group.effects.length === 0) return
    const [group, jobs] = [this.#group, this.#groupJobs]
    const { files, room, nonce } = this.#context
    const { offset } = this.#position
    if (offset > ALIGN_BYTES && offset + group.bytes > room.segmentBytesMax) await this.#roll()
    while (this.#syncing !== undefined && this.#unsyncedBytes() > UNSYNCED_BYTES_MAX) await this.#syncing
    if (this.#fence !== undefined) throw this.#fence
    const at = { ...this.#position }
    const { buffers, length } = group.lay(at, { nonce, durable: this.#durable })
    try {
      await files.append(at.segment, at.offset, buffers)
    } catch (cause) {
      // What got written would only mislead a reader of the file; the next group goes over it.
      await files.truncate(at.segment, at.offset).catch(() => undefined)
      throw cause
    }
    // A sync that failed meanwhile may have dropped these bytes, too: the next would not tell.
    if (this.#fence !== undefined) throw this.#fence
    this.#group = new Group()
    this.#groupJobs = new Set()
    this.#position.offset += length
    room.segments += length
    const number = ++this.#groups
    const written = { number, effects: group.effects, jobs, at, end: { ...this.#position } }
    for (const { key, after } of group.effects) this.#overlay.set(key, { row: after, number })
    this.#written.push(written)
    this.#last = written
    this.#syncing ??= this.#sync()
  }

  #unsyncedBytes(): number {
    return this.#position.offset - this.#durable
  }

  /** A round that failed halfway: what is in no group yet fails; what makes room gets a second try. */
  async #roundFailed(round: readonly Job[], error: CairnError): Promise<void> {
    const { room, files } = this.#context
    const failed = round.filter((job) => !job.planned || this.#groupJobs.has(job))
    this.#group = new Group()
    this.#groupJobs = new Set()
    if (error.code === 'DISK_FAILED') this.#fenceOff(error)
    const again = error.code === 'FULL' && (await room.release(files.directory).catch(() => false))
    for (const job of failed.reverse()) {
      if (again && job.urgent && !job.retried)
        this.#queue.unshift({ ...job, left: 0, planned: false, retried: true })
      else job.reject(error)
    }
  }

  async #sync(): Promise<void> {
    while (this.#written.length > 0) {
      const batch = this.#written.splice(0)
      const end = batch.at(-1)?.end as Position
      try {
        await this.#context.files.sync(end.segment)
      } catch (cause) {
        this.#fenceOff(fault(cause, 'cannot sync'))
        for (const { jobs } of [...batch, ...this.#written.splice(0)]) this.#reject(jobs, this.#fence)
        break
      }
      this.#durable = end.offset
      this.#applying = this.#applying.then(() => this.#apply(batch))
    }
    this.#syncing = undefined
  }

  #reject(jobs: Iterable<Job>, error: unknown): void {
    for (const job of jobs) job.reject(error)
  }

  /** No write after this: pages that a failed sync dropped would count as written at the next one. */
  #fenceOff(cause: CairnError): void {
    this.#fence ??= new CairnError(
      'READ_ONLY',
      `the disk failed, so nothing more is written: ${cause.message}`,
      {
        cause,
        hint: 'Replace the disk. The other members hold what this one held, and repair without a command.'
      }
    )
  }

  async #apply(batch: readonly Written[]): Promise<void> {
    if (this.#abandoned !== undefined) {
      for (const { jobs } of batch) this.#reject(jobs, this.#abandoned)
      return
    }
    const { segments, totals, changes } = this.#context
    const rows = new Map<BlockKey, Row | undefined>()
    const touched = this.#unsaved
    this.#unsaved = new Set()
    for (const { effects, at, end } of batch) {
      for (const effect of effects) {
        rows.set(effect.key, effect.after)
        weigh(effect, at, (segment, weight) => {
          touched.add(segment)
          const row = segments.get(segment)
          if (row !== undefined) row.live += weight
        })
        count(effect, totals)
      }
      touched.add(at.segment)
      ;(segments.get(at.segment) as SegmentRow).size = end.offset
    }
    const last = batch.at(-1) as Written
    const applied = [...touched].map((segment) => [segment, segments.get(segment)] as const)
    const state = { ...this.#state, applied: last.end, ...totals }
    this.#state = state
    if (!(await this.#persist({ rows, segments: applied, state }, batch))) return
    for (const key of rows.keys()) {
      if ((this.#overlay.get(key)?.number ?? Number.POSITIVE_INFINITY) <= last.number)
        this.#overlay.delete(key)
    }
    for (const { effects } of batch) for (const effect of effects) mark(effect, changes)
    if (this.#last === last) this.#last = undefined
    for (const { jobs } of batch) {
      for (const job of jobs) if (--job.left === 0 && job.planned) job.resolve()
    }
  }

  /** Writes to the index until it succeeds; what waits is told as soon as the disk refused twice. */
  async #persist(update: CatalogBatch, batch: readonly Written[]): Promise<boolean> {
    const { catalog, room, files } = this.#context
    for (let attempt = 0; ; attempt++) {
      try {
        if (attempt > 0) {
          await files.rest() // the index takes as many descriptors again to be opened
          await catalog.reopen()
        }
        const grew = room.indexGrew(await catalog.apply(update, this.#syncIndex))
        if (grew || this.#syncIndex) room.indexMeasured(await catalog.diskBytes())
        this.#syncIndex = false
        this.#stuck = undefined
        return true
      } catch (cause) {
        const error = fault(cause, 'cannot write the index')
        if (error.code === 'DISK_FAILED' || error.code === 'STORE_DAMAGED') this.#fenceOff(error)
        const giveUp = this.#closing || this.#fence !== undefined // the next open takes the groups in again
        if (attempt > 0 || giveUp) for (const { jobs } of batch) this.#reject(jobs, error)
        if (giveUp) {
          this.#abandoned = error
          return false
        }
        this.#stuck = error
        if (await room.release(files.directory).catch(() => false)) continue
        await new Promise((resolve) => setTimeout(resolve, INDEX_RETRY_MS))
      }
    }
  }

  /** Seals the segment and begins the next; the index is synced with the first group there. */
  async #roll(): Promise<void> {
    const { files, segments, room, nonce } = this.#context
    await this.#syncing
    await this.#applying
    if (this.#fence !== undefined) throw this.#fence
    const segment = this.#position.segment + 1
    await files.create(segment, segmentPage(nonce, segment))
    room.segments += ALIGN_BYTES
    ;(segments.get(this.#position.segment) as SegmentRow).sealed = true
    segments.set(segment, { size: ALIGN_BYTES, live: 0, sealed: false, scrubbedAtMs: 0 })
    this.#unsaved.add(this.#position.segment).add(segment)
    this.#syncIndex = true
    this.#position = { segment, offset: ALIGN_BYTES }
    this.#durable = 0 // the page is not synced on its own
  }
}

function mark({ key, before, after, quiet }: Effect, changes: Changes): void {
  if (quiet) return
  for (const row of [before, after]) {
    if (row?.block) changes.mark(slotOf(key), replicasOf(sharedClaims(row.claims)))
  }
}
