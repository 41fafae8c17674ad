import { encode, prepare } from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hashName } from '../src/hamt.ts'
import {
  type Block,
  cidOf,
  fileBlocks,
  readDirectory,
  readFile,
  resolvePath,
  stat,
  treeBlocks
} from '../src/index.ts'
import { encodeDirectory, encodeFile, encodeShard } from '../src/unixfs.ts'
import { Blocks, bytesOf, collect, listed, noise, rejects } from './support/dag.ts'

const read = suite('read')
const node = (bytes: Uint8Array): Block => ({ cid: cidOf(bytes, { codec: 'dag-pb' }), bytes })
const leaf = (bytes: Uint8Array): Block => ({ cid: cidOf(bytes), bytes })

read('any range of a file is that range, and no leaf outside it is asked for', async () => {
  const content = noise(1_000)
  const { root, blocks } = await collect(fileBlocks([content], { chunkBytes: 10, linksPerNode: 3 }))
  await fc.assert(
    fc.asyncProperty(fc.nat(1_100), fc.nat(1_100), async (offset, length) => {
      blocks.asked.length = 0
      const bytes = await bytesOf(readFile(root.cid, blocks.get, { offset, length }))
      assert.equal(bytes, Buffer.from(content.subarray(offset, offset + length)))
      const leaves = blocks.asked.filter(({ code }) => code === 0x55).length
      const first = Math.floor(offset / 10)
      const last = Math.ceil(Math.min(1_000, offset + length) / 10)
      assert.is(leaves, bytes.length === 0 ? 0 : last - first)
    })
  )
})

read('files of one leaf and empty files are read', async () => {
  for (const length of [0, 1, 50]) {
    const { root, blocks } = await collect(fileBlocks([noise(length)]))
    assert.equal(await bytesOf(readFile(root.cid, blocks.get)), Buffer.from(noise(length)))
    assert.equal(
      await bytesOf(readFile(root.cid, blocks.get, { offset: 1, length: 3 })),
      Buffer.from(noise(length).subarray(1, 4))
    )
  }
})

read('files of other writers are read: bytes in nodes, version 0', async () => {
  const blocks = new Blocks()
  const part = (text: string) => {
    const data = new TextEncoder().encode(text)
    return node(encode({ Data: new UnixFS({ type: 'file', data }).marshal(), Links: [] }))
  }
  const [a, b] = [part('hello '), part('world')] as const
  const parent = new UnixFS({ type: 'file', data: new TextEncoder().encode('> '), blockSizes: [6n, 5n] })
  const root = node(
    encode(
      prepare({
        Data: parent.marshal(),
        Links: [
          { Hash: a.cid.toV0(), Tsize: 1 },
          { Hash: b.cid, Tsize: 1 }
        ]
      })
    )
  )
  for (const block of [a, b, root]) blocks.add(block)
  assert.is(Buffer.from(await bytesOf(readFile(root.cid.toV0(), blocks.get))).toString(), '> hello world')
  const ranged = await bytesOf(readFile(root.cid, blocks.get, { offset: 1, length: 8 }))
  assert.is(Buffer.from(ranged).toString(), ' hello w')
})

read('a slow reader has no more asked for than the read-ahead', async () => {
  const { root, blocks } = await collect(fileBlocks([noise(3_000)], { chunkBytes: 10 }))
  let delivered = 0
  for await (const piece of readFile(root.cid, blocks.get, { readAhead: 16 })) {
    delivered++
    assert.ok(blocks.asked.length <= 1 + delivered + 16, `${blocks.asked.length} asked for at ${delivered}`)
    assert.is(piece.length, 10)
  }
  assert.is(blocks.asked.length, 301)
})

read('blocks are asked for ahead, and arrive in order whatever order they come in', async () => {
  const content = noise(640)
  const { root, blocks } = await collect(fileBlocks([content], { chunkBytes: 10 }))
  let flying = 0
  let most = 0
  const waiting: (() => void)[] = []
  const getBlock = async (cid: CID) => {
    most = Math.max(most, ++flying)
    if (cid.code === 0x55) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
        // The last asked for is answered first, once nobody asks any more.
        setImmediate(() => waiting.pop()?.())
      })
    }
    flying--
    return blocks.get(cid)
  }
  assert.equal(await bytesOf(readFile(root.cid, getBlock, { readAhead: 8 })), Buffer.from(content))
  assert.ok(most >= 8, `${most} at once`)
})

read('an error arrives in its turn, after the bytes before it', async () => {
  const { root, blocks, order } = await collect(fileBlocks([noise(100)], { chunkBytes: 10 }))
  blocks.all.delete([...blocks.all.keys()][4] as string)
  let bytes = 0
  await rejects(async () => {
    for await (const piece of readFile(root.cid, blocks.get)) bytes += piece.length
  }, 'NO_PROVIDER')
  assert.is(bytes, 40)
  assert.is(order.length, 11)
})

read('a file whose sizes lie is refused', async () => {
  const blocks = new Blocks()
  const part = leaf(noise(10))
  blocks.add(part)
  const over = (claim: number) => {
    const link = { name: '', cid: part.cid.bytes, size: 10 }
    return blocks.add(node(encodeFile([link], [claim])))
  }
  assert.is((await bytesOf(readFile(over(10), blocks.get))).length, 10)
  for (const claim of [9, 11, 2 ** 50])
    await rejects(() => bytesOf(readFile(over(claim), blocks.get)), 'BAD_DAG', /claims/)
  const twice = { name: '', cid: over(10).bytes, size: 10 }
  await rejects(
    () => bytesOf(readFile(blocks.add(node(encodeFile([twice], [11]))), blocks.get)),
    'BAD_DAG',
    /claims/
  )
})

read('a file of more than 64 levels is refused; parts without bytes are never asked for', async () => {
  const blocks = new Blocks()
  const part = leaf(noise(1))
  let cid = blocks.add(part)
  for (let level = 0; level < 64; level++)
    cid = blocks.add(node(encodeFile([{ name: '', cid: cid.bytes, size: 1 }], [1])))
  assert.is((await bytesOf(readFile(cid, blocks.get))).length, 1)
  cid = blocks.add(node(encodeFile([{ name: '', cid: cid.bytes, size: 1 }], [1])))
  await rejects(() => bytesOf(readFile(cid, blocks.get)), 'BAD_DAG', /levels/)

  let bomb = blocks.add(leaf(new Uint8Array(0)))
  for (let level = 0; level < 60; level++) {
    const links = Array.from({ length: 1_000 }, () => ({ name: '', cid: bomb.bytes, size: 0 }))
    bomb = blocks.add(
      node(
        encodeFile(
          links,
          links.map(() => 0)
        )
      )
    )
  }
  blocks.asked.length = 0
  assert.is((await bytesOf(readFile(bomb, blocks.get))).length, 0)
  assert.is(blocks.asked.length, 1)
})

read('a file of 10^15 bytes made of a few blocks gives its last bytes at once', async () => {
  const blocks = new Blocks()
  let cid = blocks.add(leaf(noise(1_000)))
  let size = 1_000
  for (let level = 0; level < 4; level++) {
    const { bytes } = cid
    const sizes = Array.from({ length: 1_000 }, () => size)
    cid = blocks.add(
      node(
        encodeFile(
          sizes.map((size) => ({ name: '', cid: bytes, size })),
          sizes
        )
      )
    )
    size *= 1_000
  }
  assert.is((await stat(cid, blocks.get)).size, 1e15)
  const bytes = await bytesOf(readFile(cid, blocks.get, { offset: 1e15 - 1_500 }))
  assert.equal(bytes, Buffer.concat([noise(1_000).subarray(500), noise(1_000)]))
  assert.ok(blocks.asked.length < 10)
})

read('directories, symlinks and other codecs are no files', async () => {
  const { root, blocks } = await collect(treeBlocks([{ type: 'symlink', path: ['x'], target: 'y' }]))
  await rejects(() => bytesOf(readFile(root.cid, blocks.get)), 'BAD_DAG', /is a directory, not a file/)
  const link = await resolvePath(root.cid, 'x', blocks.get)
  await rejects(() => bytesOf(readFile(link, blocks.get)), 'BAD_DAG', /is a symlink, not a file/)
  await rejects(() => listed(readDirectory(link, blocks.get)), 'BAD_DAG', /is a symlink, not a directory/)
  const cbor = CID.createV1(0x71, root.cid.multihash)
  await rejects(() => bytesOf(readFile(cbor, blocks.get)), 'BAD_DAG', /0x71/)
  await rejects(() => stat(CID.createV1(0x55, Digest.create(0, noise(4))), blocks.get), 'BAD_CID')
})

read('entries of directories of every size are listed and found', async () => {
  for (const count of [0, 1, 100, 5_000]) {
    const names = Array.from({ length: count }, (_, i) => `ent✓ry-${i}`)
    const { root, blocks } = await collect(
      treeBlocks(names.map((name, i) => ({ type: 'file', path: [name], content: [noise(8, i)] })))
    )
    const entries = await listed(readDirectory(root.cid, blocks.get))
    assert.equal(entries.map(({ name }) => name).sort(), names.toSorted())
    for (const entry of entries.slice(0, 300)) {
      assert.ok((await resolvePath(root.cid, entry.name, blocks.get)).equals(entry.cid))
      assert.is(entry.type, 'file')
      assert.is(entry.dagSize, 8)
    }
    await rejects(() => resolvePath(root.cid, 'missing', blocks.get), 'NOT_FOUND', /holds no missing/)
  }
})

read('paths lead through directories, sharded or not, and say where they end', async () => {
  const many = Array.from({ length: 5_000 }, (_, i) => ({
    type: 'file' as const,
    path: ['a', 'many', `${i}`],
    content: [noise(3, i)]
  }))
  const { root, blocks } = await collect(
    treeBlocks([...many, { type: 'file', path: ['a', 'z'], content: [noise(1)] }])
  )
  assert.ok((await resolvePath(root.cid, '', blocks.get)).equals(root.cid))
  assert.ok((await resolvePath(root.cid, '/a//many/77/', blocks.get)).equals(cidOf(noise(3, 77))))
  await rejects(() => resolvePath(root.cid, 'a/many/x/y', blocks.get), 'NOT_FOUND', /holds no a\/many\/x$/)
  await rejects(() => resolvePath(root.cid, 'a/z/y', blocks.get), 'NOT_FOUND', /holds no a\/z\/y$/)
  await rejects(() => resolvePath(root.cid, ['a', '..'], blocks.get), 'NOT_FOUND')
  const directory = await stat(await resolvePath(root.cid, 'a', blocks.get), blocks.get)
  assert.is(directory.type, 'directory')
  assert.is(directory.size, 2)
})

read('a name in the wrong shard is refused', async () => {
  const blocks = new Blocks()
  const file = leaf(noise(3))
  const place = hashName('right')[0] as number
  const label = (at: number) => at.toString(16).toUpperCase().padStart(2, '0')
  const shard = (at: number, name: string, cid: CID) =>
    blocks.add(node(encodeShard([{ name: label(at) + name, cid: cid.bytes, size: 3 }], [at], 256)))
  assert.is((await listed(readDirectory(shard(place, 'right', file.cid), blocks.get)))[0]?.name, 'right')
  const wrong = shard(place ^ 1, 'right', file.cid)
  await rejects(() => listed(readDirectory(wrong, blocks.get)), 'BAD_DAG', /wrong shard/)
  const under = shard(place, '', shard((hashName('right')[1] as number) ^ 1, 'right', file.cid))
  await rejects(() => listed(readDirectory(under, blocks.get)), 'BAD_DAG', /wrong shard/)
})

read('shards without end, of two widths, or over a plain directory are refused', async () => {
  const blocks = new Blocks()
  let cid = blocks.add(node(encodeShard([], [], 256)))
  for (let level = 0; level < 9; level++) {
    cid = blocks.add(node(encodeShard([{ name: '00', cid: cid.bytes, size: 1 }], [0], 256)))
  }
  await rejects(() => listed(readDirectory(cid, blocks.get)), 'BAD_DAG', /deeper than its hash/)
  const narrow = blocks.add(node(encodeShard([], [], 8)))
  const mixed = blocks.add(node(encodeShard([{ name: '00', cid: narrow.bytes, size: 1 }], [0], 256)))
  await rejects(() => listed(readDirectory(mixed, blocks.get)), 'BAD_DAG', /two widths/)
  const plain = blocks.add(node(encodeDirectory([])))
  const over = blocks.add(node(encodeShard([{ name: '00', cid: plain.bytes, size: 1 }], [0], 256)))
  await rejects(() => listed(readDirectory(over, blocks.get)), 'BAD_DAG', /not a shard/)
})

read('a link that is no CID, or one that may not name a block, is refused', async () => {
  const blocks = new Blocks()
  const to = (cid: Uint8Array) => blocks.add(node(encodeDirectory([{ name: 'a', cid, size: 1 }])))
  await rejects(() => listed(readDirectory(to(noise(40)), blocks.get)), 'BAD_DAG', /not a CID/)
  const md5 = CID.createV1(0x55, Digest.create(0xd5, noise(40)))
  await rejects(() => listed(readDirectory(to(md5.bytes), blocks.get)), 'BAD_CID')
})

read.run()
