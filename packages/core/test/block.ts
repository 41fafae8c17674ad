import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  BLOCK_BYTES_MAX,
  BLOCK_HASHES,
  blockKey,
  blockKeyCodec,
  multihashOf,
  SLOTS,
  slotOf
} from '../src/block.ts'
import { toHex } from '../src/bytes.ts'
import { decode, encode } from '../src/codec.ts'
import { CairnError } from '../src/errors.ts'

const digest = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

const block = suite('block')

block('a key is its multihash, in hexadecimal, and travels as it is', () => {
  for (const [hash, length] of Object.entries(BLOCK_HASHES)) {
    fc.assert(
      fc.property(digest(length), (value) => {
        const multihash = Uint8Array.of(Number(hash), length, ...value)
        const key = blockKey(multihash)
        assert.is(key, toHex(multihash))
        assert.equal(multihashOf(key), multihash)
        assert.equal(encode(blockKeyCodec, key), multihash)
        assert.is(decode(blockKeyCodec, multihash), key)
      }),
      { numRuns: 20 }
    )
  }
})

block('the slot is the first 16 bits of the digest', () => {
  const key = (first: number, second: number) => {
    return blockKey(Uint8Array.of(0x12, 32, first, second, ...new Uint8Array(30)))
  }
  assert.equal([slotOf(key(0, 0)), slotOf(key(0x12, 0x34)), slotOf(key(255, 255))], [0, 0x1234, SLOTS - 1])
})

block('other hashes, forgeable ones above all, and cut digests name no block', () => {
  const bad: number[][] = [
    [],
    [0x12],
    [0x11, 20],
    [0xd5, 16],
    [0, 4],
    [0x12, 32],
    [0x12, 31],
    [0x13, 32],
    [0x80, 1]
  ]
  for (const head of bad) {
    for (const body of [0, 4, 20, 31, 33]) {
      const multihash = Uint8Array.from([...head, ...new Array<number>(body).fill(1)])
      assert.throws(
        () => blockKey(multihash),
        (error: unknown) => error instanceof CairnError && error.code === 'BAD_CID'
      )
      assert.throws(
        () => decode(blockKeyCodec, multihash),
        (error: unknown) => error instanceof CairnError && error.code === 'BAD_MESSAGE'
      )
    }
  }
})

block('the largest block is 2 MiB: what Bitswap carries', () => {
  assert.is(BLOCK_BYTES_MAX, 2_097_152)
})

block.run()
