import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Register } from '../src/claim.ts'
import {
  type Claimed,
  claimingForget,
  claimingTick,
  claimsDiffer,
  createClaiming,
  onClaimsTaken,
  onMoreClaims,
  onToldKnown,
  type TakeOutcome,
  tellMore
} from '../src/claiming.ts'
import { createFetches } from '../src/fetch.ts'
import { claimsDigest } from '../src/fingerprint.ts'
import { DATA_LIMITS as LIMITS } from '../src/limits.ts'
import { createReconciler, peerOf } from '../src/reconcile.ts'
import { CONFIG, holdersOf, keyIn, peer, sha256 } from './support/data.ts'

const CLAIM: Register = { claimant: 'aa'.repeat(33), sequence: 1, live: true }
const DIGEST = 'ff'.repeat(8)

/** Member 0 of three, which hold all at N = 3. */
function scene() {
  const holders = holdersOf(3)
  const reconciler = createReconciler(peer(0), CONFIG, sha256, 0)
  return { state: createClaiming(), around: { holders, reconciler, fetches: createFetches(peer(0), CONFIG) } }
}

const claimed = (n: number, claims = DIGEST): Claimed => ({ key: keyIn(n), claims })
const outcome = (n: number, said: TakeOutcome) => new Map([[keyIn(n), { outcome: said, replicas: 3 }]])

const claiming = suite('claiming')

claiming('claims are asked of each member that has others, one request at a time', () => {
  const { state, around } = scene()
  const many = Array.from({ length: LIMITS.claimsKeys + 1 }, (_, i) => claimed(i))
  claimsDiffer(state, peer(1), many)
  claimsDiffer(state, peer(2), [claimed(5)])
  const [first, second, ...none] = claimingTick(state)
  assert.ok(first?.type === 'take-claims' && second?.type === 'take-claims')
  assert.equal([first.from, first.keys.length, second.from, none], [peer(1), LIMITS.claimsKeys, peer(2), []])
  assert.equal(claimingTick(state), [])
  onClaimsTaken(state, around, { transfer: first.transfer, outcomes: new Map() }, 0)
  assert.is(claimingTick(state).length, 1)
})

claiming('claims that were taken are known to be, others are asked for again', () => {
  for (const [said, taken] of [
    ['taken', true],
    ['partly', undefined],
    ['failed', undefined]
  ] as const) {
    const { state, around } = scene()
    claimsDiffer(state, peer(1), [claimed(1)])
    claimingTick(state)
    onClaimsTaken(state, around, { transfer: 1, outcomes: outcome(1, said) }, 0)
    assert.is(peerOf(around.reconciler, peer(1)).claims.get(keyIn(1))?.taken, taken, said)
    assert.is(around.fetches.wants.byKey.size, 0)
  }
})

claiming('a block that was collected and is claimed again is fetched', () => {
  const { state, around } = scene()
  claimsDiffer(state, peer(1), [claimed(1)])
  claimingTick(state)
  onClaimsTaken(state, around, { transfer: 1, outcomes: outcome(1, 'revived') }, 0)
  assert.equal([...(around.fetches.wants.byKey.get(keyIn(1))?.sources ?? [])], [peer(1)])
})

claiming('told of more claims, it asks for those on blocks that it knows', () => {
  const { state, around } = scene()
  const own = { held: true, replicas: 3, claims: [CLAIM] }
  const blocks = [claimed(1), claimed(2), claimed(3, claimsDigest([CLAIM], sha256)), claimed(4)]
  peerOf(around.reconciler, peer(1)).claims.set(keyIn(4), { digest: DIGEST, taken: true })
  const [look] = onMoreClaims(state, peer(1), { type: 'more-claims', blocks })
  assert.ok(look?.type === 'know-claims')
  const known = new Map([1, 3, 4].map((n) => [keyIn(n), own]))
  onToldKnown(state, around.reconciler, { token: look.token, known })
  assert.equal([...(state.waiting.get(peer(1))?.keys() ?? [])], [keyIn(1)])
  claimingForget(state, peer(1))
  assert.equal(claimingTick(state), [])
})

claiming('it says what it knows by what that comes to', () => {
  const [said] = tellMore(peer(1), [{ key: keyIn(1), claims: [CLAIM] }], sha256)
  const blocks = [claimed(1, claimsDigest([CLAIM], sha256))]
  assert.equal(said, { type: 'send', to: peer(1), message: { type: 'more-claims', blocks } })
  assert.equal(tellMore(peer(1), [], sha256), [])
})

claiming('nobody makes it remember without end', () => {
  const { state } = scene()
  for (let i = 0; i < 100_000; i += 1_000) {
    claimsDiffer(
      state,
      peer(1),
      Array.from({ length: 1_000 }, (_, n) => ({ key: keyIn(n, i), claims: DIGEST }))
    )
  }
  assert.is(state.waiting.get(peer(1))?.size, LIMITS.claimsQueue)
  for (let i = 0; i < 100; i++) onMoreClaims(state, peer(1), { type: 'more-claims', blocks: [claimed(1)] })
  assert.is(state.told.size, LIMITS.claimsToldPerMember)
})

claiming.run()
