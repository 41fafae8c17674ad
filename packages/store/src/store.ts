/**
 * What a block store is, whatever keeps the bytes: memory, or segments on one disk. Decides the words
 * and the limits that all of them share; `contract.ts` is the same in executable form.
 */
import { type BlockKey, type HeldClaim, PART_BYTES_MAX, type Register } from '@cairn/core'

/** A claimant is a kind and a hash of owner and id (core's `claimantOf`). */
export const CLAIMANT_BYTES_MAX = 33
/** A claim's proof is the signed part that it came in. */
export const PROOF_BYTES_MAX = PART_BYTES_MAX
/** One block may be claimed by this many; beyond it a put is refused as FULL. Bounds `stat`. A guess. */
export const CLAIMS_PER_BLOCK_MAX = 1024
export interface Entry {
  key: BlockKey
  /** Absent: only add the claims to a block already held. Must not change until `put` settles. */
  bytes?: Uint8Array
  claims: readonly HeldClaim[]
  /** The caller has just checked the bytes against the key: they are not hashed once more. */
  verified?: true
}

/** What a claim says, without what proves it. */
export type ClaimHead = Omit<HeldClaim, 'proof'>

/** What the index knows of a block: no segment is read for it. */
export interface BlockHead {
  key: BlockKey
  size: number
  /** As in `BlockStat`. */
  replicas: number
  /** Sorted by claimant. Mirrors' claims are never told of. */
  claims: readonly ClaimHead[]
  /** A mirror here keeps it, so that it is not to be let go of. */
  mirrored?: true
}

/** A block as it goes to another member. */
export interface HeldBlock {
  bytes: Uint8Array
  claims: readonly HeldClaim[]
}

export interface BlockStat {
  key: BlockKey
  size: number
  /** The most that a live claim wants; if none is live, the most that an ended one did; 1 if none at all. */
  replicas: number
  /** Sorted by claimant. */
  claims: readonly HeldClaim[]
}

/** What is known of a block: held, or collected, with the ended claims that keep it from coming back. */
export interface KnownBlock extends Omit<BlockStat, 'size'> {
  held: boolean
}

/** The same without proofs, from the index alone. */
export type KnownHead = Omit<KnownBlock, 'claims'> & Pick<BlockHead, 'claims'>

/** All blocks of one slot that want the same N and that somebody claims: the unit of comparison. */
export interface SlotSummary {
  slot: number
  replicas: number
  blocks: number
  bytes: number
  /**
   * Hex of the first 16 bytes of SHA-256 over, for each key in order, the key's bytes and the SHA-256
   * of its claims (claimant, sequence, live) by claimant. Empty when `blocks` is 0.
   */
  fingerprint: string
}

export interface Usage {
  blocks: number
  /** Of blocks. */
  bytes: number
  /** Everything on disk: blocks, claims, padding, index. */
  diskBytes: number
  capacity: number
  /** The last put was refused for want of room, and no room was made since. A healthy state. */
  full: boolean
  /** Puts and deletes are refused: the disk failed a sync or became read-only. */
  readOnly: boolean
}

export interface ListOptions {
  /** Only keys after this one. */
  after?: BlockKey
  limit: number
}

export interface EndedOptions {
  collected: boolean
  fromSlot: number
  limit: number
}

export interface EndedPage {
  blocks: (KnownCopy & { replicas: number; size: number })[]
  next: number | undefined
}

export interface MirroredOptions {
  /** Of the mirror, as `claimantOf` names it. */
  claimant: string
  fromSlot: number
  limit: number
}

export interface MirroredPage {
  keys: BlockKey[]
  next: number | undefined
}

/** A block, and the claims under which it was agreed that it may go. */
export interface KnownCopy {
  key: BlockKey
  claims: readonly Register[]
}

export interface Store {
  /**
   * Durable (data, directory entries, claims) when it resolves. Bytes are verified against their keys
   * before anything is written. A call that rejects with any of the codes below has stored nothing; a
   * crash leaves each entry whole or absent. Putting the same again costs no write.
   *
   * @throws CairnError BLOCK_CORRUPT, BLOCK_TOO_LARGE, NOT_FOUND (claims for a block not held, unless they
   *   have all ended), FULL,
   *   READ_ONLY, TOO_MANY_FILES, DISK_FAILED. RangeError for a malformed claim.
   */
  put(entries: readonly Entry[]): Promise<void>
  /** Verified before it is returned. A copy that does not match is put aside, told to `onLost`, absent. */
  get(key: BlockKey): Promise<Uint8Array | undefined>
  /** As `get` for each key, in their order, read in the disk's. */
  getMany(keys: readonly BlockKey[]): Promise<(Uint8Array | undefined)[]>
  stat(key: BlockKey): Promise<BlockStat | undefined>
  /**
   * As `stat`, of a copy whose bytes were read and found good within the scrub period, or are so now:
   * what a promise to keep it may rest on.
   */
  verified(key: BlockKey): Promise<BlockStat | undefined>
  /** As `get` and `stat` together for each key, in their order, read in the disk's. */
  read(keys: readonly BlockKey[]): Promise<(HeldBlock | undefined)[]>
  /** Of each key, in their order. */
  heads(keys: readonly BlockKey[]): Promise<(BlockHead | undefined)[]>
  /** As `stat`, but also of a block that was collected. */
  known(key: BlockKey): Promise<KnownBlock | undefined>
  /** As `heads`, but also of blocks that were collected. */
  knownHeads(keys: readonly BlockKey[]): Promise<(KnownHead | undefined)[]>
  /** The blocks of a slot, sorted by key; without those that are here for mirrors alone. */
  list(slot: number, options: ListOptions): Promise<BlockHead[]>
  /** The first blocks of each of these slots, at most `limit` a slot: far cheaper than one by one. */
  lists(slots: readonly number[], limit: number): Promise<Map<number, BlockHead[]>>
  /**
   * Blocks of which every claim has ended, held or `collected`, slot by slot from one on, until there are
   * `limit`. `next` is where to go on; undefined at the end. Those held as of the last `changes`.
   */
  ended(options: EndedOptions): Promise<EndedPage>
  /** Block and claims, durably. Keys not held are passed over. */
  delete(keys: readonly BlockKey[]): Promise<void>
  /**
   * The same, but only of blocks whose claims are still exactly these, looked at as they are deleted, and
   * that no mirror here keeps.
   */
  letGo(copies: readonly KnownCopy[]): Promise<void>
  /** The same, of blocks whose every claim has ended; the claims stay, so that no older one revives them. */
  collect(copies: readonly KnownCopy[]): Promise<void>
  /** Of each block held under the live claim of this mirror, bytes, in their order; from the index alone. */
  mirroredSizes(keys: readonly BlockKey[], claimant: string): Promise<(number | undefined)[]>
  /** Blocks under the live claim of a mirror, slot by slot from one on, until there are `limit`. */
  listMirrored(options: MirroredOptions): Promise<MirroredPage>
  /** A mirror's claims end; what nothing else keeps goes with them. */
  unmirror(entries: readonly { key: BlockKey; claim: HeldClaim }[]): Promise<void>
  /**
   * What changed since it was last returned (everything, after open), at most `limit`; [] when nothing
   * did. A (slot, replicas) that became empty is returned once with `blocks` 0.
   */
  changes(limit: number): Promise<SlotSummary[]>
  usage(): Usage
  close(): Promise<void>
}

/** What every store can be told. */
export interface StoreOptions {
  /** Bytes that everything together may take, at least `CAPACITY_MIN` on a disk. */
  capacity: number
  /** A copy was found damaged and put aside: the block is missing from now on. */
  onLost?: (key: BlockKey, replicas: number | undefined) => void
}
