/**
 * Who is asked whether it lives, and when: SWIM's randomised round robin with indirect probes (§4.3),
 * and Lifeguard's local health, which slows a member down that may itself be the slow one (§4.1).
 *
 * Only an answer to a probe of ours counts: it shows that the peer hears us. What a peer sends of its
 * own accord does not, so one that can speak but not hear is found dead.
 */

import type { PeerId } from './block.ts'
import { GOSSIP_LIMITS } from './config.ts'
import { isLiving } from './member.ts'
import { pick, type Random, shuffle } from './random.ts'
import { digestOf, draw, drawSome } from './table.ts'
import { accuse, compose, livingCount, type Membership, send, worsen } from './view.ts'

interface Probe {
  readonly seq: number
  readonly target: PeerId
  /** Members asked to probe in our place; none yet while we wait for the direct answer. */
  helpers: PeerId[] | undefined
  nacks: number
  dueMs: number
  readonly endMs: number
}

/** A probe that we run for another. */
interface Relay {
  readonly target: PeerId
  readonly asker: PeerId
  readonly seq: number
  readonly dueMs: number
}

export interface Probing {
  seq: number
  /** This round's order, and how far we are. */
  ring: PeerId[]
  next: number
  dueMs: number
  retryDueMs: number
  readonly probes: Map<number, Probe>
  readonly relays: Map<number, Relay>
  /** To be probed out of turn: accused, or their socket closed. */
  readonly urgent: Set<PeerId>
}

export function createProbing(random: Random, nowMs: number): Probing {
  return {
    seq: pick(random, 2 ** 32), // answers to an earlier life must not count
    ring: [],
    next: 0,
    dueMs: nowMs,
    retryDueMs: nowMs,
    probes: new Map(),
    relays: new Map(),
    urgent: new Set()
  }
}

export function probingDueMs(probing: Probing): number {
  let due = Math.min(probing.dueMs, probing.retryDueMs)
  for (const probe of probing.probes.values()) due = Math.min(due, probe.dueMs)
  for (const relay of probing.relays.values()) return Math.min(due, relay.dueMs) // the first is due first
  return due
}

export function tickProbing(state: Membership, nowMs: number): void {
  const { probing, config } = state
  for (const probe of [...probing.probes.values()]) {
    if (nowMs < probe.dueMs) continue
    if (probe.helpers === undefined && nowMs < probe.endMs) askOthers(state, probe)
    else fail(state, probe, nowMs)
  }
  for (const [seq, relay] of probing.relays) {
    if (nowMs < relay.dueMs) break
    probing.relays.delete(seq)
    send(state, relay.asker, { type: 'probed', seq: relay.seq, heard: false })
  }
  if (nowMs >= probing.dueMs) {
    probing.dueMs = nowMs + config.probeIntervalMs * healthFactor(state)
    const target = nextTarget(state)
    if (target !== undefined) startProbe(state, target, nowMs)
    else greetAnyone(state)
  }
  if (nowMs >= probing.retryDueMs) {
    probing.retryDueMs = nowMs + config.retryDeadMs
    retryDead(state)
  }
  startUrgent(state, nowMs)
}

/** Answers to a ping of ours, for ourselves or on another's behalf. */
export function hearAck(state: Membership, from: PeerId, seq: number): void {
  const { probes, relays } = state.probing
  const relay = relays.get(seq)
  if (relay?.target === from) {
    relays.delete(seq)
    send(state, relay.asker, { type: 'probed', seq: relay.seq, heard: true })
  }
  const probe = probes.get(seq)
  if (probe?.target === from) succeed(state, probe)
}

export function hearProbed(state: Membership, from: PeerId, answer: { seq: number; heard: boolean }): void {
  const probe = state.probing.probes.get(answer.seq)
  if (probe?.helpers === undefined || !probe.helpers.includes(from)) return
  if (answer.heard) succeed(state, probe)
  else probe.nacks++
}

/** Probes `target` for `asker`; says in time if it does not answer: most of the timeout (Lifeguard). */
export function relay(state: Membership, asker: PeerId, ask: { seq: number; target: PeerId }, nowMs: number) {
  const { probing, config } = state
  if (probing.relays.size >= GOSSIP_LIMITS.relays || ask.target === state.self) return
  const seq = nextSeq(probing)
  const dueMs = nowMs + 0.8 * config.probeTimeoutMs
  probing.relays.set(seq, { target: ask.target, asker, seq: ask.seq, dueMs })
  ping(state, ask.target, seq)
}

/** To greet a new connection or try a dead member: no answer is expected, so none is missed. */
export function greet(state: Membership, peer: PeerId): void {
  ping(state, peer, nextSeq(state.probing), true)
}

/** Connected but alone: the first greeting was lost. */
function greetAnyone(state: Membership): void {
  const peer = [...state.connected][pick(state.random, state.connected.size)]
  if (peer !== undefined) greet(state, peer)
}

/** Takes a new member into this round, at a random place (SWIM §4.3). */
export function enlist(state: Membership, id: PeerId): void {
  const { ring, next } = state.probing
  if (ring.length > 2 * livingCount(state)) return // members that come and go; the next round has it
  ring.splice(next + pick(state.random, ring.length - next + 1), 0, id)
}

/** Probes it as soon as there is room, out of turn. */
export function hasten(state: Membership, id: PeerId): void {
  if (state.probing.urgent.size < GOSSIP_LIMITS.urgent) state.probing.urgent.add(id)
}

export function startUrgent(state: Membership, nowMs: number): void {
  const { urgent, probes } = state.probing
  for (const id of urgent) {
    if (probes.size >= GOSSIP_LIMITS.probes) return
    urgent.delete(id)
    if (isProbed(state, id)) startProbe(state, id, nowMs)
  }
}

/** After a stall: answers may wait unread behind it, so nothing outstanding is evidence. */
export function voidProbes(state: Membership, nowMs: number): void {
  const { probing, config } = state
  for (const { target } of probing.probes.values()) hasten(state, target)
  probing.probes.clear()
  probing.relays.clear()
  probing.dueMs = nowMs + config.probeTimeoutMs
  probing.retryDueMs = Math.max(probing.retryDueMs, nowMs)
}

function healthFactor(state: Membership): number {
  return 1 + state.health
}

function nextSeq(probing: Probing): number {
  probing.seq = (probing.seq + 1) >>> 0
  return probing.seq
}

function ping(state: Membership, to: PeerId, seq: number, introduce = false): void {
  const known = state.table.known.has(to)
  const rumours = compose(state, to, introduce || !known)
  send(state, to, { type: 'ping', seq, digest: digestOf(state.table), rumours })
}

function isProbed(state: Membership, id: PeerId): boolean {
  const known = state.table.known.get(id)
  return id !== state.self && known !== undefined && isLiving(known.member.state)
}

function nextTarget(state: Membership): PeerId | undefined {
  const { probing, table, random } = state
  for (let round = 0; round < 2; round++) {
    while (probing.next < probing.ring.length) {
      const id = probing.ring[probing.next++] as PeerId
      if (isProbed(state, id)) return id
    }
    probing.ring = shuffle(random, [...table.living])
    probing.next = 0
  }
  return undefined
}

function startProbe(state: Membership, target: PeerId, nowMs: number): void {
  const { probing, config } = state
  if (probing.probes.size >= GOSSIP_LIMITS.probes) return
  for (const probe of probing.probes.values()) if (probe.target === target) return
  const seq = nextSeq(probing)
  const factor = healthFactor(state)
  const dueMs = nowMs + config.probeTimeoutMs * factor
  const endMs = nowMs + config.probeIntervalMs * factor
  probing.probes.set(seq, { seq, target, helpers: undefined, nacks: 0, dueMs, endMs })
  ping(state, target, seq)
}

/** Up to so many members SWIM's k is enough. A guess. */
const HELPED_MEMBERS = 100
/** Members times this need one helper more: at 10% loss one helper in three fails to get through. */
const HELPER_FACTOR = 3

/**
 * How many are asked to probe in our place. Each false accusation is told to all, so that what a member hears
 * of them would grow with the members; with a few more to ask they stay as rare in the whole network.
 */
function helpersFor({ indirectProbes }: Membership['config'], members: number): number {
  const more = Math.log(members / HELPED_MEMBERS) / Math.log(HELPER_FACTOR)
  return indirectProbes + Math.max(0, Math.ceil(more))
}

function askOthers(state: Membership, probe: Probe): void {
  const { config, random, table } = state
  const { target, seq } = probe
  const fits = (id: PeerId) =>
    id !== state.self && id !== target && table.known.get(id)?.member.state !== 'suspect'
  probe.helpers = drawSome(table.living, helpersFor(config, livingCount(state)), random, fits)
  probe.dueMs = probe.endMs
  // Once more ourselves too: at 10% loss that makes a false accusation, which all hear of, five times rarer.
  ping(state, target, seq)
  for (const helper of probe.helpers) {
    send(state, helper, { type: 'probe', seq, target, rumours: compose(state, helper) })
  }
}

function succeed(state: Membership, probe: Probe): void {
  state.probing.probes.delete(probe.seq)
  state.health = Math.max(0, state.health - 1)
}

function fail(state: Membership, probe: Probe, nowMs: number): void {
  state.probing.probes.delete(probe.seq)
  // Lifeguard §4.1: helpers that say nothing either mean that the fault is here. Most of them, since
  // at 10% loss one of three is missed in every other round.
  const helpers = probe.helpers?.length ?? 0
  if (probe.nacks * 2 < helpers || (helpers === 0 && livingCount(state) > 2)) worsen(state)
  const member = state.table.known.get(probe.target)?.member
  if (member === undefined || !isLiving(member.state)) return
  accuse(state, { id: member.id, incarnation: member.incarnation, accuser: state.self }, nowMs)
  hasten(state, member.id) // until it refutes or dies: an answer brings the refutation with it
}

/** So that two halves of a partition find each other again. */
function retryDead(state: Membership): void {
  const id = draw(state.table.dead, state.random)
  const member = id === undefined ? undefined : state.table.known.get(id)?.member
  if (member === undefined) return
  state.out.push({ type: 'dial', peer: member.id, addresses: member.addresses })
  greet(state, member.id)
}
