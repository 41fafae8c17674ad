import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock } from '../src/contract.ts'
import { decodeRow, encodeRow, partsOf, type Row, rowStat, without } from '../src/row.ts'

const row = suite('row')

const CLAIM = {
  claimant: '0a',
  sequence: 2 ** 53 - 1,
  live: true,
  replicas: 3,
  length: 4,
  crc: 0xffffffff,
  weight: 9
}
const ROW: Row = {
  block: { segment: 3, offset: 4096, size: 0 },
  claims: [
    { ...CLAIM, segment: 2, offset: 1 },
    { ...CLAIM, claimant: 'ff'.repeat(33), live: false, segment: 4, offset: 1 }
  ]
}

row('what is written is read again', () => {
  assert.equal(decodeRow(encodeRow(ROW)), ROW)
  assert.equal(decodeRow(encodeRow({ block: undefined, claims: [] })), { block: undefined, claims: [] })
})

row('any flipped bit is noticed', () => {
  const good = encodeRow(ROW)
  for (let bit = 0; bit < 8 * good.length; bit++) {
    const bad = Buffer.from(good)
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
    assert.throws(
      () => decodeRow(bad),
      (error: unknown) => CairnError.is(error, 'STORE_DAMAGED')
    )
  }
  assert.throws(() => decodeRow(Buffer.alloc(0)), /damaged/)
})

row('a row without a block is not held', () => {
  const { key } = sampleBlock(1)
  assert.is(rowStat(key, { block: undefined, claims: ROW.claims }), undefined)
  assert.is(rowStat(key, ROW)?.replicas, 3)
})

row('a deletion takes what lies before its position, and the rest stays', () => {
  assert.equal(without(ROW, { segment: 3, offset: 5000 }), { block: undefined, claims: [ROW.claims[1]] })
  assert.is(without(ROW, { segment: 9, offset: 0 }), undefined)
  assert.is(without(ROW, { segment: 1, offset: 0 }), ROW)
  assert.is(partsOf(ROW).length, 3)
})

row.run()
