import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type PeerId, slotOf } from '../src/block.ts'
import type { Register } from '../src/claim.ts'
import { createClaiming } from '../src/claiming.ts'
import {
  type CollectAction,
  type Collecting,
  type CollectMessage,
  collectDeadline,
  collectTick,
  createCollecting,
  hurry,
  onCollected,
  onCollectMessage,
  onEnded,
  onQuestionKnown,
  spare
} from '../src/collect.ts'
import { actingHolders } from '../src/holders.ts'
import { DATA_LIMITS as LIMITS } from '../src/limits.ts'
import type { Copy } from '../src/release.ts'
import { encodeMessage, MESSAGE_BYTES_MAX } from '../src/wire.ts'
import { CONFIG, holdersOf, keyIn, peer, sha256 } from './support/data.ts'

const N = 3
const LIFE = '01'.repeat(8)
const ENDED: Register = { claimant: 'aa'.repeat(33), sequence: 2, live: false }
const LIVE: Register = { ...ENDED, claimant: 'bb'.repeat(33), live: true }
const { collectGraceMs, collectIntervalMs, collectTimeoutMs, collectedTellMs } = CONFIG
const HOLDERS = holdersOf(4)

/** The slot's holders, and one who is none. */
const acting = (slot: number) => actingHolders(HOLDERS, slot, N)
const slotOfMine = Array.from({ length: 100 }, (_, slot) => slot).find((slot) =>
  acting(slot).includes(peer(0))
) as number
const slotOfOthers = Array.from({ length: 100 }, (_, slot) => slot).find(
  (slot) => !acting(slot).includes(peer(0))
) as number

const copy = (key = keyIn(slotOfMine), claims: readonly Register[] = [ENDED]): Copy => ({
  key,
  replicas: N,
  claims
})
const listing = (actions: readonly CollectAction[], collected = false) =>
  actions.find((action) => action.type === 'list-ended' && action.collected === collected) as
    | (CollectAction & { type: 'list-ended' })
    | undefined
const questions = (actions: readonly CollectAction[]) =>
  actions.flatMap((action) => (action.type === 'send' && action.message.type === 'ended' ? [action] : []))
const collected = (actions: readonly CollectAction[]) =>
  actions.flatMap((action) => (action.type === 'collect' ? action.copies.map(({ key }) => key) : []))

/** Ticks on time until then, with these blocks on disk all along. */
function runTo(state: Collecting, copies: readonly Copy[], untilMs: number, fromMs = 0): CollectAction[] {
  const actions: CollectAction[] = []
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += collectIntervalMs) {
    const some = collectTick(state, HOLDERS, nowMs)
    actions.push(...some)
    for (const list of some.filter((action) => action.type === 'list-ended')) {
      const found = { token: list.token, copies: list.collected ? [] : copies, next: undefined }
      actions.push(...onEnded(state, HOLDERS, found, nowMs))
    }
  }
  return actions
}

/** Asked about a block of which we know these claims. */
function answers(known: readonly Register[] | undefined, asked: readonly Register[], isHolder = true) {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const claiming = createClaiming()
  const copies = [{ ...copy(), claims: [...asked] }]
  const [look] = onCollectMessage(state, peer(1), { type: 'ended', life: LIFE, round: 3, copies })
  assert.ok(look?.type === 'know-claims')
  const found = new Map(known === undefined ? [] : [[copy().key, { held: true, replicas: N, claims: known }]])
  const at = { sha256, isHolder: () => isHolder }
  const said = onQuestionKnown(state, claiming, { token: look.token, known: found }, at)
  const types = said.map((action) => action.type === 'send' && action.message.type)
  return { types, asks: [...claiming.waiting.keys()] }
}

const agree = (round: number, life = LIFE): CollectMessage => ({
  type: 'ended-too',
  life,
  round,
  keys: [copy().key]
})

const collect = suite('collecting')

collect('what has ended is asked about after its grace, and goes when a majority says the same', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  assert.equal(questions(runTo(state, [copy()], collectGraceMs - collectIntervalMs)), [])
  const asked = questions(runTo(state, [copy()], collectGraceMs + 2 * collectIntervalMs, collectGraceMs))
  assert.equal(
    asked.map(({ to }) => to),
    acting(slotOfMine).filter((id) => id !== peer(0))
  )
  const [first] = asked
  assert.equal(onCollectMessage(state, peer(9), agree(1)), [], 'nobody asked it')
  assert.equal(onCollectMessage(state, first?.to ?? peer(9), agree(2)), [], 'of another round')
  assert.equal(onCollectMessage(state, first?.to ?? peer(9), agree(1, '02'.repeat(8))), [], 'of another run')
  assert.equal(collected(onCollectMessage(state, first?.to ?? peer(9), agree(1))), [copy().key])
  onCollected(state, [copy().key])
  assert.is(state.asked.size + state.known.size, 0)
})

collect('who is no holder needs a majority of those that are', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const one = copy(keyIn(slotOfOthers))
  runTo(state, [one], collectGraceMs + 2 * collectIntervalMs)
  const said: CollectMessage = { type: 'ended-too', life: LIFE, round: 1, keys: [one.key] }
  const [a, b] = acting(slotOfOthers)
  assert.equal(onCollectMessage(state, a ?? peer(9), said), [])
  assert.equal(onCollectMessage(state, a ?? peer(9), said), [], 'twice the same is one')
  assert.equal(collected(onCollectMessage(state, b ?? peer(9), said)), [one.key])
})

collect('a claim that comes during the grace begins it anew, or ends it', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  runTo(state, [copy()], collectGraceMs - 2 * collectIntervalMs)
  const other = copy(copy().key, [ENDED, { ...LIVE, live: false }])
  assert.equal(
    questions(
      runTo(state, [other], collectGraceMs + 2 * collectIntervalMs, collectGraceMs - collectIntervalMs)
    ),
    []
  )
  runTo(state, [], collectGraceMs + 4 * collectIntervalMs, collectGraceMs + 3 * collectIntervalMs)
  assert.is(state.known.size, 0)
})

collect('what is put meanwhile is spared, but not what is being deleted', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const [first] = questions(runTo(state, [copy()], collectGraceMs + 2 * collectIntervalMs))
  spare(state, copy().key)
  assert.equal(onCollectMessage(state, first?.to ?? peer(9), agree(1)), [])
})

collect('a round that is not answered is over, and another begins', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const startMs = collectGraceMs + collectIntervalMs
  runTo(state, [copy()], startMs)
  assert.is(state.asked.size, 1)
  assert.ok(collectDeadline(state) <= startMs + collectTimeoutMs)
  const again = questions(runTo(state, [copy()], startMs + 2 * collectTimeoutMs, startMs + collectTimeoutMs))
  assert.ok(again.some(({ message }) => message.type === 'ended' && message.round > 1))
})

collect('a person in a hurry gives no grace', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  hurry(state)
  assert.ok(questions(runTo(state, [copy()], 2 * collectIntervalMs)).length > 0)
  runTo(state, [], 10 * collectIntervalMs, 3 * collectIntervalMs)
  const later = copy(keyIn(slotOfMine, 1))
  assert.equal(questions(runTo(state, [later], 20 * collectIntervalMs, 11 * collectIntervalMs)), [])
})

collect(
  'of what holders have alike each says so; what one lacks is asked for, what one has more is told',
  () => {
    assert.equal(answers([ENDED], [ENDED]), { types: ['ended-too'], asks: [] })
    assert.equal(answers([ENDED, LIVE], [ENDED]), { types: ['more-claims'], asks: [] })
    assert.equal(answers([{ ...ENDED, sequence: 1, live: true }], [ENDED]), { types: [], asks: [peer(1)] })
    assert.equal(answers([LIVE], [ENDED]), { types: ['more-claims'], asks: [peer(1)] })
  }
)

collect('no claims are no evidence: a holder that knows none takes those that ended first', () => {
  assert.equal(answers(undefined, [ENDED]), { types: [], asks: [peer(1)] })
  assert.equal(answers(undefined, [ENDED], false), { types: [], asks: [] })
})

const many = (count: number): Register[] =>
  Array.from({ length: count }, (_, i) => {
    return { ...ENDED, claimant: i.toString(16).padStart(66, '0'), sequence: 2 ** 50 }
  })

collect('a block that as many have claimed as a store takes is asked about and collected too', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const copies = [copy(keyIn(slotOfMine), many(LIMITS.releaseClaims)), copy(keyIn(slotOfMine, 1), many(200))]
  const asked = questions(runTo(state, copies, collectGraceMs + 2 * collectIntervalMs))
  const others = acting(slotOfMine).filter((id) => id !== peer(0))
  for (const to of others) {
    const messages = asked.filter((one) => one.to === to).map(({ message }) => message)
    assert.is(messages.length, 2, 'they do not fit one message')
    for (const message of messages) assert.ok(encodeMessage(message).length < MESSAGE_BYTES_MAX)
  }
  const { round } = state
  const keys = copies.map(({ key }) => key)
  const agreed = onCollectMessage(state, others[0] as PeerId, { type: 'ended-too', life: LIFE, round, keys })
  assert.equal(collected(agreed), keys)
})

collect('what was collected is told to the holders, again when they change, and in messages that fit', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const claims = many(32)
  const copies = Array.from({ length: 70 }, (_, i) => copy(keyIn(slotOfOthers, i), claims))
  const list = listing(collectTick(state, HOLDERS, collectIntervalMs), true)
  assert.ok(list !== undefined)
  const told = questions(onEnded(state, HOLDERS, { token: list.token, copies, next: undefined }, 0))
  assert.equal([...new Set(told.map(({ to }) => to))], [...acting(slotOf(keyIn(slotOfOthers)))])
  for (const { message } of told) assert.ok(encodeMessage(message).length < MESSAGE_BYTES_MAX)
  const atRest = runTo(state, [], collectedTellMs - 2 * collectIntervalMs, collectIntervalMs)
  assert.is(listing(atRest, true), undefined)
  HOLDERS.version++
  assert.ok(listing(runTo(state, [], collectedTellMs, collectedTellMs - collectIntervalMs), true))
})

collect('so many questions for one, and so many for all', () => {
  const state = createCollecting(peer(0), LIFE, CONFIG)
  const copies = [{ ...copy(), claims: [ENDED] }]
  const ask = (from: number) =>
    onCollectMessage(state, peer(from), { type: 'ended', life: LIFE, round: 1, copies })
  for (let i = 0; i < 100; i++) ask(1)
  assert.is(state.questions.size, LIMITS.releaseChecksPerMember)
  for (let i = 0; i < 100; i++) ask(2 + i)
  assert.is(state.questions.size, LIMITS.releaseChecks)
})

collect.run()
