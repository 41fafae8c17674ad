import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleClaim } from '../src/contract.ts'
import { damage, entry, flip, inScratch, segmentNames, withStore } from './scratch.ts'

const reader = suite('Reader')

reader('a damaged copy asked for many times at once is lost once', () =>
  inScratch(async (directory) => {
    const lost: BlockKey[] = []
    await withStore({ directory, onLost: (key) => lost.push(key) }, async (store) => {
      await store.put([entry(1, 50_000), entry(2, 50_000)])
      await damage(directory, entry(1, 50_000).key)
      const got = await Promise.all(Array.from({ length: 10 }, () => store.get(entry(1, 50_000).key)))
      assert.equal(got, new Array(10).fill(undefined))
      assert.equal(lost, [entry(1, 50_000).key])
      assert.is(store.usage().blocks, 1)
    })
    await withStore({ directory, rebuild: true }, async (store) => {
      assert.is(await store.stat(entry(1, 50_000).key), undefined, 'a rebuild does not bring it back')
    })
  })
)

reader('a block whose proof is damaged is lost: nobody could show why it is kept', () =>
  inScratch(async (directory) => {
    const lost: BlockKey[] = []
    const proof = new Uint8Array(500).fill(0xc5)
    await withStore({ directory, onLost: (key) => lost.push(key) }, async (store) => {
      await store.put([{ ...entry(1), claims: [sampleClaim('01', { proof })] }, entry(2)])
      const path = join(directory, (await segmentNames(directory))[0] as string)
      await flip(path, (await readFile(path)).indexOf(proof) + 100)
      assert.is(await store.stat(entry(1).key), undefined)
      assert.equal(lost, [entry(1).key])
      assert.ok(await store.stat(entry(2).key))
    })
  })
)

reader("what it returns is the reader's own", () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      await store.put([entry(1, 1000)])
      const [one, two] = await store.getMany([entry(1, 1000).key, entry(1, 1000).key])
      one?.fill(0)
      assert.equal(two, entry(1, 1000).bytes)
      assert.not(Buffer.isBuffer(two), "a Buffer's slice is no copy")
    })
  )
)

reader.run()
