import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  COMPARE_MESSAGES,
  COMPARE_TAGS,
  fromPlace,
  GROUP_SLOTS,
  GROUPS,
  groupOf,
  placeOf
} from '../src/compare.ts'
import { GOSSIP_TAGS } from '../src/gossip.ts'

const compare = suite('compare')

compare('a place is one number and back', () => {
  const slot = fc.integer({ min: 0, max: 65_535 })
  fc.assert(
    fc.property(slot, fc.integer({ min: 1, max: 32 }), (slot, replicas) => {
      assert.equal(fromPlace(placeOf({ slot, replicas })), { slot, replicas })
    })
  )
})

compare('every slot is in one group of as many', () => {
  const counts = new Array<number>(GROUPS).fill(0)
  for (let slot = 0; slot < 65_536; slot++) counts[groupOf(slot)] = (counts[groupOf(slot)] ?? 0) + 1
  assert.ok(counts.every((count) => count === GROUP_SLOTS))
})

compare('every message has a tag of its own, from 20 to 29', () => {
  assert.equal(Object.keys(COMPARE_TAGS).sort(), Object.keys(COMPARE_MESSAGES).sort())
  const tags: number[] = Object.values(COMPARE_TAGS)
  assert.is(new Set(tags).size, tags.length)
  assert.ok(tags.every((tag) => tag >= 20 && tag <= 29))
  assert.not.ok(tags.some((tag) => Object.values<number>(GOSSIP_TAGS).includes(tag)))
})

compare.run()
