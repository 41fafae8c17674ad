/**
 * Anti-entropy for refs (Demers et al. 1987): in turn with each member, the digest of all that both should
 * carry; where it differs the list, a page at a time; of what differs the records. What is carried here and
 * should not be is handed to those that should, and dropped once they have said that they keep it.
 */
import type { PeerId } from './block.ts'
import { toHex, toUtf8 } from './bytes.ts'
import { type Holders, livingMembers } from './holders.ts'
import { type KnownRef, knownAcknowledged, readEntry, writeEntry } from './ref-entry.ts'
import { REF_LIST_BYTES_MAX, REF_PAGE, type RefMessage } from './ref-messages.ts'
import { carriersOf, digestOf, type HeldRef, livingCarriers, type RefTable } from './ref-table.ts'

/** Between turns at comparing refs with one member. */
export const REF_COMPARE_MS = 1_000
/** Refs sent or asked for in one round; the next round finds the rest. */
const ROUND_MAX = 64
/** Refs on their way to those that should carry them, and how long they have to say that they do. */
const HANDOVERS_MAX = 64
const HANDOVER_MS = 10_000
/** Listings of refs under way for callers here, and how long members have to answer a page. */
const LISTS_MAX = 64
const LIST_MS = 2_000
/** Records given on one page of a listing. */
const LISTED_MAX = 512

type SpreadMessage = RefMessage & {
  type: 'ref-taken' | 'ref-compare' | 'ref-page' | 'ref-next' | 'ref-want' | 'ref-list' | 'ref-listed'
}
export type SpreadAction =
  | { type: 'send'; to: PeerId; message: RefMessage }
  | { type: 'drop-ref'; id: string }
  | { type: 'refs-listed'; request: number; records: Uint8Array[]; silent: PeerId[] }

interface Handover {
  readonly id: string
  readonly waiting: Set<PeerId>
  readonly untilMs: number
}

interface Listing {
  readonly request: number
  readonly owner: PeerId | undefined
  readonly records: Map<string, { sequence: number; epoch: number; bytes: Uint8Array }>
  readonly waiting: Map<PeerId, number>
  /** Hashes of records that were verified for it already: every carrier tells the same. */
  readonly seen: Set<string>
}

export interface Spread {
  turnAtMs: number
  nextPeer: number
  nextToken: number
  readonly handovers: Map<number, Handover>
  readonly listings: Map<number, Listing>
  /** What is shared with each member, as of these versions. */
  readonly shared: Map<PeerId, { table: number; view: number; ids: string[]; digest: string }>
}

interface Scene {
  holders: Holders
  nowMs: number
  /** Its lifetime is over as this member counts it: it is carried, and not listed. */
  isOver(known: KnownRef): boolean
}

export function createSpread(nowMs: number): Spread {
  const none = { handovers: new Map(), listings: new Map(), shared: new Map() }
  return { turnAtMs: nowMs + REF_COMPARE_MS, nextPeer: 0, nextToken: 1, ...none }
}

export function spreadDeadline({ turnAtMs }: Spread): number {
  return turnAtMs
}

/** One turn: compares with the next member, and hands over what does not belong here. */
export function spreadTick(spread: Spread, table: RefTable, scene: Scene): SpreadAction[] {
  if (scene.nowMs < spread.turnAtMs) return []
  spread.turnAtMs = scene.nowMs + REF_COMPARE_MS
  for (const [token, { untilMs }] of spread.handovers) {
    if (scene.nowMs >= untilMs) spread.handovers.delete(token)
  }
  const actions = [...endListings(spread, scene), ...handOver(spread, table, scene)]
  const others = livingMembers(scene.holders).filter((peer) => peer !== table.self)
  const peer = others[spread.nextPeer++ % Math.max(1, others.length)]
  if (peer === undefined) return actions
  const { digest } = sharedWith(spread, table, scene.holders, peer)
  return [...actions, { type: 'send', to: peer, message: { type: 'ref-compare', digest } }]
}

function handOver(spread: Spread, table: RefTable, { holders, nowMs }: Scene): SpreadAction[] {
  const actions: SpreadAction[] = []
  const busy = new Set([...spread.handovers.values()].map(({ id }) => id))
  for (const [id, held] of table.carried) {
    if (spread.handovers.size >= HANDOVERS_MAX) break
    if (busy.has(id) || isBound(table, holders, held)) continue
    const to = livingCarriers(table, holders, id)
    if (to.length === 0 || held.entry.best === undefined) continue
    const token = spread.nextToken++
    spread.handovers.set(token, { id, waiting: new Set(to), untilMs: nowMs + HANDOVER_MS })
    const message = { type: 'ref-take' as const, token, entry: writeEntry(held.entry) }
    for (const peer of to) actions.push({ type: 'send', to: peer, message })
  }
  return actions
}

/** Carried for good: by placement or electorate, or since a vote must not be forgotten. */
function isBound(table: RefTable, holders: Holders, { entry, ballot }: HeldRef): boolean {
  if (ballot.vote !== undefined || ballot.floor > 0) return true
  return carriersOf(table, holders, entry.id).includes(table.self)
}

export function onSpreadMessage(
  spread: Spread,
  table: RefTable,
  scene: Scene,
  from: PeerId,
  message: SpreadMessage
): SpreadAction[] {
  const shared = () => sharedWith(spread, table, scene.holders, from)
  switch (message.type) {
    case 'ref-compare':
      if (shared().digest === message.digest) return []
      return [{ type: 'send', to: from, message: pageAfter(table, shared().ids, undefined) }]
    case 'ref-next':
      return [{ type: 'send', to: from, message: pageAfter(table, shared().ids, message.after) }]
    case 'ref-page':
      return onPage(table, shared().ids, from, message)
    case 'ref-want':
      return message.ids.slice(0, ROUND_MAX).flatMap((id) => give(table, from, id))
    case 'ref-taken':
      return onTaken(spread, table, scene, from, message.token)
    case 'ref-list':
      return [{ type: 'send', to: from, message: listPage(table, scene, message) }]
    case 'ref-listed':
      return onListed(spread, table, scene, from, message)
  }
}

/** What both should carry, and one digest over it. */
function sharedWith(spread: Spread, table: RefTable, holders: Holders, peer: PeerId) {
  const known = spread.shared.get(peer)
  if (known?.table === table.version && known.view === holders.version) return known
  const ids = [...table.carried.keys()]
    .filter((id) => {
      const carriers = carriersOf(table, holders, id)
      return carriers.includes(peer) && carriers.includes(table.self)
    })
    .sort()
  const lines = ids.map((id) => `${id} ${digestOf(table, table.carried.get(id) as HeldRef)}`)
  const digest = toHex(table.crypto.sha256(toUtf8(lines.join('\n'))).subarray(0, 8))
  const shared = { table: table.version, view: holders.version, ids, digest }
  spread.shared.set(peer, shared)
  return shared
}

function pageAfter(table: RefTable, ids: readonly string[], after: string | undefined): RefMessage {
  const rest = after === undefined ? ids : ids.filter((id) => id > after)
  const items = rest.slice(0, REF_PAGE).map((id) => {
    return { id, digest: digestOf(table, table.carried.get(id) as HeldRef) }
  })
  return { type: 'ref-page', after, items, last: rest.length <= REF_PAGE }
}

/** Asks for what is missing or other here, and gives what is missing or other there. */
function onPage(
  table: RefTable,
  ids: readonly string[],
  from: PeerId,
  { after, items, last }: RefMessage & { type: 'ref-page' }
): SpreadAction[] {
  const theirs = new Map(items.map(({ id, digest }) => [id, digest]))
  const upTo = last ? undefined : items.at(-1)?.id
  const here = ids.filter((id) => (after === undefined || id > after) && (upTo === undefined || id <= upTo))
  const differs = (id: string) => {
    const held = table.carried.get(id)
    return held === undefined || digestOf(table, held) !== theirs.get(id)
  }
  const wanted = [...theirs.keys()].filter(differs).slice(0, ROUND_MAX)
  const given = here.filter(differs).slice(0, ROUND_MAX)
  const actions: SpreadAction[] = given.flatMap((id) => give(table, from, id))
  if (wanted.length > 0) actions.push({ type: 'send', to: from, message: { type: 'ref-want', ids: wanted } })
  if (upTo !== undefined) actions.push({ type: 'send', to: from, message: { type: 'ref-next', after: upTo } })
  return actions
}

function give(table: RefTable, to: PeerId, id: string): SpreadAction[] {
  const held = table.carried.get(id)
  if (held === undefined) return []
  const message = { type: 'ref-take' as const, token: undefined, entry: writeEntry(held.entry) }
  return [{ type: 'send', to, message }]
}

function onTaken(
  spread: Spread,
  table: RefTable,
  { holders }: Scene,
  from: PeerId,
  token: number
): SpreadAction[] {
  const handover = spread.handovers.get(token)
  if (handover === undefined || !handover.waiting.delete(from) || handover.waiting.size > 0) return []
  spread.handovers.delete(token)
  const held = table.carried.get(handover.id)
  if (held === undefined || isBound(table, holders, held)) return []
  table.carried.delete(handover.id)
  table.version++
  return [{ type: 'drop-ref', id: handover.id }]
}

// Listing

/** Asks every member for the refs of an owner, or of all. */
export function startListing(
  spread: Spread,
  table: RefTable,
  { holders, nowMs, isOver }: Scene,
  { request, owner }: { request: number; owner: PeerId | undefined }
): SpreadAction[] {
  const records: Listing['records'] = new Map()
  const others = livingMembers(holders).filter((peer) => peer !== table.self)
  const silent = spread.listings.size < LISTS_MAX ? [] : others
  const asked = silent.length === 0 ? others : []
  const waiting = new Map(asked.map((peer) => [peer, nowMs + LIST_MS]))
  const listing: Listing = { request, owner, records, waiting, seen: new Set() }
  for (const { entry } of table.carried.values()) {
    if (entry.best !== undefined && !isOver(entry.best)) addListed(listing, entry.best.record)
  }
  if (waiting.size === 0) return [listed(listing, silent)]
  const token = spread.nextToken++
  spread.listings.set(token, listing)
  const message = { type: 'ref-list' as const, token, owner, after: undefined }
  return others.map((to) => ({ type: 'send', to, message }))
}

function addListed(
  { owner, records }: Listing,
  record: { id: string; owner: PeerId; epoch: number; sequence: number; bytes: Uint8Array }
): void {
  if (owner !== undefined && record.owner !== owner) return
  const { id, epoch, sequence, bytes } = record
  const known = records.get(id)
  if (known !== undefined && (epoch - known.epoch || sequence - known.sequence) <= 0) return
  records.set(id, { epoch, sequence, bytes })
}

function listed({ request, records }: Listing, silent: PeerId[]): SpreadAction {
  return { type: 'refs-listed', request, records: [...records.values()].map(({ bytes }) => bytes), silent }
}

/** Gives what came of listings whose members have gone silent. */
function endListings(spread: Spread, { nowMs }: Scene): SpreadAction[] {
  const actions: SpreadAction[] = []
  for (const [token, listing] of spread.listings) {
    const silent = [...listing.waiting].filter(([, untilMs]) => untilMs <= nowMs).map(([peer]) => peer)
    if (silent.length < listing.waiting.size) continue
    spread.listings.delete(token)
    actions.push(listed(listing, silent))
  }
  return actions
}

function listPage(table: RefTable, { isOver }: Scene, asked: RefMessage & { type: 'ref-list' }): RefMessage {
  const { token, owner, after } = asked
  const ids = [...table.carried.keys()].filter((id) => after === undefined || id > after).sort()
  const records: { record: Uint8Array; receipts: Uint8Array[] }[] = []
  let size = 0
  let last: string | undefined
  for (const id of ids) {
    const best = table.carried.get(id)?.entry.best
    if (best === undefined || (owner !== undefined && best.record.owner !== owner)) continue
    if (isOver(best)) continue
    const receipts = [...best.receipts.values()].map(({ bytes }) => bytes)
    size += best.record.bytes.length + receipts.reduce((sum, one) => sum + one.length + 2, 8)
    if (records.length === LISTED_MAX || (size > REF_LIST_BYTES_MAX && records.length > 0)) {
      return { type: 'ref-listed', token, records, next: last }
    }
    records.push({ record: best.record.bytes, receipts })
    last = id
  }
  return { type: 'ref-listed', token, records, next: undefined }
}

function onListed(
  spread: Spread,
  table: RefTable,
  { nowMs }: Scene,
  from: PeerId,
  { token, records, next }: RefMessage & { type: 'ref-listed' }
): SpreadAction[] {
  const listing = spread.listings.get(token)
  if (listing === undefined || !listing.waiting.has(from)) return []
  for (const { record, receipts } of records) {
    const hash = toHex(table.crypto.sha256(record))
    if (listing.seen.has(hash)) continue
    const [known] = readEntry({ records: [{ record, receipts }] }, table.network, table.crypto)
    if (known === undefined || !knownAcknowledged(known)) continue
    listing.seen.add(hash)
    addListed(listing, known.record)
  }
  if (next !== undefined) {
    listing.waiting.set(from, nowMs + LIST_MS)
    const message = { type: 'ref-list' as const, token, owner: listing.owner, after: next }
    return [{ type: 'send', to: from, message }]
  }
  listing.waiting.delete(from)
  if (listing.waiting.size > 0) return []
  spread.listings.delete(token)
  return [listed(listing, [])]
}
