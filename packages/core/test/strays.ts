import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { slotOf } from '../src/block.ts'
import { createClaiming } from '../src/claiming.ts'
import { placeOf } from '../src/compare.ts'
import { createFetches, want } from '../src/fetch.ts'
import { actingHolders, type Holders } from '../src/holders.ts'
import { createReconciler } from '../src/reconcile.ts'
import type { Copy } from '../src/release.ts'
import {
  type Around,
  createStrays,
  onCopies,
  onCopiesVerified,
  onReleaseMessage,
  type StrayAction,
  type Strays,
  straysDeadline,
  straysTick
} from '../src/strays.ts'
import { createWrites, startPut } from '../src/write.ts'
import { become, CONFIG, holdersOf, keyIn, peer, sha256 } from './support/data.ts'

const N = 2
const LIFE = '01'.repeat(8)
const CLAIMS = [{ claimant: 'aa'.repeat(33), sequence: 1, live: true }]
const { releaseAfterMs, releaseIntervalMs, releaseTimeoutMs, releaseRetryMs } = CONFIG

interface Scene {
  state: Strays
  around: Around
  holders: Holders
}

/** Member n among four, with nothing. */
function scene(n: number): Scene {
  const holders = holdersOf(4)
  const reconciler = createReconciler(peer(n), CONFIG, sha256, 0)
  const around = {
    reconciler,
    holders,
    fetches: createFetches(peer(n), CONFIG),
    writes: createWrites(peer(n), CONFIG)
  }
  return { state: createStrays(peer(n), LIFE, CONFIG), around, holders }
}

/** A key that member n is no holder of. */
function strayKey({ holders }: Scene, n: number) {
  for (let slot = 0; ; slot++) if (!actingHolders(holders, slot, N).includes(peer(n))) return keyIn(slot)
}

function scatter({ around, holders }: Scene, key: Copy['key'], settled = N): void {
  const place = placeOf({ slot: slotOf(key), replicas: N })
  const acting = actingHolders(holders, slotOf(key), N)
  around.reconciler.strays.set(place, {
    fingerprint: 'f',
    settled: new Map(acting.slice(0, settled).map((id) => [id, 0]))
  })
}

/** Ticks on time until then; the actions of all ticks. */
function runTo({ state, around }: Scene, untilMs: number, fromMs = 0): StrayAction[] {
  const actions: StrayAction[] = []
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += releaseIntervalMs) {
    actions.push(...straysTick(state, around, nowMs))
  }
  return actions
}

const copyOf = (key: Copy['key']): Copy => ({ key, replicas: N, claims: CLAIMS })
const types = (actions: readonly StrayAction[]) => actions.map(({ type }) => type)

/** Until an attempt is open. */
function opened(): Scene & { key: Copy['key'] } {
  const one = scene(0)
  const key = strayKey(one, 0)
  scatter(one, key)
  const [list] = runTo(one, releaseAfterMs)
  assert.ok(list?.type === 'list-copies')
  onCopies(one.state, one.around, { token: list.token, copies: [copyOf(key)] }, releaseAfterMs)
  return { ...one, key }
}

const strays = suite('strays')

strays('with nothing held besides, no turn is wanted', () => {
  const { state, around } = scene(0)
  assert.is(straysDeadline(state, around.reconciler), Number.POSITIVE_INFINITY)
  assert.equal(straysTick(state, around, 1e9), [])
})

strays('a copy held besides is asked about after a while, once its holders have it', () => {
  const one = scene(0)
  const key = strayKey(one, 0)
  scatter(one, key)
  assert.equal(runTo(one, releaseAfterMs - releaseIntervalMs), [])
  const [list, ...more] = runTo(one, releaseAfterMs + 5 * releaseIntervalMs, releaseAfterMs)
  assert.equal(more, [], 'one at a time')
  assert.ok(list?.type === 'list-copies')
  assert.equal(list.places, [{ slot: slotOf(key), replicas: N }])
  const actions = onCopies(
    one.state,
    one.around,
    { token: list.token, copies: [copyOf(key)] },
    releaseAfterMs
  )
  assert.equal(
    actions.map((action) => action.type === 'send' && action.to),
    [...actingHolders(one.holders, slotOf(key), N)]
  )
})

strays('not while too few holders have said that they have it', () => {
  const one = scene(0)
  scatter(one, strayKey(one, 0), N - 1)
  assert.equal(runTo(one, 3 * releaseAfterMs), [])
})

strays('not while something about the block is under way', () => {
  for (const busy of ['wanted', 'being put']) {
    const one = scene(0)
    const key = strayKey(one, 0)
    scatter(one, key)
    const [list] = runTo(one, releaseAfterMs)
    assert.ok(list?.type === 'list-copies')
    const { fetches, writes } = one.around
    if (busy === 'wanted') want(fetches, { key, purpose: 'read', replicas: N, notBeforeMs: 0 }, 0)
    else startPut(writes, one.holders, { put: 1, ack: 'all', entries: [{ key, replicas: N }] }, 0)
    const listed = { token: list.token, copies: [copyOf(key)] }
    assert.equal(onCopies(one.state, one.around, listed, releaseAfterMs), [], busy)
  }
})

strays('one that must hold it again cancels', () => {
  const { state, around, holders, key } = opened()
  assert.is(state.releases.copies.size, 1)
  for (const id of actingHolders(holders, slotOf(key), N)) {
    become(holders, Number(id.slice(-1)), { state: 'left' })
  }
  straysTick(state, around, releaseAfterMs)
  assert.is(state.releases.copies.size, 0)
})

strays('what is not promised in time is left alone for a while', () => {
  const one = opened()
  const overMs = releaseAfterMs + releaseTimeoutMs
  assert.equal(runTo(one, overMs + releaseRetryMs - releaseIntervalMs, overMs), [])
  assert.equal(types(runTo(one, overMs + releaseRetryMs, overMs + releaseRetryMs)), ['list-copies'])
})

strays('a leaving member promises nothing and lets nothing go', () => {
  const one = scene(0)
  become(one.holders, 0, { state: 'leaving' })
  scatter(one, strayKey(one, 0))
  assert.equal(runTo(one, 2 * releaseAfterMs), [])
  const copies = [{ key: keyIn(1), replicas: N, claims: CLAIMS }]
  const message = { type: 'release', life: LIFE, attempt: 1, copies } as const
  assert.equal(onReleaseMessage(one.state, one.around, peer(1), message), [])
})

strays('a request is an offer: a holder that lacks the block wants it', () => {
  const one = scene(0)
  let slot = 0
  while (!actingHolders(one.holders, slot, N).includes(peer(0))) slot++
  const copies = [{ key: keyIn(slot), replicas: N, claims: CLAIMS }]
  const message = { type: 'release', life: LIFE, attempt: 1, copies } as const
  const [verify] = onReleaseMessage(one.state, one.around, peer(1), message)
  assert.ok(verify?.type === 'verify-copies')
  const none = { token: verify.token, known: new Map() }
  assert.equal(onCopiesVerified(one.state, createClaiming(), one.around, none, 0), [])
  assert.equal([...(one.around.fetches.wants.byKey.get(keyIn(slot))?.sources ?? [])], [peer(1)])
})

strays.run()
