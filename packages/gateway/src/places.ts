/**
 * Who may transfer now: so many at once. The others are told BUSY, with a time after which to ask again, and
 * keep their place in line while they come back in time: the first told is the first let in, so that nobody
 * is overtaken for ever by luckier ones.
 */
import { CairnError } from '@cairn/core'

/** Those in line whose place is kept; more are told to come back and get none. */
export const LINE_MAX = 4_096
/** The least and the most that one is told to wait, ms: a Retry-After is in seconds. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 10_000
/** Who comes back so much later than told has lost its place. A guess: a round trip and a busy machine. */
const LATE_MS = 3_000
/** Of a transfer's time, before one has ended: a batch of 6 MiB at 20 MB/s. */
const TOOK_MS = 300

export interface Places {
  /**
   * Gives what ends the transfer. `who` is the same for all transfers of one upload, or of one reader.
   * @throws CairnError BUSY; `retryAfterMs` tells when to come back
   */
  enter(who: string): () => void
}

const waits = new WeakMap<CairnError, number>()

/** After how long who was given this BUSY is to ask again, ms. */
export function retryAfterMs(error: CairnError): number {
  return waits.get(error) ?? RETRY_MS_MIN
}

export function createPlaces(total: number, nowMs: () => number): Places {
  /** Until when each one's place is kept; the first told is the first. */
  const line = new Map<string, number>()
  let running = 0
  let tookMs = TOOK_MS

  /** How many of the line are before it. */
  const ahead = (who: string, now: number): number => {
    let before = 0
    for (const [each, untilMs] of line) {
      if (untilMs < now) line.delete(each)
      else if (each === who) return before
      else before++
    }
    return before
  }
  return {
    enter(who) {
      const now = nowMs()
      const before = ahead(who, now)
      if (running + before < total) {
        line.delete(who)
        running++
        return once(() => {
          running--
          tookMs += (nowMs() - now - tookMs) / 8
        })
      }
      const turns = (running + before + 1 - total) / total
      const waitMs = Math.min(Math.max(RETRY_MS_MIN, turns * tookMs), RETRY_MS_MAX)
      if (line.has(who) || line.size < LINE_MAX) line.set(who, now + waitMs + LATE_MS)
      const error = new CairnError('BUSY', `${total} transfers are under way`, {
        hint: `ask again in ${Math.ceil(waitMs / 1_000)} s`
      })
      waits.set(error, waitMs)
      throw error
    }
  }
}

function once(act: () => void): () => void {
  let done = false
  return () => {
    if (!done) act()
    done = true
  }
}
