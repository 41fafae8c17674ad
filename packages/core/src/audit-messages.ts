/** The messages by which members show each other that they hold what they say, as written. Tags 70 … 79. */
import { blockKeyCodec } from './block.ts'
import { bytes, type Decoded, fixed, list, struct, u32, varint } from './codec.ts'
import {
  ACCUSATION_BYTES_MAX,
  NONCE_BYTES,
  POSSESSION_KEYS_MAX,
  rangeCodec,
  STATEMENT_BYTES_MAX
} from './possession.ts'

/** Tokens of audits: apart from those that comparing and surveys give to the same actions. */
export const AUDIT_TOKENS_FROM = 2 ** 40

const keys = list(blockKeyCodec, POSSESSION_KEYS_MAX)
const signed = bytes(STATEMENT_BYTES_MAX)

export const AUDIT_MESSAGES = {
  /** "Which of these do you hold, signed?" */
  'ask-hold': struct({ token: varint, keys }),
  hold: struct({ token: varint, signed }),
  /** "This member says that it holds these": for the others that do. */
  witness: struct({ signed }),
  /** "Prove these ranges." */
  challenge: struct({
    token: varint,
    nonce: fixed(NONCE_BYTES),
    items: list(rangeCodec, POSSESSION_KEYS_MAX)
  }),
  proof: struct({ token: varint, signed }),
  /**
   * "What I said until now of holding these: no longer; nor anything from before I started." Until it is
   * `retracted`, it is said again.
   */
  retract: struct({ token: varint, life: u32, upMs: varint, keys }),
  retracted: struct({ token: varint }),
  /** "This is what I have against that member." */
  accuse: struct({ signed: bytes(ACCUSATION_BYTES_MAX) })
}
/** On the wire: never reuse one. */
export const AUDIT_TAGS = {
  'ask-hold': 70,
  hold: 71,
  witness: 72,
  challenge: 73,
  proof: 74,
  retract: 75,
  retracted: 76,
  accuse: 77
} as const

export type AuditMessage = {
  [K in keyof typeof AUDIT_MESSAGES]: { type: K } & Decoded<(typeof AUDIT_MESSAGES)[K]>
}[keyof typeof AUDIT_MESSAGES]

export type AuditMessageOf<K extends AuditMessage['type']> = Extract<AuditMessage, { type: K }>
