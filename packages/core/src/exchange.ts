/**
 * Two members whose tables differ find where, and tell each other just that: digests of parts of the
 * table, then what is in the parts that differ, then the differing entries, in pages. Anti-entropy
 * (Demers et al. 1987) at the cost of the difference, for what the rumours missed.
 */

import type { PeerId } from './block.ts'
import { GOSSIP_LIMITS as LIMITS } from './config.ts'
import { entryBytes, type Gossip, type PartSummary, type TableEntry, type Want } from './gossip.ts'
import { isLiving, type LivingMember, type SettledMember, supersedes } from './member.ts'
import { pick } from './random.ts'
import {
  type Digest,
  digestOf,
  type Known,
  membersOf,
  PART_BITS,
  partDigests,
  usefulBits,
  versionOf
} from './table.ts'
import {
  accuse,
  change,
  depart,
  learn,
  livingCount,
  type Membership,
  makeRoom,
  refute,
  send
} from './view.ts'

export interface Exchange {
  /** We start no other before. */
  dueMs: number
}

type Message<T extends Gossip['type']> = Extract<Gossip, { type: T }>

/** Starts an exchange with one whose table differs, not too often. */
export function compare(state: Membership, peer: PeerId, theirs: Digest, nowMs: number): void {
  const ours = digestOf(state.table)
  if ((ours.a === theirs.a && ours.b === theirs.b) || nowMs < state.exchange.dueMs) return
  const waitMs = state.config.exchangeIntervalMs * Math.max(1, Math.log10(livingCount(state)))
  state.exchange.dueMs = nowMs + waitMs * (0.75 + state.random() / 2) // apart from the others
  begin(state, peer)
}

function begin(state: Membership, peer: PeerId): void {
  const bits = usefulBits(state.table)
  send(state, peer, { type: 'digests', bits, digests: partDigests(state.table, bits) })
}

export function hearDigests(state: Membership, from: PeerId, message: Message<'digests'>): void {
  const { bits, digests } = message
  if (bits > PART_BITS || digests.length !== 2 << bits) return
  // the larger table says how fine
  if (usefulBits(state.table) > bits) {
    begin(state, from)
    return
  }
  const ours = partDigests(state.table, bits)
  const parts: PartSummary[] = []
  let room = LIMITS.summaryItems
  let more = false
  const first = pick(state.random, 1 << bits)
  for (let i = 0; i < 1 << bits; i++) {
    const part = (first + i) % (1 << bits)
    if (ours[2 * part] === digests[2 * part] && ours[2 * part + 1] === digests[2 * part + 1]) continue
    const items = [...membersOf(state.table, part, bits)].map((known) => ({
      tag: known.tag,
      version: versionOf(known)
    }))
    if (items.length > room) {
      more = true
      continue
    }
    room -= items.length
    parts.push({ part, items })
  }
  if (parts.length > 0) send(state, from, { type: 'summary', bits, parts, more })
}

export function hearSummary(state: Membership, from: PeerId, message: Message<'summary'>, nowMs: number) {
  const { bits, parts, more } = message
  if (bits > PART_BITS) return
  const entries: Known[] = []
  const wants: Want[] = []
  for (const { part, items } of parts) {
    if (part >> bits !== 0) return
    const theirs = new Map(items.map(({ tag, version }) => [tag, version]))
    for (const known of membersOf(state.table, part, bits)) {
      if (theirs.get(known.tag) === versionOf(known)) theirs.delete(known.tag)
      else entries.push(known)
    }
    for (const tag of theirs.keys()) wants.push({ part, tag })
  }
  sendEntries(state, from, { bits, entries, wants, more }, nowMs)
}

export function hearEntries(state: Membership, from: PeerId, message: Message<'entries'>, nowMs: number) {
  const before = digestOf(state.table)
  for (const entry of message.entries) merge(state, from, entry, nowMs)
  const after = digestOf(state.table)
  if (message.wants.length > 0) give(state, from, message, nowMs)
  // Only while it gets us anywhere: two that can't agree must not go round for ever.
  else if (message.more && (before.a !== after.a || before.b !== after.b)) begin(state, from)
}

function give(state: Membership, to: PeerId, { bits, wants, more }: Message<'entries'>, nowMs: number): void {
  if (bits > PART_BITS) return
  const entries: Known[] = []
  for (const { part, tag } of wants) {
    if (part >> bits !== 0) return
    for (const known of membersOf(state.table, part, bits)) if (known.tag === tag) entries.push(known)
  }
  sendEntries(state, to, { bits, entries, wants: [], more }, nowMs) // whoever learns most goes on
}

function sendEntries(
  state: Membership,
  to: PeerId,
  batch: { bits: number; entries: Known[]; wants: Want[]; more: boolean },
  nowMs: number
): void {
  const { bits } = batch
  const pages: TableEntry[][] = [[]]
  let bytes = 0
  let cut = batch.more || batch.wants.length > LIMITS.wants
  for (const known of batch.entries) {
    const entry = entryOf(known, nowMs)
    bytes += entryBytes(entry)
    if (bytes > LIMITS.pageBytes) {
      cut ||= pages.length === LIMITS.pages
      if (pages.length === LIMITS.pages) break
      pages.push([])
      bytes = entryBytes(entry)
    }
    pages.at(-1)?.push(entry)
  }
  pages.forEach((entries, i) => {
    const wants = i === 0 ? batch.wants.slice(0, LIMITS.wants) : []
    const more = cut && i === pages.length - 1
    if (entries.length + wants.length > 0) send(state, to, { type: 'entries', bits, entries, wants, more })
  })
}

function entryOf(known: Known, nowMs: number): TableEntry {
  const { member, sinceMs, signature } = known
  const settled = member.state === 'suspect' ? 'alive' : member.state
  const agoS = isLiving(member.state) ? 0 : Math.max(0, Math.floor((nowMs - sinceMs) / 1_000))
  return { member: { ...member, state: settled }, agoS, signature }
}

/** Takes one entry of another's table. What it tells is older than a rumour, so a death only accuses. */
function merge(state: Membership, from: PeerId, entry: TableEntry, nowMs: number): void {
  const { member, agoS, signature } = entry
  const known = state.table.known.get(member.id)
  if (member.id === state.self) {
    refute(state, member, nowMs)
    return
  }
  if (member.state === 'alive' || member.state === 'leaving') {
    learn(state, member as LivingMember, nowMs)
    return
  }
  if (known !== undefined && isLiving(known.member.state) && member.state === 'dead') {
    learn(state, { ...member, state: 'alive' }, nowMs)
    const { id, incarnation } = member
    accuse(state, { id, incarnation, accuser: from }, nowMs)
    return
  }
  bringGone(state, member, { agoS, signature }, nowMs)
}

/** A member that we did not know, or not since its latest death: it is gone by now. */
function bringGone(
  state: Membership,
  member: SettledMember,
  gone: Omit<TableEntry, 'member'>,
  nowMs: number
): void {
  const sinceMs = nowMs - gone.agoS * 1_000
  if (gone.agoS * 1_000 > state.config.forgetMs / 2) return // the others are about to forget it
  const known = state.table.known.get(member.id)
  if (!supersedes(member, known?.member) || !makeRoom(state, member.id)) return
  if (member.state === 'dead') {
    change(state, member, sinceMs)
    return
  }
  if (gone.signature === undefined) return
  const { id, incarnation } = member
  depart(state, { id, incarnation, signature: gone.signature }, sinceMs, member)
}
