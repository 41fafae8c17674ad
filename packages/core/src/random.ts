/**
 * Seeded randomness, passed in wherever a decision needs chance, so that a seed replays a run.
 * Not for secrets: keys and nonces come from the shell.
 */

/** The next number in [0, 1). */
export type Random = () => number

/** sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, passes BigCrush, four adds a draw. */
export function seeded(seed: number): Random {
  let a = 0x9e3779b9
  let b = 0x243f6a88
  let c = seed | 0
  let counter = 1
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return (sum >>> 0) / 4294967296
  }
  for (let i = 0; i < 15; i++) next() // sfc32's author: 12 rounds or more spread a poor seed
  return next
}

/** An integer in [0, below). @param below at least 1 */
export function pick(random: Random, below: number): number {
  return Math.floor(random() * below)
}

/** Shuffles in place (Fisher-Yates) and returns the same array. */
export function shuffle<T>(random: Random, items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = pick(random, i + 1)
    const swap = items[i] as T
    items[i] = items[j] as T
    items[j] = swap
  }
  return items
}
