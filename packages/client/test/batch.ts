import { cidOf, readCar } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  addBlock,
  BATCH_BLOCKS,
  BATCH_BYTES,
  carBody,
  createBuffers,
  isFull,
  newBatch
} from '../src/batch.ts'

const batches = suite('batch')

/** Other bytes for each `i`. */
function bytesOf(length: number, i: number): Uint8Array {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(0, i)
  return bytes
}

async function blocksOf(body: Uint8Array): Promise<string[]> {
  const { blocks } = await readCar([body.slice()])
  const cids: string[] = []
  for await (const { cid } of blocks) cids.push(cid.toString()) // each was verified
  return cids
}

batches(
  'a batch is a CAR of its blocks, or of some of them, though the source uses its buffer again',
  async () => {
    const batch = await newBatch(createBuffers())
    const bytes = new Uint8Array(100_000)
    const cids: string[] = []
    for (const [i, hash] of (['sha2-256', 'sha2-512', 'blake3', 'sha2-256'] as const).entries()) {
      const block = { cid: cidOf(bytes.fill(i), { hash }), bytes }
      addBlock(batch, block)
      cids.push(block.cid.toString())
    }
    addBlock(batch, { cid: cidOf(new Uint8Array(0)), bytes: new Uint8Array(0) })
    cids.push(cidOf(new Uint8Array(0)).toString())
    assert.equal(await blocksOf(carBody(batch)), cids)
    assert.equal(await blocksOf(carBody(batch, new Set([cids[1] as string, cids[4] as string]))), [
      cids[1],
      cids[4]
    ])
    assert.is(batch.bytes, 400_000)
  }
)

batches('the largest batch there can be fits its buffer', async () => {
  const batch = await newBatch(createBuffers())
  const small = (i: number) => bytesOf(Math.floor(BATCH_BYTES / BATCH_BLOCKS) - 1, i)
  while (batch.cids.length < BATCH_BLOCKS - 1) {
    const bytes = small(batch.cids.length)
    addBlock(batch, { cid: cidOf(bytes, { hash: 'sha2-512' }), bytes })
  }
  assert.not.ok(isFull(batch))
  const bytes = bytesOf(2 * 1024 * 1024, 0)
  addBlock(batch, { cid: cidOf(bytes, { hash: 'sha2-512' }), bytes })
  assert.ok(isFull(batch))
  assert.is((await blocksOf(carBody(batch))).length, BATCH_BLOCKS)
})

batches('a buffer that was given back is taken again', async () => {
  const buffers = createBuffers()
  const { buffer } = await newBatch(buffers)
  buffers.give(buffer)
  assert.is((await newBatch(buffers)).buffer, buffer)
})

batches.run()
