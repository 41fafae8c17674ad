/**
 * How strongly a slot is drawn to a member: weighted rendezvous hashing (Thaler & Ravishankar 1998; the
 * weighing by logarithm is Schindelhauer & Schomaker's, SPAA 2005). A member's cost for a slot is
 * -log2(u) / weight with u drawn by hashing both; the cheapest comes first, so that each member is first
 * with probability weight / total. Costs are never divided: fractions are compared by cross
 * multiplication. Fixed for good: another answer would move every block of every network.
 */

import { type PeerId, SLOTS } from './block.ts'
import { negativeLog2 } from './logarithm.ts'

/** A member as placement sees it: not dead, leaving or left. */
export interface PlacedMember {
  readonly id: PeerId
  /** Capacity in quanta, from `weightOf`: an integer, 1 … WEIGHT_MAX. */
  readonly weight: number
  /** Members of one zone are expected to fail together. `undefined` is a zone of one's own. */
  readonly zone: string | undefined
}

/**
 * What one unit of weight stands for. Small enough that a laptop's few GiB are still proportional,
 * large enough that a capacity stated a little differently after a restart moves nothing.
 */
export const WEIGHT_QUANTUM_BYTES = 256 * 1024 * 1024
/**
 * 256 TiB in quanta. A cost is at most 2^31 (logarithm.ts), so every product of a cost and a weight is
 * at most 2^51, exact in a double; and no one declaration outweighs a network without bound.
 */
export const WEIGHT_MAX = 2 ** 20

/** The weight of a declared capacity: whole quanta, at least 1. @throws RangeError when it is no size */
export function weightOf(capacityBytes: number): number {
  if (!(capacityBytes >= 0)) throw new RangeError(`not a capacity in bytes: ${capacityBytes}`)
  return Math.min(WEIGHT_MAX, Math.max(1, Math.floor(capacityBytes / WEIGHT_QUANTUM_BYTES)))
}

/** A bijection of 32 bits in which each bit in moves each bit out (constants: C. Wellons, lowbias32). */
export function mix(bits: number): number {
  let h = bits
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
  return h ^ (h >>> 16)
}

/** A member's id as 64 bits: with 32, two of 10,000 members would share all scores in 1 % of networks. */
export interface IdHash {
  readonly low: number
  readonly high: number
}

/** Once a member, so thorough rather than fast: both halves take in every code unit through `mix`. */
export function hashId(id: string): IdHash {
  let low = id.length
  let high = 0x9e3779b9 | 0 // 2^32 / golden ratio: any start other than `low`'s will do
  for (let i = 0; i < id.length; i++) {
    low = mix(low ^ id.charCodeAt(i))
    high = mix((high + low) | 0)
  }
  return { low, high }
}

/** What all costs of one slot share. */
export function seedOf(slot: number): number {
  return mix(slot + SLOTS)
}

/** The 32 bits that a member draws for a slot, from the halves of its id's hash and the slot's seed. */
export function draw(low: number, high: number, slotSeed: number): number {
  return mix((mix(low ^ slotSeed) + high) | 0)
}

/** The cost of a member for a slot at weight 1, in units of 2^-26: 1 … 2^31. */
export function costOf(low: number, high: number, slotSeed: number): number {
  return negativeLog2(draw(low, high, slotSeed))
}
