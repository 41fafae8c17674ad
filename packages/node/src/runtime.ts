/**
 * The loop that joins core and world: events in, one at a time, actions performed in the order in which
 * they came out, one timer for the next deadline. Nothing is decided here.
 */
import { type Core, type CoreAction, type CoreEvent, coreDeadline, coreStep } from '@cairn/core'

/** Longer waits are cut into these: setTimeout takes 31 bits of milliseconds. */
const TIMER_MS_MAX = 60_000

export interface Loop {
  dispatch(event: CoreEvent): void
  stop(): void
}

/** Monotonic milliseconds: what the core is told of time. Not of any day. */
export function monotonicMs(): number {
  return performance.now()
}

/**
 * @param perform does one action; it may dispatch again, which waits its turn.
 * @param failed  an exception out of core or `perform`: a bug, after which the node must not go on.
 */
export function startLoop(
  core: Core,
  perform: (action: CoreAction) => void,
  failed: (error: unknown) => void
): Loop {
  const waiting: CoreEvent[] = []
  let running = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  const run = (): void => {
    running = true
    try {
      for (let event = waiting.shift(); event !== undefined && !stopped; event = waiting.shift()) {
        for (const action of coreStep(core, event, monotonicMs())) perform(action)
      }
    } catch (error) {
      stopped = true
      failed(error)
    } finally {
      running = false
    }
    arm()
  }
  const arm = (): void => {
    clearTimeout(timer)
    if (stopped) return
    const inMs = Math.max(1, Math.min(coreDeadline(core) - monotonicMs(), TIMER_MS_MAX))
    timer = setTimeout(() => dispatch({ type: 'tick' }), Math.ceil(inMs))
  }
  const dispatch = (event: CoreEvent): void => {
    if (stopped) return
    waiting.push(event)
    if (!running) run()
  }
  arm()
  return {
    dispatch,
    stop() {
      stopped = true
      clearTimeout(timer)
    }
  }
}
