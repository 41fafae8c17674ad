/**
 * The two that work while nobody waits: the compactor, woken when something was deleted or refused, and
 * the scrubber, which goes round everything once in six days (seven are promised). Both on a budget of
 * bytes a second, and both go on where they were after a restart.
 */
import { CairnError } from '@cairn/core'
import { type CompactContext, compactOne } from './compact.ts'
import { ALIGN_BYTES } from './format.ts'
import { Pace } from './pace.ts'
import { type ScrubContext, type ScrubReport, scrubOrder, scrubSegment } from './scrub.ts'

/** One round of the scrub. A day less than promised, for the time that a node is off. */
const SCRUB_ROUND_S = 6 * 24 * 60 * 60
/** However little there is: a round of 1 GiB then takes an hour, and a small store is soon done. */
const SCRUB_BYTES_PER_SECOND_MIN = 256 * 1024
/** A segment verified less than this ago is not due. */
const SCRUB_EVERY_MS = SCRUB_ROUND_S * 1000
const SCRUB_IDLE_MS = 60_000
/** Within which everything is read again: the promise, a day more than a round takes. */
const SCRUB_PROMISED_MS = SCRUB_EVERY_MS + 24 * 60 * 60 * 1000
/** Between compactions that found nothing to do, if nothing wakes it. */
const COMPACT_IDLE_MS = 10_000
/** A quarter of what an old disk writes. */
export const COMPACT_BYTES_PER_SECOND = 32 * 1024 * 1024

export interface BackgroundContext extends Omit<CompactContext, 'pace'>, Omit<ScrubContext, 'segments'> {
  segments: ScrubContext['segments']
  compactBytesPerSecond: number
  /** Milliseconds since 1970, for when a segment was last verified. */
  nowMs: () => number
  onError: (error: CairnError) => void
}

export interface ScrubStatus {
  /** Bytes a second that the round in the background may read. */
  bytesPerSecond: number
  /** When the part of the store that waits longest was last verified; 0 if never. */
  oldestMs: number
  /** Bytes of segments that were verified within the last seven days, of how many in all. */
  verified: number
  total: number
  /** Damaged copies found since open. */
  lost: number
}

export interface ScrubOptions {
  /** Called after every group, with the report as it is so far. */
  onProgress?: ((report: ScrubReport) => void) | undefined
  signal?: AbortSignal | undefined
}

export class Background {
  readonly #context: BackgroundContext
  readonly #compactPace: Pace
  readonly #scrubPace: Pace
  readonly #loops: Promise<void>[] = []
  readonly #now = new Set<Pace>()
  readonly #report: ScrubReport = { blocks: 0, bytes: 0, lost: [], records: 0 }
  #lost = 0
  /** Callers of `compactNow` that wait: the budget is suspended. */
  #hurried = 0

  constructor(context: BackgroundContext) {
    this.#context = context
    this.#compactPace = new Pace(() =>
      this.#hurried > 0 ? Number.POSITIVE_INFINITY : context.compactBytesPerSecond
    )
    this.#scrubPace = new Pace(() => this.#scrubBytesPerSecond())
  }

  start(): void {
    this.#loops.push(
      this.#loop(this.#compactPace, () => this.#compact()),
      this.#loop(this.#scrubPace, () => this.#scrub())
    )
  }

  /** Something was deleted, or there was no room: look at once. */
  wake(): void {
    this.#compactPace.wake()
  }

  async stop(): Promise<void> {
    this.#compactPace.stop()
    this.#scrubPace.stop()
    for (const pace of this.#now) pace.stop()
    await Promise.all(this.#loops)
  }

  scrubStatus(): ScrubStatus {
    const { segments, nowMs } = this.#context
    const sinceMs = nowMs() - SCRUB_PROMISED_MS
    const status = { bytesPerSecond: this.#scrubBytesPerSecond(), oldestMs: 0, verified: 0, total: 0 }
    let oldestMs = Number.POSITIVE_INFINITY
    for (const { size, scrubbedAtMs } of segments.values()) {
      if (size <= ALIGN_BYTES) continue
      status.total += size
      if (scrubbedAtMs > sinceMs) status.verified += size
      oldestMs = Math.min(oldestMs, scrubbedAtMs)
    }
    return { ...status, oldestMs: Number.isFinite(oldestMs) ? oldestMs : 0, lost: this.#lost }
  }

  /** Whether a full segment was verified within the period; what came after it was, as it was written. */
  isScrubbed(segment: number): boolean {
    const { segments, nowMs } = this.#context
    const row = segments.get(segment)
    return row?.sealed === true && nowMs() - row.scrubbedAtMs < SCRUB_PROMISED_MS
  }

  /** Everything, as fast as it goes. @throws CairnError UNREACHABLE when the store closes meanwhile */
  async scrubNow({ onProgress, signal }: ScrubOptions): Promise<ScrubReport> {
    const report: ScrubReport = { blocks: 0, bytes: 0, lost: [], records: 0 }
    const pace = new Pace(() => Number.POSITIVE_INFINITY)
    const stop = (): void => pace.stop()
    const aim = { report, pace, nowMs: this.#context.nowMs, onGroup: () => onProgress?.(report) }
    signal?.throwIfAborted()
    signal?.addEventListener('abort', stop)
    this.#now.add(pace)
    try {
      for (const segment of scrubOrder(this.#context.segments)) {
        if (pace.stopped) break
        await scrubSegment(this.#context, { segment, offset: ALIGN_BYTES }, aim)
      }
    } finally {
      this.#now.delete(pace)
      signal?.removeEventListener('abort', stop)
      this.#lost += report.lost.length
    }
    signal?.throwIfAborted()
    if (!pace.stopped) return report
    throw new CairnError('UNREACHABLE', 'the store was closed before all was read', {
      hint: 'start the node again, and the scrub'
    })
  }

  /** Compacts as long as it is worth it. */
  async compactNow(): Promise<void> {
    this.#hurried++
    this.#compactPace.wake()
    try {
      await this.#exclusive(async () => {
        while (await compactOne({ ...this.#context, pace: this.#compactPace }));
      })
    } finally {
      this.#hurried--
    }
  }

  async #loop(pace: Pace, work: () => Promise<number>): Promise<void> {
    while (!pace.stopped) {
      let idleMs = COMPACT_IDLE_MS
      try {
        idleMs = await work()
      } catch (cause) {
        if (pace.stopped) return
        this.#context.onError(
          CairnError.is(cause) ? cause : new CairnError('INTERNAL', String(cause), { cause })
        )
      }
      if (idleMs > 0) await pace.wait(idleMs)
    }
  }

  #compacting: Promise<unknown> = Promise.resolve()

  /** One compaction at a time: a segment must not be emptied twice at once. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#compacting.then(work)
    this.#compacting = done.catch(() => undefined) // the caller's to handle
    return done
  }

  async #compact(): Promise<number> {
    const { writer } = this.#context
    if (writer.fenced || writer.stuck) return COMPACT_IDLE_MS
    const did = await this.#exclusive(() => compactOne({ ...this.#context, pace: this.#compactPace }))
    return did ? 0 : COMPACT_IDLE_MS
  }

  async #scrub(): Promise<number> {
    const { segments, catalog, nowMs, writer } = this.#context
    const [segment] = scrubOrder(segments)
    const row = segment === undefined ? undefined : segments.get(segment)
    if (segment === undefined || row === undefined || writer.fenced) return SCRUB_IDLE_MS
    if (row.size <= ALIGN_BYTES || nowMs() - row.scrubbedAtMs < SCRUB_EVERY_MS) return SCRUB_IDLE_MS
    const kept = await catalog.scrubbed()
    const from = kept?.segment === segment ? kept.offset : ALIGN_BYTES
    const aim = { report: this.#report, pace: this.#scrubPace, nowMs }
    await scrubSegment(this.#context, { segment, offset: from }, aim)
    this.#lost += this.#report.lost.splice(0).length
    await catalog.setScrubbed({ segment: 0, offset: 0 })
    return 1
  }

  #scrubBytesPerSecond(): number {
    return scrubBytesPerSecond(this.#context.room.segments)
  }
}

/** What the round in the background may read, with so much on disk. */
export function scrubBytesPerSecond(bytes: number): number {
  return Math.max(SCRUB_BYTES_PER_SECOND_MIN, bytes / SCRUB_ROUND_S)
}
