/**
 * Whom to dial when we know addresses but are not connected: addresses that a person gave, members kept
 * from the last run, and peers found on the local network. Tried again, ever less often.
 */

import type { PeerId } from './block.ts'
import { GOSSIP_LIMITS as LIMITS } from './config.ts'
import { isLiving } from './member.ts'
import { type KeptMember, livingCount, type Membership } from './view.ts'

interface Candidate {
  readonly peer: PeerId | undefined
  readonly addresses: readonly string[]
  tries: number
  dueMs: number
}

export interface Joining {
  /** By peer id, or by address where the peer is not known. */
  readonly candidates: Map<string, Candidate>
}

/** Of a peer that was only found, once we have joined through another: its address may be long stale. */
const TRIES_MAX = 3

export function joinThrough(state: Membership, addresses: readonly string[], nowMs: number): void {
  for (const address of addresses) consider(state, address, { peer: undefined, addresses: [address] }, nowMs)
}

export function tryFound(state: Membership, found: readonly KeptMember[], nowMs: number): void {
  for (const { id, addresses } of found) {
    const known = state.table.known.get(id)
    const living = known !== undefined && isLiving(known.member.state)
    if (id !== state.self && !living) consider(state, id, { peer: id, addresses }, nowMs)
  }
}

function consider(
  state: Membership,
  key: string,
  to: Pick<Candidate, 'peer' | 'addresses'>,
  nowMs: number
): void {
  const { candidates } = state.joining
  if (candidates.has(key) || candidates.size >= LIMITS.candidates) return
  candidates.set(key, { ...to, tries: 0, dueMs: nowMs })
}

export function joiningDueMs(joining: Joining): number {
  let due = Number.POSITIVE_INFINITY
  for (const { dueMs } of joining.candidates.values()) due = Math.min(due, dueMs)
  return due
}

/** Nothing is due before. */
export function delayJoining(joining: Joining, untilMs: number): void {
  for (const candidate of joining.candidates.values()) candidate.dueMs = Math.max(candidate.dueMs, untilMs)
}

export function tickJoining(state: Membership, nowMs: number): void {
  const { config, random } = state
  const joined = livingCount(state) > 1
  let dials = 0
  for (const [key, candidate] of state.joining.candidates) {
    if (nowMs < candidate.dueMs) continue
    if (isDone(state, candidate, joined)) {
      state.joining.candidates.delete(key)
      continue
    }
    if (dials === LIMITS.dials) return
    candidate.tries++
    const waitMs = Math.min(config.joinRetryMaxMs, config.joinRetryMs * 2 ** (candidate.tries - 1))
    candidate.dueMs = nowMs + waitMs * (0.75 + random() / 2)
    if (candidate.peer === undefined && joined) continue // kept for the day when we are alone again
    dials++
    state.out.push({ type: 'dial', peer: candidate.peer, addresses: candidate.addresses })
  }
}

function isDone(state: Membership, { peer, tries }: Candidate, joined: boolean): boolean {
  if (peer === undefined) return false
  const known = state.table.known.get(peer)
  return (known !== undefined && isLiving(known.member.state)) || (joined && tries >= TRIES_MAX)
}
