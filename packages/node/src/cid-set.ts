/**
 * Many CIDs in little memory: 16 bytes of each digest and its number in one table, some 50 bytes a CID. Two
 * blocks whose digests begin alike, which takes 2^64 tries to make, would be taken for one.
 */
import type { CID } from 'multiformats/cid'

const DIGEST_WORDS = 4
/** The digest's, and after them the number, from 1 on: 0 is an empty place. */
const WORDS = DIGEST_WORDS + 1
const FIRST_PLACES = 1_024

export interface CidSet {
  has(cid: CID): boolean
  add(cid: CID): void
  /** In the order in which they were added, from 0 on; -1 for one that was not. */
  indexOf(cid: CID): number
  readonly size: number
}

export function cidSet(): CidSet {
  let table = new Uint32Array(FIRST_PLACES * WORDS)
  let size = 0
  const grow = (): void => {
    const old = table
    table = new Uint32Array(2 * old.length)
    for (let at = 0; at < old.length; at += WORDS) {
      const words = old.subarray(at, at + WORDS)
      if (words[DIGEST_WORDS] !== 0) table.set(words, placeOf(table, words))
    }
  }
  const numberOf = (cid: CID): number => table[placeOf(table, wordsOf(cid)) + DIGEST_WORDS] as number
  return {
    has: (cid) => numberOf(cid) > 0,
    indexOf: (cid) => numberOf(cid) - 1,
    add(cid) {
      const words = wordsOf(cid)
      const at = placeOf(table, words)
      if (table[at + DIGEST_WORDS] !== 0) return
      table.set(words, at)
      table[at + DIGEST_WORDS] = ++size
      if (2 * WORDS * size > table.length) grow()
    },
    get size() {
      return size
    }
  }
}

function wordsOf({ multihash: { digest } }: CID): Uint32Array {
  const words = new Uint32Array(DIGEST_WORDS)
  const bytes = new Uint8Array(words.buffer)
  bytes.set(digest.subarray(0, bytes.length))
  return words
}

/** Where a digest is, or would be: the next free place after where it belongs. */
function placeOf(table: Uint32Array, words: Uint32Array): number {
  const places = table.length / WORDS
  for (let place = (words[0] as number) % places; ; place = (place + 1) % places) {
    const at = place * WORDS
    if (table[at + DIGEST_WORDS] === 0 || isAt(table, at, words)) return at
  }
}

function isAt(table: Uint32Array, at: number, words: Uint32Array): boolean {
  for (let i = 0; i < DIGEST_WORDS; i++) if (table[at + i] !== words[i]) return false
  return true
}
