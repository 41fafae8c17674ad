import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hashName, labelOf, levelsOf, placeOf } from '../src/hamt.ts'

const hamt = suite('hamt')
const hex = (name: string) => Buffer.from(hashName(name)).toString('hex')

hamt('the published hashes of murmur3-x64-128 come out, first half', () => {
  // smhasher's MurmurHash3_x64_128 with seed 0, as other implementations publish it.
  assert.is(hex(''), '0000000000000000')
  assert.is(hex('hello'), 'cbd8a7b341bd9b02')
  assert.is(hex('hello, world'), '342fac623a5ebc8e')
  assert.is(hex('19 Jan 2038 at 3:14:07 AM'), 'b89e5988b737affc')
  assert.is(hex('The quick brown fox jumps over the lazy dog.'), 'cd99481f9ee902c9')
})

hamt('places take the hash from its highest bit', () => {
  const hash = Uint8Array.of(0b10110011, 0b01010101, 0, 0, 0, 0, 0, 0b11)
  assert.is(placeOf(hash, 8, 0), 0b10110011)
  assert.is(placeOf(hash, 8, 1), 0b01010101)
  assert.is(placeOf(hash, 3, 0), 0b101)
  assert.is(placeOf(hash, 3, 2), 0b110)
  assert.is(placeOf(hash, 1, 63), 1)
  assert.is(placeOf(hash, 10, 0), 0b1011001101)
})

hamt('labels are as wide as the last place', () => {
  assert.is(labelOf(10, 8), '0A')
  assert.is(labelOf(255, 8), 'FF')
  assert.is(labelOf(1, 3), '1')
  assert.is(labelOf(1, 10), '001')
})

hamt('a hash is used up after as many levels as it has bits for', () => {
  assert.is(levelsOf(8), 8)
  assert.is(levelsOf(1), 64)
  assert.is(levelsOf(10), 6)
})

hamt.run()
