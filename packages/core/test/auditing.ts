import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { coreDeadline, coreStep, createCore } from '../src/core.ts'
import type { Core, CoreAction, CoreEvent } from '../src/core-types.ts'
import { isWatched } from '../src/faults.ts'
import type { LivingMember } from '../src/member.ts'
import { signHold } from '../src/possession.ts'
import { seeded } from '../src/random.ts'
import type { Message } from '../src/wire.ts'
import { keyIn, member, peer, sealed } from './support/data.ts'

const KEY = keyIn(1)
const NETWORK = '00'.repeat(16)

function coreOf(): Core {
  const { addresses, capacity, zone, name, full, http, version } = member(0)
  const facts = { addresses, capacity, zone, name, full, http, version }
  const crypto = sealed(peer(0))
  // Nobody is probed, and so nobody dies, for as long as a judgement takes.
  const config = { probeIntervalMs: 1e6, suspicionMinMs: 2e6 }
  const core = createCore(
    { id: peer(0), life: 'a', facts, incarnation: 0, config, random: seeded(1), crypto },
    0
  )
  for (const n of [1, 2]) {
    const rumours = [{ type: 'facts', member: member(n) as LivingMember } as const]
    on(core, { type: 'message', from: peer(n), message: { type: 'news', rumours } })
  }
  return core
}

const on = (core: Core, event: CoreEvent, nowMs = 0): CoreAction[] => coreStep(core, event, nowMs)
const hear = (core: Core, message: Message, nowMs = 0) =>
  on(core, { type: 'message', from: peer(1), message }, nowMs)

/** Asks the core to sign for a block that its store has; what it signed for. */
function signsFor(core: Core, nowMs = 0): number {
  const look = hear(core, { type: 'ask-hold', token: 1, keys: [KEY] }, nowMs).find(
    ({ type }) => type === 'look-up'
  )
  assert.ok(look?.type === 'look-up')
  on(
    core,
    { type: 'looked-up', token: look.token, found: new Map([[KEY, { claims: '', held: true }]]) },
    nowMs
  )
  return core.auditing.holding.stated.size
}

const audits = suite('auditing')

audits('what was lost or let go of is not signed for until it is stored', () => {
  const events: CoreEvent[] = [
    { type: 'lost', key: KEY, replicas: 3 },
    { type: 'gone', keys: [KEY] }
  ]
  for (const event of events) {
    const core = coreOf()
    on(core, event)
    assert.is(signsFor(core), 0, event.type)
    on(core, { type: 'stored', keys: [KEY] })
  }
  assert.is(signsFor(coreOf()), 1)
})

audits('a fetch of what was signed for goes out after the word that takes it back', () => {
  const core = coreOf()
  signsFor(core)
  const actions = on(core, { type: 'want', keys: [KEY], replicas: 3 })
  const kinds = actions.map((action) => (action.type === 'send' ? action.message.type : action.type))
  const [retract, fetch] = [kinds.indexOf('retract'), kinds.indexOf('fetch-blocks')]
  assert.ok(retract >= 0 && retract < fetch, kinds.join(' '))
})

audits('a statement that nobody signed changes nothing', () => {
  const core = coreOf()
  for (const type of ['witness', 'accuse'] as const) {
    assert.equal(hear(core, { type, signed: new Uint8Array(100) }), [])
  }
  assert.not.ok(isWatched(core.auditing.faults, peer(1), KEY))
})

audits('a request is judged when its time has come, and the deadline says when', () => {
  const core = coreOf()
  const { faults } = core.auditing
  hear(core, { type: 'retract', token: 1, life: 7, upMs: 0, keys: [] })
  const hold = { network: NETWORK, holder: peer(1), auditor: peer(2), life: 7, upMs: 1, keys: [KEY] }
  hear(core, { type: 'witness', signed: signHold(hold, sealed(peer(1))) })
  assert.ok(isWatched(faults, peer(1), KEY))
  on(core, { type: 'requested', from: peer(1), key: KEY }, 10)
  assert.is(faults.cases.length, 1)
  let found: CoreAction | undefined
  for (
    let nowMs = 10;
    nowMs < 70_000 && found === undefined;
    nowMs = Math.max(nowMs + 1, coreDeadline(core))
  ) {
    // it lives and talks, or nothing would be concluded
    const told = hear(core, { type: 'retracted', token: 1 }, nowMs)
    found = [...told, ...on(core, { type: 'tick' }, nowMs)].find(({ type }) => type === 'fault')
  }
  assert.ok(found?.type === 'fault' && found.peer === peer(1))
})

audits.run()
