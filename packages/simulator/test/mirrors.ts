import { type BlockKey, isMirrorClaim, type Mirror, refId, slotOf } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Cluster,
  copiesOf,
  diskOf,
  feed,
  freshKeys,
  hash256,
  isMirroredAt,
  kill,
  LAN,
  LOSSY,
  nodeOf,
  peerOf,
  put,
  readRefAt,
  reopenDisk,
  reopenMirrors,
  restart,
  runTo,
  runUntil,
  setRef,
  simulateCluster
} from '../src/index.ts'

const NAME = 'photos'
const SEEDS = [1, 2]
const OWNER = peerOf(0)
const ID = refId({ owner: OWNER, name: NAME }, hash256)
/** Copies are let go of within the test. */
const HASTY = { releaseAfterMs: 3_000, repairDelayMs: 3_000 }

const mirrors = suite('mirrors in virtual time')

function joined(cluster: Cluster, nodes: readonly number[]): void {
  for (const node of nodes) if (node > 0) feed(cluster, node, { type: 'join', addresses: [peerOf(0)] })
  const all = () => nodes.every((node) => cluster.cores[node]?.holders.placement.size === nodes.length)
  assert.ok(runUntil(cluster, 60_000, all) !== undefined, 'gathered')
}

let roots = 0

/** Puts new blocks beside some of old ones, and points the ref to a root of all of them. */
function point(cluster: Cluster, old: readonly BlockKey[], fresh: number): BlockKey[] {
  const keys = freshKeys(cluster, fresh)
  const done = put(cluster, 0, keys)
  assert.ok(runUntil(cluster, 30_000, () => done.settled !== undefined) !== undefined, 'put')
  const root = Uint8Array.of(9, ++roots)
  cluster.mirrors.roots.set(`${root}`, [...old, ...keys])
  let ended = ''
  setRef(cluster, 0, { owner: OWNER, name: NAME, root }, ({ type }) => {
    ended = type
  })
  assert.ok(runUntil(cluster, 30_000, () => ended !== '') !== undefined)
  assert.is(ended, 'acknowledged')
  return [...old, ...keys]
}

function mirror(cluster: Cluster, node: number, leaseMs?: number): void {
  const kept = { ref: { owner: OWNER, name: NAME }, lagMs: 1_000, leaseMs, generation: 0, whole: undefined }
  feed(cluster, node, { type: 'mirror', id: ID, kept })
}

const mirrorAt = (cluster: Cluster, node: number) => cluster.cores[node]?.mirrors.byId.get(ID) as Mirror

function follows(cluster: Cluster, node: number, keys: readonly BlockKey[], sequence: number): void {
  const whole = () => {
    const { whole: at, phase } = mirrorAt(cluster, node)
    return at?.record.sequence === sequence && phase === 'following'
  }
  const { seed } = cluster.options
  assert.ok(runUntil(cluster, 120_000, whole) !== undefined, `seed ${seed}: ${node} has ${sequence} whole`)
  for (const key of keys) assert.ok(isMirroredAt(cluster, node, ID, key), `seed ${seed}: ${node} ${key}`)
}

/** Copies that count: held under a claim that others know of. */
function sharedCopies(cluster: Cluster, key: BlockKey): number {
  return copiesOf(cluster, key).filter((node) => {
    const claims = diskOf(cluster, node).blocks.get(key)?.claims ?? []
    return claims.some((claim) => claim.live && !isMirrorClaim(claim))
  }).length
}

mirrors('a mirror follows a ref through losses and restarts, and frees what its root does not need', () => {
  for (const seed of SEEDS) {
    const six = simulateCluster({ seed, nodes: 6, link: LOSSY, config: HASTY })
    joined(six, [0, 1, 2, 3, 4, 5])
    const first = point(six, [], 20)
    mirror(six, 5)
    follows(six, 5, first, 1)
    const second = point(six, first.slice(0, 10), 10)
    runTo(six, six.nowMs + 300)
    kill(six, 5)
    kill(six, 4)
    runTo(six, six.nowMs + 2_000)
    restart(six, 5)
    reopenDisk(six, 5)
    reopenMirrors(six, 5)
    feed(six, 5, { type: 'join', addresses: [peerOf(0)] })
    follows(six, 5, second, 2)
    for (const key of first.slice(10)) assert.not.ok(isMirroredAt(six, 5, ID, key), `seed ${seed}: freed`)
    feed(six, 5, { type: 'unmirror', id: ID })
    runTo(six, six.nowMs + 1_000)
    for (const key of second) assert.not.ok(isMirroredAt(six, 5, ID, key), `seed ${seed}: removed`)
  }
})

mirrors('no copy of a mirror is counted, when others let theirs go', () => {
  for (const seed of SEEDS) {
    const eight = simulateCluster({ seed, nodes: 8, link: LAN, config: HASTY })
    joined(eight, [0, 1, 2, 3, 4])
    const keys = point(eight, [], 40)
    for (const node of [0, 1, 2, 3, 4]) mirror(eight, node)
    for (const node of [0, 1, 2, 3, 4]) follows(eight, node, keys, 1)
    assert.ok(keys.every((key) => copiesOf(eight, key).length === 5))
    joined(eight, [0, 1, 2, 3, 4, 5, 6, 7])
    runTo(eight, eight.nowMs + 60_000)
    // Each that joined holds its share, and nobody's mirror let a copy go meanwhile.
    assert.ok(keys.every((key) => copiesOf(eight, key).length >= 5))
    for (const node of [0, 1, 2, 3, 4]) feed(eight, node, { type: 'unmirror', id: ID })
    const spare = () => keys.every((key) => sharedCopies(eight, key) === 3)
    const took = runUntil(eight, 300_000, () => {
      for (const key of keys)
        assert.ok(sharedCopies(eight, key) >= 3, `seed ${seed}: ${key} has fewer than 3`)
      return spare()
    })
    assert.ok(took !== undefined, `seed ${seed}: three copies each in the end`)
    assert.ok(eight.letGo.length > 0, 'copies were let go of')
    for (const { promised } of eight.letGo) assert.ok(promised.length >= 3)
    assert.ok(
      keys.every((key) => copiesOf(eight, key).length === 3),
      'and none is left behind'
    )
  }
})

mirrors(
  'members that are willing take copies of a ref while it is read much, as many as that is worth',
  () => {
    const seed = 1
    const eight = simulateCluster({ seed, nodes: 8, link: LAN })
    joined(eight, [0, 1, 2, 3, 4, 5, 6, 7])
    const keys = point(eight, [], 30)
    const willing = [4, 5, 6, 7]
    for (const node of willing) mirror(eight, node, 20_000)
    const having = () => willing.filter((node) => mirrorAt(eight, node).whole !== undefined)
    /** Two readers, for so long: at so many blocks a second together. */
    const read = (forMs: number, perSecond: number) => {
      for (const untilMs = eight.nowMs + forMs; eight.nowMs < untilMs; ) {
        for (let i = 0; i < perSecond; i++) {
          const key = keys[(eight.nowMs + i) % keys.length] as BlockKey
          feed(eight, 1 + (i % 2), { type: 'want', keys: [key], replicas: 3, ref: ID })
        }
        runTo(eight, eight.nowMs + 1_000)
      }
    }
    runTo(eight, eight.nowMs + 10_000)
    assert.equal(having(), [], 'nobody reads it')
    read(50_000, 25)
    assert.is(having().length, 2, '25 a second are worth two')
    read(50_000, 12)
    assert.is(having().length, 1, '12 one')
    runTo(eight, eight.nowMs + 50_000)
    assert.equal(having(), [], 'and none is kept')
    for (const node of willing) {
      assert.is(mirrorAt(eight, node).phase, 'waiting')
      for (const key of keys) assert.not.ok(isMirroredAt(eight, node, ID, key), `${node} keeps none of it`)
    }
  }
)

mirrors('who read the ref asks its mirrors as it asks the holders, the nearest first', () => {
  const seven = simulateCluster({ seed: 2, nodes: 7, link: LAN })
  joined(seven, [0, 1, 2, 3, 4, 5, 6])
  const keys = point(seven, [], 60)
  mirror(seven, 6)
  follows(seven, 6, keys, 1)
  runTo(seven, seven.nowMs + 1_000)
  let read = false
  readRefAt(seven, 5, { id: ID, latest: true }, () => {
    read = true
  })
  assert.ok(runUntil(seven, 5_000, () => read) !== undefined)
  const lacking = keys.filter((key) => !diskOf(seven, 5).blocks.has(key))
  assert.ok(lacking.length > 10)
  const isHolder = (key: BlockKey): boolean =>
    seven.cores[5]?.holders.placement.order(slotOf(key), 3).includes(peerOf(6)) === true
  const asked = () => [...(seven.cores[5]?.fetches.transfers.values() ?? [])]
  const ofMirror = () => asked().flatMap(({ from, keys: of }) => (nodeOf(from) === 6 ? [...of.keys()] : []))
  feed(seven, 5, { type: 'want', keys: lacking, replicas: 3 })
  assert.ok(ofMirror().every(isHolder), 'it is asked for what it must hold')
  runTo(seven, seven.nowMs + 5_000)
  feed(seven, 5, { type: 'want', keys: lacking, replicas: 3, ref: ID })
  assert.ok(!ofMirror().every(isHolder), 'and of its ref for anything')
  assert.ok(
    asked().some(({ from }) => nodeOf(from) !== 6),
    'as the holders are'
  )
  runTo(seven, seven.nowMs + 60_000)
  feed(seven, 6, { type: 'unmirror', id: ID })
  runTo(seven, seven.nowMs + 60_000)
  feed(seven, 5, { type: 'want', keys: lacking, replicas: 3, ref: ID })
  assert.ok(ofMirror().every(isHolder), 'until it is none any more')
})

mirrors.run()
