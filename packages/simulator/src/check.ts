/**
 * What must be true of a run: all along, and once the faults are over. The checks look at what nodes have on
 * their disks, what they told their clients and what they say of themselves, never at how they decide.
 */
import type { BlockKey, Core } from '@cairn/core'
import { copiesOf, diskOf, read } from './cluster.ts'
import { pendingOf } from './pending.ts'
import { feed, nodeOf, peerOf, runTo, runUntil } from './run.ts'
import {
  activeNodes,
  heldKeys,
  isUp,
  keepersOf,
  letGoOf,
  PROMISE_AGE_MS,
  shortAmong,
  undoneEnds,
  unwantedOf,
  type World
} from './world.ts'

/**
 * Times that the network is asked, a second apart, until what it says is so: what is fetched from a member
 * that is as slow as the rest is asked of another after up to half of `fetchTimeoutMs`, and copies held
 * besides count for nothing meanwhile.
 */
const TRUTH_TRIES = 180
/** Within this copies beyond N are gone: attempts, retries, and claims that are still being compared. */
const SPARE_MS = 240_000

/** A run broke a promise. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

function must(holds: boolean, what: () => string): void {
  if (!holds) throw new Broken(what())
}

/** What is true at any time. @throws Broken */
export function alwaysHolds(world: World): void {
  const { cluster } = world
  must(world.wrong.length === 0, () => world.wrong[0] ?? '')
  const [accused] = cluster.faults
  must(accused === undefined, () => `${accused?.by} says that ${accused?.of} lied: ${accused?.kind}`)
  for (const { node, key, isGood } of cluster.reads) {
    must(isGood, () => `${node} was given wrong bytes as ${key}`)
  }
  if (!isChanged(world)) return
  promisesHold(world)
  for (const { record, keys } of world.puts) {
    must(record.settlements <= 1 && record.overs <= 1, () => 'a put settled or ended twice')
    if (record.settled === undefined) continue
    for (const { receipts, wanted, reason, key } of record.settled) {
      must(new Set(receipts).size === receipts.length, () => `two receipts of one member for ${key}`)
      must(reason !== undefined || receipts.length >= wanted, () => `${key} is short and nobody says why`)
    }
    if (world.ends.has(record)) continue
    for (const key of keys) keepersHold(world, record, key)
  }
  for (const [node, disk] of cluster.disks.entries()) {
    must(disk.blocks.size <= disk.limit, () => `${node} holds more than its cap`)
    for (const key of disk.rotten) {
      must(world.rotted.has(`${node} ${key}`), () => `${node} keeps wrong bytes as ${key}`)
    }
  }
}

/** Whether any disk is another, or what was told to clients, since the last look: else it holds as it did. */
function isChanged({ cluster, puts, looked }: World): boolean {
  let told = cluster.letGo.length
  for (const { record } of puts) told += record.settlements + record.overs
  let isSame = told === looked.told
  for (const [node, disk] of cluster.disks.entries()) {
    isSame &&= looked.disks[node] === disk && looked.versions[node] === disk.version
    looked.disks[node] = disk
    looked.versions[node] = disk.version
  }
  looked.told = told
  return !isSame
}

function keepersHold(world: World, record: World['puts'][0]['record'], key: BlockKey): void {
  for (const node of keepersOf(world, record, key)) {
    const block = diskOf(world.cluster, node).blocks.get(key)
    must(block !== undefined, () => `${node} answers for ${key}, lost nothing, and does not have it`)
    const claim = record.claims.get(key)
    const has = block?.claims.some(({ claimant }) => claimant === claim?.claimant)
    must(has === true || hasLied(world, node), () => `${node} answers for a claim on ${key} that it lacks`)
  }
}

/**
 * Copies are let go of on N promises of others, and whoever promised still has its own, unless a fault took
 * it, or it left, or let it go on promises of its own since.
 */
function promisesHold(world: World): void {
  const { cluster, taken, rotted, left, letGo } = world
  for (; letGo.judged < cluster.letGo.length; letGo.judged++) {
    const { node, key, atMs, replicas, promised } = cluster.letGo[letGo.judged] as (typeof cluster.letGo)[0]
    const others = new Set(promised.filter((other) => other !== node))
    must(others.size >= replicas, () => `${node} let ${key} go on the word of ${[...others]}`)
    for (const other of others) {
      if (diskOf(cluster, other).blocks.get(key)?.corrupt === false || left.has(other)) continue
      const id = `${other} ${key}`
      const lostMs = Math.max(taken.get(id) ?? -PROMISE_AGE_MS, rotted.get(id) ?? -PROMISE_AGE_MS)
      const wasTaken = lostMs > atMs - PROMISE_AGE_MS
      const isLater = letGoOf(world, key).some((one) => one.node === other && one.atMs >= atMs)
      const isCollected = cluster.collected.some((one) => one.node === other && one.key === key)
      must(
        wasTaken || isLater || isCollected,
        () => `${other} promised ${node} to keep ${key}, and does not have it`
      )
    }
  }
}

/** Its disk lied at some time, and may have lost claims on blocks that it still has. */
function hasLied({ scenario }: World, node: number): boolean {
  return scenario.steps.some(({ type, ...step }) => {
    return (type === 'lie' || type === 'restore') && 'node' in step && step.node === node
  })
}

/**
 * The longest that full redundancy may take once the faults are over: the last of the dead is found dead or
 * alive, its place is given away, everyone compares, the last retry comes, and the bytes move.
 */
export function healWithinMs(world: World, missingBytes: number): number {
  const { nodes, config } = world.scenario
  const members = Math.max(1, Math.log10(nodes))
  const suspicionMs = 5 * Math.max(4_000, config.suspicionMinMs ?? 0) * members // at the least willing
  // One of the dead is tried every retryDeadMs, an address that no member has every joinRetryMaxMs.
  const rejoinMs = Math.max(5_000 * nodes, 1.25 * 60_000)
  const compareMs = 2_000 + 2 * Math.max(9_000, config.compareIdleMs ?? 0)
  const retryMs = 30_000
  const rate = 20_000 // bytes a millisecond of one node's link, many small blocks and all
  return suspicionMs + rejoinMs + (config.repairDelayMs ?? 0) + compareMs + retryMs + missingBytes / rate
}

/** What is true once the faults have ended and enough time has passed. @throws Broken */
export function finallyHolds(world: World): void {
  const { cluster } = world
  const core = activeNodes(world).filter((node) => !world.scenario.cutOff?.nodes.includes(node))
  const bytes = shortAmong(world, core).length * 3 * 2 ** 20
  const limitMs = 2 * healWithinMs(world, bytes)
  const startMs = cluster.nowMs
  const together = () => core.every((node) => knowsAll(world, core, node))
  const met = runUntil(cluster, limitMs, together, 250)
  must(met !== undefined, () => `those that are up do not know each other: ${viewsOf(world, core)}`)
  const deaths = deathsOf(world, core)
  const healed = heals(world, core, limitMs - (cluster.nowMs - startMs))
  must(healed, () => `${shortAmong(world, core).length} of ${heldKeys(world).size} blocks stay short`)
  alwaysHolds(world)
  nothingAcknowledgedIsLost(world)
  if (world.scenario.cutOff !== undefined) return
  readsEnd(world, core)
  tellsTheTruth(world, core)
  claimsAreEverywhere(world, core)
  straysGo(world, core)
  garbageGoes(world)
  comesToRest(world, core)
  must(deathsOf(world, core) === deaths, () => 'one that is up was buried though nothing was wrong')
  alwaysHolds(world)
}

/**
 * It places just those that are up, and suspects none of them: one that is suspected or dead to it since the
 * faults keeps its place for a while. Who only speaks, for good, suspects all others for good.
 */
function knowsAll({ cluster, scenario }: World, core: readonly number[], node: number): boolean {
  const { holders, membership } = cluster.cores[node] as Core
  if (holders.placement.size !== core.length) return false
  if (scenario.cutOff !== undefined) return true
  return core.every((other) => membership.table.known.get(peerOf(other))?.member.state === 'alive')
}

function viewsOf({ cluster }: World, core: readonly number[]): string {
  return core.map((node) => `${node} places ${cluster.cores[node]?.holders.placement.size}`).join(', ')
}

function deathsOf({ cluster }: World, core: readonly number[]): number {
  return cluster.deaths.filter(({ by, of }) => core.includes(by) && core.includes(of)).length
}

/** Waits for N copies of everything, and looks whether anybody says so before. */
function heals(world: World, core: readonly number[], limitMs: number): boolean {
  const { cluster } = world
  const untilMs = cluster.nowMs + limitMs
  for (let i = 0; ; i++) {
    const all = shortAmong(world, core)
    if (all.length === 0) return true
    const before = all.filter((key) => !hasRotten(world, key))
    if (cluster.nowMs > untilMs) return false
    const said = surveyOf(world, core[i % core.length] ?? 0)
    const isSafe = said !== undefined && saysSafe(said, heldKeys(world).size)
    const short = new Set(shortAmong(world, core))
    const lies = before.filter((key) => short.has(key))
    must(
      !isSafe || lies.length === 0,
      () => `status says that all is safe, and ${lies.length} blocks are short`
    )
    runTo(cluster, cluster.nowMs + 1_000)
  }
}

/** A damaged copy that nobody has read yet counts as one. */
function hasRotten({ cluster }: World, key: BlockKey): boolean {
  return cluster.disks.some(({ rotten }) => rotten.has(key))
}

type Said = NonNullable<ReturnType<World['cluster']['surveys']['get']>>

/** Asks one node how safe the data is; undefined when it can't say. */
function surveyOf({ cluster }: World, node: number): Said | undefined {
  const request = cluster.nextId++
  feed(cluster, node, { type: 'survey', request })
  runTo(cluster, cluster.nowMs + 1_100)
  return cluster.surveys.get(request)
}

function saysSafe({ tally, silent }: Said, blocks: number): boolean {
  const { short, unconfirmed } = tally
  return silent.length === 0 && short.length === 0 && unconfirmed.blocks === 0 && tally.blocks >= blocks
}

function nothingAcknowledgedIsLost(world: World): void {
  const keys = heldKeys(world)
  for (const { record, keys: put } of world.puts) {
    if (world.ends.has(record)) continue
    for (const key of put) {
      const isKept = keepersOf(world, record, key).length === 0 || keys.has(key)
      must(isKept, () => `${key} was acknowledged and is lost`)
    }
  }
}

function readsEnd(world: World, core: readonly number[]): void {
  const { cluster, scenario } = world
  const reader = core[0] ?? 0
  let left = [...heldKeys(world)].filter((key) => !diskOf(cluster, reader).blocks.has(key))
  // One that joins a read begun before the faults were over shares its end, so that there is a second try.
  for (let i = 0; i < 2 && left.length > 0; i++) {
    const asked = left.map((key) => read(cluster, reader, key, scenario.replicas))
    runUntil(cluster, 60_000, () => asked.every(({ found }) => found !== undefined), 250)
    left = asked.filter(({ found }) => found !== true).map(({ key }) => key)
  }
  must(left.length === 0, () => `${reader} can't read ${left[0]}`)
}

function tellsTheTruth(world: World, core: readonly number[]): void {
  if (core.length < world.scenario.replicas) return // they say, rightly, that all is short
  const asker = core[0] ?? 0
  let last = surveyOf(world, asker)
  let truth = 0
  const isTrue = () => {
    truth = heldKeys(world).size // a put may still be under way
    return last !== undefined && saysSafe(last, truth) && last.tally.blocks === truth
  }
  for (let i = 0; i < TRUTH_TRIES && !isTrue(); i++) last = surveyOf(world, asker)
  const { tally, silent } = last ?? {}
  must(isTrue(), () => `${truth} blocks, all at N, and they say ${JSON.stringify(tally)}, silent ${silent}`)
}

/** Copies beyond N are let go of. */
function straysGo(world: World, core: readonly number[]): void {
  const { cluster, scenario } = world
  const wanted = Math.min(scenario.replicas, core.length)
  const spare = () => [...heldKeys(world)].filter((key) => copiesOf(cluster, key).length > wanted).length
  runUntil(cluster, SPARE_MS, () => spare() === 0, 1_000)
  must(spare() === 0, () => `${spare()} blocks have more than ${wanted} copies, and keep them`)
}

/** What nobody wants any more is deleted everywhere, stays so, and nothing else goes with it. */
function garbageGoes(world: World): void {
  const before = heldKeys(world)
  runUntil(world.cluster, SPARE_MS, () => unwantedOf(world).length === 0, 1_000)
  must(unwantedOf(world).length === 0, () => `${unwantedOf(world).length} blocks that nobody wants stay`)
  const after = heldKeys(world)
  must(
    [...before].every((key) => after.has(key)),
    () => 'a block that somebody wants went as garbage'
  )
  const [undone] = undoneEnds(world)
  must(undone === undefined, () => `${undone} was ended, and is wanted again`)
}

/** Every holder of a block knows every reason for which it is kept. */
function claimsAreEverywhere(world: World, core: readonly number[]): void {
  const { cluster } = world
  const differs = () => [...heldKeys(world)].filter((key) => !haveSameClaims(world, key, core))
  runUntil(cluster, 60_000, () => differs().length === 0, 1_000)
  must(differs().length === 0, () => `${differs().length} blocks are kept for different reasons`)
}

function haveSameClaims(world: World, key: BlockKey, core: readonly number[]): boolean {
  const { cluster, scenario } = world
  const holders = cluster.cores[core[0] ?? 0]?.holders.placement.order(
    Number.parseInt(key.slice(4, 8), 16),
    scenario.replicas
  )
  const texts = (holders ?? []).map((id) => {
    const { claims = [] } = diskOf(cluster, nodeOf(id)).blocks.get(key) ?? {}
    return claims.map(({ claimant, sequence, live }) => `${claimant} ${sequence} ${live}`).join()
  })
  return new Set(texts).size <= 1
}

/** Nothing leaks, and nobody goes on moving blocks or asking for lists. */
function comesToRest(world: World, core: readonly number[]): void {
  const { cluster } = world
  runTo(cluster, cluster.nowMs + 70_000) // puts and silent transfers have ended by now
  for (const { record } of world.puts) {
    if (cluster.nodes[record.by.node]?.life !== record.by.life || !isUp(world, record.by.node)) continue
    must(record.settlements === 1 && record.overs === 1, () => `the put of ${record.startedMs} ms never ends`)
  }
  for (const { found, node, life, key } of cluster.reads) {
    const isOver = found !== undefined || cluster.nodes[node]?.life !== life || !isUp(world, node)
    must(isOver, () => `the read of ${key} by ${node} never ends`)
  }
  // What was under way on a slow link ends when it ends.
  let [moved, bytes] = [-1, 0]
  for (let i = 0; i < 6 && cluster.repaired !== moved; i++) {
    moved = cluster.repaired
    bytes = cluster.bytes
    runTo(cluster, cluster.nowMs + 20_000)
  }
  must(cluster.repaired === moved, () => `${cluster.repaired - moved} blocks move though all is at rest`)
  const rate = (cluster.bytes - bytes) / 20 / core.length
  must(rate < 8_192, () => `${Math.round(rate)} bytes a second of each node, at rest`)
  for (const node of core) nothingPends(world, node)
}

function nothingPends({ cluster }: World, node: number): void {
  for (const [what, count] of Object.entries(pendingOf(cluster.cores[node] as Core))) {
    must(count === 0, () => `node ${node} is at rest with ${count} ${what}`)
  }
}
