import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { answeredAfter, askedOnce, createHedge } from '../src/hedge.ts'
import {
  type Asked,
  failedAtMs,
  givenUpAtMs,
  lateAtMs,
  latenessNow,
  quietSinceMs,
  silentAtMs
} from '../src/lateness.ts'
import { type Loads, loadOf } from '../src/load.ts'
import { createPace, paced } from '../src/pace.ts'
import { CONFIG, peer } from './support/data.ts'

const lateness = suite('lateness')
const asked: Asked = {
  from: peer(1),
  purpose: 'read',
  startedMs: 1_000,
  heardMs: undefined,
  keys: { size: 1 }
}
const repair = { ...asked, purpose: 'repair' } as const
const fresh = () => {
  const loads: Loads = new Map()
  return { config: CONFIG, loads, hedge: createHedge(), readPace: createPace(), pace: createPace() }
}
const { hedgeAfterMs, repairHedgeMs, fetchTimeoutMs } = CONFIG

lateness('before anything is known, the times are those of the configuration', () => {
  const now = latenessNow(fresh())
  assert.is(silentAtMs(now, asked), 1_000 + hedgeAfterMs)
  assert.is(silentAtMs(now, repair), 1_000 + hedgeAfterMs)
  assert.is(lateAtMs(now, repair), 1_000 + 3 * repairHedgeMs, 'as pace.ts has it')
  assert.is(lateAtMs(now, asked), Number.POSITIVE_INFINITY)
  assert.is(givenUpAtMs(now, asked), 1_000 + fetchTimeoutMs)
})

lateness('a read of which nothing was heard is silent after the p95, if the allowance has it', () => {
  const pacing = fresh()
  answeredAfter(pacing.hedge, 30)
  assert.is(silentAtMs(latenessNow(pacing), asked), 1_090, 'three times a first answer')
  assert.is(failedAtMs(latenessNow(pacing), asked), 1_000 + hedgeAfterMs)
  const two = { ...asked, keys: { size: 2 } }
  assert.is(silentAtMs(latenessNow(pacing), two), 1_000 + hedgeAfterMs, 'two are not allowed')
  askedOnce(pacing.hedge, 20)
  assert.is(silentAtMs(latenessNow(pacing), two), 1_090)
  assert.is(silentAtMs(latenessNow(pacing), { ...asked, heardMs: 1_010 }), 1_000 + hedgeAfterMs)
})

lateness('where members are slow to answer a reader, they are waited for', () => {
  const pacing = fresh()
  paced(pacing.readPace, 1_000)
  assert.ok(failedAtMs(latenessNow(pacing), asked) > 2_000)
  assert.is(failedAtMs(latenessNow(pacing), repair), 1_000 + hedgeAfterMs, 'for readers')
})

lateness('one that answers others meanwhile has more time, but not for ever', () => {
  const pacing = fresh()
  const load = loadOf(pacing.loads, peer(1))
  load.heardMs = 1_300
  assert.is(quietSinceMs(pacing.loads, asked), 1_300)
  assert.is(silentAtMs(latenessNow(pacing), asked), 1_300 + hedgeAfterMs)
  load.heardMs = 60_000
  assert.is(silentAtMs(latenessNow(pacing), asked), 1_000 + 5 * hedgeAfterMs)
})

lateness.run()
