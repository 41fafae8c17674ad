/**
 * News about members and how often it was told. Rumours ride on messages that are sent anyway, least
 * told first, each on a number of messages that grows with the logarithm of the network (SWIM §4.1).
 */

import type { PeerId } from './block.ts'
import { type Codec, encode, list, struct, union } from './codec.ts'
import { GOSSIP_LIMITS } from './config.ts'
import { incarnationCodec, type LivingMember, livingCodec, peerIdCodec, signatureCodec } from './member.ts'

export type Rumour =
  | { type: 'facts'; member: LivingMember }
  | { type: 'suspect'; id: PeerId; incarnation: number; accuser: PeerId }
  | { type: 'dead'; id: PeerId; incarnation: number }
  | { type: 'left'; id: PeerId; incarnation: number; signature: Uint8Array }

export const rumourCodec: Codec<Rumour> = union(
  {
    facts: struct({ member: livingCodec }),
    suspect: struct({ id: peerIdCodec, incarnation: incarnationCodec, accuser: peerIdCodec }),
    dead: struct({ id: peerIdCodec, incarnation: incarnationCodec }),
    left: struct({ id: peerIdCodec, incarnation: incarnationCodec, signature: signatureCodec })
  },
  { facts: 1, suspect: 2, dead: 3, left: 4 }
)

/** The shortest rumour is longer than 3 bytes, and two more than fit may be added for the receiver. */
export const rumoursCodec: Codec<Rumour[]> = list(rumourCodec, Math.floor(GOSSIP_LIMITS.rumourBytes / 3) + 2)

export function subjectOf(rumour: Rumour): PeerId {
  return rumour.type === 'facts' ? rumour.member.id : rumour.id
}

interface Item {
  rumour: Rumour
  bytes: number
}

/** Rumours by how often they were told; within a level the oldest first. */
export interface Rumours {
  levels: Map<string, Item>[]
  size: number
}

export function createRumours(): Rumours {
  return { levels: [], size: 0 }
}

/** One fact is kept for a member, and one accusation for each of its accusers. */
function keyOf(rumour: Rumour): string {
  return rumour.type === 'suspect' ? `${rumour.id} ${rumour.accuser}` : subjectOf(rumour)
}

/** Tells it from now on, in place of what was told of the same before. */
export function spread(rumours: Rumours, rumour: Rumour): void {
  drop(rumours, keyOf(rumour))
  const first = rumours.levels[0] ?? new Map<string, Item>()
  rumours.levels[0] = first
  first.set(keyOf(rumour), { rumour, bytes: encode(rumourCodec, rumour).length })
  rumours.size++
  if (rumours.size > GOSSIP_LIMITS.rumours) dropMostTold(rumours)
}

/** Stops telling anything of a member. */
export function hush(rumours: Rumours, id: PeerId, accusers: readonly PeerId[]): void {
  drop(rumours, id)
  for (const accuser of accusers) drop(rumours, `${id} ${accuser}`)
}

function drop(rumours: Rumours, key: string): void {
  for (const level of rumours.levels) if (level?.delete(key)) rumours.size--
}

function dropMostTold(rumours: Rumours): void {
  for (let i = rumours.levels.length - 1; i >= 0; i--) {
    for (const key of rumours.levels[i]?.keys() ?? []) {
      drop(rumours, key)
      return
    }
  }
}

export function timesToTell(members: number, factor: number): number {
  return Math.ceil(factor * Math.log2(members + 1))
}

/** Rumours for one message of at most `bytes`, facts before accusations, each told `times` at most. */
export function take(rumours: Rumours, bytes: number, times: number): Rumour[] {
  const taken: Rumour[] = []
  const told: Told[] = []
  let room = bytes
  for (let i = 0; i < rumours.levels.length && room > 0; i++) {
    for (const [key, item] of rumours.levels[i] ?? []) {
      // Strictly in turn, or a long one would wait behind short ones for ever; the first always goes.
      if (item.bytes > room && taken.length > 0) return finish(rumours, taken, told, times)
      room -= item.bytes
      taken.push(item.rumour)
      told.push({ key, item, level: i })
    }
  }
  return finish(rumours, taken, told, times)
}

interface Told {
  key: string
  item: Item
  level: number
}

function finish(rumours: Rumours, taken: Rumour[], told: readonly Told[], times: number): Rumour[] {
  for (const { key, item, level } of told) age(rumours, key, item, level + 1, times)
  // An accusation means nothing before the incarnation that it is about is known.
  return taken.sort((a, b) => Number(a.type !== 'facts') - Number(b.type !== 'facts'))
}

function age(rumours: Rumours, key: string, item: Item, level: number, times: number): void {
  rumours.levels[level - 1]?.delete(key)
  if (level >= times) {
    rumours.size--
    return
  }
  const next = rumours.levels[level] ?? new Map<string, Item>()
  rumours.levels[level] = next
  next.set(key, item)
}
