import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BlockKey } from '../src/block.ts'
import type { MessageOf } from '../src/compare.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import {
  askListings,
  createListings,
  forgetListings,
  listingDeadline,
  onListed,
  onListFailed,
  onListing,
  onLookedUp,
  queueList,
  serveList
} from '../src/listing.ts'
import { createHeld, createPeer } from '../src/shared.ts'
import { keyIn, peer } from './support/data.ts'

const PLACE = 3 * 65_536 + 9
const PRINT = 'ab'.repeat(16)
const CLAIMS = '00'.repeat(8)

const entry = (i: number, slot = 9) => ({ key: keyIn(slot, i), size: 1, claims: CLAIMS })

function page(said: Partial<MessageOf<'listing'>> = {}): MessageOf<'listing'> {
  const none = { after: undefined, next: undefined, entries: [entry(1), entry(2)] }
  return { type: 'listing', slot: 9, replicas: 3, fingerprint: PRINT, ...none, ...said }
}

/** One that has asked for the first page of slot 9. */
function asking(offered = false) {
  const listings = createListings()
  const other = createPeer(peer(1))
  queueList(other, PLACE, offered)
  askListings(listings, other, true, 0)
  const peerOf = () => other
  return {
    ...{ listings, other },
    hear: (said: MessageOf<'listing'>, nowMs = 0) => onListing(listings, other, said, nowMs),
    lookedUp: (found: [BlockKey, string][], nowMs = 0) => {
      const [token] = listings.lookups.keys()
      const known = new Map(found.map(([key, claims]) => [key, { claims }]))
      return onLookedUp(listings, peerOf, { token: token ?? -1, found: known }, nowMs)
    }
  }
}

const listing = suite('listing')

listing('what is not here, or here under other claims, is missing', () => {
  const one = asking()
  one.hear(page({ entries: [entry(1), entry(2), entry(3)] }))
  const [missing] = one.lookedUp([
    [keyIn(9, 1), CLAIMS],
    [keyIn(9, 3), 'ff'.repeat(8)]
  ])
  assert.ok(missing?.type === 'missing')
  assert.equal(
    missing.entries.map(({ key }) => key),
    [keyIn(9, 2), keyIn(9, 3)]
  )
  assert.is(one.other.listing.size, 0)
})

listing('pages follow one another, each asked for once', () => {
  const one = asking()
  assert.is(one.hear(page({ next: keyIn(9, 2) })).length, 1)
  assert.equal(one.hear(page({ next: keyIn(9, 2) })), [], 'the same page again')
  const [, next] = one.lookedUp([])
  assert.ok(next?.type === 'send' && next.message.type === 'list' && next.message.after === keyIn(9, 2))
  assert.equal(one.hear(page()), [], 'the first page again')
  assert.is(one.hear(page({ after: keyIn(9, 2), entries: [entry(3)] })).length, 1)
  one.lookedUp([])
  assert.is(one.other.listing.size, 0)
})

listing('a page out of order, of another slot, or that leads nowhere is passed over', () => {
  const bad = [
    page({ entries: [entry(2), entry(1)] }),
    page({ entries: [entry(1), entry(1)] }),
    page({ entries: [entry(1, 10)] }),
    page({ next: keyIn(9, 1) }),
    page({ next: keyIn(10, 9) }),
    page({ replicas: 2 }),
    page({ after: keyIn(9, 0) })
  ]
  for (const [i, said] of bad.entries()) assert.equal(asking().hear(said), [], `page ${i}`)
})

listing('a listing ends: so many pages and no more', () => {
  const one = asking()
  let after: BlockKey | undefined
  let pages = 0
  for (; one.other.listing.size > 0; pages++) {
    const next = keyIn(9, pages + 1)
    assert.is(one.hear(page({ after, next, entries: [] })).length, 1)
    one.lookedUp([])
    after = next
    assert.ok(pages <= DATA_LIMITS.pagesPerListing)
  }
  assert.is(pages, DATA_LIMITS.pagesPerListing)
  assert.is(one.other.covered.size, 0, 'and what was cut off is not covered')
})

listing('"settled" only when all pages were of one fingerprint and nothing was missing', () => {
  const all: [BlockKey, string][] = [1, 2, 3].map((i) => [keyIn(9, i), CLAIMS])
  const good = asking(true)
  good.hear(page())
  const [settled] = good.lookedUp(all)
  assert.ok(settled?.type === 'send' && settled.message.type === 'settled')
  assert.is(good.other.covered.get(PLACE), PRINT)
  const lacking = asking(true)
  lacking.hear(page())
  assert.not.ok(lacking.lookedUp(all.slice(1)).some(({ type }) => type === 'send'))
  const mixed = asking(true)
  mixed.hear(page({ next: keyIn(9, 2) }))
  mixed.lookedUp(all)
  mixed.hear(page({ after: keyIn(9, 2), entries: [entry(3)], fingerprint: 'cd'.repeat(16) }))
  assert.equal(mixed.lookedUp(all), [])
  assert.is(mixed.other.covered.size, 0)
})

listing('an offer that comes while the slot is being listed is answered too', () => {
  const one = asking(false)
  assert.not.ok(queueList(one.other, PLACE, true))
  one.hear(page())
  const answers = one.lookedUp([1, 2].map((i) => [keyIn(9, i), CLAIMS]))
  assert.ok(answers.some((action) => action.type === 'send' && action.message.type === 'settled'))
})

listing('a page that never comes is given up, and its look-up with it', () => {
  const one = asking()
  one.hear(page(), 100)
  assert.is(listingDeadline(one.other), 5_100)
  askListings(one.listings, one.other, true, 5_100)
  assert.equal([one.other.listing.size, one.listings.lookups.size], [0, 0])
  assert.is(listingDeadline(one.other), Number.POSITIVE_INFINITY)
  assert.equal(one.lookedUp([]), [], 'a late answer of the store means nothing')
})

listing('a member that dies leaves no look-up behind', () => {
  const one = asking()
  one.hear(page())
  forgetListings(one.listings, one.other)
  assert.is(one.listings.lookups.size, 0)
})

listing('so many slots of a member at a time, none while repair has no room, and a bounded queue', () => {
  const listings = createListings()
  const other = createPeer(peer(1))
  for (let slot = 0; slot < 2 * DATA_LIMITS.listQueue; slot++) queueList(other, 3 * 65_536 + slot, false)
  assert.is(other.toList.size, DATA_LIMITS.listQueue)
  assert.equal(askListings(listings, other, false, 0), [])
  assert.is(askListings(listings, other, true, 0).length, DATA_LIMITS.listsPerMember)
  assert.equal(askListings(listings, other, true, 0), [])
})

listing('pages for others are bounded, for all and for each', () => {
  const listings = createListings()
  const held = createHeld()
  const ask = (n: number) =>
    serveList(listings, held, peer(n), { type: 'list', slot: 1, replicas: 3, after: undefined })
  for (let i = 0; i < 100; i++) ask(1)
  assert.is(listings.pages.size, DATA_LIMITS.pagesPerMember)
  assert.is(ask(2).length, 1, 'one member does not use up the others')
  for (let n = 3; n < 100; n++) for (let i = 0; i < 100; i++) ask(n)
  assert.is(listings.pages.size, DATA_LIMITS.pagesServed)
  for (const token of [...listings.pages.keys()]) onListFailed(listings, token)
  assert.is(listings.pages.size, 0)
})

listing('a page has the blocks of its N, and the key to go on from whatever its N', () => {
  const listings = createListings()
  const held = createHeld()
  const value = { slot: 9, replicas: 3, fingerprint: PRINT, blocks: 300, bytes: 300 }
  held.mine.set(PLACE, value)
  serveList(listings, held, peer(1), { type: 'list', slot: 9, replicas: 3, after: undefined })
  held.mine.set(PLACE, { ...value, fingerprint: 'cd'.repeat(16) })
  const entries = Array.from({ length: DATA_LIMITS.pageKeys }, (_, i) => ({
    ...entry(i),
    replicas: 2 + (i % 2)
  }))
  const [sent] = onListed(listings, held, { token: 1, entries })
  assert.ok(sent?.type === 'send' && sent.message.type === 'listing')
  assert.is(sent.message.entries.length, DATA_LIMITS.pageKeys / 2)
  assert.is(sent.message.next, entries.at(-1)?.key)
  assert.is(sent.message.fingerprint, PRINT, 'of when it was begun: what came since may not be in it')
})

listing('a store that lists nothing where there is something is not believed', () => {
  const listings = createListings()
  const held = createHeld()
  held.mine.set(PLACE, { slot: 9, replicas: 3, fingerprint: PRINT, blocks: 1, bytes: 1 })
  serveList(listings, held, peer(1), { type: 'list', slot: 9, replicas: 3, after: undefined })
  assert.equal(onListed(listings, held, { token: 1, entries: [] }), [])
  assert.equal(onListed(listings, held, { token: 1, entries: [] }), [], 'nor a token that is not under way')
})

listing.run()
