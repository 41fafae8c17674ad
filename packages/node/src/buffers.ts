/**
 * Buffers that blocks are received into, used again once their block is on disk. Fresh memory for each costs
 * page faults, and waits for the garbage collector: half a gigabyte of it while a joiner was being filled.
 */

/** A chunk of other tools' files, of ours, and the largest block; what is smaller gets memory of its own. */
const SIZES_BYTES = [256 * 1024, 1024 * 1024, 2 * 1024 * 1024] as const
const LEAST_BYTES = 64 * 1024
/** Kept for use, of each size: beyond it they are left to the garbage collector. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024

export interface Buffers {
  /** Exactly so long; what is in it is whatever was. */
  take(length: number): Uint8Array
  /** Nobody looks at it any more. One that is not from here is passed over. */
  give(bytes: Uint8Array): void
}

export function createBuffers(): Buffers {
  const free = new Map<number, Uint8Array[]>(SIZES_BYTES.map((size) => [size, []]))
  /** Taken and not given back: giving twice would lend one buffer to two blocks. */
  const lent = new WeakSet<ArrayBufferLike>()
  return {
    take(length) {
      const size = length < LEAST_BYTES ? undefined : SIZES_BYTES.find((one) => length <= one)
      // Not from Buffer's pool: a block kept for long would keep its neighbours too.
      if (size === undefined) return Buffer.allocUnsafeSlow(length)
      const whole = free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size)
      lent.add(whole.buffer)
      return whole.subarray(0, length)
    },
    give({ buffer }) {
      if (!lent.delete(buffer)) return
      const kept = free.get(buffer.byteLength)
      if (kept !== undefined && kept.length * buffer.byteLength < KEPT_BYTES_MAX) {
        kept.push(Buffer.from(buffer))
      }
    }
  }
}

/** One for all streams of this process. */
export const received = createBuffers()
