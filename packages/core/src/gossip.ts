/** The messages that members exchange about each other, and how they are written. Tags 1 … 19. */

import type { PeerId } from './block.ts'
import { bool, type Codec, encode, list, optional, struct, u8, u32, union, varint } from './codec.ts'
import { GOSSIP_LIMITS } from './config.ts'
import { peerIdCodec, type SettledMember, settledCodec, signatureCodec } from './member.ts'
import { type Rumour, rumoursCodec } from './rumour.ts'
import { type Digest, PARTS } from './table.ts'

/** One member of a table as it travels. */
export interface TableEntry {
  member: SettledMember
  /** How long it has been in this state, for members that are gone: all forget at about one time. */
  agoS: number
  signature: Uint8Array | undefined
}

export interface SummaryItem {
  tag: number
  version: number
}

/** Members of one part, without their facts. */
export interface PartSummary {
  part: number
  items: SummaryItem[]
}

/** A member by what a summary said of it: a part, and the tag within it. */
export interface Want {
  part: number
  tag: number
}

export type Gossip =
  /** Are you there, and do you hear me? */
  | { type: 'ping'; seq: number; digest: Digest; rumours: Rumour[] }
  | { type: 'ack'; seq: number; digest: Digest; rumours: Rumour[] }
  /** Ping `target` for me. */
  | { type: 'probe'; seq: number; target: PeerId; rumours: Rumour[] }
  /** It answered, or did not, but I am here to say so (Lifeguard's nack). */
  | { type: 'probed'; seq: number; heard: boolean }
  | { type: 'news'; rumours: Rumour[] }
  /** Our tables differ: here are digests of 2^bits parts of mine. */
  | { type: 'digests'; bits: number; digests: number[] }
  /** In these parts, this is what I have. `more`: others differ too. */
  | { type: 'summary'; bits: number; parts: PartSummary[]; more: boolean }
  /** You lack these, or differ; send me those. `more`: ask again, it was too much for now. */
  | { type: 'entries'; bits: number; entries: TableEntry[]; wants: Want[]; more: boolean }

export const entryCodec: Codec<TableEntry> = struct({
  member: settledCodec,
  agoS: varint,
  signature: optional(signatureCodec)
})

const digest: Codec<Digest> = struct({ a: u32, b: u32 })
const item: Codec<SummaryItem> = struct({ tag: u32, version: u32 })
const part: Codec<PartSummary> = struct({ part: u8, items: list(item, GOSSIP_LIMITS.summaryItems) })
const want: Codec<Want> = struct({ part: u8, tag: u32 })

/** A page is limited in bytes, and no entry is shorter than 8. */
const ENTRIES = Math.ceil(GOSSIP_LIMITS.pageBytes / 8)

export const GOSSIP_CASES = {
  ping: struct({ seq: u32, digest, rumours: rumoursCodec }),
  ack: struct({ seq: u32, digest, rumours: rumoursCodec }),
  probe: struct({ seq: u32, target: peerIdCodec, rumours: rumoursCodec }),
  probed: struct({ seq: u32, heard: bool }),
  news: struct({ rumours: rumoursCodec }),
  digests: struct({ bits: u8, digests: list(u32, 2 * PARTS) }),
  summary: struct({ bits: u8, parts: list(part, PARTS), more: bool }),
  entries: struct({
    bits: u8,
    entries: list(entryCodec, ENTRIES),
    wants: list(want, GOSSIP_LIMITS.wants),
    more: bool
  })
}

/** On the wire: never reuse one. */
export const GOSSIP_TAGS = {
  ping: 1,
  ack: 2,
  probe: 3,
  probed: 4,
  news: 5,
  digests: 6,
  summary: 7,
  entries: 8
} as const

export const gossipCodec: Codec<Gossip> = union(GOSSIP_CASES, GOSSIP_TAGS)

export function entryBytes(entry: TableEntry): number {
  return encode(entryCodec, entry).length
}
