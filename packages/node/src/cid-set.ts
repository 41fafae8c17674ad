/**
 * Many CIDs in little memory: 16 bytes of each digest in one table, some 40 bytes a CID. Two blocks whose
 * digests begin alike, which takes 2^64 tries to make, would be taken for one.
 */
import type { CID } from 'multiformats/cid'

const WORDS = 4
const FIRST_SLOTS = 1_024

export interface CidSet {
  has(cid: CID): boolean
  add(cid: CID): void
  readonly size: number
}

export function cidSet(): CidSet {
  let table = new Uint32Array(FIRST_SLOTS * WORDS)
  let size = 0
  const grow = (): void => {
    const old = table
    table = new Uint32Array(2 * old.length)
    for (let at = 0; at < old.length; at += WORDS) {
      const words = old.subarray(at, at + WORDS)
      if (isUsed(words)) table.set(words, place(table, words))
    }
  }
  return {
    has: (cid) => isUsed(table.subarray(place(table, wordsOf(cid))).subarray(0, WORDS)),
    add(cid) {
      const words = wordsOf(cid)
      const at = place(table, words)
      if (isUsed(table.subarray(at, at + WORDS))) return
      table.set(words, at)
      size++
      if (2 * WORDS * size > table.length) grow()
    },
    get size() {
      return size
    }
  }
}

/** The first 16 bytes of the digest; the last bit is set, so that none is taken for an empty place. */
function wordsOf({ multihash: { digest } }: CID): Uint32Array {
  const words = new Uint32Array(WORDS)
  const bytes = new Uint8Array(words.buffer)
  bytes.set(digest.subarray(0, bytes.length))
  words[WORDS - 1] = (words[WORDS - 1] as number) | 1
  return words
}

const isUsed = (words: Uint32Array): boolean => words[WORDS - 1] !== 0

/** Where these words are, or would be: the next free place after where they belong. */
function place(table: Uint32Array, words: Uint32Array): number {
  const slots = table.length / WORDS
  for (let slot = (words[0] as number) % slots; ; slot = (slot + 1) % slots) {
    const at = slot * WORDS
    if (table[at + WORDS - 1] === 0 || words.every((word, i) => table[at + i] === word)) return at
  }
}
