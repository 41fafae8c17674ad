/**
 * When all will be at N again: what is missing over the rate at which it comes, after the wait that the rule
 * itself makes (`repairDelayMs`, the mass-loss brake). A promise that can be checked: who asked is told what
 * became of it.
 */

/** A rate is what came within so long. Long enough for a batch of large blocks on a slow link. A guess. */
const WINDOW_MS = 5_000
/** Before this much of a window has passed, what came in it says nothing yet. */
const WINDOW_MIN_MS = 2_500

/** What comes in, in windows. */
export interface Meter {
  sinceMs: number
  bytes: number
  /** Of the last whole window, bytes a second. */
  rate: number
}

export function createMeter(): Meter {
  return { sinceMs: Number.NEGATIVE_INFINITY, bytes: 0, rate: 0 }
}

export function count(meter: Meter, bytes: number, nowMs: number): void {
  roll(meter, nowMs)
  if (meter.sinceMs === Number.NEGATIVE_INFINITY) meter.sinceMs = nowMs
  meter.bytes += bytes
}

/** Bytes a second now; 0 when nothing has come for a while. */
export function rateOf(meter: Meter, nowMs: number): number {
  roll(meter, nowMs)
  const passedMs = nowMs - meter.sinceMs
  const so = passedMs >= WINDOW_MIN_MS && meter.bytes > 0 ? (1_000 * meter.bytes) / passedMs : 0
  return Math.round(Math.max(so, meter.rate))
}

function roll(meter: Meter, nowMs: number): void {
  const passedMs = nowMs - meter.sinceMs
  if (passedMs < WINDOW_MS) return
  // with nothing for a second window there is nothing to go by
  meter.rate = passedMs < 2 * WINDOW_MS ? (1_000 * meter.bytes) / passedMs : 0
  meter.sinceMs = meter.rate === 0 ? Number.NEGATIVE_INFINITY : nowMs
  meter.bytes = 0
}

/** Until something has come: what one member takes in, by bytes and by blocks. `npm run bench -- repair`. */
const ASSUMED_BYTES_PER_MS = 20_000
const ASSUMED_BLOCKS_PER_MS = 1

/** Copies that are to be made, and what is known of making them. */
export interface Making {
  /** Copies, not blocks: one that lacks two counts twice. */
  blocks: number
  bytes: number
  /** Bytes a second that all members together take in; 0 when nothing has come yet. */
  rate: number
  /** Members that can take copies. */
  able: number
  /** Until the rule lets it begin. */
  waitMs: number
  /** From then until the members have compared what they have, before the first block and after the last. */
  compareMs: number
}

/** Milliseconds until all is made. */
export function etaOf({ blocks, bytes, rate, able, waitMs, compareMs }: Making): number {
  if (blocks === 0) return 0
  if (rate > 0) return Math.ceil(waitMs + compareMs / 2 + (1_000 * bytes) / rate)
  const byteMs = bytes / (ASSUMED_BYTES_PER_MS * Math.max(1, able))
  const blockMs = blocks / (ASSUMED_BLOCKS_PER_MS * Math.max(1, able))
  return Math.ceil(waitMs + compareMs + Math.max(byteMs, blockMs))
}
