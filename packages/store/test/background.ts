import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { scrubBytesPerSecond } from '../src/background.ts'
import { entry, inScratch, segmentNames, withStore } from './scratch.ts'

const background = suite('Background')

background('deleted room comes back without a command', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      const entries = Array.from({ length: 20 }, (_, i) => entry(i, 600_000))
      await store.put(entries)
      const before = store.usage().diskBytes
      await store.delete(entries.slice(0, 18).map(({ key }) => key))
      for (let i = 0; i < 5_000 && store.usage().diskBytes > before / 2; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      assert.ok(store.usage().diskBytes < before / 2, `${store.usage().diskBytes} of ${before}`)
    })
  )
)

background('the budget of the scrub reads any store within seven days, a day of them off', () => {
  for (const bytes of [0, 1, 1024 ** 3, 100 * 1024 ** 3, 16 * 1024 ** 4]) {
    assert.ok(scrubBytesPerSecond(bytes) * 6 * 24 * 3600 >= bytes)
  }
})

background('the scrub goes round by itself, and what it has verified survives a restart', () =>
  inScratch(async (directory) => {
    await withStore({ directory }, (store) => store.put([entry(1, 1000)]))
    await withStore({ directory }, async (store) => {
      for (let i = 0; i < 5_000 && store.scrubStatus().oldestMs === 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      assert.ok(store.scrubStatus().oldestMs > 0)
    })
    await withStore({ directory }, async (store) => assert.ok(store.scrubStatus().oldestMs > 0))
  })
)

background('a scrub that is told to stop, or whose store closes, does not pass for a whole one', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      await store.put(Array.from({ length: 30 }, (_, i) => entry(i, 200_000)))
      const stop = new AbortController()
      const reason = new Error('enough')
      const scrub = store.scrubNow({ signal: stop.signal, onProgress: () => stop.abort(reason) })
      assert.is(await scrub.catch((cause) => cause), reason)
      let closed: Promise<void> | undefined
      const other = store.scrubNow({ onProgress: () => (closed ??= store.close()) })
      assert.is((await other.catch((cause) => cause)).code, 'UNREACHABLE')
      await closed
    })
  )
)

background('a close does not wait for a compaction that has begun', () =>
  inScratch(async (directory) => {
    const entries = Array.from({ length: 40 }, (_, i) => entry(i, 300_000))
    await withStore({ directory, compactBytesPerSecond: 1 }, async (store) => {
      await store.put(entries)
      await store.delete(entries.filter((_, i) => i % 5 !== 0).map(({ key }) => key))
    })
    assert.ok((await segmentNames(directory)).length > 1)
    await withStore({ directory }, async (store) => assert.is(store.usage().blocks, 8))
  })
)

background.run()
