/**
 * Before its first vote of a life a member asks its fellow voters whether they know of a later life of its
 * own. If one does, this disk was put back to an older state, and votes were forgotten: the member abstains
 * wherever one may have been. What others voted bounds that, once enough of them have told.
 */

import { type Ballot, BOOTS_MAX } from './ballot.ts'
import type { PeerId } from './block.ts'
import { majorityOf, type RefRecord } from './ref.ts'

/** Waiting for the fellow voters that have not answered; a majority with oneself goes on without them. */
export const PROOF_WAIT_MS = 700

export interface Told {
  /** The highest start of ours that it knows of, from before this question. */
  boot: number
  /** Of its highest vote. */
  sequence: number
}

export interface Proof {
  readonly told: Map<PeerId, Told>
  readonly untilMs: number
}

export type Finding =
  | { type: 'wait' }
  /** This disk is as it was left. */
  | { type: 'sound' }
  /** It is not; from this sequence on nothing was forgotten. */
  | { type: 'floor'; sequence: number; boot: number }
  /** It is not, and too few have told: no vote yet. */
  | { type: 'unknown' }

/** Those who vote with us on a record. */
export function fellowsOf({ voters }: Pick<RefRecord, 'voters'>, self: PeerId): PeerId[] {
  const groups = voters.filter((group) => group.includes(self))
  return [...new Set(groups.flat())].filter((peer) => peer !== self)
}

export function findingOf(
  proof: Proof,
  record: Pick<RefRecord, 'voters' | 'sequence'>,
  { self, boot, lost = false }: { self: PeerId; boot: number; lost?: boolean },
  nowMs: number
): Finding {
  const groups = record.voters.filter((group) => group.includes(self))
  const heard = (group: readonly PeerId[]) => group.filter((peer) => proof.told.has(peer)).length
  const all = groups.every((group) => heard(group) === group.length - 1)
  if (!all && nowMs < proof.untilMs) return { type: 'wait' }
  const told = [...proof.told.values()]
  const latest = told.reduce((most, one) => Math.max(most, one.boot), 0)
  if (latest < boot && !lost) {
    return groups.every((group) => heard(group) + 1 >= majorityOf(group))
      ? { type: 'sound' }
      : { type: 'unknown' }
  }
  // Among so many is one of every majority that may have acknowledged what our forgotten vote followed.
  const enough = groups.every((group) => heard(group) >= group.length - majorityOf(group) + 1)
  const highest = told.reduce((most, one) => Math.max(most, one.sequence), record.sequence - 1)
  if (!enough || highest > record.sequence) return { type: 'unknown' }
  return { type: 'floor', sequence: highest + 2, boot: Math.max(latest + 1, boot) }
}

/** Notes a fellow's start, to tell a later life of it. Returns the highest known before. */
export function noteBoot({ boots }: Ballot, peer: PeerId, boot: number): number {
  const known = boots.get(peer) ?? 0
  if (boot > known) {
    boots.delete(peer)
    boots.set(peer, boot)
    if (boots.size > BOOTS_MAX) boots.delete(boots.keys().next().value as PeerId)
  }
  return known
}
