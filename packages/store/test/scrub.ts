import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, pick, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { scrubOrder } from '../src/scrub.ts'
import { entry, flip, inScratch, placesOf, segmentNames, withStore } from './scratch.ts'

const scrub = suite('scrub')

const ENTRIES = Array.from({ length: 60 }, (_, i) => entry(i, i % 3 === 0 ? 150_000 : 700))

scrub('a whole store has nothing wrong', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      await store.put(ENTRIES)
      let told = 0
      const report = await store.scrubNow({ onProgress: () => told++ })
      assert.is(report.blocks, ENTRIES.length)
      assert.is(report.bytes, store.usage().bytes)
      assert.is(report.lost.length + report.records, 0)
      assert.ok(told > 0)
      const { oldestMs, verified, total } = store.scrubStatus()
      assert.ok(oldestMs > 0)
      assert.ok(total > 0)
      assert.is(verified, total)
    })
  )
)

scrub('every flipped bit of a block is found, and each such block reported once', () =>
  inScratch(async (directory) => {
    const lost: BlockKey[] = []
    await withStore({ directory, onLost: (key) => lost.push(key) }, async (store) => {
      for (const one of ENTRIES) await store.put([one])
      const random = seeded(3)
      const hurt = ENTRIES.filter((_, i) => i % 4 === 1)
      for (const { key, bytes } of hurt) {
        for (const { path, at } of await placesOf(directory, key))
          await flip(path, at + pick(random, bytes.length))
      }
      const report = await store.scrubNow()
      const expected = hurt.map(({ key }) => key).sort()
      assert.equal([...report.lost].sort(), expected)
      assert.equal([...lost].sort(), expected)
      for (const { key, bytes } of ENTRIES) {
        assert.equal(await store.get(key), expected.includes(key) ? undefined : bytes)
      }
      assert.is((await store.scrubNow()).lost.length, 0)
      await store.put(hurt)
      assert.is(store.usage().blocks, ENTRIES.length)
    })
  })
)

scrub('a damaged record is found, and what it told of is written again while it is good', () =>
  inScratch(async (directory) => {
    await withStore({ directory }, async (store) => {
      for (const one of ENTRIES) await store.put([one])
      const path = join(directory, (await segmentNames(directory))[0] as string)
      const bytes = await readFile(path)
      let at = bytes.indexOf('CAIRNREC')
      for (let i = 0; i < 5; i++) at = bytes.indexOf('CAIRNREC', at + 1)
      await flip(path, at + 30)
      const report = await store.scrubNow()
      assert.is(report.records, 1)
      assert.is(report.lost.length, 0)
    })
    await withStore({ directory, rebuild: true }, async (store) => {
      assert.is(store.usage().blocks, ENTRIES.length)
      for (const { key, bytes, claims } of ENTRIES) {
        assert.equal(await store.get(key), bytes)
        assert.equal((await store.stat(key))?.claims, claims)
      }
    })
  })
)

scrub('those not looked at for longest come first', () => {
  const row = { size: 1, live: 1, sealed: true }
  const segments = new Map([
    [1, { ...row, scrubbedAtMs: 50 }],
    [2, { ...row, scrubbedAtMs: 0 }],
    [3, { ...row, scrubbedAtMs: 7 }],
    [4, { ...row, scrubbedAtMs: 0, doomed: true as const }]
  ])
  assert.equal(scrubOrder(segments), [2, 3, 1])
})

scrub.run()
