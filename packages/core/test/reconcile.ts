import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CompareMessage, MessageOf } from '../src/compare.ts'
import { actingHolders } from '../src/holders.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import { seeded } from '../src/random.ts'
import {
  onCompareMessage,
  peerOf,
  type Reconciler,
  reconcileDeadline,
  reconcileDoubt,
  reconcileForget,
  reconcileTick,
  uncover
} from '../src/reconcile.ts'
import { compareFor, drop, keep, type Node, node, type settle } from './support/comparing.ts'
import { become, CONFIG, holdersOf, keyIn, peer } from './support/data.ts'

/** As many nodes, which all hold all at N = 3 if they are at most three. */
function group(count: number): Node[] {
  return Array.from({ length: count }, (_, n) => node(n, holdersOf(count)))
}

const first = (nodes: readonly Node[]) => nodes[0] as Node
const second = (nodes: readonly Node[]) => nodes[1] as Node
const FULL_DIGESTS = new Uint8Array(2_048).fill(255)

function say(to: Node, from: number, message: CompareMessage, nowMs = 0) {
  return onCompareMessage(to.state, to.holders, { from: peer(from), mayAsk: true }, message, nowMs)
}

/** What a hostile or mad peer can make a node remember. */
function memoryOf(state: Reconciler): number {
  let sum = state.listings.served.size + state.listings.lookups.size + state.peers.size
  for (const peer of state.peers.values()) {
    const { differing, changed, toList, listing, covered, listed, claims, offered } = peer
    for (const one of [differing, changed, toList, listing, covered, listed, claims, offered]) sum += one.size
  }
  return sum
}

const comparing = suite('comparing')

comparing('two that hold the same agree for under 200 bytes a round', () => {
  const two = group(2)
  for (const one of two)
    keep(
      one,
      Array.from({ length: 1_000 }, (_, i) => ({ key: keyIn(i * 65) }))
    )
  compareFor(two, 10_000)
  const { traffic } = compareFor(two, 60_000, { fromMs: 10_000 })
  const rounds = traffic.messages.filter(({ type }) => type === 'compare').length
  assert.equal(
    [...new Set(traffic.messages.map(({ type }) => type))].sort(),
    ['agree', 'compare'],
    'nothing else is said'
  )
  assert.ok(traffic.bytes / rounds < 200, `${traffic.bytes / rounds} bytes a round`)
  for (const { state } of two) for (const known of state.peers.values()) assert.is(known.differing.size, 0)
})

comparing('each learns exactly what it lacks, at the cost of the difference', () => {
  const two = group(2)
  const shared = Array.from({ length: 5_000 }, (_, i) => ({ key: keyIn(i * 13) }))
  for (const one of two) keep(one, shared)
  const [onlyA, onlyB] = [keyIn(70, 5), keyIn(60_000, 5)]
  keep(first(two), [{ key: onlyA }])
  keep(second(two), [{ key: onlyB }])
  const { traffic } = compareFor(two, 5_000)
  assert.equal(
    traffic.missing.map(({ entries }) => entries.map(({ key }) => key)).sort(),
    [[onlyA], [onlyB]].sort()
  )
  assert.ok(traffic.bytes < 40_000, `${traffic.bytes} bytes`)
})

comparing('a slot of many pages arrives whole', () => {
  const two = group(2)
  keep(
    first(two),
    Array.from({ length: 3 * DATA_LIMITS.pageKeys }, (_, i) => ({ key: keyIn(9, i) }))
  )
  compareFor(two, 5_000)
  assert.is(second(two).store.size, first(two).store.size)
})

comparing('blocks of one slot with other Ns are listed apart', () => {
  const two = group(2)
  const blocks = [1, 2, 3, 4].flatMap((replicas) =>
    [0, 1].map((i) => ({ key: keyIn(9, 10 * replicas + i), replicas }))
  )
  keep(first(two), blocks)
  const { traffic } = compareFor(two, 5_000)
  for (const { replicas, entries } of traffic.missing) {
    for (const { key } of entries) assert.is(replicas, first(two).store.get(key)?.replicas)
  }
  // At N = 1 one of the two is the holder: the other has it besides, and lacks nothing.
  const ours = actingHolders(second(two).holders, 9, 1).includes(peer(1))
  assert.is(second(two).store.size, ours ? 8 : 6)
})

comparing('more places in a group than one message holds: all are looked into in the end', () => {
  const two = group(2)
  const all = Array.from({ length: 256 * 12 }, (_, i) => {
    return { key: keyIn(i % 256, Math.floor(i / 256)), replicas: 3 + Math.floor(i / 256) }
  })
  keep(first(two), all)
  const { traffic } = compareFor(two, 60_000)
  assert.is(second(two).store.size, all.length)
  assert.ok(traffic.messages.some((said) => said.type === 'slots' && said.summaries.length > 1_000))
})

comparing('while something differs a round follows a round, without waiting for the idle time', () => {
  const two = group(2)
  keep(
    first(two),
    Array.from({ length: 64 }, (_, i) => ({ key: keyIn(i * 1_024) }))
  )
  const { traffic } = compareFor(two, 3_000)
  assert.is(second(two).store.size, 64, `${traffic.messages.length} messages`)
})

comparing('what can not be settled in the first groups does not keep the rest waiting', () => {
  const two = group(2)
  // The second has blocks that the first will not fetch, in more groups than one round looks into.
  keep(
    second(two),
    Array.from({ length: 40 }, (_, i) => ({ key: keyIn(i * 256) }))
  )
  keep(
    first(two),
    Array.from({ length: 10 }, (_, i) => ({ key: keyIn(50_000 + i * 256, 1) }))
  )
  const { traffic } = compareFor(two, 30_000, { fetch: false })
  const found = new Set(traffic.missing.filter(({ from }) => from === peer(0)).map(({ slot }) => slot))
  assert.is(found.size, 10)
})

comparing('a difference that leads to nothing is looked at less and less often', () => {
  const two = group(2)
  for (const one of two) become(one.holders, 1, { full: true })
  keep(
    first(two),
    Array.from({ length: 100 }, (_, i) => ({ key: keyIn(i * 600) }))
  )
  compareFor(two, 60_000)
  const { traffic } = compareFor(two, 60_000, { fromMs: 60_000 })
  const rounds = traffic.messages.filter(({ type }) => type === 'compare').length
  assert.ok(rounds <= 2 * (60_000 / CONFIG.compareIdleMs + 1), `${rounds} rounds in a minute`)
  assert.not.ok(
    traffic.messages.some(({ type }) => type === 'list'),
    'the full one pulls nothing'
  )
})

comparing('who has more lists nothing twice', () => {
  const two = group(2)
  keep(
    first(two),
    Array.from({ length: 20 }, (_, i) => ({ key: keyIn(i * 256) }))
  )
  keep(
    first(two),
    Array.from({ length: 20 }, (_, i) => ({ key: keyIn(i * 256, 1) }))
  )
  keep(
    second(two),
    Array.from({ length: 20 }, (_, i) => ({ key: keyIn(i * 256) }))
  )
  const lists = (said: CompareMessage[]) =>
    said.reduce((sum, message) => sum + (message.type === 'list' ? message.slots.length : 0), 0)
  const before = compareFor(two, 20_000, { fetch: false })
  const after = compareFor(two, 60_000, { fetch: false, fromMs: before.nowMs })
  const bySecond = after.traffic.missing.length
  assert.is(lists(after.traffic.messages), bySecond, 'only the one that lacks them goes on')
  uncover(first(two).state, 3 * 65_536)
  const again = compareFor(two, 10_000, { fetch: false, fromMs: after.nowMs })
  assert.ok(lists(again.traffic.messages) > again.traffic.missing.length, 'until it may have lost one')
})

comparing('what is lost here is found again where it was seen before', () => {
  const two = group(2)
  for (const one of two) become(one.holders, 1, { full: true }) // so that nothing changes there
  keep(first(two), [{ key: keyIn(5, 1) }, { key: keyIn(5, 2) }])
  keep(second(two), [{ key: keyIn(5, 1) }])
  compareFor(two, 10_000, { fetch: false })
  assert.is(peerOf(first(two).state, peer(1)).covered.size, 1)
  drop(first(two), keyIn(5, 1))
  compareFor(two, 20_000, { fromMs: 10_000 })
  assert.ok(first(two).store.has(keyIn(5, 1)))
})

comparing('claims that a full holder will never take are asked for once, and it is told of ours', () => {
  const two = group(2)
  keep(first(two), [{ key: keyIn(5), claims: 'aa'.repeat(8) }])
  keep(second(two), [{ key: keyIn(5), claims: 'bb'.repeat(8) }])
  become(first(two).holders, 0, { full: true })
  become(second(two).holders, 0, { full: true })
  const told: Parameters<typeof settle>[3]['traffic']['told'] = []
  const traffic = {
    messages: [],
    told,
    bytes: 0,
    missing: [],
    differing: [] as Parameters<typeof settle>[3]['traffic']['differing']
  }
  compareFor(two, 5_000, { fetch: false, traffic })
  assert.ok(traffic.differing.length > 0)
  // Taken once: what is here now is both, which the other's digest will never equal.
  const taken = peerOf(second(two).state, peer(0)).claims.get(keyIn(5))
  assert.ok(taken !== undefined)
  if (taken !== undefined) taken.taken = true
  keep(second(two), [{ key: keyIn(5), claims: 'cc'.repeat(8) }])
  const before = traffic.differing.length
  compareFor(two, 60_000, { fetch: false, traffic, fromMs: 5_000 })
  assert.is(traffic.differing.length, before)
  assert.ok(told.length > 0)
  assert.equal(traffic.missing, [], 'and no block moves')
})

comparing('a change since the round began is not taken for agreed', () => {
  const two = group(2)
  for (const one of two) keep(one, [{ key: keyIn(5) }])
  const [begun] = reconcileTick(first(two).state, first(two).holders, () => true, 0)
  assert.ok(begun?.type === 'send' && begun.message.type === 'compare')
  const { round } = begun.message as MessageOf<'compare'>
  keep(first(two), [{ key: keyIn(6) }])
  say(first(two), 1, { type: 'agree', round, still: false })
  const known = peerOf(first(two).state, peer(1))
  assert.is.not(known.agreedVersion, first(two).state.version)
  assert.ok(known.changed.size + known.differing.size > 0, 'the new block is nowhere confirmed')
})

comparing('members that see other members come to rest, and agree when their views do', () => {
  const two = [node(0, holdersOf(5)), node(1, holdersOf(2))]
  keep(
    first(two),
    Array.from({ length: 200 }, (_, i) => ({ key: keyIn(i * 300) }))
  )
  const { nowMs } = compareFor(two, 60_000)
  const { traffic } = compareFor(two, 30_000, { fromMs: nowMs })
  assert.ok(traffic.messages.length < 200, `${traffic.messages.length} messages in half a minute`)
  assert.not.ok(traffic.messages.some(({ type }) => type === 'list'))
  for (let n = 2; n < 5; n++) become(second(two).holders, n, {})
  compareFor(two, 30_000, { fromMs: nowMs + 30_000 })
  const { differing } = peerOf(first(two).state, peer(1))
  assert.is(differing.size, 0)
})

comparing('what is held besides is offered until the holders have it, then no more', () => {
  const four = group(4)
  const [holder] = actingHolders(first(four).holders, 8, 1)
  const stray = four.find(({ id }) => id !== holder) as Node
  keep(stray, [{ key: keyIn(8), replicas: 1 }])
  const { nowMs } = compareFor(four, 20_000)
  assert.ok(four.find(({ id }) => id === holder)?.store.has(keyIn(8)))
  assert.is(stray.state.strays.get(65_536 + 8)?.settled.size, 1)
  const { traffic } = compareFor(four, 20_000, { fromMs: nowMs })
  assert.not.ok(traffic.messages.some(({ type }) => type === 'offer'))
})

comparing('what a holder said that it has is offered again once it may have begun a new life', () => {
  for (const isKnown of [true, false]) {
    const four = group(4)
    const [id] = actingHolders(first(four).holders, 8, 1)
    const holder = four.find((one) => one.id === id) as Node
    const stray = four.find((one) => one.id !== id) as Node
    keep(stray, [{ key: keyIn(8), replicas: 1 }])
    const { nowMs } = compareFor(four, 20_000)
    assert.ok(holder.store.has(keyIn(8)))
    drop(holder, keyIn(8)) // its disk was replaced while it was away, too short a time to be found dead
    if (isKnown) reconcileDoubt(stray.state, holder.id)
    compareFor(four, isKnown ? 20_000 : 320_000, { fromMs: nowMs })
    assert.ok(holder.store.has(keyIn(8)), isKnown ? 'at once' : 'and else in some minutes')
  }
})

comparing('a holder never says "settled" of what it has not seen', () => {
  const four = group(4)
  const [id] = actingHolders(first(four).holders, 8, 1)
  const holder = four.find((one) => one.id === id) as Node
  const stray = four.find((one) => one.id !== id) as Node
  keep(stray, [{ key: keyIn(8), replicas: 1 }])
  const { traffic } = compareFor(four, 20_000, { fetch: false })
  assert.ok(traffic.missing.length > 0)
  assert.is(stray.state.strays.get(65_536 + 8)?.settled.size, 0, 'it lacks the block')
  keep(holder, [{ key: keyIn(8), replicas: 1 }])
  // Between two pages the slot changes: what was added to the first is not seen by who reads the second.
  for (let i = 0; i < DATA_LIMITS.pageKeys; i++) keep(stray, [{ key: keyIn(8, 10 + 2 * i), replicas: 1 }])
  for (const [key, kept] of stray.store) holder.store.set(key, kept)
  let added = false
  compareFor(four, 20_000, {
    fromMs: 20_000,
    fetch: false,
    lost: (message) => {
      if (message.type === 'list' && message.slots[0]?.after !== undefined && !added) {
        added = true
        keep(stray, [{ key: keyIn(8, 11), replicas: 1 }])
      }
      return false
    }
  })
  assert.ok(added, 'a page was asked for in between')
  assert.is(stray.state.strays.get(65_536 + 8)?.settled.size, 0)
})

comparing(
  'a holder that can take nothing is not offered anything; one that does not is offered ever less',
  () => {
    const four = group(4)
    const [holder] = actingHolders(first(four).holders, 8, 1)
    const stray = four.find(({ id }) => id !== holder) as Node
    keep(stray, [{ key: keyIn(8), replicas: 1 }])
    const { traffic, nowMs } = compareFor(four, 60_000, { fetch: false })
    const offers = (said: CompareMessage[]) => said.filter(({ type }) => type === 'offer').length
    assert.ok(offers(traffic.messages) > 0 && offers(traffic.messages) < 20)
    for (const one of four) become(one.holders, Number(holder?.slice(5)), { full: true })
    keep(stray, [{ key: keyIn(9), replicas: 1 }])
    const later = compareFor(four, 20_000, { fetch: false, fromMs: nowMs })
    const told = later.traffic.messages
      .filter((said) => said.type === 'offer')
      .flatMap(({ summaries }) => summaries)
    assert.not.ok(
      told.some(({ slot }) => slot === 8 && !actingHolders(stray.holders, 8, 1).some((id) => id !== holder))
    )
  }
)

comparing('lost messages delay and never stop it', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = seeded(seed)
    const two = group(2)
    keep(
      first(two),
      Array.from({ length: 50 }, (_, i) => ({ key: keyIn(i * 900) }))
    )
    keep(
      second(two),
      Array.from({ length: 50 }, (_, i) => ({ key: keyIn(i * 901) }))
    )
    compareFor(two, 300_000, { lost: () => random() < 0.2 })
    assert.is(first(two).store.size, second(two).store.size, `seed ${seed}`)
  }
})

comparing('answers to nothing that was asked cost nothing and change nothing', () => {
  const two = group(2)
  keep(
    first(two),
    Array.from({ length: 50 }, (_, i) => ({ key: keyIn(i * 900) }))
  )
  compareFor(two, 10_000)
  const before = memoryOf(first(two).state)
  const summaries = Array.from({ length: DATA_LIMITS.slotsPerMessage }, (_, slot) => {
    return { slot: slot % 256, replicas: 1 + (slot % 32), fingerprint: 'ab'.repeat(16), blocks: 9, bytes: 9 }
  })
  const spans = [{ from: 0, to: 255 }]
  const entries = [{ key: keyIn(5), size: 1, claims: '00'.repeat(8) }]
  const listing = {
    slot: 5,
    replicas: 3,
    after: undefined,
    fingerprint: 'ab'.repeat(16),
    entries,
    next: keyIn(5)
  }
  const messages: CompareMessage[] = [
    { type: 'agree', round: 1, still: false },
    { type: 'agree', round: 1, still: true },
    { type: 'parts', round: 1, from: 0, groups: [{ group: 0, digests: FULL_DIGESTS.slice(0, 128) }] },
    { type: 'marks', round: 1, spans, marks: [{ slot: 1, replicas: 3, mark: 1 }], all: true },
    { type: 'groups', round: 1, digests: FULL_DIGESTS },
    { type: 'slots', round: 1, spans, summaries, answer: true, whole: true },
    { type: 'slots', round: 1, spans, summaries, answer: false, whole: true },
    { type: 'listing', pages: [listing] },
    { type: 'settled', summaries }
  ]
  for (const message of messages) assert.equal(say(first(two), 1, message), [], message.type)
  assert.is(memoryOf(first(two).state), before)
})

comparing('an answer counts once: a peer can not make one question into many', () => {
  const two = group(2)
  keep(first(two), [{ key: keyIn(5) }])
  const begun = reconcileTick(first(two).state, first(two).holders, () => true, 0)[0]
  const { round } = (begun?.type === 'send' ? begun.message : {}) as MessageOf<'compare'>
  assert.is(say(first(two), 1, { type: 'groups', round, digests: FULL_DIGESTS }).length, 1)
  assert.is(say(first(two), 1, { type: 'groups', round, digests: FULL_DIGESTS }).length, 0)
  const marks: CompareMessage = { type: 'marks', round, spans: [], marks: [], all: true }
  assert.is(say(first(two), 1, marks).length, 1)
  assert.is(say(first(two), 1, marks).length, 0)
  say(first(two), 1, { type: 'compare', round: 77, root: 'ab'.repeat(16), known: undefined })
  const slots: CompareMessage = {
    ...{ type: 'slots', round: 77, spans: [], summaries: [], answer: true, whole: false }
  }
  const parts: CompareMessage = { type: 'parts', round: 77, from: 0, groups: [] }
  assert.is(say(first(two), 1, slots).length, 0, 'not yet')
  assert.is(say(first(two), 1, parts).length, 1)
  assert.is(say(first(two), 1, parts).length, 0)
  assert.is(say(first(two), 1, slots).length, 1)
  assert.is(say(first(two), 1, slots).length, 0)
})

comparing('a peer that offers and lists without end is bounded, and forgotten when it dies', () => {
  const [one] = group(2) as [Node]
  for (let nowMs = 0; nowMs < 120_000; nowMs += 1_000) {
    for (let n = 1; n <= 32; n += 8) {
      const summaries = Array.from({ length: DATA_LIMITS.slotsPerMessage }, (_, i) => {
        const fingerprint = (nowMs + i).toString(16).padStart(32, '0')
        return { slot: (i * 36 + nowMs / 100) % 65_536, replicas: n, fingerprint, blocks: 1, bytes: 1 }
      })
      say(one, 1, { type: 'offer', summaries }, nowMs)
    }
    reconcileTick(one.state, one.holders, () => true, nowMs)
    assert.ok(
      memoryOf(one.state) <= DATA_LIMITS.listQueue + DATA_LIMITS.listsPerMember + 100,
      `${memoryOf(one.state)} things at ${nowMs}`
    )
  }
  reconcileForget(one.state, peer(1))
  assert.is(memoryOf(one.state), 0)
})

comparing('a listing that never comes is given up, also of one that takes no part any more', () => {
  const [one] = group(2) as [Node]
  become(one.holders, 1, { state: 'leaving' })
  const value = { slot: 5, replicas: 3, fingerprint: 'ab'.repeat(16), blocks: 1, bytes: 1 }
  const asked = say(one, 1, { type: 'offer', summaries: [value] })
  assert.ok(asked[0]?.type === 'send' && asked[0].message.type === 'list')
  for (let nowMs = 0; nowMs < 20_000; nowMs += 100) {
    reconcileTick(one.state, one.holders, () => true, nowMs)
    assert.ok(reconcileDeadline(one.state) > nowMs, `at ${nowMs} nothing is overdue`)
  }
  assert.is(peerOf(one.state, peer(1)).listing.size, 0)
})

comparing('two come to hold the same from any start, and then rest', () => {
  const blocks = fc.array(
    fc.record({ slot: fc.nat(2_000), i: fc.nat(3), n: fc.integer({ min: 2, max: 5 }) }),
    {
      maxLength: 40
    }
  )
  fc.assert(
    fc.property(blocks, blocks, fc.array(fc.nat(39), { maxLength: 5 }), (a, b, gone) => {
      const two = group(2)
      const keysOf = (some: typeof a) =>
        some.map(({ slot, i, n }) => ({ key: keyIn(slot * 31, i + 4 * n), replicas: n }))
      keep(first(two), keysOf(a))
      keep(second(two), keysOf(b))
      for (const at of gone) {
        const key = keysOf(a)[at]?.key
        if (key !== undefined && first(two).store.has(key) && second(two).store.has(key))
          drop(first(two), key)
      }
      const { nowMs } = compareFor(two, 30_000)
      assert.equal([...first(two).store.keys()].sort(), [...second(two).store.keys()].sort())
      const { traffic } = compareFor(two, 10_000, { fromMs: nowMs })
      assert.ok(traffic.messages.every(({ type }) => type === 'compare' || type === 'agree'))
    }),
    { numRuns: 30 }
  )
})

comparing(
  'a difference of more slots than a message holds, and that nothing comes of, is looked at ever less',
  () => {
    const three = [0, 1, 2].map((n) => node(n, holdersOf(3))) as [Node, Node, Node]
    for (const { holders } of three) become(holders, 1, { full: true })
    const keys = Array.from({ length: 2 * DATA_LIMITS.slotsPerMessage }, (_, i) => ({ key: keyIn(i) }))
    keep(three[0], keys)
    keep(three[2], keys)
    const { nowMs } = compareFor(three, 20_000, { fetch: false })
    const { traffic } = compareFor(three, 60_000, { fetch: false, fromMs: nowMs })
    const rounds = traffic.messages.filter(({ type }) => type === 'compare').length
    assert.ok(rounds < 150, `${rounds} rounds of three pairs in a minute`)
  }
)

comparing('who has become what another said it has knows so without asking', () => {
  const three = [0, 1, 2].map((n) => node(n, holdersOf(3))) as [Node, Node, Node]
  for (const one of three) keep(one, [{ key: keyIn(5) }])
  compareFor(three, 20_000)
  keep(three[0], [{ key: keyIn(5, 1) }])
  const { differing } = peerOf(three[1].state, peer(0))
  compareFor(three, 2_000, { fetch: false, fromMs: 20_000 })
  assert.is(differing.size, 1)
  keep(three[1], [{ key: keyIn(5, 1) }])
  assert.is(differing.size, 0)
})

comparing.run()
