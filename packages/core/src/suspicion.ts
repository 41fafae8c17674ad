/**
 * How long a suspect has to refute: Lifeguard's shrinking timeout (Dadgar et al. 2017, §4.2). A lone
 * accuser waits long, since it may itself be the slow one; every independent accusation shortens the wait.
 */

import type { PeerId } from './block.ts'
import type { Config } from './config.ts'

export interface Suspicion {
  readonly incarnation: number
  /** Distinct members that accuse, the first one first. At most `wanted + 1`. */
  readonly accusers: PeerId[]
  startMs: number
  dueMs: number
}

/** Accusations beyond the first after which the wait is shortest: with the first, half of the others. */
export function confirmationsWanted(members: number, config: Config): number {
  return Math.max(0, Math.min(config.confirmations, Math.floor((members - 1) / 2)))
}

/** From suspect to dead, with `confirmations` accusations beyond the first. */
export function suspicionTimeoutMs(confirmations: number, members: number, config: Config): number {
  const min = config.suspicionMinMs * Math.max(1, Math.log10(members))
  const max = config.suspicionMaxFactor * min
  const wanted = confirmationsWanted(members, config)
  if (confirmations <= 0) return max // also where nobody could confirm: two members
  if (confirmations >= wanted) return min
  return max - ((max - min) * Math.log(confirmations + 1)) / Math.log(wanted + 1)
}

export function suspect(incarnation: number, accuser: PeerId, members: number, at: Moment): Suspicion {
  const dueMs = at.nowMs + suspicionTimeoutMs(0, members, at.config)
  return { incarnation, accusers: [accuser], startMs: at.nowMs, dueMs }
}

/** Counts one more accuser; false when it tells nothing new. The wait only ever shrinks. */
export function confirm(suspicion: Suspicion, accuser: PeerId, members: number, config: Config): boolean {
  const confirmations = suspicion.accusers.length
  if (confirmations > confirmationsWanted(members, config)) return false
  if (suspicion.accusers.includes(accuser)) return false
  suspicion.accusers.push(accuser)
  const dueMs = suspicion.startMs + suspicionTimeoutMs(confirmations, members, config)
  suspicion.dueMs = Math.min(suspicion.dueMs, dueMs)
  return true
}

export interface Moment {
  nowMs: number
  config: Config
}
