/** The messages by which two members find what differs between them, as they are written. Tags 20 … 29. */

import { type BlockKey, blockKeyCodec, type PeerId, SLOTS } from './block.ts'
import { REPLICAS_MAX } from './claim.ts'
import type { Claimed, ClaimingMessage } from './claiming.ts'
import {
  bool,
  bytes,
  type Codec,
  type Decoded,
  fixed,
  hex,
  list,
  optional,
  struct,
  u8,
  u16,
  u32,
  varint
} from './codec.ts'
import { CairnError } from './errors.ts'
import { FINGERPRINT_BYTES } from './fingerprint.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'

/** Slots are compared in groups of 256: with 256 groups, two steps lead to any slot. */
export const GROUPS = 256
export const GROUP_SLOTS = SLOTS / GROUPS
/** Of a group's hash on the wire. A collision hides a difference until the group next changes. */
export const GROUP_DIGEST_BYTES = 8

/** Groups in parts of 16 slots: what differs in a group is in few of them. */
export const PARTS = 16
export const PART_SLOTS = GROUP_SLOTS / PARTS
export const PARTS_BYTES = PARTS * GROUP_DIGEST_BYTES

/** Of a key with its claims, in a question for the keys of a slot. */
export const KEY_MARK_BYTES = 8

/** N on the wire. */
export const replicasCodec: Codec<number> = {
  write: u8.write,
  read(from) {
    const value = u8.read(from)
    if (value >= 1 && value <= REPLICAS_MAX) return value
    throw new CairnError('BAD_MESSAGE', `malformed message: N = ${value}`)
  }
}

const summary = struct({
  slot: u16,
  replicas: replicasCodec,
  fingerprint: hex(FINGERPRINT_BYTES),
  blocks: varint,
  bytes: varint
})

/** Slots of one group, both ends included. */
const span = struct({ from: u16, to: u16 })
export type Span = Decoded<typeof span>

const asked = struct({
  slot: u16,
  replicas: replicasCodec,
  after: optional(blockKeyCodec),
  /** Marks of the keys that the asker has there: they are left out of the answer. See `keyMark`. */
  have: optional(bytes(LIMITS.pageKeys * KEY_MARK_BYTES))
})
/** What is asked for of one slot. */
export type Asked = Decoded<typeof asked>

const page = struct({
  slot: u16,
  replicas: replicasCodec,
  after: optional(blockKeyCodec),
  /** Of the slot when the page was begun: it holds all of that, or what was removed since. */
  fingerprint: hex(FINGERPRINT_BYTES),
  entries: list(struct({ key: blockKeyCodec, size: varint, claims: hex(8) }), LIMITS.pageKeys),
  next: optional(blockKeyCodec)
})
export type Page = Decoded<typeof page>

/** Of a slot's fingerprint, 32 bits: which of them depends on the round, see `markOf`. */
const mark = struct({ slot: u16, replicas: replicasCodec, mark: u32 })
export type Mark = Decoded<typeof mark>

export const COMPARE_MESSAGES = {
  /**
   * "This is the hash of all that we share, as I see it; and this was yours when I last knew all that differs
   * between us."
   */
  compare: struct({
    round: varint,
    root: hex(FINGERPRINT_BYTES),
    known: optional(hex(FINGERPRINT_BYTES))
  }),
  /** "It is mine too"; or, `still`: "mine differs, and is what you know." */
  agree: struct({ round: varint, still: bool }),
  /** "Mine differs; these are my groups." */
  groups: struct({ round: varint, digests: fixed(GROUPS * GROUP_DIGEST_BYTES) }),
  /** "These groups differ, and these are my hashes of their parts, from a slot on." */
  parts: struct({
    round: varint,
    from: u16,
    groups: list(struct({ group: u8, digests: fixed(PARTS_BYTES) }), LIMITS.groupsPerRound)
  }),
  /** "They differ in these slots, and this is all that I share with you there"; `all` unless it was cut. */
  marks: struct({
    round: varint,
    spans: list(span, LIMITS.spansPerMessage),
    marks: list(mark, LIMITS.marksPerMessage),
    all: bool
  }),
  /**
   * "In these slots we differ only here, where I have this": nothing, if without blocks. `answer` asks for
   * the same in return. `whole`: with this, all that differs has been told.
   */
  slots: struct({
    round: varint,
    spans: list(span, LIMITS.spansPerMessage),
    summaries: list(summary, LIMITS.slotsPerMessage),
    answer: bool,
    whole: bool
  }),
  /** "Which keys do you have of these slots?" `nonce`: which bytes of a key are marks. */
  list: struct({ nonce: varint, slots: list(asked, LIMITS.slotsListed) }),
  /** Of each slot a page: those after a key, and the key from which to go on, unless it is the last. */
  listing: struct({ pages: list(page, LIMITS.pagesPerMessage) }),
  /** "I hold these besides what I must; do you have all of them?" */
  offer: struct({ summaries: list(summary, LIMITS.slotsPerMessage) }),
  /** "All that you offered of these, by these fingerprints, is here." */
  settled: struct({ summaries: list(summary, LIMITS.slotsPerMessage) })
}
/** On the wire: never reuse one. */
export const COMPARE_TAGS = {
  ...{ compare: 20, agree: 21, groups: 22, slots: 23, list: 24, listing: 25, offer: 26, settled: 27 },
  ...{ parts: 28, marks: 29 }
} as const

export type CompareMessage = {
  [K in keyof typeof COMPARE_MESSAGES]: { type: K } & Decoded<(typeof COMPARE_MESSAGES)[K]>
}[keyof typeof COMPARE_MESSAGES]

export type MessageOf<K extends CompareMessage['type']> = Extract<CompareMessage, { type: K }>

export type CompareAction =
  | { type: 'send'; to: PeerId; message: CompareMessage }
  /** List what this store has of each slot, after a key, at most `limit` each; answer with `listed`. */
  | { type: 'list-slots'; token: number; slots: readonly Pick<Asked, 'slot' | 'after'>[]; limit: number }
  /** See which of these the store has; answer with `looked-up`. */
  | { type: 'look-up'; token: number; keys: BlockKey[] }
  /** These are missing here, and this member has them. For repair to decide. */
  | { type: 'send'; to: PeerId; message: ClaimingMessage }
  /** This member has other claims on these than we. For claiming to ask for. */
  | { type: 'differing'; from: PeerId; blocks: Claimed[] }
  | { type: 'missing'; from: PeerId; slot: number; replicas: number; entries: Listed[] }

/** A block as another member lists it. */
export interface Listed {
  key: BlockKey
  size: number
  /** `claimsDigest` of its claims there. */
  claims: string
}

/** (slot, N) as one number. */
export type Place = number

export function placeOf({ slot, replicas }: { slot: number; replicas: number }): Place {
  return replicas * SLOTS + slot
}

export function fromPlace(place: Place): { slot: number; replicas: number } {
  return { slot: place % SLOTS, replicas: Math.floor(place / SLOTS) }
}

export function groupOf(slot: number): number {
  return Math.floor(slot / GROUP_SLOTS)
}
