/**
 * The two experiments about audits, each from a seed: honest members with slow disks, losses, restarts and
 * a lossy network, of whom none may be accused; and one that throws away a tenth of what it acknowledged,
 * who must be found, and whose blocks must have their copies again.
 */
import { type BlockKey, type Config, pick, type Random, seeded } from '@cairn/core'
import {
  type Cluster,
  copiesOf,
  diskOf,
  freshKeys,
  put,
  quarantine,
  reopenDisk,
  simulateCluster
} from './cluster.ts'
import { LAN, LOSSY } from './network.ts'
import { feed, peerOf, restart, runTo, runUntil, stall } from './run.ts'

/** Rounds often, so that an hour has thousands; what is judged still takes its minute. */
const OFTEN: Partial<Config> = { auditIntervalMs: 1_000, repairDelayMs: 3_000 }
/** Between the rounds of one member where cycles are counted, ms: all else is quick beside it. */
const ROUND_MS = 60_000

export interface HonestRun {
  rounds: number
  silent: number
  proven: number
  absent: number
  /** Must be none. */
  accused: number
}

/** Members that lie to nobody, until so many rounds have been answered or not. */
export function auditHonest(seed: number, rounds: number): HonestRun {
  const random = seeded(seed * 6_367 + 3)
  const nodes = 4 + pick(random, 5)
  const link = pick(random, 2) === 0 ? LAN : LOSSY
  const slowMs = () => slowness(random)
  const cluster = gather(simulateCluster({ seed, nodes, link, config: OFTEN, slowMs }))
  const keys = putSome(cluster, random, 200)
  let done = summed(cluster)
  const before: HonestRun = { rounds: 0, silent: 0, proven: 0, absent: 0, accused: 0 }
  while (before.rounds + done.rounds < rounds) {
    runTo(cluster, cluster.nowMs + 1 + pick(random, 20_000))
    if (disturb(cluster, random, keys)) add(before, done) // a restarted member forgets its account
    done = summed(cluster)
  }
  runTo(cluster, cluster.nowMs + 120_000) // all cases are judged
  add(before, { ...done, accused: 0 })
  return { ...before, accused: cluster.faults.length }
}

function add(to: HonestRun, { rounds, silent, proven, absent }: HonestRun): void {
  to.rounds += rounds
  to.silent += silent
  to.proven += proven
  to.absent += absent
}

/** What a read takes longer, ms: mostly little, sometimes more than anyone waits. */
function slowness(random: Random): number {
  const luck = pick(random, 100)
  return luck < 70 ? pick(random, 50) : luck < 95 ? pick(random, 5_000) : pick(random, 120_000)
}

/** Something happens to somebody. True when a member was restarted. */
function disturb(cluster: Cluster, random: Random, keys: BlockKey[]): boolean {
  const node = pick(random, cluster.nodes.length)
  const choice = pick(random, 10)
  if (choice < 4) {
    const held = [...diskOf(cluster, node).blocks.keys()]
    const safe = held.filter((key) => copiesOf(cluster, key).length > 1)
    for (let i = 0; i < 5 && safe.length > 0; i++)
      quarantine(cluster, node, safe.splice(pick(random, safe.length), 1)[0] as BlockKey)
  } else if (choice < 6) stall(cluster, node, pick(random, 90_000))
  else if (choice < 7) {
    restart(cluster, node)
    reopenDisk(cluster, node)
    join(cluster, node)
    return true
  } else if (choice < 9) {
    // The same blocks under another claim: their holders take it of each other, whole blocks and all.
    put(
      cluster,
      node,
      Array.from({ length: 10 }, () => keys[pick(random, keys.length)] as BlockKey)
    )
  } else keys.push(...putSome(cluster, random, 20))
  return false
}

function summed(cluster: Cluster): HonestRun {
  const sum: HonestRun = { rounds: 0, silent: 0, proven: 0, absent: 0, accused: cluster.faults.length }
  for (const { auditing } of cluster.cores) {
    for (const { proven, absent, silent, rounds } of auditing.audits.records.values()) {
      sum.rounds += rounds + silent
      sum.silent += silent
      sum.proven += proven
      sum.absent += absent
    }
  }
  return sum
}

export interface LiarRun {
  /** Whether it was found within three cycles, and in which. */
  found: boolean
  cycle: number
  /** Others accused: must be none. */
  falsely: number
  /** How long after it was found all that it dropped had its copies on others again, ms. */
  repairedMs: number | undefined
}

/** One member of five throws away a tenth of what it acknowledged, and lies about it. */
export function auditLiar(seed: number, lie: 'wrong' | 'asks'): LiarRun {
  const random = seeded(seed * 7_103 + 5)
  const nodes = 5
  const config = { auditIntervalMs: ROUND_MS }
  const cluster = gather(simulateCluster({ seed, nodes, link: LAN, config, lie }))
  const keys = putSome(cluster, random, 300)
  const liar = pick(random, nodes)
  const { blocks, dropped } = diskOf(cluster, liar)
  for (const key of blocks.keys()) if (pick(random, 10) === 0) dropped.add(key)
  const startMs = cluster.nowMs
  const cycleMs = (nodes - 1) * ROUND_MS
  // And the minute after which a request is judged.
  const took = runUntil(cluster, 3 * cycleMs + 90_000, () => cluster.faults.some(({ of }) => of === liar))
  const cycle = took === undefined ? 0 : Math.min(3, Math.ceil((cluster.nowMs - startMs) / cycleMs))
  const whole = () => keys.every((key) => copiesOf(cluster, key).length >= 3)
  const repairedMs = took === undefined ? undefined : runUntil(cluster, 120_000, whole)
  const falsely = cluster.faults.filter(({ of }) => of !== liar).length
  return { found: took !== undefined, cycle, falsely, repairedMs }
}

function gather(cluster: Cluster): Cluster {
  const all = cluster.nodes.length
  for (let node = 1; node < all; node++) join(cluster, node)
  const together = () => cluster.cores.every(({ holders }) => holders.placement.size === all)
  if (runUntil(cluster, 60_000, together) === undefined) throw new RangeError('the members do not meet')
  return cluster
}

function join(cluster: Cluster, node: number): void {
  const addresses = [...cluster.nodes.keys()].filter((other) => other !== node).map(peerOf)
  feed(cluster, node, { type: 'join', addresses })
}

/** Few at a time: a member that is busy is stood in for, and then there are more copies than N. */
const BATCH_BLOCKS = 20
const BATCH_MS = 2_000

function putSome(cluster: Cluster, random: Random, count: number): BlockKey[] {
  const keys = freshKeys(cluster, count)
  for (let i = 0; i < count; i += BATCH_BLOCKS) {
    put(cluster, pick(random, cluster.nodes.length), keys.slice(i, i + BATCH_BLOCKS))
    runTo(cluster, cluster.nowMs + BATCH_MS)
  }
  return keys
}
