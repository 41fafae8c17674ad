/**
 * Reads blocks and proofs by where the index says they lie, and verifies them before they go anywhere.
 * Compaction may move them meanwhile, and a single read may be wrong: so a mismatch is looked at twice,
 * by a fresh row, before a copy counts as lost.
 */
import { crc32 } from 'node:zlib'
import {
  type BlockKey,
  CairnError,
  type HeldClaim,
  isMirrored,
  isMirrorsOnly,
  sharedClaims
} from '@cairn/core'
import type { Catalog } from './catalog.ts'
import { replicasOf } from './claims.ts'
import { isErrno } from './fault.ts'
import type { Files } from './files.ts'
import type { Op } from './plan.ts'
import type { Position } from './record.ts'
import type { Row, RowClaim } from './row.ts'
import type { BlockHead, BlockStat, HeldBlock, KnownBlock, KnownHead } from './store.ts'
import { matchesAside } from './verify.ts'

/** A compaction moves a block at most once while it is being read; then there is one more try. */
const ATTEMPTS = 3
/** Reads of one `getMany` under way: enough to keep a disk busy, few enough for everyone else's. */
const READS_AT_ONCE = 16

export interface ReaderContext {
  files: Files
  catalog: Catalog
  write: (ops: readonly Op[]) => Promise<void>
  onLost: (key: BlockKey, replicas: number | undefined) => void
  memory: (length: number) => Buffer
}

export class Reader {
  readonly #context: ReaderContext
  /** Found damaged, not yet deleted from the index; for good when it can't be written any more. */
  readonly #losing = new Map<BlockKey, Promise<void>>()

  constructor(context: ReaderContext) {
    this.#context = context
  }

  async get(key: BlockKey): Promise<Uint8Array | undefined> {
    return this.#read(key, await this.#context.catalog.row(key))
  }

  async getMany(keys: readonly BlockKey[]): Promise<(Uint8Array | undefined)[]> {
    return this.#inOrderOfDisk(keys, (key, row) => this.#read(key, row))
  }

  async #inOrderOfDisk<T>(
    keys: readonly BlockKey[],
    read: (key: BlockKey, row: Row | undefined) => Promise<T | undefined>
  ): Promise<(T | undefined)[]> {
    const rows = await this.#context.catalog.rows(keys)
    const order = keys.map((_, i) => i).sort((a, b) => byPosition(rows[a]?.block, rows[b]?.block))
    const found = new Array<T | undefined>(keys.length)
    let next = 0
    const work = async (): Promise<void> => {
      for (let i = order[next++]; i !== undefined; i = order[next++]) {
        found[i] = await read(keys[i] as BlockKey, rows[i])
      }
    }
    await Promise.all(Array.from({ length: READS_AT_ONCE }, work))
    return found
  }

  async #read(key: BlockKey, found: Row | undefined): Promise<Uint8Array | undefined> {
    let row = found
    for (let attempt = 1; ; attempt++) {
      const losing = this.#losing.get(key)
      await losing // whoever hears that it is not here can be told why by then
      if (row?.block === undefined || losing !== undefined) return undefined
      const { block } = row
      const bytes = await this.#bytesAt(block, block.size, this.#context.memory)
      if (bytes !== undefined && (await matchesAside(key, bytes))) return bytes
      if (attempt === ATTEMPTS) {
        await this.lose(key, block)
        return undefined
      }
      row = await this.#context.catalog.row(key)
    }
  }

  /** Exactly `length` bytes, or `undefined` where the disk does not give them. */
  async #bytesAt(
    { segment, offset }: Position,
    length: number,
    memory: ReaderContext['memory'] = Buffer.allocUnsafeSlow
  ): Promise<Uint8Array | undefined> {
    try {
      const bytes = await this.#context.files.readInto(memory(length), segment, offset)
      return bytes.length === length ? new Uint8Array(bytes.buffer, bytes.byteOffset, length) : undefined
    } catch (cause) {
      if (isErrno(cause, 'ENOENT') || isErrno(cause, 'EIO')) return undefined
      throw cause
    }
  }

  /** Deletes a damaged copy and says so, once. */
  lose(key: BlockKey, at: Position): Promise<void> {
    const known = this.#losing.get(key)
    if (known !== undefined) return known
    const losing = this.#lose(key, at)
    this.#losing.set(key, losing)
    return losing
  }

  async #lose(key: BlockKey, at: Position): Promise<void> {
    const { write, catalog, onLost } = this.#context
    try {
      const row = await catalog.row(key)
      const held = row?.block
      const replicas = (await this.#stat(key, row, new Map()))?.replicas // once it is lost nobody knows
      const isThere = held?.segment === at.segment && held.offset === at.offset
      if (isThere) await write([{ type: 'lose', key, at: { segment: at.segment, offset: at.offset } }])
      this.#losing.delete(key)
      // Once for each copy: a slower reader of the same one finds it gone, or whole again.
      if (isThere) onLost(key, replicas)
    } catch (cause) {
      if (!CairnError.is(cause)) throw cause
      onLost(key, undefined) // it stays in `#losing`, so it is absent and told once
    }
  }

  async stat(key: BlockKey): Promise<BlockStat | undefined> {
    return this.#stat(key, await this.#context.catalog.row(key), new Map())
  }

  /** As `stat`; a block that was collected has claims and no bytes. */
  async known(key: BlockKey): Promise<KnownBlock | undefined> {
    const row = await this.#context.catalog.row(key)
    if (row === undefined) return undefined
    if (row.block !== undefined) {
      const stat = await this.stat(key)
      return stat && { key, held: true, replicas: stat.replicas, claims: stat.claims }
    }
    // One that compaction moves is found at the next look; one that is damaged is as if forgotten early.
    const claims = await this.#claims(sharedClaims(row.claims), new Map())
    return claims && { key, held: false, replicas: replicasOf(claims), claims }
  }

  /** A copy that is good: of a segment that was verified of late, or read now. */
  async verified(key: BlockKey, isScrubbed: (segment: number) => boolean): Promise<BlockStat | undefined> {
    const row = await this.#context.catalog.row(key)
    if (row?.block === undefined) return undefined
    if (!isScrubbed(row.block.segment) && (await this.#read(key, row)) === undefined) return undefined
    return this.stat(key)
  }

  /** With the claims' proofs. */
  async read(keys: readonly BlockKey[]): Promise<(HeldBlock | undefined)[]> {
    const proofs = new Map<string, Uint8Array>()
    return this.#inOrderOfDisk(keys, async (key, row) => {
      const bytes = await this.#read(key, row)
      const stat = bytes && (await this.#stat(key, row, proofs))
      return bytes && stat && { bytes, claims: stat.claims }
    })
  }

  async heads(keys: readonly BlockKey[]): Promise<(BlockHead | undefined)[]> {
    const rows = await this.#context.catalog.rows(keys)
    return keys.map((key, i) => this.#head(key, rows[i]))
  }

  async knownHeads(keys: readonly BlockKey[]): Promise<(KnownHead | undefined)[]> {
    const rows = await this.#context.catalog.rows(keys)
    return keys.map((key, i) => {
      const row = rows[i]
      if (row === undefined || this.#losing.has(key)) return undefined
      const claims = sharedClaims(row.claims)
      return { key, held: row.block !== undefined, replicas: replicasOf(claims), claims }
    })
  }

  async list(rows: AsyncIterable<[BlockKey, Row]>, limit: number): Promise<BlockHead[]> {
    const heads: BlockHead[] = []
    if (limit <= 0) return heads
    for await (const [key, row] of rows) {
      const head = this.#listed(key, row)
      if (head !== undefined && heads.push(head) >= limit) break
    }
    return heads
  }

  async lists(slots: readonly number[], limit: number): Promise<Map<number, BlockHead[]>> {
    const lists = new Map(slots.map((slot) => [slot, [] as BlockHead[]]))
    const ascending = [...lists.keys()].sort((a, b) => a - b)
    await this.#context.catalog.slots(ascending, (slot, key, row) => {
      const list = lists.get(slot) as BlockHead[]
      const head = list.length < limit ? this.#listed(key, row) : undefined
      if (head !== undefined) list.push(head)
      return list.length < limit
    })
    return lists
  }

  /** What is here for mirrors alone is in no slot. */
  #listed(key: BlockKey, row: Row): BlockHead | undefined {
    return isMirrorsOnly(row.claims) ? undefined : this.#head(key, row)
  }

  #head(key: BlockKey, row: Row | undefined): BlockHead | undefined {
    if (row?.block === undefined || this.#losing.has(key)) return undefined
    const { block } = row
    const claims = sharedClaims(row.claims)
    const head = { key, size: block.size, replicas: replicasOf(claims), claims }
    return isMirrored(row.claims) ? { ...head, mirrored: true } : head
  }

  async mirroredSizes(keys: readonly BlockKey[], claimant: string): Promise<(number | undefined)[]> {
    const rows = await this.#context.catalog.rows(keys)
    return keys.map((key, i) => {
      const row = rows[i]
      return !this.#losing.has(key) && isMirroredBy(row, claimant) ? row?.block?.size : undefined
    })
  }

  async #stat(
    key: BlockKey,
    found: Row | undefined,
    proofs: Map<string, Uint8Array>
  ): Promise<BlockStat | undefined> {
    let row = found
    for (let attempt = 1; ; attempt++) {
      if (row?.block === undefined || this.#losing.has(key)) return undefined
      const claims = await this.#claims(sharedClaims(row.claims), proofs)
      if (claims !== undefined) return { key, size: row.block.size, replicas: replicasOf(claims), claims }
      if (attempt === ATTEMPTS) {
        await this.lose(key, row.block)
        return undefined
      }
      row = await this.#context.catalog.row(key)
    }
  }

  /** With their proofs, or `undefined` when one is damaged: blocks of one part share theirs. */
  async #claims(
    claims: readonly RowClaim[],
    proofs: Map<string, Uint8Array>
  ): Promise<HeldClaim[] | undefined> {
    const held: HeldClaim[] = []
    for (const claim of claims) {
      const { claimant, sequence, live, replicas, segment, offset, length, crc } = claim
      const place = `${segment}:${offset}`
      const proof =
        length === 0 ? new Uint8Array(0) : (proofs.get(place) ?? (await this.#bytesAt(claim, length)))
      if (proof === undefined || (length > 0 && crc32(proof) !== crc)) return undefined
      proofs.set(place, proof)
      held.push({ claimant, sequence, live, replicas, proof })
    }
    return held
  }

  /** What a move of these copies writes, from what of them is still good; damaged ones are lost. */
  async moved(key: BlockKey, row: Row, lies: (at: Position) => boolean): Promise<Op | undefined> {
    const { block } = row
    const proofs: (Position & { claimant: string; proof: Uint8Array })[] = []
    for (const claim of row.claims) {
      if (!lies(claim)) continue
      const proof = claim.length === 0 ? new Uint8Array(0) : await this.#bytesAt(claim, claim.length)
      if (proof === undefined || crc32(proof) !== claim.crc) {
        // of a collected block, which is as good as gone
        if (block === undefined) return { type: 'delete', key }
        await this.stat(key) // looks twice, then loses it
        return undefined
      }
      proofs.push({ claimant: claim.claimant, segment: claim.segment, offset: claim.offset, proof })
    }
    if (block === undefined || !lies(block))
      return proofs.length === 0 ? undefined : { type: 'move', key, proofs }
    const bytes = await this.#bytesAt(block, block.size)
    if (bytes !== undefined && (await matchesAside(key, bytes))) {
      return { type: 'move', key, from: { segment: block.segment, offset: block.offset }, bytes, proofs }
    }
    await this.get(key)
    return undefined
  }
}

/** Whether the block is held under a mirror's live claim. */
export function isMirroredBy(row: Row | undefined, mirror: string): boolean {
  return row?.block !== undefined && row.claims.some(({ claimant, live }) => live && claimant === mirror)
}

function byPosition(a: Position | undefined, b: Position | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1
  return a.segment - b.segment || a.offset - b.offset
}
