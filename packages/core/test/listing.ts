import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BlockKey } from '../src/block.ts'
import { toHex } from '../src/bytes.ts'
import type { MessageOf, Page } from '../src/compare.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import {
  askListings,
  createListings,
  forgetListings,
  keyMark,
  listingDeadline,
  onListed,
  onListFailed,
  onListing,
  onLookedUp,
  queueList,
  serveList,
  wasListed
} from '../src/listing.ts'
import { createHeld, createPeer, type Peer } from '../src/shared.ts'
import { keyIn, peer, sha256 } from './support/data.ts'

const PLACE = 3 * 65_536 + 9
const PRINT = 'ab'.repeat(16)
const CLAIMS = '00'.repeat(8)
const NOW = { mayAsk: true, nowMs: 0 }

const entry = (i: number, slot = 9) => ({ key: keyIn(slot, i), size: 1, claims: CLAIMS })

/** What a node knows, with these listings. */
function sceneOf(listings = createListings(), others: readonly Peer[] = []) {
  return { ...createHeld(), listings, peers: new Map(others.map((other) => [other.id, other])) }
}

function page(said: Partial<Page> = {}): Page {
  const none = { after: undefined, next: undefined, entries: [entry(1), entry(2)] }
  return { slot: 9, replicas: 3, fingerprint: PRINT, ...none, ...said }
}

/** One that has asked for the first page of slot 9. */
function asking(offered = false) {
  const listings = createListings()
  const other = createPeer(peer(1))
  queueList(other, { place: PLACE, blocks: 2 }, offered)
  askListings(sceneOf(listings), other, NOW)
  const peerOf = () => other
  return {
    ...{ listings, other },
    hear: (said: Page, nowMs = 0) => onListing(listings, other, { type: 'listing', pages: [said] }, nowMs),
    lookedUp: (found: [BlockKey, string][], nowMs = 0) => {
      const [token] = listings.lookups.keys()
      const known = new Map(found.map(([key, claims]) => [key, { claims }]))
      return onLookedUp(listings, peerOf, { token: token ?? -1, found: known }, nowMs)
    }
  }
}

const listing = suite('listing')

listing('what is not here is missing, and what is here under other claims differs', () => {
  const one = asking()
  one.hear(page({ entries: [entry(1), entry(2), entry(3)] }))
  const [missing, differing] = one.lookedUp([
    [keyIn(9, 1), CLAIMS],
    [keyIn(9, 3), 'ff'.repeat(8)]
  ])
  assert.ok(missing?.type === 'missing')
  assert.equal(
    missing.entries.map(({ key }) => key),
    [keyIn(9, 2)]
  )
  assert.ok(differing?.type === 'differing')
  assert.equal(differing.blocks, [{ key: keyIn(9, 3), claims: CLAIMS }])
  assert.is(one.other.listing.size, 0)
})

listing('what is being fetched is not listed again for a while, unless the peer has something else', () => {
  const one = asking()
  one.hear(page())
  one.lookedUp([], 100)
  const isListed = (fingerprint: string, nowMs: number) => wasListed(one.other, PLACE, fingerprint, nowMs)
  assert.ok(isListed(PRINT, 5_099))
  assert.not.ok(isListed(PRINT, 5_100), 'what repair forgot is found again')
  assert.not.ok(isListed('cd'.repeat(16), 200))
  const whole = asking()
  whole.hear(page())
  whole.lookedUp([1, 2].map((i) => [keyIn(9, i), CLAIMS]))
  assert.not.ok(wasListed(whole.other, PLACE, PRINT, 0), 'nothing of it is under way')
})

listing('pages follow one another, each asked for once', () => {
  const one = asking()
  assert.is(one.hear(page({ next: keyIn(9, 2) })).length, 1)
  assert.equal(one.hear(page({ next: keyIn(9, 2) })), [], 'the same page again')
  const [, next] = one.lookedUp([])
  assert.ok(next?.type === 'send' && next.message.type === 'list')
  assert.equal(next.message.slots, [{ slot: 9, replicas: 3, after: keyIn(9, 2), have: undefined }])
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
  assert.not.ok(queueList(one.other, { place: PLACE, blocks: 2 }, true))
  one.hear(page())
  const answers = one.lookedUp([1, 2].map((i) => [keyIn(9, i), CLAIMS]))
  assert.ok(answers.some((action) => action.type === 'send' && action.message.type === 'settled'))
})

listing('a page that never comes is given up, and its look-up with it', () => {
  const one = asking()
  one.hear(page(), 100)
  assert.is(listingDeadline(one.other), 5_100)
  askListings(sceneOf(one.listings), one.other, { mayAsk: true, nowMs: 5_100 })
  assert.is(one.other.listing.size, 0)
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
  const other = createPeer(peer(1))
  for (let slot = 0; slot < 2 * DATA_LIMITS.listQueue; slot++) {
    queueList(other, { place: 3 * 65_536 + slot, blocks: 1 }, false)
  }
  assert.is(other.toList.size, DATA_LIMITS.listQueue)
  assert.equal(askListings(sceneOf(), other, { mayAsk: false, nowMs: 0 }), [])
  const asked = slotsOf(askListings(sceneOf(), other, NOW))
  assert.equal(asked, [DATA_LIMITS.slotsListed, DATA_LIMITS.slotsListed])
  assert.is(other.listing.size, DATA_LIMITS.listsPerMember)
  assert.equal(askListings(sceneOf(), other, NOW), [])
})

listing('few slots a message where many keys are to be expected', () => {
  const other = createPeer(peer(1))
  for (const [i, blocks] of [5, DATA_LIMITS.keysExpected, 1e9, 1, 1].entries()) {
    queueList(other, { place: PLACE + i, blocks }, false)
  }
  assert.equal(slotsOf(askListings(sceneOf(), other, NOW)), [1, 1, 1, 2])
})

function slotsOf(actions: ReturnType<typeof askListings>): number[] {
  return actions.map((action) => {
    assert.ok(action.type === 'send' && action.message.type === 'list')
    return action.message.slots.length
  })
}

const ask = (slot: number): MessageOf<'list'> => {
  return { type: 'list', nonce: 0, slots: [{ slot, replicas: 3, after: undefined, have: undefined }] }
}

listing('questions of others are bounded, for all and for each', () => {
  const listings = createListings()
  const held = createHeld()
  const from = (n: number) => serveList(listings, held, peer(n), ask(1))
  for (let i = 0; i < 100; i++) from(1)
  assert.is(listings.served.size, DATA_LIMITS.listsServedPerMember)
  assert.is(from(2).length, 1, 'one member does not use up the others')
  for (let n = 3; n < 100; n++) for (let i = 0; i < 100; i++) from(n)
  assert.is(listings.served.size, DATA_LIMITS.listsServed)
  for (const token of [...listings.served.keys()]) onListFailed(listings, token)
  assert.is(listings.served.size, 0)
})

function pagesOf(actions: ReturnType<typeof onListed>): Page[][] {
  return actions.map((action) => {
    assert.ok(action.type === 'send' && action.message.type === 'listing')
    return action.message.pages
  })
}

listing('a page has the blocks of its N, and the key to go on from whatever its N', () => {
  const listings = createListings()
  const held = createHeld()
  const value = { slot: 9, replicas: 3, fingerprint: PRINT, blocks: 300, bytes: 300 }
  held.mine.set(PLACE, value)
  serveList(listings, held, peer(1), ask(9))
  held.mine.set(PLACE, { ...value, fingerprint: 'cd'.repeat(16) })
  const entries = Array.from({ length: DATA_LIMITS.pageKeys }, (_, i) => ({
    ...entry(i),
    replicas: 2 + (i % 2)
  }))
  const [[sent] = []] = pagesOf(
    onListed({ ...held, listings, peers: new Map() }, { token: 1, lists: [entries] })
  )
  assert.is(sent?.entries.length, DATA_LIMITS.pageKeys / 2)
  assert.is(sent?.next, entries.at(-1)?.key)
  assert.is(sent?.fingerprint, PRINT, 'of when it was begun: what came since may not be in it')
})

listing('pages share messages as far as these hold, and what is too much is left out', () => {
  const listings = createListings()
  const slots = Array.from({ length: 256 }, (_, slot) => ({
    ...{ slot, replicas: 3, after: undefined, have: undefined }
  }))
  serveList(listings, createHeld(), peer(1), { type: 'list', nonce: 0, slots })
  const lists = slots.map(({ slot }) => [{ ...entry(1, slot), replicas: 3 }])
  const sent = pagesOf(onListed(sceneOf(listings), { token: 1, lists }))
  assert.equal(
    sent.map((pages) => pages.length),
    [DATA_LIMITS.pagesPerMessage, DATA_LIMITS.pagesPerMessage]
  )
  serveList(listings, createHeld(), peer(1), { type: 'list', nonce: 0, slots })
  const many = slots.map(({ slot }) =>
    Array.from({ length: 200 }, (_, i) => ({ ...entry(i, slot), replicas: 3 }))
  )
  const cut = pagesOf(onListed(sceneOf(listings), { token: 2, lists: many }))
  assert.is(cut.flat().length, Math.floor(DATA_LIMITS.keysTold / 200))
  assert.ok(cut.every((pages) => pages.length === 2))
})

listing('a store that lists nothing where there is something is not believed', () => {
  const listings = createListings()
  const held = createHeld()
  held.mine.set(PLACE, { slot: 9, replicas: 3, fingerprint: PRINT, blocks: 1, bytes: 1 })
  serveList(listings, held, peer(1), ask(9))
  assert.equal(onListed({ ...held, listings, peers: new Map() }, { token: 1, lists: [[]] }), [])
  assert.equal(
    onListed({ ...held, listings, peers: new Map() }, { token: 1, lists: [[]] }),
    [],
    'nor a token that is not under way'
  )
})

listing('who has most of a slot tells which keys, and is told the others alone', () => {
  const [one, other] = [createPeer(peer(0)), createPeer(peer(1))]
  const asker = sceneOf(createListings(), [other])
  const value = { slot: 9, replicas: 3, fingerprint: PRINT, blocks: 5, bytes: 5 }
  asker.mine.set(PLACE, value)
  queueList(other, { place: PLACE, blocks: 6 }, false)
  const [read] = askListings(asker, other, NOW)
  assert.ok(read?.type === 'list-slots')
  const all = Array.from({ length: 6 }, (_, i) => {
    const key = `12200009${toHex(sha256(Uint8Array.of(i))).slice(4)}` as BlockKey
    return { key, size: 1, claims: CLAIMS, replicas: 3 }
  })
  const own = all.filter((_, i) => i !== 2).sort((a, b) => (a.key < b.key ? -1 : 1))
  const [asked] = onListed(asker, { token: read.token, lists: [own] })
  assert.ok(asked?.type === 'send' && asked.message.type === 'list')
  assert.is(asked.message.slots[0]?.have?.length, 40)
  const answerer = sceneOf(createListings(), [one])
  one.differing.set(PLACE, value)
  queueList(one, { place: PLACE, blocks: 5 }, false)
  serveList(answerer.listings, answerer, peer(0), asked.message)
  const [[page] = []] = pagesOf(onListed(answerer, { token: 1, lists: [all] }))
  assert.equal(
    page?.entries.map(({ key }) => key),
    [all[2]?.key]
  )
  assert.equal(
    [one.covered.get(PLACE), one.toList.size],
    [PRINT, 0],
    'the asker has nothing that is not here'
  )
})

listing('other claims make another mark, and another nonce tells apart what shares one', () => {
  const one = { key: `1220${'ab'.repeat(32)}` as BlockKey, claims: CLAIMS }
  const like = { key: `1220${'ab'.repeat(31)}cd` as BlockKey, claims: CLAIMS }
  const same = (nonce: number, other: typeof one) =>
    toHex(keyMark(one, nonce)) === toHex(keyMark(other, nonce))
  assert.ok(same(0, like) && !same(22, like))
  for (let nonce = 0; nonce < 50; nonce++) {
    assert.is(keyMark(one, nonce).length, 8)
    assert.not.ok(same(nonce, { ...one, claims: '01'.repeat(8) }))
  }
})

listing.run()
