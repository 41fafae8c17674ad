// limit: 180 s
import type { Core, PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  allKeys,
  brokenPromises,
  type Chaos,
  calm,
  copiesOf,
  diskOf,
  faultsFor,
  feed,
  garbageOf,
  hasLetGo,
  nodeOf,
  pendingOf,
  read,
  runTo,
  runUntil,
  shortOf,
  signersOf,
  startChaos
} from '../src/index.ts'
import { seedsOr } from './support/seeds.ts'

/** Seeds of a run; `CAIRN_SEEDS=1000` for more, `CAIRN_SEEDS=17-17` for one. */
const [FIRST, LAST] = seedsOr(40)
/** Failures that are printed in full. */
const SHOWN_MAX = 10
const FAULTS_MS = 60_000
/** From the end of all faults to N copies of everything: detection, refutation, retries, comparing. */
const HEAL_MS = 120_000

function isUp({ cluster }: Chaos, id: PeerId): boolean {
  return cluster.nodes[nodeOf(id)]?.up === true
}

/** What is true at any time. */
function alwaysHolds(chaos: Chaos): void {
  const { cluster } = chaos
  assert.equal(brokenPromises(chaos), [])
  for (const { record, keys } of chaos.puts) {
    assert.ok(record.settlements <= 1 && record.overs <= 1, 'a put settles once and is over once')
    if (record.settled === undefined) continue
    if (chaos.ended.has(record)) continue
    for (const key of keys) {
      const { intact } = signersOf(chaos, record, key)
      for (const signer of intact) {
        const has = diskOf(cluster, nodeOf(signer)).blocks.has(key)
        assert.ok(has || hasLetGo(chaos, nodeOf(signer), key), `${signer} signed for ${key}`)
      }
    }
  }
}

/** What is true once the faults have ended and enough time has passed. */
function finallyHolds(chaos: Chaos): void {
  const { cluster } = chaos
  const up = cluster.nodes.filter((node) => node.up).length
  const together = () =>
    cluster.cores.every(({ self, holders }) => !isUp(chaos, self) || holders.placement.size === up)
  assert.ok(runUntil(cluster, HEAL_MS, together) !== undefined, 'those that are up know each other again')
  const took = runUntil(cluster, HEAL_MS, () => shortOf(chaos).length === 0)
  assert.ok(took !== undefined, `${shortOf(chaos).length} of ${allKeys(chaos).size} blocks stay short`)
  for (const { record, keys } of chaos.puts) {
    if (chaos.ended.has(record)) continue
    for (const key of record.settled === undefined ? [] : keys) {
      const { intact } = signersOf(chaos, record, key)
      if (intact.length > 0) assert.ok(allKeys(chaos).has(key), `${key} was acknowledged and is lost`)
    }
  }
  readsEnd(chaos)
  tellsTheTruth(chaos)
  straysGo(chaos)
  garbageGoes(chaos)
  comesToRest(chaos)
}

/** Copies beyond N are let go of, unless a member that is full stands in the way. */
function straysGo(chaos: Chaos): void {
  const { cluster } = chaos
  if (cluster.cores.some(({ placed }) => placed.full)) return
  const up = cluster.nodes.filter((node) => node.up).length
  const spare = () => [...allKeys(chaos)].filter((key) => copiesOf(cluster, key).length > Math.min(3, up))
  assert.ok(
    runUntil(cluster, HEAL_MS, () => spare().length === 0) !== undefined,
    `${spare().length} to spare`
  )
}

/** What nobody claims is collected everywhere, and what somebody claims is as it was. */
function garbageGoes(chaos: Chaos): void {
  const before = allKeys(chaos)
  const took = runUntil(chaos.cluster, HEAL_MS, () => garbageOf(chaos).length === 0)
  assert.ok(took !== undefined, `${garbageOf(chaos).length} blocks that nobody claims are still there`)
  assert.equal([...allKeys(chaos)].sort(), [...before].sort())
  assert.is(shortOf(chaos).length, 0)
}

function readsEnd(chaos: Chaos): void {
  const { cluster } = chaos
  const reader = [...cluster.nodes.keys()].find((node) => cluster.nodes[node]?.up) ?? 0
  const asked = [...allKeys(chaos)]
    .filter((key) => !diskOf(cluster, reader).blocks.has(key))
    .map((key) => read(cluster, reader, key))
  runUntil(cluster, 40_000, () => asked.every(({ found }) => found !== undefined))
  for (const { found, key } of asked) assert.is(found, true, `${reader} reads ${key}`)
}

function tellsTheTruth(chaos: Chaos): void {
  const { cluster } = chaos
  const asker = [...cluster.nodes.keys()].find((node) => cluster.nodes[node]?.up) ?? 0
  const survey = () => {
    const request = cluster.nextId++
    feed(cluster, asker, { type: 'survey', request })
    runTo(cluster, cluster.nowMs + 1_100)
    return cluster.surveys.get(request)
  }
  let last = survey()
  const truth = allKeys(chaos).size
  const isTrue = () =>
    last?.silent.length === 0 &&
    last.tally.short.length === 0 &&
    last.tally.unconfirmed.blocks === 0 &&
    last.tally.blocks === truth
  for (let i = 0; i < 40 && !isTrue(); i++) last = survey()
  assert.ok(isTrue(), `${truth} blocks, all at N, and the members say ${JSON.stringify(last)}`)
}

/** Nothing leaks, and nobody goes on moving blocks or asking for lists. */
function comesToRest(chaos: Chaos): void {
  const { cluster } = chaos
  runTo(cluster, cluster.nowMs + 70_000) // puts and silent transfers have ended by now
  for (const { record } of chaos.puts) {
    const { node, life } = record.by
    if (cluster.nodes[node]?.life !== life) continue
    assert.is(record.settlements, 1, `put of ${record.startedMs} ms settled`)
    assert.is(record.overs, 1, `put of ${record.startedMs} ms is over`)
  }
  for (const { found, node, life, key } of cluster.reads) {
    if (cluster.nodes[node]?.life === life)
      assert.ok(found !== undefined, `the read of ${key} by ${node} ended`)
  }
  const [moved, bytes] = [cluster.repaired, cluster.bytes]
  runTo(cluster, cluster.nowMs + 20_000)
  assert.is(cluster.repaired, moved, 'no block moves any more')
  const up = [...cluster.nodes.keys()].filter((node) => cluster.nodes[node]?.up)
  const rate = (cluster.bytes - bytes) / 20 / up.length
  assert.ok(rate < 8_192, `${Math.round(rate)} bytes a second of each node, at rest`)
  for (const node of up) {
    const pending = Object.entries(pendingOf(cluster.cores[node] as Core))
    for (const [what, count] of pending) assert.is(count, 0, `node ${node}: ${what}`)
  }
}

function run(seed: number): Chaos {
  const chaos = startChaos(seed)
  try {
    runTo(chaos.cluster, 5_000)
    for (let i = 0; i < 10; i++) {
      faultsFor(chaos, FAULTS_MS / 10)
      alwaysHolds(chaos)
    }
    calm(chaos)
    finallyHolds(chaos)
    alwaysHolds(chaos)
  } catch (cause) {
    const command = `CAIRN_SEEDS=${seed}-${seed} node --conditions=cairn-src packages/simulator/test/chaos.ts`
    throw new Error(
      `seed ${seed}: ${(cause as Error).message}\nreplay: ${command}\n${chaos.log.join('\n')}`,
      {
        cause
      }
    )
  }
  return chaos
}

const chaos = suite('random faults')

chaos(`nothing acknowledged is lost and everything comes back to N, seeds ${FIRST} to ${LAST}`, () => {
  const failures: string[] = []
  for (let seed = FIRST; seed <= LAST; seed++) {
    try {
      run(seed)
    } catch (error) {
      failures.push((error as Error).message)
    }
  }
  assert.is(
    failures.length,
    0,
    `${failures.length} seeds fail:\n${failures.slice(0, SHOWN_MAX).join('\n\n')}`
  )
})

chaos('the same seed gives the same run, another seed another', () => {
  const [one, again, other] = [run(FIRST), run(FIRST), run(FIRST + 1)]
  assert.is(one.cluster.hash, again.cluster.hash)
  assert.is(one.log.join(), again.log.join())
  assert.is.not(one.cluster.hash, other.cluster.hash)
})

chaos.run()
