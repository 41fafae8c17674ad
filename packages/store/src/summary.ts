/**
 * Which (slot, N) changed since it was last asked for, and what their blocks amount to. A bit for each:
 * 512 KiB whatever the number of blocks.
 */
import { createHash } from 'node:crypto'
import { multihashOf, REPLICAS_MAX, SLOTS, toHex } from '@cairn/core'
import { claimsDigest } from './claims.ts'
import type { BlockStat, SlotSummary } from './store.ts'

/** Bytes of a fingerprint: 128 bits, so that 2^32 summaries collide with probability 2^-64. */
const FINGERPRINT_BYTES = 16

export class Changes {
  /** Bit N - 1 of a slot: that (slot, N) changed since it was last returned. */
  readonly #changed = new Uint32Array(SLOTS)
  /** Bit N - 1 of a slot: that (slot, N) was last returned with blocks in it. */
  readonly #reported = new Uint32Array(SLOTS)
  /** No slot below it has a changed bit. */
  #next = 0

  mark(slot: number, replicas: number): void {
    this.#changed[slot] = (this.#changed[slot] as number) | bit(replicas)
    this.#next = Math.min(this.#next, slot)
  }

  /** Summaries of what changed, at most `limit`; `blocksOf` gives a slot's blocks in order of key. */
  async take(limit: number, blocksOf: (slot: number) => AsyncIterable<BlockStat>): Promise<SlotSummary[]> {
    const taken: SlotSummary[] = []
    while (taken.length < limit && this.#next < SLOTS) {
      const slot = this.#next
      const room = limit - taken.length
      const bits = lowest(this.#changed[slot] as number, room)
      if (bits === 0) {
        this.#next++
        continue
      }
      // Cleared before reading: a change that lands meanwhile sets its bit again.
      this.#changed[slot] = (this.#changed[slot] as number) & ~bits
      try {
        taken.push(...this.#report(slot, bits, await summarise(slot, bits, blocksOf(slot))))
      } catch (cause) {
        this.#changed[slot] = (this.#changed[slot] as number) | bits
        this.#next = Math.min(this.#next, slot)
        throw cause
      }
    }
    return taken
  }

  /** Leaves out what is empty and was never returned otherwise. */
  #report(slot: number, bits: number, summaries: SlotSummary[]): SlotSummary[] {
    const before = this.#reported[slot] as number
    let now = before & ~bits
    for (const { replicas, blocks } of summaries) if (blocks > 0) now |= bit(replicas)
    this.#reported[slot] = now
    return summaries.filter(({ replicas, blocks }) => blocks > 0 || (before & bit(replicas)) !== 0)
  }
}

function bit(replicas: number): number {
  return 2 ** (replicas - 1)
}

/** The `count` lowest bits that are set in `bits`. */
function lowest(bits: number, count: number): number {
  let kept = 0
  for (let n = 1; n <= REPLICAS_MAX && count > 0; n++) {
    if ((bits & bit(n)) === 0) continue
    kept |= bit(n)
    count--
  }
  return kept
}

async function summarise(
  slot: number,
  bits: number,
  blocks: AsyncIterable<BlockStat>
): Promise<SlotSummary[]> {
  const groups = new Map<number, { blocks: number; bytes: number; digest: ReturnType<typeof createHash> }>()
  for (let n = 1; n <= REPLICAS_MAX; n++) {
    if ((bits & bit(n)) !== 0) groups.set(n, { blocks: 0, bytes: 0, digest: createHash('sha256') })
  }
  for await (const { key, size, replicas, claims } of blocks) {
    const group = groups.get(replicas)
    if (group === undefined) continue
    group.blocks++
    group.bytes += size
    group.digest.update(multihashOf(key)).update(claimsDigest(claims))
  }
  return [...groups].map(([replicas, { blocks, bytes, digest }]) => ({
    slot,
    replicas,
    blocks,
    bytes,
    fingerprint: blocks === 0 ? '' : toHex(digest.digest().subarray(0, FINGERPRINT_BYTES))
  }))
}
