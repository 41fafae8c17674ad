import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BlockKey, PeerId } from '../src/block.ts'
import { placeOf } from '../src/compare.ts'
import {
  askDoomed,
  createDoomings,
  type DoomedAction,
  type DoomedMessage,
  type Doomings,
  doomedDeadline,
  doomedListFailed,
  doomedTick,
  onDoomedListed,
  onDoomedMessage
} from '../src/doomed.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import { encodeMessage, MESSAGE_BYTES_MAX } from '../src/wire.ts'
import { keyIn, peer } from './support/data.ts'

const WITHOUT = [peer(5)]
const listed = (key: BlockKey, replicas = 3) => ({ key, size: 10, claims: '00', replicas })
const askOf = (of: PeerId, from = 0) => ({ request: 7, of, without: WITHOUT, from })

/** Lists each place's slot: as many keys as given, and one of another N. */
function listFor(state: Doomings, actions: readonly DoomedAction[], count: (slot: number) => number) {
  const [list] = actions
  assert.ok(list?.type === 'list-slots' && list.token < 0, 'apart from the tokens of comparing')
  const lists = list.slots.map(({ slot }) => {
    const keys = Array.from({ length: count(slot) }, (_, i) => listed(keyIn(slot, i)))
    return [...keys, listed(keyIn(slot, 9_999), 2)]
  })
  return onDoomedListed(state, { token: list.token, lists })
}

const placesTo = (count: number) => Array.from({ length: count }, (_, slot) => placeOf({ slot, replicas: 3 }))

const doomed = suite('doomed')

doomed('what a member tells would be lost is told by key, of its N only', () => {
  const [one, two] = [createDoomings(peer(1)), createDoomings(peer(2))]
  const [sent] = askDoomed(one, askOf(peer(2)), () => [], 0)
  assert.ok(sent?.type === 'send' && sent.message.type === 'ask-doomed')
  const told = onDoomedMessage(two, peer(1), sent.message, (without) => {
    assert.equal(without, WITHOUT)
    return placesTo(3)
  })
  const [answer] = listFor(two, told, () => 1)
  assert.ok(answer?.type === 'send' && answer.to === peer(1))
  const keys = [0, 1, 2].map((slot) => ({ key: keyIn(slot, 0), size: 10, replicas: 3 }))
  assert.equal(
    onDoomedMessage(one, peer(2), answer.message as never, () => []),
    [{ type: 'doomed', request: 7, keys, next: undefined }]
  )
  assert.equal(
    onDoomedMessage(one, peer(2), answer.message as never, () => []),
    [],
    'once'
  )
})

doomed('pages go on where the last one ended, and fit a message', () => {
  const own = createDoomings(peer(1))
  const places = placesTo(700)
  const seen: BlockKey[] = []
  for (let from: number | undefined = 0; from !== undefined; ) {
    const [page] = listFor(
      own,
      askDoomed(own, askOf(peer(1), from), () => places, 0),
      () => 3
    )
    assert.ok(page?.type === 'doomed' && page.keys !== undefined)
    assert.ok(page.keys.length <= DATA_LIMITS.inquiryKeys)
    const rest = { token: 1, more: true, next: 9 }
    const message: DoomedMessage = { type: 'tell-doomed', keys: [...page.keys], ...rest }
    assert.ok(encodeMessage(message).length < MESSAGE_BYTES_MAX)
    seen.push(...page.keys.map(({ key }) => key))
    from = page.next
  }
  assert.equal([seen.length, new Set(seen).size], [2_100, 2_100])
})

doomed('of a slot with more keys than a page has, a page is told', () => {
  const own = createDoomings(peer(1))
  const [page] = listFor(
    own,
    askDoomed(own, askOf(peer(1)), () => placesTo(2), 0),
    (slot) => (slot === 0 ? 600 : 1)
  )
  assert.ok(page?.type === 'doomed')
  assert.equal([page.keys?.length, page.next], [DATA_LIMITS.inquiryKeys, placesTo(2)[1]])
})

doomed('a page that goes on where it began, or before, is the last', () => {
  for (const [next, expected] of [
    [6, 6],
    [5, undefined],
    [0, undefined]
  ]) {
    const one = createDoomings(peer(1))
    const [sent] = askDoomed(one, askOf(peer(2), 5), () => [], 0)
    assert.ok(sent?.type === 'send')
    const { token } = sent.message
    const told: DoomedMessage = { type: 'tell-doomed', token, keys: [], more: true, next: next as number }
    assert.equal(
      onDoomedMessage(one, peer(2), told, () => []),
      [{ type: 'doomed', request: 7, keys: [], next: expected }]
    )
  }
})

doomed('with nothing to tell the store is not asked', () => {
  const own = createDoomings(peer(1))
  assert.equal(
    askDoomed(own, askOf(peer(1)), () => [], 0),
    [{ type: 'doomed', request: 7, keys: [], next: undefined }]
  )
})

doomed('silence, another one’s answer and a list that failed tell nothing', () => {
  const [one, two] = [createDoomings(peer(1)), createDoomings(peer(2))]
  const [sent] = askDoomed(one, askOf(peer(2)), () => [], 0)
  assert.ok(sent?.type === 'send' && sent.message.type === 'ask-doomed')
  const { token } = sent.message
  const answer = { type: 'tell-doomed', token, keys: [], more: false, next: 0 } as const
  assert.equal(
    onDoomedMessage(one, peer(3), { ...answer, keys: [] }, () => []),
    []
  )
  const [list] = onDoomedMessage(two, peer(1), sent.message, () => placesTo(1))
  assert.ok(list?.type === 'list-slots')
  doomedListFailed(two, list.token)
  assert.equal(onDoomedListed(two, { token: list.token, lists: [[listed(keyIn(0))]] }), [])
  const dueMs = doomedDeadline(one)
  assert.equal(doomedTick(one, dueMs - 1), [])
  assert.equal(doomedTick(one, dueMs), [{ type: 'doomed', request: 7, keys: undefined, next: undefined }])
  assert.is(doomedDeadline(one), Number.POSITIVE_INFINITY)
})

doomed('questions beyond the limit cost nothing', () => {
  const state = createDoomings(peer(1))
  for (let i = 0; i < 64; i++) askDoomed(state, askOf(peer(2)), () => [], 0)
  const [end] = askDoomed(state, askOf(peer(2)), () => [], 0)
  assert.ok(end?.type === 'doomed' && end.keys === undefined)
  const ask = { type: 'ask-doomed', token: 1, without: [], from: 0 } as const
  const listing = Array.from({ length: 100 }, () =>
    onDoomedMessage(state, peer(3), { ...ask, without: [] }, () => placesTo(1))
  )
  assert.is(listing.filter(({ length }) => length > 0).length, 64)
})

doomed.run()
