// limit: 180 s
import { seeded } from '@cairn/core'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { chunks } from '../src/file.ts'
import { CHUNK_BYTES, cidOf, fileBlocks } from '../src/index.ts'
import { bytesOf, collect, listed, noise, oracle, randomBytes } from './support/dag.ts'

const file = suite('fileBlocks')
const MIB = 1024 * 1024

file('has the CID and the sizes of the importer at every edge of a chunk', async () => {
  for (const length of [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5]) {
    const content = noise(length)
    const { root, order } = await collect(fileBlocks([content]))
    const theirs = await oracle([{ content }], { wrap: false })
    assert.is(String(root.cid), theirs.cid, `${length} bytes`)
    assert.is(root.dagSize, theirs.dagSize)
    assert.is(root.size, length)
    assert.ok(order.at(-1)?.equals(root.cid), 'the root comes last')
  }
})

file('has the CID of the importer for trees of several levels', async () => {
  for (const width of [2, 3, 4]) {
    for (let count = 1; count <= width ** 3 + 2; count++) {
      const content = noise(10 * count - 3, count)
      const options = { chunkBytes: 10, linksPerNode: width }
      const { root } = await collect(fileBlocks([content], options))
      assert.is(
        String(root.cid),
        (await oracle([{ content }], { wrap: false, ...options })).cid,
        `${count} of ${width}`
      )
    }
  }
})

file('has the CID of the importer past 1,024 links', async () => {
  for (const count of [1023, 1024, 1025, 2049]) {
    const content = noise(16 * count)
    const { root } = await collect(fileBlocks([content], { chunkBytes: 16 }))
    assert.is(
      String(root.cid),
      (await oracle([{ content }], { wrap: false, chunkBytes: 16 })).cid,
      `${count} leaves`
    )
  }
})

file('a file of one chunk is its leaf', async () => {
  const content = noise(CHUNK_BYTES)
  const { root } = await collect(fileBlocks([content]))
  assert.ok(root.cid.equals(cidOf(content)))
})

file('every block is named by the hash that was asked for', async () => {
  for (const hash of ['sha2-512', 'blake3'] as const) {
    const { order } = await collect(fileBlocks([noise(100)], { hash, chunkBytes: 10, linksPerNode: 3 }))
    assert.is(order.length, 10 + 4 + 2 + 1)
    for (const cid of order) assert.is(cid.multihash.code, { 'sha2-512': 0x13, blake3: 0x1e }[hash])
  }
})

file('chunks do not depend on how the source is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(40), { maxLength: 30 }),
      fc.integer({ min: 1, max: 25 }),
      async (sizes, size) => {
        const random = seeded(sizes.length)
        const pieces = sizes.map((length) => randomBytes(random, length))
        const whole = Buffer.concat(pieces)
        const cut = await listed(chunks(size)(pieces))
        assert.equal(Buffer.concat(cut), whole)
        assert.ok(cut.slice(0, -1).every(({ length }) => length === size))
        assert.is(cut.length, Math.max(1, Math.ceil(whole.length / size)))
      }
    )
  )
})

file('a whole chunk is not copied', async () => {
  const piece = noise(64)
  for await (const chunk of chunks(16)([piece])) assert.is(chunk.buffer, piece.buffer)
})

file('an error of the source ends it', async () => {
  async function* broken() {
    yield noise(CHUNK_BYTES)
    throw new Error('unplugged')
  }
  try {
    await collect(fileBlocks(broken()))
    assert.unreachable()
  } catch (error) {
    assert.is((error as Error).message, 'unplugged')
  }
})

file('options that make no blocks are refused', () => {
  for (const chunkBytes of [0, -1, Number.NaN, 2 * MIB + 1]) {
    assert.throws(
      () => fileBlocks([], { chunkBytes }),
      (error: unknown) => error instanceof RangeError
    )
  }
  assert.throws(
    () => fileBlocks([], { linksPerNode: 1 }),
    (error: unknown) => error instanceof RangeError
  )
})

file('256 MiB pass in a small part of their size', async () => {
  const piece = noise(64 * 1024)
  async function* source() {
    // Fresh pieces, as a disk or a network gives them.
    for (let i = 0; i < 4096; i++) yield piece.slice()
  }
  const used = () => {
    const { heapUsed, external, arrayBuffers } = process.memoryUsage()
    return heapUsed + Math.max(external, arrayBuffers)
  }
  const before = used()
  let peak = 0
  let blocks = 0
  const source256 = fileBlocks(source())
  for (let next = await source256.next(); !next.done; next = await source256.next()) {
    peak = Math.max(peak, used() - before)
    blocks++
  }
  assert.is(blocks, 257)
  assert.ok(peak < 96 * MIB, `held ${Math.round(peak / MIB)} MiB`)
})

file('the blocks hold the file, in order', async () => {
  const content = noise(1000)
  const { blocks, order } = await collect(fileBlocks([content], { chunkBytes: 64, linksPerNode: 4 }))
  const leaves = order.filter(({ code }) => code === 0x55)
  async function* read() {
    for (const cid of leaves) yield await blocks.get(cid)
  }
  assert.equal(await bytesOf(read()), Buffer.from(content))
})

file.run()
