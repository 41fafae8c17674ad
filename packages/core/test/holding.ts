import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { AuditAction } from '../src/audit-action.ts'
import type { AuditMessage, AuditMessageOf } from '../src/audit-messages.ts'
import type { BlockKey } from '../src/block.ts'
import {
  ASKED_MS,
  createHolding,
  type Holding,
  holdingTick,
  noteAsked,
  noteGone,
  noteStored,
  onAskHold,
  onChallenge,
  onHoldLookedUp,
  onOwnProved,
  onRetracted,
  STATED_MS
} from '../src/holding.ts'
import { readHold, readProof } from '../src/possession.ts'
import { seeded } from '../src/random.ts'
import { keyIn, peer, sealed } from './support/data.ts'

const NETWORK = 'ab'.repeat(16)
const KEYS = [keyIn(1), keyIn(2), keyIn(3)]
/** Long after the start, when nobody can remember an earlier life. */
const LATER_MS = STATED_MS + 1

function holdingOf(seed = 1): Holding {
  const crypto = sealed(peer(1))
  return createHolding({ self: peer(1), network: NETWORK, crypto, random: seeded(seed) }, 0)
}

/** Signs for what is found of the keys asked. */
function signs(holding: Holding, nowMs: number, found: readonly BlockKey[] = KEYS): BlockKey[] {
  const [look] = onAskHold(holding, peer(0), { type: 'ask-hold', token: 5, keys: KEYS })
  assert.ok(look?.type === 'look-up')
  const result = { token: look.token, found: new Map(found.map((key) => [key, {}])) }
  const [sent] = onHoldLookedUp(holding, result, nowMs)
  assert.ok(sent?.type === 'send' && sent.to === peer(0) && sent.message.type === 'hold')
  assert.is(sent.message.token, 5)
  return readHold(sent.message.signed, NETWORK, sealed(peer(0))).keys
}

function messages<T extends AuditMessage['type']>(actions: AuditAction[], type: T) {
  return actions.flatMap((action) =>
    action.type === 'send' && action.message.type === type
      ? [{ to: action.to, ...(action.message as AuditMessageOf<T>) }]
      : []
  )
}

const asks = (holding: Holding, keys: readonly BlockKey[], nowMs: number, from = peer(2)) =>
  messages(noteAsked(holding, { from, keys }, nowMs), 'retract')

const holds = suite('holding')

holds('it signs for what the store has, and for nothing else', () => {
  const holding = holdingOf()
  assert.equal(signs(holding, 0, [KEYS[0] as BlockKey, KEYS[2] as BlockKey]), [KEYS[0], KEYS[2]])
  assert.equal(signs(holding, 1), KEYS)
})

holds('it signs for nothing that it asked for of late', () => {
  const holding = holdingOf()
  noteAsked(holding, { from: peer(2), keys: [KEYS[1] as BlockKey] }, 0)
  assert.equal(signs(holding, ASKED_MS - 1), [KEYS[0], KEYS[2]])
  assert.equal(signs(holding, ASKED_MS), KEYS)
})

holds('it signs for nothing that was lost or let go of until it is stored again', () => {
  const holding = holdingOf()
  noteGone(holding, [KEYS[0] as BlockKey], 0)
  assert.equal(signs(holding, 1), [KEYS[1], KEYS[2]])
  noteStored(holding, KEYS)
  assert.equal(signs(holding, 2), KEYS)
})

holds('after more requests than it remembers it signs for nothing for a while', () => {
  const holding = holdingOf()
  noteAsked(holding, { from: peer(2), keys: Array.from({ length: 16_385 }, (_, i) => keyIn(i + 10)) }, 0)
  assert.equal(signs(holding, ASKED_MS - 1), [])
  assert.equal(signs(holding, ASKED_MS), KEYS)
})

holds('before it asks for what it signed for it takes its word back, until that is heard', () => {
  const holding = holdingOf()
  signs(holding, LATER_MS)
  const [first, more] = asks(holding, [KEYS[0] as BlockKey, keyIn(99)], LATER_MS + 10)
  assert.is(more, undefined)
  assert.equal([first?.to, first?.keys, first?.life], [peer(2), [KEYS[0]], holding.life])
  assert.ok((first?.upMs ?? 0) >= LATER_MS + 10)
  const [again] = messages(holdingTick(holding, LATER_MS + 2_010), 'retract')
  assert.equal(again?.keys, [KEYS[0]])
  onRetracted(holding, peer(3), again?.token ?? 0)
  assert.is(
    messages(holdingTick(holding, LATER_MS + 4_010), 'retract').length,
    1,
    'another cannot hear for it'
  )
  const token = [...holding.sent.keys()][0] as number
  onRetracted(holding, peer(2), token)
  assert.equal(holdingTick(holding, LATER_MS + 6_010), [])
})

holds('each member that is asked is told, however often the block was asked for before', () => {
  const holding = holdingOf()
  signs(holding, LATER_MS)
  for (const n of [2, 3, 4]) {
    const told = asks(holding, KEYS, LATER_MS + n, peer(n)).map(({ to }) => to)
    assert.ok(told.includes(peer(n)))
  }
})

holds('what it never signed for needs no word', () => {
  const holding = holdingOf()
  signs(holding, LATER_MS)
  assert.equal(asks(holding, [keyIn(99)], LATER_MS + 1), [])
  assert.equal(asks(holding, KEYS, 2 * LATER_MS + ASKED_MS, peer(3)), [], 'nobody remembers it any more')
})

holds('after a start whoever is asked is told of the new life, once it has heard no more', () => {
  const holding = holdingOf(2)
  const [told] = asks(holding, [keyIn(99)], 10)
  assert.equal([told?.keys, told?.life], [[], holding.life])
  onRetracted(holding, peer(2), told?.token ?? 0)
  assert.equal(asks(holding, [keyIn(98)], 20), [])
  assert.is.not(holding.life, holdingOf(3).life)
})

holds('a challenge is answered with what the disk proved, signed, in its order', () => {
  const holding = holdingOf()
  const nonce = new Uint8Array(16).fill(9)
  const items = KEYS.map((key) => ({ key, offset: 1, length: 2 }))
  const [action] = onChallenge(holding, peer(0), { type: 'challenge', token: 77, nonce, items })
  assert.ok(action?.type === 'prove' && !action.anywhere && action.holder === peer(1))
  const digest = new Uint8Array(32).fill(1)
  const digests = [digest, undefined, digest]
  const [sent] = onOwnProved(holding, { token: action.token, digests })
  assert.ok(sent?.type === 'send' && sent.message.type === 'proof' && sent.message.token === 77)
  const proof = readProof(sent.message.signed, NETWORK, sealed(peer(0)))
  assert.equal(proof.nonce, nonce)
  assert.equal(
    proof.items.map((item) => item.digest),
    digests
  )
  assert.equal(onOwnProved(holding, { token: action.token, digests }), [], 'once')
})

holds('more questions than it answers at a time are not answered', () => {
  const holding = holdingOf()
  const ask = () => onAskHold(holding, peer(0), { type: 'ask-hold', token: 5, keys: KEYS }).length
  let answered = 0
  for (let i = 0; i < 100; i++) answered += ask()
  assert.is(answered, 16)
})

holds.run()
