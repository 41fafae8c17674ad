import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BLOCK_BYTES_MAX, type BlockKey, slotOf } from '../src/block.ts'
import {
  createFetches,
  type FetchAction,
  type Fetches,
  type FetchOutcome,
  type FetchPurpose,
  fetchDeadline,
  fetchForget,
  fetchTick,
  hasRepairRoom,
  onFetchEnded,
  onFetched,
  unread,
  unwant,
  want
} from '../src/fetch.ts'
import { actingHolders, type Holders } from '../src/holders.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import { noteServed } from '../src/ration.ts'
import { createWindow } from '../src/window.ts'
import { become, CONFIG, holdersOf, keyIn, peer } from './support/data.ts'

type Sent = FetchAction & { type: 'fetch-blocks' }

function script(count = 6) {
  const holders = holdersOf(count)
  const self = peer(0)
  const fetches = createFetches(self, CONFIG)
  const sent: Sent[] = []
  const others: FetchAction[] = []
  const take = (actions: readonly FetchAction[]) => {
    for (const action of actions) action.type === 'fetch-blocks' ? sent.push(action) : others.push(action)
  }
  return {
    ...{ holders, fetches, sent, others, take },
    read: (key: BlockKey, nowMs = 0) =>
      want(fetches, { key, purpose: 'read', replicas: 3, notBeforeMs: nowMs }, nowMs),
    repair(key: BlockKey, source: number, nowMs = 0, size?: number) {
      const request = { key, purpose: 'repair', replicas: 3, source: peer(source) } as const
      want(fetches, { ...request, ...(size === undefined ? {} : { size }), notBeforeMs: nowMs }, nowMs)
    },
    tick: (nowMs = 0) => take(fetchTick(fetches, holders, nowMs)),
    answer(to: number, outcome: FetchOutcome, nowMs = 0, which = 0) {
      const { transfer, keys } = sent[to] as Sent
      take(onFetched(fetches, { transfer, key: keys[which] as BlockKey, outcome }, nowMs))
    },
    end: (to: number, nowMs = 0) =>
      onFetchEnded(fetches, { transfer: (sent[to] as Sent).transfer, reason: 'closed' }, nowMs)
  }
}

/** Keys of slots that member 0 holds, or does not. */
function keysHeldBy0(holders: Holders, count: number, held = true): BlockKey[] {
  const keys: BlockKey[] = []
  for (let slot = 0; keys.length < count; slot++) {
    if (actingHolders(holders, slot, 3).includes(peer(0)) === held) keys.push(keyIn(slot))
  }
  return keys
}

/** Counters are what they count, in every state. */
function adds(fetches: Fetches): void {
  const byPeer = new Map<string, number>()
  const reading = new Map<string, number>()
  let repairing = 0
  let repairingBytes = 0
  for (const { from, keys, purpose, late } of fetches.transfers.values()) {
    byPeer.set(from, (byPeer.get(from) ?? 0) + keys.size)
    if (purpose === 'read') reading.set(from, (reading.get(from) ?? 0) + keys.size)
    const counts = purpose === 'repair' && !late
    if (counts) repairing += keys.size
    for (const bytes of counts ? keys.values() : []) repairingBytes += bytes
    assert.ok(keys.size > 0, 'a transfer with nothing left is over')
  }
  assert.is(fetches.repairing, repairing)
  assert.is(fetches.repairingBytes, repairingBytes)
  for (const [id, load] of fetches.loads) {
    const { pending, told } = load
    assert.is(load.reading, reading.get(id) ?? 0, `blocks read from ${id}`)
    assert.is(pending, byPeer.get(id) ?? 0, `blocks pending from ${id}`)
    assert.is(told, [...fetches.wants.byKey.values()].filter(({ toldBy }) => toldBy === id).length)
  }
  for (const known of fetches.wants.byKey.values()) {
    for (const transfer of known.pending.values()) assert.ok(fetches.transfers.has(transfer.id))
    const { rank, dueMs, pending } = known
    if (rank !== undefined) assert.ok(fetches.wants.ready[rank]?.has(known))
    assert.is(fetches.wants.reads.has(known), known.read)
    assert.ok(known.read || pending.size > 0 || rank !== undefined || dueMs !== undefined, 'none is lost')
  }
}

const fetching = suite('fetching')

fetching('a read goes to one holder, and its block ends it', () => {
  const one = script()
  const key = keyIn(5)
  one.read(key)
  one.tick()
  assert.is(one.sent.length, 1)
  assert.ok(actingHolders(one.holders, slotOf(key), 3).includes(one.sent[0]?.from as never))
  one.answer(0, 'held')
  assert.equal(one.others, [{ type: 'read-over', key, found: true, tried: [] }])
  assert.is(one.fetches.wants.byKey.size, 0)
})

fetching('absent, corrupt and failed answers go on to the next, past N too, and then it is over', () => {
  const one = script()
  one.read(keyIn(5))
  one.tick()
  for (let i = 0; i < 5; i++) {
    assert.is(one.sent.length, i + 1)
    if (i === 2) one.end(i)
    else one.answer(i, i === 1 ? 'corrupt' : 'absent')
    one.tick()
  }
  assert.is(new Set(one.sent.map(({ from }) => from)).size, 5)
  const [over] = one.others
  assert.is(over?.type === 'read-over' && over.found, false)
  assert.is(over?.type === 'read-over' && over.tried.length, 5)
})

fetching('a silent member is hedged once, and the one that loses is cancelled', () => {
  const one = script()
  one.read(keyIn(5))
  one.tick()
  assert.is(fetchDeadline(one.fetches), CONFIG.hedgeAfterMs)
  one.tick(CONFIG.hedgeAfterMs)
  one.tick(CONFIG.hedgeAfterMs + 1)
  assert.is(one.sent.length, 2)
  one.answer(1, 'held', CONFIG.hedgeAfterMs + 5)
  assert.equal(one.others[0], { type: 'cancel-fetch', transfer: one.sent[0]?.transfer })
  assert.is(one.fetches.transfers.size, 0)
  adds(one.fetches)
})

/** So many reads of other blocks, each answered after `tookMs`. Returns the time then. */
function reads(one: ReturnType<typeof script>, count: number, tookMs: number): number {
  let nowMs = 0
  for (let i = 0; i < count; i++) {
    one.read(keyIn(100 + i), nowMs)
    one.tick(nowMs)
    nowMs += tookMs
    one.answer(one.sent.length - 1, 'held', nowMs)
  }
  return nowMs
}

fetching('one that is later than nearly all were is asked of the next too, so often and no more', () => {
  const one = script()
  let nowMs = reads(one, 40, 20)
  const late = (i: number): number => {
    one.read(keyIn(i), nowMs)
    one.tick(nowMs)
    const before = one.sent.length
    const tookMs = fetchDeadline(one.fetches) - nowMs
    nowMs += tookMs
    one.tick(nowMs)
    assert.is(one.sent.length, before + 1)
    one.answer(before, 'held', ++nowMs)
    return Math.round(tookMs)
  }
  const [first, second, third, fourth] = [late(1), late(2), late(3), late(4)] as const
  for (const tookMs of [first, second, third]) assert.ok(tookMs < 100, `${tookMs} ms`)
  assert.is(fourth, CONFIG.hedgeAfterMs, 'the allowance of 44 reads is used up')
  assert.equal(one.fetches.asked, { first: 44, hedged: 3, again: 1 })
  adds(one.fetches)
})

fetching('where all are slow nobody is taken for silent', () => {
  const one = script()
  const nowMs = reads(one, 30, 1_000)
  one.read(keyIn(1), nowMs)
  one.fetches.hedge.allowance = 0
  one.tick(nowMs)
  assert.ok(fetchDeadline(one.fetches) - nowMs >= 1_000)
})

fetching('a member that was silent or broke off is asked after those that answer', () => {
  const one = script(3)
  const [slow] = (() => {
    one.read(keyIn(1))
    one.tick()
    one.tick(CONFIG.hedgeAfterMs)
    one.answer(1, 'held', CONFIG.hedgeAfterMs + 3)
    return one.sent
  })()
  for (let slot = 2; slot < 20; slot++) {
    const before = one.sent.length
    one.read(keyIn(slot), 1_000)
    one.tick(1_000)
    assert.is.not(one.sent[before]?.from, slow?.from)
    one.answer(before, 'held', 1_003)
  }
})

fetching('reads go before repairs, and repairs with fewer known copies before others', () => {
  const one = script()
  const keys = keysHeldBy0(one.holders, 40)
  const few = keys.slice(35)
  for (const key of keys) {
    one.repair(key, 1)
    if (!few.includes(key)) one.repair(key, 2)
  }
  one.read(keyIn(50_000))
  one.tick()
  assert.is(one.sent[0]?.purpose, 'read')
  const asked = one.sent.flatMap((sent) => (sent.purpose === 'repair' ? sent.keys : []))
  assert.is(asked.length, DATA_LIMITS.repairWindowBytes / (BLOCK_BYTES_MAX / 2), 'of a size that none said')
  for (const key of few) assert.ok(asked.includes(key), 'a block with one known copy is not kept waiting')
})

fetching('so many small blocks are under way, and room is given out again in pieces', () => {
  const one = script()
  const keys = keysHeldBy0(one.holders, 2 * DATA_LIMITS.repairWindow)
  for (const key of keys) one.repair(key, 1, 0, 100)
  one.tick()
  assert.is(one.fetches.repairing, DATA_LIMITS.repairWindow)
  assert.ok(one.sent.every((sent) => sent.keys.length === DATA_LIMITS.fetchKeys))
  const before = one.sent.length
  for (let i = 0; i < DATA_LIMITS.fetchKeys - 1; i++) one.answer(0, 'held', 0, i)
  one.tick()
  assert.is(one.sent.length, before, 'not one by one')
  one.answer(0, 'held', 0, DATA_LIMITS.fetchKeys - 1)
  one.tick()
  assert.equal(
    one.sent.slice(before).map((sent) => sent.keys.length),
    [DATA_LIMITS.fetchKeys]
  )
})

fetching('a repair asks whom it knows to have the block', () => {
  const one = script()
  const [key] = keysHeldBy0(one.holders, 1) as [BlockKey]
  one.repair(key, 5)
  one.tick()
  assert.is(one.sent[0]?.from, peer(5))
})

fetching(
  'a source that fails is asked again only after a wait that doubles, however often it is named',
  () => {
    const one = script(2)
    const key = keyIn(3)
    let nowMs = 0
    one.repair(key, 1)
    one.tick()
    for (let i = 0; i < DATA_LIMITS.repairAttempts; i++) {
      one.answer(i, 'corrupt', nowMs)
      one.tick(nowMs)
      for (let again = 0; again < 5; again++) one.repair(key, 1, nowMs)
      one.tick(nowMs)
      assert.is(one.sent.length, i + 1, `not at once after failure ${i + 1}`)
      nowMs += Math.min(CONFIG.retryMs * 2 ** i, CONFIG.retryMaxMs)
      assert.is(fetchDeadline(one.fetches), nowMs)
      one.tick(nowMs)
      assert.is(one.sent.length, i + 2)
    }
    one.answer(DATA_LIMITS.repairAttempts, 'absent', nowMs)
    one.tick(nowMs)
    assert.is(one.fetches.wants.byKey.size, 0, 'then it is for comparing to find again')
  }
)

fetching('repair leaves room for reads, and reads for repair', () => {
  const one = script(2)
  for (let i = 0; i < 100; i++) one.read(keyIn(i))
  one.tick()
  assert.is(one.sent.flatMap(({ keys }) => keys).length, createWindow().blocks)
  one.repair(keyIn(200), 1)
  one.tick()
  assert.is(one.sent.at(-1)?.purpose, 'repair')
})

/** Reads blocks that so many members have, each of which brings one in 50 ms. Blocks a second. */
function readThrough(members: number): number {
  const [blockMs, count, ahead] = [50, 400, 24]
  const holders = holdersOf(1 + members)
  const fetches = createFetches(peer(0), CONFIG)
  const queues = new Map<string, { transfer: number; key: BlockKey; atMs: number }[]>()
  let [nowMs, asked, came] = [0, 0, 0]
  while (came < count) {
    for (; asked < Math.min(count, came + ahead); asked++) {
      for (let i = 1; i <= members; i++) {
        const key = keyIn(asked)
        want(fetches, { key, purpose: 'read', replicas: 1, source: peer(i), notBeforeMs: nowMs }, nowMs)
      }
    }
    for (const action of fetchTick(fetches, holders, nowMs)) {
      if (action.type !== 'fetch-blocks') continue
      const queue = queues.get(action.from) ?? []
      queues.set(action.from, queue)
      for (const key of action.keys) {
        const atMs = Math.max(nowMs, queue.at(-1)?.atMs ?? 0) + blockMs
        queue.push({ transfer: action.transfer, key, atMs })
      }
    }
    const coming = [...queues.values()].filter((queue) => queue.length > 0)
    const next = coming.reduce((a, b) => ((a[0]?.atMs ?? 0) <= (b[0]?.atMs ?? 0) ? a : b)).shift()
    if (next === undefined) throw new Error('nothing is under way')
    nowMs = next.atMs
    onFetched(fetches, { ...next, outcome: 'held' }, nowMs)
    came++
  }
  return (1_000 * count) / nowMs
}

fetching('members with slow links bring together what each brings alone', () => {
  const alone = readThrough(1)
  assert.ok(alone > 19, `${alone} a second`)
  for (const members of [2, 4]) {
    const together = readThrough(members)
    assert.ok(together > 0.95 * members * alone, `${members}: ${together} a second, ${alone} alone`)
  }
})

fetching('a member that should have a block is waited for, and those past N are left alone', () => {
  const one = script(8)
  const acting = actingHolders(one.holders, 5, 3).filter((holder) => holder !== peer(0))
  const room = acting.length * createWindow().blocks
  for (let i = 0; i < room + 10; i++) one.read(keyIn(5, i))
  one.tick()
  assert.is(one.sent.flatMap(({ keys }) => keys).length, room)
  assert.ok(one.sent.every(({ from }) => acting.includes(from)))
  one.tick(CONFIG.hedgeAfterMs)
  assert.ok(
    one.sent.some(({ from }) => !acting.includes(from)),
    'they are silent'
  )
  adds(one.fetches)
})

fetching('a block that comes by another way ends both its read and its repair', () => {
  const one = script()
  const [key] = keysHeldBy0(one.holders, 1) as [BlockKey]
  one.repair(key, 1)
  one.read(key)
  one.tick()
  assert.is(one.sent[0]?.purpose, 'repair', 'what is wanted for both is kept')
  one.take(unwant(one.fetches, key))
  assert.equal(
    one.others.map(({ type }) => type),
    ['cancel-fetch', 'read-over']
  )
  adds(one.fetches)
})

fetching('a reader that goes away ends its read and no repair', () => {
  const one = script()
  const [key, other] = keysHeldBy0(one.holders, 2) as [BlockKey, BlockKey]
  one.repair(key, 1)
  one.read(key)
  one.read(other)
  one.tick()
  one.take(unread(one.fetches, key, 0))
  one.take(unread(one.fetches, other, 0))
  assert.ok(one.fetches.wants.byKey.has(key))
  assert.not.ok(one.fetches.wants.byKey.has(other))
  assert.not.ok(one.others.some(({ type }) => type === 'read-over'))
  one.answer(
    one.sent.findIndex(({ keys }) => keys.includes(key)),
    'held'
  )
  assert.is(one.fetches.wants.byKey.size, 0)
  adds(one.fetches)
})

fetching('bytes that went to a reader alone do not end a repair', () => {
  const one = script()
  const [key] = keysHeldBy0(one.holders, 1) as [BlockKey]
  one.read(key)
  one.tick()
  one.repair(key, 1)
  one.answer(0, 'held')
  assert.is(one.others[0]?.type, 'read-over')
  one.tick()
  assert.is(one.sent[1]?.purpose, 'repair')
})

fetching('a repair is dropped when the block is no longer ours to hold', () => {
  const one = script(4)
  const [key] = keysHeldBy0(one.holders, 1) as [BlockKey]
  one.repair(key, 1, 0)
  become(one.holders, 0, { full: true })
  one.tick()
  assert.equal([one.sent.length, one.fetches.wants.byKey.size], [0, 0])
})

fetching('a transfer of which nothing is ever heard is given up and its room given back', () => {
  const one = script(2)
  one.repair(keyIn(1), 1)
  one.tick()
  one.tick(CONFIG.hedgeAfterMs)
  assert.is(fetchDeadline(one.fetches), 3 * CONFIG.repairHedgeMs)
  one.tick(3 * CONFIG.repairHedgeMs)
  assert.is(fetchDeadline(one.fetches), CONFIG.fetchTimeoutMs, 'nobody else has it')
  one.tick(CONFIG.fetchTimeoutMs)
  assert.equal(one.others, [{ type: 'cancel-fetch', transfer: 1 }])
  assert.is(one.fetches.repairing, 0)
})

fetching(
  'a repair that does not come is asked of another source, and whoever is first has brought it',
  () => {
    for (const first of [0, 1]) {
      const one = script(4)
      const keys = keysHeldBy0(one.holders, 20)
      for (const key of keys) one.repair(key, 1, 0, BLOCK_BYTES_MAX / 4)
      one.tick()
      for (const key of keys) one.repair(key, 2, 0, BLOCK_BYTES_MAX / 4)
      one.tick()
      assert.is(one.sent.length, 1)
      one.tick(3 * CONFIG.repairHedgeMs - 1)
      assert.is(one.sent.length, 1)
      one.tick(3 * CONFIG.repairHedgeMs)
      assert.is(one.sent.length, 2)
      assert.is.not(one.sent[1]?.from, one.sent[0]?.from)
      assert.equal([...(one.sent[1]?.keys ?? [])].sort(), [...keys].sort())
      adds(one.fetches)
      assert.is(one.fetches.repairing, 20, 'who is late takes nothing of the window')
      for (const which of keys.keys()) one.answer(first, 'held', 9_000, which)
      assert.equal(one.others, [{ type: 'cancel-fetch', transfer: one.sent[1 - first]?.transfer }])
      assert.equal([one.fetches.repairing, one.fetches.wants.byKey.size], [0, 0])
      adds(one.fetches)
    }
  }
)

fetching('while blocks come fast, one that stops is passed by soon', () => {
  const one = script(4)
  const keys = keysHeldBy0(one.holders, 40)
  for (const key of keys) one.repair(key, 1, 0, 1_000)
  one.tick()
  for (const key of keys) one.repair(key, 2, 0, 1_000)
  for (let which = 0; which < 30; which++) one.answer(0, 'held', 10 * which, which)
  const stoppedMs = 290
  one.tick(stoppedMs + CONFIG.repairHedgeMs - 1)
  assert.is(one.sent.length, 1)
  one.tick(stoppedMs + CONFIG.repairHedgeMs)
  assert.equal([one.sent.length, one.sent[1]?.keys.length], [2, 10])
})

fetching('nobody can fill the queue with blocks that there are not', () => {
  const one = script(3)
  for (let i = 0; i < 2 * DATA_LIMITS.repairQueue; i++) one.repair(keyIn(i), 1)
  assert.is(one.fetches.wants.byKey.size, DATA_LIMITS.repairQueuePerSource)
  assert.not.ok(hasRepairRoom(one.fetches, peer(1)))
  assert.ok(hasRepairRoom(one.fetches, peer(2)))
  one.take(fetchForget(one.fetches, peer(1), 0))
  adds(one.fetches)
})

fetching('nothing leaks and every read ends, whatever happens in whatever order', () => {
  const whats = [
    'read',
    'repair',
    'held',
    'absent',
    'corrupt',
    'end',
    'die',
    'live',
    'here',
    'unread',
    'wait'
  ] as const
  const event = fc.record({ what: fc.constantFrom(...whats), which: fc.nat(30), ms: fc.nat(3_000) })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(event, { maxLength: 60 }), (count, events) => {
      const one = script(count)
      const reading = new Map<BlockKey, number>()
      let nowMs = 0
      let purpose: FetchPurpose
      for (const { what, which, ms } of events) {
        const key = keyIn((which % 12) * 999)
        const open = [...one.fetches.transfers.values()]
        const under = open[which % Math.max(1, open.length)]
        const n = 1 + (which % 5)
        if (what === 'read' || what === 'repair') {
          purpose = what
          if (purpose === 'read' && !one.fetches.wants.byKey.get(key)?.read) {
            reading.set(key, (reading.get(key) ?? 0) + 1)
          }
          if (purpose === 'read') one.read(key, nowMs)
          else one.repair(key, n, nowMs)
        } else if (what === 'die') {
          become(one.holders, n, { state: 'dead' }, nowMs)
          one.take(fetchForget(one.fetches, peer(n), nowMs))
        } else if (what === 'live' && n < count) become(one.holders, n, {}, nowMs)
        else if (what === 'here') one.take(unwant(one.fetches, key))
        else if (what === 'unread') {
          if (one.fetches.wants.byKey.get(key)?.read) reading.set(key, (reading.get(key) ?? 0) - 1)
          one.take(unread(one.fetches, key, nowMs))
        } else if (what === 'wait') nowMs += ms
        else if (under !== undefined && what === 'end') {
          onFetchEnded(one.fetches, { transfer: under.id, reason: 'x' }, nowMs)
        } else if (under !== undefined && what !== 'live') {
          const [first] = under.keys.keys()
          const got = { transfer: under.id, key: first as BlockKey, outcome: what as FetchOutcome }
          one.take(onFetched(one.fetches, got, nowMs))
        }
        one.tick(nowMs)
        adds(one.fetches)
        assert.ok(fetchDeadline(one.fetches) > nowMs, 'no tick is due at once again')
      }
      for (let i = 0; i < 200 && one.fetches.wants.byKey.size > 0; i++) {
        nowMs = Math.max(nowMs + 1, Math.min(fetchDeadline(one.fetches), nowMs + 200_000))
        one.tick(nowMs)
        for (const { id } of [...one.fetches.transfers.values()]) {
          if (i % 3 === 0) onFetchEnded(one.fetches, { transfer: id, reason: 'x' }, nowMs)
        }
      }
      adds(one.fetches)
      assert.is(one.fetches.wants.byKey.size, 0, 'all ends')
      for (const [key, count] of reading) {
        const overs = one.others.filter((action) => action.type === 'read-over' && action.key === key)
        assert.is(overs.length, count, 'a read is over once')
      }
    }),
    { numRuns: 500 }
  )
})

fetching('while people are served, repair takes one small piece at a time, but last copies at once', () => {
  const one = script()
  const keys = keysHeldBy0(one.holders, 4)
  const size = DATA_LIMITS.busyWindowBytes
  noteServed(one.fetches.ration, 0)
  for (const key of keys) {
    one.repair(key, 1, 0, size)
    one.repair(key, 2, 0, size)
  }
  one.tick()
  assert.is(one.sent.length, 1)
  assert.equal([one.sent[0]?.keys.length, one.sent[0]?.yields], [1, true])
  one.answer(0, 'held', 100)
  one.tick(100)
  assert.is(one.sent.length, 1, 'it rests')
  assert.is(fetchDeadline(one.fetches), 300)
  one.tick(300)
  assert.is(one.sent.length, 2)
  const [last] = keysHeldBy0(one.holders, 5).slice(4)
  one.repair(last as BlockKey, 1, 300, size)
  const comparedMs = 300 + CONFIG.settleMs + CONFIG.compareIdleMs
  noteServed(one.fetches.ration, comparedMs)
  one.tick(comparedMs)
  assert.equal([one.sent[2]?.keys, one.sent[2]?.yields], [[last], false])
  adds(one.fetches)
})

fetching('a block of which no other holder lives than the one that told of it is a last copy at once', () => {
  const one = script()
  const [key] = keysHeldBy0(one.holders, 1) as [BlockKey]
  const [second, third] = actingHolders(one.holders, slotOf(key), 3).filter((id) => id !== peer(0))
  noteServed(one.fetches.ration, 0)
  become(one.holders, Number(third?.slice(5)), { state: 'dead' }, 0)
  one.repair(key, Number(second?.slice(5)))
  one.tick()
  assert.equal([one.sent[0]?.keys, one.sent[0]?.yields], [[key], false])
})

fetching.run()
