/**
 * Which members hold a slot: a pure function of who takes part. `order` is the specification, written
 * to be read; `createPlacement` gives the same answers from state that a join or a leave changes at the
 * cost of O(slots), not O(slots x members).
 *
 * What it keeps of each slot's order is a prefix, filled on first use. It always stays a true prefix: a
 * change either says exactly what the new one is, or shortens it to what is still certain.
 */

import { type PeerId, SLOTS } from './block.ts'
import { fillPrefix, joinPrefix, leavePrefix, type Prefix } from './prefix.ts'
import { emptyRoster, enter, indexIn, leave, type Roster } from './roster.ts'
import { costOf, hashId, type PlacedMember, seedOf, WEIGHT_MAX } from './score.ts'

/**
 * All members in a slot's order, best first: weighted rendezvous hashing, zones spread over first.
 *
 * Sorted by (rank within the member's own zone, score, id), so the order for a smaller number of copies
 * is a prefix of that for a larger, and a departure moves only what the departed held.
 *
 * @param slot     0 … SLOTS - 1, from `slotOf(key)`.
 * @param members  in any order, each id once.
 */
export function order(slot: number, members: readonly PlacedMember[]): PeerId[] {
  checkSlot(slot)
  const seed = seedOf(slot)
  const byScore = members
    .map(({ id, weight, zone }) => {
      const { low, high } = hashId(id)
      return { id, weight, zone, cost: costOf(low, high, seed), rank: 0 }
    })
    .sort((a, b) => a.cost * b.weight - b.cost * a.weight || (a.id < b.id ? -1 : 1))
  const seen = new Map<string, number>()
  for (const member of byScore) {
    if (member.zone === undefined) continue
    member.rank = seen.get(member.zone) ?? 0
    seen.set(member.zone, member.rank + 1)
  }
  return byScore.sort((a, b) => a.rank - b.rank).map(({ id }) => id) // sort is stable: score, id still hold
}

/**
 * The members that must hold a slot, best first: `min(n, members.length)` of them.
 *
 * @throws RangeError if `n` < 1: a caller's bug, not an event on the network.
 */
export function holders(slot: number, members: readonly PlacedMember[], n: number): PeerId[] {
  checkCount(n)
  return order(slot, members).slice(0, n)
}

/** The orders of all slots, kept up to date as members come and go. */
export interface Placement {
  /** Rises with each change of a member: equal versions give equal orders. */
  readonly version: number
  readonly size: number
  has(id: PeerId): boolean
  /** @throws RangeError when the id is a member already */
  add(member: PlacedMember): void
  /** Takes a member's new weight and zone. @throws RangeError when the id is no member */
  update(member: PlacedMember): void
  /** @throws RangeError when the id is no member */
  remove(id: PeerId): void
  /**
   * The first `min(count, size)` of a slot's order. The first call for a slot scores every member; above
   * the depth every call does. A pass over all slots can therefore be made in pieces, range by range.
   */
  order(slot: number, count: number): PeerId[]
}

/** Slots that share one allocation: a node that is asked for few slots pays memory for few. */
const PAGE_SLOTS = 64
/** A list's length is one byte. */
const DEPTH_MAX = 255

/** The kept prefixes of neighbouring slots: `depth` member indexes each, and how many are valid. */
interface Page {
  readonly lists: Int32Array
  readonly lengths: Uint8Array
}

interface Orders {
  readonly depth: number
  readonly roster: Roster
  readonly pages: (Page | undefined)[]
}

/** @param depth  how much of each slot's order to keep: the copies wanted and some to stand in, 1 … 255 */
export function createPlacement({ depth }: { depth: number }): Placement {
  if (!Number.isInteger(depth) || depth < 1 || depth > DEPTH_MAX) {
    throw new RangeError(`depth must be 1 to ${DEPTH_MAX}: ${depth}`)
  }
  const roster = emptyRoster()
  const orders: Orders = { depth, roster, pages: new Array(SLOTS / PAGE_SLOTS).fill(undefined) }
  let version = 0
  return {
    get version() {
      return version
    },
    get size() {
      return roster.indexes.size
    },
    has: (id) => roster.indexes.has(id),
    add(member) {
      join(orders, member)
      version++
    },
    update(member) {
      checkWeight(member)
      const known = roster.members[indexIn(roster, member.id)] as PlacedMember
      if (known.weight === member.weight && known.zone === member.zone) return
      depart(orders, member.id)
      join(orders, member)
      version++
    },
    remove(id) {
      depart(orders, id)
      version++
    },
    order: (slot, count) => firstOf(orders, slot, count)
  }
}

function join(orders: Orders, member: PlacedMember): void {
  checkWeight(member)
  const before = orders.roster.indexes.size
  const newcomer = enter(orders.roster, member)
  eachFilled(orders, (prefix) => {
    prefix.complete = prefix.length === before
    joinPrefix(orders.roster, prefix, newcomer)
  })
}

function depart(orders: Orders, id: PeerId): void {
  const departed = indexIn(orders.roster, id)
  eachFilled(orders, (prefix) => {
    const { list, from, length } = prefix
    let place = from
    while (place < from + length && list[place] !== departed) place++
    if (place < from + length) leavePrefix(orders.roster, prefix, place)
  })
  leave(orders.roster, departed)
}

/** Lets `change` work on each prefix of which anything is certain; slots never asked for have none. */
function eachFilled({ depth, pages }: Orders, change: (prefix: Prefix) => void): void {
  for (const [at, page] of pages.entries()) {
    if (page === undefined) continue
    for (let i = 0; i < PAGE_SLOTS; i++) {
      if (page.lengths[i] === 0) continue
      const prefix = prefixIn(page, at * PAGE_SLOTS + i, depth)
      change(prefix)
      page.lengths[i] = prefix.length
    }
  }
}

function prefixIn({ lists, lengths }: Page, slot: number, depth: number): Prefix {
  const i = slot % PAGE_SLOTS
  const length = lengths[i] as number
  return { seed: seedOf(slot), list: lists, from: i * depth, room: depth, length, complete: false }
}

function firstOf({ depth, roster, pages }: Orders, slot: number, count: number): PeerId[] {
  checkSlot(slot)
  checkCount(count)
  const wanted = Math.min(count, roster.indexes.size)
  if (wanted > depth) return holders(slot, everyone(roster), count)
  const page = pageOf(pages, slot, depth)
  const i = slot % PAGE_SLOTS
  if ((page.lengths[i] as number) < wanted) {
    const prefix = prefixIn(page, slot, depth)
    fillPrefix(roster, prefix)
    page.lengths[i] = prefix.length
  }
  const first = new Array<PeerId>(wanted)
  for (let k = 0; k < wanted; k++) {
    first[k] = (roster.members[page.lists[i * depth + k] as number] as PlacedMember).id
  }
  return first
}

function everyone({ members }: Roster): PlacedMember[] {
  return members.filter((member) => member !== undefined)
}

function pageOf(pages: (Page | undefined)[], slot: number, depth: number): Page {
  const at = Math.floor(slot / PAGE_SLOTS)
  const known = pages[at]
  if (known !== undefined) return known
  const page = { lists: new Int32Array(PAGE_SLOTS * depth), lengths: new Uint8Array(PAGE_SLOTS) }
  pages[at] = page
  return page
}

function checkSlot(slot: number): void {
  if (!Number.isInteger(slot) || slot < 0 || slot >= SLOTS) throw new RangeError(`not a slot: ${slot}`)
}

function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`not a number of members: ${count}`)
}

function checkWeight({ weight }: PlacedMember): void {
  if (!Number.isInteger(weight) || weight < 1 || weight > WEIGHT_MAX) {
    throw new RangeError(`weight must be an integer, 1 to ${WEIGHT_MAX}: ${weight}`)
  }
}
