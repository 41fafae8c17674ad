/**
 * What was said of when all will be safe again, and what became of it. A forecast is made when somebody asks
 * while blocks are short; from then on this node looks until none is, and tells both durations.
 */
import type { Forecast } from './api.ts'
import type { Shell } from './shell.ts'

/** Between looks: each asks all members. The resolution of what is told. */
const LOOK_MS = 1_000
/** A forecast that has not come true by then is given up, and one that comes later says so by itself. */
const LIMIT_MS = 24 * 3_600_000

export interface Forecasts {
  /** Blocks are short, and this is when none will be. Only the first until then counts. */
  made(etaMs: number, left: { blocks: number; bytes: number }): void
  /** The last that ended. */
  last(): Forecast | undefined
}

/** @param isSafe asks the members whether nothing is short any more; rejects once the node has stopped */
export function forecastsOf(shell: Pick<Shell, 'events'>, isSafe: () => Promise<boolean>): Forecasts {
  let watched = false
  let last: Forecast | undefined

  const watch = async (etaMs: number, left: { blocks: number; bytes: number }): Promise<void> => {
    const sinceMs = performance.now()
    while (performance.now() - sinceMs < LIMIT_MS) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref())
      if (!(await isSafe())) continue
      const tookSeconds = (performance.now() - sinceMs) / 1_000
      last = { saidSeconds: etaMs / 1_000, tookSeconds, ...left, atMs: Date.now() }
      shell.events.emit({ type: 'safe', ...last })
      return
    }
  }
  return {
    made(etaMs, left) {
      if (watched) return
      watched = true
      const over = (): void => {
        watched = false
      }
      watch(etaMs, left).then(over, over) // it rejects only when the node has stopped
    },
    last: () => last
  }
}
