import type { Message, PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { roundTrips } from '../src/round-trips.ts'

const trips = suite('roundTrips')

const [a, b] = ['12D3KooWa', '12D3KooWb'] as PeerId[] as [PeerId, PeerId]
const digest = { count: 0, hash: 0 } as unknown as Extract<Message, { type: 'ping' }>['digest']
const ping = (seq: number): Message => ({ type: 'ping', seq, digest, rumours: [] })
const ack = (seq: number): Message => ({ type: 'ack', seq, digest, rumours: [] })

trips('the last answered probe of each member counts, by its own number and from it alone', () => {
  const { sent, heard, lastMs } = roundTrips()
  sent(a, ping(1), 100)
  heard(b, ack(1), 105)
  heard(a, ack(2), 106)
  assert.equal([lastMs(a), lastMs(b)], [undefined, undefined])
  heard(a, ack(1), 107)
  heard(a, ack(1), 500)
  assert.is(lastMs(a), 7)
  sent(a, ping(3), 1_000)
  sent(a, ping(4), 2_000)
  heard(a, ack(3), 2_001)
  assert.is(lastMs(a), 7, 'an answer that came too late is none')
  heard(a, ack(4), 2_003)
  assert.is(lastMs(a), 3)
})

trips.run()
