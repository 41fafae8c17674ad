/**
 * When a member that was asked for blocks counts as silent with them, as late, or is given up. All of it
 * moves with how fast members answer now, so it is worked out anew at each look; what the transfers share,
 * once a look, since a busy reader has hundreds of them.
 */
import type { PeerId } from './block.ts'
import { type Hedge, hedgeAfter } from './hedge.ts'
import type { DataConfig } from './limits.ts'
import type { Loads } from './load.ts'
import { type Pace, patienceMs } from './pace.ts'

/** Blocks asked of one member, as far as it matters here. */
export interface Asked {
  readonly from: PeerId
  readonly purpose: 'read' | 'repair'
  readonly startedMs: number
  /** When it last answered anything; undefined until it does. */
  readonly heardMs: number | undefined
  /** Not yet answered. */
  readonly keys: { readonly size: number }
}

/** How long members are waited for now, ms. */
export interface Lateness {
  readonly loads: Loads
  readonly hedge: Hedge
  /** Between answers, until it counts as silent. */
  readonly readMs: number
  readonly repairMs: number
  /** Until what it was to bring for repair is asked of another too. */
  readonly lateMs: number
  readonly givenUpMs: number
}

interface Pacing {
  readonly config: DataConfig
  readonly loads: Loads
  readonly hedge: Hedge
  /** Of reads and of repairs: how long a member takes between answers. */
  readonly readPace: Pace
  readonly pace: Pace
}

/** Slices of the time allowed: one that answers others first is hedged later, but not for ever. */
const PATIENCE = 5

/** As things are: to be asked for again once anything was heard. */
export function latenessNow({ config, loads, hedge, readPace, pace }: Pacing): Lateness {
  const { hedgeAfterMs, readTimeoutMs, repairHedgeMs, fetchTimeoutMs } = config
  const unknown = readPace.meanMs === undefined
  return {
    loads,
    hedge,
    readMs: unknown ? hedgeAfterMs : patienceMs(readPace, hedgeAfterMs, readTimeoutMs / 4),
    repairMs: hedgeAfterMs,
    lateMs: patienceMs(pace, repairHedgeMs, fetchTimeoutMs / 2),
    givenUpMs: fetchTimeoutMs
  }
}

/** Since when nothing came of it, while it was not busy with others that were asked of the same member. */
export function quietSinceMs(loads: Loads, { from, startedMs }: Asked): number {
  return Math.max(startedMs, loads.get(from)?.heardMs ?? 0)
}

/** Of which nothing was heard yet is asked of another sooner, within the allowance. */
export function silentAtMs(lateness: Lateness, asked: Asked): number {
  const { purpose, heardMs, keys } = asked
  const failedMs = failedAtMs(lateness, asked)
  if (purpose !== 'read' || heardMs !== undefined) return failedMs
  const waitMs = hedgeAfter(lateness.hedge, keys.size)
  return waitMs === undefined ? failedMs : Math.min(failedMs, quietSinceMs(lateness.loads, asked) + waitMs)
}

/** When it counts as silent, whatever is allowed: where all are slow, as on a slow link, only later. */
export function failedAtMs(lateness: Lateness, asked: Asked): number {
  return patientUntilMs(lateness, asked, asked.purpose === 'read' ? lateness.readMs : lateness.repairMs)
}

/** A read is never late: its reader is answered by whoever is first. */
export function lateAtMs(lateness: Lateness, asked: Asked): number {
  if (asked.purpose === 'read') return Number.POSITIVE_INFINITY
  return patientUntilMs(lateness, asked, lateness.lateMs)
}

export function givenUpAtMs({ givenUpMs }: Lateness, { startedMs, heardMs }: Asked): number {
  return (heardMs ?? startedMs) + givenUpMs
}

function patientUntilMs({ loads }: Lateness, asked: Asked, waitMs: number): number {
  const { startedMs, heardMs } = asked
  return Math.min(quietSinceMs(loads, asked) + waitMs, (heardMs ?? startedMs) + PATIENCE * waitMs)
}
