/**
 * Runs any number of cores in virtual time: the second of the two things that feed a node (the first is
 * libp2p with a disk). Everything that happens follows from the seed; `hash` says whether two runs were
 * the same. Messages cross as bytes, so that the wire is tested too.
 */

import { type PeerId, type Random, seeded } from '@cairn/core'
import { FNV_PRIME, folded } from './hash.ts'
import {
  connect,
  copies,
  createNetwork,
  delayMs,
  disconnectAll,
  isConnected,
  type Link,
  type Network,
  reaches
} from './network.ts'
import { createQueue, dequeue, enqueue, nextMs, type Queue } from './queue.ts'

/** What the simulator itself tells a core. */
export type NetworkEvent<Message> =
  | { type: 'tick' }
  | { type: 'message'; from: PeerId; message: Message }
  | { type: 'connected'; peer: PeerId }
  | { type: 'disconnected'; peer: PeerId }

/** What it does for a core; other actions only go to `observe`. */
export type NetworkAction<Message> =
  | { type: 'send'; to: PeerId; message: Message }
  | { type: 'dial'; peer: PeerId | undefined; addresses: readonly string[] }

export interface Core<Message, Event, Action> {
  step(event: Event | NetworkEvent<Message>, nowMs: number): readonly (Action | NetworkAction<Message>)[]
  deadline(): number
}

/** How a message becomes bytes. */
export interface Wire<Message> {
  encode(message: Message): Uint8Array
  /** @throws CairnError BAD_MESSAGE */
  decode(bytes: Uint8Array): Message
}

export interface SimulationOptions<Message, Event, Action> {
  seed: number
  nodes: number
  link: Link
  wire: Wire<Message>
  /** The largest message that the protocol allows. */
  messageBytesMax: number
  /** A node's core, at first and after each restart (`life` 1, 2, …). */
  create(node: number, life: number, random: Random, nowMs: number): Core<Message, Event, Action>
  observe(node: number, action: Action | NetworkAction<Message>, nowMs: number): void
}

/** A node's own clock: what its core takes for the time. It never goes back, as no monotonic clock does. */
export interface Clock {
  /** Virtual time and the node's own when the clock was last set, and its milliseconds in one of ours. */
  setMs: number
  ownMs: number
  rate: number
}

interface Node<Message, Event, Action> {
  core: Core<Message, Event, Action>
  life: number
  up: boolean
  /** Frozen or stalled: what reaches it waits until then. */
  heldUntilMs: number
  held: (Event | NetworkEvent<Message>)[]
  /** When its timer goes off. */
  timerMs: number
  /** Connections being made, and when they will be. */
  dialling: Map<number, number>
}

export interface Simulation<Message, Event, Action> {
  readonly options: SimulationOptions<Message, Event, Action>
  readonly network: Network
  readonly nodes: Node<Message, Event, Action>[]
  readonly clocks: Clock[]
  readonly queue: Queue<() => void>
  nowMs: number
  /** FNV-1a over all that happened: time, node, what. */
  hash: number
  messages: number
  bytes: number
}

/** Names that were given: one string each, so that looking members up need not hash it again. */
const NAMES: PeerId[] = []

/** A node's name, and its one address. */
export function peerOf(node: number): PeerId {
  NAMES[node] ??= `node-${node}` as PeerId
  return NAMES[node]
}

export function nodeOf(name: string): number {
  return Number(name.slice('node-'.length))
}

export function createSimulation<Message, Event, Action>(
  options: SimulationOptions<Message, Event, Action>
): Simulation<Message, Event, Action> {
  const network = createNetwork(options.nodes, options.link, seeded(options.seed))
  const nodes: Node<Message, Event, Action>[] = []
  const queue = createQueue<() => void>()
  const clocks = Array.from({ length: options.nodes }, () => ({ setMs: 0, ownMs: 0, rate: 1 }))
  const sim = { options, network, nodes, clocks, queue, nowMs: 0, hash: 0x811c9dc5, messages: 0, bytes: 0 }
  for (let node = 0; node < options.nodes; node++) {
    nodes.push(birth(sim, node, 0))
    arm(sim, node)
  }
  return sim
}

/** Runs until the time given. */
export function runTo<M, E, A>(sim: Simulation<M, E, A>, untilMs: number): void {
  while (nextMs(sim.queue) <= untilMs) {
    sim.nowMs = nextMs(sim.queue)
    dequeue(sim.queue)?.()
  }
  sim.nowMs = untilMs
}

/** Runs until it holds, looking every `stepMs`; how long that took, undefined if over `limitMs`. */
export function runUntil<M, E, A>(
  sim: Simulation<M, E, A>,
  limitMs: number,
  holds: () => boolean,
  stepMs = 10
): number | undefined {
  const startMs = sim.nowMs
  while (!holds()) {
    if (sim.nowMs - startMs >= limitMs) return undefined
    runTo(sim, sim.nowMs + stepMs)
  }
  return sim.nowMs - startMs
}

/** Gives a node an event from outside: of a person, the disk, the local network. */
export function feed<M, E, A>(sim: Simulation<M, E, A>, node: number, event: E | NetworkEvent<M>): void {
  deliver(sim, node, event)
}

/** The process is gone: its sockets close, and those whose network allows it notice. */
export function kill<M, E, A>(sim: Simulation<M, E, A>, node: number): void {
  const state = at(sim, node)
  record(sim, node, 'kill')
  state.up = false
  state.life++
  for (const peer of disconnectAll(sim.network, node)) {
    if (!reaches(sim.network, node, peer)) continue // its socket stays open, and silent
    const { life } = at(sim, peer)
    enqueue(sim.queue, sim.nowMs + delayMs(sim.network), () => {
      if (at(sim, peer).life === life && !isConnected(sim.network, node, peer)) {
        deliver(sim, peer, { type: 'disconnected', peer: peerOf(node) })
      }
    })
  }
}

/** Starts the same node again, with a new core. */
export function restart<M, E, A>(sim: Simulation<M, E, A>, node: number): void {
  if (at(sim, node).up) kill(sim, node)
  record(sim, node, 'restart')
  sim.nodes[node] = birth(sim, node, at(sim, node).life)
  arm(sim, node)
}

/** It stops for so long, sockets open: a stalled event loop, a suspended machine, SIGSTOP. */
export function stall<M, E, A>(sim: Simulation<M, E, A>, node: number, forMs: number): void {
  const state = at(sim, node)
  record(sim, node, 'stall')
  state.heldUntilMs = sim.nowMs + forMs
  if (forMs === Number.POSITIVE_INFINITY) return
  const { life } = state
  enqueue(sim.queue, state.heldUntilMs, () => {
    if (at(sim, node).life === life) release(sim, node)
  })
}

export function freeze<M, E, A>(sim: Simulation<M, E, A>, node: number): void {
  stall(sim, node, Number.POSITIVE_INFINITY)
}

export function thaw<M, E, A>(sim: Simulation<M, E, A>, node: number): void {
  at(sim, node).heldUntilMs = sim.nowMs
  release(sim, node)
}

/** Sets a node's clock forward, or changes its speed. */
export function setClock<M, E, A>(
  sim: Simulation<M, E, A>,
  node: number,
  { jumpMs = 0, rate }: { jumpMs?: number; rate?: number }
): void {
  const clock = sim.clocks[node] as Clock
  clock.ownMs = ownTime(sim, node) + Math.max(0, jumpMs)
  clock.setMs = sim.nowMs
  clock.rate = rate ?? clock.rate
  if (!at(sim, node).up) return
  at(sim, node).timerMs = Number.POSITIVE_INFINITY
  arm(sim, node)
}

function ownTime<M, E, A>(sim: Simulation<M, E, A>, node: number): number {
  const { setMs, ownMs, rate } = sim.clocks[node] as Clock
  return ownMs + (sim.nowMs - setMs) * rate
}

/** When a node's clock will show a time. */
function timeOf<M, E, A>(sim: Simulation<M, E, A>, node: number, ownMs: number): number {
  const clock = sim.clocks[node] as Clock
  return clock.setMs + (ownMs - clock.ownMs) / clock.rate
}

function at<M, E, A>(sim: Simulation<M, E, A>, node: number): Node<M, E, A> {
  const state = sim.nodes[node]
  if (state === undefined) throw new RangeError(`no node ${node}`)
  return state
}

function birth<M, E, A>(sim: Simulation<M, E, A>, node: number, life: number): Node<M, E, A> {
  const random = seeded((sim.options.seed * 1_000_003 + node * 8_191 + life) | 0)
  const core = sim.options.create(node, life, random, ownTime(sim, node))
  const timerMs = Number.POSITIVE_INFINITY
  return { core, life, up: true, heldUntilMs: 0, held: [], timerMs, dialling: new Map() }
}

function release<M, E, A>(sim: Simulation<M, E, A>, node: number): void {
  const state = at(sim, node)
  const waiting = state.held
  state.held = []
  for (const event of waiting) deliver(sim, node, event)
}

function deliver<M, E, A>(sim: Simulation<M, E, A>, node: number, event: E | NetworkEvent<M>): void {
  const state = at(sim, node)
  if (!state.up) return
  if (sim.nowMs < state.heldUntilMs) {
    state.held.push(event)
    return
  }
  record(sim, node, (event as { type: string }).type)
  for (const action of state.core.step(event, ownTime(sim, node))) perform(sim, node, action)
  arm(sim, node)
}

function perform<M, E, A>(sim: Simulation<M, E, A>, node: number, action: A | NetworkAction<M>): void {
  sim.options.observe(node, action, sim.nowMs)
  const known = action as NetworkAction<M>
  if (known.type === 'send') send(sim, node, nodeOf(known.to), known.message)
  if (known.type === 'dial') dial(sim, node, nodeOf(known.peer ?? known.addresses[0] ?? ''))
}

/** Sets the node's timer. One that goes off early finds nothing due and is set again. */
function arm<M, E, A>(sim: Simulation<M, E, A>, node: number): void {
  const state = at(sim, node)
  const dueMs = Math.max(Math.ceil(timeOf(sim, node, state.core.deadline())), sim.nowMs + 1)
  if (dueMs >= state.timerMs || dueMs === Number.POSITIVE_INFINITY) return
  state.timerMs = dueMs
  enqueue(sim.queue, dueMs, () => {
    if (sim.nodes[node] !== state || state.timerMs !== dueMs) return
    state.timerMs = Number.POSITIVE_INFINITY
    if (timeOf(sim, node, state.core.deadline()) <= sim.nowMs) deliver(sim, node, { type: 'tick' })
    else arm(sim, node)
  })
}

function send<M, E, A>(sim: Simulation<M, E, A>, from: number, to: number, message: M): void {
  const bytes = sim.options.wire.encode(message)
  if (bytes.length > sim.options.messageBytesMax) throw new RangeError(`a message of ${bytes.length} bytes`)
  sim.messages++
  sim.bytes += bytes.length
  const readyMs = dial(sim, from, to)
  if (readyMs === undefined) return
  if (readyMs <= sim.nowMs) transmit(sim, from, to, bytes)
  else enqueue(sim.queue, readyMs, () => transmit(sim, from, to, bytes))
}

function transmit<M, E, A>(sim: Simulation<M, E, A>, from: number, to: number, bytes: Uint8Array): void {
  if (!isConnected(sim.network, from, to)) return
  const { life } = at(sim, to)
  for (const delay of copies(sim.network, from, to)) {
    enqueue(sim.queue, sim.nowMs + delay, () => {
      if (at(sim, to).life !== life) return
      sim.hash = folded(sim.hash, bytes)
      const message = sim.options.wire.decode(bytes)
      deliver(sim, to, { type: 'message', from: peerOf(from), message })
    })
  }
}

/** Connects unless connected; returns when that is done, undefined when there is nobody to connect to. */
function dial<M, E, A>(sim: Simulation<M, E, A>, from: number, to: number): number | undefined {
  const { network } = sim
  const [caller, callee] = [at(sim, from), at(sim, to)]
  if (from === to || isConnected(network, from, to)) return sim.nowMs
  const under = caller.dialling.get(to) ?? callee.dialling.get(from)
  if (under !== undefined && under > sim.nowMs) return under
  if (!callee.up || callee.heldUntilMs > sim.nowMs) return undefined
  if (!reaches(network, from, to) || !reaches(network, to, from)) return undefined
  const readyMs = sim.nowMs + delayMs(network) + delayMs(network)
  const lives = [caller.life, callee.life]
  caller.dialling.set(to, readyMs)
  enqueue(sim.queue, readyMs, () => {
    caller.dialling.delete(to)
    if (at(sim, from).life !== lives[0] || at(sim, to).life !== lives[1]) return
    connect(network, from, to)
    deliver(sim, from, { type: 'connected', peer: peerOf(to) })
    deliver(sim, to, { type: 'connected', peer: peerOf(from) })
  })
  return readyMs
}

function record<M, E, A>(sim: Simulation<M, E, A>, node: number, what: string): void {
  fold(sim, sim.nowMs)
  fold(sim, node)
  let hash = sim.hash
  for (let i = 0; i < what.length; i++) hash = Math.imul(hash ^ what.charCodeAt(i), FNV_PRIME)
  sim.hash = hash >>> 0
}

function fold<M, E, A>(sim: Simulation<M, E, A>, value: number): void {
  sim.hash = Math.imul(sim.hash ^ value, FNV_PRIME) >>> 0
}
