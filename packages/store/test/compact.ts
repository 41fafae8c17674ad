import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { entry, flip, inScratch, placesOf, segmentNames, withStore } from './scratch.ts'

const compact = suite('compactOne')

const MANY = Array.from({ length: 60 }, (_, i) => entry(i, 300_000))
const KEPT = MANY.filter((_, i) => i % 6 === 0)
const GONE = MANY.filter((_, i) => i % 6 !== 0).map(({ key }) => key)

compact('what is in use is kept, the rest leaves the disk, and a rebuild agrees', () =>
  inScratch(async (directory) => {
    await withStore({ directory, compactBytesPerSecond: 1 }, async (store) => {
      await store.put(MANY)
      await store.put(KEPT.map(({ key }) => ({ key, claims: [sampleClaim('02')] })))
      await store.delete(GONE)
      await store.compactNow()
      assert.ok((await segmentNames(directory)).length <= 3, 'of five segments')
      for (const { key, bytes } of KEPT) assert.equal(await store.get(key), bytes)
    })
    await withStore({ directory, rebuild: true }, async (store) => {
      assert.is(store.usage().blocks, KEPT.length)
      for (const { key } of KEPT) assert.is((await store.stat(key))?.claims.length, 2)
      for (const key of GONE) assert.is(await store.stat(key), undefined)
    })
  })
)

compact('ended claims of what was collected outlive their segment, and a rebuild', () =>
  inScratch(async (directory) => {
    const ended = [{ ...sampleClaim('01'), sequence: 2, live: false }]
    await withStore({ directory, compactBytesPerSecond: 1 }, async (store) => {
      await store.put(MANY)
      await store.put(MANY.map(({ key }) => ({ key, claims: ended })))
      await store.collect(GONE.map((key) => ({ key, claims: ended })))
      await store.compactNow()
      await store.delete(KEPT.map(({ key }) => key))
      await store.compactNow()
      assert.ok((await segmentNames(directory)).length <= 3, 'of five segments')
      for (const key of GONE) assert.equal((await store.known(key))?.claims, ended)
    })
    await withStore({ directory, rebuild: true }, async (store) => {
      assert.is(store.usage().blocks, 0)
      for (const key of GONE)
        assert.equal(await store.known(key), { key, held: false, replicas: 3, claims: ended })
      for (const { key } of KEPT) assert.is(await store.known(key), undefined)
    })
  })
)

compact('a byte freed costs at most one written while there is room', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      const entries = MANY.slice(0, 26)
      await store.put(entries)
      await store.delete(entries.filter((_, i) => i % 3 === 0).map(({ key }) => key))
      const before = await segmentNames(directory)
      await store.compactNow()
      assert.equal(await segmentNames(directory), before, 'two thirds in use are left alone')
    })
  )
)

compact('reads and compaction do not disturb each other', () =>
  inScratch((directory) =>
    withStore({ directory, compactBytesPerSecond: 1 }, async (store) => {
      await store.put(MANY)
      await store.delete(GONE)
      const compacting = store.compactNow()
      for (let i = 0; i < 20; i++) {
        const got = await store.getMany(KEPT.map(({ key }) => key))
        got.forEach((bytes, j) => {
          assert.ok(bytes !== undefined && Buffer.compare(bytes, KEPT[j]?.bytes as Uint8Array) === 0)
        })
      }
      await compacting
    })
  )
)

compact('a damaged copy is not moved but lost, and its neighbours are moved', () =>
  inScratch(async (directory) => {
    const lost: BlockKey[] = []
    const [bad] = KEPT
    await withStore(
      { directory, compactBytesPerSecond: 1, onLost: (key) => lost.push(key) },
      async (store) => {
        await store.put(MANY)
        for (const { path, at } of await placesOf(directory, bad?.key as BlockKey)) await flip(path, at)
        await store.delete(GONE)
        await store.compactNow()
        assert.equal(lost, [bad?.key])
        for (const { key, bytes } of KEPT.slice(1)) assert.equal(await store.get(key), bytes)
      }
    )
  })
)

compact('a deletion outlives the segment it was written to, as long as what it deletes lies in another', () =>
  inScratch(async (directory) => {
    const [gone, ...rest] = MANY.slice(0, 13) as [(typeof MANY)[0], ...typeof MANY]
    await withStore({ directory, compactBytesPerSecond: 1 }, async (store) => {
      for (const one of [gone, ...rest]) await store.put([one])
      const others = Array.from({ length: 26 }, (_, i) => entry(1000 + i, 300_000))
      for (const one of others.slice(0, 3)) await store.put([one])
      await store.delete([gone.key])
      for (const one of others.slice(3)) await store.put([one])
      const before = await segmentNames(directory)
      await store.delete(others.map(({ key }) => key))
      await store.compactNow()
      const after = await segmentNames(directory)
      assert.ok(after.includes(before[0] as string), 'where the block lies')
      assert.not(after.includes(before[1] as string), 'where it was deleted')
    })
    await withStore({ directory, rebuild: true }, async (store) => {
      assert.is(await store.stat(gone.key), undefined)
      assert.is(store.usage().blocks, rest.length)
    })
  })
)

compact('what was deleted stays deleted through compactions and rebuilds in turn', () =>
  inScratch(async (directory) => {
    for (let round = 0; round < 4; round++) {
      await withStore({ directory, rebuild: round % 2 === 1 }, async (store) => {
        for (const key of GONE) assert.is(await store.stat(key), undefined)
        await store.put(Array.from({ length: 20 }, (_, i) => entry(1000 + i, 250_000)))
        if (round === 0) await store.put(MANY)
        await store.delete([...GONE, sampleBlock(1000 + round, 250_000).key])
        await store.compactNow()
      })
    }
  })
)

compact.run()
