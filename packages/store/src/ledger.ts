/**
 * What is held, in memory: sizes and claims by slot and key, for stores small enough to keep that there
 * (the one in memory). What an entry would change is decided here, before any byte is kept.
 */
import {
  type BlockKey,
  CairnError,
  encode,
  type HeldClaim,
  isEnded,
  isMirrorsOnly,
  SLOTS,
  sharedClaims,
  slotOf
} from '@cairn/core'
import { checkClaims, claimsCodec, mergeClaims, newClaims, replicasOf } from './claims.ts'
import type {
  BlockStat,
  EndedOptions,
  EndedPage,
  Entry,
  KnownBlock,
  ListOptions,
  SlotSummary
} from './store.ts'
import { Changes } from './summary.ts'
import { verifyBytes } from './verify.ts'

/** What one entry does to the store. */
export interface Change {
  key: BlockKey
  /** Present when the block is new. */
  bytes?: Uint8Array
  claims: readonly HeldClaim[]
}

interface Held {
  size: number
  claims: readonly HeldClaim[]
}

export class Ledger {
  readonly #slots = new Map<number, Map<BlockKey, Held>>()
  /** Ended claims of blocks that were collected. */
  readonly #collected = new Map<BlockKey, readonly HeldClaim[]>()
  readonly #changes = new Changes({ sweep: false })
  blocks = 0
  bytes = 0

  /** As others are told of it: without mirrors' claims. */
  stat(key: BlockKey): BlockStat | undefined {
    const held = this.#held(key)
    if (held === undefined) return undefined
    const claims = sharedClaims(held.claims)
    return { key, size: held.size, replicas: replicasOf(claims), claims }
  }

  #held(key: BlockKey): Held | undefined {
    return this.#slots.get(slotOf(key))?.get(key)
  }

  /** Every claim on a block that is held. */
  claims(key: BlockKey): readonly HeldClaim[] {
    return this.#held(key)?.claims ?? []
  }

  list(slot: number, { after = '' as BlockKey, limit }: ListOptions): BlockStat[] {
    const keys = [...(this.#slots.get(slot)?.keys() ?? [])]
      .filter((key) => key > after && !isMirrorsOnly(this.claims(key)))
      .sort()
    return keys.slice(0, limit).map((key) => this.stat(key) as BlockStat)
  }

  /** The changes that a put makes, one a key, after every check: verified, known, within limits. */
  plan(entries: readonly Entry[]): Change[] {
    const plan: Change[] = []
    for (const { key, bytes, claims, verified } of unite(entries)) {
      const held = this.#held(key)
      if (bytes !== undefined && !verified) verifyBytes(key, bytes)
      if (bytes === undefined && held === undefined && !isEnded(claims)) {
        throw new CairnError('NOT_FOUND', `claims for ${key}, which is not held here`, {
          hint: 'Send the block along with its claims.'
        })
      }
      const merged = mergeClaims(held?.claims ?? this.#collected.get(key) ?? [], claims)
      if (held !== undefined && newClaims(held.claims, claims).length === 0) continue
      plan.push(
        held === undefined && bytes !== undefined ? { key, bytes, claims: merged } : { key, claims: merged }
      )
    }
    return plan
  }

  known(key: BlockKey): KnownBlock | undefined {
    const held = this.stat(key)
    const claims = held?.claims ?? sharedClaims(this.#collected.get(key) ?? [])
    if (held === undefined && !this.#collected.has(key)) return undefined
    return claims && { key, held: held !== undefined, replicas: replicasOf(claims), claims }
  }

  /** The block is gone, its ended claims are kept. */
  collect(key: BlockKey, claims: readonly HeldClaim[]): void {
    this.remove(key)
    this.#collected.set(key, claims)
  }

  /** Collected ones all at once: what is in memory is not that much. */
  ended({ collected, fromSlot, limit }: EndedOptions): EndedPage {
    const blocks: EndedPage['blocks'] = []
    if (collected) {
      for (const [key, claims] of this.#collected) {
        if (slotOf(key) < fromSlot) continue
        blocks.push({ key, replicas: replicasOf(claims), size: 0, claims: sharedClaims(claims) })
      }
      return { blocks, next: undefined }
    }
    for (const slot of this.#changes.ended(fromSlot)) {
      if (blocks.length >= limit) return { blocks, next: slot }
      const all = this.list(slot, { limit: Number.POSITIVE_INFINITY })
      blocks.push(...all.filter(({ key }) => isEnded(this.claims(key))))
    }
    return { blocks, next: undefined }
  }

  set(key: BlockKey, size: number, claims: readonly HeldClaim[]): void {
    this.remove(key)
    this.#collected.delete(key)
    const slot = slotOf(key)
    const keys = this.#slots.get(slot) ?? new Map<BlockKey, Held>()
    this.#slots.set(slot, keys.set(key, { size, claims }))
    this.#changes.mark(slot, replicasOf(sharedClaims(claims)))
    this.blocks++
    this.bytes += size
  }

  remove(key: BlockKey): void {
    this.#collected.delete(key)
    const held = this.stat(key)
    if (held === undefined) return
    this.#slots.get(slotOf(key))?.delete(key)
    this.#changes.mark(slotOf(key), held.replicas)
    this.blocks--
    this.bytes -= held.size
  }

  /** Blocks under a mirror's live claim, all at once. */
  mirrored(mirror: string, fromSlot: number): BlockKey[] {
    const slots = [...this.#slots].filter(([slot]) => slot >= fromSlot)
    const keys = slots.flatMap(([, held]) => [...held.keys()])
    return keys.filter((key) => this.isMirrored(key, mirror))
  }

  isMirrored(key: BlockKey, mirror: string): boolean {
    return this.claims(key).some(({ claimant, live }) => live && claimant === mirror)
  }

  async changes(limit: number): Promise<SlotSummary[]> {
    return this.#changes.take(limit, {
      slots: async (slots, take) => {
        const limit = Number.POSITIVE_INFINITY
        for (const slot of slots) for (const stat of this.list(slot, { limit })) take(slot, stat)
      },
      run: async () => ({ slots: new Map(), end: SLOTS })
    })
  }
}

/** Entries of one key become one: its bytes if any has them, and all claims. */
export function unite(entries: readonly Entry[]): Entry[] {
  const united = new Map<BlockKey, Entry>()
  for (const entry of entries) {
    checkClaims(entry.claims)
    const known: Entry | undefined = united.get(entry.key)
    const claims = known === undefined ? entry.claims : [...known.claims, ...entry.claims]
    // the first bytes are kept, and what is known of them
    united.set(entry.key, { ...(known?.bytes === undefined ? entry : known), claims })
  }
  return [...united.values()]
}

/** What claims weigh on a disk, bytes. */
export function claimsBytes(claims: readonly HeldClaim[]): number {
  return encode(claimsCodec, [...claims]).length
}
