/**
 * Listing: the keys of slots that differ arrive in bounded pages, many slots in a message, are looked up
 * here, and what is missing is told to repair. One page of a slot at a time; a page that was not asked for,
 * or is not in order, is passed over.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import { concat, fromHex, toHex } from './bytes.ts'
import type { Claimed } from './claiming.ts'
import {
  type Asked,
  type CompareAction,
  fromPlace,
  KEY_MARK_BYTES,
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
  readonly served: Map<number, { to: PeerId; nonce: number; asked: (Asked & { fingerprint: string })[] }>
  /** Own keys being read, of slots that are to be asked for but for those. */
  readonly own: Map<number, { to: PeerId; slots: Asked[] }>
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
/** Where fewer are to be had, or more than half is lacking, a member asks for all of the keys. */
const BRIEF_MIN = 4
/** In a key as hex: first come its code, its length and the slot; no digest is shorter than 32 bytes. */
const KEY_MARK_FROM = 8
const KEY_MARK_WINDOWS = 32 - 2 - KEY_MARK_BYTES + 1
const NO_FINGERPRINT = '00'.repeat(FINGERPRINT_BYTES)

export function createListings(): Listings {
  return { served: new Map(), own: new Map(), lookups: new Map(), nextToken: 1 }
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

/** What is known here of slots and of members. */
export interface ListScene extends Held {
  readonly listings: Listings
  readonly peers: ReadonlyMap<PeerId, Peer>
}

/** Asks for the listings that there is room for. `mayAsk`: repair has room for what they may show. */
export function askListings(
  { listings, mine }: ListScene,
  peer: Peer,
  { mayAsk, nowMs }: { mayAsk: boolean; nowMs: number }
): CompareAction[] {
  for (const [place, { untilMs }] of peer.listing) {
    if (untilMs > nowMs) break // they stand in the order of their times
    peer.listing.delete(place)
  }
  if (!mayAsk || peer.toList.size === 0) return []
  const actions: CompareAction[] = []
  for (;;) {
    const slots: Asked[] = []
    const held: Asked[] = []
    let keys = 0
    for (const [place, { offered, blocks }] of peer.toList) {
      const count = slots.length + held.length
      if (peer.listing.size >= LIMITS.listsPerMember || count === LIMITS.slotsListed) break
      keys += blocks
      if (count > 0 && keys > LIMITS.keysExpected) break
      peer.toList.delete(place)
      const none = { fingerprint: undefined, after: undefined, token: undefined, pages: 0 }
      const untilMs = nowMs + LISTING_TIMEOUT_MS
      peer.listing.set(place, { offered, missing: false, behind: false, ...none, untilMs })
      const own = mine.get(place)?.blocks ?? 0
      const isBrief = own > 0 && own < LIMITS.pageKeys && blocks >= BRIEF_MIN && 2 * own >= blocks
      ;(isBrief ? held : slots).push({ ...fromPlace(place), after: undefined, have: undefined })
    }
    if (slots.length + held.length === 0) return actions
    if (slots.length > 0) {
      actions.push({ type: 'send', to: peer.id, message: { type: 'list', nonce: 0, slots } })
    }
    if (held.length === 0) continue
    const token = listings.nextToken++
    listings.own.set(token, { to: peer.id, slots: held })
    actions.push({ type: 'list-slots', token, slots: held, limit: LIMITS.pageKeys })
  }
}

/** Own keys were read: the slots are asked for but for those. */
function askBut({ to, slots }: { to: PeerId; slots: readonly Asked[] }, nonce: number, lists: Lists) {
  const messages: Asked[][] = []
  let bytes = Number.POSITIVE_INFINITY
  slots.forEach((slot, i) => {
    const all = lists[i] ?? []
    const own = all.filter(({ replicas }) => replicas === slot.replicas)
    const have = all.length < LIMITS.pageKeys ? concat(own.map((one) => keyMark(one, nonce))) : undefined
    bytes += have?.length ?? 0
    if (bytes > LIMITS.haveBytes) {
      messages.push([])
      bytes = have?.length ?? 0
    }
    messages.at(-1)?.push({ ...slot, have })
  })
  return messages.map((some): CompareAction => {
    return { type: 'send', to, message: { type: 'list', nonce, slots: some } }
  })
}

/**
 * Eight bytes of a key's digest and of its claims', other ones of the key for another nonce: who makes keys
 * that share a mark makes them for one of them.
 */
export function keyMark({ key, claims }: Pick<Listed, 'key' | 'claims'>, nonce: number): Uint8Array {
  const at = KEY_MARK_FROM + 2 * (nonce % KEY_MARK_WINDOWS)
  const mark = fromHex(key.slice(at, at + 2 * KEY_MARK_BYTES))
  const of = fromHex(claims)
  return mark.map((byte, i) => byte ^ (of[i] ?? 0))
}

/** When the first page is given up. */
export function listingDeadline({ listing }: Peer): number {
  for (const { untilMs } of listing.values()) return untilMs
  return Number.POSITIVE_INFINITY
}

/** The peer is gone, and its listings with it. */
export function forgetListings(listings: Listings, peer: Peer): void {
  for (const [token, { from }] of listings.lookups) if (from === peer.id) listings.lookups.delete(token)
  for (const [token, { to }] of listings.own) if (to === peer.id) listings.own.delete(token)
}

/** Another asks what is in some slots. */
export function serveList(
  listings: Listings,
  { mine }: Held,
  to: PeerId,
  { nonce, slots }: MessageOf<'list'>
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
  served.set(token, { to, nonce, asked })
  return [{ type: 'list-slots', token, slots, limit: LIMITS.pageKeys }]
}

type Lists = readonly (readonly (Listed & { replicas: number })[])[]

/** The store's answer to `list-slots`: pages go out, each with the blocks of its N only. */
export function onListed(scene: ListScene, listed: { token: number; lists: Lists }): CompareAction[] {
  const { listings, mine } = scene
  const own = listings.own.get(listed.token)
  if (own !== undefined) {
    listings.own.delete(listed.token)
    return askBut(own, listed.token, listed.lists)
  }
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
    if (isBlank && mine.has(placeOf(asked))) return
    const rest = next === undefined ? butThose(scene, served, { asked, entries }) : entries
    if (told + rest.length > LIMITS.keysTold) return
    told += rest.length
    pages.push({ ...asked, entries: rest, next })
  })
  return packed(pages).map((some) => {
    return { type: 'send', to: served.to, message: { type: 'listing', pages: some } }
  })
}

/** Leaves out what the asker has; who has nothing that we lack need not be asked for its keys. */
function butThose(
  { peers }: ListScene,
  { to, nonce }: { to: PeerId; nonce: number },
  { asked, entries }: { asked: Asked; entries: Listed[] }
): Listed[] {
  const { have } = asked
  if (have === undefined || asked.after !== undefined) return entries
  const marks = new Set<string>()
  for (let at = 0; at < have.length; at += KEY_MARK_BYTES) {
    marks.add(toHex(have.subarray(at, at + KEY_MARK_BYTES)))
  }
  const rest = entries.filter((one) => !marks.has(toHex(keyMark(one, nonce))))
  const place = placeOf(asked)
  const peer = peers.get(to)
  const theirs = peer?.differing.get(place)
  if (entries.length - rest.length === marks.size && theirs !== undefined) {
    peer?.covered.set(place, theirs.fingerprint)
    peer?.toList.delete(place)
  }
  return rest
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
export function onListFailed({ served, own }: Listings, token: number): void {
  served.delete(token)
  own.delete(token) // in its time it is asked for again
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
      slots.push({ ...fromPlace(place), after: page.next, have: undefined })
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
  if (slots.length > 0) say({ type: 'list', nonce: 0, slots })
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
