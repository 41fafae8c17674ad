/**
 * Statements about holding blocks, as they are signed and written: "I hold these", "these are the ranges
 * that you asked for", and what one member has against another. A proof is a hash over a nonce and a
 * random range of a block's bytes, so that who has the block can check it and who has not can't make it.
 *
 * The encodings are fixed: version 1 stays readable, another gets another version byte.
 */
import { type BlockKey, blockKeyCodec, type PeerId } from './block.ts'
import { concat, toUtf8 } from './bytes.ts'
import { NETWORK_ID_BYTES } from './claim.ts'
import {
  bytes,
  type Codec,
  type Decoded,
  decode,
  encode,
  fixed,
  hex,
  list,
  oneOf,
  optional,
  struct,
  u8,
  u32,
  varint
} from './codec.ts'
import { type Crypto, SHA256_BYTES } from './crypto.ts'
import { CairnError } from './errors.ts'
import { peerIdCodec, signatureCodec } from './member.ts'

const VERSION = 1
/** Blocks of one statement. A proof of 64 takes 6 KiB. */
export const POSSESSION_KEYS_MAX = 64
export const NONCE_BYTES = 16
/** Of a block, at most: what it costs to hash is then nothing beside reading it. */
export const RANGE_BYTES_MAX = 16 * 1024
/** Any signed statement: 64 keys of 66 bytes with a range and a digest each, and the rest. */
export const STATEMENT_BYTES_MAX = 8 * 1024
export const ACCUSATION_BYTES_MAX = STATEMENT_BYTES_MAX + 512

const head = { version: u8, network: hex(NETWORK_ID_BYTES), holder: peerIdCodec, auditor: peerIdCodec }

const hold = struct({
  ...head,
  /** Drawn at each start: what was said before a restart binds nobody. */
  life: u32,
  /** By the holder's own count, ms: to tell a statement of now from one of before. */
  upMs: varint,
  keys: list(blockKeyCodec, POSSESSION_KEYS_MAX)
})
/** "I hold these, and want none of them." */
export type Hold = Decoded<typeof hold>

const range = { key: blockKeyCodec, offset: u32, length: u32 }
export const rangeCodec = struct(range)
/** Bytes of a block that are asked for. */
export type Range = Decoded<typeof rangeCodec>

const proof = struct({
  ...head,
  nonce: fixed(NONCE_BYTES),
  items: list(struct({ ...range, digest: optional(fixed(SHA256_BYTES)) }), POSSESSION_KEYS_MAX)
})
/** The digest of each range asked for; none of what is not held. */
export type Proof = Decoded<typeof proof>

export const FAULT_KINDS = ['wrong-answer', 'asked-for-it'] as const
/**
 * `wrong-answer`: it signed a digest that is not the block's. `asked-for-it`: it signed that it holds a block
 * and then asked for that very block, reporting no loss.
 */
export type FaultKind = (typeof FAULT_KINDS)[number]

const accusation = struct({
  version: u8,
  network: hex(NETWORK_ID_BYTES),
  accuser: peerIdCodec,
  accused: peerIdCodec,
  kind: oneOf(FAULT_KINDS),
  key: blockKeyCodec,
  /** What the accused signed. */
  evidence: bytes(STATEMENT_BYTES_MAX)
})
/** What one member has against another. */
export type Accusation = Decoded<typeof accusation>

const DOMAINS = { hold: 'cairn-hold/1\0', proof: 'cairn-proof/1\0', accusation: 'cairn-accusation/1\0' }

type Signing = Pick<Crypto, 'sign'>
type Checking = Pick<Crypto, 'verify'>

/** What was said, as its signer wrote it, so that nothing is written again to check it. */
const sealed = struct({ said: bytes(ACCUSATION_BYTES_MAX), signature: signatureCodec })

function seal<T>(codec: Codec<T>, domain: string, value: T, { sign }: Signing): Uint8Array {
  const said = encode(codec, value)
  return encode(sealed, { said, signature: sign(concat([toUtf8(domain), said])) })
}

function open<T extends { version: number; network: string }>(
  codec: Codec<T>,
  domain: string,
  signed: Uint8Array,
  { network, by, verify }: Checking & { network: string; by: (value: T) => PeerId }
): T {
  const { said, signature } = decode(sealed, signed)
  const value = decode(codec, said)
  const isOurs = value.version === VERSION && value.network === network
  if (isOurs && verify(by(value), concat([toUtf8(domain), said]), signature)) return value
  throw new CairnError('BAD_MESSAGE', 'refused statement: not signed by whom it names')
}

export function signHold(value: Omit<Hold, 'version'>, crypto: Signing): Uint8Array {
  return seal(hold, DOMAINS.hold, { version: VERSION, ...value }, crypto)
}

/** @throws CairnError BAD_MESSAGE */
export function readHold(signed: Uint8Array, network: string, { verify }: Checking): Hold {
  return open(hold, DOMAINS.hold, signed, { network, verify, by: ({ holder }) => holder })
}

export function signProof(value: Omit<Proof, 'version'>, crypto: Signing): Uint8Array {
  return seal(proof, DOMAINS.proof, { version: VERSION, ...value }, crypto)
}

/** @throws CairnError BAD_MESSAGE */
export function readProof(signed: Uint8Array, network: string, { verify }: Checking): Proof {
  return open(proof, DOMAINS.proof, signed, { network, verify, by: ({ holder }) => holder })
}

export function signAccusation(value: Omit<Accusation, 'version'>, crypto: Signing): Uint8Array {
  return seal(accusation, DOMAINS.accusation, { version: VERSION, ...value }, crypto)
}

/** @throws CairnError BAD_MESSAGE */
export function readAccusation(signed: Uint8Array, network: string, { verify }: Checking): Accusation {
  return open(accusation, DOMAINS.accusation, signed, { network, verify, by: ({ accuser }) => accuser })
}

const DIGEST_DOMAIN = toUtf8('cairn-range/1\0')
const digested = struct({ nonce: fixed(NONCE_BYTES), holder: peerIdCodec, ...range })

/**
 * What proves a range: the nonce keeps it from being known before, the holder's name from being another's
 * answer. @param bytes of the range, `length` of them
 */
export function rangeDigest(
  asked: { nonce: Uint8Array; holder: PeerId } & Range,
  bytesOfRange: Uint8Array,
  sha256: Crypto['sha256']
): Uint8Array {
  return sha256(concat([DIGEST_DOMAIN, encode(digested, asked), bytesOfRange]))
}

/** A range of a block of so many bytes. @param at in [0, 1), where it begins */
export function rangeOf(key: BlockKey, size: number, at: number): Range {
  const length = Math.min(size, RANGE_BYTES_MAX)
  return { key, offset: Math.floor(at * (size - length + 1)), length }
}

/** The digest of a range that was asked for, from the whole block; undefined when it has no such range. */
export function proveRange(
  asked: { nonce: Uint8Array; holder: PeerId } & Range,
  block: Uint8Array,
  sha256: Crypto['sha256']
): Uint8Array | undefined {
  const { offset, length } = asked
  if (length > RANGE_BYTES_MAX || offset + length > block.length) return undefined
  return rangeDigest(asked, block.subarray(offset, offset + length), sha256)
}
