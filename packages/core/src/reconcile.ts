/**
 * Comparing: how two members find what differs between them at the cost of the difference (Demers et
 * al. 1987: anti-entropy). They exchange one hash of all slots that they share; where it differs, they go
 * down to the slots that differ (`round.ts`), and then list their keys, in bounded pages. Pull only: each
 * learns what it lacks itself and never what to send.
 *
 * What a member holds besides (written to it as a stand-in, or kept since before somebody joined) it
 * offers to the slot's holders until each has said that it holds all of it.
 */
import type { BlockKey, PeerId } from './block.ts'
import {
  type CompareAction,
  type CompareMessage,
  fromPlace,
  groupOf,
  type Place,
  placeOf
} from './compare.ts'
import type { Crypto } from './crypto.ts'
import type { SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders, livingMembers } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'
import {
  askListings,
  createListings,
  forgetListings,
  type Listings,
  listingDeadline,
  onListing,
  queueList,
  serveList,
  wasListed
} from './listing.ts'
import {
  areActing,
  forgetKnown,
  markDiffering,
  onGroups,
  onMarks,
  onParts,
  onSlots,
  queueMissing,
  swept,
  wantsList
} from './round.ts'
import { createHeld, createPeer, digestsWith, type Held, type Peer } from './shared.ts'

export interface Reconciler extends Held {
  readonly self: PeerId
  readonly config: DataConfig
  readonly sha256: Crypto['sha256']
  readonly peers: Map<PeerId, Peer>
  readonly listings: Listings
  /** Places held besides: who said that it holds all of it, by our fingerprint, and when. */
  readonly strays: Map<Place, { fingerprint: string; settled: Map<PeerId, number> }>
  /** Acting holders of each of our places when we last looked, to see whom a change made new. */
  readonly knownActing: Map<Place, readonly PeerId[]>
  /** Rises with each change of what we hold or of the view. */
  version: number
  viewVersion: number
  nextRound: number
  lastTurnMs: number
  nextTurnMs: number
}

export function createReconciler(
  self: PeerId,
  config: DataConfig,
  sha256: Crypto['sha256'],
  nowMs: number
): Reconciler {
  const maps = { peers: new Map(), strays: new Map(), knownActing: new Map() }
  const counters = { version: 0, viewVersion: -1, nextRound: 1 }
  const lists = { ...createHeld(), listings: createListings() }
  const turns = { nextTurnMs: nowMs, lastTurnMs: nowMs - config.compareIntervalMs }
  return { self, config, sha256, ...lists, ...maps, ...counters, ...turns }
}

/** Takes what the store says of slots that changed. */
export function onSummaries(state: Reconciler, holders: Holders, summaries: readonly SlotSummary[]): void {
  if (summaries.length === 0) return
  touch(state)
  for (const value of summaries) {
    const place = placeOf(value)
    const group = groupOf(value.slot)
    const before = state.mine.get(place)
    for (const peer of state.peers.values()) peer.outdated.add(group)
    if ((before?.blocks ?? 0) > value.blocks) uncover(state, place)
    if (value.blocks === 0) {
      state.mine.delete(place)
      state.byGroup[group]?.delete(place)
      state.strays.delete(place)
      state.knownActing.delete(place)
      for (const peer of state.peers.values()) peer.changed.delete(place)
    } else {
      state.mine.set(place, value)
      state.byGroup[group]?.add(place)
      look(state, holders, place, value)
      for (const peer of state.peers.values()) noteChanged(state, peer, place, value.fingerprint)
    }
  }
}

/** Until it is compared again, nobody is known to have what is new in a place, but who said it has this. */
function noteChanged(state: Reconciler, peer: Peer, place: Place, fingerprint: string): void {
  peer.round?.touched.add(place)
  peer.answering?.touched.add(place)
  if (peer.differing.get(place)?.fingerprint === fingerprint) {
    peer.differing.delete(place)
    if (peer.differing.size === 0) peer.fruitless = 0 // it should know soon, too
    return
  }
  if (peer.differing.has(place) || peer.changed.size >= LIMITS.placesPerMember) return
  if (state.knownActing.get(place)?.includes(peer.id)) peer.changed.set(place, state.version)
}

/** A copy was lost: what others have of the slot is no longer known to be here. */
export function uncover(state: Reconciler, place: Place): void {
  for (const peer of state.peers.values()) {
    peer.covered.delete(place)
    peer.listed.delete(place)
    forgetKnown(peer)
  }
}

/** A block came for good from a member, with the claims that it had. */
export function onTaken(state: Reconciler, from: PeerId, key: BlockKey): void {
  const known = state.peers.get(from)?.claims.get(key)
  if (known !== undefined) known.taken = true
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
      state.strays.set(place, { fingerprint: value.fingerprint, settled: new Map() })
      for (const id of acting) {
        const peer = peerOf(state, id)
        if (peer.unheeded === 0) peer.offerDueMs = Number.NEGATIVE_INFINITY
      }
    }
  } else state.strays.delete(place)
  if (before === acting) return
  state.knownActing.set(place, acting)
  for (const peer of acting) {
    if (peer === state.self || before?.includes(peer)) continue
    markDiffering(peerOf(state, peer), place, undefined) // new here: nothing is known until it is compared
  }
}

/** Takes a changed view of who holds what. */
export function onView(state: Reconciler, holders: Holders): void {
  if (state.viewVersion === holders.version) return
  state.viewVersion = holders.version
  touch(state)
  for (const [place, value] of state.mine) look(state, holders, place, value)
  for (const [id, peer] of state.peers) {
    peer.digested = false
    forgetKnown(peer)
    peer.round = undefined
    peer.answering = undefined
    peer.fruitless = 0
    for (const places of [peer.differing, peer.changed, peer.covered, peer.listed]) {
      for (const place of places.keys()) {
        const { slot, replicas } = fromPlace(place)
        if (!actingHolders(holders, slot, replicas).includes(id)) places.delete(place)
      }
    }
  }
}

/**
 * A member may have begun a new life: its connection closed, or it has another incarnation. Its disk may be
 * another too, so that what it said of ours is to be asked again, and it is compared with next.
 */
export function reconcileDoubt(state: Reconciler, id: PeerId): void {
  const peer = state.peers.get(id)
  if (peer === undefined) return
  for (const { settled } of state.strays.values()) settled.delete(id)
  peer.agreedVersion = -1
  forgetKnown(peer)
  peer.comparedMs = Number.NEGATIVE_INFINITY
  peer.offerDueMs = Number.NEGATIVE_INFINITY
  peer.unheeded = 0
  touch(state)
}

/** A member died or left: what it said is void. */
export function reconcileForget(state: Reconciler, id: PeerId): void {
  const peer = state.peers.get(id)
  if (peer === undefined) return
  forgetListings(state.listings, peer)
  state.peers.delete(id)
  for (const { settled } of state.strays.values()) settled.delete(id)
}

export function peerOf(state: Reconciler, id: PeerId): Peer {
  let peer = state.peers.get(id)
  if (peer === undefined) {
    peer = createPeer(id)
    state.peers.set(id, peer)
  }
  return peer
}

/** Begins the comparison that is due next, and asks for the listings that there is room for. */
export function reconcileTick(
  state: Reconciler,
  holders: Holders,
  mayAsk: (peer: PeerId) => boolean,
  nowMs: number
): CompareAction[] {
  onView(state, holders)
  const actions: CompareAction[] = []
  for (const peer of state.peers.values()) {
    if (peer.toList.size + peer.listing.size === 0) continue
    actions.push(...askListings(state, peer, { mayAsk: mayAsk(peer.id), nowMs }))
  }
  if (nowMs < state.nextTurnMs) return actions
  state.lastTurnMs = nowMs
  const partners = partnersOf(state, holders)
  const peer = nextPeer(state, partners, nowMs)
  if (peer !== undefined) actions.push(...beginRound(state, holders, peer, nowMs))
  let dueMs = nowMs + state.config.compareIdleMs
  for (const partner of partners) dueMs = Math.min(dueMs, dueFor(state, partner))
  state.nextTurnMs = Math.max(dueMs, nowMs + state.config.compareIntervalMs)
  return actions
}

/** Whom to compare with: all while they are few, for what is nowhere known; else those that share places. */
function partnersOf(state: Reconciler, holders: Holders): Peer[] {
  const living = livingMembers(holders)
  if (living.length <= LIMITS.compareAll) {
    return living.filter((id) => id !== state.self).map((id) => peerOf(state, id))
  }
  return [...state.peers.values()].filter(({ id }) => holders.standing.get(id)?.living)
}

const sharing = ({ self, sha256 }: Reconciler, peer: Peer) => ({ self, sha256, peer })

function beginRound(state: Reconciler, holders: Holders, peer: Peer, nowMs: number): CompareAction[] {
  const id = state.nextRound++
  const { version, config } = state
  peer.comparedMs = nowMs
  const untilMs = nowMs + config.compareTimeoutMs
  const wanted = { spans: [], round: true }
  peer.round = { id, version, awaits: 'groups', wanted, whole: false, touched: new Set(), untilMs }
  const { root } = digestsWith(state, holders, sharing(state, peer))
  if (peer.known !== undefined && nowMs >= peer.known.untilMs) peer.known = undefined
  const compare = { type: 'compare', round: id, root, known: peer.known?.root } as const
  const actions: CompareAction[] = [{ type: 'send', to: peer.id, message: compare }]
  const offer = nowMs < peer.offerDueMs ? [] : offerTo(state, holders, peer, nowMs)
  if (offer.length > 0)
    actions.push({ type: 'send', to: peer.id, message: { type: 'offer', summaries: offer } })
  return actions
}

/** When a member is next to be compared with: soon if it differs or has not seen our latest, else idly. */
function dueFor({ config, version }: Reconciler, peer: Peer): number {
  const { compareIntervalMs, compareChangedMs, compareIdleMs } = config
  let waitMs = peer.agreedVersion === version ? compareIdleMs : Math.min(compareChangedMs, compareIdleMs)
  if (peer.differing.size > 0) {
    // A difference that leads to nothing (the other is full, or sees other members) is looked at less often.
    waitMs = Math.min(compareIntervalMs * 2 ** peer.fruitless, compareIdleMs)
  }
  const dueMs = Math.min(
    peer.comparedMs + waitMs,
    Math.max(peer.offerDueMs, peer.comparedMs + compareIntervalMs)
  )
  return peer.round === undefined ? dueMs : Math.max(dueMs, peer.round.untilMs)
}

/** Of those that are due, the one that has waited longest. */
function nextPeer(state: Reconciler, partners: readonly Peer[], nowMs: number): Peer | undefined {
  let best: Peer | undefined
  for (const peer of partners) {
    if (dueFor(state, peer) > nowMs) continue
    if (best === undefined || peer.comparedMs < best.comparedMs) best = peer
  }
  return best
}

/** What a member said that it has is offered to it again after this: nothing is true for ever. A guess. */
const SETTLED_MS = 300_000

/**
 * What we hold besides and this member, one of the holders, has not yet said that it has: in sweeps, so
 * that what it can't take does not keep the rest waiting; less and less often while it takes nothing.
 */
function offerTo(state: Reconciler, holders: Holders, peer: Peer, nowMs: number): SlotSummary[] {
  const { compareIntervalMs, compareChangedMs, compareIdleMs } = state.config
  const offer: SlotSummary[] = []
  const takes = holders.standing.get(peer.id)?.full === false
  for (const [place, { settled }] of takes ? state.strays : []) {
    if (nowMs < (settled.get(peer.id) ?? -Infinity) + SETTLED_MS || peer.offered.has(place)) continue
    const value = state.mine.get(place)
    if (value === undefined || !actingHolders(holders, value.slot, value.replicas).includes(peer.id)) continue
    if (offer.length === LIMITS.slotsPerMessage) {
      peer.offerDueMs = nowMs + compareIntervalMs
      return offer
    }
    offer.push(value)
    peer.offered.add(place)
  }
  const isIdle = peer.offered.size === 0
  peer.offered.clear()
  // With nothing to offer, a change calls: `touch` makes a turn due, and this is looked at in each.
  const waitMs = Math.min(compareChangedMs * 2 ** peer.unheeded, compareIdleMs)
  peer.offerDueMs = nowMs + (isIdle ? compareIdleMs : waitMs)
  if (!isIdle) peer.unheeded++
  return offer
}

/** Handles one message of a comparison. */
export function onCompareMessage(
  state: Reconciler,
  holders: Holders,
  { from, mayAsk }: { from: PeerId; mayAsk: boolean },
  message: CompareMessage,
  nowMs: number
): CompareAction[] {
  const peer = peerOf(state, from)
  const send = (answer: CompareMessage): CompareAction[] => [{ type: 'send', to: from, message: answer }]
  onView(state, holders)
  switch (message.type) {
    case 'compare': {
      const { round } = message
      const { root, digests } = digestsWith(state, holders, sharing(state, peer))
      if (root === message.root) {
        agreed(state, peer, state.version)
        return send({ type: 'agree', round, still: false })
      }
      if (root === message.known) return send({ type: 'agree', round, still: true })
      peer.answering = { round, root: message.root, awaits: 'parts', touched: new Set() }
      return send({ type: 'groups', round, digests: digests.slice() })
    }
    case 'agree':
      if (message.round !== peer.round?.id) return []
      if (!message.still) agreed(state, peer, peer.round.version)
      else if (peer.round.awaits === 'groups') stillDiffers(state, holders, peer, nowMs)
      endRound(state, peer)
      return askListings(state, peer, { mayAsk, nowMs })
    case 'groups':
      return onGroups({ state, holders, peer, nowMs }, message)
    case 'parts':
      return onParts({ state, holders, peer, nowMs }, message)
    case 'marks':
      return onMarks({ state, holders, peer, nowMs }, message)
    case 'slots': {
      const actions = onSlots({ state, holders, peer, nowMs }, message)
      if (actions === undefined) return []
      if (!message.answer) endRound(state, peer)
      return [...actions, ...askListings(state, peer, { mayAsk, nowMs })]
    }
    case 'list':
      return serveList(state.listings, state, from, message)
    case 'listing':
      return onListing(state.listings, peer, message, nowMs)
    case 'offer':
      return onOffer(state, holders, peer, { summaries: message.summaries, mayAsk, nowMs })
    case 'settled':
      onSettled(state, peer, message.summaries, nowMs)
      return []
  }
}

function agreed(state: Reconciler, peer: Peer, version: number): void {
  peer.fruitless = 0
  peer.agreedVersion = version
  for (const [place, at] of peer.changed) if (at <= version) peer.changed.delete(place)
  if (version === state.version) peer.differing.clear()
  endRound(state, peer)
}

/** The peer has what it had when all was told: what is missing of that here is asked for again. */
function stillDiffers(state: Reconciler, holders: Holders, peer: Peer, nowMs: number): void {
  for (const value of [...peer.differing.values()]) {
    if (value !== undefined) queueMissing({ state, holders, peer, nowMs }, value)
  }
  swept(peer)
}

/** The next turn need not wait for this round's end any more. */
function endRound(state: Reconciler, peer: Peer): void {
  peer.round = undefined
  const earliestMs = state.lastTurnMs + state.config.compareIntervalMs
  state.nextTurnMs = Math.min(state.nextTurnMs, Math.max(earliestMs, dueFor(state, peer)))
}

/** What a member holds besides: what we must hold of it, and do not hold alike, we list. */
function onOffer(
  state: Reconciler,
  holders: Holders,
  peer: Peer,
  { summaries, mayAsk, nowMs }: { summaries: readonly SlotSummary[]; mayAsk: boolean; nowMs: number }
): CompareAction[] {
  const alike: SlotSummary[] = []
  for (const value of summaries) {
    if (!areActing(holders, value, [state.self])) continue
    const place = placeOf(value)
    const has = state.mine.get(place)?.fingerprint === value.fingerprint
    if (has || peer.covered.get(place) === value.fingerprint) alike.push(value)
    else if (!wantsList(state, holders, peer, value)) continue
    else if (!wasListed(peer, place, value.fingerprint, nowMs))
      queueList(peer, { place, blocks: value.blocks }, true)
  }
  const actions = askListings(state, peer, { mayAsk, nowMs })
  if (alike.length > 0) {
    actions.push({ type: 'send', to: peer.id, message: { type: 'settled', summaries: alike } })
  }
  return actions
}

function onSettled(state: Reconciler, peer: Peer, summaries: readonly SlotSummary[], nowMs: number): void {
  for (const value of summaries) {
    const stray = state.strays.get(placeOf(value))
    if (stray?.fingerprint !== value.fingerprint) continue
    if (!stray.settled.has(peer.id)) peer.unheeded = 0
    stray.settled.set(peer.id, nowMs)
  }
}

export function reconcileDeadline(state: Reconciler): number {
  let next = state.nextTurnMs
  for (const peer of state.peers.values()) next = Math.min(next, listingDeadline(peer))
  return next
}
