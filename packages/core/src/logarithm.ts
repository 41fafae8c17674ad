/**
 * A binary logarithm in integers only, so that every engine agrees to the last bit: ECMA-262 leaves
 * `Math.log2` to the engine. A table made by squaring, a bit a time (Knuth, TAOCP 1, §1.2.2), and
 * straight lines between its entries.
 */

/**
 * Bits after the point. A cost is at most 32, so 2^31 here, and times the greatest weight (2^20) it
 * stays an exact integer with two bits to spare.
 */
export const LOG_FRACTION_BITS = 26
/** 4,096 steps, 16 KiB: a line between two entries is off by less than one in the last of those bits. */
const TABLE_BITS = 12
const STEPS = 1 << TABLE_BITS
const ONE = 2 ** LOG_FRACTION_BITS
/** What the table does not resolve of a 31-bit fraction, cut to 16 bits: a product below 2^31. */
const REST_SHIFT = 31 - TABLE_BITS
const LINE_BITS = 16

/** Bits after the point while squaring: so many that every entry of the table is rightly rounded. */
const SQUARE_BITS = 47
const HALF = 2 ** 24

/** log2 of x / 2^47 for 2^47 <= x < 2^48, in units of 2^-26, rounded. */
function logOfMantissa(x: number): number {
  let mantissa = x
  let log = 0
  for (let bit = 0; bit <= LOG_FRACTION_BITS; bit++) {
    const high = Math.floor(mantissa / HALF)
    const low = mantissa % HALF
    // mantissa^2 / 2^47 by halves of 24 bits: the square itself is far above 2^53, each part is not
    const middle = 2 * high * low + Math.floor((low * low) / HALF)
    mantissa = 2 * high * high + Math.floor(middle / (HALF / 2))
    log *= 2
    if (mantissa < 2 ** (SQUARE_BITS + 1)) continue
    log += 1
    mantissa = Math.floor(mantissa / 2)
  }
  return Math.floor((log + 1) / 2) // one bit more than kept was drawn, to round by
}

/** log2(1 + i / STEPS), rounded. */
const LOGS = Int32Array.from({ length: STEPS + 1 }, (_, i) =>
  i === STEPS ? ONE : logOfMantissa(2 ** SQUARE_BITS + i * 2 ** (SQUARE_BITS - TABLE_BITS))
)

/**
 * -log2(u) in units of 2^-26, where u is an odd number of 2^-32nds: the lowest bit of `bits` is taken
 * as set, so that u is never 0 nor 1. Never less than 1, never more than 2^31, never rising in `bits`.
 */
export function negativeLog2(bits: number): number {
  const odd = bits | 1
  const zeros = Math.clz32(odd)
  const mantissa = odd << zeros
  const i = (mantissa >>> REST_SHIFT) & (STEPS - 1)
  const rest = (mantissa >>> (REST_SHIFT - LINE_BITS)) & 0xffff
  const from = LOGS[i] as number
  const line = ((LOGS[i + 1] as number) - from) * rest
  return (zeros + 1) * ONE - from - (line >>> LINE_BITS)
}
