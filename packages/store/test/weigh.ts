import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock } from '../src/contract.ts'
import type { Row } from '../src/row.ts'
import { blockWeight, count, DELETION_WEIGHT_BYTES, weigh } from '../src/weigh.ts'

const weighing = suite('weigh')

const { key } = sampleBlock(1)
const AT = { segment: 9, offset: 0 }
const claim = {
  claimant: '01',
  sequence: 1,
  live: true,
  replicas: 1,
  segment: 2,
  offset: 5,
  length: 1,
  crc: 0,
  weight: 70
}
const ROW: Row = { block: { segment: 1, offset: 4096, size: 100 }, claims: [claim] }

function weights(before: Row | undefined, after: Row | undefined, deletion?: 'here'): Record<number, number> {
  const sums: Record<number, number> = {}
  weigh({ key, before, after, deletion }, AT, (segment, weight) => {
    sums[segment] = (sums[segment] ?? 0) + weight
  })
  return sums
}

weighing('what comes is in use where it lies, what goes is not', () => {
  const block = blockWeight(key, 100)
  assert.ok(block > 100)
  assert.equal(weights(undefined, ROW), { 1: block, 2: 70 })
  assert.equal(weights(ROW, undefined, 'here'), { 1: -block, 2: -70, 9: DELETION_WEIGHT_BYTES })
})

weighing('what stays weighs nothing, what moves weighs where it was and is', () => {
  assert.equal(weights(ROW, { block: ROW.block, claims: [claim] }), {})
  const moved = { ...claim, segment: 3 }
  assert.equal(weights(ROW, { block: ROW.block, claims: [moved] }), { 2: -70, 3: 70 })
})

weighing('blocks are counted, claims alone are not', () => {
  const totals = { blocks: 0, bytes: 0 }
  count({ key, before: undefined, after: { block: undefined, claims: [claim] } }, totals)
  assert.equal(totals, { blocks: 0, bytes: 0 })
  count({ key, before: undefined, after: ROW }, totals)
  count({ key, before: ROW, after: { ...ROW, claims: [] } }, totals)
  assert.equal(totals, { blocks: 1, bytes: 100 })
  count({ key, before: ROW, after: undefined }, totals)
  assert.equal(totals, { blocks: 0, bytes: 0 })
})

weighing.run()
