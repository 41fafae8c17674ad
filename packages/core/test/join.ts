import { configure, deadline, type MembershipAction } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GOSSIP_LIMITS } from '../src/config.ts'
import { alive, answer, peer, type Scene, scene, sent } from './support/scene.ts'

const join = suite('join')

const dials = (actions: MembershipAction[]) =>
  actions.flatMap((action) => (action.type === 'dial' ? [action.addresses.join()] : []))

const meet = (self: Scene, name: string) =>
  self.hear(name, { type: 'news', rumours: [{ type: 'facts', member: alive(name) }] })

/** Runs until then, with `a` answering. */
function live(self: Scene, untilMs: number): MembershipAction[] {
  const actions: MembershipAction[] = []
  while (self.nowMs < untilMs) {
    const some = self.runTo(self.nowMs + 100)
    actions.push(...some, ...answer(self, some, ['a']))
  }
  return actions
}

join('dials every address given, ever less often, until a member has it', () => {
  const self = scene()
  self.on({ type: 'join', addresses: ['/dns/a', '/y'] })
  const dialled = dials(self.runTo(600_000))
  assert.equal(dialled.slice(0, 2), ['/dns/a', '/y'])
  const each = dialled.filter((address) => address === '/dns/a').length
  const { joinRetryMaxMs } = configure()
  assert.ok(each > 600_000 / joinRetryMaxMs && each < 25, `${each} dials`)
  meet(self, 'a')
  const after = dials(live(self, 700_000))
  assert.not(after.includes('/dns/a'))
  assert.ok(after.includes('/y'), 'who is there may be on the other side of a cut, and has not been met')
})

join('dials at once an address that it is given again', () => {
  const self = scene(['a'])
  self.on({ type: 'join', addresses: ['/y'] })
  dials(live(self, 300_000))
  self.on({ type: 'join', addresses: ['/y'] })
  assert.equal(dials(live(self, 300_500)), ['/y'])
})

join('greets whom it gets connected to, and says who it is', () => {
  const self = scene()
  const [ping] = sent(self.on({ type: 'connected', peer: peer('a') }), 'ping')
  assert.is(ping?.to, 'a')
  const [rumour] = ping?.message.rumours ?? []
  assert.is(rumour?.type === 'facts' ? rumour.member.id : undefined, 'me')
  assert.ok(sent(self.runTo(2_000), 'ping').length > 0, 'the greeting may have been lost')
})

join('tries kept members, not those that are alive, and stale ones seldom once joined', () => {
  const self = scene(['a'])
  self.on({
    type: 'found',
    members: ['a', 'b', 'me'].map((name) => ({ id: peer(name), addresses: [`/${name}`] }))
  })
  const dialled = dials(live(self, 30_000))
  assert.equal([...new Set(dialled)], ['/b'])
  assert.ok(dialled.length <= 5)
  const later = dials(live(self, 7_200_000))
  assert.ok(later.length > 5 && later.length < 25, `${later.length} dials in two hours`)
  meet(self, 'b')
  live(self, 9_000_000)
  assert.is(self.state.joining.candidates.size, 0)
})

join('dials few at a time and remembers no more than its limit', () => {
  const self = scene()
  const members = Array.from({ length: 5_000 }, (_, i) => ({ id: peer(`p${i}`), addresses: [`/${i}`] }))
  self.on({ type: 'found', members })
  assert.is(self.state.joining.candidates.size, GOSSIP_LIMITS.candidates)
  self.nowMs = deadline(self.state)
  assert.is(dials(self.on({ type: 'tick' })).length, GOSSIP_LIMITS.dials)
})

join.run()
