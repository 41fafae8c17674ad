/**
 * The first few of one slot's order, and how a join or a departure changes them without a look at the
 * other members. What makes this exact with zones: a prefix of (rank in zone, score, id) holds the best
 * of each zone that it holds any of, so ranks within it are the true ranks, and whoever is not in it
 * comes after its last entry, the bound, whatever their score.
 */

import { ahead, before, NONE, type Roster, scoreAll, scoreOne } from './roster.ts'

/** The best `length` of a slot's order, as member indexes in `list` from `from` on. */
export interface Prefix {
  readonly seed: number
  readonly list: Int32Array
  readonly from: number
  /** The most that are kept. */
  readonly room: number
  length: number
  /** Whether no member is left out. */
  complete: boolean
}

/** Computes as much of the order as there is room for: each member in turn joins those before it. */
export function fillPrefix(roster: Roster, prefix: Prefix): void {
  const { costs, ranks, weights, members } = roster
  const { list, from } = prefix
  prefix.length = 0
  prefix.complete = true
  scoreAll(roster, prefix.seed)
  let lastCost = 0
  let lastWeight = 0
  for (let index = 0; index < members.length; index++) {
    const weight = weights[index] as number
    // Nearly all members of a large network leave here: a worse score than a bound of rank 0. While there
    // is no such bound its weight is 0, which nothing is above.
    if (weight === 0 || (costs[index] as number) * lastWeight > lastCost * weight) continue
    admit(roster, prefix, index)
    const last = list[from + prefix.length - 1] as number
    if (prefix.complete || ranks[last] !== 0) {
      lastWeight = 0
    } else {
      lastCost = costs[last] as number
      lastWeight = weights[last] as number
    }
  }
}

/** Puts a newcomer where it belongs, if within the prefix. A join never shortens one. */
export function joinPrefix(roster: Roster, prefix: Prefix, newcomer: number): void {
  const { seed, list, from } = prefix
  const end = from + prefix.length
  scoreOne(roster, newcomer, seed)
  if (!prefix.complete) {
    if (prefix.length === 0) return // nothing is known, so neither is the newcomer's place
    const bound = list[end - 1] as number
    scoreOne(roster, bound, seed)
    if (rankWithin(roster, prefix, end - 1) === 0 && !before(roster, newcomer, bound)) return
  }
  for (let at = from; at < end; at++) rate(roster, prefix, at)
  admit(roster, prefix, newcomer)
}

/**
 * Takes out the member at `place`. Those of its zone behind it move up a rank. If some of that zone are
 * not in the prefix, the first of them moves up too, to a place unknown but behind the old one of the
 * zone's last in the prefix: what lies behind that one is no longer certain, and goes.
 */
export function leavePrefix(roster: Roster, prefix: Prefix, place: number): void {
  const { list, from } = prefix
  const { ranks, zones, zoneSizes } = roster
  const zone = zones[list[place] as number] as number
  let end = from + prefix.length
  if (zone !== NONE) {
    let listed = 0
    let lastOfZone = place
    for (let at = from; at < end; at++) {
      if (zones[list[at] as number] !== zone) continue
      listed++
      lastOfZone = at
    }
    if (listed < (zoneSizes[zone] as number)) end = lastOfZone + 1
  }
  const left: number[] = []
  for (let at = from; at < end; at++) {
    if (at === place) continue
    const index = list[at] as number
    rate(roster, prefix, at)
    if (zone !== NONE && at > place && zones[index] === zone) ranks[index] = (ranks[index] as number) - 1
    left.push(index)
  }
  writeSorted(roster, prefix, left)
}

/** Sets the cost and the rank of the one at a place. */
function rate(roster: Roster, prefix: Prefix, place: number): void {
  const index = prefix.list[place] as number
  scoreOne(roster, index, prefix.seed)
  roster.ranks[index] = rankWithin(roster, prefix, place)
}

/** How many of its own zone come before the one at a place. */
function rankWithin({ zones }: Roster, { list, from }: Prefix, place: number): number {
  const zone = zones[list[place] as number]
  let rank = 0
  if (zone !== NONE) for (let at = from; at < place; at++) if (zones[list[at] as number] === zone) rank++
  return rank
}

/** Puts a scored member among those of the prefix, which are scored and ranked, if it belongs there. */
function admit(roster: Roster, prefix: Prefix, newcomer: number): void {
  if (!prefix.complete && staysOut(roster, prefix, newcomer)) return
  const { ranks, zones } = roster
  const { list, from } = prefix
  const zone = zones[newcomer] as number
  const end = from + prefix.length
  let rank = 0
  if (zone !== NONE) {
    for (let at = from; at < end; at++) {
      const index = list[at] as number
      if (zones[index] !== zone) continue
      if (before(roster, newcomer, index)) {
        displace(roster, prefix, { newcomer, rank })
        return
      }
      rank++
    }
  }
  ranks[newcomer] = rank
  let at = end
  if (prefix.length < prefix.room) {
    prefix.length++
  } else {
    prefix.complete = false
    if (!ahead(roster, newcomer, list[end - 1] as number)) return
    at--
  }
  for (; at > from && ahead(roster, newcomer, list[at - 1] as number); at--) list[at] = list[at - 1] as number
  list[at] = newcomer
}

/** Whether a member that is not in the prefix comes after its bound. */
function staysOut(roster: Roster, { list, from, length }: Prefix, member: number): boolean {
  const { ranks, zones } = roster
  const zone = zones[member] as number
  const bound = list[from + length - 1] as number
  let rank = 0
  for (let at = from + length - 1; zone !== NONE && at >= from; at--) {
    const index = list[at] as number
    if (zones[index] !== zone) continue
    if (before(roster, member, index)) return false // it takes that one's place or a better
    rank = (ranks[index] as number) + 1
    break
  }
  const gap = rank - (ranks[bound] as number)
  return gap > 0 || (gap === 0 && !before(roster, member, bound))
}

/**
 * Puts a newcomer before others of its zone, which it moves down a rank each. So each takes a place no
 * later than the old one of the next of its zone in the prefix, save the last: it may fall behind the
 * bound, where nothing is certain, and is out.
 */
function displace(
  roster: Roster,
  prefix: Prefix,
  { newcomer, rank }: { newcomer: number; rank: number }
): void {
  const { ranks, zones } = roster
  const { list, from, length, complete } = prefix
  const bound = list[from + length - 1] as number
  const boundRank = ranks[bound] as number
  const kept = [newcomer]
  ranks[newcomer] = rank
  for (let at = from; at < from + length; at++) {
    const index = list[at] as number
    if (zones[index] === zones[newcomer] && before(roster, newcomer, index)) {
      const lower = (ranks[index] as number) + 1
      ranks[index] = lower
      const isOut = lower > boundRank || (lower === boundRank && !before(roster, index, bound))
      if (isOut && !complete) continue
    }
    kept.push(index)
  }
  writeSorted(roster, prefix, kept)
}

/** Sorts by insertion (few, and nearly in order) and keeps as many as there is room for. */
function writeSorted(roster: Roster, prefix: Prefix, indexes: number[]): void {
  for (let i = 1; i < indexes.length; i++) {
    const index = indexes[i] as number
    let at = i
    for (; at > 0 && ahead(roster, index, indexes[at - 1] as number); at--) {
      indexes[at] = indexes[at - 1] as number
    }
    indexes[at] = index
  }
  prefix.length = Math.min(indexes.length, prefix.room)
  if (indexes.length > prefix.room) prefix.complete = false
  for (let i = 0; i < prefix.length; i++) prefix.list[prefix.from + i] = indexes[i] as number
}
