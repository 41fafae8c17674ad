/**
 * Memory that blocks pass through, used again once nobody looks at it: what peers and clients send, what is
 * read to be sent. Fresh memory for each block costs page faults, and stays until the garbage collector
 * comes: half a gigabyte of it while a joiner was being filled.
 */

/** A block comes with its CID before it where it comes in a CAR. */
const SLACK_BYTES = 128
/** A chunk of other tools' files, of ours, and the largest block; what is smaller gets memory of its own. */
const SIZES_BYTES = [256 * 1024, 1024 * 1024, 2 * 1024 * 1024].map((bytes) => bytes + SLACK_BYTES)
const LEAST_BYTES = 64 * 1024
/** Kept for use, all sizes together: beyond it they are left to the garbage collector. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024
/** What was kept and not needed for so long is let go of. A guess. */
const UNUSED_MS = 5_000

export interface Buffers {
  /** Exactly so long; what is in it is whatever was. Who never gives it back leaves it to be collected. */
  take(length: number): Buffer
  /** One of those who look at it does no more. What is not from here is passed over. */
  give(bytes: Uint8Array): void
  /** One more looks at it, and is to give it back too. */
  share(bytes: Uint8Array): void
}

interface Shelf {
  readonly free: Buffer[]
  /** The fewest that lay here since the last look: these were not needed. */
  least: number
}

export function createBuffers(): Buffers {
  const shelves = new Map<number, Shelf>(SIZES_BYTES.map((size) => [size, { free: [], least: 0 }]))
  /** How many look at each that was taken. Without it, giving twice would lend one buffer to two blocks. */
  const lent = new WeakMap<ArrayBufferLike, number>()
  let kept = 0
  let watched = false

  const letGo = (): void => {
    watched = false
    for (const [size, shelf] of shelves) {
      shelf.free.splice(0, shelf.least)
      kept -= shelf.least * size
      shelf.least = shelf.free.length
    }
    if (kept > 0) watch()
  }
  const watch = (): void => {
    if (watched) return
    watched = true
    setTimeout(letGo, UNUSED_MS).unref()
  }
  return {
    take(length) {
      const size = length < LEAST_BYTES ? undefined : SIZES_BYTES.find((one) => length <= one)
      // Not from Buffer's pool: a block kept for long would keep its neighbours too.
      if (size === undefined) return Buffer.allocUnsafeSlow(length)
      const shelf = shelves.get(size) as Shelf
      const known = shelf.free.pop()
      if (known !== undefined) kept -= size
      shelf.least = Math.min(shelf.least, shelf.free.length)
      const whole = known ?? Buffer.allocUnsafeSlow(size)
      lent.set(whole.buffer, 1)
      return whole.subarray(0, length)
    },
    give({ buffer }) {
      const size = buffer.byteLength
      const others = (lent.get(buffer) ?? 0) - 1
      if (others > 0) lent.set(buffer, others)
      if (others !== 0) return
      lent.delete(buffer)
      if (kept + size > KEPT_BYTES_MAX) return
      shelves.get(size)?.free.push(Buffer.from(buffer))
      kept += size
      watch()
    },
    share({ buffer }) {
      const users = lent.get(buffer)
      if (users !== undefined) lent.set(buffer, users + 1)
    }
  }
}

/** One for all of this process. */
export const blockBuffers = createBuffers()
