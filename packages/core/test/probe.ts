import { deadline, type MembershipAction } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, NO_DIGEST, peer, type Scene, scene, sent } from './support/scene.ts'

const probe = suite('probe')
const OTHERS = ['a', 'b', 'c', 'd']

/** Runs to the first ping, and on until 100 ms after others should be asked: before its end. */
function unanswered(self: Scene) {
  let asked: MembershipAction[] = []
  while (sent(asked, 'ping').length === 0) asked = self.runTo(Math.max(deadline(self.state), self.nowMs))
  const target = sent(asked, 'ping')[0]?.to ?? peer('')
  const startMs = self.nowMs
  const later = self.runTo(startMs + 500)
  const rest = OTHERS.filter((name) => name !== target)
  return { asked, later, target, rest, endMs: startMs + 1_000 }
}

probe('asks every member once a round, in an order of chance', () => {
  const self = scene(OTHERS)
  const rounds: string[] = []
  for (let round = 0; round < 20; round++) {
    const asked: string[] = []
    while (asked.length < 4) {
      const actions = self.runTo(self.nowMs + 100)
      asked.push(...sent(actions, 'ping').map(({ to }) => to))
      answer(self, actions, OTHERS)
    }
    if (round > 0) assert.equal(asked.toSorted(), OTHERS) // members that join while one runs come in late
    rounds.push(asked.join())
  }
  assert.ok(new Set(rounds).size > 5)
  assert.is(self.state.suspicions.size, 0)
})

probe('asks three others and once more itself, then suspects; never kills', () => {
  const self = scene(OTHERS)
  const { asked, later, target, rest, endMs } = unanswered(self)
  assert.equal(sent(asked, 'probe'), [])
  const helpers = sent(later, 'probe')
  assert.equal(
    helpers.map(({ to }) => to).sort(),
    OTHERS.filter((name) => name !== target)
  )
  assert.ok(helpers.every(({ message }) => message.target === target))
  assert.ok(sent(later, 'ping').some(({ to }) => to === target))
  assert.is(self.member(target)?.state, 'alive')
  answer(self, later, rest)
  self.runTo(endMs)
  assert.is(self.member(target)?.state, 'suspect')
})

probe('asks one more for each threefold of members above a hundred', () => {
  const askedOf = (members: number): number => {
    const self = scene(Array.from({ length: members - 1 }, (_, i) => `m${i}`))
    let asked: MembershipAction[] = []
    while (sent(asked, 'ping').length === 0) asked = self.runTo(Math.max(deadline(self.state), self.nowMs))
    return sent(self.runTo(self.nowMs + 500), 'probe').length
  }
  assert.equal([100, 250, 800].map(askedOf), [3, 4, 5])
})

probe('is content with an answer through another', () => {
  const self = scene(OTHERS)
  const { later, target, rest, endMs } = unanswered(self)
  const [ask] = sent(later, 'probe')
  assert.ok(ask)
  const { seq } = ask.message
  self.hear(ask.to, { type: 'probed', seq, heard: true })
  answer(self, later, rest)
  self.runTo(endMs)
  assert.is(self.member(target)?.state, 'alive')
})

probe('takes no answer from another than was asked, and none that answers nothing', () => {
  const self = scene(OTHERS)
  const { later, target, rest, endMs } = unanswered(self)
  const [ask] = sent(later, 'probe')
  assert.ok(ask)
  const { seq } = ask.message
  const stranger = rest[0] ?? ''
  self.hear(stranger, { type: 'ack', seq, digest: NO_DIGEST, rumours: [] })
  self.hear('stranger', { type: 'probed', seq, heard: true })
  self.hear(target, { type: 'ack', seq: (seq + 77) >>> 0, digest: NO_DIGEST, rumours: [] })
  self.hear(target, { type: 'ping', seq: 1, digest: NO_DIGEST, rumours: [] })
  self.hear(target, { type: 'news', rumours: [] })
  self.runTo(endMs)
  assert.is(self.member(target)?.state, 'suspect')
})

probe('answers a ping, and probes for another: heard, or a nack in time', () => {
  const self = scene(OTHERS)
  const [ack] = sent(self.hear('a', { type: 'ping', seq: 5, digest: NO_DIGEST, rumours: [] }), 'ack')
  assert.is(ack?.to, 'a')
  assert.is(ack?.message.seq, 5)
  const [first] = sent(self.hear('a', { type: 'probe', seq: 6, target: peer('b'), rumours: [] }), 'ping')
  assert.is(first?.to, 'b')
  const seq = first?.message.seq ?? 0
  const heard = sent(self.hear('b', { type: 'ack', seq, digest: NO_DIGEST, rumours: [] }), 'probed')
  assert.equal(
    heard.map(({ to, message }) => [to, message.seq, message.heard]),
    [['a', 6, true]]
  )
  self.hear('a', { type: 'probe', seq: 7, target: peer('c'), rumours: [] })
  const nack = sent(self.runTo(self.nowMs + 399), 'probed')
  assert.equal(
    nack.map(({ to, message }) => [to, message.seq, message.heard]),
    [['a', 7, false]]
  )
})

probe('asks at once when a socket closes, and does not suspect for it', () => {
  const self = scene(OTHERS)
  const asked = self.on({ type: 'disconnected', peer: peer('c') })
  assert.equal(
    sent(asked, 'ping').map(({ to }) => to),
    ['c']
  )
  assert.is(self.member('c')?.state, 'alive')
  answer(self, asked, ['c'])
  for (let i = 0; i < 20; i++) answer(self, self.runTo(self.nowMs + 100), OTHERS)
  assert.is(self.member('c')?.state, 'alive')
})

probe('slows down when others fall silent too, up to the limit, and recovers', () => {
  const self = scene(OTHERS)
  self.runTo(60_000)
  assert.is(self.state.health, 7)
  const back = scene(OTHERS)
  back.state.health = 7
  for (let i = 0; i < 500; i++) answer(back, back.runTo(back.nowMs + 100), OTHERS)
  assert.is(back.state.health, 0)
})

probe('does not slow down when the helpers say that they are there', () => {
  const self = scene(OTHERS)
  const { later, rest, endMs } = unanswered(self)
  for (const { to, message } of sent(later, 'probe')) {
    self.hear(to, { type: 'probed', seq: message.seq, heard: false })
  }
  answer(self, later, rest)
  self.runTo(endMs)
  assert.is(self.state.suspicions.size, 1)
  assert.is(self.state.health, 0)
})

probe('tries one dead member every few seconds', () => {
  const self = scene(['a'])
  self.hear('a', { type: 'news', rumours: [{ type: 'dead', id: peer('a'), incarnation: 0 }] })
  const tried = self.runTo(20_000)
  assert.ok(sent(tried, 'ping').length >= 3)
  assert.ok(tried.some((action) => action.type === 'dial' && action.peer === 'a'))
  assert.is(self.member('a')?.state, 'dead')
})

probe.run()
