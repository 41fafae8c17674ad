/**
 * Listing: the keys of a slot that differs arrive in bounded pages, are looked up here, and what is
 * missing is told to repair. One page of a slot at a time, some slots of a member at a time; a page that
 * was not asked for, or is not in order, is passed over.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import { type CompareAction, fromPlace, type Listed, type MessageOf, type Place, placeOf } from './compare.ts'
import { FINGERPRINT_BYTES } from './fingerprint.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import type { Held, Listing, Peer } from './shared.ts'

export interface Listings {
  /** Pages being read for others, by token. */
  readonly pages: Map<number, Page>
  /** Pages of others whose keys are being looked up here. */
  readonly lookups: Map<number, { from: PeerId; place: Place; page: MessageOf<'listing'> }>
  nextToken: number
}

interface Page {
  to: PeerId
  slot: number
  replicas: number
  after: BlockKey | undefined
  fingerprint: string
}

/** A page lost on the way frees its place after this, ms. As long as a comparison may take. */
const LISTING_TIMEOUT_MS = 5_000
const NO_FINGERPRINT = '00'.repeat(FINGERPRINT_BYTES)

export function createListings(): Listings {
  return { pages: new Map(), lookups: new Map(), nextToken: 1 }
}

/** Notes that a slot is to be listed; false when it is under way, or too many wait. */
export function queueList(peer: Peer, place: Place, offered: boolean): boolean {
  const under = peer.listing.get(place)
  if (under !== undefined) {
    under.offered ||= offered
    return false
  }
  if (peer.toList.size >= LIMITS.listQueue) return false
  peer.toList.set(place, { offered: offered || peer.toList.get(place)?.offered === true })
  return true
}

/** Asks for the listings that there is room for. `mayAsk`: repair has room for what they may show. */
export function askListings(listings: Listings, peer: Peer, mayAsk: boolean, nowMs: number): CompareAction[] {
  for (const [place, { untilMs, token }] of peer.listing) {
    if (untilMs > nowMs) continue
    peer.listing.delete(place)
    if (token !== undefined) listings.lookups.delete(token)
  }
  const actions: CompareAction[] = []
  for (const [place, { offered }] of mayAsk ? peer.toList : []) {
    if (peer.listing.size >= LIMITS.listsPerMember) break
    peer.toList.delete(place)
    const untilMs = nowMs + LISTING_TIMEOUT_MS
    const none = { missing: false, fingerprint: undefined, after: undefined, token: undefined, pages: 0 }
    peer.listing.set(place, { offered, ...none, untilMs })
    const message = { type: 'list', ...fromPlace(place), after: undefined } as const
    actions.push({ type: 'send', to: peer.id, message })
  }
  return actions
}

/** When the first page is given up. */
export function listingDeadline({ listing }: Peer): number {
  let next = Number.POSITIVE_INFINITY
  for (const { untilMs } of listing.values()) next = Math.min(next, untilMs)
  return next
}

/** The peer is gone, and its listings with it. */
export function forgetListings(listings: Listings, peer: Peer): void {
  for (const { token } of peer.listing.values()) if (token !== undefined) listings.lookups.delete(token)
}

/** Another asks what is in a slot. */
export function serveList(
  listings: Listings,
  { mine }: Held,
  to: PeerId,
  asked: MessageOf<'list'>
): CompareAction[] {
  const { pages } = listings
  if (pages.size >= LIMITS.pagesServed) return []
  let theirs = 0
  for (const page of pages.values()) if (page.to === to) theirs++
  if (theirs >= LIMITS.pagesPerMember) return []
  const { slot, replicas, after } = asked
  const token = listings.nextToken++
  const fingerprint = mine.get(placeOf(asked))?.fingerprint ?? NO_FINGERPRINT
  pages.set(token, { to, slot, replicas, after, fingerprint })
  return [{ type: 'list-slot', token, slot, after, limit: LIMITS.pageKeys }]
}

/** The store's answer to `list-slot`: the page goes out, with the blocks of this N only. */
export function onListed(
  listings: Listings,
  { mine }: Held,
  listed: { token: number; entries: readonly (Listed & { replicas: number })[] }
): CompareAction[] {
  const page = listings.pages.get(listed.token)
  if (page === undefined) return []
  listings.pages.delete(listed.token)
  const { to, ...asked } = page
  const next = listed.entries.length === LIMITS.pageKeys ? listed.entries.at(-1)?.key : undefined
  const entries = listed.entries.filter(({ replicas }) => replicas === page.replicas)
  // A slot that should have blocks and lists none was not read: silence is no promise, an empty list is.
  const isBlank = page.after === undefined && entries.length === 0 && next === undefined
  if (isBlank && mine.has(placeOf(page))) return []
  return [{ type: 'send', to, message: { type: 'listing', ...asked, entries, next } }]
}

/** The store could not be read: no page goes out, and whoever asked asks again. */
export function onListFailed({ pages }: Listings, token: number): void {
  pages.delete(token)
}

/** Another's page, if it is the one that was asked for. */
export function onListing(
  listings: Listings,
  peer: Peer,
  page: MessageOf<'listing'>,
  nowMs: number
): CompareAction[] {
  const place = placeOf(page)
  const listing = peer.listing.get(place)
  if (listing === undefined || listing.token !== undefined || listing.after !== page.after) return []
  if (!isInOrder(page)) return []
  const token = listings.nextToken++
  listing.token = token
  listing.untilMs = nowMs + LISTING_TIMEOUT_MS
  listing.fingerprint =
    listing.pages === 0 || listing.fingerprint === page.fingerprint ? page.fingerprint : undefined
  listing.pages++
  listings.lookups.set(token, { from: peer.id, place, page })
  return [{ type: 'look-up', token, keys: page.entries.map(({ key }) => key) }]
}

/** Keys of the slot, rising, after the one asked for; and the next page begins no earlier. */
function isInOrder({ slot, after, entries, next }: MessageOf<'listing'>): boolean {
  let last = after
  for (const { key } of entries) {
    if (slotOf(key) !== slot || (last !== undefined && key <= last)) return false
    last = key
  }
  if (next === undefined) return true
  return slotOf(next) === slot && (last === undefined || next >= last) && next !== after
}

/** The store's answer to `look-up`: what is missing or differs is for repair; the next page is asked for. */
export function onLookedUp(
  listings: Listings,
  peerOf: (id: PeerId) => Peer | undefined,
  result: { token: number; found: ReadonlyMap<BlockKey, { claims: string }> },
  nowMs: number
): CompareAction[] {
  const looked = listings.lookups.get(result.token)
  listings.lookups.delete(result.token)
  const peer = looked && peerOf(looked.from)
  const listing = looked && peer?.listing.get(looked.place)
  if (looked === undefined || peer === undefined || listing?.token !== result.token) return []
  const { place, page, from } = looked
  const { entries, next } = page
  const missing = entries.filter((entry) => isMissing(peer, entry, result.found.get(entry.key)?.claims))
  const actions: CompareAction[] = []
  if (missing.length > 0) actions.push({ type: 'missing', from, ...fromPlace(place), entries: missing })
  listing.missing ||= missing.length > 0
  listing.token = undefined
  if (next !== undefined && listing.pages < LIMITS.pagesPerListing) {
    listing.untilMs = nowMs + LISTING_TIMEOUT_MS
    listing.after = next
    const message = { type: 'list', ...fromPlace(place), after: next } as const
    return [...actions, { type: 'send', to: from, message }]
  }
  peer.listing.delete(place)
  return next === undefined ? [...actions, ...concluded(peer, place, listing)] : actions
}

/** Whether we lack the block, or claims on it that this member has and that we never took from it. */
function isMissing({ claims }: Peer, theirs: Listed, ours: string | undefined): boolean {
  if (ours === undefined) return true
  if (ours === theirs.claims) return false
  const known = claims.get(theirs.key)
  if (known?.digest === theirs.claims) return !known.taken
  if (claims.size >= LIMITS.claimsPerMember) claims.clear() // costs a transfer each, once more
  claims.set(theirs.key, { digest: theirs.claims, taken: false })
  return true
}

/** All pages of a slot were seen. */
function concluded(peer: Peer, place: Place, { missing, fingerprint, offered }: Listing): CompareAction[] {
  if (missing || fingerprint === undefined) return []
  if (peer.covered.size >= LIMITS.placesPerMember) peer.covered.clear()
  peer.covered.set(place, fingerprint)
  if (!offered) return []
  const summaries = [{ ...fromPlace(place), fingerprint, blocks: 0, bytes: 0 }]
  return [{ type: 'send', to: peer.id, message: { type: 'settled', summaries } }]
}
