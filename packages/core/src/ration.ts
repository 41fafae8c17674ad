/**
 * How much of its time and of its window repair takes while this node serves people: a share of what it can
 * do, which rises with urgency. With one copy left, or with nobody to disturb, it takes everything. Else it
 * fetches in small pieces and rests after each in proportion to what the piece took: so the bytes a second
 * are a share of what this disk, this link and these members give now, and nobody has to know how many that
 * is.
 */
import { DATA_LIMITS as LIMITS } from './limits.ts'

/** People were served within this: they are here, also where only some of their blocks are. A guess. */
const BUSY_MS = 3_000
/** The longest rest: on a slow link a block takes a minute, and two of rest would gain nobody anything. */
const REST_MS_MAX = 1_000

export interface Ration {
  /** Until when people count as served; -Infinity when nobody ever was. */
  busyUntilMs: number
  /** When the piece under way was begun. */
  sinceMs: number | undefined
  /** Known copies of what it brings: the least. */
  copies: number
  restUntilMs: number
}

export function createRation(): Ration {
  const never = Number.NEGATIVE_INFINITY
  return { busyUntilMs: never, sinceMs: undefined, copies: 1, restUntilMs: never }
}

export function isBusy({ busyUntilMs }: Ration, nowMs: number): boolean {
  return nowMs < busyUntilMs
}

/** A read or a write of somebody's is being served here. */
export function noteServed(ration: Ration, nowMs: number): void {
  // what was begun at full speed is no piece, and asks for no rest in proportion
  if (!isBusy(ration, nowMs) && ration.sinceMs !== undefined) ration.sinceMs = nowMs
  ration.busyUntilMs = nowMs + BUSY_MS
}

/** Sees whether repair has anything under way: a piece that ended is rested after. */
export function paceOut(ration: Ration, underWay: boolean, nowMs: number): void {
  if (underWay) {
    ration.sinceMs ??= nowMs
    return
  }
  if (ration.sinceMs === undefined) return
  const tookMs = nowMs - ration.sinceMs
  ration.sinceMs = undefined
  // with two copies left, a third of the time; with three, a quarter
  if (isBusy(ration, nowMs)) ration.restUntilMs = nowMs + Math.min(tookMs * ration.copies, REST_MS_MAX)
}

/**
 * Bytes that repair may have under way, given how many copies are known of what comes next. 0: not now.
 * What people read counts as under way where it belongs here, too: so a piece does not wait until nothing is.
 */
export function windowFor(ration: Ration, copies: number, nowMs: number): number {
  if (copies <= 1 || !isBusy(ration, nowMs)) return LIMITS.repairWindowBytes
  return nowMs >= ration.restUntilMs ? LIMITS.busyWindowBytes : 0
}
