import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LOG_FRACTION_BITS, negativeLog2 } from '../src/logarithm.ts'
import { seeded } from '../src/random.ts'

const UNIT = 2 ** -LOG_FRACTION_BITS
const logarithm = suite('negativeLog2')

// Made by this function, checked against 50-digit decimals. Part of every network: never change them.
const GOLDEN: readonly [bits: number, cost: number][] = [
  [0x00000000, 2147483648],
  [0x00000001, 2147483648],
  [0x00000002, 2041118615],
  [0x00000004, 1991661691],
  [0x00000100, 1610235279],
  [0x12345678, 255938524],
  [0x55555555, 106365034],
  [0x7fffffff, 67108865],
  [0x80000000, 67108864],
  [0xb504f334, 33554433],
  [0xc0000001, 27852695],
  [0xdeadbeef, 13500981],
  [0xffff0000, 1478],
  [0xfffffffe, 1],
  [0xffffffff, 1]
]

for (const [bits, cost] of GOLDEN) {
  logarithm(`of 0x${bits.toString(16)} is fixed for good`, () => {
    assert.is(negativeLog2(bits), cost)
    assert.is(negativeLog2(bits | 0), cost, 'signed or not')
  })
}

logarithm('every entry of the table is fixed for good', () => {
  let sum = 0
  for (let i = 0; i < 4096; i++) sum = (sum * 31 + negativeLog2(2 ** 31 + i * 2 ** 19 + 12_345)) % 2 ** 40
  assert.is(sum, 855102534524)
})

logarithm('is within 2.5 units of -log2 everywhere', () => {
  const random = seeded(1)
  for (let i = 0; i < 200_000; i++) {
    const bits = Math.floor(random() * 2 ** 32) >>> (i % 32)
    const exact = -Math.log2(((bits | 1) >>> 0) / 2 ** 32) / UNIT
    assert.ok(Math.abs(negativeLog2(bits) - exact) <= 2.5, `${bits}: ${negativeLog2(bits)}, not ${exact}`)
  }
})

logarithm('never rises as its argument does', () => {
  const step = 4_093 // a prime: it meets all places within a line
  let last = 2 ** 31
  for (let bits = 1; bits < 2 ** 32; bits += bits < 2 ** 18 ? 1 : step) {
    const cost = negativeLog2(bits)
    if (cost > last) assert.unreachable(`${bits}: ${cost} after ${last}`)
    last = cost
  }
})

logarithm.run()
