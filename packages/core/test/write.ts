import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { slotOf } from '../src/block.ts'
import { writeOrder } from '../src/holders.ts'
import {
  cancelPut,
  createWrites,
  onAnswered,
  onSendEnded,
  type SendOutcome,
  startPut,
  type WriteAction,
  writesDeadline,
  writesForget,
  writesTick
} from '../src/write.ts'
import { become, CONFIG, holdersOf, keyIn, peer } from './support/data.ts'

type Send = WriteAction & { type: 'send-blocks' }

/** One put of one block to N = 3 of six members, by hand. */
function script(
  count = 6,
  { ack = 'all', bytes = true }: { ack?: 'all' | 'quorum' | 'one'; bytes?: boolean } = {}
) {
  const holders = holdersOf(count)
  const writes = createWrites(SELF, CONFIG)
  const key = keyIn(7)
  const sent: Send[] = []
  const ends: WriteAction[] = []
  const take = (actions: readonly WriteAction[]) => {
    for (const action of actions) action.type === 'send-blocks' ? sent.push(action) : ends.push(action)
  }
  take(startPut(writes, holders, { put: 1, ack, entries: [{ key, replicas: 3, bytes }] }, 0))
  return {
    ...{ holders, writes, key, sent, ends },
    order: writeOrder(holders, slotOf(key), 3),
    answer(to: number, outcome: SendOutcome, nowMs = 1) {
      const { transfer } = sent[to] as Send
      take(onAnswered(writes, holders, { transfer, items: [{ key, outcome }] }, nowMs))
    },
    end(to: number, nowMs = 1) {
      take(onSendEnded(writes, holders, { transfer: (sent[to] as Send).transfer, reason: 'closed' }, nowMs))
    },
    tick: (nowMs: number) => take(writesTick(writes, holders, nowMs)),
    die(n: number, nowMs: number) {
      become(holders, n, { state: 'dead' }, nowMs)
      take(writesForget(writes, holders, peer(n), nowMs))
    },
    block: () => {
      const settled = ends.find((end) => end.type === 'put-settled')
      return settled?.type === 'put-settled' ? settled.blocks[0] : undefined
    }
  }
}

/** Who puts; none of those that it puts on. */
const SELF = peer(99)
const writing = suite('writing')

writing('a block goes to its N holders at once, and the put settles at N receipts', () => {
  const put = script()
  assert.equal(
    put.sent.map(({ to }) => to),
    put.order.slice(0, 3)
  )
  put.answer(0, 'held')
  put.answer(1, 'held')
  assert.is(put.ends.length, 0)
  put.answer(2, 'held')
  assert.equal(
    put.ends.map(({ type }) => type),
    ['put-settled', 'put-over']
  )
  assert.is(put.block()?.receipts.length, 3)
  assert.is(put.block()?.reason, undefined)
})

writing('a full, refusing or failing holder is stood in for at once', () => {
  for (const outcome of ['full', 'refused', 'failed'] as const) {
    const put = script()
    put.answer(0, outcome)
    assert.is(put.sent[3]?.to, put.order[3])
  }
})

writing(
  'a holder that is silent while others answer is stood in for once, and its late answer counts',
  () => {
    const put = script()
    put.answer(0, 'held')
    put.answer(1, 'held')
    assert.is(writesDeadline(put.writes), CONFIG.standInLeastMs)
    put.tick(CONFIG.standInLeastMs)
    put.tick(CONFIG.standInLeastMs + 1)
    assert.is(put.sent.length, 4)
    put.answer(2, 'held', CONFIG.standInLeastMs + 2)
    assert.is(put.block()?.receipts.length, 3)
    assert.is(put.ends.length, 1, 'the stand-in is still at it')
    put.answer(3, 'held', CONFIG.standInLeastMs + 3)
    assert.is(put.ends.length, 2)
    assert.is(put.writes.transfers.size, 0)
  }
)

writing('where nobody answers, or all take long, a stand-in waits for longer', () => {
  const alone = script()
  assert.is(writesDeadline(alone.writes), CONFIG.standInAfterMs)
  const slow = script()
  slow.answer(0, 'held', 900)
  slow.answer(1, 'held', 1_000)
  assert.ok(writesDeadline(slow.writes) > 1_000, 'a third as slow as they are is waited for')
})

writing(
  'who is known to be silent is asked after all others, until it answers or some time has passed',
  () => {
    const put = script()
    put.answer(0, 'held')
    put.answer(1, 'held')
    put.tick(CONFIG.standInLeastMs)
    const [a, b, silent, other] = put.order
    assert.is(put.sent[2]?.to, silent)
    const again = (nowMs: number, replicas = 3) => {
      const entries = [{ key: put.key, replicas, bytes: true }]
      const actions = startPut(put.writes, put.holders, { put: 2, ack: 'all', entries }, nowMs)
      cancelPut(put.writes, 2)
      return actions.flatMap((action) => (action.type === 'send-blocks' ? [action.to] : []))
    }
    assert.equal(again(700), [a, b, other])
    assert.is(again(700, 6).length, 6, 'it too, where all are needed')
    assert.equal(again(CONFIG.standInLeastMs + 5_000), [a, b, silent])
    put.answer(2, 'held', 800)
    assert.equal(again(900), [a, b, silent])
  }
)

writing('a put that is cancelled is over at once: nothing of it is sent, answered or waited for', () => {
  const put = script()
  put.answer(0, 'held')
  assert.equal(cancelPut(put.writes, 1), [
    { type: 'put-over', put: 1, late: put.sent.slice(1).map(({ transfer }) => transfer) }
  ])
  put.answer(1, 'held')
  put.end(2)
  put.tick(CONFIG.putTimeoutMs)
  assert.equal([put.sent.length, put.ends.length], [3, 0])
  assert.equal([put.writes.puts.size, put.writes.transfers.size], [0, 0])
  assert.equal(cancelPut(put.writes, 1), [])
})

writing('a member that dies is stood in for at once', () => {
  const put = script()
  put.die(Number(put.order[1]?.slice(5)), 10)
  assert.is(put.sent.length, 4)
})

writing('an answer given twice, by another transfer or for another block counts once', () => {
  const put = script()
  put.answer(0, 'held')
  put.answer(0, 'held')
  put.answer(1, 'held')
  const items = [{ key: keyIn(9), outcome: 'held' as const }]
  assert.equal(onAnswered(put.writes, put.holders, { transfer: put.sent[2]?.transfer ?? 0, items }, 2), [])
  assert.equal(onAnswered(put.writes, put.holders, { transfer: 99, items }, 2), [])
  assert.is(put.ends.length, 0)
})

writing('quorum and one settle early, and the rest goes on', () => {
  for (const [ack, needed] of [
    ['quorum', 2],
    ['one', 1]
  ] as const) {
    const put = script(6, { ack })
    for (let i = 0; i < needed; i++) put.answer(i, 'held')
    assert.is(put.block()?.receipts.length, needed)
    assert.is(put.block()?.needed, needed)
    assert.is(put.ends.length, 1)
    for (let i = needed; i < 3; i++) put.answer(i, 'held')
    assert.is(put.ends.length, 2)
  }
})

writing('with fewer members than N all that there are is enough, and it says so', () => {
  const put = script(2)
  assert.is(put.sent.length, 2)
  put.answer(0, 'held')
  put.answer(1, 'held')
  assert.equal([put.block()?.needed, put.block()?.wanted], [2, 3])
  assert.is(put.block()?.reason, 'waiting for a member')
})

writing('alone and full there is nobody to ask: it ends at once, with no receipt', () => {
  const holders = holdersOf(1)
  become(holders, 0, { full: true })
  const writes = createWrites(SELF, CONFIG)
  const entries = [{ key: keyIn(1), replicas: 3 }]
  const [settled, over] = startPut(writes, holders, { put: 1, ack: 'one', entries }, 0)
  assert.is(settled?.type === 'put-settled' && settled.blocks[0]?.receipts.length, 0)
  assert.is(settled?.type === 'put-settled' && settled.blocks[0]?.needed, 1)
  assert.is(over?.type, 'put-over')
})

writing('a put of nothing is over at once', () => {
  const actions = startPut(createWrites(SELF, CONFIG), holdersOf(3), { put: 1, ack: 'all', entries: [] }, 0)
  assert.equal(
    actions.map(({ type }) => type),
    ['put-settled', 'put-over']
  )
})

writing('a claim on a block that a holder lacks is the sender to mend; for bytes it is a failure', () => {
  const claim = script(6, { bytes: false })
  claim.answer(0, 'held')
  claim.answer(1, 'absent')
  assert.is(claim.block()?.absent, true, 'and the third is not waited for: it may have stopped')
  claim.answer(2, 'held')
  assert.is(claim.sent.length, 3, 'nobody stands in for it')
  assert.is(claim.ends.length, 2)
  const bytes = script()
  bytes.answer(1, 'absent')
  assert.is(bytes.sent.length, 4)
})

writing('a transfer that broke off is tried again when nobody can stand in, with the wait doubled', () => {
  const put = script(3)
  put.answer(0, 'held')
  put.answer(1, 'held')
  put.end(2, 0)
  assert.is(put.ends.length, 0)
  for (const [i, atMs] of [1_000, 3_000, 7_000, 15_000].entries()) {
    assert.is(writesDeadline(put.writes), atMs)
    put.tick(atMs)
    assert.is(put.sent[3 + i]?.to, put.order[2])
    put.end(3 + i, atMs)
  }
  assert.is(put.block()?.receipts.length, 2)
  assert.is(put.ends.length, 2)
})

writing('when the one that broke off dies, what the others gave is enough', () => {
  const put = script(3)
  put.answer(0, 'held')
  put.answer(1, 'held')
  put.end(2, 0)
  become(put.holders, Number(put.order[2]?.slice(5)), { state: 'dead' }, 500)
  put.tick(501)
  assert.equal([put.block()?.receipts.length, put.block()?.needed], [2, 2])
})

writing('a member that comes while a put waits is asked', () => {
  const put = script(2)
  put.answer(0, 'held')
  become(put.holders, 5, {})
  put.tick(10)
  assert.is(put.sent[2]?.to, peer(5))
})

writing('the bytes of two entries with one key are sent once, for the larger N', () => {
  const entries = [3, 2].map((replicas) => ({ key: keyIn(1), replicas }))
  const actions = startPut(createWrites(SELF, CONFIG), holdersOf(6), { put: 1, ack: 'all', entries }, 0)
  assert.is(actions.length, 3)
})

writing('every put settles once and is over once, whatever happens in whatever order', () => {
  const event = fc.record({
    what: fc.constantFrom('held', 'absent', 'full', 'failed', 'end', 'die', 'live', 'wait', 'leave'),
    which: fc.nat(20),
    ms: fc.nat(4_000)
  })
  const setting = fc.record({
    members: fc.integer({ min: 0, max: 6 }),
    replicas: fc.integer({ min: 1, max: 4 }),
    blocks: fc.integer({ min: 1, max: 4 }),
    bytes: fc.boolean(),
    ack: fc.constantFrom('all', 'quorum', 'one') as fc.Arbitrary<'all' | 'quorum' | 'one'>,
    events: fc.array(event, { maxLength: 40 })
  })
  fc.assert(
    fc.property(setting, ({ members, replicas, blocks, bytes, ack, events }) => {
      const holders = holdersOf(members)
      const writes = createWrites(SELF, CONFIG)
      const seen: WriteAction[] = []
      let nowMs = 0
      const take = (actions: readonly WriteAction[]) => {
        for (const action of actions) {
          assert.not.ok(seen.at(-1)?.type === 'put-over', 'nothing follows the end')
          seen.push(action)
        }
      }
      const entries = Array.from({ length: blocks }, (_, i) => ({ key: keyIn(i * 999), replicas, bytes }))
      take(startPut(writes, holders, { put: 1, ack, entries }, nowMs))
      for (const { what, which, ms } of events) {
        const open = [...writes.transfers.entries()]
        const [transfer, under] = open[which % Math.max(1, open.length)] ?? [99, undefined]
        const n = which % 7
        if (what === 'wait') nowMs += ms
        else if (what === 'die') {
          become(holders, n, { state: 'dead' }, nowMs)
          take(writesForget(writes, holders, peer(n), nowMs))
        } else if (what === 'live') become(holders, n, {}, nowMs)
        else if (what === 'leave') become(holders, n, { state: 'leaving' }, nowMs)
        else if (what === 'end') take(onSendEnded(writes, holders, { transfer, reason: 'x' }, nowMs))
        else {
          const keys = [...(under?.keys ?? [])].slice(0, 1 + (which % 3))
          const items = keys.map((key) => ({ key, outcome: what as SendOutcome }))
          take(onAnswered(writes, holders, { transfer, items }, nowMs))
        }
        take(writesTick(writes, holders, nowMs))
        assert.ok(writesDeadline(writes) > nowMs, 'no tick is due at once again')
      }
      take(writesTick(writes, holders, CONFIG.putTimeoutMs))
      for (const type of ['put-settled', 'put-over']) {
        assert.is(seen.filter((action) => action.type === type).length, 1, type)
      }
      assert.equal([writes.puts.size, writes.transfers.size], [0, 0])
      assert.is(writesDeadline(writes), Number.POSITIVE_INFINITY)
      const settled = seen.find((action) => action.type === 'put-settled')
      for (const block of settled?.type === 'put-settled' ? settled.blocks : []) {
        assert.is(new Set(block.receipts).size, block.receipts.length, 'a receipt of each')
      }
    }),
    { numRuns: 500 }
  )
})

writing.run()
