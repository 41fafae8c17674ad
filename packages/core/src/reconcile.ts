/**
 * Comparing: how two members find what differs between them at the cost of the difference (Demers et
 * al. 1987: anti-entropy). They exchange one hash of all slots that they share; where it differs, hashes
 * of 256 groups of slots; then the slots of a few groups; then the keys of the slots that differ, in
 * bounded pages. Pull only: each learns what it lacks itself and never what to send.
 *
 * A slot is shared when both act as its holders. What a member holds besides (written to it as a
 * stand-in, or kept since before somebody joined) it offers to the slot's holders until each has said
 * that it holds all of it.
 */
import { type BlockKey, blockKeyCodec, type PeerId, SLOTS } from './block.ts'
import { concat, fromHex, toHex, toUtf8 } from './bytes.ts'
import { bool, type Decoded, fixed, hex, list, optional, struct, u8, u16, varint } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { FINGERPRINT_BYTES, type SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'

/** Slots are compared in groups of 256: with 256 groups, two steps lead to any slot. */
export const GROUPS = 256
const GROUP_SLOTS = SLOTS / GROUPS
/** Of a group's hash on the wire. A collision hides a difference until the group next changes. */
const GROUP_DIGEST_BYTES = 8

const summary = struct({
  slot: u16,
  replicas: u8,
  fingerprint: hex(FINGERPRINT_BYTES),
  blocks: varint,
  bytes: varint
})

export const COMPARE_MESSAGES = {
  /** "This is the hash of all that we share, as I see it." */
  compare: struct({ round: varint, root: hex(FINGERPRINT_BYTES) }),
  /** "It is mine too." */
  agree: struct({ round: varint }),
  /** "Mine differs; these are my groups." */
  groups: struct({ round: varint, digests: fixed(GROUPS * GROUP_DIGEST_BYTES) }),
  /** "These groups differ, and these are my slots in them"; `answer` asks for the other's in return. */
  slots: struct({
    round: varint,
    groups: list(u8, LIMITS.groupsPerRound),
    summaries: list(summary, LIMITS.slotsPerMessage),
    answer: bool
  }),
  /** "Which keys do you have of this slot?" */
  list: struct({ slot: u16, replicas: u8, after: optional(blockKeyCodec) }),
  listing: struct({
    slot: u16,
    replicas: u8,
    fingerprint: hex(FINGERPRINT_BYTES),
    entries: list(struct({ key: blockKeyCodec, size: varint, claims: hex(8) }), LIMITS.pageKeys),
    more: bool
  }),
  /** "I hold these besides what I must; do you have all of them?" */
  offer: struct({ summaries: list(summary, LIMITS.slotsPerMessage) }),
  /** "All that you offered of these, by these fingerprints, is here." */
  settled: struct({ summaries: list(summary, LIMITS.slotsPerMessage) })
}
export const COMPARE_TAGS = {
  ...{ compare: 20, agree: 21, groups: 22, slots: 23, list: 24, listing: 25, offer: 26, settled: 27 }
} as const

export type CompareMessage = {
  [K in keyof typeof COMPARE_MESSAGES]: { type: K } & Decoded<(typeof COMPARE_MESSAGES)[K]>
}[keyof typeof COMPARE_MESSAGES]

export type CompareAction =
  | { type: 'send'; to: PeerId; message: CompareMessage }
  /** List what this store has of a slot, after a key; answer with `listed`. */
  | { type: 'list-slot'; token: number; slot: number; after: BlockKey | undefined; limit: number }
  /** See which of these the store has; answer with `looked-up`. */
  | { type: 'look-up'; token: number; keys: BlockKey[] }
  /** These are missing here, and this member has them. For repair to decide. */
  | { type: 'missing'; from: PeerId; slot: number; replicas: number; entries: Listed[] }

/** A block as another member lists it. */
export interface Listed {
  key: BlockKey
  size: number
  /** `claimsDigest` of its claims there. */
  claims: string
}

/** (slot, N) as one number. */
type Place = number
const placeOf = ({ slot, replicas }: { slot: number; replicas: number }): Place => replicas * SLOTS + slot

interface Peer {
  id: PeerId
  /** Places that we share and that differ, or were never compared; what the peer has there, if known. */
  differing: Map<Place, SlotSummary | undefined>
  /** Round under way and when it is given up. */
  round: number | undefined
  roundUntilMs: number
  comparedMs: number
  /** The version of our data and view at the last agreement. */
  agreedVersion: number
  /** Places whose keys are to be listed, and those being listed. */
  toList: Map<Place, { offered: boolean }>
  listing: Map<Place, { offered: boolean; missing: boolean; untilMs: number }>
}

export interface Reconciler {
  readonly self: PeerId
  readonly config: DataConfig
  readonly sha256: Crypto['sha256']
  /** What this member holds, by place. */
  readonly mine: Map<Place, SlotSummary>
  readonly peers: Map<PeerId, Peer>
  /** Places held besides what must be held: who has said that it holds all of it, by our fingerprint. */
  readonly strays: Map<Place, { fingerprint: string; settled: Set<PeerId> }>
  /** Acting holders of each of our places when we last looked, to see whom a change made new. */
  readonly knownActing: Map<Place, readonly PeerId[]>
  /** Rises with each change of `mine` or of the view. */
  version: number
  viewVersion: number
  nextRound: number
  lastTurnMs: number
  nextTurnMs: number
  /** Pages being read for others, and keys being looked up, by token. */
  readonly pages: Map<number, { to: PeerId; slot: number; replicas: number }>
  readonly lookups: Map<
    number,
    { from: PeerId; place: Place; entries: Listed[]; more: boolean; fingerprint: string }
  >
  nextToken: number
}

export function createReconciler(self: PeerId, config: DataConfig, sha256: Crypto['sha256']): Reconciler {
  const maps = { mine: new Map(), peers: new Map(), strays: new Map(), knownActing: new Map() }
  const tokens = { pages: new Map(), lookups: new Map(), nextToken: 1 }
  return {
    self,
    config,
    sha256,
    ...maps,
    version: 0,
    viewVersion: -1,
    nextRound: 1,
    lastTurnMs: Number.NEGATIVE_INFINITY,
    nextTurnMs: 0,
    ...tokens
  }
}

/** Takes what the store says of slots that changed. */
export function onSummaries(state: Reconciler, holders: Holders, summaries: readonly SlotSummary[]): void {
  for (const value of summaries) {
    const place = placeOf(value)
    if (value.blocks === 0) {
      state.mine.delete(place)
      state.strays.delete(place)
      state.knownActing.delete(place)
    } else {
      state.mine.set(place, value)
      look(state, holders, place, value)
    }
  }
  if (summaries.length > 0) touch(state)
}

/** Something changed: the next turn is due as soon as turns may be. */
function touch(state: Reconciler): void {
  state.version++
  state.nextTurnMs = Math.min(state.nextTurnMs, state.lastTurnMs + state.config.compareIntervalMs)
}

/** Sees whether a place is ours to hold, and whom it is shared with. */
function look(state: Reconciler, holders: Holders, place: Place, value: SlotSummary): void {
  const acting = actingHolders(holders, value.slot, value.replicas)
  const before = state.knownActing.get(place)
  if (!acting.includes(state.self)) {
    const stray = state.strays.get(place)
    if (stray?.fingerprint !== value.fingerprint) {
      state.strays.set(place, { fingerprint: value.fingerprint, settled: new Set() })
    }
  } else state.strays.delete(place)
  if (before === acting) return
  state.knownActing.set(place, acting)
  for (const peer of acting) {
    if (peer === state.self || before?.includes(peer)) continue
    peerOf(state, peer).differing.set(place, undefined) // new here: nothing is known until it is compared
  }
}

/** Takes a changed view of who holds what. */
export function onView(state: Reconciler, holders: Holders): void {
  if (state.viewVersion === holders.version) return
  state.viewVersion = holders.version
  touch(state)
  for (const [place, value] of state.mine) look(state, holders, place, value)
  for (const [id, peer] of state.peers) {
    if (!holders.standing.get(id)?.living) {
      state.peers.delete(id)
      for (const { settled } of state.strays.values()) settled.delete(id)
      continue
    }
    for (const place of peer.differing.keys()) {
      const slot = place % SLOTS
      if (!actingHolders(holders, slot, Math.floor(place / SLOTS)).includes(id)) peer.differing.delete(place)
    }
  }
}

export function peerOf(state: Reconciler, id: PeerId): Peer {
  let peer = state.peers.get(id)
  if (peer === undefined) {
    const times = {
      round: undefined,
      roundUntilMs: 0,
      comparedMs: Number.NEGATIVE_INFINITY,
      agreedVersion: -1
    }
    peer = { id, differing: new Map(), ...times, toList: new Map(), listing: new Map() }
    state.peers.set(id, peer)
  }
  return peer
}

/** Begins the comparison that is due next, and asks for the listings that there is room for. */
export function reconcileTick(
  state: Reconciler,
  holders: Holders,
  members: readonly PeerId[],
  nowMs: number
): CompareAction[] {
  onView(state, holders)
  const actions: CompareAction[] = []
  for (const id of members) actions.push(...askListings(peerOf(state, id), nowMs))
  if (nowMs < state.nextTurnMs) return actions
  state.lastTurnMs = nowMs
  const peer = nextPeer(state, members, nowMs)
  if (peer !== undefined) actions.push(...beginRound(state, holders, peer, nowMs))
  let dueMs = nowMs + state.config.compareIdleMs
  for (const id of members) dueMs = Math.min(dueMs, dueFor(state, peerOf(state, id)))
  state.nextTurnMs = Math.max(dueMs, nowMs + state.config.compareIntervalMs)
  return actions
}

function beginRound(state: Reconciler, holders: Holders, peer: Peer, nowMs: number): CompareAction[] {
  peer.comparedMs = nowMs
  peer.round = state.nextRound++
  peer.roundUntilMs = nowMs + state.config.compareTimeoutMs
  const root = rootWith(state, holders, peer.id)
  const compare = { type: 'compare', round: peer.round, root } as const
  const actions: CompareAction[] = [{ type: 'send', to: peer.id, message: compare }]
  const offer = offerTo(state, holders, peer.id)
  if (offer.length > 0)
    actions.push({ type: 'send', to: peer.id, message: { type: 'offer', summaries: offer } })
  return actions
}

/** When a member is next to be compared with: soon if it differs or has not seen our latest, else idly. */
function dueFor({ config, version }: Reconciler, peer: Peer): number {
  const { compareIntervalMs, compareChangedMs, compareIdleMs } = config
  const changed = peer.agreedVersion === version ? compareIdleMs : compareChangedMs
  const dueMs = peer.comparedMs + (peer.differing.size > 0 ? compareIntervalMs : changed)
  return peer.round === undefined ? dueMs : Math.max(dueMs, peer.roundUntilMs)
}

/** Of those that are due, the one that has waited longest. */
function nextPeer(state: Reconciler, members: readonly PeerId[], nowMs: number): Peer | undefined {
  let best: Peer | undefined
  for (const id of members) {
    const peer = peerOf(state, id)
    if (dueFor(state, peer) > nowMs) continue
    if (best === undefined || peer.comparedMs < best.comparedMs) best = peer
  }
  return best
}

/** Our places shared with a member, in the order of slots: what the hashes are taken over. */
function sharedWith(
  state: Reconciler,
  holders: Holders,
  peer: PeerId,
  groups?: ReadonlySet<number>
): SlotSummary[] {
  const shared: SlotSummary[] = []
  for (const value of state.mine.values()) {
    if (groups !== undefined && !groups.has(groupOf(value.slot))) continue
    const acting = actingHolders(holders, value.slot, value.replicas)
    if (acting.includes(state.self) && acting.includes(peer)) shared.push(value)
  }
  return shared.sort((a, b) => a.slot - b.slot || a.replicas - b.replicas)
}

function groupOf(slot: number): number {
  return Math.floor(slot / GROUP_SLOTS)
}

function groupDigests(state: Reconciler, holders: Holders, peer: PeerId): Uint8Array {
  const parts: Uint8Array[][] = Array.from({ length: GROUPS }, () => [])
  for (const { slot, replicas, fingerprint } of sharedWith(state, holders, peer)) {
    parts[groupOf(slot)]?.push(Uint8Array.of(slot >> 8, slot & 255, replicas), fromHex(fingerprint))
  }
  const digests = new Uint8Array(GROUPS * GROUP_DIGEST_BYTES)
  parts.forEach((part, group) => {
    if (part.length === 0) return // a group with nothing in it is all zeros
    const digest = state.sha256(concat(part)).subarray(0, GROUP_DIGEST_BYTES)
    digests.set(digest, group * GROUP_DIGEST_BYTES)
  })
  return digests
}

function rootWith(state: Reconciler, holders: Holders, peer: PeerId): string {
  const digests = groupDigests(state, holders, peer)
  return toHex(state.sha256(concat([toUtf8('cairn-compare/1'), digests])).subarray(0, FINGERPRINT_BYTES))
}

/** What we hold besides and this member, one of the holders, has not yet said that it has. */
function offerTo(state: Reconciler, holders: Holders, peer: PeerId): SlotSummary[] {
  const offer: SlotSummary[] = []
  for (const [place, { settled }] of state.strays) {
    if (offer.length === LIMITS.slotsPerMessage) break
    const value = state.mine.get(place)
    if (value === undefined || settled.has(peer)) continue
    if (actingHolders(holders, value.slot, value.replicas).includes(peer)) offer.push(value)
  }
  return offer
}

/** Handles one message of a comparison. */
export function onCompareMessage(
  state: Reconciler,
  holders: Holders,
  from: PeerId,
  message: CompareMessage,
  nowMs: number
): CompareAction[] {
  const peer = peerOf(state, from)
  const send = (answer: CompareMessage): CompareAction[] => [{ type: 'send', to: from, message: answer }]
  onView(state, holders)
  switch (message.type) {
    case 'compare': {
      if (rootWith(state, holders, from) === message.root) {
        agreed(state, peer)
        return send({ type: 'agree', round: message.round })
      }
      return send({ type: 'groups', round: message.round, digests: groupDigests(state, holders, from) })
    }
    case 'agree':
      if (message.round === peer.round) agreed(state, peer)
      return []
    case 'groups': {
      if (message.round !== peer.round) return []
      peer.roundUntilMs = nowMs + state.config.compareTimeoutMs
      const groups = differingGroups(groupDigests(state, holders, from), message.digests)
      const summaries = slotsIn(state, holders, from, groups)
      return send({ type: 'slots', round: message.round, groups, summaries, answer: true })
    }
    case 'slots': {
      compareSlots(state, holders, peer, message)
      if (!message.answer) {
        if (message.round === peer.round) peer.round = undefined
        return askListings(peer, nowMs)
      }
      const summaries = slotsIn(state, holders, from, message.groups)
      const { round, groups } = message
      return [
        ...send({ type: 'slots', round, groups, summaries, answer: false }),
        ...askListings(peer, nowMs)
      ]
    }
    case 'list':
      return serveList(state, from, message)
    case 'listing':
      return onListing(state, peer, message)
    case 'offer':
      return onOffer(state, holders, peer, message.summaries, nowMs)
    case 'settled':
      for (const value of message.summaries) {
        const stray = state.strays.get(placeOf(value))
        if (stray?.fingerprint === value.fingerprint) stray.settled.add(from)
      }
      return []
  }
}

function agreed(state: Reconciler, peer: Peer): void {
  peer.round = undefined
  peer.agreedVersion = state.version
  peer.differing.clear()
}

function differingGroups(mine: Uint8Array, theirs: Uint8Array): number[] {
  const differing: number[] = []
  for (let group = 0; group < GROUPS && differing.length < LIMITS.groupsPerRound; group++) {
    for (let i = group * GROUP_DIGEST_BYTES; i < (group + 1) * GROUP_DIGEST_BYTES; i++) {
      if (mine[i] === theirs[i]) continue
      differing.push(group)
      break
    }
  }
  return differing
}

function slotsIn(
  state: Reconciler,
  holders: Holders,
  peer: PeerId,
  groups: readonly number[]
): SlotSummary[] {
  return sharedWith(state, holders, peer, new Set(groups)).slice(0, LIMITS.slotsPerMessage)
}

/** Notes where a member's slots differ from ours, and which of its keys we must list. */
function compareSlots(
  state: Reconciler,
  holders: Holders,
  peer: Peer,
  message: { groups: readonly number[]; summaries: readonly SlotSummary[] }
): void {
  const groups = new Set(message.groups)
  const theirs = new Map(message.summaries.map((value) => [placeOf(value), value]))
  for (const value of sharedWith(state, holders, peer.id, groups)) {
    if (!theirs.has(placeOf(value))) peer.differing.set(placeOf(value), undefined)
  }
  for (const [place, value] of theirs) {
    if (state.mine.get(place)?.fingerprint === value.fingerprint) {
      peer.differing.delete(place)
      continue
    }
    if (!groups.has(groupOf(value.slot))) continue
    const acting = actingHolders(holders, value.slot, value.replicas)
    if (!acting.includes(peer.id)) continue
    peer.differing.set(place, value)
    if (acting.includes(state.self)) queueList(peer, place, false)
  }
}

function queueList(peer: Peer, place: Place, offered: boolean): void {
  if (peer.listing.has(place) || peer.toList.size >= LIMITS.listQueue) return
  peer.toList.set(place, { offered: offered || peer.toList.get(place)?.offered === true })
}

function askListings(peer: Peer, nowMs: number): CompareAction[] {
  for (const [place, { untilMs }] of peer.listing) if (untilMs <= nowMs) peer.listing.delete(place)
  const actions: CompareAction[] = []
  for (const [place, { offered }] of peer.toList) {
    if (peer.listing.size >= LIMITS.listsPerMember) break
    peer.toList.delete(place)
    peer.listing.set(place, { offered, missing: false, untilMs: nowMs + LISTING_TIMEOUT_MS })
    const [slot, replicas] = [place % SLOTS, Math.floor(place / SLOTS)]
    actions.push({ type: 'send', to: peer.id, message: { type: 'list', slot, replicas, after: undefined } })
  }
  return actions
}

/** A listing lost on the way frees its place after this. As long as a comparison may take. */
const LISTING_TIMEOUT_MS = 5_000

function serveList(
  state: Reconciler,
  to: PeerId,
  { slot, replicas, after }: { slot: number; replicas: number; after: BlockKey | undefined }
): CompareAction[] {
  if (state.pages.size >= LIMITS.pagesServed) return []
  const token = state.nextToken++
  state.pages.set(token, { to, slot, replicas })
  return [{ type: 'list-slot', token, slot, after, limit: LIMITS.pageKeys }]
}

/** The store's answer to `list-slot`: the page goes out. A slot listed in part has `more`. */
export function onListed(
  state: Reconciler,
  listed: { token: number; entries: readonly (Listed & { replicas: number })[] }
): CompareAction[] {
  const page = state.pages.get(listed.token)
  if (page === undefined) return []
  state.pages.delete(listed.token)
  const { to, slot, replicas } = page
  const fingerprint = state.mine.get(placeOf(page))?.fingerprint ?? '00'.repeat(FINGERPRINT_BYTES)
  const more = listed.entries.length === LIMITS.pageKeys
  const last = listed.entries.at(-1)
  const entries = listed.entries.filter((entry) => entry.replicas === replicas || (more && entry === last))
  return [{ type: 'send', to, message: { type: 'listing', slot, replicas, fingerprint, entries, more } }]
}

function onListing(
  state: Reconciler,
  peer: Peer,
  message: CompareMessage & { type: 'listing' }
): CompareAction[] {
  const place = placeOf(message)
  if (!peer.listing.has(place)) return []
  const token = state.nextToken++
  const { entries, more, fingerprint } = message
  state.lookups.set(token, { from: peer.id, place, entries, more, fingerprint })
  return [{ type: 'look-up', token, keys: entries.map(({ key }) => key) }]
}

/** The store's answer to `look-up`: what is missing or differs is to be repaired; the next page is asked for. */
export function onLookedUp(
  state: Reconciler,
  result: { token: number; found: ReadonlyMap<BlockKey, { claims: string }> },
  nowMs: number
): CompareAction[] {
  const looked = state.lookups.get(result.token)
  state.lookups.delete(result.token)
  const peer = looked && state.peers.get(looked.from)
  const listing = looked && peer?.listing.get(looked.place)
  if (looked === undefined || peer === undefined || listing === undefined) return []
  const { place, entries, more, fingerprint, from } = looked
  const [slot, replicas] = [place % SLOTS, Math.floor(place / SLOTS)]
  const missing = entries.filter(({ key, claims }) => result.found.get(key)?.claims !== claims)
  const actions: CompareAction[] = []
  if (missing.length > 0) actions.push({ type: 'missing', from, slot, replicas, entries: missing })
  listing.missing ||= missing.length > 0
  const last = entries.at(-1)
  if (more && last !== undefined) {
    listing.untilMs = nowMs + LISTING_TIMEOUT_MS
    actions.push({ type: 'send', to: from, message: { type: 'list', slot, replicas, after: last.key } })
    return actions
  }
  peer.listing.delete(place)
  if (listing.offered && !listing.missing) {
    const summaries = [{ slot, replicas, fingerprint, blocks: 0, bytes: 0 }]
    actions.push({ type: 'send', to: from, message: { type: 'settled', summaries } })
  }
  return [...actions, ...askListings(peer, nowMs)]
}

/** What a member holds besides: what we must hold of it, and do not hold alike, we list. */
function onOffer(
  state: Reconciler,
  holders: Holders,
  peer: Peer,
  summaries: readonly SlotSummary[],
  nowMs: number
): CompareAction[] {
  const alike: SlotSummary[] = []
  for (const value of summaries) {
    if (!actingHolders(holders, value.slot, value.replicas).includes(state.self)) continue
    if (state.mine.get(placeOf(value))?.fingerprint === value.fingerprint) alike.push(value)
    else queueList(peer, placeOf(value), true)
  }
  const actions = askListings(peer, nowMs)
  if (alike.length > 0) {
    actions.push({ type: 'send', to: peer.id, message: { type: 'settled', summaries: alike } })
  }
  return actions
}

export function reconcileDeadline(state: Reconciler): number {
  let next = state.nextTurnMs
  for (const { listing } of state.peers.values()) {
    for (const { untilMs } of listing.values()) next = Math.min(next, untilMs)
  }
  return next
}
