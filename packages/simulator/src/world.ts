/**
 * A simulated network as a scenario treats it, with the account of what was done to whom: by it a run is
 * judged. Whatever a fault took from a node is written down here, and only that may be missing.
 */
import { type BlockKey, type HeldClaim, isEnded, mergeClaims, type Random, seeded } from '@cairn/core'
import { type Cluster, diskOf, type LetGo, type Put, reopenDisk, simulateCluster } from './cluster.ts'
import { copyOf, createDisk, cutPower, type SimulatedDisk, tear } from './disk.ts'
import { enqueue } from './queue.ts'
import { feed, kill, nodeOf, peerOf, restart } from './run.ts'
import type { Scenario } from './scenario.ts'

export interface World {
  readonly scenario: Scenario
  readonly cluster: Cluster
  /** For choices within a step: which copies rot, who goes first. */
  readonly random: Random
  readonly puts: { record: Put; keys: readonly BlockKey[] }[]
  /** Puts that are no longer wanted, and each time that somebody said so. */
  readonly ends: Map<Put, Put[]>
  /** Nodes that take no part yet, and those that left for good. */
  readonly outside: Set<number>
  readonly left: Set<number>
  /** `node key`: when a fault last took that copy. */
  readonly taken: Map<string, number>
  /** Copies that rotted, and when: `node key`. */
  readonly rotted: Map<string, number>
  /** When a damaged copy was last found, and put aside: what is signed after that is of another copy. */
  readonly found: Map<string, number>
  readonly backups: Map<number, SimulatedDisk>
  /** Their power fails with the next receipt that they give. */
  readonly armed: Set<number>
  /** What happened, for whoever looks into a failure. */
  readonly log: string[]
  /** What must never be, as it was found. */
  readonly wrong: string[]
  /** The copies let go of, by key; how many were counted in, and how many judged. */
  readonly letGo: { byKey: Map<BlockKey, LetGo[]>; seen: number; judged: number }
  /** What the checks saw last: the disks, their versions, and how much clients had been told. */
  readonly looked: { disks: SimulatedDisk[]; versions: number[]; told: number }
}

/** The knobs of a version that is not the others'. */
const SKEWED = { repairDelayMs: 20_000, compareIdleMs: 9_000, probeIntervalMs: 1_500, suspicionMinMs: 4_000 }

export function createWorld(scenario: Scenario): World {
  const { seed, nodes, zones, config, link, skewed } = scenario
  const isSkewed = new Set(skewed)
  const cluster = simulateCluster({
    ...{ seed, nodes, link, config },
    zone: (node) => zones[node],
    configOf: (node) => (isSkewed.has(node) ? SKEWED : {}),
    // One node in five has forgotten its incarnation whenever it starts, as after a restored home.
    incarnation: (node, life) => (node % 5 === 4 ? 0 : life)
  })
  const random = seeded(seed * 104_729 + 3)
  const sets = { outside: new Set(scenario.outside), left: new Set<number>() }
  const times = { taken: new Map(), rotted: new Map(), found: new Map<string, number>() }
  const maps = { ...times, backups: new Map(), armed: new Set<number>() }
  const letGo = { byKey: new Map(), seen: 0, judged: 0 }
  const world: World = {
    scenario,
    cluster,
    random,
    puts: [],
    ends: new Map(),
    ...sets,
    ...maps,
    log: [],
    wrong: [],
    letGo,
    looked: { disks: [], versions: [], told: -1 }
  }
  cluster.receipted = (node, keys) => {
    if (keys.length > 0 && world.armed.delete(node)) cutPowerOf(world, node)
  }
  cluster.quarantined = (node, key) => {
    if (world.rotted.has(`${node} ${key}`)) world.found.set(`${node} ${key}`, cluster.nowMs)
  }
  for (let node = 0; node < nodes; node++) if (!world.outside.has(node)) join(world, node)
  return world
}

export function note({ cluster, log }: World, what: string): void {
  log.push(`${cluster.nowMs} ${what}`)
}

export function isUp({ cluster, left }: World, node: number): boolean {
  return cluster.nodes[node]?.up === true && !left.has(node)
}

/** Takes part, is up, and runs. */
export function isActive(world: World, node: number): boolean {
  return isUp(world, node) && !world.outside.has(node)
}

export function isHeld({ cluster }: World, node: number): boolean {
  return (cluster.nodes[node]?.heldUntilMs ?? 0) > cluster.nowMs
}

export function activeNodes(world: World): number[] {
  return [...world.cluster.nodes.keys()].filter((node) => isActive(world, node))
}

export function join({ cluster, outside }: World, node: number): void {
  const others = [...cluster.nodes.keys()].filter((other) => other !== node && !outside.has(other))
  const addresses = others.map(peerOf)
  feed(cluster, node, { type: 'join', addresses })
}

/** The process ends: what was not synced is gone. */
export function crash({ cluster }: World, node: number): void {
  kill(cluster, node)
  tear(diskOf(cluster, node))
}

export function cutPowerOf(world: World, node: number): void {
  const { cluster } = world
  crash(world, node)
  for (const key of cutPower(diskOf(cluster, node), cluster.nowMs)) take(world, node, key)
}

export function start(world: World, node: number): void {
  if (world.left.has(node) || world.outside.has(node)) return
  const { cluster } = world
  if (cluster.nodes[node]?.up) crash(world, node)
  restart(cluster, node)
  reopenDisk(cluster, node)
  join(world, node)
}

/** Runs it after so long, whatever became of the nodes. */
export function after({ cluster }: World, ms: number, run: () => void): void {
  enqueue(cluster.queue, cluster.nowMs + ms, run)
}

/** A fault took this copy. */
export function take({ cluster, taken }: World, node: number, key: BlockKey): void {
  taken.set(`${node} ${key}`, cluster.nowMs)
}

/** Another disk in place of a node's: an empty one, or its own as it once was. */
export function exchangeDisk(world: World, node: number, backup: SimulatedDisk | undefined): void {
  const { cluster } = world
  crash(world, node)
  const before = diskOf(cluster, node)
  const next = backup === undefined ? createDisk(before.sha256) : copyOf(backup)
  for (const key of before.blocks.keys()) if (!next.blocks.has(key)) take(world, node, key)
  // A receipt may be on its way, or answer for what was damaged and is being fetched again.
  for (const { keys } of world.puts) for (const key of keys) if (!next.blocks.has(key)) take(world, node, key)
  for (const key of next.rotten) world.rotted.set(`${node} ${key}`, cluster.nowMs)
  cluster.disks[node] = next
  start(world, node)
}

/** From a promise to the deletion it was given for, at most: the attempt's limit and a stall. */
export const PROMISE_AGE_MS = 60_000

/**
 * Who answers for a block that was acknowledged: those that signed for it, and, in place of each that let its
 * copy go, those that promised it to keep theirs; but for those from which a fault has taken it since.
 */
export function keepersOf(world: World, record: Put, key: BlockKey): number[] {
  const { settled, startedMs, signedMs } = record
  const receipts = settled?.find((block) => block.key === key)?.receipts ?? []
  const sinceMs = new Map(
    receipts.map((id) => [nodeOf(id), signedMs.get(`${nodeOf(id)} ${key}`) ?? startedMs])
  )
  for (const { node, atMs, promised } of letGoOf(world, key)) {
    const signed = sinceMs.get(node) ?? Number.POSITIVE_INFINITY
    if (atMs < signed) continue
    sinceMs.delete(node)
    const gone = lostMs(world, node, key)
    if (gone >= signed && gone <= atMs) continue // what it let go was another copy, got since
    for (const other of promised) sinceMs.set(other, Math.max(startedMs, atMs - PROMISE_AGE_MS))
  }
  return [...sinceMs].flatMap(([node, ms]) => {
    const isRotten = diskOf(world.cluster, node).rotten.has(key) // nobody knows yet
    return lostMs(world, node, key) < ms && !isRotten && !world.left.has(node) ? [node] : []
  })
}

/** When a fault last took a node's copy, or showed it to be damaged. */
function lostMs({ taken, found }: World, node: number, key: BlockKey): number {
  const id = `${node} ${key}`
  return Math.max(taken.get(id) ?? -1, found.get(id) ?? -1)
}

/** The copies of a block that were let go of, in order. */
export function letGoOf({ cluster, letGo }: World, key: BlockKey): readonly LetGo[] {
  for (; letGo.seen < cluster.letGo.length; letGo.seen++) {
    const one = cluster.letGo[letGo.seen] as LetGo
    letGo.byKey.set(one.key, [...(letGo.byKey.get(one.key) ?? []), one])
  }
  return letGo.byKey.get(key) ?? []
}

/** All nodes, up or down, but for those that left. */
function remaining({ cluster, left }: World): number[] {
  return [...cluster.disks.keys()].filter((node) => !left.has(node))
}

/** All claims, as these disks together have them, on each block on which one is known to have ended. */
function claimsWithEnds({ cluster }: World, among: readonly number[]): Map<BlockKey, HeldClaim[]> {
  const claims = new Map<BlockKey, HeldClaim[]>()
  const disks = among.map((node) => diskOf(cluster, node))
  for (const disk of disks) {
    for (const key of disk.collected.keys()) claims.set(key, [])
    for (const [key, block] of disk.blocks) if (block.claims.some(({ live }) => !live)) claims.set(key, [])
  }
  for (const [key, known] of claims) {
    let all = known
    for (const { blocks, collected } of disks) {
      all = mergeClaims(all, blocks.get(key)?.claims ?? collected.get(key) ?? [])
    }
    claims.set(key, all)
  }
  return claims
}

/** The blocks that nobody wants any more, as far as these nodes together know. */
export function endedKeys(world: World, among = remaining(world)): Set<BlockKey> {
  const ended = [...claimsWithEnds(world, among)].filter(([, claims]) => isEnded(claims))
  return new Set(ended.map(([key]) => key))
}

/** Blocks that somebody has, and nobody wants. */
export function unwantedOf(world: World): BlockKey[] {
  const disks = remaining(world).map((node) => diskOf(world.cluster, node))
  return [...endedKeys(world)].filter((key) => disks.some(({ blocks }) => blocks.has(key)))
}

/** What was ended, and is wanted again though one that signed for its end lost it to no fault. */
export function undoneEnds(world: World): BlockKey[] {
  const all = claimsWithEnds(world, remaining(world))
  return [...world.ends].flatMap(([put, ends]) =>
    [...put.claims.keys()].filter((key) => {
      const claimant = put.claims.get(key)?.claimant
      const isLive = all.get(key)?.some((claim) => claim.claimant === claimant && claim.live)
      return isLive === true && ends.some((end) => keepersOf(world, end, key).length > 0)
    })
  )
}

/**
 * Every block that some node, up or down, has a good copy of, but for those that left, and that somebody
 * wants.
 */
export function heldKeys(world: World): Set<BlockKey> {
  const keys = new Set<BlockKey>()
  for (const node of remaining(world)) {
    for (const [key, { corrupt }] of diskOf(world.cluster, node).blocks) if (!corrupt) keys.add(key)
  }
  for (const key of endedKeys(world)) keys.delete(key)
  return keys
}

/** Blocks that fewer of these nodes hold than should, of those that any of them has to give. */
export function shortAmong(world: World, among: readonly number[]): BlockKey[] {
  const { cluster, scenario } = world
  const wanted = Math.min(scenario.replicas, among.length)
  const copies = new Map<BlockKey, number>()
  for (const node of among) {
    if (!cluster.nodes[node]?.up) continue
    for (const [key, { corrupt }] of diskOf(cluster, node).blocks) {
      if (!corrupt) copies.set(key, (copies.get(key) ?? 0) + 1)
    }
  }
  const short = [...copies].filter(([, count]) => count < wanted).map(([key]) => key)
  if (short.length === 0) return short
  const ended = endedKeys(world, [...among])
  return short.filter((key) => !ended.has(key))
}
