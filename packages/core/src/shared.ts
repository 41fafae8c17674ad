/**
 * What we know to be shared with one member, and its hashes: kept from one comparison to the next and
 * worked out again only where something changed, so that comparing costs nothing while nothing does.
 *
 * A slot is shared when both act as its holders.
 */
import { type BlockKey, type PeerId, SLOTS } from './block.ts'
import { concat, putHex, toHex, toUtf8 } from './bytes.ts'
import {
  fromPlace,
  GROUP_DIGEST_BYTES,
  GROUP_SLOTS,
  GROUPS,
  groupOf,
  PART_SLOTS,
  PARTS,
  PARTS_BYTES,
  type Place,
  type Span
} from './compare.ts'
import type { Crypto } from './crypto.ts'
import { FINGERPRINT_BYTES, type SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders } from './holders.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'

/** What this member holds, by place, and which places each group of slots has. */
export interface Held {
  readonly mine: Map<Place, SlotSummary>
  readonly byGroup: readonly Set<Place>[]
}

export interface Peer {
  readonly id: PeerId
  /** Places that we share and that differ; what the peer has there, if anything and if known. */
  readonly differing: Map<Place, SlotSummary | undefined>
  /** Places of ours that changed since they were last compared with it, and our version then. */
  readonly changed: Map<Place, number>
  readonly digests: Uint8Array
  /** Groups whose digest is out of date; with `digested` false, as after a change of the view, all. */
  readonly outdated: Set<number>
  digested: boolean
  root: string | undefined
  /** Our round under way. */
  round: Round | undefined
  /** The peer's round: its root, what we wait for, and places of ours that changed since we told of them. */
  answering: { round: number; root: string; awaits: 'parts' | 'slots'; touched: Set<Place> } | undefined
  /** The peer's root when all that differed between us was last told, and until when that is relied on. */
  known: { root: string; untilMs: number } | undefined
  /** Looking through all that differs, while the roots stay these: from where, and how often past the end. */
  sweep: { mine: string; theirs: string; from: number; wraps: number } | undefined
  comparedMs: number
  /** The version of our data at the last agreement. */
  agreedVersion: number
  /** The slot from which the next round looks for differences, so that none waits for ever behind others. */
  cursor: number
  /** Whether looking through all differences led to a listing; and how often in a row it did not. */
  foundSome: boolean
  fruitless: number
  /** Offered in the sweep under way; when the next offer is due, and how often none was of use. */
  readonly offered: Set<Place>
  offerDueMs: number
  unheeded: number
  /** Places whose keys are to be listed, and those being listed, the one that waits longest first. */
  readonly toList: Map<Place, { offered: boolean; blocks: number }>
  readonly listing: Map<Place, Listing>
  /** Places of which we hold all that the peer had, by its fingerprint. */
  readonly covered: Map<Place, string>
  /** Places that were listed and lead to a fetch, by the peer's fingerprint: not again before that time. */
  readonly listed: Map<Place, { fingerprint: string; untilMs: number }>
  /** Blocks that we both have with other claims: the peer's claims, and whether we took them. */
  readonly claims: Map<BlockKey, { digest: string; taken: boolean }>
}

/** One look at what differs, as far as one message holds. */
export interface Round {
  id: number
  /** Of our data, when it began. */
  version: number
  awaits: 'groups' | 'marks' | 'slots'
  /** What it looks into, and whether that is all from the cursor on and round. */
  wanted: { spans: Span[]; round: boolean }
  /** With it, all that differs is told. */
  whole: boolean
  /** Places of ours that changed since it began: what it says of them is old. */
  touched: Set<Place>
  untilMs: number
}

export interface Listing {
  /** The peer wants to know when we have all of it. */
  offered: boolean
  missing: boolean
  /** The peer lacks claims that we have. */
  behind: boolean
  /** Of the first page; undefined when it changed between pages. */
  fingerprint: string | undefined
  after: BlockKey | undefined
  pages: number
  /** Of the look-up under way; undefined while a page is awaited. */
  token: number | undefined
  untilMs: number
}

export function createHeld(): Held {
  return { mine: new Map(), byGroup: Array.from({ length: GROUPS }, () => new Set<Place>()) }
}

export function createPeer(id: PeerId): Peer {
  const maps = { differing: new Map(), changed: new Map(), toList: new Map(), listing: new Map() }
  const rounds = { root: undefined, round: undefined, answering: undefined, agreedVersion: -1, cursor: 0 }
  const sweeps = { known: undefined, sweep: undefined }
  const offers = { offered: new Set<Place>(), offerDueMs: Number.NEGATIVE_INFINITY, unheeded: 0 }
  return {
    id,
    ...maps,
    ...{ covered: new Map(), listed: new Map(), claims: new Map() },
    digests: new Uint8Array(GROUPS * GROUP_DIGEST_BYTES),
    ...{ outdated: new Set(), digested: false },
    ...rounds,
    ...sweeps,
    comparedMs: Number.NEGATIVE_INFINITY,
    ...{ foundSome: false, fruitless: 0 },
    ...offers
  }
}

/** Our places in a group that are shared with a member, in the order of slots. */
export function sharedIn(
  { mine, byGroup }: Held,
  holders: Holders,
  { self, peer, group }: { self: PeerId; peer: PeerId; group: number }
): SlotSummary[] {
  const shared: SlotSummary[] = []
  for (const place of byGroup[group] as Set<Place>) {
    const { slot, replicas } = fromPlace(place)
    const acting = actingHolders(holders, slot, replicas)
    if (acting.includes(self) && acting.includes(peer)) shared.push(mine.get(place) as SlotSummary)
  }
  return shared.sort((a, b) => a.slot - b.slot || a.replicas - b.replicas)
}

/** The hashes of all groups, and one of them all. */
export function digestsWith(
  held: Held,
  holders: Holders,
  { self, peer, sha256 }: { self: PeerId; peer: Peer; sha256: Crypto['sha256'] }
): { digests: Uint8Array; root: string } {
  if (!peer.digested)
    for (const [group, { size }] of held.byGroup.entries()) if (size > 0) peer.outdated.add(group)
  peer.digested = true
  for (const group of peer.outdated) {
    const isEmpty = held.byGroup[group]?.size === 0
    const shared = isEmpty ? [] : sharedIn(held, holders, { self, peer: peer.id, group })
    if (setDigest(peer.digests, group, groupDigest(shared, sha256))) peer.root = undefined
  }
  peer.outdated.clear()
  const { digests } = peer
  peer.root ??= rootOf(digests, sha256)
  return { digests, root: peer.root }
}

/** Whether it is another than before. */
function setDigest(digests: Uint8Array, group: number, digest: Uint8Array): boolean {
  const from = group * GROUP_DIGEST_BYTES
  let isOther = false
  for (let i = 0; i < GROUP_DIGEST_BYTES; i++) {
    isOther ||= digests[from + i] !== digest[i]
    digests[from + i] = digest[i] as number
  }
  return isOther
}

const ROOT_CONTEXT = toUtf8('cairn-compare/1')

export function rootOf(digests: Uint8Array, sha256: Crypto['sha256']): string {
  return toHex(sha256(concat([ROOT_CONTEXT, digests])).subarray(0, FINGERPRINT_BYTES))
}

/** The hashes of a group's parts. */
export function partDigests(
  held: Held,
  holders: Holders,
  { sha256, ...of }: { self: PeerId; peer: PeerId; group: number; sha256: Crypto['sha256'] }
): Uint8Array {
  const parts: SlotSummary[][] = Array.from({ length: PARTS }, () => [])
  for (const one of sharedIn(held, holders, of)) parts[Math.floor(one.slot / PART_SLOTS) % PARTS]?.push(one)
  const digests = new Uint8Array(PARTS_BYTES)
  for (const [i, part] of parts.entries()) digests.set(groupDigest(part, sha256), i * GROUP_DIGEST_BYTES)
  return digests
}

/** The slots of a group's parts that differ, from a slot on. */
export function differingParts(
  group: number,
  { mine, theirs }: { mine: Uint8Array; theirs: Uint8Array },
  fromSlot: number
): Span[] {
  const spans: Span[] = []
  for (let part = 0; part < PARTS; part++) {
    const first = group * GROUP_SLOTS + part * PART_SLOTS
    const to = first + PART_SLOTS - 1
    if (isSameGroup(mine, theirs, part) || to < fromSlot) continue
    const last = spans.at(-1)
    if (last !== undefined && last.to + 1 === first) last.to = to
    else spans.push({ from: Math.max(first, fromSlot), to })
  }
  return spans
}

/**
 * 32 bits of a fingerprint, other ones in each round: two that agree there and differ elsewhere are told
 * apart in the next.
 */
export function markOf(fingerprint: string, round: number): number {
  const at = 2 * (round % (FINGERPRINT_BYTES - 3))
  return Number.parseInt(fingerprint.slice(at, at + 8), 16)
}

const EMPTY_GROUP = new Uint8Array(GROUP_DIGEST_BYTES)
/** What a place adds to its group's hash: slot, N, fingerprint. */
const PLACE_BYTES = 3 + FINGERPRINT_BYTES

function groupDigest(shared: readonly SlotSummary[], sha256: Crypto['sha256']): Uint8Array {
  if (shared.length === 0) return EMPTY_GROUP
  const bytes = new Uint8Array(shared.length * PLACE_BYTES)
  let at = 0
  for (const { slot, replicas, fingerprint } of shared) {
    bytes[at] = slot >> 8
    bytes[at + 1] = slot & 255
    bytes[at + 2] = replicas
    putHex(bytes, at + 3, fingerprint)
    at += PLACE_BYTES
  }
  return sha256(bytes).subarray(0, GROUP_DIGEST_BYTES)
}

/**
 * The spans to look into next, from `cursor` on and round: as many groups that differ as one message
 * names. `round`: with them, all were looked into since the cursor was last here.
 */
export function differingSpans(mine: Uint8Array, theirs: Uint8Array, cursor: number) {
  const spans: Span[] = []
  const first = groupOf(cursor)
  for (let i = 0; i < GROUPS; i++) {
    const group = (first + i) % GROUPS
    if (isSameGroup(mine, theirs, group)) continue
    if (spans.length === LIMITS.groupsPerRound) return { spans, round: first + i >= GROUPS }
    const from = group === first ? cursor : group * GROUP_SLOTS
    spans.push({ from, to: group * GROUP_SLOTS + GROUP_SLOTS - 1 })
  }
  return { spans, round: true }
}

export function isSameGroup(mine: Uint8Array, theirs: Uint8Array, group: number): boolean {
  for (let i = group * GROUP_DIGEST_BYTES; i < (group + 1) * GROUP_DIGEST_BYTES; i++) {
    if (mine[i] !== theirs[i]) return false
  }
  return true
}

/** Whether spans are as an honest member writes them: each within a group, rising within it, none twice. */
export function isSound(spans: readonly Span[]): boolean {
  const ends = new Map<number, number>()
  for (const { from, to } of spans) {
    const group = groupOf(from)
    if (from > to || group !== groupOf(to) || from <= (ends.get(group) ?? -1)) return false
    ends.set(group, to)
  }
  return true
}

/**
 * All that we share in the spans, as far as one message of marks holds: the spans told of are cut where
 * it is full, at the end of a slot, so that what is not in it is known not to be there.
 */
export function summariesIn(
  held: Held,
  holders: Holders,
  { self, peer, spans }: { self: PeerId; peer: PeerId; spans: readonly Span[] }
): { spans: Span[]; summaries: SlotSummary[]; all: boolean } {
  const shared = new Map<number, SlotSummary[]>()
  for (const { from } of spans) {
    const group = groupOf(from)
    if (!shared.has(group)) shared.set(group, sharedIn(held, holders, { self, peer, group }))
  }
  return fitting(spans, LIMITS.marksPerMessage, ({ from, to }) => {
    const inGroup = shared.get(groupOf(from)) ?? []
    return inGroup.filter(({ slot }) => slot >= from && slot <= to)
  })
}

/** What there is in the spans, each in the order of slots, as far as it fits. */
export function fitting<T extends { slot: number }>(
  spans: readonly Span[],
  most: number,
  inSpan: (span: Span) => T[]
): { spans: Span[]; summaries: T[]; all: boolean } {
  const told: Span[] = []
  const summaries: T[] = []
  for (const span of spans) {
    const { from, to } = span
    const within = inSpan(span)
    const room = most - summaries.length
    if (within.length <= room) {
      told.push({ from, to })
      summaries.push(...within)
      continue
    }
    const { slot: cutAt } = within[room] as T
    if (cutAt > from) {
      told.push({ from, to: cutAt - 1 })
      summaries.push(...within.filter(({ slot }) => slot < cutAt))
    }
    return { spans: told, summaries, all: false }
  }
  return { spans: told, summaries, all: true }
}

/** Where to go on after these spans. */
export function cursorAfter(spans: readonly Span[], cursor: number): number {
  const last = spans.at(-1)
  return last === undefined ? cursor : (last.to + 1) % SLOTS
}
