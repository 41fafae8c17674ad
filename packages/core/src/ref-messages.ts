/** What members say to each other about refs, as a closed union of its own. */
import type { PeerId } from './block.ts'
import {
  bool,
  bytes,
  type Codec,
  type Decoded,
  hex,
  list,
  oneOf,
  optional,
  struct,
  text,
  varint
} from './codec.ts'
import { SHA256_BYTES } from './crypto.ts'
import { PREDECESSORS_MAX, REF_BYTES_MAX } from './ref.ts'
import { ENTRY_BYTES_MAX, RIVALS_MAX, refEntryCodec } from './ref-entry.ts'
import { refReceiptBytes } from './ref-receipt.ts'

/** Refs on one page of a listing, and wanted or sent in one round of comparing: 40 bytes each. */
export const REF_PAGE = 1_000
const DIGEST_BYTES = 8
const id = hex(SHA256_BYTES)
const digest = hex(DIGEST_BYTES)
const known = struct({ record: bytes(REF_BYTES_MAX), receipts: list(refReceiptBytes, 64) })

export const REFUSALS = ['not-asked', 'stale', 'rival', 'unfounded', 'unproven'] as const

export const REF_MESSAGES = {
  /** "Vote for this record; it follows these." */
  'ref-propose': struct({
    token: varint,
    record: bytes(REF_BYTES_MAX),
    /** Votes that it has already. */
    receipts: list(refReceiptBytes, 64),
    chain: list(known, Math.max(RIVALS_MAX, PREDECESSORS_MAX) + 1)
  }),
  'ref-vote': struct({ token: varint, receipt: refReceiptBytes }),
  /** "No, and this is what I know." */
  'ref-refuse': struct({ token: varint, why: oneOf(REFUSALS), entry: refEntryCodec }),
  /** "What do you know of this ref?" */
  'ref-ask': struct({ token: varint, id }),
  'ref-told': struct({ token: varint, id, entry: refEntryCodec }),
  /** "Take this"; `token` asks to be told once it is kept. */
  'ref-take': struct({ token: optional(varint), entry: refEntryCodec }),
  'ref-taken': struct({ token: varint }),
  /** "Is all that we both carry the same?" */
  'ref-compare': struct({ digest }),
  /** "No: this is what I have", a page at a time. */
  'ref-page': struct({
    after: optional(id),
    items: list(struct({ id, digest }), REF_PAGE),
    last: bool
  }),
  'ref-next': struct({ after: id }),
  'ref-want': struct({ ids: list(id, REF_PAGE) }),
  /** "Have I voted in a later life than this one?" */
  'ref-boot': struct({ id, boot: varint }),
  'ref-booted': struct({ id, boot: varint, sequence: varint }),
  /** "Which refs do you carry", of one owner or of all. */
  'ref-list': struct({
    token: varint,
    owner: optional(text(64) as Codec<string> as Codec<PeerId>),
    after: optional(id)
  }),
  'ref-listed': struct({ token: varint, records: list(known, 512), next: optional(id) }),
  /** "Is the lifetime of this record over, as you count it?" Silence: no, or there is a later one. */
  'ref-over': struct({ token: varint, id, hash: id }),
  'ref-over-too': struct({ token: varint })
}
export const REF_TAGS = {
  'ref-propose': 80,
  'ref-vote': 81,
  'ref-refuse': 82,
  'ref-ask': 83,
  'ref-told': 84,
  'ref-take': 85,
  'ref-taken': 86,
  'ref-compare': 87,
  'ref-page': 88,
  'ref-next': 89,
  'ref-want': 90,
  'ref-boot': 91,
  'ref-booted': 92,
  'ref-list': 93,
  'ref-listed': 94,
  'ref-over': 95,
  'ref-over-too': 96
} as const

export type RefMessage = {
  [K in keyof typeof REF_MESSAGES]: { type: K } & Decoded<(typeof REF_MESSAGES)[K]>
}[keyof typeof REF_MESSAGES]

/** Of a page of records, with room for the rest of the message. */
export const REF_LIST_BYTES_MAX = ENTRY_BYTES_MAX
