/**
 * What one member knows of all, and how hearsay changes it: facts, accusations, deaths, departures, and
 * refuting what is said of oneself (SWIM §4.2). An accusation of an incarnation not met yet is ignored:
 * its facts come first, by another rumour or by comparing tables.
 */

import type { PeerId } from './block.ts'
import { type Config, GOSSIP_LIMITS, MEMBER_LIMITS } from './config.ts'
import type { Crypto } from './crypto.ts'
import type { Exchange } from './exchange.ts'
import type { Gossip } from './gossip.ts'
import type { Joining } from './join.ts'
import {
  isLiving,
  type LivingMember,
  leftStatement,
  type Member,
  type MemberState,
  type Standing,
  sameFacts,
  supersedes
} from './member.ts'
import { enlist, hasten, type Probing } from './probe.ts'
import type { Random } from './random.ts'
import { hush, type Rumour, type Rumours, spread, take, timesToTell } from './rumour.ts'
import { confirm, type Suspicion, suspect } from './suspicion.ts'
import { put, remove, type Table } from './table.ts'

export interface KeptMember {
  id: PeerId
  addresses: string[]
}

export type MembershipAction =
  | { type: 'send'; to: PeerId; message: Gossip }
  /** Connect, unless connected: to `peer` if given, else to whoever is at the addresses. */
  | { type: 'dial'; peer: PeerId | undefined; addresses: readonly string[] }
  /** The member is now so. `was`: its state before, undefined when it is new. */
  | { type: 'member'; member: Member; was: MemberState | undefined }
  | { type: 'forget'; id: PeerId }
  /** To be on disk for the next start. */
  | { type: 'keep'; incarnation: number; members: KeptMember[] }
  | { type: 'log'; text: string }

export interface Membership {
  readonly self: PeerId
  readonly config: Config
  readonly random: Random
  readonly crypto: Pick<Crypto, 'sign' | 'verify'>
  readonly table: Table
  readonly rumours: Rumours
  readonly suspicions: Map<PeerId, Suspicion>
  readonly connected: Set<PeerId>
  readonly probing: Probing
  readonly exchange: Exchange
  readonly joining: Joining
  /** Messages of each peer in the present second. */
  readonly meters: Map<PeerId, number>
  metersSecond: number
  /** Of the suspicions: none is due before. */
  suspicionsDueMs: number
  newsDueMs: number
  keepDueMs: number
  keptMs: number
  sweepDueMs: number
  /** 0 when well; slows our own probing down (Lifeguard §4.1, local health). */
  health: number
  left: boolean
  out: MembershipAction[]
}

export function ownMember(state: Membership): Member {
  return (state.table.known.get(state.self) as { member: Member }).member
}

/** Living members, ourselves included. */
export function livingCount(state: Membership): number {
  return state.table.living.length
}

export function send(state: Membership, to: PeerId, message: Gossip): void {
  state.out.push({ type: 'send', to, message })
}

export function worsen(state: Membership): void {
  state.health = Math.min(state.config.healthFactorMax - 1, state.health + 1)
}

/** Rumours for a message to `to`: what it must know of itself, then the least told. */
export function compose(state: Membership, to: PeerId, introduce = false): Rumour[] {
  const { rumours, config } = state
  const times = timesToTell(livingCount(state), config.rumourFactor)
  const news = take(rumours, GOSSIP_LIMITS.rumourBytes, times)
  const own = ownMember(state)
  if (introduce) news.unshift({ type: 'facts', member: own as LivingMember })
  const about = aboutPeer(state, to)
  if (about !== undefined) news.push(about)
  return news
}

/** What a member must refute or know of itself, so that every message to it gives it the chance. */
export function aboutPeer(state: Membership, id: PeerId): Rumour | undefined {
  const known = state.table.known.get(id)
  if (known === undefined) return undefined
  const { incarnation } = known.member
  if (known.member.state === 'dead') return { type: 'dead', id, incarnation }
  if (known.signature !== undefined) return { type: 'left', id, incarnation, signature: known.signature }
  const accuser = state.suspicions.get(id)?.accusers[0]
  return accuser === undefined ? undefined : { type: 'suspect', id, incarnation, accuser }
}

export function hear(state: Membership, rumour: Rumour, from: PeerId, nowMs: number): void {
  switch (rumour.type) {
    case 'facts':
      if (learn(state, rumour.member, nowMs)) spread(state.rumours, rumour)
      else if (from === rumour.member.id) correct(state, rumour.member)
      return
    case 'suspect':
      accuse(state, rumour, nowMs)
      return
    case 'dead':
      bury(state, rumour, nowMs)
      return
    case 'left':
      if (depart(state, rumour, nowMs)) spread(state.rumours, rumour)
  }
}

/** Takes a member's own words; false when they are not news. */
export function learn(state: Membership, member: LivingMember, nowMs: number): boolean {
  if (member.id === state.self) {
    refute(state, member, nowMs)
    return false
  }
  const known = state.table.known.get(member.id)
  if (!supersedes(member, known?.member) || !makeRoom(state, member.id)) return false
  acquit(state, member.id)
  change(state, member, nowMs)
  if (known === undefined || !isLiving(known.member.state)) enlist(state, member.id)
  return true
}

/**
 * A restarted member may have forgotten its incarnation: it speaks with one that others have seen more of.
 * Told so, it goes above.
 */
function correct(state: Membership, said: LivingMember): void {
  const known = state.table.known.get(said.id)?.member
  if (known === undefined || (known.state !== 'alive' && known.state !== 'leaving')) return
  if (known.incarnation === said.incarnation && sameFacts(known, said)) return
  if (known.incarnation < said.incarnation) return
  send(state, said.id, { type: 'news', rumours: [{ type: 'facts', member: known as LivingMember }] })
}

export function accuse(state: Membership, said: Omit<Accusation, 'type'>, nowMs: number): void {
  const { id, incarnation, accuser } = said
  if (id === state.self) {
    refute(state, { incarnation, state: 'suspect' }, nowMs)
    return
  }
  const member = state.table.known.get(id)?.member
  if (member === undefined || member.incarnation !== incarnation || !isLiving(member.state)) return
  const living = livingCount(state)
  let suspicion = state.suspicions.get(id)
  if (suspicion === undefined) {
    suspicion = suspect(incarnation, accuser, living, { nowMs, config: state.config })
    state.suspicions.set(id, suspicion)
    if (member.state === 'alive') change(state, { ...member, state: 'suspect' }, nowMs)
    // Someone should ask it now, and not all: it confirms or clears within a second.
    if (state.random() < CHECKERS / living) hasten(state, id)
  } else if (!confirm(suspicion, accuser, living, state.config)) return
  state.suspicionsDueMs = Math.min(state.suspicionsDueMs, suspicion.dueMs)
  spread(state.rumours, { type: 'suspect', id, incarnation, accuser })
}

type Accusation = Extract<Rumour, { type: 'suspect' }>

/** Members that probe one which they hear accused, on average: enough to confirm. A guess. */
const CHECKERS = 4

export function bury(state: Membership, said: { id: PeerId; incarnation: number }, nowMs: number): void {
  const { id, incarnation } = said
  if (id === state.self) {
    refute(state, { incarnation, state: 'dead' }, nowMs)
    return
  }
  const member = state.table.known.get(id)?.member
  if (member === undefined || member.incarnation !== incarnation || !isLiving(member.state)) return
  acquit(state, id)
  change(state, { ...member, state: 'dead' }, nowMs)
  spread(state.rumours, { type: 'dead', id, incarnation })
}

/** Takes a departure if the one who left signed it; false when it is not news. */
export function depart(
  state: Membership,
  said: Omit<Departure, 'type'>,
  nowMs: number,
  stranger?: Member
): boolean {
  const { id, incarnation, signature } = said
  if (id === state.self) {
    refute(state, { incarnation, state: 'left' }, nowMs)
    return false
  }
  const member = state.table.known.get(id)?.member ?? stranger
  if (member === undefined || (member !== stranger && !supersedes({ incarnation, state: 'left' }, member))) {
    return false
  }
  if (!state.crypto.verify(id, leftStatement(id, incarnation), signature)) return false
  acquit(state, id)
  change(state, { ...member, incarnation, state: 'left' }, nowMs, signature)
  return true
}

type Departure = Extract<Rumour, { type: 'left' }>

/** Answers what is said of ourselves, unless it is old or right, by a newer incarnation. */
export function refute(state: Membership, said: Standing | LivingMember, nowMs: number): void {
  const own = ownMember(state)
  if (state.left || said.incarnation < own.incarnation) return
  const inOurWords = said.state === 'alive' || said.state === 'leaving'
  const isSame = said.state === own.state && said.incarnation === own.incarnation
  if (inOurWords && isSame && sameFacts(own, said as LivingMember)) return
  if (said.incarnation >= MEMBER_LIMITS.incarnation) {
    state.out.push({ type: 'log', text: 'somebody gave this member the highest incarnation: cannot refute' })
    return
  }
  if (!inOurWords) worsen(state) // they do not hear us in time: we may be the slow one (Lifeguard §4.1)
  announce(state, { ...own, incarnation: said.incarnation + 1 }, nowMs)
}

/** Says something new of ourselves. */
export function announce(state: Membership, own: Member, nowMs: number): void {
  change(state, own, nowMs)
  spread(state.rumours, { type: 'facts', member: own as LivingMember })
}

/** Puts a member into the table and tells the caller. */
export function change(state: Membership, member: Member, nowMs: number, signature?: Uint8Array): void {
  const known = state.table.known.get(member.id)
  const before = known?.member
  put(state.table, member, before?.state === member.state ? (known?.sinceMs ?? nowMs) : nowMs, signature)
  state.out.push({ type: 'member', member, was: before?.state })
  const asBefore = before !== undefined && before.addresses.join() === member.addresses.join()
  if (asBefore && member.id !== state.self) return
  const dueMs = Math.max(nowMs + KEEP_AFTER_MS, state.keptMs + state.config.keepIntervalMs)
  state.keepDueMs = Math.min(state.keepDueMs, dueMs)
}

/** Changes come in groups: wait for the rest of one before writing it down. A guess. */
const KEEP_AFTER_MS = 1_000

/** Ends a suspicion, whatever its outcome, and the telling of it. */
function acquit(state: Membership, id: PeerId): void {
  const suspicion = state.suspicions.get(id)
  hush(state.rumours, id, suspicion?.accusers ?? [])
  state.suspicions.delete(id)
}

/** True when there is room for one more member, if need be in place of the one that is longest gone. */
export function makeRoom(state: Membership, id: PeerId): boolean {
  const { known, dead } = state.table
  if (known.has(id) || known.size < MEMBER_LIMITS.members) return true
  let oldest: PeerId | undefined
  let sinceMs = Number.POSITIVE_INFINITY
  for (const gone of dead) {
    const entry = known.get(gone)
    if (entry !== undefined && entry.sinceMs < sinceMs) {
      oldest = gone
      sinceMs = entry.sinceMs
    }
  }
  if (oldest === undefined) return false
  forget(state, oldest)
  return true
}

export function forget(state: Membership, id: PeerId): void {
  acquit(state, id)
  remove(state.table, id)
  state.out.push({ type: 'forget', id })
}
