import { type BlockKey, type Core, safeInMs, type Tally } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Cluster,
  copiesOf,
  createDisk,
  diskOf,
  feed,
  freeze,
  freshKeys,
  hash256,
  kill,
  LAN,
  LOSSY,
  peerOf,
  put,
  quarantine,
  read,
  reopenDisk,
  restart,
  runTo,
  runUntil,
  simulateCluster,
  stall
} from '../src/index.ts'

/** Nodes that know each other, all joined through the first. */
function gathered(options: Parameters<typeof simulateCluster>[0]): Cluster {
  const cluster = simulateCluster(options)
  for (let node = 1; node < options.nodes; node++)
    feed(cluster, node, { type: 'join', addresses: [peerOf(0)] })
  const took = runUntil(cluster, 60_000, () =>
    cluster.cores.every(({ holders }) => holders.placement.size === options.nodes)
  )
  assert.ok(took !== undefined, `seed ${options.seed}: gathered`)
  return cluster
}

function putAll(
  cluster: Cluster,
  node: number,
  count: number,
  options: Parameters<typeof put>[3] = {}
): BlockKey[] {
  const keys = freshKeys(cluster, count)
  const done = put(cluster, node, keys, options)
  assert.ok(runUntil(cluster, 30_000, () => done.settled !== undefined) !== undefined, 'the put settles')
  for (const { key, receipts, needed } of done.settled ?? []) {
    assert.ok(receipts.length >= needed, `${key} has ${receipts.length} receipts of ${needed}`)
    for (const holder of receipts)
      assert.ok(copiesOf(cluster, key).map(peerOf).includes(holder), 'a receipt is true')
  }
  return keys
}

function heals(cluster: Cluster, keys: readonly BlockKey[], copies: number, limitMs = 120_000): number {
  const enough = () => keys.every((key) => copiesOf(cluster, key).length >= copies)
  const took = runUntil(cluster, limitMs, enough)
  const short = keys.filter((key) => copiesOf(cluster, key).length < copies).length
  assert.ok(
    took !== undefined,
    `seed ${cluster.options.seed}: ${short} blocks short of ${copies} after ${limitMs} ms`
  )
  return took
}

const cluster = suite('five cores under virtual time')

cluster('a put has three receipts for each block, and three copies at rest', () => {
  const five = gathered({ seed: 1, nodes: 5, link: LAN })
  const keys = putAll(five, 0, 200)
  for (const key of keys) assert.is(copiesOf(five, key).length, 3)
})

cluster('with fewer members than N a put says what it has, and heals when one comes', () => {
  const three = simulateCluster({ seed: 2, nodes: 3, link: LAN })
  feed(three, 1, { type: 'join', addresses: [peerOf(0)] })
  assert.ok(runUntil(three, 10_000, () => three.cores[0]?.holders.placement.size === 2) !== undefined)
  const keys = putAll(three, 0, 50)
  for (const key of keys) assert.is(copiesOf(three, key).length, 2)
  feed(three, 2, { type: 'join', addresses: [peerOf(1)] })
  heals(three, keys, 3)
})

cluster('a killed member is stood in for at once, and its copies are made again elsewhere', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const five = gathered({ seed, nodes: 5, link: LOSSY, config: { repairDelayMs: 3_000 } })
    const before = putAll(five, 0, 100)
    kill(five, 4)
    const during = putAll(five, 1, 50)
    const took = heals(five, [...before, ...during], 3)
    assert.ok(took < 40_000, `seed ${seed}: healed in ${took} ms`)
  }
})

cluster('a put through a frozen holder has its receipts from stand-ins', () => {
  const five = gathered({ seed: 3, nodes: 5, link: LAN })
  freeze(five, 2)
  const keys = freshKeys(five, 50)
  const done = put(five, 0, keys)
  const took = runUntil(five, 10_000, () => done.settled !== undefined)
  assert.ok(took !== undefined && took < 3_000, `settled in ${took} ms`)
  for (const { receipts } of done.settled ?? []) assert.is(receipts.length, 3)
})

cluster('a restart within the repair delay moves nothing', () => {
  const five = gathered({ seed: 4, nodes: 5, link: LAN })
  putAll(five, 0, 100)
  runTo(five, five.nowMs + 5_000)
  const moved = five.repaired
  kill(five, 3)
  runTo(five, five.nowMs + 8_000)
  restart(five, 3)
  reopenDisk(five, 3)
  feed(five, 3, { type: 'join', addresses: [peerOf(0)] })
  runTo(five, five.nowMs + 60_000)
  assert.is(five.repaired, moved)
})

cluster('two members killed at once lose nothing, and reads go on meanwhile', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const five = gathered({ seed, nodes: 5, link: LOSSY, config: { repairDelayMs: 3_000 } })
    const keys = putAll(five, 0, 100)
    kill(five, 3)
    kill(five, 4)
    for (const key of keys) if (!diskOf(five, 1).blocks.has(key)) read(five, 1, key)
    runTo(five, five.nowMs + 20_000)
    for (const { node, key, found } of five.reads) assert.ok(found, `seed ${seed}: ${node} reads ${key}`)
    heals(five, keys, 3)
  }
})

cluster('a member whose disk was replaced by an empty one is filled again', () => {
  const five = gathered({ seed: 5, nodes: 5, link: LAN, config: { repairDelayMs: 3_000 } })
  const keys = putAll(five, 0, 200)
  kill(five, 2)
  five.disks[2] = createDisk(hash256)
  restart(five, 2)
  feed(five, 2, { type: 'join', addresses: [peerOf(0)] })
  heals(five, keys, 3)
})

cluster('a damaged copy is fetched again from another holder', () => {
  const five = gathered({ seed: 6, nodes: 5, link: LAN })
  const keys = putAll(five, 0, 20)
  for (const key of keys) quarantine(five, copiesOf(five, key)[0] ?? 0, key)
  const took = heals(five, keys, 3)
  assert.ok(took < 2_000, `healed in ${took} ms`)
})

cluster('a newcomer takes its share, and what it takes stays where it was too', () => {
  const six = simulateCluster({ seed: 7, nodes: 6, link: LAN })
  for (let node = 1; node < 5; node++) feed(six, node, { type: 'join', addresses: [peerOf(0)] })
  assert.ok(
    runUntil(six, 10_000, () => six.cores.slice(0, 5).every((c) => c.holders.placement.size === 5)) !==
      undefined
  )
  const keys = putAll(six, 0, 400)
  feed(six, 5, { type: 'join', addresses: [peerOf(2)] })
  // Six equal members with N = 3 hold half of the blocks each.
  const took = runUntil(six, 60_000, () => diskOf(six, 5).blocks.size >= 160)
  assert.ok(took !== undefined, `the newcomer has ${diskOf(six, 5).blocks.size} blocks`)
  for (const key of keys) assert.ok(copiesOf(six, key).length >= 3)
})

cluster('a member that leaves hands over first', () => {
  const five = gathered({ seed: 8, nodes: 5, link: LAN })
  const keys = putAll(five, 0, 200)
  feed(five, 4, { type: 'leave' })
  const others = () => keys.every((key) => copiesOf(five, key).filter((node) => node !== 4).length >= 3)
  assert.ok(runUntil(five, 60_000, others) !== undefined, 'the others hold N without it')
})

cluster('a member that began to leave and is started again takes part again', () => {
  const five = gathered({ seed: 11, nodes: 5, link: LAN })
  const keys = putAll(five, 0, 50)
  feed(five, 4, { type: 'leave' })
  runTo(five, five.nowMs + 5_000)
  restart(five, 4)
  reopenDisk(five, 4)
  feed(five, 4, { type: 'join', addresses: [peerOf(0)] })
  const all = () => five.cores.every(({ holders }) => holders.placement.size === 5)
  assert.ok(runUntil(five, 20_000, all) !== undefined, 'all five place blocks on all five again')
  heals(five, keys, 3)
})

cluster('a put waits out a broken connection when nobody can stand in', () => {
  const three = gathered({ seed: 12, nodes: 3, link: LAN })
  kill(three, 2)
  const keys = freshKeys(three, 10)
  const done = put(three, 0, keys)
  runTo(three, three.nowMs + 500)
  assert.is(done.settled, undefined, 'one of three holders is not known to be dead yet')
  restart(three, 2)
  feed(three, 2, { type: 'join', addresses: [peerOf(0)] })
  assert.ok(runUntil(three, 20_000, () => done.settled !== undefined) !== undefined)
  for (const { receipts } of done.settled ?? []) assert.is(receipts.length, 3)
})

cluster('with a holder dead for good a put of three members ends with the two receipts there are', () => {
  const three = gathered({ seed: 13, nodes: 3, link: LAN })
  kill(three, 2)
  const done = put(three, 0, freshKeys(three, 10))
  const took = runUntil(three, 30_000, () => done.settled !== undefined)
  assert.ok(took !== undefined, 'the put settles')
  for (const { receipts, needed } of done.settled ?? []) assert.is(receipts.length, needed)
})

cluster('a node stalled in the middle of a put and a read fails neither', () => {
  const five = gathered({
    seed: 14,
    nodes: 5,
    link: LAN,
    config: { putTimeoutMs: 5_000, readTimeoutMs: 5_000 }
  })
  const keys = putAll(five, 0, 20)
  const done = put(five, 1, freshKeys(five, 20))
  const reads = keys.filter((key) => !diskOf(five, 1).blocks.has(key)).map((key) => read(five, 1, key))
  runTo(five, five.nowMs + 1)
  stall(five, 1, 20_000)
  runTo(five, five.nowMs + 25_000)
  for (const { receipts } of done.settled ?? [{ receipts: [] }]) assert.is(receipts.length, 3)
  for (const { found } of reads) assert.is(found, true)
})

cluster('a full holder moves nothing to and fro, and the next in the order holds what it can not', () => {
  const five = simulateCluster({ seed: 15, nodes: 5, link: LAN })
  diskOf(five, 3).limit = 20
  for (let node = 1; node < 5; node++) feed(five, node, { type: 'join', addresses: [peerOf(0)] })
  runTo(five, 10_000)
  const keys = putAll(five, 0, 100)
  assert.is(diskOf(five, 3).blocks.size, 20)
  heals(five, keys, 3)
  runTo(five, five.nowMs + 30_000)
  const moved = five.repaired
  runTo(five, five.nowMs + 60_000)
  assert.is(five.repaired, moved)
})

cluster('what the members say of safety is so: all at N, then below, then at N again', () => {
  const five = gathered({ seed: 9, nodes: 5, link: LAN, config: { repairDelayMs: 5_000 } })
  putAll(five, 0, 300)
  runTo(five, five.nowMs + 10_000)
  const survey = () => {
    const request = five.nextId++
    feed(five, 0, { type: 'survey', request })
    runTo(five, five.nowMs + 1_500)
    return five.surveys.get(request)?.tally
  }
  assert.equal(survey()?.short, [])
  assert.is(survey()?.blocks, 300)
  kill(five, 4)
  const low = runUntil(five, 15_000, () => (survey()?.short[0]?.blocks ?? 0) > 100)
  assert.ok(low !== undefined, 'the loss is seen')
  assert.is(survey()?.short[0]?.copies, 2)
  const healed = runUntil(five, 60_000, () => survey()?.short.length === 0)
  assert.ok(healed !== undefined, `healed; last ${JSON.stringify(survey())}`)
  assert.is(survey()?.blocks, 300)
})

/** Surveys from the death of one of five on, each with what it foretells and what it takes from there, ms. */
function forecasts(bytesPerMs: number, blocks: number): { saidMs: number; tookMs: number; rate: number }[] {
  const five = gathered({ seed: 3, nodes: 5, link: LAN, config: { repairDelayMs: 5_000 } })
  putAll(five, 0, blocks)
  runTo(five, five.nowMs + 10_000)
  five.network.rates.fill(bytesPerMs)
  kill(five, 4)
  const said: { saidMs: number; atMs: number; rate: number }[] = []
  const { holders, config } = five.cores[0] as Core
  const isOver = () => {
    const request = five.nextId++
    feed(five, 0, { type: 'survey', request })
    runTo(five, five.nowMs + 1_100)
    const tally = five.surveys.get(request)?.tally as Tally
    if (tally.short.length === 0) return said.length > 0
    said.push({ saidMs: safeInMs(holders, config, tally) ?? 0, atMs: five.nowMs, rate: tally.rate })
    return false
  }
  assert.ok(runUntil(five, 300_000, isOver, 1_000) !== undefined, 'healed')
  return said.map(({ atMs, ...rest }) => ({ ...rest, tookMs: five.nowMs - atMs }))
}

cluster('when all will be safe is foretold, as soon as something has come even on slow links', () => {
  const onLan = forecasts(100_000, 400)
  const onSlow = forecasts(2_000, 200).filter(({ rate }) => rate > 0)
  assert.ok(onLan.length >= 3 && onSlow.length >= 10)
  for (const { saidMs, tookMs } of [...onLan, ...onSlow]) {
    // what is being waited for is known to the delay
    assert.ok(saidMs < 2 * tookMs + 5_000 && saidMs > 0.5 * tookMs - 5_000, `${saidMs} said, ${tookMs} took`)
  }
})

cluster('the same seed gives the same run', () => {
  const run = () => {
    const five = gathered({ seed: 10, nodes: 5, link: LOSSY, config: { repairDelayMs: 3_000 } })
    const keys = putAll(five, 0, 50)
    kill(five, 4)
    heals(five, keys, 3)
    return five.hash
  }
  assert.is(run(), run())
})

cluster.run()
