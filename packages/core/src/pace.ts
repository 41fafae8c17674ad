/**
 * How long a repair, or a put, waits for one member before it asks another too: above the p95 of how long
 * blocks, or answers, take to come now, by the estimate that TCP sends again by (RFC 6298: mean and four
 * mean deviations). What is slow for all, as on a slow link, makes it patient; one that is slow among others
 * is soon passed by.
 */

export interface Pace {
  /** Smoothed time to the next block of a transfer, ms; undefined before the first. */
  meanMs: number | undefined
  devMs: number
}

export function createPace(): Pace {
  return { meanMs: undefined, devMs: 0 }
}

/** A block came, so long after the one before it in its transfer, or after it was asked for. */
export function paced(pace: Pace, tookMs: number): void {
  if (pace.meanMs === undefined) {
    pace.meanMs = tookMs
    pace.devMs = tookMs / 2
    return
  }
  pace.devMs += (Math.abs(tookMs - pace.meanMs) - pace.devMs) / 4
  pace.meanMs += (tookMs - pace.meanMs) / 8
}

/** Before anything came: so many times the least. A guess. */
const UNKNOWN_FACTOR = 3

/** What is waited for at most, with `leastMs` and `mostMs` as bounds. */
export function patienceMs({ meanMs, devMs }: Pace, leastMs: number, mostMs: number): number {
  if (meanMs === undefined) return Math.min(mostMs, UNKNOWN_FACTOR * leastMs)
  return Math.min(mostMs, Math.max(leastMs, meanMs + 4 * devMs))
}
