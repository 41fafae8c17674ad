import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { brakedFor, coreDeadline, coreStep, leftToHandOver } from '../src/core.ts'
import type { CoreEvent } from '../src/core-types.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import type { LivingMember } from '../src/member.ts'
import { decodeMessage, encodeMessage } from '../src/wire.ts'
import { hear, meet, newCore, sends } from './support/core.ts'
import { keyIn, member, peer } from './support/data.ts'

const core = suite('core')

core('alone it keeps a put itself', () => {
  const one = newCore()
  const actions = coreStep(
    one,
    { type: 'put', put: 1, ack: 'all', entries: [{ key: keyIn(1), replicas: 3 }] },
    0
  )
  const send = actions.find(({ type }) => type === 'send-blocks')
  assert.ok(send?.type === 'send-blocks' && send.to === peer(0))
  const items = [{ key: keyIn(1), outcome: 'held' as const }]
  const done = coreStep(one, { type: 'answered', transfer: send.transfer, items }, 1)
  assert.equal(
    done.filter(({ type }) => type.startsWith('put-')).map(({ type }) => type),
    ['put-settled', 'put-over']
  )
})

core('after a tick the next one is later, from the first on and at any start', () => {
  for (const startMs of [0, 86_400_000, 1e12]) {
    const one = newCore(startMs)
    let nowMs = startMs
    for (let i = 0; i < 500; i++) {
      if (i === 50) for (let n = 1; n < 5; n++) meet(one, n, nowMs)
      if (i === 90) coreStep(one, { type: 'want', keys: [keyIn(9)], replicas: 3 }, nowMs)
      coreStep(one, { type: 'tick' }, nowMs)
      assert.ok(coreDeadline(one) > nowMs, `tick ${i} of ${startMs}`)
      nowMs = Math.max(nowMs + 1, coreDeadline(one))
    }
    assert.is(one.stalledMs, 0, 'and none of them was late')
  }
})

core('a stall of its own costs what waits nothing', () => {
  const one = newCore()
  for (let n = 1; n < 5; n++) meet(one, n)
  coreStep(one, { type: 'tick' }, 0)
  const wanted = coreStep(one, { type: 'want', keys: [keyIn(9)], replicas: 3 }, 1)
  const fetch = wanted.find(({ type }) => type === 'fetch-blocks')
  assert.ok(fetch?.type === 'fetch-blocks')
  const late: CoreEvent = { type: 'fetched', transfer: fetch.transfer, key: keyIn(9), outcome: 'held' }
  const actions = coreStep(one, late, 3_600_000)
  assert.ok(actions.some((action) => action.type === 'read-over' && action.found))
  const before = one.stalledMs
  coreStep(one, { type: 'unwant', key: keyIn(9) }, 3_600_000)
  assert.is(one.stalledMs, before, 'it is counted once')
  assert.ok(before > 3_500_000)
})

core('a member that dies takes its share of everything with it', () => {
  const one = newCore()
  meet(one, 1)
  coreStep(one, { type: 'tick' }, 0)
  coreStep(one, { type: 'want', keys: [keyIn(9)], replicas: 3 }, 1)
  coreStep(one, { type: 'put', put: 1, ack: 'all', entries: [{ key: keyIn(1), replicas: 3 }] }, 1)
  const actions = hear(one, 2, { type: 'news', rumours: [{ type: 'dead', id: peer(1), incarnation: 0 }] }, 2)
  assert.ok(actions.some(({ type }) => type === 'cancel-fetch'))
  assert.is(one.fetches.transfers.size, 0)
  assert.equal(
    [...one.writes.transfers.values()].map(({ to }) => to),
    [peer(0)]
  )
  assert.is(one.reconciler.peers.size, 0)
})

core('a block that is stored ends what waited for it', () => {
  const one = newCore()
  meet(one, 1)
  coreStep(one, { type: 'want', keys: [keyIn(9)], replicas: 3 }, 0)
  const actions = coreStep(one, { type: 'stored', keys: [keyIn(9)] }, 1)
  assert.ok(actions.some((action) => action.type === 'read-over' && action.found))
})

core('its own fullness and leaving change who holds', () => {
  const one = newCore()
  meet(one, 1)
  coreStep(one, { type: 'describe', facts: { full: true } }, 0)
  assert.is(one.holders.standing.get(peer(0))?.full, true)
  const summary = { slot: 1, replicas: 3, fingerprint: 'ab'.repeat(16), blocks: 2, bytes: 20 }
  coreStep(one, { type: 'summaries', summaries: [summary] }, 0)
  assert.equal(leftToHandOver(one), { blocks: 0, bytes: 0 })
  coreStep(one, { type: 'leave' }, 1)
  assert.equal(leftToHandOver(one), { blocks: 2, bytes: 20 })
})

core('the same events give the same actions', () => {
  const run = () => {
    const one = newCore()
    const log: string[] = []
    for (let i = 0; i < 200; i++) {
      const nowMs = i * 137
      if (i < 6) log.push(JSON.stringify(meet(one, i + 1, nowMs)))
      const entries = [{ key: keyIn(i * 77), replicas: 3 }]
      log.push(JSON.stringify(coreStep(one, { type: 'put', put: i, ack: 'quorum', entries }, nowMs)))
      log.push(JSON.stringify(coreStep(one, { type: 'tick' }, nowMs)))
    }
    return log
  }
  assert.equal(run(), run())
})

core('who gave bytes that are not the block is told so, and looks at its copy', () => {
  const one = newCore()
  meet(one, 1)
  const wanted = coreStep(one, { type: 'want', keys: [keyIn(9)], replicas: 3 }, 0)
  const fetch = wanted.find(({ type }) => type === 'fetch-blocks')
  assert.ok(fetch?.type === 'fetch-blocks')
  const fetched = { type: 'fetched', transfer: fetch.transfer, key: keyIn(9) } as const
  const reason = '€'.repeat(500) // longer than fits, at three bytes each
  const actions = coreStep(one, { ...fetched, outcome: 'corrupt', reason }, 1)
  const told = actions.find((action) => action.type === 'send' && action.message.type === 'bad-copy')
  assert.ok(told?.type === 'send' && told.to === peer(1))
  assert.equal(decodeMessage(encodeMessage(told.message)), told.message)
  assert.equal(sends(coreStep(one, { ...fetched, outcome: 'corrupt' }, 2)).includes('bad-copy'), false)

  const bad = { type: 'bad-copy', key: keyIn(9), reason: 'flipped' } as const
  assert.equal(hear(one, 1, bad, 10_000), [
    { type: 'check-copy', key: keyIn(9), from: peer(1), reason: 'flipped' }
  ])
  assert.equal(hear(one, 2, bad, 10_000), [], 'not a member')
  let checks = 0
  for (let i = 0; i < 1_000; i++) checks += hear(one, 1, bad, 20_000).length
  assert.is(checks, DATA_LIMITS.questionsPerSecond, 'nobody keeps the disk busy')
})

core('a member whose connection closed, or that has another incarnation, is asked again what it has', () => {
  const one = newCore()
  meet(one, 1)
  const summary = { slot: 1, replicas: 3, fingerprint: 'ab'.repeat(16), blocks: 2, bytes: 20 }
  coreStep(one, { type: 'leave' }, 0)
  coreStep(one, { type: 'summaries', summaries: [summary] }, 0)
  const settle = () => {
    hear(one, 1, { type: 'settled', summaries: [summary] })
    assert.is(leftToHandOver(one).blocks, 0)
  }
  settle()
  const reborn = { ...member(1), incarnation: 5 } as LivingMember
  coreStep(one, { type: 'disconnected', peer: peer(1) }, 1)
  assert.is(leftToHandOver(one).blocks, 2)
  settle()
  hear(one, 1, { type: 'news', rumours: [{ type: 'facts', member: reborn }] })
  assert.is(leftToHandOver(one).blocks, 2)
})

core('says for how long repair is braked after a mass loss', () => {
  const one = newCore()
  for (let n = 1; n <= 14; n++) meet(one, n)
  assert.is(brakedFor(one), undefined)
  for (let n = 1; n <= 10; n++) {
    const rumour = { type: 'dead', id: peer(n), incarnation: member(n).incarnation } as const
    hear(one, 14, { type: 'news', rumours: [rumour] }, 1_000)
  }
  assert.equal(brakedFor(one), { members: 10, ms: 600_000 })
})

core('a store that could not be read answers nobody', () => {
  const one = newCore()
  meet(one, 1)
  const actions = hear(one, 1, {
    type: 'list',
    nonce: 0,
    slots: [{ slot: 1, replicas: 3, after: undefined, have: undefined }]
  })
  const list = actions.find(({ type }) => type === 'list-slots')
  assert.ok(list?.type === 'list-slots')
  assert.equal(sends(coreStep(one, { type: 'list-failed', token: list.token }, 1)).includes('listing'), false)
  assert.is(one.reconciler.listings.served.size, 0)
})

core.run()
