import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { count, createMeter, etaOf, rateOf } from '../src/eta.ts'

const eta = suite('eta')

eta('a rate is what came lately, from the first seconds on, and nothing once nothing comes', () => {
  const meter = createMeter()
  assert.is(rateOf(meter, 0), 0)
  for (let nowMs = 10_000; nowMs < 40_000; nowMs += 100) {
    count(meter, 50_000, nowMs)
    const rate = rateOf(meter, nowMs)
    if (nowMs < 12_500) assert.is(rate, 0, 'too soon to say')
    else assert.ok(rate > 450_000 && rate < 600_000, `${rate} after ${nowMs - 10_000} ms`)
  }
  assert.ok(rateOf(meter, 44_000) > 200_000)
  assert.is(rateOf(meter, 60_000), 0)
  count(meter, 1, 70_000)
  assert.is(rateOf(meter, 70_000), 0, 'begun anew')
})

eta('nothing to make is no time', () => {
  const none = { blocks: 0, bytes: 0, rate: 0, able: 3, waitMs: 15_000, compareMs: 4_000 }
  assert.is(etaOf(none), 0)
})

eta(
  'bytes by their rate, or by what is assumed of those that can take them; small blocks by their number',
  () => {
    const making = { blocks: 10, bytes: 100_000_000, able: 5, waitMs: 1_000, compareMs: 4_000 }
    assert.is(etaOf({ ...making, rate: 10_000_000 }), 1_000 + 2_000 + 10_000)
    const assumed = etaOf({ ...making, rate: 0 })
    assert.is(assumed, 1_000 + 4_000 + 1_000)
    assert.ok(etaOf({ ...making, rate: 0, able: 1 }) > assumed)
    assert.is(etaOf({ ...making, bytes: 10, blocks: 50_000, rate: 0 }), 5_000 + 10_000)
  }
)

eta.run()
