/**
 * The loop that joins core and world: events in, one at a time, actions performed in the order in which
 * they came out, one timer for the next deadline. Nothing is decided here.
 */
import { type Core, type CoreAction, type CoreEvent, coreDeadline, coreStep } from '@cairn/core'

/** Longer waits are cut into these: setTimeout takes 31 bits of milliseconds. */
const TIMER_MS_MAX = 60_000
/** The loop keeps the thread for so long, then sockets and disk have their turn. A guess. */
const SLICE_MS = 8

export interface Loop {
  dispatch(event: CoreEvent): void
  /** Events that wait for their turn. */
  waiting(): number
  stop(): void
}

/** Where the loop's time comes from: the machine, or a test. */
export interface Timing {
  nowMs(): number
  /** Runs once, after so long; the returned function forgets it. */
  after(ms: number, run: () => void): () => void
  /** Runs once what else is waiting for the thread had its turn. */
  soon(run: () => void): void
}

export const machineTiming: Timing = {
  nowMs: monotonicMs,
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
  soon: (run) => void setImmediate(run)
}

/** Monotonic milliseconds: what the core is told of time. Not of any day. */
export function monotonicMs(): number {
  return performance.now()
}

export interface LoopOptions {
  /** Does one action; it may dispatch again, which waits its turn. */
  perform(action: CoreAction): void
  /** An exception out of core or `perform`: a bug, after which the node must not go on. */
  failed(error: unknown): void
  timing?: Timing
}

export function startLoop(core: Core, { perform, failed, timing = machineTiming }: LoopOptions): Loop {
  let waiting: CoreEvent[] = []
  let next = 0
  let busy = false
  let stopped = false
  let disarm = (): void => undefined

  const step = (event: CoreEvent): void => {
    for (const action of coreStep(core, event, timing.nowMs())) perform(action)
  }
  const slice = (): void => {
    const startMs = timing.nowMs()
    // Behind a long queue the tick would come late, and the core would take that for a stall of its own.
    if (next < waiting.length && coreDeadline(core) + SLICE_MS < startMs) step({ type: 'tick' })
    while (next < waiting.length && !stopped && timing.nowMs() - startMs < SLICE_MS) {
      step(waiting[next++] as CoreEvent)
    }
  }
  const run = (): void => {
    if (stopped) return
    busy = true
    try {
      slice()
    } catch (error) {
      stopped = true
      disarm()
      failed(error)
    }
    waiting = stopped ? [] : waiting.slice(next)
    next = 0
    if (waiting.length > 0) timing.soon(run)
    else {
      busy = false
      arm()
    }
  }
  const arm = (): void => {
    disarm()
    if (stopped) return
    const inMs = Math.max(1, Math.min(coreDeadline(core) - timing.nowMs(), TIMER_MS_MAX))
    disarm = timing.after(Math.ceil(inMs), () => dispatch({ type: 'tick' }))
  }
  const dispatch = (event: CoreEvent): void => {
    if (stopped) return
    waiting.push(event)
    if (!busy) run()
  }
  arm()
  return {
    dispatch,
    waiting: () => waiting.length - next,
    stop() {
      stopped = true
      disarm()
    }
  }
}
