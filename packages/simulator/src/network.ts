/**
 * The network between simulated nodes: delay, loss, duplication, cuts in one direction, partitions, and
 * the account of who is connected to whom. Reordering follows from the delays.
 */

import { pick, type Random } from '@cairn/core'

export interface Link {
  delayMsMin: number
  delayMsMax: number
  /** Of messages, 0 … 1. Connections are still made: a handshake is sent again by TCP. */
  loss: number
  /** Of messages that arrive, 0 … 1. */
  duplication: number
}

export const LAN: Link = { delayMsMin: 1, delayMsMax: 1, loss: 0, duplication: 0 }
/** Between homes on a bad day; the figures of issue 3. */
export const LOSSY: Link = { delayMsMin: 1, delayMsMax: 50, loss: 0.1, duplication: 0.01 }

export interface Network {
  readonly random: Random
  link: Link
  /** Of each node: those that it is connected to. */
  readonly links: Set<number>[]
  /** `from * nodes + to`: what is sent so is lost. */
  readonly cuts: Set<number>
  /** Of each node: the side of the partition that it is on. */
  readonly sides: number[]
  /** Of each node's link to all others, bytes a millisecond each way. */
  readonly rates: number[]
  /** Until when its link is taken, up and down. */
  readonly upMs: number[]
  readonly downMs: number[]
}

/** Of a link that nobody has slowed down, bytes a millisecond: some 100 MB/s. */
export const FAST = 100_000

export function createNetwork(nodes: number, link: Link, random: Random): Network {
  const links = Array.from({ length: nodes }, () => new Set<number>())
  const each = (value: number) => new Array<number>(nodes).fill(value)
  const ways = { rates: each(FAST), upMs: each(0), downMs: each(0) }
  return { random, link, links, cuts: new Set(), sides: each(0), ...ways }
}

/** Sends bytes after all that is already on its way, and returns when the last of them is there. */
export function occupy(
  network: Network,
  { from, to, bytes }: { from: number; to: number; bytes: number },
  nowMs: number
): number {
  const { rates, upMs, downMs } = network
  const rate = Math.min(rates[from] ?? FAST, rates[to] ?? FAST)
  const startMs = Math.max(nowMs, upMs[from] ?? 0, downMs[to] ?? 0)
  const endMs = startMs + bytes / rate
  upMs[from] = endMs
  downMs[to] = endMs
  return Math.ceil(endMs)
}

export function reaches(network: Network, from: number, to: number): boolean {
  return network.sides[from] === network.sides[to] && !network.cuts.has(from * network.sides.length + to)
}

/** Cuts one direction; `heal` undoes all cuts. */
export function cut(network: Network, from: number, to: number): void {
  network.cuts.add(from * network.sides.length + to)
}

/** Those not named stay together on a side of their own. */
export function partition(network: Network, groups: readonly (readonly number[])[]): void {
  network.sides.fill(0)
  groups.forEach((group, i) => {
    for (const node of group) network.sides[node] = i + 1
  })
}

/** Two sides that only one node reaches both of. */
export function bridge(network: Network, over: number, side: readonly number[]): void {
  const isHere = new Set(side)
  for (let a = 0; a < network.sides.length; a++) {
    for (let b = 0; b < network.sides.length; b++) {
      if (a !== over && b !== over && isHere.has(a) !== isHere.has(b)) cut(network, a, b)
    }
  }
}

export function heal(network: Network): void {
  network.cuts.clear()
  network.sides.fill(0)
}

export function delayMs(network: Network): number {
  const { delayMsMin, delayMsMax } = network.link
  return delayMsMin + pick(network.random, delayMsMax - delayMsMin + 1)
}

/** How long each copy of one message takes; none when it is lost. */
export function copies(network: Network, from: number, to: number): number[] {
  const { random, link } = network
  if (!reaches(network, from, to) || random() < link.loss) return []
  return random() < link.duplication ? [delayMs(network), delayMs(network)] : [delayMs(network)]
}

export function isConnected(network: Network, a: number, b: number): boolean {
  return network.links[a]?.has(b) === true
}

export function connect(network: Network, a: number, b: number): void {
  network.links[a]?.add(b)
  network.links[b]?.add(a)
}

/** Closes all connections of a node and returns whose they were. */
export function disconnectAll(network: Network, node: number): number[] {
  const peers = [...(network.links[node] ?? [])]
  for (const peer of peers) network.links[peer]?.delete(node)
  network.links[node]?.clear()
  return peers
}
