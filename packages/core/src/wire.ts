/**
 * Every message that members exchange about members and data, as one closed union. A peer's bytes pass
 * `decodeMessage` once, at the edge; behind it nothing checks their shape.
 */
import { AUDIT_MESSAGES, AUDIT_TAGS, type AuditMessage } from './audit-messages.ts'
import { blockKeyCodec } from './block.ts'
import { CLAIMING_MESSAGES, CLAIMING_TAGS } from './claiming.ts'
import {
  bytes,
  type Codec,
  type Decoded,
  decode,
  encode,
  list,
  struct,
  text,
  union,
  varint
} from './codec.ts'
import { COLLECT_MESSAGES, COLLECT_TAGS } from './collect.ts'
import { COMPARE_MESSAGES, COMPARE_TAGS, type CompareMessage } from './compare.ts'
import { DOOMED_MESSAGES, DOOMED_TAGS, type DoomedMessage } from './doomed.ts'
import type { FreeingMessage } from './freeing.ts'
import { GOSSIP_CASES, GOSSIP_TAGS, type Gossip } from './gossip.ts'
import { HEAT_MESSAGES, HEAT_TAGS, type HeatMessage } from './heat.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { peerIdCodec } from './member.ts'
import { MIRROR_MESSAGES, MIRROR_TAGS, type MirrorMessage } from './mirror-told.ts'
import { REF_MESSAGES, REF_TAGS, type RefMessage } from './ref-messages.ts'
import { RELEASE_MESSAGES, RELEASE_TAGS } from './release.ts'
import { tallyCodec } from './safety.ts'
import { SCRUB_MESSAGES, SCRUB_TAGS, type ScrubMessage } from './scrubbing.ts'

/**
 * Of everything that nodes say to each other: both ends must speak the same. 2: comparing tells what differs
 * alone, repairs are pulled, surveys count by copies.
 */
export const PROTOCOL_VERSION = 2
/** Any message, encoded. */
export const MESSAGE_BYTES_MAX = 64 * 1024

const SURVEY_MESSAGES = {
  /** "How safe is what you answer for?" As it is, or as if the copies of some members were lost. */
  survey: struct({ token: varint, without: list(peerIdCodec, LIMITS.lossMembers) }),
  tally: struct({ token: varint, tally: tallyCodec }),
  /** "Which of these do you hold?" */
  inquiry: struct({ token: varint, keys: list(blockKeyCodec, LIMITS.inquiryKeys) }),
  /** A bit for each key asked, in order, lowest bit first. */
  inquired: struct({ token: varint, held: bytes(LIMITS.inquiryKeys / 8) })
}
const SURVEY_TAGS = { survey: 30, tally: 31, inquiry: 32, inquired: 33 } as const

/** Of why a copy is bad, for whoever reads the holder's log. In characters a quarter, whatever they are. */
const REASON_BYTES_MAX = 256
export const REASON_CHARS_MAX = REASON_BYTES_MAX / 4

const COPY_MESSAGES = {
  /** "What you gave me for this block is not that block": look at your copy. */
  'bad-copy': struct({ key: blockKeyCodec, reason: text(REASON_BYTES_MAX) })
}
const COPY_TAGS = { 'bad-copy': 36 } as const

export type CopyMessage = {
  [K in keyof typeof COPY_MESSAGES]: { type: K } & Decoded<(typeof COPY_MESSAGES)[K]>
}[keyof typeof COPY_MESSAGES]

export type SurveyMessage = {
  [K in keyof typeof SURVEY_MESSAGES]: { type: K } & Decoded<(typeof SURVEY_MESSAGES)[K]>
}[keyof typeof SURVEY_MESSAGES]

export type Message =
  | (Gossip | CompareMessage | SurveyMessage | DoomedMessage | CopyMessage)
  | (FreeingMessage | RefMessage | AuditMessage | ScrubMessage | MirrorMessage | HeatMessage)

const FREEING_MESSAGES = { ...RELEASE_MESSAGES, ...CLAIMING_MESSAGES, ...COLLECT_MESSAGES }
const FREEING_TAGS = { ...RELEASE_TAGS, ...CLAIMING_TAGS, ...COLLECT_TAGS }

const messageCodec = union(
  {
    ...{ ...GOSSIP_CASES, ...COMPARE_MESSAGES, ...SURVEY_MESSAGES, ...COPY_MESSAGES },
    ...{ ...FREEING_MESSAGES, ...REF_MESSAGES, ...AUDIT_MESSAGES, ...SCRUB_MESSAGES },
    ...{ ...MIRROR_MESSAGES, ...HEAT_MESSAGES, ...DOOMED_MESSAGES }
  },
  {
    ...{ ...GOSSIP_TAGS, ...COMPARE_TAGS, ...SURVEY_TAGS, ...COPY_TAGS },
    ...{ ...FREEING_TAGS, ...REF_TAGS, ...AUDIT_TAGS, ...SCRUB_TAGS },
    ...{ ...MIRROR_TAGS, ...HEAT_TAGS, ...DOOMED_TAGS }
  }
) as Codec<unknown> as Codec<Message>

export function encodeMessage(message: Message): Uint8Array {
  return encode(messageCodec, message)
}

/** @throws CairnError BAD_MESSAGE when it is not exactly one message. */
export function decodeMessage(from: Uint8Array): Message {
  return decode(messageCodec, from)
}

export function isGossip(message: Message): message is Gossip {
  return Object.hasOwn(GOSSIP_CASES, message.type)
}

export function isCompare(message: Message): message is CompareMessage {
  return Object.hasOwn(COMPARE_MESSAGES, message.type)
}

export function isFreeing(message: Message): message is FreeingMessage {
  return Object.hasOwn(FREEING_MESSAGES, message.type)
}

export function isRef(message: Message): message is RefMessage {
  return Object.hasOwn(REF_MESSAGES, message.type)
}

export function isScrub(message: Message): message is ScrubMessage {
  return Object.hasOwn(SCRUB_MESSAGES, message.type)
}

export function isAudit(message: Message): message is AuditMessage {
  return Object.hasOwn(AUDIT_MESSAGES, message.type)
}

export function isMirror(message: Message): message is MirrorMessage {
  return Object.hasOwn(MIRROR_MESSAGES, message.type)
}

export function isDoomed(message: Message): message is DoomedMessage {
  return Object.hasOwn(DOOMED_MESSAGES, message.type)
}

export function isHeat(message: Message): message is HeatMessage {
  return Object.hasOwn(HEAT_MESSAGES, message.type)
}
