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
  /** When the first of them is due, or sooner: asked with every event, while candidates seldom change. */
  dueMs: number
}

export function createJoining(): Joining {
  return { candidates: new Map(), dueMs: Number.POSITIVE_INFINITY }
}

/**
 * Once joined, the most between dials of an address that no member has, and of a peer that nobody knows, in
 * terms of `joinRetryMaxMs`. Never given up: members that started on two sides of a cut have never met, and
 * nothing else would bring them together. A found peer's address may be long stale. Guesses.
 */
const JOINED_FACTOR = { address: 1, found: 10 }

/** Whoever says so once more wants it done now. */
export function joinThrough(state: Membership, addresses: readonly string[], nowMs: number): void {
  for (const address of addresses) {
    state.joining.candidates.delete(address)
    consider(state, address, { peer: undefined, addresses: [address] }, nowMs)
  }
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
  state.joining.dueMs = Math.min(state.joining.dueMs, nowMs)
}

/** Nothing is due before. */
export function delayJoining(joining: Joining, untilMs: number): void {
  for (const candidate of joining.candidates.values()) candidate.dueMs = Math.max(candidate.dueMs, untilMs)
  joining.dueMs = firstDueMs(joining)
}

function firstDueMs({ candidates }: Joining): number {
  let due = Number.POSITIVE_INFINITY
  for (const { dueMs } of candidates.values()) due = Math.min(due, dueMs)
  return due
}

export function tickJoining(state: Membership, nowMs: number): void {
  const { joining } = state
  if (nowMs < joining.dueMs) return
  dialDue(state, nowMs)
  joining.dueMs = firstDueMs(joining)
}

function dialDue(state: Membership, nowMs: number): void {
  const { random } = state
  const joined = livingCount(state) > 1
  let dials = 0
  for (const [key, candidate] of state.joining.candidates) {
    if (nowMs < candidate.dueMs) continue
    if (isDone(state, candidate, joined)) {
      state.joining.candidates.delete(key)
      continue
    }
    if (dials === LIMITS.dials) return
    candidate.dueMs = nowMs + waitMs(state, candidate, joined) * (0.75 + random() / 2)
    candidate.tries++
    if (joined && candidate.peer === undefined && isKnown(state, candidate.addresses)) continue
    dials++
    state.out.push({ type: 'dial', peer: candidate.peer, addresses: candidate.addresses })
  }
}

function waitMs({ config }: Membership, { peer, tries }: Candidate, joined: boolean): number {
  const factor = joined ? JOINED_FACTOR[peer === undefined ? 'address' : 'found'] : 1
  return Math.min(config.joinRetryMaxMs * factor, config.joinRetryMs * 2 ** Math.min(tries, 30))
}

/** A member that lives has this address: it need not be dialled, but is kept for when we are alone. */
function isKnown({ table }: Membership, addresses: readonly string[]): boolean {
  return table.living.some((id) => {
    const own = table.known.get(id)?.member.addresses ?? []
    return addresses.some((address) =>
      own.some((one) => one === address || one.startsWith(`${address}/p2p/`))
    )
  })
}

/** Dead ones that we know are tried elsewhere. */
function isDone({ table }: Membership, { peer }: Candidate, joined: boolean): boolean {
  const known = peer === undefined ? undefined : table.known.get(peer)
  return known !== undefined && (joined || isLiving(known.member.state))
}
