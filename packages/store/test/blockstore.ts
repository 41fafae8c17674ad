import { cidOf } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { blockstoreOf } from '../src/blockstore.ts'
import { memoryStore } from '../src/memory.ts'
import { inScratch, withStore } from './scratch.ts'

const blockstore = suite('blockstoreOf')

const BYTES = Array.from({ length: 50 }, (_, i) => Uint8Array.of(i))

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

blockstore('blocks put one way come back every way, whatever their codec', () =>
  inScratch((directory) =>
    withStore({ directory }, async (disk) => {
      for (const store of [disk, memoryStore({ capacity: 1e6 })]) {
        const blocks = blockstoreOf(store)
        const pairs = BYTES.map((bytes) => ({ cid: cidOf(bytes, { codec: 'dag-pb' }), bytes: [bytes] }))
        const cids = await all(blocks.putMany(pairs))
        assert.equal(
          cids.map(String),
          pairs.map(({ cid }) => String(cid))
        )
        const got = await all(blocks.getMany(cids))
        for (const [i, { bytes }] of got.entries()) assert.equal(await all(bytes), [BYTES[i]])
        assert.is((await all(blocks.getAll())).length, BYTES.length)
        assert.equal(await all(blocks.get(cidOf(BYTES[3] as Uint8Array))), [BYTES[3]])
        await all(blocks.deleteMany(cids.slice(1)))
        assert.is(await blocks.has(cids[0] as (typeof cids)[0]), true)
        assert.is(await blocks.has(cids[1] as (typeof cids)[0]), false)
      }
    })
  )
)

blockstore('what is missing is the error that Helia looks for', async () => {
  const blocks = blockstoreOf(memoryStore({ capacity: 1e6 }))
  const error = await all(blocks.get(cidOf(Uint8Array.of(1)))).catch((cause) => cause)
  assert.is(error.name, 'NotFoundError')
})

blockstore('a put that fails among many is told in its turn', async () => {
  const blocks = blockstoreOf(memoryStore({ capacity: 1e6 }))
  const [a, b] = BYTES as [Uint8Array, Uint8Array]
  const pairs = [
    { cid: cidOf(a), bytes: a },
    { cid: cidOf(b), bytes: a }
  ]
  const puts = blocks.putMany(pairs)
  assert.is(String((await puts.next()).value), String(cidOf(a)))
  const error = await puts.next().catch((cause) => cause)
  assert.is(error.code, 'BLOCK_CORRUPT')
})

blockstore.run()
