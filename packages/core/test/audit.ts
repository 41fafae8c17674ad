import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Audits,
  auditsDeadline,
  auditsForget,
  auditsTick,
  createAudits,
  onAuditListed,
  onChallengeMade,
  onHold,
  onProof,
  ROUND_BLOCKS,
  startChallenge
} from '../src/audit.ts'
import type { AuditAction } from '../src/audit-action.ts'
import type { BlockKey } from '../src/block.ts'
import { groupOf, placeOf } from '../src/compare.ts'
import { createFaults } from '../src/faults.ts'
import { actingHolders } from '../src/holders.ts'
import { signHold, signProof } from '../src/possession.ts'
import { seeded } from '../src/random.ts'
import { createHeld } from '../src/shared.ts'
import { holdersOf, keyIn, peer, sealed, sha256 } from './support/data.ts'

const NETWORK = 'ab'.repeat(16)
const SLOTS = 200
const nonce = new Uint8Array(16).fill(4)

/** Member 0 of three, all of which hold all of some slots, one block each. */
function scene(members = 3) {
  const holders = holdersOf(members)
  const held = createHeld()
  for (let slot = 0; slot < SLOTS; slot++) {
    const value = { slot, replicas: 3, blocks: 1, bytes: 10, fingerprint: '00'.repeat(16) }
    if (!actingHolders(holders, slot, 3).includes(peer(0))) continue
    held.mine.set(placeOf(value), value)
    held.byGroup[groupOf(slot)]?.add(placeOf(value))
  }
  const crypto = sealed(peer(0))
  const random = seeded(1)
  const audits = createAudits({ self: peer(0), network: NETWORK, crypto, random, intervalMs: 1_000 }, 0)
  const faults = createFaults(peer(0), NETWORK, crypto)
  const view = (nowMs: number) => ({ holders, lives: () => true, nowMs })
  return { holders, held, audits, faults, view }
}

type Scene = ReturnType<typeof scene>

const messagesIn = (actions: readonly AuditAction[]) =>
  actions.flatMap((action) => (action.type === 'send' ? [{ to: action.to, message: action.message }] : []))

/** As far as the question which blocks the other holds. */
function asked({ audits, held, holders }: Scene, atMs = 2_000) {
  const [list] = auditsTick(audits, held, holders, atMs)
  assert.ok(list?.type === 'list-slots')
  const lists = list.slots.map(({ slot }) => [{ key: keyIn(slot), size: 10, claims: '', replicas: 3 }])
  const actions = onAuditListed(audits, { token: list.token, lists }, atMs)
  const [sent] = messagesIn(actions)
  assert.ok(sent?.message.type === 'ask-hold')
  const { token, keys } = sent.message
  return { to: sent.to, token, keys }
}

/** As far as the challenge; the other says that it holds all, or some. */
function challenged(one: Scene, atMs = 2_000, some = (keys: BlockKey[]) => keys) {
  const { to, token, keys } = asked(one, atMs)
  const hold = { network: NETWORK, holder: to, auditor: peer(0), life: 1, upMs: 0, keys: some(keys) }
  const message = { type: 'hold', token, signed: signHold(hold, sealed(to)) } as const
  const actions = onHold(one.audits, one.faults, { from: to, message }, one.view(atMs))
  const make = actions.find(({ type }) => type === 'make-challenge')
  assert.ok(make?.type === 'make-challenge' && make.holder === to)
  const items = make.items.map(({ key }) => ({ key, offset: 1, length: 2, digest: sha256(nonce) }))
  assert.equal(onChallengeMade(one.audits, { token, nonce, items }, atMs), [], 'witnesses hear of it first')
  const [sent] = messagesIn(auditsTick(one.audits, one.held, one.holders, atMs + 500))
  assert.ok(sent?.message.type === 'challenge' && sent.to === to)
  const ranges = sent.message.items
  const answer = (digestOf: (i: number) => Uint8Array | undefined, by = to) => {
    const proven = ranges.map((range, i) => ({ ...range, digest: digestOf(i) }))
    const said = { network: NETWORK, holder: to, auditor: peer(0), nonce, items: proven }
    const proof = { type: 'proof', token, signed: signProof(said, sealed(by)) } as const
    return onProof(one.audits, one.faults, { from: to, message: proof }, one.view(atMs + 600))
  }
  return { to, ranges, answer, actions }
}

const recordOf = ({ records }: Audits, id: Parameters<Audits['records']['get']>[0]) => records.get(id)

const auditing = suite('audit')

auditing('each member is audited once in a cycle, over blocks that both must hold', () => {
  const one = scene(6)
  const seen: string[] = []
  for (let i = 0; i < 5; i++) {
    const { to, keys } = asked(one, 2_000 + 100_000 * i)
    seen.push(to)
    for (const key of keys) {
      const acting = actingHolders(one.holders, Number.parseInt(key.slice(4, 8), 16), 3)
      assert.ok(acting.includes(to) && acting.includes(peer(0)))
    }
    assert.ok(keys.length <= ROUND_BLOCKS && keys.length > ROUND_BLOCKS / 2)
    one.audits.round = undefined // as if it had been answered
  }
  assert.equal(seen.sort(), [1, 2, 3, 4, 5].map(peer))
  assert.is(one.audits.cycle, 1)
})

auditing('right answers are counted, and what the other says it lacks is told apart', () => {
  const one = scene()
  const { answer, to, ranges } = challenged(one)
  assert.equal(
    answer((i) => (i === 0 ? undefined : sha256(nonce))),
    []
  )
  const { proven, absent, wrong, silent } = recordOf(one.audits, to) ?? {}
  assert.equal([proven, absent, wrong, silent], [ranges.length - 1, 1, 0, 0])
  assert.is(one.audits.round, undefined)
})

auditing('a wrong answer under its signature is evidence; under none, it is nothing', () => {
  const one = scene()
  const { answer, to } = challenged(one)
  assert.throws(() => answer(() => new Uint8Array(32), peer(2)), /not signed/)
  const actions = answer((i) => (i === 3 ? new Uint8Array(32) : sha256(nonce)))
  assert.ok(actions.some((action) => action.type === 'fault' && action.peer === to))
  assert.is(recordOf(one.audits, to)?.wrong, 1)
})

auditing('an answer to another question is no answer', () => {
  const one = scene()
  const { to, ranges } = challenged(one)
  const token = one.audits.round?.token ?? 0
  const items = ranges.map((range) => ({ ...range, digest: new Uint8Array(32) }))
  const said = { network: NETWORK, holder: to, auditor: peer(0), nonce, items }
  for (const other of [
    { ...said, nonce: new Uint8Array(16) },
    { ...said, auditor: peer(2) },
    { ...said, items: items.slice(1) },
    { ...said, items: items.map((item) => ({ ...item, offset: 0 })) }
  ]) {
    const message = { type: 'proof', token, signed: signProof(other, sealed(to)) } as const
    assert.equal(onProof(one.audits, one.faults, { from: to, message }, one.view(3_000)), [])
  }
})

auditing('silence is counted and is evidence of nothing', () => {
  const one = scene()
  const { to } = challenged(one)
  const actions = auditsTick(one.audits, one.held, one.holders, 100_000)
  assert.not.ok(actions.some(({ type }) => type === 'fault'))
  assert.is(recordOf(one.audits, to)?.silent, 1)
  assert.is(recordOf(one.audits, to)?.wrong, 0)
})

auditing('only what the other says it holds is asked for, and its other holders hear of that', () => {
  const one = scene()
  const { ranges, actions, to } = challenged(one, 2_000, (keys) => keys.slice(0, 2))
  assert.is(ranges.length, 2)
  const witness = messagesIn(actions).filter(({ message }) => message.type === 'witness')
  assert.equal(
    witness.map((sent) => sent.to),
    [1, 2].map(peer).filter((id) => id !== to)
  )
})

auditing('what is not good here is not asked for: our own copy comes first', () => {
  const one = scene()
  const { to, token, keys } = asked(one)
  const hold = { network: NETWORK, holder: to, auditor: peer(0), life: 1, upMs: 0, keys }
  const message = { type: 'hold', token, signed: signHold(hold, sealed(to)) } as const
  onHold(one.audits, one.faults, { from: to, message }, one.view(2_000))
  const items = keys.map((key) => ({ key, offset: 0, length: 1, digest: undefined }))
  onChallengeMade(one.audits, { token, nonce, items }, 2_000)
  assert.is(one.audits.round, undefined)
  assert.is(recordOf(one.audits, to), undefined)
})

auditing('a caller has its answers, or is told of silence and of a member that died', () => {
  const one = scene()
  const items = [{ key: keyIn(1), offset: 0, length: 1, digest: sha256(nonce) }]
  const ask = (request: number) => startChallenge(one.audits, { to: peer(1), nonce, items, request }, 0)
  const [sent] = messagesIn(ask(1))
  assert.ok(sent?.message.type === 'challenge')
  const { token } = sent.message
  const said = { network: NETWORK, holder: peer(1), auditor: peer(0), nonce, items }
  const message = { type: 'proof', token, signed: signProof(said, sealed(peer(1))) } as const
  const got = onProof(one.audits, one.faults, { from: peer(1), message }, one.view(10))
  assert.equal(got, [{ type: 'challenged', request: 1, to: peer(1), answers: ['proven'] }])
  ask(2)
  assert.is(auditsDeadline(one.audits) <= 60_000, true)
  const late = auditsTick(one.audits, one.held, one.holders, 60_000)
  assert.equal(late[0], { type: 'challenged', request: 2, to: peer(1), answers: ['silent'] })
  ask(3)
  const dead = auditsForget(one.audits, peer(1))
  assert.equal(dead, [{ type: 'challenged', request: 3, to: peer(1), answers: ['silent'] }])
  for (let i = 0; i < 64; i++) ask(100 + i)
  assert.equal(ask(999), [{ type: 'challenged', request: 999, to: peer(1), answers: ['silent'] }])
})

auditing.run()
