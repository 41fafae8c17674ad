/**
 * Who is in the network and who is alive: SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar et
 * al. 2017), and tables compared instead of copied. Pure: `step` takes an event and the time, and returns
 * what the caller must do, in order; `deadline` says when it wants the next `tick`.
 */

import type { PeerId } from './block.ts'
import { type Config, GOSSIP_LIMITS as LIMITS } from './config.ts'
import type { Crypto } from './crypto.ts'
import { compare, hearDigests, hearEntries, hearSummary } from './exchange.ts'
import type { Gossip } from './gossip.ts'
import { createJoining, delayJoining, joinThrough, tickJoining, tryFound } from './join.ts'
import {
  checkFacts,
  type Facts,
  isLiving,
  type LivingMember,
  leftStatement,
  type Member,
  sameFacts
} from './member.ts'
import {
  createProbing,
  greet,
  hasten,
  hearAck,
  hearProbed,
  probingDueMs,
  relay,
  startUrgent,
  tickProbing,
  voidProbes
} from './probe.ts'
import type { Random } from './random.ts'
import { createRumours, type Rumour, spread } from './rumour.ts'
import { createTable, digestOf, drawSome, put, quieten } from './table.ts'
import {
  aboutPeer,
  announce,
  bury,
  change,
  compose,
  forget,
  hear,
  type KeptMember,
  livingCount,
  type Membership,
  type MembershipAction,
  ownMember,
  send,
  worsen
} from './view.ts'

export type MembershipEvent =
  | { type: 'tick' }
  | { type: 'message'; from: PeerId; message: Gossip }
  | { type: 'connected'; peer: PeerId }
  /** Its last connection closed. */
  | { type: 'disconnected'; peer: PeerId }
  /** Addresses of members of whom nothing else is known. */
  | { type: 'join'; addresses: readonly string[] }
  /** Peers kept from the last run, or found on the local network. */
  | { type: 'found'; members: readonly KeptMember[] }
  /** Something that we say of ourselves changed. */
  | { type: 'describe'; facts: Partial<Facts> }
  /** We are going, and hand over what we hold first. */
  | { type: 'leave' }
  /** We go for good. What the returned actions send is the last that we say. */
  | { type: 'left-now' }

export interface MembershipOptions {
  id: PeerId
  facts: Facts
  /** Above the one of the last run, if that is known; else 0, and the others will tell. */
  incarnation: number
  config: Config
  random: Random
  crypto: Pick<Crypto, 'sign' | 'verify'>
}

/** @throws CairnError BAD_CONFIG when no member may say `facts` of itself */
export function createMembership(options: MembershipOptions, nowMs: number): Membership {
  const { id, incarnation, config, random, crypto } = options
  const state: Membership = {
    self: id,
    config,
    random,
    crypto,
    table: createTable(),
    rumours: createRumours(),
    suspicions: new Map(),
    connected: new Set(),
    probing: createProbing(random, nowMs),
    exchange: { dueMs: nowMs },
    joining: createJoining(),
    meters: new Map(),
    metersSecond: 0,
    suspicionsDueMs: Number.POSITIVE_INFINITY,
    newsDueMs: Number.POSITIVE_INFINITY,
    keepDueMs: Number.POSITIVE_INFINITY,
    keptMs: Number.NEGATIVE_INFINITY,
    sweepDueMs: nowMs + sweepMs(config),
    health: 0,
    left: false,
    out: []
  }
  const own: LivingMember = { ...checkFacts(options.facts), id, incarnation, state: 'alive' }
  put(state.table, own, nowMs)
  spread(state.rumours, { type: 'facts', member: own }) // greetings alone may be lost
  // Members started together must not probe together.
  state.probing.dueMs += random() * config.probeIntervalMs
  state.probing.retryDueMs += random() * config.retryDeadMs
  return state
}

/** Every member that is known, in the order in which they became known, ourselves first. */
export function members(state: Membership): Member[] {
  return [...state.table.known.values()].map(({ member }) => member)
}

/** When the next `tick` is wanted. One that comes much later is taken for a stall of our own. */
export function deadline(state: Membership): number {
  if (state.left) return Number.POSITIVE_INFINITY
  return Math.min(
    probingDueMs(state.probing),
    state.joining.dueMs,
    state.suspicionsDueMs,
    state.newsDueMs,
    state.keepDueMs,
    state.sweepDueMs
  )
}

/** Applies one event and returns what the caller must do, in order. No I/O, no clock. */
export function step(state: Membership, event: MembershipEvent, nowMs: number): MembershipAction[] {
  if (state.left) return []
  const lateMs = nowMs - deadline(state)
  if (lateMs > state.config.gapMs) recover(state, lateMs, nowMs)
  apply(state, event, nowMs)
  if (state.rumours.size > 0 && state.newsDueMs === Number.POSITIVE_INFINITY) {
    state.newsDueMs = nowMs + state.random() * state.config.newsIntervalMs
  }
  const { out } = state
  state.out = []
  return out
}

function apply(state: Membership, event: MembershipEvent, nowMs: number): void {
  switch (event.type) {
    case 'tick':
      tick(state, nowMs)
      return
    case 'message':
      if (event.from !== state.self && withinMeter(state, event.from, nowMs)) {
        receive(state, event.from, event.message, nowMs)
        startUrgent(state, nowMs)
      }
      return
    case 'connected':
      if (state.connected.size < LIMITS.connections) state.connected.add(event.peer)
      // One that restarted greets us itself: it is the one who knows nobody.
      if (!isAlive(state, event.peer)) greet(state, event.peer)
      return
    case 'disconnected':
      state.connected.delete(event.peer)
      hasten(state, event.peer)
      startUrgent(state, nowMs)
      return
    case 'join':
      joinThrough(state, event.addresses, nowMs)
      return
    case 'found':
      tryFound(state, event.members, nowMs)
      return
    case 'describe':
      describe(state, event.facts, nowMs)
      return
    case 'leave':
      if (ownMember(state).state === 'alive') announce(state, { ...raised(state), state: 'leaving' }, nowMs)
      return
    case 'left-now':
      leaveNow(state, nowMs)
      return
  }
}

function isAlive(state: Membership, peer: PeerId): boolean {
  return state.table.known.get(peer)?.member.state === 'alive'
}

function receive(state: Membership, from: PeerId, message: Gossip, nowMs: number): void {
  const wasGone = !isLiving(state.table.known.get(from)?.member.state ?? 'alive')
  if ('rumours' in message) for (const rumour of message.rumours) hear(state, rumour, from, nowMs)
  switch (message.type) {
    case 'ping': {
      const rumours = compose(state, from, !state.table.known.has(from))
      send(state, from, { type: 'ack', seq: message.seq, digest: digestOf(state.table), rumours })
      compare(state, from, message.digest, nowMs)
      return
    }
    case 'ack':
      hearAck(state, from, message.seq)
      compare(state, from, message.digest, nowMs)
      return
    case 'probe':
      relay(state, from, message, nowMs)
      return
    case 'probed':
      hearProbed(state, from, message)
      return
    case 'news':
      if (wasGone) tellIt(state, from)
      return
    case 'digests':
      hearDigests(state, from, message)
      return
    case 'summary':
      hearSummary(state, from, message, nowMs)
      return
    case 'entries':
      hearEntries(state, from, message, nowMs)
      return
  }
}

/** One that we hold for dead speaks: it must know, to refute. Pings are answered with it anyway. */
function tellIt(state: Membership, peer: PeerId): void {
  const about = aboutPeer(state, peer)
  if (about !== undefined) send(state, peer, { type: 'news', rumours: [about] })
}

function tick(state: Membership, nowMs: number): void {
  tickSuspicions(state, nowMs)
  tickProbing(state, nowMs)
  tickJoining(state, nowMs)
  if (nowMs >= state.newsDueMs) tellNews(state, nowMs)
  if (nowMs >= state.keepDueMs) keep(state, nowMs)
  if (nowMs >= state.sweepDueMs) sweep(state, nowMs)
}

function tickSuspicions(state: Membership, nowMs: number): void {
  if (nowMs < state.suspicionsDueMs) return
  state.suspicionsDueMs = Number.POSITIVE_INFINITY
  for (const [id, { incarnation, dueMs }] of [...state.suspicions]) {
    if (dueMs <= nowMs) bury(state, { id, incarnation }, nowMs)
    else state.suspicionsDueMs = Math.min(state.suspicionsDueMs, dueMs)
  }
}

/** Fresh news does not wait for the next probe: it goes to a few random members at once. */
function tellNews(state: Membership, nowMs: number): void {
  const { config, random, self, table } = state
  const alone = livingCount(state) === 1
  state.newsDueMs = nowMs + (alone ? config.probeIntervalMs : config.newsIntervalMs)
  for (const to of drawSome(table.living, config.newsPeers, random, (id) => id !== self)) {
    const rumours = compose(state, to)
    if (rumours.length > 0) send(state, to, { type: 'news', rumours })
  }
  if (state.rumours.size === 0) state.newsDueMs = Number.POSITIVE_INFINITY
}

function keep(state: Membership, nowMs: number): void {
  const { table, random, self } = state
  state.keepDueMs = Number.POSITIVE_INFINITY
  state.keptMs = nowMs
  const all = table.living.length <= LIMITS.kept
  const ids = all ? table.living : drawSome(table.living, LIMITS.kept, random, () => true)
  const kept = ids
    .filter((id) => id !== self)
    .map((id) => ({ id, addresses: table.known.get(id)?.member.addresses ?? [] }))
  state.out.push({ type: 'keep', incarnation: ownMember(state).incarnation, members: kept })
}

function sweepMs(config: Config): number {
  return Math.min(config.forgetMs / 16, 3_600_000) // forgetting may be that late
}

/** Members long gone: no longer compared, then forgotten. */
function sweep(state: Membership, nowMs: number): void {
  const { forgetMs } = state.config
  state.sweepDueMs = nowMs + sweepMs(state.config)
  for (const [id, known] of [...state.table.known]) {
    if (isLiving(known.member.state)) continue
    const goneMs = nowMs - known.sinceMs
    if (goneMs > forgetMs) forget(state, id)
    else if (goneMs > forgetMs / 2 && !known.quiet) quieten(state.table, known)
  }
}

/**
 * We were stalled or suspended: what did not reach us in that time is evidence against ourselves only.
 * A stalled observer declares nobody dead.
 */
function recover(state: Membership, lateMs: number, nowMs: number): void {
  state.out.push({ type: 'log', text: `stalled for ${Math.round(lateMs)} ms: waiting probes are void` })
  worsen(state)
  voidProbes(state, nowMs)
  state.suspicionsDueMs = Number.POSITIVE_INFINITY
  for (const suspicion of state.suspicions.values()) {
    suspicion.startMs += lateMs
    suspicion.dueMs += lateMs
    state.suspicionsDueMs = Math.min(state.suspicionsDueMs, suspicion.dueMs)
  }
  // What else was due is due now: or each event that waited behind the stall would look like one more.
  state.newsDueMs = Math.max(state.newsDueMs, nowMs)
  state.keepDueMs = Math.max(state.keepDueMs, nowMs)
  state.sweepDueMs = Math.max(state.sweepDueMs, nowMs)
  delayJoining(state.joining, nowMs)
}

function describe(state: Membership, facts: Partial<Facts>, nowMs: number): void {
  const own = ownMember(state)
  const next = checkFacts({ ...own, ...facts })
  if (!sameFacts(own, next)) announce(state, { ...raised(state), ...next }, nowMs)
}

function raised(state: Membership): Member {
  const own = ownMember(state)
  return { ...own, incarnation: own.incarnation + 1 }
}

/** Told to as many at once as make up for those that it does not reach. A guess. */
const FAREWELLS = 16

function leaveNow(state: Membership, nowMs: number): void {
  const { id, incarnation } = raised(state)
  const signature = state.crypto.sign(leftStatement(id, incarnation))
  const farewell: Rumour = { type: 'left', id, incarnation, signature }
  for (const to of drawSome(state.table.living, FAREWELLS, state.random, (peer) => peer !== state.self)) {
    send(state, to, { type: 'news', rumours: [farewell] })
  }
  change(state, { ...ownMember(state), incarnation, state: 'left' }, nowMs, signature)
  state.left = true
}

/** Counts a peer's messages; false when it sends more in a second than we take. */
function withinMeter(state: Membership, peer: PeerId, nowMs: number): boolean {
  const { meters } = state
  const second = Math.floor(nowMs / 1_000)
  if (second !== state.metersSecond) meters.clear() // or each would hold all that it ever heard
  state.metersSecond = second
  const count = (meters.get(peer) ?? 0) + 1
  meters.set(peer, count)
  for (const [oldest] of meters) {
    if (meters.size <= LIMITS.meters) break
    meters.delete(oldest)
  }
  return count <= LIMITS.messagesPerSecond
}
