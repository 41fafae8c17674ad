// limit: 180 s
import { BLOCK_BYTES_MAX, CairnError, concat, pick, seeded } from '@cairn/core'
import { CarReader, CarWriter } from '@ipld/car'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { varintBytes } from '../src/dag-pb.ts'
import { type Block, CAR_ROOTS_MAX, carOf, cidOf, HASHES, type HashName, readCar } from '../src/index.ts'
import { bytesOf, listed, noise, randomBytes, rejects } from './support/dag.ts'

const car = suite('car')

const blockOf = (bytes: Uint8Array, hash: HashName = 'sha2-256'): Block => ({
  cid: cidOf(bytes, { hash }),
  bytes
})
const some = [0, 1, 100, 70_000, 5, 64 * 1024, 1024 * 1024, 3].map((length) => blockOf(noise(length)))
const roots = some.slice(0, 2).map(({ cid }) => cid)

function same(a: readonly Block[], b: readonly Block[]): void {
  assert.equal(
    a.map(({ cid, bytes }) => `${cid} ${bytes.length}`),
    b.map(({ cid, bytes }) => `${cid} ${bytes.length}`)
  )
}

async function read(source: Uint8Array[]): Promise<Block[]> {
  return listed((await readCar(source)).blocks)
}

/** The same bytes in pieces of 1 to `most`. */
function cut(bytes: Uint8Array, most: number, seed = 1): Uint8Array[] {
  const random = seeded(seed)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + pick(random, most)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** Version 2 around a version 1, as the specification draws it. */
function version2(inner: Uint8Array, { padding = 0, index = 7, size = inner.length } = {}): Uint8Array {
  const header = new Uint8Array(40)
  const view = new DataView(header.buffer)
  view.setBigUint64(16, BigInt(51 + padding), true)
  view.setBigUint64(24, BigInt(size), true)
  view.setBigUint64(32, BigInt(51 + padding + size), true)
  const pragma = Buffer.from('0aa16776657273696f6e02', 'hex')
  return concat([pragma, header, new Uint8Array(padding), inner, noise(index)])
}

car('@ipld/car reads what is written', async () => {
  const reader = await CarReader.fromBytes(await bytesOf(carOf(roots, some)))
  assert.equal((await reader.getRoots()).map(String), roots.map(String))
  same(await listed(reader.blocks() as AsyncIterable<Block>), some)
})

car('what @ipld/car writes is read', async () => {
  const { writer, out } = CarWriter.create(roots)
  const written = bytesOf(out)
  for (const block of some) await writer.put(block)
  await writer.close()
  const { roots: found, blocks, version } = await readCar([await written])
  assert.is(version, 1)
  assert.equal(found.map(String), roots.map(String))
  same(await listed(blocks), some)
})

car('the bytes are those that @ipld/car writes', async () => {
  for (const count of [0, 1, 23, 24, 255, 256, CAR_ROOTS_MAX]) {
    const many = Array.from({ length: count }, (_, i) =>
      cidOf(noise(4, i), { hash: i % 2 ? 'sha2-512' : 'sha2-256' })
    )
    const { writer, out } = CarWriter.create(many)
    const theirs = bytesOf(out)
    await writer.close()
    const mine = await bytesOf(carOf(many, []))
    assert.equal(mine, await theirs, `${count} roots`)
    if (mine.length < 64 * 1024) assert.is((await readCar([mine])).roots.length, count)
  }
})

car('blocks of every hash go through in pieces of any size', async () => {
  const blocks = Object.keys(HASHES).flatMap((hash) =>
    [3, 300, 66_000].map((n) => blockOf(noise(n), hash as HashName))
  )
  const whole = await bytesOf(carOf([], blocks))
  for (const most of [1, 2, 7, 100, 5_000, 100_000, whole.length])
    same(await read(cut(whole, most, most)), blocks)
})

car('small blocks are gathered, large ones are not copied', async () => {
  const small = Array.from({ length: 1_000 }, (_, i) => blockOf(noise(100, i)))
  const large = blockOf(noise(100_000))
  const pieces = await listed(carOf([], [...small, large, ...small]))
  assert.ok(pieces.length < 8, `${pieces.length} pieces`)
  assert.ok(pieces.includes(large.bytes))
})

car('sections that are not small go into the memory given for them, the others into none', async () => {
  const blocks = [blockOf(noise(300)), blockOf(noise(66_000)), blockOf(noise(200_000))]
  const whole = await bytesOf(carOf([], blocks))
  for (const most of [7, 5_000, whole.length]) {
    const given: Uint8Array[] = []
    const memory = (length: number): Uint8Array => {
      given.push(new Uint8Array(length).fill(1))
      return given.at(-1) as Uint8Array
    }
    const found = await listed((await readCar(cut(whole, most, most), { memory })).blocks)
    same(found, blocks)
    assert.is(given.length, 2, 'none for the small one')
    assert.is(found[1]?.bytes.buffer, given[0]?.buffer)
    assert.is(found[2]?.bytes.buffer, given[1]?.buffer)
  }
})

car('blocks of a source that overwrites its pieces are no views of them', async () => {
  const blocks = [blockOf(noise(300)), blockOf(noise(66_000)), blockOf(noise(200_000))]
  const whole = await bytesOf(carOf([], blocks))
  const piece = new Uint8Array(100_000)
  async function* overwriting(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < whole.length; at += piece.length) {
      piece.fill(0)
      piece.set(whole.subarray(at, at + piece.length))
      yield piece.subarray(0, whole.length - at)
    }
  }
  same(await listed((await readCar(overwriting(), { reused: true })).blocks), blocks)
})

car('version 2 is read by its inner file, whatever the index says', async () => {
  const inner = await bytesOf(carOf(roots, some))
  for (const padding of [0, 1, 1_000]) {
    const { version, roots: found, blocks } = await readCar(cut(version2(inner, { padding }), 10_000))
    assert.is(version, 2)
    assert.is(found.length, 2)
    same(await listed(blocks), some)
  }
})

car('a version 2 whose header points nowhere is refused', async () => {
  const inner = await bytesOf(carOf(roots, some))
  const bad = version2(inner)
  bad[11 + 16] = 5 // data that begins inside the header
  await rejects(() => read([bad]), 'BAD_CAR', /points nowhere/)
  await rejects(() => read([version2(inner, { size: 0 })]), 'BAD_CAR', /points nowhere/)
  await rejects(() => read([version2(inner, { size: inner.length - 1, index: 0 })]), 'BAD_CAR', /cut short/)
  await rejects(() => read([version2(inner, { size: inner.length + 100, index: 0 })]), 'BAD_CAR')
})

car('a file cut short anywhere but between two blocks is refused', async () => {
  const blocks = [blockOf(noise(3)), blockOf(noise(40))]
  const whole = await bytesOf(carOf(roots, blocks))
  const ends = new Set<number>()
  for (const upTo of [0, 1, 2]) ends.add((await bytesOf(carOf(roots, blocks.slice(0, upTo)))).length)
  for (let length = 0; length < whole.length; length++) {
    if (ends.has(length))
      same(await read([whole.subarray(0, length)]), blocks.slice(0, [...ends].indexOf(length)))
    else await rejects(() => read([whole.subarray(0, length)]), 'BAD_CAR')
  }
})

car('one changed bit in a block is found, and the blocks before it were given', async () => {
  const whole = await bytesOf(carOf([], some))
  whole[whole.length - 1] = (whole.at(-1) as number) ^ 4
  const found: Block[] = []
  await rejects(async () => {
    for await (const block of (await readCar([whole])).blocks) found.push(block)
  }, 'BLOCK_CORRUPT')
  same(found, some.slice(0, -1))
})

car('who verifies in its place is shown every block, and may say no', async () => {
  const whole = await bytesOf(carOf([], some))
  whole[whole.length - 1] = (whole.at(-1) as number) ^ 4
  const shown: string[] = []
  const { blocks } = await readCar([whole], { verify: (cid) => shown.push(cid.toString()) })
  assert.is((await listed(blocks)).length, some.length)
  assert.equal(
    shown,
    some.map(({ cid }) => cid.toString())
  )
  const verify = (): never => {
    throw new CairnError('BLOCK_CORRUPT', 'no')
  }
  const refused = await readCar([whole], { verify })
  await rejects(() => listed(refused.blocks), 'BLOCK_CORRUPT')
})

car('hostile lengths are refused before anything is read for them', async () => {
  const header = await bytesOf(carOf([], []))
  const after = (...bytes: number[]) => concat([header, Uint8Array.from(bytes)])
  await rejects(() => read([after(...varintBytes(BLOCK_BYTES_MAX + 129))]), 'BAD_CAR', /limit/)
  await rejects(() => read([after(0xff, 0xff, 0xff, 0xff, 0xff, 0xff)]), 'BAD_CAR', /no section has/)
  await rejects(() => read([after(0)]), 'BAD_CAR', /no CID/)
  await rejects(() => read([concat([varintBytes(64 * 1024 + 1)])]), 'BAD_CAR', /header of 65537/)
  await rejects(() => read([]), 'BAD_CAR', /cut short/)
  const roots65536 = concat([Buffer.from('a265726f6f747399ffff', 'hex')])
  await rejects(() => read([concat([varintBytes(roots65536.length), roots65536])]), 'BAD_CAR', /65535 roots/)
  const large = blockOf(new Uint8Array(BLOCK_BYTES_MAX + 1))
  await rejects(async () => read([await bytesOf(carOf([], [large]))]), 'BLOCK_TOO_LARGE')
  const identity = { cid: CID.createV1(0x55, Digest.create(0, noise(4))), bytes: noise(4) }
  await rejects(async () => read([await bytesOf(carOf([], [identity]))]), 'BAD_CID')
})

car('the source is closed when the reader leaves early or fails', async () => {
  const whole = await bytesOf(carOf(roots, some))
  let closed = 0
  async function* source(bytes: Uint8Array) {
    try {
      yield* cut(bytes, 1_000)
    } finally {
      closed++
    }
  }
  for await (const block of (await readCar(source(whole))).blocks) {
    assert.ok(block)
    break
  }
  assert.is(closed, 1)
  await rejects(() => readCar(source(noise(50_000))), 'BAD_CAR')
  assert.is(closed, 2)
})

car('any mutation gives the same blocks, fewer, or an error of ours', async () => {
  const random = seeded(5)
  const blocks = Array.from({ length: 6 }, (_, i) => blockOf(randomBytes(random, 40 * i)))
  const one = await bytesOf(carOf(roots, blocks))
  const seeds = [one, version2(one)]
  const names = new Set(blocks.map(({ cid }) => String(cid)))
  const change = fc.tuple(fc.nat(2_000), fc.nat(255), fc.constantFrom('set', 'insert', 'delete', 'cut'))
  await fc.assert(
    fc.asyncProperty(fc.nat(1), fc.array(change, { minLength: 1, maxLength: 4 }), async (which, changes) => {
      let bytes = [...(seeds[which] as Uint8Array)]
      for (const [where, value, kind] of changes) {
        const at = where % bytes.length
        if (kind === 'set') bytes[at] = value
        else if (kind === 'insert') bytes.splice(at, 0, value)
        else if (kind === 'delete') bytes.splice(at, 1 + (value & 7))
        else bytes = bytes.slice(0, at + 1)
      }
      try {
        for (const { cid } of await read([Uint8Array.from(bytes)]))
          assert.ok(names.has(String(cid)) || cid.code !== 0x55)
      } catch (error) {
        if (!CairnError.is(error)) throw error
      }
    }),
    { numRuns: 5_000 }
  )
})

car('256 MiB pass in a small part of their size', async () => {
  const piece = noise(1024 * 1024)
  const { cid } = blockOf(piece)
  async function* blocks() {
    for (let i = 0; i < 256; i++) yield { cid, bytes: piece.slice() }
  }
  const used = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  async function* crumbs() {
    for await (const piece of carOf([cid], blocks())) yield* cut(piece, 200_000)
  }
  const before = used()
  let peak = 0
  let count = 0
  for await (const block of (await readCar(crumbs())).blocks) {
    assert.is(block.bytes.length, piece.length)
    peak = Math.max(peak, used() - before)
    count++
  }
  assert.is(count, 256)
  assert.ok(peak < 96 * 1024 * 1024, `held ${Math.round(peak / 1024 / 1024)} MiB`)
})

car.run()
