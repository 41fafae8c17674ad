/**
 * Claims: why a block is kept. A claim is a signed register for each (block, claimant); the highest
 * sequence wins, live or ended. An owner signs one Merkle root over a whole change of claims, and each
 * slot's part of it travels with the slot's blocks, so nobody walks a graph to learn what is needed.
 *
 * The encoding is fixed: version 1 below stays readable for ever, another gets another version byte.
 */
import { type BlockKey, blockKeyCodec, type PeerId, slotOf } from './block.ts'
import { concat, toHex, toUtf8 } from './bytes.ts'
import {
  bool,
  type Codec,
  type Decoded,
  decode,
  encode,
  fixed,
  hex,
  list,
  oneOf,
  struct,
  text,
  u8,
  u16,
  varint
} from './codec.ts'
import { type Crypto, SHA256_BYTES, SIGNATURE_BYTES } from './crypto.ts'
import { CairnError } from './errors.ts'
import {
  type KnownNodes,
  merklePath,
  merkleRoot,
  merkleTree,
  merkleVerify,
  PATH_STEPS_MAX
} from './merkle.ts'

/** N may be 1 to this. Above it a copy more protects from nothing that a copy less does not. */
export const REPLICAS_MAX = 32
/** Keys of one slot in one part; a slot with more gets several parts. */
export const PART_KEYS_MAX = 32
/** The most that an encoded part may take: 32 keys of 66 bytes, 20 steps of 32, header and signature. */
export const PART_BYTES_MAX = 4_096

const VERSION = 1
/** Length of a network id and of an upload's or ref's id, bytes. */
export const NETWORK_ID_BYTES = 16
export const CLAIMANT_ID_BYTES = 32

export const CLAIMANT_KINDS = ['ref', 'upload', 'mirror'] as const
export type ClaimantKind = (typeof CLAIMANT_KINDS)[number]

const peerId = text(64) as Codec<string> as Codec<PeerId>

const header = struct({
  version: u8,
  network: hex(NETWORK_ID_BYTES),
  /** Whose key signs; it alone can raise the sequence. */
  owner: peerId,
  kind: oneOf(CLAIMANT_KINDS),
  /** Of the ref, upload or mirror: unique under its owner. */
  id: hex(CLAIMANT_ID_BYTES),
  sequence: varint,
  live: bool,
  replicas: u8,
  /** How long the claim binds from its arrival at a holder, ms, counted by that holder; 0 is without end. */
  lifetimeMs: varint,
  parts: varint,
  root: fixed(SHA256_BYTES)
})

const signature = fixed(SIGNATURE_BYTES)
const path = list(fixed(SHA256_BYTES), PATH_STEPS_MAX)
const leaf = struct({ slot: u16, keys: list(blockKeyCodec, PART_KEYS_MAX) })

/** A part is the header and its signature, which all parts of a change share, and then what is its own. */
const own = struct({ index: varint, path, leaf })

/** What an owner says of a set of blocks. */
export interface Change {
  network: string
  owner: PeerId
  kind: ClaimantKind
  id: string
  sequence: number
  live: boolean
  replicas: number
  lifetimeMs: number
}

type Header = Decoded<typeof header>

/** A claim as a store keeps it: what decisions need, and the part that proves it to the next holder. */
export interface HeldClaim {
  /** Kind, and a hash of owner and id, 33 bytes as hex: claims of one claimant replace each other. */
  claimant: string
  sequence: number
  live: boolean
  replicas: number
  proof: Uint8Array
}

/** What two members compare of a claim: its register, without the proof. */
export type Register = Pick<HeldClaim, 'claimant' | 'sequence' | 'live'>

/** Of a claimant as `claimantOf` names it. */
const CLAIMANT_BYTES = 33
export const registerCodec = struct({ claimant: hex(CLAIMANT_BYTES), sequence: varint, live: bool })

const DOMAIN = toUtf8('cairn-claim/1\0')

/** Signs a change over `keys` and returns the part of each key. Keys may come in any order, once each. */
export function signChange(
  change: Change,
  keys: readonly BlockKey[],
  crypto: Pick<Crypto, 'sha256' | 'sign'>
): Map<BlockKey, HeldClaim> {
  const leaves = partition(keys)
  const encoded = leaves.map((value) => encode(leaf, value))
  const tree = merkleTree(encoded, crypto.sha256)
  const head = { version: VERSION, ...change, parts: leaves.length, root: merkleRoot(tree) }
  const signed = encode(header, head)
  const shared = concat([signed, crypto.sign(concat([DOMAIN, signed]))])
  const register = registerOf(head, crypto.sha256)
  const claims = new Map<BlockKey, HeldClaim>()
  leaves.forEach((value, index) => {
    const rest = encode(own, { index, path: merklePath(tree, index), leaf: value })
    const claim = { ...register, proof: concat([shared, rest]) }
    for (const key of value.keys) claims.set(key, claim)
  })
  return claims
}

function partition(keys: readonly BlockKey[]): { slot: number; keys: BlockKey[] }[] {
  const sorted = [...keys].sort((a, b) => slotOf(a) - slotOf(b) || (a < b ? -1 : a > b ? 1 : 0))
  const leaves: { slot: number; keys: BlockKey[] }[] = []
  for (const key of sorted) {
    const last = leaves[leaves.length - 1]
    if (last?.slot === slotOf(key) && last.keys.length < PART_KEYS_MAX) last.keys.push(key)
    else leaves.push({ slot: slotOf(key), keys: [key] })
  }
  return leaves
}

/** All of a claim that its header says. */
function registerOf(head: Header, sha256: Crypto['sha256']): Omit<HeldClaim, 'proof'> {
  const { sequence, live, replicas } = head
  return { claimant: claimantOf(head, sha256), sequence, live, replicas }
}

/** The register that claims of this ref, upload or mirror share. */
export function claimantOf(claim: Pick<Change, 'kind' | 'owner' | 'id'>, sha256: Crypto['sha256']): string {
  const kind = CLAIMANT_KINDS.indexOf(claim.kind)
  const name = sha256(toUtf8(`${claim.owner} ${claim.id}`))
  return toHex(Uint8Array.of(kind, ...name))
}

/**
 * Reads and checks a part that a peer sent, or a disk kept: form, network, path, signature.
 * `trusted` may remember headers that were seen to be good: those of a change of many parts cost one check.
 *
 * @throws CairnError BAD_MESSAGE when it is malformed or not signed by its owner, WRONG_NETWORK.
 */
export function readClaim(
  proof: Uint8Array,
  expect: { network: string; key: BlockKey },
  crypto: Pick<Crypto, 'sha256' | 'verify'>,
  trusted?: TrustedHeaders
): HeldClaim {
  const signed = trusted?.recent(proof) ?? readSigned(proof, expect.network, crypto, trusted)
  const { head, bytes, nodes } = signed
  if (head.network !== expect.network) refuseNetwork(head.network, expect.network)
  const { index, path, leaf: mine } = decode(own, proof.subarray(bytes.length))
  if (!mine.keys.includes(expect.key) || mine.keys.some((key) => slotOf(key) !== mine.slot)) {
    refuse('a claim on another block')
  }
  const proved = { leaf: encode(leaf, mine), index, count: head.parts, path, root: head.root }
  if (!merkleVerify(proved, crypto.sha256, nodes)) refuse('a path that does not lead to the signed root')
  return { ...signed.register, proof }
}

/** A header and its signature, seen to be good: the bytes that begin each part of the change. */
export interface SignedHeader {
  bytes: Uint8Array
  head: Header
  register: Omit<HeldClaim, 'proof'>
  /** What is known of the change's tree; to be added to. */
  nodes: KnownNodes
}

function readSigned(
  proof: Uint8Array,
  network: string,
  crypto: Pick<Crypto, 'sha256' | 'verify'>,
  trusted: TrustedHeaders | undefined
): SignedHeader {
  const from = { bytes: proof, offset: 0 }
  const head = header.read(from)
  const length = from.offset
  const signed = signature.read(from)
  if (head.version !== VERSION) refuse(`claim of version ${head.version}`)
  if (head.network !== network) refuseNetwork(head.network, network)
  if (head.kind === 'mirror') refuse("another member's mirror's")
  if (head.replicas < 1 || head.replicas > REPLICAS_MAX) refuse(`N = ${head.replicas}`)
  const bytes = proof.slice(0, from.offset)
  const seen = trusted && toHex(crypto.sha256(bytes))
  if (seen === undefined || !trusted?.has(seen)) {
    const said = concat([DOMAIN, bytes.subarray(0, length)])
    if (!crypto.verify(head.owner, said, signed)) refuse("a signature that is not its owner's")
    if (seen !== undefined) trusted?.add(seen)
  }
  const good = { bytes, head, register: registerOf(head, crypto.sha256), nodes: new Map() }
  trusted?.keep(good)
  return good
}

function refuseNetwork(theirs: string, ours: string): never {
  throw new CairnError('WRONG_NETWORK', `a claim of network ${theirs} in network ${ours}`)
}

function refuse(what: string): never {
  throw new CairnError('BAD_MESSAGE', `refused claim: ${what}`)
}

/** Headers already verified, by the hash of header and signature; the oldest are forgotten first. */
export interface TrustedHeaders {
  has(hash: string): boolean
  add(hash: string): void
  /** Of the changes met last, the one whose header and signature begin this part. */
  recent(proof: Uint8Array): SignedHeader | undefined
  keep(signed: SignedHeader): void
}

/** Changes whose trees are remembered, and of one at most so many nodes: at 100 bytes each, 13 MB in all. */
const RECENT_MAX = 8
const NODES_KNOWN_MAX = 16_384

export function trustedHeaders(max: number): TrustedHeaders {
  const hashes = new Set<string>()
  /** The latest first. */
  const recent: SignedHeader[] = []
  return {
    has: (hash) => hashes.has(hash),
    add(hash) {
      hashes.add(hash)
      if (hashes.size > max) hashes.delete(hashes.values().next().value as string)
    },
    recent(proof) {
      const at = recent.findIndex(({ bytes }) => startsWith(proof, bytes))
      const [signed] = at < 0 ? [] : recent.splice(at, 1)
      if (signed === undefined) return undefined
      recent.unshift(signed)
      if (signed.nodes.size > NODES_KNOWN_MAX) signed.nodes.clear()
      return signed
    },
    keep(signed) {
      recent.unshift(signed)
      if (recent.length > RECENT_MAX) recent.pop()
    }
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false
  // from the end: signatures differ soonest
  for (let i = start.length - 1; i >= 0; i--) if (bytes[i] !== start[i]) return false
  return true
}

/** Whether a claim takes another's place: of one claimant the higher sequence, and of two alike the end. */
export function outranks(
  next: Pick<HeldClaim, 'sequence' | 'live'>,
  known: Pick<HeldClaim, 'sequence' | 'live'>
): boolean {
  if (next.sequence !== known.sequence) return next.sequence > known.sequence
  return known.live && !next.live
}

/** As `claimantOf` begins a mirror's. */
const MIRROR_KIND = toHex(Uint8Array.of(CLAIMANT_KINDS.indexOf('mirror')))

/**
 * Whether a claim is a mirror's. It keeps the block on the member that made it and binds nobody else: no
 * other member is told of it, and the copy counts for no promise and no N.
 */
export function isMirrorClaim({ claimant }: Pick<HeldClaim, 'claimant'>): boolean {
  return claimant.length === 2 * CLAIMANT_BYTES && claimant.startsWith(MIRROR_KIND)
}

/** The claims that holders share: all but mirrors'. */
export function sharedClaims<C extends Pick<HeldClaim, 'claimant'>>(claims: readonly C[]): readonly C[] {
  return claims.some(isMirrorClaim) ? claims.filter((claim) => !isMirrorClaim(claim)) : claims
}

/** Whether a mirror on this member keeps the block. */
export function isMirrored(claims: readonly Pick<HeldClaim, 'claimant' | 'live'>[]): boolean {
  return claims.some((claim) => claim.live && isMirrorClaim(claim))
}

/** Whether it is here for mirrors alone: no holder's copy, whatever is asked. */
export function isMirrorsOnly(claims: readonly Pick<HeldClaim, 'claimant'>[]): boolean {
  return claims.length > 0 && claims.every(isMirrorClaim)
}

/** The claims of a block after `incoming` arrived, one for each claimant, in the claimants' order. */
export function mergeClaims(known: readonly HeldClaim[], incoming: readonly HeldClaim[]): HeldClaim[] {
  const byClaimant = new Map(known.map((claim) => [claim.claimant, claim]))
  for (const claim of incoming) {
    const before = byClaimant.get(claim.claimant)
    if (before === undefined || outranks(claim, before)) byClaimant.set(claim.claimant, claim)
  }
  return [...byClaimant.values()].sort((a, b) => (a.claimant < b.claimant ? -1 : 1))
}

/** N for a block: the most that a live claim asks for, or, with none live, that an ended one did. */
export function replicasOf(claims: readonly Pick<HeldClaim, 'replicas' | 'live'>[]): number {
  const live = claims.filter((claim) => claim.live)
  return (live.length > 0 ? live : claims).reduce((most, claim) => Math.max(most, claim.replicas), 1)
}

/**
 * Whether nobody claims it any more: every claim that is known has ended, and one is. No claims is no
 * evidence.
 */
export function isEnded(claims: readonly Pick<HeldClaim, 'live'>[]): boolean {
  return claims.length > 0 && claims.every(({ live }) => !live)
}

/** Whether `held` has each of `asked`, or what took its place. */
export function covers(held: readonly Register[], asked: readonly Register[]): boolean {
  const known = new Map(held.map((claim) => [claim.claimant, claim]))
  return asked.every((claim) => {
    const own = known.get(claim.claimant)
    return own !== undefined && !outranks(claim, own)
  })
}

/** Whether a copy's claims are still those of the attempt: what a store checks before it deletes. */
export function isUnchanged(now: readonly Register[], then: readonly Register[]): boolean {
  return now.length === then.length && covers(then, now) && covers(now, then)
}
