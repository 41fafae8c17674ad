/**
 * One round of comparing: from a root that differs to 256 groups of slots, to the 16 parts of those that
 * differ, to marks of the slots in parts that differ, and to the fingerprints of the slots that do. So each
 * difference costs some 300 bytes, whatever the number of blocks. Both sides learn it; and while neither
 * changes, the next round is two short messages.
 */
import type { PeerId } from './block.ts'
import {
  type CompareAction,
  fromPlace,
  GROUP_SLOTS,
  groupOf,
  type MessageOf,
  type Place,
  placeOf,
  type Span
} from './compare.ts'
import { FINGERPRINT_BYTES, type SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders } from './holders.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { queueList, wasListed } from './listing.ts'
import type { Reconciler } from './reconcile.ts'
import {
  cursorAfter,
  differingParts,
  differingSpans,
  digestsWith,
  fitting,
  isSameGroup,
  isSound,
  markOf,
  type Peer,
  partDigests,
  rootOf,
  sharedIn,
  summariesIn
} from './shared.ts'

/** What all that differs was, is asked anew after this: nothing is true for ever. A guess. */
const KNOWN_MS = 30_000
/** Who has more in a slot is asked within this. Above a round and a listing. A guess. */
const MORE_MS = 1_000
const NO_FINGERPRINT = '00'.repeat(FINGERPRINT_BYTES)

export interface RoundScene {
  state: Reconciler
  holders: Holders
  peer: Peer
  nowMs: number
}

function sharing({ state, peer }: RoundScene, group: number) {
  return { self: state.self, sha256: state.sha256, peer: peer.id, group }
}

/** The peer's groups, in answer to our root: those that differ are gone into. */
export function onGroups(scene: RoundScene, message: MessageOf<'groups'>): CompareAction[] {
  const { state, holders, peer, nowMs } = scene
  const { round } = peer
  if (round === undefined || message.round !== round.id || round.awaits !== 'groups') return []
  const { digests, root: mine } = digestsWith(state, holders, {
    self: state.self,
    sha256: state.sha256,
    peer
  })
  const theirs = rootOf(message.digests, state.sha256)
  if (peer.sweep?.mine !== mine || peer.sweep.theirs !== theirs) {
    peer.sweep = { mine, theirs, from: peer.cursor, wraps: 0 }
  }
  round.awaits = 'marks'
  round.untilMs = nowMs + state.config.compareTimeoutMs
  round.wanted = differingSpans(digests, message.digests, peer.cursor)
  dropWhere(peer, (place) => isSameGroup(digests, message.digests, groupOf(fromPlace(place).slot)))
  round.touched.clear()
  const groups = round.wanted.spans.map(({ from }) => {
    const group = groupOf(from)
    return { group, digests: partDigests(state, holders, sharing(scene, group)) }
  })
  const from = round.wanted.spans[0]?.from ?? 0
  return [{ type: 'send', to: peer.id, message: { type: 'parts', round: round.id, from, groups } }]
}

/** The hashes of a peer's parts: what we share in those that differ is told. */
export function onParts(scene: RoundScene, message: MessageOf<'parts'>): CompareAction[] {
  const { state, holders, peer } = scene
  const { answering } = peer
  if (answering?.round !== message.round || answering.awaits !== 'parts') return []
  const spans: Span[] = []
  message.groups.forEach(({ group, digests: theirs }, i) => {
    const mine = partDigests(state, holders, sharing(scene, group))
    spans.push(...differingParts(group, { mine, theirs }, i === 0 ? message.from : 0))
  })
  if (!isSound(spans)) return []
  answering.awaits = 'slots'
  answering.touched.clear()
  const { summaries, ...told } = summariesIn(state, holders, { self: state.self, peer: peer.id, spans })
  const marks = summaries.map(({ slot, replicas, fingerprint }) => {
    return { slot, replicas, mark: markOf(fingerprint, message.round) }
  })
  return [{ type: 'send', to: peer.id, message: { type: 'marks', round: message.round, ...told, marks } }]
}

/** Marks of what the peer shares with us: where ours are others, we say what we have. */
export function onMarks(scene: RoundScene, message: MessageOf<'marks'>): CompareAction[] {
  const { state, peer, nowMs } = scene
  const { round } = peer
  if (round === undefined || message.round !== round.id || round.awaits !== 'marks') return []
  if (!isSound(message.spans)) return []
  round.awaits = 'slots'
  round.untilMs = nowMs + state.config.compareTimeoutMs
  const differ = differingIn(scene, message)
  const bySlot = (span: Span) => differ.filter(({ slot }) => slot >= span.from && slot <= span.to)
  const told = fitting(message.spans, LIMITS.slotsPerMessage, bySlot)
  const here = new Set(differ.map(placeOf))
  const isTold = inSpans(told.spans)
  const { wanted } = round
  const isLookedInto = message.all && told.all ? inSpans(wanted.spans) : isTold
  dropWhere(peer, (place) => isLookedInto(fromPlace(place).slot) && !here.has(place), round.touched)
  moveOn(peer, round, message.all && told.all ? wanted : { spans: told.spans, round: false })
  const { spans, summaries } = told
  const slots = {
    type: 'slots',
    round: round.id,
    spans,
    summaries,
    answer: true,
    whole: round.whole
  } as const
  return [{ type: 'send', to: peer.id, message: slots }]
}

/** Our summaries of the places where marks differ; without blocks where we have nothing. */
function differingIn(scene: RoundScene, { round, spans, marks }: MessageOf<'marks'>): SlotSummary[] {
  const { state, holders, peer } = scene
  const isIn = inSpans(spans)
  const theirs = new Map(marks.filter(({ slot }) => isIn(slot)).map((one) => [placeOf(one), one.mark]))
  const differ: SlotSummary[] = []
  for (const group of new Set(spans.map(({ from }) => groupOf(from)))) {
    for (const value of sharedIn(state, holders, sharing(scene, group))) {
      const place = placeOf(value)
      if (isIn(value.slot) && theirs.get(place) !== markOf(value.fingerprint, round)) differ.push(value)
      theirs.delete(place)
    }
  }
  for (const place of theirs.keys()) {
    const value = state.mine.get(place) ?? nothingAt(place)
    if (value.blocks === 0 && areActing(holders, value, [state.self, peer.id])) differ.push(value)
  }
  return differ.sort((a, b) => a.slot - b.slot || a.replicas - b.replicas)
}

function nothingAt(place: Place): SlotSummary {
  return { ...fromPlace(place), fingerprint: NO_FINGERPRINT, blocks: 0, bytes: 0 }
}

/** Where the next round goes on, and whether this one ends a look at all. */
function moveOn(
  peer: Peer,
  round: NonNullable<Peer['round']>,
  done: { spans: Span[]; round: boolean }
): void {
  const isRound = done.round || done.spans.some(({ from }) => from < peer.cursor)
  const isAll = done.round && done.spans.every(({ from }) => from % GROUP_SLOTS === 0)
  peer.cursor = cursorAfter(done.spans, peer.cursor)
  const { sweep } = peer
  if (sweep !== undefined) {
    if (isRound) sweep.wraps++
    round.whole = isAll || sweep.wraps > 1 || (sweep.wraps === 1 && peer.cursor >= sweep.from)
  }
  if (isRound) swept(peer)
}

/** A look at all that differs is over: without anything to list, the next is not so urgent. */
export function swept(peer: Peer): void {
  peer.fruitless = peer.foundSome ? 0 : peer.fruitless + 1
  peer.foundSome = false
}

/**
 * What the other has where we differ. `answer`: ours is wanted, too.
 * @returns undefined when it answers nothing
 */
export function onSlots(scene: RoundScene, message: MessageOf<'slots'>): CompareAction[] | undefined {
  const { state, holders, peer, nowMs } = scene
  const { round, spans, answer } = message
  const { answering } = peer
  const isAsked = answer
    ? answering?.round === round && answering.awaits === 'slots'
    : peer.round?.id === round && peer.round.awaits === 'slots'
  if (!isAsked || !isSound(spans)) return undefined
  const isIn = inSpans(spans)
  const there = message.summaries.filter(({ slot }) => isIn(slot))
  const listed = new Set(there.map(placeOf))
  if (answer) {
    const isSame = (place: Place): boolean => isIn(fromPlace(place).slot) && !listed.has(place)
    dropWhere(peer, isSame, answering?.touched)
  }
  for (const value of there) compareOne(scene, value)
  const untilMs = nowMs + KNOWN_MS
  if (!answer) {
    if (peer.round?.whole && peer.sweep) peer.known = { root: peer.sweep.theirs, untilMs }
    return []
  }
  if (message.whole && answering) peer.known = { root: answering.root, untilMs }
  peer.answering = undefined
  peer.comparedMs = nowMs // this was as good as a round of our own
  const summaries = there
    .filter((value) => areActing(holders, value, [state.self, peer.id]))
    .map((value) => state.mine.get(placeOf(value)) ?? nothingAt(placeOf(value)))
  const slots = { type: 'slots', round, spans, summaries, answer: false, whole: false } as const
  return [{ type: 'send', to: peer.id, message: slots }]
}

function compareOne(scene: RoundScene, theirs: SlotSummary): void {
  const { state, holders, peer } = scene
  const place = placeOf(theirs)
  const mine = state.mine.get(place)
  if ((mine?.fingerprint ?? NO_FINGERPRINT) === theirs.fingerprint) {
    peer.differing.delete(place)
    peer.changed.delete(place)
    return
  }
  if (!areActing(holders, theirs, [state.self, peer.id])) return
  markDiffering(peer, place, theirs.blocks === 0 ? undefined : theirs)
  queueMissing(scene, theirs)
}

/**
 * What may be missing here of what it has is listed, unless it was a moment ago. Who has more waits for a
 * while: most likely the other lacks some, asks for those, and says with that whether there is anything else.
 */
export function queueMissing({ state, holders, peer, nowMs }: RoundScene, theirs: SlotSummary): void {
  const place = placeOf(theirs)
  const { blocks, fingerprint } = theirs
  if (!wantsList(state, holders, peer, theirs) || wasListed(peer, place, fingerprint, nowMs)) return
  if ((state.mine.get(place)?.blocks ?? 0) > blocks && peer.listed.get(place)?.fingerprint !== fingerprint) {
    if (peer.listed.size >= LIMITS.placesPerMember) peer.listed.clear()
    peer.listed.set(place, { fingerprint, untilMs: nowMs + MORE_MS })
    return
  }
  if (queueList(peer, { place, blocks: theirs.blocks }, false)) peer.foundSome = true
}

function inSpans(spans: readonly Span[]): (slot: number) => boolean {
  const byGroup = new Map<number, Span[]>()
  for (const span of spans) {
    const group = groupOf(span.from)
    const known = byGroup.get(group)
    if (known === undefined) byGroup.set(group, [span])
    else known.push(span)
  }
  return (slot) => byGroup.get(groupOf(slot))?.some(({ from, to }) => slot >= from && slot <= to) === true
}

/** These are the same there, but for those that changed here meanwhile. */
function dropWhere(
  { differing, changed }: Peer,
  isSame: (place: Place) => boolean,
  touched: ReadonlySet<Place> = new Set()
): void {
  for (const places of [differing, changed]) {
    for (const place of places.keys()) if (isSame(place) && !touched.has(place)) places.delete(place)
  }
}

export function areActing(
  holders: Holders,
  { slot, replicas }: SlotSummary,
  ids: readonly PeerId[]
): boolean {
  const acting = actingHolders(holders, slot, replicas)
  return ids.every((id) => acting.includes(id))
}

/** Whether it may have something that we lack: we pull nothing while full, and nothing twice. */
export function wantsList(state: Reconciler, holders: Holders, peer: Peer, theirs: SlotSummary): boolean {
  if (theirs.blocks === 0 || holders.standing.get(state.self)?.full !== false) return false
  return peer.covered.get(placeOf(theirs)) !== theirs.fingerprint
}

export function markDiffering(peer: Peer, place: Place, theirs: SlotSummary | undefined): void {
  if (!peer.differing.has(place) && peer.differing.size >= LIMITS.placesPerMember) {
    forgetKnown(peer)
    return
  }
  peer.differing.set(place, theirs)
  peer.changed.delete(place)
}

/** All that differs is to be told again. */
export function forgetKnown(peer: Peer): void {
  peer.known = undefined
  peer.sweep = undefined
}
