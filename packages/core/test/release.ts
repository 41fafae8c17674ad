// limit: 120 s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BlockKey } from '../src/block.ts'
import { isUnchanged } from '../src/claim.ts'
import { DATA_LIMITS as LIMITS } from '../src/limits.ts'
import {
  attemptsDeadline,
  type Copy,
  cancel,
  createReleases,
  expireAttempts,
  isGoing,
  onGone,
  onPromise,
  onRelease,
  onVerified,
  openAttempt,
  type ReleaseAction,
  type ReleaseMessage,
  releasesForget,
  unverify
} from '../src/release.ts'
import { encodeMessage, MESSAGE_BYTES_MAX } from '../src/wire.ts'
import { CONFIG, keyIn, peer } from './support/data.ts'
import { type Bug, explore } from './support/letting-go.ts'

/** Above the largest scope below: an answer in seconds, or none. */
const STATES_MAX = 200_000
const CLAIM = { claimant: 'aa'.repeat(33), sequence: 2, live: true }
const others = [1, 2, 3].map(peer)

const copy = (n: number, more: Partial<Copy> = {}): Copy => {
  return { key: keyIn(n), replicas: 2, claims: [CLAIM], ...more }
}
const lifeOf = (n: number) => n.toString(16).padStart(16, '0')
const releases = () => createReleases(peer(0), lifeOf(1), CONFIG)
const sent = (actions: readonly ReleaseAction[]) =>
  actions.flatMap((action) => (action.type === 'send' ? [action] : []))
const gone = (actions: readonly ReleaseAction[]) =>
  actions.flatMap((action) => (action.type === 'let-go' ? action.copies.map(({ key }) => key) : []))
const promise = (attempt: number, keys: BlockKey[], life = 1): ReleaseMessage & { type: 'promise' } => {
  return { type: 'promise', life: lifeOf(life), attempt, keys }
}
const request = (copies: readonly Copy[]): ReleaseMessage & { type: 'release' } => {
  return {
    type: 'release',
    life: lifeOf(4),
    attempt: 9,
    copies: copies.map((one) => ({ ...one, claims: [...one.claims] }))
  }
}
const holding = (...copies: Copy[]) =>
  new Map(copies.map(({ key, ...rest }) => [key, { ...rest, held: true }]))

const every = suite('every interleaving')

every('three members at N = 2: any attempts, restarts and fetches leave two copies', () => {
  const { states, lost, letGo } = explore({
    members: 3,
    replicas: 2,
    forgetful: true,
    statesMax: STATES_MAX
  })
  assert.equal(lost, undefined)
  assert.ok(states > 2_000 && letGo > 50, `${states} states, ${letGo} of them with a copy gone`)
})

every('four members at N = 2: two attempts and any restarts leave two copies', () => {
  const scope = { members: 4, replicas: 2, attempts: 2, fetches: 0, forgetful: true, statesMax: STATES_MAX }
  const { states, lost, letGo } = explore(scope)
  assert.equal(lost, undefined)
  assert.ok(states > 40_000 && letGo > 1_000, `${states} states, ${letGo} of them with a copy gone`)
})

every('with all old mail carried along, what was long on its way counts for nothing', () => {
  const scope = { attempts: 2, restarts: 1, fetches: 0, forgetful: false, statesMax: STATES_MAX }
  for (const size of [
    { members: 2, replicas: 1, attempts: 3 },
    { members: 3, replicas: 2 }
  ]) {
    const { lost, letGo } = explore({ ...scope, ...size })
    assert.equal(lost, undefined)
    assert.ok(letGo > 500, `${letGo} states with a copy gone`)
  }
})

const BUGS: readonly Bug[] = ['numbers-repeat', 'promise-in-attempt', 'promise-for-any-attempt', 'leases']
for (const bug of BUGS) {
  every(`a planted bug is found: ${bug}`, () => {
    const scope = { members: 2, replicas: 1, attempts: 3, restarts: 1, fetches: 0, statesMax: STATES_MAX }
    const { lost } = explore({ ...scope, forgetful: false, bug })
    assert.is(lost?.filter((step) => step.endsWith('DELETES')).length, 2, 'both copies are let go of')
  })
}

every.run()

const asks = suite('openAttempt')

asks('all are asked about what each may promise, under a number of its own', () => {
  const state = releases()
  const messages = sent(openAttempt(state, [{ copy: copy(1), others: [peer(0), ...others] }], 0))
  assert.equal(
    messages.map(({ to }) => to),
    others
  )
  assert.ok(messages.every(({ message }) => message.life === lifeOf(1) && message.attempt === 1))
  const again = sent(openAttempt(state, [{ copy: copy(2), others }], 0))
  assert.is(again[0]?.message.attempt, 2)
})

asks('a copy that is in an attempt, or has too few others, is passed over', () => {
  const state = releases()
  openAttempt(state, [{ copy: copy(1), others }], 0)
  const few = [peer(0), peer(1), peer(1)]
  const asking = [
    { copy: copy(1), others },
    { copy: copy(2), others: few }
  ]
  assert.equal(openAttempt(state, asking, 0), [])
  assert.equal([...state.copies.keys()], [keyIn(1)])
  assert.is(state.attempts.size, 1)
})

asks('many claims are cut into messages that fit', () => {
  const claims = Array.from({ length: LIMITS.releaseClaims }, (_, i) => {
    return { claimant: i.toString(16).padStart(66, '0'), sequence: 2 ** 50, live: true }
  })
  const asking = Array.from({ length: 4 }, (_, i) => ({
    copy: copy(i, { claims }),
    others: others.slice(0, 2)
  }))
  const messages = sent(openAttempt(releases(), asking, 0)).map(({ message }) => message)
  assert.is(messages.length, 8)
  for (const message of messages) assert.ok(encodeMessage(message).length < MESSAGE_BYTES_MAX)
})

asks.run()

const promises = suite('onPromise')

promises('with N promises of those asked the copy goes, once', () => {
  const state = releases()
  openAttempt(state, [{ copy: copy(1), others }], 0)
  assert.equal(onPromise(state, peer(1), promise(1, [keyIn(1)])), [])
  assert.equal(onPromise(state, peer(1), promise(1, [keyIn(1)])), [], 'twice the same is one')
  assert.equal(onPromise(state, peer(7), promise(1, [keyIn(1)])), [], 'nobody asked it')
  assert.is(isGoing(state, keyIn(1)), false)
  assert.equal(gone(onPromise(state, peer(3), promise(1, [keyIn(1)]))), [keyIn(1)])
  assert.is(isGoing(state, keyIn(1)), true)
  assert.equal(onPromise(state, peer(2), promise(1, [keyIn(1)])), [])
})

promises('of another attempt, or another run, they count for nothing', () => {
  const state = releases()
  openAttempt(state, [{ copy: copy(1), others }], 0)
  cancel(state, keyIn(1))
  openAttempt(state, [{ copy: copy(1), others }], 0)
  for (const from of others) {
    assert.equal(onPromise(state, from, promise(1, [keyIn(1)])), [])
    assert.equal(onPromise(state, from, promise(2, [keyIn(1)], 2)), [])
  }
})

promises('a member that died takes its promise with it', () => {
  const state = releases()
  openAttempt(state, [{ copy: copy(1), others }], 0)
  onPromise(state, peer(1), promise(1, [keyIn(1)]))
  releasesForget(state, peer(1))
  assert.equal(onPromise(state, peer(2), promise(1, [keyIn(1)])), [])
  assert.equal(gone(onPromise(state, peer(3), promise(1, [keyIn(1)]))), [keyIn(1)])
})

promises('an attempt ends in time, but not for what is being deleted', () => {
  const state = releases()
  openAttempt(
    state,
    [1, 2].map((n) => ({ copy: copy(n), others })),
    0
  )
  for (const from of others) onPromise(state, from, promise(1, [keyIn(1)]))
  assert.is(attemptsDeadline(state), CONFIG.releaseTimeoutMs)
  assert.is(expireAttempts(state, CONFIG.releaseTimeoutMs).length, 1)
  assert.is(attemptsDeadline(state), Number.POSITIVE_INFINITY)
  assert.equal([...state.copies.keys()], [keyIn(1)])
  cancel(state, keyIn(1))
  assert.is(isGoing(state, keyIn(1)), true, 'nothing calls it back')
  onGone(state, [keyIn(1)])
  assert.is(state.copies.size + state.attempts.size, 0)
})

promises.run()

const asked = suite('onRelease')

asked('what is here, read, and under all claims of the request is promised', () => {
  const state = releases()
  const [verify] = onRelease(state, peer(5), request([copy(1), copy(2), copy(3)]), () => false)
  assert.ok(verify?.type === 'verify-copies')
  const more = { claims: [CLAIM, { ...CLAIM, claimant: 'bb'.repeat(33) }] }
  const lacking = { claims: [{ ...CLAIM, sequence: 1 }] }
  const known = holding(copy(1, more), copy(2, lacking))
  const { actions, unpromised } = onVerified(state, { token: verify.token, known })
  assert.equal(actions, [{ type: 'send', to: peer(5), message: promise(9, [keyIn(1)], 4) }])
  assert.equal(
    [unpromised?.lacking, unpromised?.absent].map((copies) => copies?.map(({ key }) => key)),
    [[keyIn(2)], [keyIn(3)]]
  )
  assert.is(state.checks.size, 0)
})

asked('one that wants more copies than the asker knows of promises nothing', () => {
  const state = releases()
  const [verify] = onRelease(state, peer(5), request([copy(1)]), () => false)
  assert.ok(verify?.type === 'verify-copies')
  const known = holding(copy(1, { replicas: 3 }))
  const { actions, unpromised } = onVerified(state, { token: verify.token, known })
  assert.equal(actions, [])
  assert.is(unpromised?.more.length, 1, 'it tells the asker')
})

asked('of what nobody claims here any more, held or collected, nothing is promised', () => {
  for (const held of [true, false]) {
    const state = releases()
    const [verify] = onRelease(state, peer(5), request([copy(1)]), () => false)
    assert.ok(verify?.type === 'verify-copies')
    const claims = [{ ...CLAIM, sequence: 3, live: false }]
    const known = new Map([[keyIn(1), { held, replicas: 2, claims }]])
    const { actions, unpromised } = onVerified(state, { token: verify.token, known })
    assert.equal([actions, unpromised?.more], [[], [{ key: keyIn(1), claims }]])
  }
})

asked('in an attempt of its own it says nothing, unless it gives way', () => {
  const state = releases()
  openAttempt(state, [{ copy: copy(1), others }], 0)
  assert.equal(
    onRelease(state, peer(1), request([copy(1)]), () => false),
    []
  )
  assert.equal(
    onRelease(state, peer(7), request([copy(1)]), () => true),
    [],
    'it did not ask that one'
  )
  const [verify] = onRelease(state, peer(1), request([copy(1)]), () => true)
  assert.is(verify?.type, 'verify-copies')
  assert.is(state.copies.size, 0)
})

asked('an attempt or a loss that comes before the reading is told voids it', () => {
  const state = releases()
  const [verify] = onRelease(state, peer(5), request([copy(1), copy(2)]), () => false)
  assert.ok(verify?.type === 'verify-copies')
  openAttempt(state, [{ copy: copy(1), others }], 0)
  unverify(state, keyIn(2))
  const { actions } = onVerified(state, { token: verify.token, known: holding(copy(1), copy(2)) })
  assert.equal(actions, [])
})

asked('so many readings for one, and so many for all', () => {
  const state = releases()
  const count = (from: number) => onRelease(state, peer(from), request([copy(1)]), () => false).length
  for (let i = 0; i < 100; i++) count(1)
  assert.is(state.checks.size, LIMITS.releaseChecksPerMember)
  for (let i = 0; i < 100; i++) count(2 + i)
  assert.is(state.checks.size, LIMITS.releaseChecks)
})

asked.run()

const unchanged = suite('isUnchanged')

unchanged('exactly the same registers, in any order', () => {
  const two = [CLAIM, { ...CLAIM, claimant: 'bb'.repeat(33) }]
  assert.ok(isUnchanged(two, [...two].reverse()))
  assert.not(isUnchanged(two, [CLAIM]))
  assert.not(isUnchanged([CLAIM], two))
  assert.not(isUnchanged([CLAIM], [{ ...CLAIM, sequence: 3 }]))
  assert.not(isUnchanged([CLAIM], [{ ...CLAIM, live: false }]))
  assert.not(isUnchanged([{ ...CLAIM, live: false }], [CLAIM]))
})

unchanged.run()
