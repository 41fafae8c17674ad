import { type PeerId, type RefResult, refId, toHex } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Cluster,
  feed,
  hash256,
  heal,
  kill,
  LAN,
  partition,
  peerOf,
  readRefAt,
  restart,
  runTo,
  runUntil,
  setRef,
  simulateCluster
} from '../src/index.ts'

const OWNER = 'owner' as PeerId
const root = (n: number) => Uint8Array.of(1, 0x55, 0x12, n)

function five(seed = 1): Cluster {
  const cluster = simulateCluster({ seed, nodes: 5, link: LAN, config: { repairDelayMs: 3_000 } })
  for (let node = 1; node < 5; node++) feed(cluster, node, { type: 'join', addresses: [peerOf(0)] })
  runTo(cluster, 5_000)
  return cluster
}

function set(cluster: Cluster, node: number, n: number, more: object = {}): RefResult {
  let result: RefResult | undefined
  setRef(cluster, node, { owner: OWNER, name: 'photos', root: root(n), ...more }, (one) => {
    result = one
  })
  assert.ok(runUntil(cluster, 60_000, () => result !== undefined) !== undefined, 'the update ends')
  return result as RefResult
}

function get(cluster: Cluster, node: number, latest = false) {
  const id = refId({ owner: OWNER, name: 'photos' }, hash256)
  let told: { root: string | undefined; sequence: number; quorum: boolean; by: string[] } | undefined
  readRefAt(cluster, node, { id, latest }, ({ best }, quorum) => {
    const { root, sequence = 0 } = best?.record ?? {}
    const by = [...(best?.record.electorate ?? [])]
    told = { root: root && toHex(root), sequence, quorum, by }
  })
  assert.ok(runUntil(cluster, 10_000, () => told !== undefined) !== undefined, 'the read ends')
  return told as NonNullable<typeof told>
}

const refs = suite('refs between simulated nodes')

refs('an update by way of one node is read by way of every other', () => {
  const cluster = five()
  for (let n = 1; n <= 3; n++) {
    const result = set(cluster, n, n)
    assert.is(result.type, 'acknowledged')
    runTo(cluster, cluster.nowMs + 50)
    for (let node = 0; node < 5; node++) assert.is(get(cluster, node).sequence, n)
    for (let node = 0; node < 5; node++) assert.is(get(cluster, node, true).root, toHex(root(n)))
  }
})

refs('two at once: one is acknowledged, and the other follows it or is told', () => {
  const cluster = five()
  assert.is(set(cluster, 0, 1).type, 'acknowledged')
  const results: RefResult[] = []
  const want = { owner: OWNER, name: 'photos' }
  setRef(cluster, 1, { ...want, root: root(2) }, (one) => results.push(one))
  setRef(cluster, 2, { ...want, root: root(3) }, (one) => results.push(one))
  runUntil(cluster, 60_000, () => results.length === 2)
  const sequences = results.map((one) => (one.type === 'acknowledged' ? one.record.sequence : one.type))
  assert.is(new Set(sequences).size, results.length, sequences.join())
  assert.ok(sequences.some((one) => typeof one === 'number'))
})

refs('with one of three voters gone updates go on, and the next electorate is whole', () => {
  const cluster = five()
  assert.is(set(cluster, 0, 1).type, 'acknowledged')
  const [first] = get(cluster, 0)
    .by.map((id) => Number(id.slice(5)))
    .filter((node) => node !== 0)
  kill(cluster, first as number)
  const via = (first as number) === 1 ? 2 : 1
  assert.is(set(cluster, via, 2).type, 'acknowledged')
  runTo(cluster, cluster.nowMs + 20_000)
  assert.is(set(cluster, via, 3).type, 'acknowledged')
  assert.not(get(cluster, via).by.includes(peerOf(first as number)))
})

refs('a minority acknowledges nothing', () => {
  const cluster = five()
  assert.is(set(cluster, 0, 1).type, 'acknowledged')
  const voters = get(cluster, 0).by.map((id) => Number(id.slice(5)))
  partition(cluster.network, [[voters[0] as number]])
  assert.is(set(cluster, voters[0] as number, 9).type, 'too-few')
  assert.is(set(cluster, voters[1] as number, 2).type, 'acknowledged')
  heal(cluster.network)
  runTo(cluster, cluster.nowMs + 30_000)
  for (let node = 0; node < 5; node++) assert.is(get(cluster, node, true).root, toHex(root(2)))
})

refs('what was acknowledged is there when all have started again', () => {
  const cluster = five()
  assert.is(set(cluster, 0, 1).type, 'acknowledged')
  assert.is(set(cluster, 0, 2).type, 'acknowledged')
  for (let node = 0; node < 5; node++) kill(cluster, node)
  for (let node = 0; node < 5; node++) restart(cluster, node)
  for (let node = 1; node < 5; node++) feed(cluster, node, { type: 'join', addresses: [peerOf(0)] })
  runTo(cluster, cluster.nowMs + 10_000)
  assert.is(get(cluster, 3, true).sequence, 2)
  assert.is(set(cluster, 4, 3).type, 'acknowledged')
  assert.is(get(cluster, 2, true).sequence, 3)
})

refs.run()
