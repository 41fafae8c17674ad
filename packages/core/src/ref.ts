/**
 * A ref: a signed, mutable name. One record says what it points to now, which records it follows, who votes
 * on it and who will vote on the next; receipts of the voters say that it was acknowledged.
 *
 * The encoding is fixed: version 1 below stays readable for ever, another gets another version byte.
 */
import type { PeerId } from './block.ts'
import { concat, toHex, toUtf8 } from './bytes.ts'
import { NETWORK_ID_BYTES, REPLICAS_MAX } from './claim.ts'
import {
  bytes,
  type Codec,
  type Decoded,
  decode,
  encode,
  fixed,
  hex,
  list,
  optional,
  struct,
  text,
  u8,
  varint
} from './codec.ts'
import { type Crypto, SHA256_BYTES, SIGNATURE_BYTES } from './crypto.ts'
import { CairnError } from './errors.ts'

/** A whole record, signature included; what IPNS allows too. */
export const REF_BYTES_MAX = 10 * 1024
export const REF_NAME_BYTES_MAX = 255
/** A CID of the longest digest is 68 bytes. */
export const ROOT_BYTES_MAX = 100
/** Rivals that one record can settle. */
export const PREDECESSORS_MAX = 8
/** Members of one electorate. */
export const ELECTORATE_MAX = REPLICAS_MAX
/** Groups whose majority one record needs: its base's, and those that each rival names. */
const GROUPS_MAX = 2 * PREDECESSORS_MAX
/** Of the past, carried by the record itself. */
export const HISTORY_MAX = 16
export const METADATA_MAX = 16
const METADATA_KEY_BYTES_MAX = 32
const METADATA_VALUE_BYTES_MAX = 512
const PEER_ID_BYTES_MAX = 64
/** Electorates are never smaller by wish: two of three is the least majority that survives a loss. */
export const ELECTORATE_MIN = 3

const VERSION = 1
const peerId = text(PEER_ID_BYTES_MAX) as Codec<string> as Codec<PeerId>

const past = struct({ sequence: varint, root: optional(bytes(ROOT_BYTES_MAX)) })

const body = struct({
  version: u8,
  network: hex(NETWORK_ID_BYTES),
  owner: peerId,
  name: text(REF_NAME_BYTES_MAX),
  /** Raised by a recovery alone: what an older epoch still acknowledges is a fork. */
  epoch: varint,
  /** The first sequence of the epoch. */
  since: varint,
  sequence: varint,
  /** A CID's bytes; undefined once the ref is removed. */
  root: optional(bytes(ROOT_BYTES_MAX)),
  /** Hashes of the records that it follows: one, or all rivals that it settles; none for a first one. */
  predecessors: list(hex(SHA256_BYTES), PREDECESSORS_MAX),
  replicas: u8,
  /** How long it binds, counted by each holder, ms; 0 is without end. */
  lifetimeMs: varint,
  /** Who votes on the next record. */
  electorate: list(peerId, ELECTORATE_MAX),
  /** Who votes on this one: a majority of each group acknowledges it. */
  voters: list(list(peerId, ELECTORATE_MAX), GROUPS_MAX),
  /** Roots that are kept beside the latest. */
  keep: u8,
  /** What it pointed to before, the latest first. */
  history: list(past, HISTORY_MAX),
  metadata: list(
    struct({ key: text(METADATA_KEY_BYTES_MAX), value: text(METADATA_VALUE_BYTES_MAX) }),
    METADATA_MAX
  )
})

const signedRecord = struct({ body, signature: fixed(SIGNATURE_BYTES) })

export type RefPast = Decoded<typeof past>
export type RefBody = Omit<Decoded<typeof body>, 'version'>
export type RefMetadata = RefBody['metadata']

/** A record whose signature was checked. */
export interface RefRecord extends RefBody {
  /** Of owner and name: the ref, whatever its sequence. 32 bytes as hex. */
  readonly id: string
  /** SHA-256 of the bytes, as hex. */
  readonly hash: string
  readonly bytes: Uint8Array
}

/** What of a record is shown as it stands; roots and names of members have other shapes for each who asks. */
export type RefTerms = Pick<
  RefRecord,
  'owner' | 'name' | 'epoch' | 'sequence' | 'hash' | 'predecessors' | 'replicas' | 'lifetimeMs' | 'keep'
>

export function termsOf(record: RefRecord): RefTerms {
  const { owner, name, epoch, sequence, hash, predecessors, replicas, lifetimeMs, keep } = record
  return { owner, name, epoch, sequence, hash, predecessors, replicas, lifetimeMs, keep }
}

const RECORD_DOMAIN = toUtf8('cairn-ref/1\0')
const ID_DOMAIN = 'cairn-ref-id/1'

/** What a ref is called by claims, files and messages: a hash of its owner and name. */
export function refId(ref: { owner: PeerId; name: string }, sha256: Crypto['sha256']): string {
  return toHex(sha256(toUtf8(`${ID_DOMAIN}\0${ref.owner}\0${ref.name}`)))
}

/** The slot whose holders carry the ref. */
export function refSlot(id: string): number {
  return Number.parseInt(id.slice(0, 4), 16)
}

/** The bytes that the owner signs. @throws RangeError for a body that can't be one */
export function refSigned(value: RefBody): Uint8Array {
  return concat([RECORD_DOMAIN, encode(body, { version: VERSION, ...value })])
}

/** @throws CairnError TOO_LARGE */
export function signRef(value: RefBody, crypto: Pick<Crypto, 'sha256' | 'sign'>): RefRecord {
  return sealRef(value, crypto.sign(refSigned(value)), crypto)
}

/** A record of a body and the signature that its owner made elsewhere. @throws CairnError TOO_LARGE */
export function sealRef(
  value: RefBody,
  signature: Uint8Array,
  { sha256 }: Pick<Crypto, 'sha256'>
): RefRecord {
  const sealed = encode(signedRecord, { body: { version: VERSION, ...value }, signature })
  if (sealed.length > REF_BYTES_MAX) {
    throw new CairnError('TOO_LARGE', `a ref of ${sealed.length} bytes; ${REF_BYTES_MAX} are the limit`, {
      hint: 'keep less metadata or history'
    })
  }
  return { ...value, id: refId(value, sha256), hash: toHex(sha256(sealed)), bytes: sealed }
}

/** The body alone, not signed yet: what a client is shown before it signs. */
export function encodeRefBody(value: RefBody): Uint8Array {
  return encode(body, { version: VERSION, ...value })
}

/** @throws CairnError BAD_MESSAGE */
export function decodeRefBody(from: Uint8Array): RefBody {
  const { version, ...value } = decode(body, from)
  if (version !== VERSION) refuse(`version ${version}`)
  return value
}

/** Reads and checks a record's bytes. @throws CairnError BAD_MESSAGE, WRONG_NETWORK */
export function readRef(
  from: Uint8Array,
  network: string,
  crypto: Pick<Crypto, 'sha256' | 'verify'>
): RefRecord {
  if (from.length > REF_BYTES_MAX) refuse(`${from.length} bytes`)
  const { body: whole, signature } = decode(signedRecord, from)
  const { version, ...value } = whole
  if (version !== VERSION) refuse(`version ${version}`)
  if (value.network !== network) {
    throw new CairnError('WRONG_NETWORK', `a ref of network ${value.network} in network ${network}`)
  }
  checkBody(value)
  if (!crypto.verify(value.owner, refSigned(value), signature)) refuse('not signed by its owner')
  const id = refId(value, crypto.sha256)
  return { ...value, id, hash: toHex(crypto.sha256(from)), bytes: from.slice() }
}

function checkBody(value: RefBody): void {
  const { sequence, since, predecessors, electorate, voters, replicas } = value
  if (!isRefName(value.name)) refuse('a name that none may have')
  if (replicas < 1 || replicas > REPLICAS_MAX) refuse(`N = ${replicas}`)
  if (sequence < 1 || since > sequence) refuse(`sequence ${sequence}`)
  if (predecessors.length === 0 && sequence > 1 && value.epoch === 0) refuse('it follows nothing')
  for (const group of [electorate, ...voters]) {
    if (group.length === 0 || new Set(group).size !== group.length) refuse('an electorate of nobody')
  }
  if (voters.length === 0) refuse('nobody votes on it')
}

function refuse(what: string): never {
  throw new CairnError('BAD_MESSAGE', `refused ref: ${what}`)
}

/** Whether a ref may be called so: one segment of a path that reads the same to everyone. */
export function isRefName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || toUtf8(name).length > REF_NAME_BYTES_MAX) return false
  for (const char of name) {
    const code = char.codePointAt(0) as number
    const hidden = code < 0x21 || (code >= 0x7f && code < 0xa1) || code === 0x2028 || code === 0x2029
    const bidi = (code >= 0x200b && code <= 0x200f) || (code >= 0x202a && code <= 0x202e)
    if (hidden || bidi || char === '/' || char === '@' || (code >= 0xd800 && code <= 0xdfff)) return false
  }
  return true
}

/** @throws CairnError BAD_NAME */
export function checkRefName(name: string): string {
  if (isRefName(name)) return name
  throw new CairnError('BAD_NAME', `no ref can be called ${JSON.stringify(name)}`, {
    hint: `1 to ${REF_NAME_BYTES_MAX} bytes, without space, / or @`
  })
}

/** Order of two records of one ref: the epoch first, then the sequence. */
export function compareRefs(
  a: Pick<RefRecord, 'epoch' | 'sequence'>,
  b: Pick<RefRecord, 'epoch' | 'sequence'>
): number {
  return a.epoch - b.epoch || a.sequence - b.sequence
}

export function majorityOf(group: readonly unknown[]): number {
  return Math.floor(group.length / 2) + 1
}

/** Whether these members' receipts acknowledge the record. */
export function isAcknowledged(
  { voters }: Pick<RefRecord, 'voters'>,
  receipts: { has(peer: PeerId): boolean }
): boolean {
  return voters.every((group) => group.filter((peer) => receipts.has(peer)).length >= majorityOf(group))
}

/**
 * Who must acknowledge a record that follows these: the electorate of the one, or, where it settles rivals,
 * a majority of those who voted on them and of each electorate that a rival names.
 */
export function votersAfter(predecessors: readonly Pick<RefRecord, 'voters' | 'electorate'>[]): PeerId[][] {
  const groups =
    predecessors.length === 1
      ? [(predecessors[0] as RefRecord).electorate]
      : predecessors.flatMap(({ voters, electorate }) => [...voters, electorate])
  const distinct = new Map(groups.map((group) => [[...group].sort().join(' '), group]))
  return [...distinct].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => [...group])
}
