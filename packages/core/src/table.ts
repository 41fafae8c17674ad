/**
 * All members that we know, with digests that two members compare to find where their tables differ:
 * sums of 64-bit hashes of (id, incarnation, state) over 256 parts of the id space, kept as members
 * change, so that a digest of any part, or of all, costs nothing.
 *
 * Suspicion is not in a digest (it passes too fast), nor are members that have been gone for half of
 * the time after which they are forgotten: or those who forgot would be told again, for ever.
 */

import type { PeerId } from './block.ts'
import type { Member, MemberState } from './member.ts'
import { isLiving } from './member.ts'
import { pick, type Random } from './random.ts'

/** Parts of the id space. At 10,000 members, 40 in each: a differing one costs 320 bytes to list. */
export const PART_BITS = 8
export const PARTS = 2 ** PART_BITS

/** Never changed, so that tables of one process may share it: ten thousand with ten thousand members each. */
export interface Known {
  readonly member: Member
  /** When it got into this state, by our clock. */
  readonly sinceMs: number
  /** Of a member that left: its own. */
  readonly signature: Uint8Array | undefined
  /** No longer compared or told. */
  readonly quiet: boolean
  readonly part: number
  readonly tag: number
}

export interface Digest {
  a: number
  b: number
}

export interface Table {
  readonly known: Map<PeerId, Known>
  /** By the part of the id space: an array is a tenth of a set, and a part has tens of members. */
  readonly parts: Known[][]
  readonly sums: Uint32Array
  readonly living: PeerId[]
  readonly dead: PeerId[]
}

export function createTable(): Table {
  return {
    known: new Map(),
    parts: Array.from({ length: PARTS }, () => []),
    sums: new Uint32Array(2 * PARTS),
    living: [],
    dead: []
  }
}

/** Adds a member or replaces what was known of it. */
export function put(table: Table, member: Member, sinceMs: number, signature?: Uint8Array): void {
  const { part, tag } = table.known.get(member.id) ?? place(member.id)
  enterKnown(table, { member, sinceMs, signature, quiet: false, part, tag })
}

/** As `put`, of what another table may know as well. */
export function enterKnown(table: Table, known: Known): void {
  const { id } = known.member
  const before = table.known.get(id)
  table.known.set(id, known)
  const part = table.parts[known.part] as Known[]
  if (before === undefined) part.push(known)
  else {
    weigh(table, before, -1)
    part[part.indexOf(before)] = known
  }
  weigh(table, known, 1)
  move(table, id, before?.member.state, known.member.state)
}

export function remove(table: Table, id: PeerId): void {
  const known = table.known.get(id)
  if (known === undefined) return
  weigh(table, known, -1)
  const part = table.parts[known.part] as Known[]
  part.splice(part.indexOf(known), 1)
  table.known.delete(id)
  move(table, id, known.member.state, undefined)
}

/** Leaves it out of comparisons from now on. */
export function quieten(table: Table, known: Known): void {
  enterKnown(table, { ...known, quiet: true })
}

export function digestOf(table: Table): Digest {
  return sum(table.sums, 0, PARTS)
}

/** Digests of 2^bits equal parts, two numbers each. */
export function partDigests(table: Table, bits: number): number[] {
  const width = PARTS >> bits
  const digests: number[] = []
  for (let start = 0; start < PARTS; start += width) {
    const { a, b } = sum(table.sums, start, width)
    digests.push(a, b)
  }
  return digests
}

/** As fine as makes parts of about eight members: a small table is not split at all. */
export function usefulBits(table: Table): number {
  return Math.max(0, Math.min(PART_BITS, Math.ceil(Math.log2(table.known.size / 8))))
}

/** What is compared of the members in one of 2^bits parts. */
export function* membersOf(table: Table, part: number, bits: number): Generator<Known> {
  const width = PARTS >> bits
  for (let p = part * width; p < (part + 1) * width; p++) {
    for (const known of table.parts[p] ?? []) if (!known.quiet) yield known
  }
}

/** 32 bits that differ when a member's incarnation or state does. */
export function versionOf(known: Known): number {
  return versions(known).a
}

export function draw(from: readonly PeerId[], random: Random): PeerId | undefined {
  return from[pick(random, from.length)]
}

/** Up to `count` distinct random items that pass, in at most 4 draws for each and a few more. */
export function drawSome(
  from: readonly PeerId[],
  count: number,
  random: Random,
  fits: (id: PeerId) => boolean
): PeerId[] {
  const drawn: PeerId[] = []
  for (let tries = 4 * count + 8; tries > 0 && drawn.length < count; tries--) {
    const id = draw(from, random)
    if (id !== undefined && !drawn.includes(id) && fits(id)) drawn.push(id)
  }
  return drawn
}

/** From one list of ids to another; deaths are rare, and ten thousand ids looked through in microseconds. */
function move(table: Table, id: PeerId, from: MemberState | undefined, to: MemberState | undefined): void {
  const before = listOf(table, from)
  const after = listOf(table, to)
  if (before === after) return
  if (before !== undefined) {
    const last = before.pop() as PeerId
    if (last !== id) before[before.indexOf(id)] = last
  }
  after?.push(id)
}

function listOf({ living, dead }: Table, state: MemberState | undefined): PeerId[] | undefined {
  if (state === undefined) return undefined
  return isLiving(state) ? living : state === 'dead' ? dead : undefined
}

function sum(sums: Uint32Array, start: number, width: number): Digest {
  let a = 0
  let b = 0
  for (let p = start; p < start + width; p++) {
    a = (a + (sums[2 * p] as number)) >>> 0
    b = (b + (sums[2 * p + 1] as number)) >>> 0
  }
  return { a, b }
}

/** Adds (1) or takes out (-1) what a member contributes to its part's sum. */
function weigh(table: Table, known: Known, sign: 1 | -1): void {
  if (known.quiet) return
  const { a, b } = versions(known)
  const at = 2 * known.part
  table.sums[at] = (table.sums[at] as number) + sign * a
  table.sums[at + 1] = (table.sums[at + 1] as number) + sign * b
}

const COMPARED = { alive: 0, suspect: 0, leaving: 1, dead: 2, left: 3 } as const

function versions(known: Known): Digest {
  const { incarnation, state } = known.member
  const low = mix(known.tag ^ (incarnation >>> 0)) ^ (Math.floor(incarnation / 2 ** 32) * 4 + COMPARED[state])
  return { a: mix(low), b: mix(low ^ mix(known.tag + 0x9e3779b9)) }
}

function place(id: PeerId): { part: number; tag: number } {
  let hash = 0x811c9dc5 // FNV-1a, then mixed: its high bits alone are poor
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return { part: mix(hash) >>> (32 - PART_BITS), tag: mix(hash ^ 0x5bd1e995) }
}

/** MurmurHash3's finaliser: each bit of the input flips half of the output's. */
function mix(value: number): number {
  let x = value >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}
