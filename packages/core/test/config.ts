import { type Config, configure, DEFAULTS } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const config = suite('config')

config('defaults work together', () => {
  assert.equal(configure(), DEFAULTS)
  assert.is(configure({ replicas: 2 }).replicas, 2)
})

config('what cannot work is refused', () => {
  const bad: Partial<Config>[] = [
    { probeTimeoutMs: 500 },
    { probeTimeoutMs: 0 },
    { suspicionMinMs: 1_999 },
    { suspicionMaxFactor: 0.5 },
    { replicas: 0 },
    { replicas: 2.5 },
    { healthFactorMax: 0 },
    { gapMs: 100 },
    { forgetMs: 15_000 },
    { newsIntervalMs: Number.NaN },
    { joinRetryMs: 70_000 }
  ]
  for (const wrong of bad) assert.throws(() => configure(wrong), RangeError, JSON.stringify(wrong))
})

config.run()
