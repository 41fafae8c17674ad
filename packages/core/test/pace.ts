import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createPace, paced, patienceMs } from '../src/pace.ts'

const pace = suite('pace')
const after = (...gaps: number[]) => {
  const one = createPace()
  for (const gap of gaps) paced(one, gap)
  return patienceMs(one, 2_000, 60_000)
}

pace('before anything came it waits longer than the least', () => {
  assert.is(after(), 6_000)
  assert.is(patienceMs(createPace(), 2_000, 3_000), 3_000)
})

pace('blocks that come fast make it impatient, never below the least', () => {
  assert.is(after(...new Array<number>(50).fill(10)), 2_000)
})

pace('where all are slow it waits above nearly all of what came, and never beyond the most', () => {
  const gaps = Array.from({ length: 200 }, (_, i) => 3_000 + 1_000 * (i % 5))
  const patience = after(...gaps)
  assert.ok(patience > 7_000 && patience < 14_000, `${patience} ms`)
  assert.is(after(90_000), 60_000)
})

pace.run()
