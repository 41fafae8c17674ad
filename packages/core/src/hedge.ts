/**
 * When a read is asked of a second member as well, before the first can be called silent: after the p95 of
 * what first answers lately took (Dean and Barroso, "The Tail at Scale", 2013), and of one block in twenty at
 * most, so that members that are all slow are not asked for twice as much.
 */

export interface Hedge {
  /** What 19 of 20 first answers come within, ms, as far as was seen; undefined before the first. */
  p95Ms: number | undefined
  /** Blocks that may be asked of one more, in twentieths. */
  allowance: number
}

/** One more for so many: 5 %. */
const ONE_IN = 20
/** At once, after a time in which all answered. A guess. */
const ALLOWANCE_MAX = 16 * ONE_IN
/** A first guess at the p95 from one answer; and how far each answer moves it. Guesses. */
const FIRST_FACTOR = 3
const STEP = 0.05
/** Less is the machine's own turn-taking. */
const LEAST_MS = 10

export function createHedge(): Hedge {
  return { p95Ms: undefined, allowance: ONE_IN }
}

/** So many blocks were asked of a first member. */
export function askedOnce(hedge: Hedge, blocks: number): void {
  hedge.allowance = Math.min(ALLOWANCE_MAX, hedge.allowance + blocks)
}

/** A first answer came after so long. The estimate rises by 19 where it falls by 1. */
export function answeredAfter(hedge: Hedge, tookMs: number): void {
  if (hedge.p95Ms === undefined) hedge.p95Ms = FIRST_FACTOR * tookMs
  else if (tookMs > hedge.p95Ms) hedge.p95Ms += STEP * (1 - 1 / ONE_IN) * tookMs
  else hedge.p95Ms -= (STEP / ONE_IN) * hedge.p95Ms
}

/** After how long without an answer so many blocks may be asked of one more; undefined: they may not. */
export function hedgeAfter(hedge: Hedge, blocks: number): number | undefined {
  if (hedge.p95Ms === undefined || hedge.allowance < blocks * ONE_IN) return undefined
  return Math.max(LEAST_MS, hedge.p95Ms)
}

/** They were. */
export function askedTwice(hedge: Hedge, blocks: number): void {
  hedge.allowance -= blocks * ONE_IN
}
