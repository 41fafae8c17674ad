/**
 * The refs that a member knows: those that it carries or votes on, which are on its disk, and those that it
 * has read for others, which are not. Who carries a ref follows from placement and from its electorate.
 */

import { type Ballot, BOOTS_MAX, newBallot, REF_STATE_VERSION, refStateCodec } from './ballot.ts'
import type { PeerId } from './block.ts'
import { decode, encode } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { CairnError } from './errors.ts'
import { actingHolders, type Holders, livingMembers } from './holders.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { votersOf } from './primary.ts'
import { ELECTORATE_MAX, ELECTORATE_MIN, refSlot } from './ref.ts'
import {
  emptyEntry,
  entryDigest,
  type KnownRef,
  mergeEntry,
  type RefEntry,
  readEntry,
  recordsOf,
  writeEntry
} from './ref-entry.ts'

/** Refs that one member carries: some 2 KiB of memory each. */
export const REFS_MAX = 100_000
/** Refs that were read for callers here and are not carried. */
const READ_REFS_MAX = 1_024

export interface HeldRef {
  readonly entry: RefEntry
  readonly ballot: Ballot
  /** On this member's disk. */
  carried: boolean
}

export interface RefTable {
  readonly self: PeerId
  readonly network: string
  readonly crypto: Crypto
  /** N of the network: carriers of a ref of which nothing is known. */
  readonly replicas: number
  readonly carried: Map<string, HeldRef>
  readonly read: Map<string, HeldRef>
  /** Rises with each change of what is carried. */
  version: number
}

export function createRefTable(
  options: Pick<RefTable, 'self' | 'network' | 'crypto' | 'replicas'>
): RefTable {
  return { ...options, carried: new Map(), read: new Map(), version: 0 }
}

/** What a disk kept of a ref. @throws CairnError BAD_MESSAGE when it is damaged */
export function loadRef(table: RefTable, bytes: Uint8Array): void {
  const state = decode(refStateCodec, bytes)
  const records = readEntry(state.entry, table.network, table.crypto)
  const [first] = records
  if (state.version !== REF_STATE_VERSION || first === undefined) {
    throw new CairnError('BAD_MESSAGE', 'refused ref: its file holds no record')
  }
  const entry = emptyEntry(first.record.id)
  mergeEntry(entry, records, table.crypto.sha256)
  const boots = new Map(state.boots.map(({ peer, boot }) => [peer as PeerId, boot]))
  const ballot = { vote: state.vote, floor: state.floor, boots, proven: false }
  table.carried.set(entry.id, { entry, ballot, carried: true })
  table.version++
}

/** Whether what a disk kept of a ref is whole. */
export function checkRefState(bytes: Uint8Array, network: string, crypto: Crypto): boolean {
  try {
    loadRef(createRefTable({ self: '' as PeerId, network, crypto, replicas: 1 }), bytes)
    return true
  } catch (error) {
    if (CairnError.is(error)) return false
    throw error
  }
}

export function stateBytes({ entry, ballot }: HeldRef): Uint8Array {
  const { vote, floor, boots } = ballot
  const noted = [...boots].slice(-BOOTS_MAX).map(([peer, boot]) => ({ peer, boot }))
  return encode(refStateCodec, {
    version: REF_STATE_VERSION,
    entry: writeEntry(entry),
    vote,
    floor,
    boots: noted
  })
}

export function knownRef({ carried, read }: RefTable, id: string): HeldRef | undefined {
  return carried.get(id) ?? read.get(id)
}

/** The ref to be known from now on; `carry` keeps it on disk. @throws CairnError FULL */
export function holdRef(table: RefTable, id: string, carry: boolean): HeldRef {
  const known = knownRef(table, id)
  if (known !== undefined && (known.carried || !carry)) return known
  const held = known ?? { entry: emptyEntry(id), ballot: newBallot(), carried: carry }
  if (!carry) {
    table.read.set(id, held)
    if (table.read.size > READ_REFS_MAX) table.read.delete(table.read.keys().next().value as string)
    return held
  }
  if (table.carried.size >= REFS_MAX)
    throw new CairnError('FULL', `this member carries ${REFS_MAX} refs already`)
  table.read.delete(id)
  held.carried = true
  table.carried.set(id, held)
  table.version++
  return held
}

/** Adds to what is known. Returns whether anything changed. */
export function learn(table: RefTable, held: HeldRef, more: readonly KnownRef[]): boolean {
  const changed = mergeEntry(held.entry, more, table.crypto.sha256)
  if (changed && held.carried) table.version++
  return changed
}

export function digestOf(table: RefTable, held: HeldRef): string {
  return entryDigest(held.entry, table.crypto.sha256)
}

/** N of a ref, as far as is known. */
function copiesOf(table: RefTable, entry: RefEntry | undefined): number {
  return Math.max(ELECTORATE_MIN, entry?.best?.record.replicas ?? table.replicas)
}

/** The holders of the ref's slot. */
export function slotCarriers(table: RefTable, holders: Holders, id: string): readonly PeerId[] {
  return actingHolders(holders, refSlot(id), copiesOf(table, knownRef(table, id)?.entry))
}

/** Those of them that live. */
export function livingSlotCarriers(table: RefTable, holders: Holders, id: string): readonly PeerId[] {
  return slotCarriers(table, holders, id).filter((peer) => holders.standing.get(peer)?.living === true)
}

/** Who must have the ref: the holders of its slot, and those who vote on it. */
export function carriersOf(table: RefTable, holders: Holders, id: string): PeerId[] {
  const entry = knownRef(table, id)?.entry
  const voters = entry === undefined ? [] : recordsOf(entry).flatMap(({ record }) => record.electorate)
  const rivals = entry?.rivals.flatMap(({ record }) => votersOf(record)) ?? []
  return [...new Set([...slotCarriers(table, holders, id), ...voters, ...rivals])]
}

/** Who is to vote on a ref's next record: the first living members of its slot. */
export function electorateOf(holders: Holders, id: string, replicas: number): PeerId[] {
  const wanted = Math.min(ELECTORATE_MAX, Math.max(ELECTORATE_MIN, replicas))
  if (holders.placement.size === 0) return []
  const living = (count: number) =>
    holders.placement.order(refSlot(id), count).filter((peer) => holders.standing.get(peer)?.living === true)
  const near = living(wanted + LIMITS.standIns)
  return (near.length < wanted ? living(holders.placement.size) : near).slice(0, wanted)
}

/** Carriers that live, but for ourselves. */
export function livingCarriers(table: RefTable, holders: Holders, id: string): PeerId[] {
  const living = new Set(livingMembers(holders))
  return carriersOf(table, holders, id).filter((peer) => peer !== table.self && living.has(peer))
}
