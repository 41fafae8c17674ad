import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Files } from '../src/files.ts'
import { type Walk, walk } from '../src/walk.ts'
import { entry, flip, inScratch, segmentNames, withStore } from './scratch.ts'

const walks = suite('walk')

async function keysIn(options: Walk): Promise<string[]> {
  const keys: string[] = []
  for await (const { record } of walk(options)) keys.push(...record.keys)
  return keys
}

async function inSegment(
  sizes: readonly number[],
  work: (options: Walk, path: string) => Promise<void>
): Promise<void> {
  await inScratch(async (directory) => {
    const nonce = await withStore({ directory }, async (store) => {
      for (const [i, size] of sizes.entries()) await store.put([entry(i, size)])
      return Buffer.from(store.identity.nonce, 'hex')
    })
    const path = join(directory, (await segmentNames(directory))[0] as string)
    const files = await Files.open(directory)
    try {
      await work({ files, nonce, segment: 1, from: 4096, size: (await readFile(path)).length }, path)
    } finally {
      await files.close()
    }
  })
}

const SIZES = [10, 200_000, 5, 70_000, 30_000]
const KEYS = SIZES.map((size, i) => entry(i, size).key)

walks('every group is met, whatever its size', () =>
  inSegment(SIZES, async (options) => assert.equal(await keysIn(options), KEYS))
)

walks('a damaged record hides its own group only', () =>
  inSegment(SIZES, async (options, path) => {
    const bytes = await readFile(path)
    const second = bytes.indexOf('CAIRNREC', bytes.indexOf('CAIRNREC') + 1)
    await flip(path, second + 100)
    assert.equal(await keysIn(options), KEYS.toSpliced(1, 1))
  })
)

walks('of another store nothing is met', () =>
  inSegment(SIZES, async (options) => assert.equal(await keysIn({ ...options, nonce: Buffer.alloc(16) }), []))
)

walks('records inside blocks do not count: a stranger may send any bytes', () =>
  inSegment([10, 50_000], async (options, path) => {
    const forged = await readFile(path)
    await inScratch(async (directory) => {
      // The bytes of a whole segment, put as a block, at a page boundary as large blocks are.
      const { sampleKey } = { sampleKey: await import('@cairn/blocks') }
      const key = sampleKey.keyOf(sampleKey.cidOf(forged))
      await withStore({ directory }, (store) =>
        store.put([{ key, bytes: new Uint8Array(forged), claims: [] }])
      )
      await withStore({ directory, rebuild: true }, async (store) => {
        assert.is(store.usage().blocks, 1)
        assert.ok(await store.get(key))
      })
    })
    assert.ok(options.size > 0)
  })
)

walks('a segment that is gone is an error, not an end', () =>
  inSegment([10], async (options) => {
    const error = await keysIn({ ...options, segment: 9 }).catch((cause) => cause)
    assert.ok(CairnError.is(error))
  })
)

walks.run()
