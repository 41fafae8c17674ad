import { deadline, type Gossip, leftStatement, members, type Rumour } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { alive, answer, NO_DIGEST, peer, scene, sealOf, sent } from './support/scene.ts'

const OTHERS = ['a', 'b', 'c', 'd']
const suspect = (id: string, accuser: string): Rumour => ({
  type: 'suspect',
  id: peer(id),
  incarnation: 0,
  accuser: peer(accuser)
})

const membership = suite('membership')

membership('after a stall voids its probes, gives suspects the time back and doubts itself', () => {
  const self = scene(OTHERS)
  self.hear('a', { type: 'news', rumours: [suspect('b', 'a')] })
  const dueMs = self.state.suspicions.get(peer('b'))?.dueMs ?? 0
  while (self.state.probing.probes.size === 0) self.runTo(self.nowMs + 10)
  const health = self.state.health
  const lateMs = 10_000
  const appointed = deadline(self.state)
  self.nowMs = appointed + lateMs
  const actions = self.on({ type: 'tick' })
  assert.ok(actions.some(({ type }) => type === 'log'))
  assert.is(self.state.suspicions.get(peer('b'))?.dueMs, dueMs + lateMs)
  assert.is(self.state.health, health + 1)
  assert.is(self.member('b')?.state, 'suspect')
  for (const name of ['a', 'c', 'd']) assert.is(self.member(name)?.state, 'alive')
  assert.ok(deadline(self.state) > self.nowMs)
})

membership('notices a stall whatever comes first after it', () => {
  const self = scene(OTHERS)
  self.on({ type: 'join', addresses: ['/x'] })
  self.nowMs = deadline(self.state) + 5_000
  const actions = self.hear('a', { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] })
  assert.ok(actions.some(({ type }) => type === 'log'))
  assert.is(self.on({ type: 'tick' }).filter(({ type }) => type === 'log').length, 0)
})

membership('says what changed of itself under a new incarnation, and nothing when nothing did', () => {
  const self = scene(OTHERS)
  self.on({ type: 'describe', facts: { full: true } })
  assert.is(self.member('me')?.incarnation, 1)
  assert.is(self.member('me')?.full, true)
  assert.equal(self.on({ type: 'describe', facts: { full: true, capacity: 1 } }), [])
  const told = sent(self.runTo(1_000), 'news').flatMap(({ message }) => message.rumours)
  assert.ok(told.some((rumour) => rumour.type === 'facts' && rumour.member.full))
})

membership('announces that it leaves, then signs that it left, to all of a few, and is silent', () => {
  const self = scene(OTHERS)
  self.on({ type: 'leave' })
  assert.equal([self.member('me')?.state, self.member('me')?.incarnation], ['leaving', 1])
  assert.equal(self.on({ type: 'leave' }), [])
  const farewells = sent(self.on({ type: 'left-now' }), 'news')
  assert.equal(farewells.map(({ to }) => to).sort(), OTHERS)
  const [left] = farewells[0]?.message.rumours ?? []
  assert.is(left?.type, 'left')
  if (left?.type === 'left') {
    assert.is(left.incarnation, 2)
    assert.equal(left.signature, sealOf('me', leftStatement(peer('me'), 2)))
  }
  assert.is(deadline(self.state), Number.POSITIVE_INFINITY)
  assert.equal(self.on({ type: 'tick' }), [])
  assert.equal(self.hear('a', { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] }), [])
})

membership('keeps addresses for the next start, not more often than it should', () => {
  const self = scene(OTHERS)
  const keeps: string[][] = []
  for (let i = 0; i < 100; i++) {
    const facts = { ...alive('a', i + 1), addresses: [`/dns/${i}`] }
    self.hear('a', { type: 'news', rumours: [{ type: 'facts', member: facts }] })
    const actions = self.runTo(self.nowMs + 1_000)
    answer(self, actions, OTHERS)
    for (const action of actions) {
      if (action.type === 'keep') keeps.push(action.members.map(({ id }) => id).sort())
    }
  }
  assert.ok(keeps.length >= 3 && keeps.length <= 5, `${keeps.length} in 100 s`)
  assert.equal(keeps.at(-1), OTHERS)
})

membership('takes a hundred messages a second of one peer, and all of another', () => {
  const self = scene(OTHERS)
  const ping: Gossip = { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] }
  self.nowMs = 500
  const acks = () => sent(self.hear('y', ping), 'ack').length
  let answered = 0
  for (let i = 0; i < 1_000; i++) answered += acks()
  assert.is(answered, 100)
  assert.is(sent(self.hear('z', ping), 'ack').length, 1)
  self.nowMs = 1_000
  assert.is(acks(), 1)
})

membership('forgets the dead in time, and compares them no more for the second half of it', () => {
  const forgetMs = 1_000_000
  const self = scene(['a', 'b'], { forgetMs })
  self.hear('a', { type: 'news', rumours: [{ type: 'dead', id: peer('b'), incarnation: 0 }] })
  const step = (untilMs: number) => {
    while (self.nowMs < untilMs) answer(self, self.runTo(self.nowMs + 100), ['a'])
  }
  step(450_000)
  assert.is(self.state.table.known.get(peer('b'))?.quiet, false)
  step(600_000)
  assert.is(self.state.table.known.get(peer('b'))?.quiet, true)
  step(1_100_000)
  assert.equal(
    members(self.state).map(({ id }) => id),
    ['me', 'a']
  )
})

membership('tells its news within a quarter of a second, then stops', () => {
  const quiet = scene(OTHERS)
  for (let i = 0; i < 100; i++) answer(quiet, quiet.runTo(quiet.nowMs + 100), OTHERS)
  assert.is(quiet.state.rumours.size, 0)
  quiet.on({ type: 'describe', facts: { full: true } })
  assert.ok(sent(quiet.runTo(quiet.nowMs + 250), 'news').length >= 3)
  for (let i = 0; i < 50; i++) answer(quiet, quiet.runTo(quiet.nowMs + 100), OTHERS)
  assert.is(quiet.state.rumours.size, 0)
  assert.is(quiet.state.newsDueMs, Number.POSITIVE_INFINITY)
})

membership.run()
