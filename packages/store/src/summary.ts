/**
 * Which (slot, N) changed since it was last asked for, and what their blocks amount to. A bit for each:
 * 512 KiB whatever the number of blocks.
 */
import { createHash, type Hash } from 'node:crypto'
import { type BlockKey, isEnded, multihashOf, REPLICAS_MAX, SLOTS, toHex } from '@cairn/core'
import { claimsDigest, type Register } from './claims.ts'
import type { SlotSummary } from './store.ts'

/** Bytes of a fingerprint: 128 bits, so that 2^32 summaries collide with probability 2^-64. */
const FINGERPRINT_BYTES = 16

/** What a fingerprint takes in. */
export interface Fingerprinted {
  key: BlockKey
  size: number
  replicas: number
  claims: readonly Register[]
}

/** Where the blocks are. */
export interface SlotSource {
  /** The blocks of these slots, ascending: of each slot in order of key. */
  slots(slots: readonly number[], take: (slot: number, block: Fingerprinted) => void): Promise<void>
  /** The blocks of all slots from `slot` on and before `end`, which is beyond it. */
  run(slot: number): Promise<Run>
}

export interface Run {
  /** Only slots that hold blocks, ascending; `undefined` for one with too many to read ahead. */
  slots: Map<number, Fingerprinted[] | undefined>
  end: number
}

export class Changes {
  /** Bit N - 1 of a slot: that (slot, N) changed since it was last returned. */
  readonly #changed = new Uint32Array(SLOTS)
  /** Bit N - 1 of a slot: that (slot, N) was last returned with blocks in it. */
  readonly #reported = new Uint32Array(SLOTS)
  /** No slot below it has a changed bit. */
  #next = SLOTS
  /** What was there at open is returned slot by slot; those from here on have yet to be read. */
  #sweep: number
  /** Slots that were read ahead and are to be returned. */
  #ahead: number[] = []
  /** Their blocks, unless they changed since. */
  readonly #blocks = new Map<number, readonly Fingerprinted[]>()
  #reading: Promise<void> | undefined
  readonly #changedWhileReading = new Set<number>()
  /** Slots with a block of which every claim has ended, as of when they were last looked at. */
  readonly #ended = new Set<number>()

  constructor({ sweep }: { sweep: boolean }) {
    this.#sweep = sweep ? 0 : SLOTS
  }

  mark(slot: number, replicas: number): void {
    this.#markBits(slot, bit(replicas))
    this.#blocks.delete(slot)
    if (this.#reading !== undefined) this.#changedWhileReading.add(slot)
  }

  /** Slots with blocks that nobody claims any more, from one on. */
  ended(from: number): number[] {
    return [...this.#ended].filter((slot) => slot >= from).sort((a, b) => a - b)
  }

  #markBits(slot: number, bits: number): void {
    this.#changed[slot] = (this.#changed[slot] as number) | bits
    this.#next = Math.min(this.#next, slot)
  }

  /** Summaries of what changed, at most `limit`. */
  async take(limit: number, source: SlotSource): Promise<SlotSummary[]> {
    const taken: SlotSummary[] = []
    while (taken.length < limit) {
      const sums = this.#takeChanged(limit - taken.length)
      if (sums.size === 0) {
        if (!(await this.#sweepOne(source))) break
        continue
      }
      const unread = [...sums.keys()].filter((slot) => !this.#blocks.has(slot))
      try {
        for (const [slot, sum] of sums) {
          for (const block of this.#blocks.get(slot) ?? []) sum.add(block)
          this.#blocks.delete(slot)
        }
        await source.slots(unread, (slot, block) => sums.get(slot)?.add(block))
      } catch (cause) {
        for (const { slot, bits } of sums.values()) this.#markBits(slot, bits)
        throw cause
      }
      for (const sum of sums.values()) {
        if (sum.ended) this.#ended.add(sum.slot)
        else this.#ended.delete(sum.slot)
        taken.push(...this.#report(sum, limit - taken.length))
      }
    }
    return taken
  }

  /** The next slots that changed, ascending. They are so no more: a change from now on marks them again. */
  #takeChanged(limit: number): Map<number, Sum> {
    const sums = new Map<number, Sum>()
    for (; this.#next < SLOTS && sums.size < limit; this.#next++) {
      const bits = this.#changed[this.#next] as number
      if (bits === 0) continue
      this.#changed[this.#next] = 0
      sums.set(this.#next, new Sum(this.#next, bits))
    }
    return sums
  }

  /** Marks the next slot that the sweep has yet to return. False when there is none. */
  async #sweepOne(source: SlotSource): Promise<boolean> {
    if (this.#ahead.length === 0) {
      if (this.#sweep >= SLOTS) return false
      this.#reading ??= this.#readAhead(source)
      await this.#reading
    }
    const slot = this.#ahead.shift()
    // What was returned since open is known, and marked if it changed again.
    if (slot !== undefined) this.#markBits(slot, ~(this.#reported[slot] as number))
    return true
  }

  async #readAhead(source: SlotSource): Promise<void> {
    try {
      const { slots, end } = await source.run(this.#sweep)
      this.#sweep = end
      this.#ahead = [...slots.keys()]
      for (const [slot, blocks] of slots) {
        if (blocks !== undefined && !this.#changedWhileReading.has(slot)) this.#blocks.set(slot, blocks)
      }
    } finally {
      this.#reading = undefined
      this.#changedWhileReading.clear()
    }
  }

  /** Leaves out what is empty and was never returned otherwise; what `room` lacks for stays changed. */
  #report(sum: Sum, room: number): SlotSummary[] {
    const { slot } = sum
    const returned: SlotSummary[] = []
    for (const summary of sum.summaries()) {
      const own = bit(summary.replicas)
      const before = this.#reported[slot] as number
      if (summary.blocks === 0 && (before & own) === 0) continue
      if (returned.length === room) {
        this.#markBits(slot, own)
        continue
      }
      this.#reported[slot] = summary.blocks > 0 ? before | own : before & ~own
      returned.push(summary)
    }
    return returned
  }
}

function bit(replicas: number): number {
  return 2 ** (replicas - 1)
}

/** What the blocks of one slot amount to, for each N whose bit is set. */
class Sum {
  readonly slot: number
  readonly bits: number
  /** Whether it has a block of which every claim has ended. */
  ended = false
  readonly #groups = new Map<number, { blocks: number; bytes: number; digest: Hash }>()

  constructor(slot: number, bits: number) {
    this.slot = slot
    this.bits = bits
  }

  add({ key, size, replicas, claims }: Fingerprinted): void {
    if (isEnded(claims)) {
      this.ended = true
      return
    }
    if ((this.bits & bit(replicas)) === 0) return
    const group = this.#groups.get(replicas) ?? { blocks: 0, bytes: 0, digest: createHash('sha256') }
    this.#groups.set(replicas, group)
    group.blocks++
    group.bytes += size
    group.digest.update(multihashOf(key)).update(claimsDigest(claims))
  }

  summaries(): SlotSummary[] {
    const summaries: SlotSummary[] = []
    for (let replicas = 1; replicas <= REPLICAS_MAX; replicas++) {
      if ((this.bits & bit(replicas)) === 0) continue
      const { blocks = 0, bytes = 0, digest } = this.#groups.get(replicas) ?? {}
      const fingerprint = digest === undefined ? '' : toHex(digest.digest().subarray(0, FINGERPRINT_BYTES))
      summaries.push({ slot: this.slot, replicas, blocks, bytes, fingerprint })
    }
    return summaries
  }
}
