import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createTickets, TICKET_MS, TICKETS_A_PEER_MAX, TICKETS_MAX } from '../src/ticket.ts'

const peer = (name: string) => name as PeerId

const ticket = suite('ticket')

ticket('is good once, and for whom it was given to', () => {
  const tickets = createTickets()
  const one = tickets.issue(peer('a'), 0)
  const two = tickets.issue(peer('b'), 0)
  assert.equal(tickets.redeem(one?.identity as string, 1), { peer: 'a', key: one?.key })
  assert.is(tickets.redeem(one?.identity as string, 1), undefined)
  assert.equal(tickets.redeem(two?.identity as string, 1), { peer: 'b', key: two?.key })
  assert.is(tickets.redeem('00'.repeat(16), 1), undefined)
})

ticket('is good until it expires', () => {
  const tickets = createTickets()
  const early = tickets.issue(peer('a'), 0)
  const late = tickets.issue(peer('a'), 1)
  assert.is(tickets.redeem(early?.identity as string, TICKET_MS), undefined)
  assert.is(tickets.redeem(late?.identity as string, TICKET_MS)?.peer, 'a')
})

ticket('one peer gets a few at once, all together a bounded number, and room comes back', () => {
  const tickets = createTickets()
  const given = Array.from({ length: TICKETS_A_PEER_MAX + 1 }, () => tickets.issue(peer('a'), 0))
  assert.is(given.filter((one) => one !== undefined).length, TICKETS_A_PEER_MAX)
  tickets.redeem(given[0]?.identity as string, 1)
  assert.ok(tickets.issue(peer('a'), 2))
  for (let i = 0; i < 2 * TICKETS_MAX; i++) tickets.issue(peer(`other ${i}`), 3)
  assert.is(tickets.count(), TICKETS_MAX)
  assert.is(tickets.issue(peer('b'), 4), undefined)
  assert.ok(tickets.issue(peer('b'), TICKET_MS + 3), 'once the others expired')
})

ticket('no two keys or names are alike', () => {
  const tickets = createTickets()
  const given = Array.from({ length: 50 }, (_, i) => tickets.issue(peer(`${i}`), 0))
  assert.is(new Set(given.map((one) => one?.identity)).size, 50)
  assert.is(new Set(given.map((one) => Buffer.from(one?.key ?? []).toString('hex'))).size, 50)
  assert.is(given[0]?.key.length, 32)
})

ticket.run()
