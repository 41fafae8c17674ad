/**
 * What simulated nodes take for SHA-256: as long, and as good as chance, at a tenth of the time. Nobody looks
 * for collisions here; the hash of real blocks is tested with real bytes, elsewhere.
 */

const DIGEST_BYTES = 32
/** Odd, with bits set all over; of MurmurHash3 and xxHash. */
const [C1, C2, C3, C4] = [0x85ebca6b, 0xc2b2ae35, 0x9e3779b1, 0x27d4eb2f]

function turned(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

/** The last mix of MurmurHash3: each bit of the value changes half of the bits of the result. */
function mixed(value: number): number {
  let mix = Math.imul(value ^ (value >>> 16), C1)
  mix = Math.imul(mix ^ (mix >>> 13), C2)
  return mix ^ (mix >>> 16)
}

/** Four bytes from a place on, as far as there are any. */
export function wordAt(bytes: Uint8Array, at: number): number {
  if (at + 3 < bytes.length) {
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
    return low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)
  }
  let word = 0
  for (let i = at; i < bytes.length; i++) word |= (bytes[i] as number) << (8 * (i - at))
  return word
}

export function hash256(bytes: Uint8Array): Uint8Array {
  let [a, b, c, d] = [bytes.length ^ C1, C2, C3, C4]
  for (let at = 0; at < bytes.length; at += 4) {
    const word = wordAt(bytes, at)
    a = (turned(Math.imul(a ^ word, C1), 15) + b) | 0
    b = (turned(Math.imul(b ^ word, C2), 13) + c) | 0
    c = (turned(Math.imul(c ^ word, C3), 17) + d) | 0
    d = (turned(Math.imul(d ^ word, C4), 19) + a) | 0
  }
  const digest = new Uint8Array(DIGEST_BYTES)
  for (let at = 0; at < DIGEST_BYTES; at += 4) {
    a = mixed(a + b)
    b = mixed((b ^ c) + at)
    c = mixed(c + d)
    d = mixed(d ^ a)
    digest[at] = d
    digest[at + 1] = d >>> 8
    digest[at + 2] = d >>> 16
    digest[at + 3] = d >>> 24
  }
  return digest
}

/** What happened so far, and then this: of FNV-1a, by words, and turned so that high bits reach low ones. */
export function folded(hash: number, bytes: Uint8Array): number {
  let next = Math.imul(hash ^ bytes.length, FNV_PRIME)
  for (let at = 0; at < bytes.length; at += 4) {
    next = Math.imul(turned(next, 13) ^ wordAt(bytes, at), FNV_PRIME)
  }
  return next >>> 0
}

/** Of FNV-1a. */
export const FNV_PRIME = 0x01000193
