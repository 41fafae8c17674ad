import { appendFile, cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, pick, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { indexDirectory } from '../src/recover.ts'
import { entry, flip, inScratch, placesOf, segmentNames, withStore } from './scratch.ts'

const recover = suite('recover')

const ENTRIES = Array.from({ length: 30 }, (_, i) => entry(i, 40_000))

async function filled(directory: string): Promise<void> {
  await withStore({ directory }, async (store) => {
    for (const one of ENTRIES) await store.put([one])
    await store.delete([ENTRIES[0]?.key as BlockKey])
  })
}

async function all(
  directory: string,
  missing: readonly BlockKey[] = [ENTRIES[0]?.key as BlockKey]
): Promise<void> {
  await withStore({ directory }, async (store) => {
    for (const { key, bytes } of ENTRIES) {
      assert.equal(await store.get(key), missing.includes(key) ? undefined : bytes)
    }
    assert.is(store.usage().blocks, ENTRIES.length - missing.length)
  })
}

recover('without an index, everything is there again and nothing that was deleted', () =>
  inScratch(async (directory) => {
    await filled(directory)
    await rm(indexDirectory(directory), { recursive: true })
    await all(directory)
  })
)

recover('an index that is older than the segments catches up', () =>
  inScratch(async (directory) => {
    const [store, old] = [join(directory, 'store'), join(directory, 'old')]
    await withStore({ directory: store }, (opened) => opened.put([ENTRIES[5] as (typeof ENTRIES)[0]]))
    await cp(indexDirectory(store), old, { recursive: true })
    await filled(store)
    await rm(indexDirectory(store), { recursive: true })
    await cp(old, indexDirectory(store), { recursive: true })
    await all(store)
  })
)

recover('an index that is newer than the segments is made again from them', () =>
  inScratch(async (directory) => {
    const [store, old] = [join(directory, 'store'), join(directory, 'old')]
    await filled(store)
    await cp(store, old, { recursive: true })
    await withStore({ directory: store }, (opened) => opened.put([entry(99, 5000)]))
    for (const name of await segmentNames(old)) await cp(join(old, name), join(store, name))
    await all(store)
  })
)

recover('an index of another store is not believed', () =>
  inScratch(async (directory) => {
    const [store, other] = [join(directory, 'store'), join(directory, 'other')]
    await filled(store)
    await withStore({ directory: other }, (opened) => opened.put([entry(99, 5000)]))
    await rm(indexDirectory(store), { recursive: true })
    await cp(indexDirectory(other), indexDirectory(store), { recursive: true })
    await all(store)
  })
)

recover('a torn tail is cut, and everything before it kept', () =>
  inScratch(async (directory) => {
    await filled(directory)
    const path = join(directory, (await segmentNames(directory)).at(-1) as string)
    await appendFile(path, Buffer.alloc(10_000, 0xab))
    await all(directory)
    await appendFile(path, (await readFile(path)).subarray(4096, 20_000))
    await rm(indexDirectory(directory), { recursive: true })
    await all(directory)
  })
)

recover('a group that was cut short was never acknowledged, and leaves nothing', () =>
  inScratch(async (directory) => {
    await withStore({ directory }, async (store) => {
      await store.put([entry(1, 40_000)])
      await store.put([entry(2, 40_000)])
    })
    const path = join(directory, (await segmentNames(directory)).at(-1) as string)
    await truncate(path, (await readFile(path)).length - 4096)
    await rm(indexDirectory(directory), { recursive: true })
    await withStore({ directory }, async (store) => {
      assert.equal(await store.get(entry(1, 40_000).key), entry(1, 40_000).bytes)
      assert.is(await store.stat(entry(2, 40_000).key), undefined)
      assert.is(store.usage().blocks, 1)
    })
  })
)

recover('rot in the middle costs the block it hit, in a rebuild too', () =>
  inScratch(async (directory) => {
    await filled(directory)
    const hurt = ENTRIES[7]?.key as BlockKey
    for (const { path, at } of await placesOf(directory, hurt)) await flip(path, at + 1000)
    await rm(indexDirectory(directory), { recursive: true })
    await all(directory, [ENTRIES[0]?.key as BlockKey, hurt])
  })
)

recover('rot in a record costs what its group held, and no group after it', () =>
  inScratch(async (directory) => {
    await filled(directory)
    const path = join(directory, (await segmentNames(directory))[0] as string)
    const bytes = await readFile(path)
    let at = bytes.indexOf('CAIRNREC')
    for (let i = 0; i < 7; i++) at = bytes.indexOf('CAIRNREC', at + 1) // the eighth group: block 7
    await flip(path, at + 60)
    await rm(indexDirectory(directory), { recursive: true })
    await all(directory, [ENTRIES[0]?.key as BlockKey, ENTRIES[7]?.key as BlockKey])
  })
)

recover('any bit of the index may flip: nothing wrong is served, and the next opening mends it', () =>
  inScratch(async (directory) => {
    const store = join(directory, 'store')
    await filled(store)
    const random = seeded(5)
    for (let round = 0; round < 15; round++) {
      const index = indexDirectory(store)
      const names = (await (await import('node:fs/promises')).readdir(index)).filter(
        (name) => name !== 'LOCK'
      )
      const name = names[pick(random, names.length)] as string
      const bytes = await readFile(join(index, name))
      if (bytes.length === 0) continue
      const at = pick(random, bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << pick(random, 8))
      await writeFile(join(index, name), bytes)
      await withStore({ directory: store }, async (opened) => {
        for (const { key, bytes } of ENTRIES.slice(1)) {
          const got = await opened.get(key).catch(() => undefined) // a damaged index says so
          if (got !== undefined) assert.equal(got, bytes)
        }
      })
      await withStore({ directory: store, rebuild: true }, async (opened) => {
        assert.is(opened.usage().blocks, ENTRIES.length - 1)
      })
    }
    await all(store)
  })
)

recover('progress is told', () =>
  inScratch(async (directory) => {
    await filled(directory)
    const seen: number[] = []
    const onProgress = ({ blocks, bytes, total }: { blocks: number; bytes: number; total: number }): void => {
      assert.ok(bytes <= total)
      seen.push(blocks)
    }
    await withStore({ directory, rebuild: true, onProgress }, async () => undefined)
    assert.ok(seen.length > 0 && (seen.at(-1) ?? 0) >= ENTRIES.length - 3)
  })
)

recover.run()
