/**
 * Listing: the keys of slots that differ arrive in bounded pages, many slots in a message, are looked up
 * here, and what is missing is told to repair. One page of a slot at a time; a page that was not asked for,
 * or is not in order, is passed over.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import type { Claimed } from './claiming.ts'
import {
  type Asked,
  type CompareAction,
  fromPlace,
  type Listed,
  type MessageOf,
  type Page,
  type Place,
  placeOf
} from './compare.ts'
import { FINGERPRINT_BYTES } from './fingerprint.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import type { Held, Listing, Peer } from './shared.ts'

export interface Listings {
  /** Pages being read for others, by token. */
  readonly served: Map<number, { to: PeerId; asked: (Asked & { fingerprint: string })[] }>
  /** Pages of others whose keys are being looked up here. */
  readonly lookups: Map<number, { from: PeerId; pages: Page[] }>
  nextToken: number
}

/** A page lost on the way frees its place after this, ms. As long as a comparison may take. */
const LISTING_TIMEOUT_MS = 5_000
/**
 * What was missing in a slot is being fetched: it is not listed again before this, unless it changes, ms.
 * Long enough to fetch thousands of blocks, short enough for what repair forgot. A guess.
 */
const LISTED_MS = 5_000
const NO_FINGERPRINT = '00'.repeat(FINGERPRINT_BYTES)

export function createListings(): Listings {
  return { served: new Map(), lookups: new Map(), nextToken: 1 }
}

/**
 * Notes that a slot is to be listed; false when it is under way, or too many wait.
 * @param blocks that the peer says to have there
 */
export function queueList(
  peer: Peer,
  { place, blocks }: { place: Place; blocks: number },
  offered: boolean
): boolean {
  const under = peer.listing.get(place)
  if (under !== undefined) {
    under.offered ||= offered
    return false
  }
  if (peer.toList.size >= LIMITS.listQueue) return false
  peer.toList.set(place, { blocks, offered: offered || peer.toList.get(place)?.offered === true })
  return true
}

/** Whether a slot was listed a moment ago, and what is missing of it is being fetched. */
export function wasListed({ listed }: Peer, place: Place, fingerprint: string, nowMs: number): boolean {
  const last = listed.get(place)
  return last?.fingerprint === fingerprint && nowMs < last.untilMs
}

/** Asks for the listings that there is room for. `mayAsk`: repair has room for what they may show. */
export function askListings(peer: Peer, mayAsk: boolean, nowMs: number): CompareAction[] {
  for (const [place, { untilMs }] of peer.listing) {
    if (untilMs > nowMs) break // they stand in the order of their times
    peer.listing.delete(place)
  }
  if (!mayAsk || peer.toList.size === 0) return []
  const actions: CompareAction[] = []
  for (;;) {
    const slots: Asked[] = []
    let keys = 0
    for (const [place, { offered, blocks }] of peer.toList) {
      if (peer.listing.size >= LIMITS.listsPerMember || slots.length === LIMITS.slotsListed) break
      keys += blocks
      if (slots.length > 0 && keys > LIMITS.keysExpected) break
      peer.toList.delete(place)
      const none = { fingerprint: undefined, after: undefined, token: undefined, pages: 0 }
      const untilMs = nowMs + LISTING_TIMEOUT_MS
      peer.listing.set(place, { offered, missing: false, behind: false, ...none, untilMs })
      slots.push({ ...fromPlace(place), after: undefined })
    }
    if (slots.length === 0) return actions
    actions.push({ type: 'send', to: peer.id, message: { type: 'list', slots } })
  }
}

/** When the first page is given up. */
export function listingDeadline({ listing }: Peer): number {
  for (const { untilMs } of listing.values()) return untilMs
  return Number.POSITIVE_INFINITY
}

/** The peer is gone, and its listings with it. */
export function forgetListings(listings: Listings, peer: Peer): void {
  for (const [token, { from }] of listings.lookups) if (from === peer.id) listings.lookups.delete(token)
}

/** Another asks what is in some slots. */
export function serveList(
  listings: Listings,
  { mine }: Held,
  to: PeerId,
  { slots }: MessageOf<'list'>
): CompareAction[] {
  const { served } = listings
  if (slots.length === 0 || served.size >= LIMITS.listsServed) return []
  let theirs = 0
  for (const page of served.values()) if (page.to === to) theirs++
  if (theirs >= LIMITS.listsServedPerMember) return []
  const token = listings.nextToken++
  const asked = slots.map((slot) => {
    return { ...slot, fingerprint: mine.get(placeOf(slot))?.fingerprint ?? NO_FINGERPRINT }
  })
  served.set(token, { to, asked })
  return [{ type: 'list-slots', token, slots, limit: LIMITS.pageKeys }]
}

/** The store's answer to `list-slots`: pages go out, each with the blocks of its N only. */
export function onListed(
  listings: Listings,
  { mine }: Held,
  listed: { token: number; lists: readonly (readonly (Listed & { replicas: number })[])[] }
): CompareAction[] {
  const served = listings.served.get(listed.token)
  if (served === undefined) return []
  listings.served.delete(listed.token)
  const pages: Page[] = []
  let told = 0
  served.asked.forEach((asked, i) => {
    const all = listed.lists[i] ?? []
    const next = all.length === LIMITS.pageKeys ? all.at(-1)?.key : undefined
    const entries = all.filter(({ replicas }) => replicas === asked.replicas)
    // A slot that should have blocks and lists none was not read: silence is no promise, an empty list is.
    const isBlank = asked.after === undefined && entries.length === 0 && next === undefined
    if ((isBlank && mine.has(placeOf(asked))) || told + entries.length > LIMITS.keysTold) return
    told += entries.length
    pages.push({ ...asked, entries, next })
  })
  return packed(pages).map((some) => {
    return { type: 'send', to: served.to, message: { type: 'listing', pages: some } }
  })
}

/** As many pages a message as fit it. */
function packed(pages: readonly Page[]): Page[][] {
  const messages: Page[][] = []
  let keys = Number.POSITIVE_INFINITY
  for (const page of pages) {
    const last = messages.at(-1)
    keys += page.entries.length
    if (last !== undefined && keys <= LIMITS.keysPerMessage && last.length < LIMITS.pagesPerMessage) {
      last.push(page)
      continue
    }
    messages.push([page])
    keys = page.entries.length
  }
  return messages
}

/** The store could not be read: no page goes out, and whoever asked asks again. */
export function onListFailed({ served }: Listings, token: number): void {
  served.delete(token)
}

/** Another's pages: those that were asked for. */
export function onListing(
  listings: Listings,
  peer: Peer,
  { pages }: MessageOf<'listing'>,
  nowMs: number
): CompareAction[] {
  const token = listings.nextToken++
  const good = pages.filter((page) => takePage(peer, page, { token, nowMs }))
  if (good.length === 0) return []
  listings.lookups.set(token, { from: peer.id, pages: good })
  return [{ type: 'look-up', token, keys: good.flatMap(({ entries }) => entries.map(({ key }) => key)) }]
}

function takePage(peer: Peer, page: Page, { token, nowMs }: { token: number; nowMs: number }): boolean {
  const place = placeOf(page)
  const listing = peer.listing.get(place)
  if (listing === undefined || listing.token !== undefined || listing.after !== page.after) return false
  if (!isInOrder(page)) return false
  listing.token = token
  listing.fingerprint =
    listing.pages === 0 || listing.fingerprint === page.fingerprint ? page.fingerprint : undefined
  listing.pages++
  wait(peer, place, listing, nowMs)
  return true
}

/** Its time begins anew, behind all others'. */
function wait(peer: Peer, place: Place, listing: Listing, nowMs: number): void {
  listing.untilMs = nowMs + LISTING_TIMEOUT_MS
  peer.listing.delete(place)
  peer.listing.set(place, listing)
}

/** Keys of the slot, rising, after the one asked for; and the next page begins no earlier. */
function isInOrder({ slot, after, entries, next }: Page): boolean {
  let last = after
  for (const { key } of entries) {
    if (slotOf(key) !== slot || (last !== undefined && key <= last)) return false
    last = key
  }
  if (next === undefined) return true
  return slotOf(next) === slot && (last === undefined || next >= last) && next !== after
}

/** The store's answer to `look-up`: what is missing or differs is for repair; next pages are asked for. */
export function onLookedUp(
  listings: Listings,
  peerOf: (id: PeerId) => Peer | undefined,
  result: { token: number; found: ReadonlyMap<BlockKey, { claims: string }> },
  nowMs: number
): CompareAction[] {
  const looked = listings.lookups.get(result.token)
  listings.lookups.delete(result.token)
  const peer = looked && peerOf(looked.from)
  if (looked === undefined || peer === undefined) return []
  const actions: CompareAction[] = []
  const slots: Asked[] = []
  const settled: Settled[] = []
  const differing: Claimed[] = []
  const behind: Claimed[] = []
  for (const page of looked.pages) {
    const place = placeOf(page)
    const listing = peer.listing.get(place)
    if (listing?.token !== result.token) continue
    const found = seen(peer, page, result.found)
    if (found.missing.length > 0) {
      actions.push({ type: 'missing', from: peer.id, ...fromPlace(place), entries: found.missing })
    }
    differing.push(...found.differing)
    behind.push(...found.behind)
    listing.missing ||= found.missing.length + found.differing.length > 0
    listing.behind ||= found.behind.length > 0
    listing.token = undefined
    if (page.next !== undefined && listing.pages < LIMITS.pagesPerListing) {
      listing.after = page.next
      wait(peer, place, listing, nowMs)
      slots.push({ ...fromPlace(place), after: page.next })
      continue
    }
    peer.listing.delete(place)
    if (page.next === undefined) settled.push(...concluded(peer, place, listing, nowMs))
  }
  const say = (message: MessageOf<'list' | 'settled'>) => actions.push({ type: 'send', to: peer.id, message })
  if (differing.length > 0) actions.push({ type: 'differing', from: peer.id, blocks: differing })
  for (let i = 0; i < behind.length; i += LIMITS.claimedTold) {
    const blocks = behind.slice(i, i + LIMITS.claimedTold)
    actions.push({ type: 'send', to: peer.id, message: { type: 'more-claims', blocks } })
  }
  if (slots.length > 0) say({ type: 'list', slots })
  if (settled.length > 0) say({ type: 'settled', summaries: settled })
  return actions
}

type Settled = MessageOf<'settled'>['summaries'][number]

/** What a page shows: blocks that are not here, claims that are not, and claims that the peer has not. */
function seen(peer: Peer, { entries }: Page, found: ReadonlyMap<BlockKey, { claims: string }>) {
  const missing = entries.filter(({ key }) => !found.has(key))
  const differing: Claimed[] = []
  const behind: Claimed[] = []
  for (const { key, claims } of entries) {
    const own = found.get(key)?.claims
    if (own === undefined || own === claims) continue
    if (isNews(peer, { key, claims })) differing.push({ key, claims })
    else behind.push({ key, claims: own })
  }
  return { missing, differing, behind }
}

/** Whether a member has claims on a block that we never took from it. */
function isNews({ claims }: Peer, theirs: Claimed): boolean {
  const known = claims.get(theirs.key)
  if (known?.digest === theirs.claims) return !known.taken
  if (claims.size >= LIMITS.claimsPerMember) claims.clear() // costs a transfer each, once more
  claims.set(theirs.key, { digest: theirs.claims, taken: false })
  return true
}

/** All pages of a slot were seen. */
function concluded(peer: Peer, place: Place, listing: Listing, nowMs: number): Settled[] {
  const { missing, behind, fingerprint, offered } = listing
  if (fingerprint === undefined) return []
  if (missing) {
    if (peer.listed.size >= LIMITS.placesPerMember) peer.listed.clear()
    peer.listed.set(place, { fingerprint, untilMs: nowMs + LISTED_MS })
    return []
  }
  peer.listed.delete(place)
  if (peer.covered.size >= LIMITS.placesPerMember) peer.covered.clear()
  // One that lacks claims is looked at again until it has them: what it was told may be lost on the way.
  if (!behind) peer.covered.set(place, fingerprint)
  return offered ? [{ ...fromPlace(place), fingerprint, blocks: 0, bytes: 0 }] : []
}
