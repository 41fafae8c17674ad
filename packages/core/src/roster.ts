/**
 * The members that placement knows, as parallel arrays by a small index, so that scoring all of them
 * touches plain integers only. An index is used again after its member left.
 */

import type { PeerId } from './block.ts'
import { costOf, hashId, type PlacedMember } from './score.ts'

/** The index of an absent member, and the zone of one that declares none. */
export const NONE = -1
const FIRST_CAPACITY = 16

export interface Roster {
  readonly indexes: Map<PeerId, number>
  readonly members: (PlacedMember | undefined)[]
  readonly freeIndexes: number[]
  readonly zoneIndexes: Map<string, number>
  /** Members of each zone, by its index; 0 where the index is free. */
  readonly zoneSizes: number[]
  readonly freeZones: number[]
  /** Halves of each id's hash. */
  lows: Int32Array
  highs: Int32Array
  /** 0 where nobody is. */
  weights: Int32Array
  zones: Int32Array
  /** Scratch, by index: costs and ranks for the slot at hand, of those that were just scored only. */
  costs: Float64Array
  ranks: Int32Array
}

export function emptyRoster(): Roster {
  return {
    indexes: new Map(),
    members: [],
    freeIndexes: [],
    zoneIndexes: new Map(),
    zoneSizes: [],
    freeZones: [],
    lows: new Int32Array(FIRST_CAPACITY),
    highs: new Int32Array(FIRST_CAPACITY),
    weights: new Int32Array(FIRST_CAPACITY),
    zones: new Int32Array(FIRST_CAPACITY),
    costs: new Float64Array(FIRST_CAPACITY),
    ranks: new Int32Array(FIRST_CAPACITY)
  }
}

/** The index of a member. @throws RangeError when the id is no member: a caller's bug. */
export function indexIn(roster: Roster, id: PeerId): number {
  const index = roster.indexes.get(id)
  if (index === undefined) throw new RangeError(`no member: ${id}`)
  return index
}

/** @returns the newcomer's index. @throws RangeError when the id is a member already. */
export function enter(roster: Roster, member: PlacedMember): number {
  const { id, weight, zone } = member
  if (roster.indexes.has(id)) throw new RangeError(`a member already: ${id}`)
  const index = roster.freeIndexes.pop() ?? roster.members.length
  if (index >= roster.weights.length) grow(roster)
  const { low, high } = hashId(id)
  roster.indexes.set(id, index)
  roster.members[index] = member
  roster.lows[index] = low
  roster.highs[index] = high
  roster.weights[index] = weight
  roster.zones[index] = zone === undefined ? NONE : enterZone(roster, zone)
  return index
}

export function leave(roster: Roster, index: number): void {
  const { id, zone } = roster.members[index] as PlacedMember
  roster.indexes.delete(id)
  roster.members[index] = undefined
  roster.weights[index] = 0
  roster.freeIndexes.push(index)
  if (zone !== undefined) leaveZone(roster, zone)
}

function enterZone(roster: Roster, name: string): number {
  const known = roster.zoneIndexes.get(name)
  const zone = known ?? roster.freeZones.pop() ?? roster.zoneSizes.length
  roster.zoneIndexes.set(name, zone)
  roster.zoneSizes[zone] = (roster.zoneSizes[zone] ?? 0) + 1
  return zone
}

function leaveZone(roster: Roster, name: string): void {
  const zone = roster.zoneIndexes.get(name) as number
  const left = (roster.zoneSizes[zone] as number) - 1
  roster.zoneSizes[zone] = left
  if (left > 0) return
  roster.zoneIndexes.delete(name)
  roster.freeZones.push(zone)
}

function grow(roster: Roster): void {
  const capacity = 2 * roster.weights.length
  const wider = (from: Int32Array): Int32Array => {
    const to = new Int32Array(capacity)
    to.set(from)
    return to
  }
  roster.lows = wider(roster.lows)
  roster.highs = wider(roster.highs)
  roster.weights = wider(roster.weights)
  roster.zones = wider(roster.zones)
  roster.costs = new Float64Array(capacity)
  roster.ranks = new Int32Array(capacity)
}

/** Sets the cost of one member for the slot with this seed. */
export function scoreOne(roster: Roster, index: number, seed: number): void {
  roster.costs[index] = costOf(roster.lows[index] as number, roster.highs[index] as number, seed)
}

/** Sets the costs of all members for the slot with this seed. */
export function scoreAll({ lows, highs, costs, members }: Roster, seed: number): void {
  for (let i = 0; i < members.length; i++) costs[i] = costOf(lows[i] as number, highs[i] as number, seed)
}

/** Whether member `a` has the better score for the slot at hand, ties broken by id. Both are scored. */
export function before({ costs, weights, members }: Roster, a: number, b: number): boolean {
  const left = (costs[a] as number) * (weights[b] as number)
  const right = (costs[b] as number) * (weights[a] as number)
  if (left !== right) return left < right
  return (members[a] as PlacedMember).id < (members[b] as PlacedMember).id
}

/** Whether `a` comes before `b` in the order of the slot at hand. Both are scored and ranked. */
export function ahead(roster: Roster, a: number, b: number): boolean {
  const gap = (roster.ranks[a] as number) - (roster.ranks[b] as number)
  return gap === 0 ? before(roster, a, b) : gap < 0
}
