/**
 * How safe the data is: copies of each slot as far as members have compared. A copy counts once its
 * holder is in sync for the slot. Each slot is told by one member, the first holder that has all of it,
 * so that the members' tallies add up to the network's.
 */
import type { PeerId } from './block.ts'
import { list, struct, u8, varint } from './codec.ts'
import type { Fetches } from './fetch.ts'
import type { SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders } from './holders.ts'
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
  /** Blocks that this member is to fetch. */
  wanted: number
}

const count = { blocks: varint, bytes: varint }
export const tallyCodec = struct({
  ...count,
  short: list(struct({ copies: u8, ...count }), 33),
  wanted: varint
})

/** What this member answers for. */
export function tally(state: Reconciler, holders: Holders, fetches: Fetches): Tally {
  const total: Tally = { blocks: 0, bytes: 0, short: [], wanted: fetches.wants.size }
  for (const [place, value] of state.mine) {
    const acting = actingHolders(holders, value.slot, value.replicas)
    const told = tellSlot(state, acting, place, value)
    if (told === undefined) continue
    add(total, { blocks: told.blocks, bytes: told.bytes })
    if (told.below > 0) addShort(total, told.copies, portion(told, told.below))
  }
  total.short.sort((a, b) => a.copies - b.copies)
  return total
}

interface Told extends Count {
  /** Blocks of the slot that have fewer copies than N, and how many they have at least. */
  below: number
  copies: number
}

function tellSlot(
  state: Reconciler,
  acting: readonly PeerId[],
  place: number,
  value: SlotSummary
): Told | undefined {
  if (!acting.includes(state.self)) {
    const stray = state.strays.get(place)
    if (stray === undefined || stray.settled.size > 0 || acting.some((id) => has(state, id, place)))
      return undefined
    return { ...sizes(value), below: value.blocks, copies: 1 } // nobody else is known to have it
  }
  const known = acting.map((id) => (id === state.self ? value.blocks : blocksAt(state, id, place, value)))
  const most = Math.max(...known)
  const first = acting.findIndex((_, i) => known[i] === most)
  if (acting[first] !== state.self) return undefined
  const least = Math.min(...known)
  const copies = known.filter((blocks) => blocks === most).length
  const below = copies < value.replicas ? (acting.length < value.replicas ? most : most - least) : 0
  // Members that hold as many blocks but not the same ones differ in one at least.
  const differ = acting.some((id) => state.peers.get(id)?.differing.has(place))
  const short = below === 0 && differ ? 1 : below
  return { ...sizes(value), below: short, copies: below === 0 && differ ? copies - 1 : copies }
}

function sizes({ blocks, bytes }: Count): Count {
  return { blocks, bytes }
}

/** How many of a slot's blocks a member has: ours when in sync, what it said when not, else none. */
function blocksAt(state: Reconciler, id: PeerId, place: number, value: SlotSummary): number {
  const peer = state.peers.get(id)
  if (peer === undefined) return 0
  return peer.differing.has(place) ? (peer.differing.get(place)?.blocks ?? 0) : value.blocks
}

function has(state: Reconciler, id: PeerId, place: number): boolean {
  return state.peers.get(id)?.differing.get(place) !== undefined
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
  const total: Tally = { blocks: 0, bytes: 0, short: [], wanted: 0 }
  for (const one of tallies) {
    add(total, one)
    total.wanted += one.wanted
    for (const { copies, blocks, bytes } of one.short) addShort(total, copies, { blocks, bytes })
  }
  total.short.sort((a, b) => a.copies - b.copies)
  return total
}

/** What this member holds besides and some holder has not yet said that it has: what a leaving one waits for. */
export function toHandOver(state: Reconciler, holders: Holders): Count {
  const left: Count = { blocks: 0, bytes: 0 }
  for (const [place, { settled }] of state.strays) {
    const value = state.mine.get(place)
    if (value === undefined) continue
    const acting = actingHolders(holders, value.slot, value.replicas)
    if (acting.length === 0 || acting.some((id) => !settled.has(id))) add(left, value)
  }
  return left
}
