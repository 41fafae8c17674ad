/**
 * How safe the data is: copies of each slot as far as members have compared. A copy counts once its
 * holder is in sync for the slot. Each slot is told by one member, the first holder that has all of it,
 * so that the members' tallies add up to the network's.
 */
import type { PeerId } from './block.ts'
import { REPLICAS_MAX } from './claim.ts'
import { list, struct, u8, varint } from './codec.ts'
import type { Place } from './compare.ts'
import type { Config } from './config.ts'
import { etaOf, rateOf } from './eta.ts'
import type { Fetches } from './fetch.ts'
import type { SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders, isDistrusted, vacantInMs } from './holders.ts'
import type { Reconciler } from './reconcile.ts'

export interface Count {
  blocks: number
  bytes: number
}

/** Blocks with a number of living copies that is below their N. */
export interface ShortCount extends Count {
  copies: number
}

export interface Tally extends Count {
  /** Those below N, fewest copies first. The rest have N or more. */
  short: ShortCount[]
  /** Of the rest: in slots that changed since some holder was last compared with, a moment ago as a rule. */
  unconfirmed: Count
  /** Blocks that this member is to fetch. */
  wanted: number
  /** Bytes a second that repair brought it lately. */
  rate: number
  /** Until the last of the dead that it knows of is made up for, ms. */
  waitMs: number
}

/** Of whom a tally is taken, and of what it is. */
export interface TallyScene {
  reconciler: Reconciler
  holders: Holders
  fetches: Fetches
}

export interface TallyAsked {
  nowMs: number
  /** As if the copies of these were lost. */
  without?: ReadonlySet<PeerId> | undefined
}

const NOBODY: ReadonlySet<PeerId> = new Set()

/** One entry for each number of copies below the largest N. */
const SHORT_MAX = REPLICAS_MAX + 1

const count = { blocks: varint, bytes: varint }
export const tallyCodec = struct({
  ...count,
  short: list(struct({ copies: u8, ...count }), SHORT_MAX),
  unconfirmed: struct(count),
  wanted: varint,
  rate: varint,
  waitMs: varint
})

/** What this member answers for. */
export function tally(scene: TallyScene, { nowMs, without = NOBODY }: TallyAsked): Tally {
  const { holders, fetches } = scene
  const total = emptyTally()
  total.wanted = fetches.wants.byKey.size
  total.rate = rateOf(fetches.repaired, nowMs)
  total.waitMs = vacantInMs(holders, nowMs)
  for (const { value, told } of toldPlaces(scene, without)) {
    add(total, value)
    if (told.below > 0) addShort(total, told.copies, portion(value, told.below))
    else if (told.unsure) add(total.unconfirmed, value)
  }
  total.short.sort((a, b) => a.copies - b.copies)
  return total
}

/**
 * Places of which this member tells that some blocks would have no copy left, in the order of their numbers.
 * Copies held besides, and those of mirrors, are in no tally: whether one is left is asked key by key.
 */
export function doomedPlaces(scene: TallyScene, without: ReadonlySet<PeerId>): Place[] {
  const doomed: Place[] = []
  for (const { place, told } of toldPlaces(scene, without)) {
    if (told.below > 0 && told.copies === 0) doomed.push(place)
  }
  return doomed.sort((a, b) => a - b)
}

/** Each place that this member answers for, and what it tells of it. */
function* toldPlaces(
  { reconciler: state, holders }: Pick<TallyScene, 'reconciler' | 'holders'>,
  without: ReadonlySet<PeerId>
): Generator<{ place: Place; value: SlotSummary; told: Told }> {
  const doubtful = doubtfulPlaces(state)
  for (const [place, value] of state.mine) {
    const all = actingHolders(holders, value.slot, value.replicas)
    const acting = holders.distrusted.size === 0 ? all : all.filter((id) => !isDistrusted(holders, id))
    if (acting.length < all.length && !acting.includes(state.self) && all.includes(state.self)) continue
    const told = !acting.includes(state.self)
      ? tellStray(state, acting, place, without)
      : doubtful.has(place)
        ? tellSlot(state, acting, { place, value, without })
        : tellAgreed(state, acting, value, without)
    if (told !== undefined) yield { place, value, told }
  }
}

interface Told {
  /** Blocks of the slot that have fewer copies than N, and how many they have at least. */
  below: number
  copies: number
  /** The slot changed, and some holder has not been compared with since. */
  unsure: boolean
}

function emptyTally(): Tally {
  return {
    blocks: 0,
    bytes: 0,
    short: [],
    unconfirmed: { blocks: 0, bytes: 0 },
    wanted: 0,
    rate: 0,
    waitMs: 0
  }
}

/** Places in which somebody differs, or was not compared with since they changed: few, as a rule. */
function doubtfulPlaces({ peers }: Reconciler): Set<number> {
  const places = new Set<number>()
  for (const { differing, changed } of peers.values()) {
    for (const place of differing.keys()) places.add(place)
    for (const place of changed.keys()) places.add(place)
  }
  return places
}

/** All that act have the same: the first of them tells. */
function tellAgreed(
  { self }: Reconciler,
  acting: readonly PeerId[],
  { blocks, replicas }: SlotSummary,
  without: ReadonlySet<PeerId>
): Told | undefined {
  if (acting[0] !== self) return undefined
  const copies = acting.length - countIn(acting, without)
  return { below: copies < replicas ? blocks : 0, copies, unsure: false }
}

function countIn(acting: readonly PeerId[], without: ReadonlySet<PeerId>): number {
  return without.size === 0 ? 0 : acting.filter((id) => without.has(id)).length
}

/** Held besides: told only if nobody who must hold it is known to have any of it. */
function tellStray(
  state: Reconciler,
  acting: readonly PeerId[],
  place: number,
  without: ReadonlySet<PeerId>
): Told | undefined {
  const settled = state.strays.get(place)?.settled.size ?? 0
  const has = (id: PeerId) => (state.peers.get(id)?.differing.get(place)?.blocks ?? 0) > 0
  if (settled > 0 || acting.some(has)) return undefined
  const { blocks, replicas } = state.mine.get(place) ?? { blocks: 0, replicas: 1 }
  const copies = without.has(state.self) ? 0 : 1
  // where one copy is enough this is no loss; whether a holder has another is about to be compared
  return { below: copies < replicas ? blocks : 0, copies, unsure: true }
}

function tellSlot(
  state: Reconciler,
  acting: readonly PeerId[],
  of: { place: number; value: SlotSummary; without: ReadonlySet<PeerId> }
): Told | undefined {
  const { place, without } = of
  const { blocks, replicas } = of.value
  const known = acting.map((id) => (id === state.self ? blocks : blocksAt(state, id, place, blocks)))
  const most = Math.max(...known)
  if (acting[known.indexOf(most)] !== state.self) return undefined
  const isWhole = (id: PeerId) => id === state.self || isInSync(state, id, place)
  const left = acting.filter((id) => !without.has(id))
  const copies = left.filter(isWhole).length
  const unsure = acting.some((id) => state.peers.get(id)?.changed.has(place))
  if (copies >= replicas) return { below: 0, copies, unsure }
  // All but the blocks that the N-th best has have fewer than N copies. Holders that have as many blocks, but
  // not the same ones or not the same claims, differ in one at least.
  const those = known.filter((_, i) => !without.has(acting[i] as PeerId))
  const nth = those.sort((a, b) => b - a)[replicas - 1] ?? 0
  return { below: Math.max(1, most - nth), copies, unsure }
}

function isInSync(state: Reconciler, id: PeerId, place: number): boolean {
  return state.peers.get(id)?.differing.has(place) === false
}

/** How many of a slot's blocks a member has: ours when in sync, what it said when not, else none. */
function blocksAt(state: Reconciler, id: PeerId, place: number, ours: number): number {
  if (isInSync(state, id, place)) return ours
  return state.peers.get(id)?.differing.get(place)?.blocks ?? 0
}

function portion({ blocks, bytes }: Count, below: number): Count {
  return { blocks: below, bytes: blocks === 0 ? 0 : Math.round((bytes * below) / blocks) }
}

function add(to: Count, { blocks, bytes }: Count): void {
  to.blocks += blocks
  to.bytes += bytes
}

function addShort(total: Tally, copies: number, amount: Count): void {
  let entry = total.short.find((one) => one.copies === copies)
  if (entry === undefined) {
    entry = { copies, blocks: 0, bytes: 0 }
    total.short.push(entry)
  }
  add(entry, amount)
}

/** The sum of what members answered. */
export function addTallies(tallies: readonly Tally[]): Tally {
  const total = emptyTally()
  for (const one of tallies) {
    add(total, one)
    add(total.unconfirmed, one.unconfirmed)
    total.wanted += one.wanted
    total.rate += one.rate
    total.waitMs = Math.max(total.waitMs, one.waitMs)
    for (const { copies, blocks, bytes } of one.short) addShort(total, copies, { blocks, bytes })
  }
  total.short.sort((a, b) => a.copies - b.copies)
  return total
}

/**
 * What this member holds besides and too few holders have said that they have: what a leaving one waits
 * for. N must have it, or, where fewer can take it, all that can.
 */
export function toHandOver(state: Reconciler, holders: Holders): Count {
  const left: Count = { blocks: 0, bytes: 0 }
  for (const [place, { settled }] of state.strays) {
    const value = state.mine.get(place)
    if (value === undefined) continue
    const acting = actingHolders(holders, value.slot, value.replicas)
    const has = acting.filter((id) => settled.has(id) && !isDistrusted(holders, id)).length
    const able = acting.filter((id) => holders.standing.get(id)?.full === false)
    const isDone = has >= value.replicas || (able.length > 0 && able.every((id) => settled.has(id)))
    if (!isDone) add(left, value)
  }
  return left
}

/** Living members that can take blocks. */
export function takersIn(holders: Holders): PeerId[] {
  return [...holders.standing].flatMap(([id, { living, full }]) => {
    return living && !full && !isDistrusted(holders, id) ? [id] : []
  })
}

/** Milliseconds until all is at N, by what the members told; undefined where too few can take it. */
export function safeInMs(
  holders: Holders,
  config: Pick<Config, 'replicas' | 'settleMs' | 'compareChangedMs'>,
  { short, rate, waitMs }: Tally
): number | undefined {
  const able = takersIn(holders).length
  const making = { blocks: 0, bytes: 0 }
  for (const { copies, blocks, bytes } of short) {
    const lacking = Math.max(1, config.replicas - copies)
    add(making, { blocks: blocks * lacking, bytes: bytes * lacking })
  }
  if (making.blocks > 0 && able < config.replicas) return undefined
  const compareMs = config.settleMs + 2 * config.compareChangedMs
  return etaOf({ ...making, rate, able, waitMs, compareMs })
}
