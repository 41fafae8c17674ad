import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { AuditAction } from '../src/audit-action.ts'
import {
  convict,
  createFaults,
  type Faults,
  faultsDeadline,
  faultsForget,
  faultsHeard,
  faultsTick,
  isWatched,
  JUDGE_AFTER_MS,
  onAccuse,
  onChecked,
  onHeld,
  onRequested,
  onRetract,
  onWitness,
  remind,
  type View,
  WATCH_MS
} from '../src/faults.ts'
import { actingHolders, isDistrusted } from '../src/holders.ts'
import { type Hold, readHold, signAccusation, signHold, signProof } from '../src/possession.ts'
import { holdersOf, keyIn, peer, sealed } from './support/data.ts'

const NETWORK = 'ab'.repeat(16)
const KEY = keyIn(7)
const D = peer(1)

/** Member 0's view of the others. */
function scene(self = 0) {
  const holders = holdersOf(6)
  const faults = createFaults(peer(self), NETWORK, sealed(peer(self)))
  const view = (nowMs: number): View => ({ holders, lives: () => true, nowMs })
  return { faults, holders, view }
}

function said(upMs: number, { life = 1, keys = [KEY], auditor = peer(0) } = {}) {
  const signed = signHold({ network: NETWORK, holder: D, auditor, life, upMs, keys }, sealed(D))
  return { signed, hold: readHold(signed, NETWORK, sealed(peer(0))) as Hold }
}

function tells(faults: Faults, upMs: number, more: Parameters<typeof said>[1] = {}): void {
  const { hold, signed } = said(upMs, more)
  onHeld(faults, hold, signed, upMs)
}

const found = (actions: readonly AuditAction[]) =>
  actions.flatMap((action) => (action.type === 'fault' ? [action.peer] : []))

/** All that is concluded of a request at 100, when the member is heard from until the judgement. */
function judged({ faults, view }: ReturnType<typeof scene>): AuditAction[] {
  const atMs = 100 + JUDGE_AFTER_MS
  faultsHeard(faults, D, atMs - 1)
  return faultsTick(faults, view(atMs))
}

const judging = suite('faults')

judging('who asks for what it signed for, and takes nothing back, is found, after a while', () => {
  const one = scene()
  tells(one.faults, 0)
  assert.ok(isWatched(one.faults, D, KEY) && !isWatched(one.faults, D, keyIn(8)))
  onRequested(one.faults, D, KEY, 100)
  faultsHeard(one.faults, D, 99_000)
  assert.is(faultsDeadline(one.faults), 100 + JUDGE_AFTER_MS)
  assert.equal(faultsTick(one.faults, one.view(99 + JUDGE_AFTER_MS)), [])
  const actions = judged(one)
  assert.equal(found(actions), [D])
  assert.ok(isDistrusted(one.holders, D))
  const told = actions.flatMap((action) => (action.type === 'send' ? [action.to] : []))
  assert.equal(told.sort(), [1, 2, 3, 4, 5].map(peer), 'all others, the accused too')
  assert.equal(judged(one), [], 'once')
})

judging('a block that is let go of by word, before the request or after it, is no fault', () => {
  for (const first of [true, false]) {
    const one = scene()
    tells(one.faults, 0)
    const retract = () => onRetract(one.faults, D, { keys: [KEY], life: 1, upMs: 50 }, 60)
    if (first) retract()
    onRequested(one.faults, D, KEY, 100)
    if (!first) retract()
    assert.equal(judged(one), [])
  }
})

judging('a statement that comes late counts for nothing when it was taken back before', () => {
  const one = scene()
  onRetract(one.faults, D, { keys: [KEY], life: 1, upMs: 50 }, 50)
  onWitness(one.faults, said(40, { auditor: peer(2) }).signed, 60)
  assert.not.ok(isWatched(one.faults, D, KEY))
  onWitness(one.faults, said(51, { auditor: peer(2) }).signed, 60)
  assert.ok(isWatched(one.faults, D, KEY), 'one made after does')
})

judging('silence is no evidence: who is not heard from after its request is not judged', () => {
  const { faults, view } = scene()
  tells(faults, 0)
  onRequested(faults, D, KEY, 100)
  for (let atMs = 1_000; atMs < 1_000_000; atMs += 10_000) assert.equal(faultsTick(faults, view(atMs)), [])
  assert.is(faultsDeadline(faults), Number.POSITIVE_INFINITY)
})

judging('nor is one that died, or that was started anew', () => {
  const dead = scene()
  tells(dead.faults, 0)
  onRequested(dead.faults, D, KEY, 100)
  faultsHeard(dead.faults, D, 70_000)
  assert.equal(faultsTick(dead.faults, { ...dead.view(100 + JUDGE_AFTER_MS), lives: () => false }), [])
  const forgotten = scene()
  tells(forgotten.faults, 0)
  onRequested(forgotten.faults, D, KEY, 100)
  faultsForget(forgotten.faults, D)
  assert.equal(judged(forgotten), [])
  const reborn = scene()
  tells(reborn.faults, 0)
  onRequested(reborn.faults, D, KEY, 100)
  onRetract(reborn.faults, D, { keys: [], life: 2, upMs: 0 }, 200)
  assert.equal(judged(reborn), [])
})

judging('a statement is held against its maker for a while only', () => {
  const { faults } = scene()
  tells(faults, 0)
  onRequested(faults, D, KEY, WATCH_MS)
  assert.equal(faults.cases, [])
})

judging('what another passes on counts only when it is of now, by its own word to us', () => {
  const { faults } = scene()
  const passed = (upMs: number, nowMs: number, life = 1) => {
    onWitness(faults, said(upMs, { auditor: peer(2), life }).signed, nowMs)
    const yes = isWatched(faults, D, KEY)
    faults.watched.clear()
    return yes
  }
  assert.not.ok(passed(0, 0), 'it never told us of its time')
  tells(faults, 1_000_000, { keys: [] })
  assert.ok(passed(1_030_000, 1_030_000))
  assert.not.ok(passed(900_000, 1_030_000), 'old')
  assert.not.ok(passed(1_200_000, 1_030_000), 'not yet')
  assert.not.ok(passed(1_030_000, 1_030_000, 2), 'of another life')
})

judging('a true accusation by another is believed once the block was looked at', () => {
  const { faults, view, holders } = scene()
  const proof = { key: KEY, offset: 0, length: 4, digest: new Uint8Array(32).fill(1) }
  const nonce = new Uint8Array(16)
  const evidence = signProof(
    { network: NETWORK, holder: D, auditor: peer(2), nonce, items: [proof] },
    sealed(D)
  )
  const what = { network: NETWORK, accuser: peer(2), accused: D, kind: 'wrong-answer', key: KEY } as const
  const signed = signAccusation({ ...what, evidence }, sealed(peer(2)))
  const ask = () => {
    const [action] = onAccuse(faults, signed, view(0))
    assert.ok(action?.type === 'prove' && action.anywhere && action.holder === D)
    return action.token
  }
  assert.equal(
    onChecked(faults, { token: ask(), digests: [undefined] }, view(0)),
    [],
    'nobody gave the block'
  )
  assert.equal(onChecked(faults, { token: ask(), digests: [proof.digest] }, view(0)), [], 'it was right')
  assert.not.ok(isDistrusted(holders, D))
  const actions = onChecked(faults, { token: ask(), digests: [new Uint8Array(32)] }, view(0))
  assert.equal(found(actions), [D])
  assert.equal(onAccuse(faults, signed, view(0)), [], 'known')
})

judging("another's word is believed about a few, and only over what the accused signed", () => {
  const { faults, view, holders } = scene()
  const crypto = sealed(peer(5))
  const accuse = (n: number, key = KEY, by = peer(n)) => {
    const hold = { network: NETWORK, holder: by, auditor: peer(5), life: 1, upMs: 0, keys: [KEY] }
    const evidence = signHold(hold, sealed(by))
    const what = { network: NETWORK, accuser: peer(5), accused: peer(n), kind: 'asked-for-it', key } as const
    return found(onAccuse(faults, signAccusation({ ...what, evidence }, crypto), view(0)))
  }
  assert.equal(accuse(1, keyIn(8)), [], 'another block')
  assert.equal(accuse(1, KEY, peer(2)), [], "another's statement")
  assert.equal(accuse(5), [], 'itself')
  for (const n of [1, 2, 3, 4]) assert.equal(accuse(n), [peer(n)])
  assert.equal(accuse(6), [])
  assert.equal(actingHolders(holders, 7, 3).filter((id) => !isDistrusted(holders, id)).length, 2)
})

judging('a newcomer is told what is known; after a day it is forgotten', () => {
  const { faults, view, holders } = scene()
  const evidence = said(0).signed
  convict(faults, view(0), { accused: D, kind: 'asked-for-it', key: KEY, evidence })
  assert.is(remind(faults, peer(3)).length, 1)
  faultsTick(faults, view(86_400_000))
  assert.is(remind(faults, peer(3)).length, 0)
  assert.not.ok(isDistrusted(holders, D))
})

judging.run()
