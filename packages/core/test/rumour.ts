import { encode, type PeerId, type Rumour, rumourCodec } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GOSSIP_LIMITS } from '../src/config.ts'
import { createRumours, hush, spread, subjectOf, take, timesToTell } from '../src/rumour.ts'

const dead = (id: string): Rumour => ({ type: 'dead', id: id as PeerId, incarnation: 1 })
const accusation = (id: string, accuser: string): Rumour => ({
  type: 'suspect',
  id: id as PeerId,
  incarnation: 1,
  accuser: accuser as PeerId
})
const ids = (rumours: Rumour[]) => rumours.map(subjectOf)

const rumour = suite('rumour')

rumour('tells the least told first, each so many times', () => {
  const rumours = createRumours()
  const room = encode(rumourCodec, dead('a')).length
  spread(rumours, dead('a'))
  spread(rumours, dead('b'))
  assert.equal(ids(take(rumours, room, 2)), ['a'])
  spread(rumours, dead('c'))
  const next = Array.from({ length: 5 }, () => ids(take(rumours, room, 2))[0])
  assert.equal(next, ['b', 'c', 'a', 'b', 'c'])
  assert.equal(take(rumours, room, 2), [])
  assert.is(rumours.size, 0)
})

rumour('keeps to the bytes given, but for one that is longer than they are', () => {
  const rumours = createRumours()
  const room = encode(rumourCodec, dead('a')).length
  for (const id of ['a', 'b', 'c']) spread(rumours, dead(id))
  assert.is(take(rumours, 2 * room + 1, 9).length, 2)
  spread(rumours, dead('x'.repeat(60)))
  assert.equal(ids(take(rumours, room, 9)), ['c'])
  assert.equal(ids(take(rumours, room, 9)), ['x'.repeat(60)])
})

rumour('replaces what was told of the same, and keeps accusers apart', () => {
  const rumours = createRumours()
  spread(rumours, accusation('a', 'p'))
  spread(rumours, accusation('a', 'q'))
  spread(rumours, accusation('a', 'q'))
  assert.is(rumours.size, 2)
  hush(rumours, 'a' as PeerId, ['p', 'q'] as PeerId[])
  assert.is(rumours.size, 0)
  spread(rumours, dead('a'))
  take(rumours, 100, 9)
  spread(rumours, dead('a'))
  assert.is(rumours.size, 1)
})

rumour('forgets the most told beyond its limit', () => {
  const rumours = createRumours()
  spread(rumours, dead('told'))
  take(rumours, 1, 9)
  for (let i = 0; i < GOSSIP_LIMITS.rumours; i++) spread(rumours, dead(`n${i}`))
  assert.is(rumours.size, GOSSIP_LIMITS.rumours)
  const left = ids(take(rumours, Number.POSITIVE_INFINITY, 9))
  assert.is(left.length, GOSSIP_LIMITS.rumours)
  assert.not(left.includes('told' as PeerId))
})

rumour('is told more often in a larger network, as its logarithm', () => {
  assert.equal(
    [1, 3, 7, 1_023].map((members) => timesToTell(members, 3)),
    [3, 6, 9, 30]
  )
})

rumour.run()
