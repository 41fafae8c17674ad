import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BLOCK_BYTES_MAX } from '../src/block.ts'
import { configure } from '../src/config.ts'
import { DATA_DEFAULTS, DATA_LIMITS } from '../src/limits.ts'

const limits = suite('limits')

limits('every default and limit is a positive whole number', () => {
  for (const [name, value] of Object.entries({ ...DATA_DEFAULTS, ...DATA_LIMITS })) {
    assert.ok(Number.isInteger(value) && value > 0, name)
  }
})

limits('waits are in the order in which they must come', () => {
  const { hedgeAfterMs, standInLeastMs, standInAfterMs, putTimeoutMs } = DATA_DEFAULTS
  const { readTimeoutMs, fetchTimeoutMs } = DATA_DEFAULTS
  const { compareIntervalMs, compareChangedMs, compareIdleMs, retryMs, retryMaxMs } = DATA_DEFAULTS
  assert.ok(hedgeAfterMs < readTimeoutMs && readTimeoutMs < fetchTimeoutMs)
  assert.ok(standInLeastMs < standInAfterMs && standInAfterMs < putTimeoutMs)
  assert.ok(compareIntervalMs <= compareChangedMs && compareChangedMs <= compareIdleMs)
  assert.ok(retryMs < retryMaxMs)
})

limits('all second tries of a put fall within it, and after them the dead are known', () => {
  const { resendAfterMs, putTimeoutMs } = DATA_DEFAULTS
  const allMs = resendAfterMs * (2 ** DATA_LIMITS.resends - 1)
  assert.ok(allMs < putTimeoutMs && allMs >= 15_000)
})

limits('what one member can have us fetch at once is bounded in bytes', () => {
  const bytes = (DATA_LIMITS.fetchWindow + 1) * BLOCK_BYTES_MAX + DATA_LIMITS.repairWindowBytes
  assert.ok(bytes <= 192 * 1024 * 1024)
})

limits('an inquiry is answered in whole bytes', () => {
  assert.is(DATA_LIMITS.inquiryKeys % 8, 0)
})

limits('they are part of the configuration', () => {
  assert.is(configure({ retryMs: 7 }).retryMs, 7)
  assert.is(configure().settleMs, DATA_DEFAULTS.settleMs)
})

limits.run()
