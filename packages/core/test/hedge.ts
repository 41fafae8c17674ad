import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { answeredAfter, askedOnce, askedTwice, createHedge, hedgeAfter } from '../src/hedge.ts'
import { seeded } from '../src/random.ts'

const hedge = suite('hedge')

hedge('before anything answered nothing is asked twice', () => {
  assert.is(hedgeAfter(createHedge(), 1), undefined)
})

hedge('it comes to what 19 of 20 come within, and follows it', () => {
  const one = createHedge()
  const random = seeded(1)
  for (const [low, high] of [
    [20, 120],
    [200, 1_200],
    [20, 120]
  ] as const) {
    for (let i = 0; i < 5_000; i++) answeredAfter(one, low + random() * (high - low))
    const p95 = low + 0.95 * (high - low)
    const found = hedgeAfter(one, 1) as number
    assert.ok(found > 0.85 * p95 && found < 1.2 * p95, `${found} of ${p95}`)
  }
})

hedge('a twentieth of what was asked may be asked twice, and little is saved up', () => {
  const one = createHedge()
  answeredAfter(one, 10)
  let twice = 0
  const ask = (): void => {
    askedOnce(one, 1)
    if (hedgeAfter(one, 1) === undefined) return
    askedTwice(one, 1)
    twice++
  }
  for (let i = 0; i < 1_000; i++) ask()
  assert.is(twice, 51) // one to begin with
  askedOnce(one, 1_000_000)
  assert.is(hedgeAfter(one, 17), undefined)
  assert.is(hedgeAfter(one, 16), 30)
})

hedge('what comes at once is not taken for the rule', () => {
  const one = createHedge()
  for (let i = 0; i < 100; i++) answeredAfter(one, 0)
  assert.is(hedgeAfter(one, 1), 10)
})

hedge.run()
