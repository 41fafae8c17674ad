/**
 * Collecting, and members that were away for longer than the others remember them: for a year, for good, or
 * until all who knew them are gone. Times are scaled: a member is forgotten after half a minute, not a week,
 * and a year is twenty times that.
 */
// limit: 180 s
import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Cluster,
  copiesOf,
  diskOf,
  endPut,
  feed,
  freshKeys,
  heal,
  kill,
  LAN,
  LOSSY,
  type Put,
  partition,
  peerOf,
  put,
  reopenDisk,
  restart,
  runTo,
  runUntil,
  simulateCluster
} from '../src/index.ts'

const FORGET_MS = 30_000
const YEAR_MS = 20 * FORGET_MS
const LIMIT_MS = 180_000
const BLOCKS = 20
const AWAY = 4
const LINKS = [LAN, LOSSY]

/** Nodes of which the first `joined` are members. */
function start(seed: number, nodes = 5, joined = nodes): Cluster {
  const times = { repairDelayMs: 3_000, releaseAfterMs: 2_000, releaseRetryMs: 5_000, forgetMs: FORGET_MS }
  const config = { ...times, collectGraceMs: 3_000, collectedTellMs: 20_000 }
  const link = LINKS[seed % LINKS.length] ?? LAN
  const cluster = simulateCluster({ seed, nodes, link, config })
  for (let node = 1; node < joined; node++) feed(cluster, node, { type: 'join', addresses: [peerOf(0)] })
  within(cluster, 'all have met', () =>
    cluster.cores.slice(0, joined).every(({ holders }) => holders.placement.size === joined)
  )
  return cluster
}

function within(cluster: Cluster, what: string, isSo: () => boolean): void {
  assert.ok(runUntil(cluster, LIMIT_MS, isSo) !== undefined, `seed ${cluster.options.seed}: ${what}`)
}

interface Kept {
  record: Put
  keys: BlockKey[]
}

function keep(cluster: Cluster, node: number, count = BLOCKS): Kept {
  const keys = freshKeys(cluster, count)
  const record = put(cluster, node, keys)
  within(cluster, 'what was put has N copies', () => hasCopies(cluster, keys))
  return { record, keys }
}

const hasCopies = (cluster: Cluster, keys: readonly BlockKey[]): boolean =>
  keys.every((key) => copiesOf(cluster, key).length >= 3)

/** Ends it through a node; over once none that is up has any of it. */
function end(cluster: Cluster, node: number, { record, keys }: Kept): void {
  endPut(cluster, node, record, keys)
  within(cluster, 'what ended is collected', () => isGone(cluster, keys))
}

const isGone = (cluster: Cluster, keys: readonly BlockKey[]): boolean =>
  keys.every((key) => copiesOf(cluster, key).length === 0)

/** A year passes; the others know a member that is away no longer. */
function aYear(cluster: Cluster): void {
  runTo(cluster, cluster.nowMs + YEAR_MS)
  for (const [node, { membership }] of cluster.cores.entries()) {
    if (!cluster.nodes[node]?.up) continue
    for (const id of membership.table.known.keys()) assert.ok(cluster.nodes[Number(id.slice(5))]?.up, id)
  }
}

function comeBack(cluster: Cluster, node: number, by: number): void {
  restart(cluster, node)
  reopenDisk(cluster, node)
  feed(cluster, node, { type: 'join', addresses: [peerOf(by)] })
}

function sparesLive({ collected }: Cluster, keys: readonly BlockKey[], sinceMs = 0): void {
  const live = new Set(keys)
  for (const { key, node, atMs } of collected) {
    assert.not(atMs >= sinceMs && live.has(key), `${node} collected ${key}, which lives`)
  }
}

const collecting = suite('collecting, and members that were away')

collecting('who was away for a year collects what ended meanwhile, and nothing else', () => {
  for (let seed = 1; seed <= 2; seed++) {
    const five = start(seed)
    const [live, over] = [keep(five, 0), keep(five, 1)]
    const brings = over.keys.filter((key) => diskOf(five, AWAY).blocks.has(key))
    assert.ok(brings.length > 0)
    kill(five, AWAY)
    end(five, 0, over)
    const later = keep(five, 2)
    aYear(five)
    comeBack(five, AWAY, 0)
    within(five, 'it is a member again', () => five.cores[0]?.holders.placement.size === 5)
    const all = [...live.keys, ...later.keys]
    within(five, 'nothing that ended is left', () => isGone(five, over.keys) && hasCopies(five, all))
    runTo(five, five.nowMs + 2 * FORGET_MS)
    assert.ok(isGone(five, over.keys) && hasCopies(five, all), `seed ${seed}: and so it stays`)
    sparesLive(five, all)
  }
})

collecting(
  'a member that never returns keeps nothing from being collected, however much comes and goes',
  () => {
    const five = start(3)
    const live = keep(five, 0)
    const first = keep(five, 1)
    kill(five, AWAY)
    end(five, 0, first)
    for (let round = 0; round < 3; round++) {
      end(five, round, keep(five, (round + 1) % 4))
      aYear(five)
    }
    assert.ok(hasCopies(five, live.keys))
    const held = five.disks.slice(0, AWAY).flatMap(({ blocks }) => [...blocks.keys()])
    assert.equal([...new Set(held)].sort(), [...live.keys].sort())
    sparesLive(five, live.keys)
  }
)

collecting('ends outlive those that made them: all others are replaced before it comes back', () => {
  const nine = start(4, 9, 5)
  const [live, over] = [keep(nine, 0), keep(nine, 1)]
  kill(nine, AWAY)
  end(nine, 0, over)
  for (let node = 0; node < AWAY; node++) {
    feed(nine, node + 5, { type: 'join', addresses: [peerOf(3)] })
    within(nine, 'the newcomer is a member', () => nine.cores[3]?.holders.placement.size === 5)
    runTo(nine, nine.nowMs + FORGET_MS)
    kill(nine, node)
    within(nine, 'what lives has N copies again', () => hasCopies(nine, live.keys))
    runTo(nine, nine.nowMs + FORGET_MS)
  }
  aYear(nine)
  comeBack(nine, AWAY, 5)
  within(nine, 'it is a member again', () => nine.cores[5]?.holders.placement.size === 5)
  within(nine, 'nothing that ended is left', () => isGone(nine, over.keys))
  assert.ok(hasCopies(nine, live.keys))
  sparesLive(nine, live.keys)
})

collecting('what only the one that was away has comes back with it', () => {
  for (let seed = 5; seed <= 6; seed++) {
    const five = start(seed)
    partition(five.network, [[AWAY]])
    const keys = freshKeys(five, BLOCKS)
    const alone = put(five, AWAY, keys, { ack: 'one' })
    within(five, 'it is acknowledged', () => alone.settled !== undefined)
    kill(five, AWAY)
    heal(five.network)
    aYear(five)
    comeBack(five, AWAY, 1)
    within(five, 'it has N copies', () => hasCopies(five, keys))
    sparesLive(five, keys)
  }
})

collecting('what was put again while it was away lives, until that ends too', () => {
  const five = start(7)
  const first = keep(five, 0)
  kill(five, AWAY)
  end(five, 0, first)
  const againMs = five.nowMs
  const again = put(five, 1, first.keys)
  within(five, 'it has N copies again', () => hasCopies(five, first.keys))
  aYear(five)
  comeBack(five, AWAY, 2)
  runTo(five, five.nowMs + 2 * FORGET_MS)
  assert.ok(hasCopies(five, first.keys))
  sparesLive(five, first.keys, againMs)
  end(five, AWAY, { record: again, keys: first.keys })
})

collecting.run()
