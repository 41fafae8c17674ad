import { type Gossip, leftStatement, type Rumour } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MEMBER_LIMITS } from '../src/config.ts'
import { alive, answer, factsOf, NO_DIGEST, peer, scene, sealOf, sent } from './support/scene.ts'

const news = (...rumours: Rumour[]): Gossip => ({ type: 'news', rumours })
const suspect = (id: string, accuser: string, incarnation = 0): Rumour => ({
  type: 'suspect',
  id: peer(id),
  incarnation,
  accuser: peer(accuser)
})
const dead = (id: string, incarnation = 0): Rumour => ({ type: 'dead', id: peer(id), incarnation })

const view = suite('view')
const OTHERS = ['a', 'b', 'c', 'd']

view('takes facts of a newer incarnation and tells what changed', () => {
  const self = scene()
  const first = self.hear('a', news({ type: 'facts', member: alive('b') }))
  assert.ok(first.some((action) => action.type === 'member' && action.was === undefined))
  const member = { ...alive('b', 1), full: true }
  const next = self.hear('a', news({ type: 'facts', member }))
  assert.ok(next.some((action) => action.type === 'member' && action.was === 'alive' && action.member.full))
  assert.equal(self.hear('a', news({ type: 'facts', member: alive('b', 0) })), [])
  assert.equal(self.member('b'), member)
})

view('refutes what is said of itself with a higher incarnation, and passes that on', () => {
  for (const rumour of [suspect('me', 'a', 3), dead('me', 3)]) {
    const self = scene(OTHERS)
    self.hear('a', news(rumour))
    assert.is(self.member('me')?.state, 'alive')
    assert.is(self.member('me')?.incarnation, 4)
    const [ack] = sent(self.hear('a', { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] }), 'ack')
    const said = ack?.message.rumours.find((r) => r.type === 'facts' && r.member.id === 'me')
    assert.is(said?.type === 'facts' ? said.member.incarnation : undefined, 4)
    self.hear('b', news(suspect('me', 'b', 3)))
    assert.is(self.member('me')?.incarnation, 4)
  }
})

view('goes above an earlier life of its own that others remember', () => {
  const self = scene(['a'])
  self.hear('a', news({ type: 'facts', member: { ...alive('me', 9), addresses: ['/dns/elsewhere'] } }))
  assert.is(self.member('me')?.incarnation, 10)
  assert.equal(self.member('me')?.addresses, ['/dns/me'])
})

view('tells a member that forgot its incarnation which one it had', () => {
  const self = scene(['a'])
  self.hear('a', news({ type: 'facts', member: alive('a', 6) }))
  const told = sent(self.hear('a', news({ type: 'facts', member: alive('a', 0) })), 'news')
  assert.is(told[0]?.to, 'a')
  const [rumour] = told[0]?.message.rumours ?? []
  assert.is(rumour?.type === 'facts' ? rumour.member.incarnation : undefined, 6)
})

view('kills only after the suspicion ran out, sooner when others agree', () => {
  const until = (accusers: string[]) => {
    const self = scene(['a', 'b', 'c', 'd', 'x'])
    for (const accuser of accusers) self.hear('a', news(suspect('x', accuser)))
    assert.is(self.member('x')?.state, 'suspect')
    const dueMs = self.state.suspicions.get(peer('x'))?.dueMs ?? 0
    self.state.probing.probes.clear()
    self.state.probing.urgent.clear()
    return dueMs
  }
  assert.ok(until(['a', 'b', 'c']) < until(['a', 'b']))
  assert.ok(until(['a', 'b']) < until(['a']))
  assert.is(until(['a', 'a', 'a']), until(['a']))
})

view('lets a refutation end a suspicion, and an old accusation start none', () => {
  const self = scene(OTHERS)
  self.hear('a', news(suspect('b', 'a')))
  assert.is(self.member('b')?.state, 'suspect')
  self.hear('c', news({ type: 'facts', member: alive('b', 1) }))
  assert.is(self.member('b')?.state, 'alive')
  assert.is(self.state.suspicions.size, 0)
  self.hear('a', news(suspect('b', 'd'), dead('b')))
  assert.is(self.member('b')?.state, 'alive')
})

view('ignores an accusation of one that it does not know, or not in that incarnation', () => {
  const self = scene(['a'])
  self.hear('a', news(suspect('x', 'a'), dead('x'), suspect('a', 'x', 1), dead('a', 1)))
  assert.is(self.member('x'), undefined)
  assert.is(self.member('a')?.state, 'alive')
})

view('tells a dead member that speaks that it is dead, whatever it says', () => {
  const self = scene(OTHERS)
  self.hear('a', news(dead('b')))
  for (let i = 0; i < 100; i++) answer(self, self.runTo(self.nowMs + 100), ['a', 'c', 'd'])
  assert.is(self.state.rumours.size, 0, 'this is no news any more')
  assert.is(self.member('b')?.state, 'dead')
  const told = sent(self.hear('b', news()), 'news')
  assert.equal(
    told.map(({ to, message }) => [to, message.rumours]),
    [['b', [dead('b')]]]
  )
  const [ack] = sent(self.hear('b', { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] }), 'ack')
  assert.equal(ack?.message.rumours.at(-1), dead('b'))
  self.hear('b', news({ type: 'facts', member: alive('b', 1) }))
  assert.is(self.member('b')?.state, 'alive')
})

view('believes a departure only from the one who signed it', () => {
  const self = scene(OTHERS)
  const left = (by: string, incarnation: number): Rumour => ({
    type: 'left',
    id: peer('b'),
    incarnation,
    signature: sealOf(by, leftStatement(peer('b'), 1))
  })
  for (const forged of [left('a', 1), left('b', 2)]) {
    self.hear('a', news(forged))
    assert.is(self.member('b')?.state, 'alive')
  }
  self.hear('a', news(left('b', 1)))
  assert.is(self.member('b')?.state, 'left')
  self.hear('a', news(suspect('b', 'a', 1), dead('b', 1), { type: 'facts', member: alive('b', 1) }))
  assert.is(self.member('b')?.state, 'left')
  self.hear('b', news({ type: 'facts', member: alive('b', 2) }))
  assert.is(self.member('b')?.state, 'alive')
})

view('keeps a leaving member leaving while it is suspected', () => {
  const self = scene(OTHERS)
  self.hear('b', news({ type: 'facts', member: { ...alive('b', 1), state: 'leaving' } }))
  self.hear('a', news(suspect('b', 'a', 1)))
  assert.is(self.member('b')?.state, 'leaving')
  assert.is(self.state.suspicions.size, 1)
  self.runTo(60_000)
  assert.is(self.member('b')?.state, 'dead')
})

view('gives up when somebody gave it the highest incarnation', () => {
  const self = scene(['a'])
  const actions = self.hear('a', news(dead('me', MEMBER_LIMITS.incarnation)))
  assert.ok(actions.some(({ type }) => type === 'log'))
  assert.is(self.member('me')?.incarnation, 0)
})

view('remembers no more than its limit, and forgets who is longest dead first', () => {
  const self = scene(['old', 'young'])
  self.hear('old', news(dead('old')))
  self.runTo(100)
  self.hear('old', news(dead('young')))
  for (let i = 0; self.state.table.known.size < MEMBER_LIMITS.members; i++) {
    self.nowMs += 20 // a peer may send a hundred a second
    self.hear('a', news(...Array.from({ length: 50 }, (_, k) => join(`m${i}-${k}`))))
    if (self.state.table.known.size > MEMBER_LIMITS.members - 50) break
  }
  for (let i = 0; i < 50; i++) self.hear(`z${i}`, news(join(`z${i}`)))
  assert.is(self.state.table.known.size, MEMBER_LIMITS.members)
  assert.is(self.member('old'), undefined)
  assert.is(self.member('young'), undefined)
  assert.ok(self.member('me'))
})

const join = (name: string): Rumour => ({ type: 'facts', member: { ...alive(name), ...factsOf(name) } })

view.run()
