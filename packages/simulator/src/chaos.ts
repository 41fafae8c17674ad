/**
 * A random schedule of faults over one cluster, drawn from its seed, with puts and reads going on: kills,
 * stalls, freezes, restarts, replaced and full disks, damaged copies, cuts, partitions, loss, joins, leaves.
 * Keeps the account of what was acknowledged and of what was done to whom, by which a run is judged.
 */
import {
  type BlockKey,
  type HeldClaim,
  isEnded,
  leftToHandOver,
  mergeClaims,
  type PeerId,
  pick,
  type Random,
  seeded,
  shuffle
} from '@cairn/core'
import {
  type Cluster,
  copiesOf,
  diskOf,
  endPut,
  freshKeys,
  type Put,
  put,
  quarantine,
  read,
  reopenDisk,
  simulateCluster
} from './cluster.ts'
import { createDisk } from './disk.ts'
import { cut, heal, LAN, LOSSY, partition } from './network.ts'
import { feed, freeze, kill, nodeOf, peerOf, restart, runTo, stall, thaw } from './run.ts'

/** Faults come this far apart, on average, ms. */
const FAULT_GAP_MS = 2_500
/** Blocks that a small disk holds. */
const SMALL_DISK = 40
const REPLICAS = 3
/** From a promise to the deletion it was given for, at most: the attempt's limit and a stall. */
const PROMISE_AGE_MS = 60_000

export interface Chaos {
  readonly cluster: Cluster
  readonly random: Random
  readonly puts: { record: Put; keys: readonly BlockKey[] }[]
  /** Puts whose claims somebody set out to end. */
  readonly ended: Set<Put>
  /** What became of each node: those never joined, gone for good, and since when a disk is what it is. */
  readonly outside: Set<number>
  readonly left: Set<number>
  readonly diskSinceMs: number[]
  /** Copies put aside as damaged: `node key`. */
  readonly damaged: Set<string>
  /** What happened, for whoever looks into a failure. */
  readonly log: string[]
}

export function startChaos(seed: number): Chaos {
  const random = seeded(seed * 7_919 + 1)
  const nodes = 5 + pick(random, 4)
  const link = pick(random, 2) === 0 ? LAN : LOSSY
  const cluster = simulateCluster({
    seed,
    nodes,
    link,
    config: {
      repairDelayMs: 3_000,
      releaseAfterMs: 2_000,
      releaseRetryMs: 5_000,
      collectGraceMs: 3_000,
      collectedTellMs: 20_000
    }
  })
  const outside = new Set(Array.from({ length: pick(random, 3) }, (_, i) => nodes - 1 - i))
  const none = {
    puts: [],
    ended: new Set<Put>(),
    left: new Set<number>(),
    damaged: new Set<string>(),
    log: []
  }
  const chaos = { cluster, random, outside, diskSinceMs: new Array<number>(nodes).fill(0), ...none }
  if (pick(random, 3) === 0) diskOf(cluster, pick(random, nodes)).limit = SMALL_DISK
  for (let node = 1; node < nodes; node++) if (!outside.has(node)) join(chaos, node)
  return chaos
}

/** Lets faults happen for so long, and puts and reads with them. */
export function faultsFor(chaos: Chaos, forMs: number): void {
  const { cluster, random } = chaos
  const untilMs = cluster.nowMs + forMs
  while (cluster.nowMs < untilMs) {
    runTo(cluster, cluster.nowMs + 1 + pick(random, 2 * FAULT_GAP_MS))
    const choice = pick(random, 100)
    if (choice < 30) putSome(chaos)
    else if (choice < 35) putAgain(chaos)
    else if (choice < 45) endSome(chaos)
    else if (choice < 55) readSome(chaos)
    else fault(chaos)
  }
}

/** Ends all faults: everyone is up, connected and running again, but for those that left. */
export function calm(chaos: Chaos): void {
  const { cluster } = chaos
  note(chaos, 'calm')
  heal(cluster.network)
  cluster.network.link = LAN
  for (const [node, { up, heldUntilMs }] of cluster.nodes.entries()) {
    if (chaos.left.has(node)) continue
    // One that did not get done with leaving has changed its mind.
    if (!up || cluster.cores[node]?.placed.state === 'leaving') start(chaos, node)
    else if (heldUntilMs > cluster.nowMs) thaw(cluster, node)
    join(chaos, node)
  }
  chaos.outside.clear()
}

function note({ cluster, log }: Chaos, what: string): void {
  log.push(`${cluster.nowMs} ${what}`)
}

/** Nodes that take part and are up. */
function upNodes({ cluster, outside, left }: Chaos): number[] {
  return [...cluster.nodes.keys()].filter(
    (node) => cluster.nodes[node]?.up && !outside.has(node) && !left.has(node)
  )
}

function anyOf<T>({ random }: Chaos, items: readonly T[]): T | undefined {
  return items[pick(random, Math.max(1, items.length))]
}

function join({ cluster }: Chaos, node: number): void {
  const addresses = [...cluster.nodes.keys()].filter((other) => other !== node).map(peerOf)
  feed(cluster, node, { type: 'join', addresses })
}

function start(chaos: Chaos, node: number): void {
  restart(chaos.cluster, node)
  reopenDisk(chaos.cluster, node)
  join(chaos, node)
}

function putSome(chaos: Chaos): void {
  const { cluster, random, puts } = chaos
  const node = anyOf(chaos, upNodes(chaos))
  if (node === undefined) return
  const ack = (['all', 'all', 'quorum', 'one'] as const)[pick(random, 4)] ?? 'all'
  const keys = freshKeys(cluster, 1 + pick(random, 12))
  puts.push({ keys, record: put(cluster, node, keys, { replicas: REPLICAS, ack }) })
}

/** The same blocks under another claim, mostly without their bytes: what a put does with what is held. */
function putAgain(chaos: Chaos): void {
  const { cluster, random, puts } = chaos
  const node = anyOf(chaos, upNodes(chaos))
  const some = anyOf(chaos, puts)
  if (node === undefined || some === undefined) return
  const { keys } = some
  const bytes = pick(random, 3) === 0
  puts.push({ keys, record: put(cluster, node, keys, { replicas: REPLICAS, bytes }) })
}

/** What was put is no longer wanted. */
function endSome(chaos: Chaos): void {
  const { cluster, puts, ended } = chaos
  const node = anyOf(chaos, upNodes(chaos))
  const some = anyOf(chaos, puts)
  if (node === undefined || some === undefined) return
  ended.add(some.record)
  endPut(cluster, node, some.record, some.keys)
}

function readSome(chaos: Chaos): void {
  const { cluster, puts } = chaos
  const node = anyOf(chaos, upNodes(chaos))
  const some = anyOf(chaos, puts)
  if (node === undefined || some === undefined) return
  for (const key of some.keys) if (!diskOf(cluster, node).blocks.has(key)) read(cluster, node, key, REPLICAS)
}

type Fault = (chaos: Chaos, node: number) => void

const FAULTS: Record<string, Fault> = {
  kill: ({ cluster }, node) => kill(cluster, node),
  'kill and start': (chaos, node) => {
    kill(chaos.cluster, node)
    runTo(chaos.cluster, chaos.cluster.nowMs + pick(chaos.random, 8_000))
    start(chaos, node)
  },
  start: (chaos) => {
    const { cluster, left, outside } = chaos
    const down = [...cluster.nodes.keys()].filter(
      (node) => !cluster.nodes[node]?.up && !left.has(node) && !outside.has(node)
    )
    const one = anyOf(chaos, down)
    if (one !== undefined) start(chaos, one)
  },
  stall: ({ cluster, random }, node) => stall(cluster, node, 500 + pick(random, 15_000)),
  freeze: ({ cluster }, node) => freeze(cluster, node),
  thaw: ({ cluster }) => {
    for (const [node, { heldUntilMs }] of cluster.nodes.entries()) {
      if (heldUntilMs === Number.POSITIVE_INFINITY) thaw(cluster, node)
    }
  },
  'replace the disk': (chaos, node) => {
    const { cluster } = chaos
    kill(cluster, node)
    cluster.disks[node] = createDisk(diskOf(cluster, node).sha256)
    chaos.diskSinceMs[node] = cluster.nowMs
    start(chaos, node)
  },
  damage: (chaos, node) => {
    const { cluster } = chaos
    const keys = [...diskOf(cluster, node).blocks.keys()]
    for (const key of shuffle(chaos.random, keys).slice(0, 3)) {
      chaos.damaged.add(`${node} ${key}`)
      quarantine(cluster, node, key, REPLICAS)
    }
  },
  cut: ({ cluster, random }, node) => cut(cluster.network, node, pick(random, cluster.nodes.length)),
  partition: ({ cluster, random }) => {
    const nodes = shuffle(random, [...cluster.nodes.keys()])
    partition(cluster.network, [nodes.slice(0, 1 + pick(random, nodes.length - 1))])
  },
  heal: ({ cluster }) => heal(cluster.network),
  loss: ({ cluster, random }) => {
    cluster.network.link = pick(random, 2) === 0 ? LAN : { ...LOSSY, loss: pick(random, 40) / 100 }
  },
  join: (chaos) => {
    const one = anyOf(chaos, [...chaos.outside])
    if (one === undefined) return
    chaos.outside.delete(one)
    join(chaos, one)
  },
  leave: (chaos, node) => leave(chaos, node)
}

function fault(chaos: Chaos): void {
  const names = Object.keys(FAULTS)
  const name = names[pick(chaos.random, names.length)] as string
  const node = anyOf(chaos, upNodes(chaos))
  // What is frozen can't be stalled or leave; two at least are left to go on with.
  const held = node === undefined || (chaos.cluster.nodes[node]?.heldUntilMs ?? 0) > chaos.cluster.nowMs
  if (node === undefined || (held && ['stall', 'freeze', 'leave', 'damage'].includes(name))) return
  note(chaos, `${name} ${node}`)
  FAULTS[name]?.(chaos, node)
}

/** Hands over and goes, if it gets done in time; else it stays leaving until it is started again. */
function leave(chaos: Chaos, node: number): void {
  const { cluster, left } = chaos
  if (cluster.nodes.length - left.size <= REPLICAS + 1) return
  feed(cluster, node, { type: 'leave' })
  const core = cluster.cores[node]
  for (let i = 0; i < 200; i++) {
    runTo(cluster, cluster.nowMs + 100)
    if (core === undefined || leftToHandOver(core).blocks > 0 || diskOf(cluster, node).changed.size > 0)
      continue
    feed(cluster, node, { type: 'left-now' })
    runTo(cluster, cluster.nowMs + 100)
    kill(cluster, node)
    left.add(node)
    note(chaos, `${node} left`)
    return
  }
}

/** Signers of a block that still have what they signed for, and how many there were. */
export function signersOf(chaos: Chaos, record: Put, key: BlockKey): { all: PeerId[]; intact: PeerId[] } {
  const all = record.settled?.find((block) => block.key === key)?.receipts ?? []
  const intact = all.filter((id) => {
    const node = nodeOf(id)
    const isSame = (chaos.diskSinceMs[node] ?? 0) <= record.startedMs
    return isSame && !chaos.left.has(node) && !chaos.damaged.has(`${node} ${key}`)
  })
  return { all, intact }
}

/**
 * Copies let go of while a member whose promise they went on no longer has its own, though it neither lost
 * its disk nor left nor found the copy damaged, nor let it go on promises of its own since.
 */
export function brokenPromises({ cluster, diskSinceMs, left, damaged }: Chaos): string[] {
  const broken: string[] = []
  for (const { node, key, atMs, replicas, promised } of cluster.letGo) {
    if (promised.length < replicas || promised.includes(node))
      broken.push(`${node} let ${key} go on ${promised}`)
    for (const other of promised) {
      if (diskOf(cluster, other).blocks.has(key) || left.has(other) || damaged.has(`${other} ${key}`))
        continue
      const isReplaced = (diskSinceMs[other] ?? 0) > atMs - PROMISE_AGE_MS
      const wentLater = cluster.letGo.some((one) => one.node === other && one.key === key && one.atMs >= atMs)
      const isCollected = cluster.collected.some((one) => one.node === other && one.key === key)
      if (!isReplaced && !wentLater && !isCollected)
        broken.push(`${other} broke its promise of ${key} to ${node}`)
    }
  }
  return broken
}

/** Whether a node let a copy go that it had signed for before. */
export function hasLetGo({ cluster }: Chaos, node: number, key: BlockKey): boolean {
  return cluster.letGo.some((one) => one.node === node && one.key === key)
}

/**
 * Every block that some node, up or down, has a good copy of, but for those that left; and all claims
 * on it.
 */
function claimsOnAll({ cluster, left }: Chaos): Map<BlockKey, HeldClaim[]> {
  const all = new Map<BlockKey, HeldClaim[]>()
  for (const [node, disk] of cluster.disks.entries()) {
    if (left.has(node)) continue
    for (const [key, { claims }] of disk.blocks) all.set(key, mergeClaims(all.get(key) ?? [], claims))
  }
  for (const [node, disk] of cluster.disks.entries()) {
    if (left.has(node)) continue
    for (const [key, claims] of disk.collected) {
      const known = all.get(key)
      if (known !== undefined) all.set(key, mergeClaims(known, claims))
    }
  }
  return all
}

/** Blocks that somebody has and somebody claims, as all disks together know it. */
export function allKeys(chaos: Chaos): Set<BlockKey> {
  return new Set([...claimsOnAll(chaos)].filter(([, claims]) => !isEnded(claims)).map(([key]) => key))
}

/** Blocks that somebody has and nobody claims. */
export function garbageOf(chaos: Chaos): BlockKey[] {
  return [...claimsOnAll(chaos)].filter(([, claims]) => isEnded(claims)).map(([key]) => key)
}

/** Blocks that fewer living nodes hold than should. */
export function shortOf(chaos: Chaos): BlockKey[] {
  const { cluster } = chaos
  const living = upNodes(chaos).length
  return [...allKeys(chaos)].filter((key) => copiesOf(cluster, key).length < Math.min(REPLICAS, living))
}
