import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createFetches } from '../src/fetch.ts'
import {
  calledFor,
  createFreeing,
  type FreeingMessage,
  freeingDeadline,
  freeingForget,
  freeingTick,
  isBeingLetGo,
  isFreeingEvent,
  onDiffering,
  onFreeingEvent,
  onFreeingMessage,
  onLost
} from '../src/freeing.ts'
import { createReconciler } from '../src/reconcile.ts'
import { openAttempt } from '../src/release.ts'
import { createWrites } from '../src/write.ts'
import { CONFIG, holdersOf, keyIn, peer, sha256 } from './support/data.ts'

const LIFE = '01'.repeat(8)
const ENDED = { claimant: 'aa'.repeat(33), sequence: 2, live: false }
const copy = { key: keyIn(1), replicas: 1, claims: [ENDED] }

function scene(members = 3) {
  const around = {
    reconciler: createReconciler(peer(0), CONFIG, sha256, 0),
    holders: holdersOf(members),
    fetches: createFetches(peer(0), CONFIG),
    writes: createWrites(peer(0), CONFIG)
  }
  return { state: createFreeing(peer(0), LIFE, CONFIG), around }
}

const freeing = suite('freeing')

freeing('its events are its own', () => {
  assert.ok(isFreeingEvent({ type: 'collect-now' }))
  assert.not(isFreeingEvent({ type: 'tick' }))
})

freeing('what is about to be collected is promised to nobody, whatever was read of it', () => {
  const { state, around } = scene(1)
  const copies = [{ ...copy, claims: [{ ...ENDED, live: true }] }]
  const release = { type: 'release', life: LIFE, attempt: 1, copies } as const
  const [verify] = onFreeingMessage(state, around, peer(1), release)
  assert.ok(verify?.type === 'verify-copies')
  onFreeingEvent(state, around, { type: 'collect-now' }, 0)
  const list = freeingTick(state, around, 0).find((one) => one.type === 'list-ended' && !one.collected)
  assert.ok(list?.type === 'list-ended')
  const ended = { type: 'ended', token: list.token, copies: [copy], next: undefined } as const
  onFreeingEvent(state, around, ended, 0)
  const [going] = freeingTick(state, around, CONFIG.collectIntervalMs).filter(
    ({ type }) => type === 'collect'
  )
  assert.ok(going !== undefined, 'alone it needs nobody to agree')
  const known = new Map([[copy.key, { held: true, replicas: 1, claims: copies[0]?.claims ?? [] }]])
  const said = onFreeingEvent(state, around, { type: 'verified', token: verify.token, known }, 0)
  assert.not(said.some((one) => one.type === 'send' && one.message.type === 'promise'))
})

freeing('what is called for is not let go of, and what is going is known', () => {
  const { state, around } = scene()
  openAttempt(state.strays.releases, [{ copy, others: [peer(1), peer(2)] }], 0)
  assert.not(isBeingLetGo(state, copy.key))
  calledFor(state, [copy.key])
  assert.is(state.strays.releases.copies.size, 0)
  openAttempt(state.strays.releases, [{ copy, others: [peer(1), peer(2)] }], 0)
  const promise: FreeingMessage = { type: 'promise', life: LIFE, attempt: 2, keys: [copy.key] }
  const [go] = onFreeingMessage(state, around, peer(1), promise)
  assert.is(go?.type, 'let-go')
  assert.ok(isBeingLetGo(state, copy.key))
  onFreeingEvent(state, around, { type: 'gone', keys: [copy.key] }, 0)
  assert.not(isBeingLetGo(state, copy.key))
})

freeing('a member that is gone is asked for nothing, and a lost copy is not promised', () => {
  const { state, around } = scene()
  onDiffering(state, peer(1), [{ key: copy.key, claims: 'ff'.repeat(8) }])
  freeingForget(state, peer(1))
  onLost(state, copy.key)
  assert.not(freeingTick(state, around, 0).some(({ type }) => type === 'take-claims'))
  assert.ok(freeingDeadline(state, around) > 0)
})

freeing.run()
