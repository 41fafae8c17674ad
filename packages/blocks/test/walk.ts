// limit: 180 s
import { CairnError, pick, seeded } from '@cairn/core'
import { CarReader } from '@ipld/car'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Block,
  carOf,
  cidOf,
  dagBlocks,
  keyOf,
  readDirectory,
  readFile,
  type TreeEntry,
  treeBlocks,
  walk
} from '../src/index.ts'
import { encodeDirectory, encodeFile, encodeShard } from '../src/unixfs.ts'
import { Blocks, bytesOf, collect, listed, noise, rejects } from './support/dag.ts'

const walks = suite('walk')
const node = (bytes: Uint8Array): Block => ({ cid: cidOf(bytes, { codec: 'dag-pb' }), bytes })

const TREE: TreeEntry[] = [
  { type: 'directory', path: [] },
  { type: 'file', path: ['a'], content: [noise(25)] },
  { type: 'directory', path: ['d'] },
  { type: 'directory', path: ['d', 'empty'] },
  { type: 'file', path: ['d', 'same as a'], content: [noise(25)] },
  { type: 'symlink', path: ['d', 'x'], target: '../a' },
  { type: 'file', path: ['small'], content: [noise(4)] }
]

walks('every file, directory and symlink comes with its path, a directory before what it holds', async () => {
  const { root, blocks } = await collect(treeBlocks(TREE, { chunkBytes: 10 }))
  const found = await listed(walk(root.cid, blocks.get))
  assert.equal(
    found.map(({ type, path }) => `${type} ${path.join('/')}`),
    [
      'directory ',
      'file a',
      'directory d',
      'directory d/empty',
      'file d/same as a',
      'symlink d/x',
      'file small'
    ]
  )
  assert.equal(
    found.flatMap((entry) => (entry.type === 'file' ? [entry.size] : [])),
    [25, 25, 4]
  )
  const link = found.find(({ type }) => type === 'symlink')
  assert.is(link?.type === 'symlink' && Buffer.from(link.target).toString(), '../a')
})

walks('no leaf is asked for', async () => {
  const { root, blocks } = await collect(treeBlocks(TREE, { chunkBytes: 10 }))
  await listed(walk(root.cid, blocks.get))
  assert.ok(blocks.asked.every(({ code }) => code === 0x70))
})

walks('the root may be a file or a symlink', async () => {
  for (const entry of [TREE[1], TREE[5]] as TreeEntry[]) {
    const { root, blocks } = await collect(treeBlocks([{ ...entry, path: [] }]))
    const found = await listed(walk(root.cid, blocks.get))
    assert.is(found.length, 1)
    assert.is(found[0]?.type, entry.type)
    assert.equal(found[0]?.path, [])
  }
})

walks('a sharded directory is walked once, its shards unseen', async () => {
  const many: TreeEntry[] = Array.from({ length: 5_000 }, (_, i) => ({
    type: 'file',
    path: ['d', `${i}`, 'f'],
    content: [noise(3)]
  }))
  const { root, blocks } = await collect(treeBlocks(many))
  const found = await listed(walk(root.cid, blocks.get))
  assert.is(found.length, 2 + 2 * 5_000)
  assert.is(new Set(found.map(({ path }) => path.join('/'))).size, found.length)
  const before = new Set<string>()
  for (const { path } of found) {
    assert.ok(path.length === 0 || before.has(path.slice(0, -1).join('/')))
    before.add(path.join('/'))
  }
})

walks('a tree of few blocks and many entries ends at the limit', async () => {
  const blocks = new Blocks()
  let cid = blocks.add(node(encodeDirectory([])))
  for (let level = 0; level < 20; level++) {
    const { bytes } = cid
    const links = Array.from({ length: 1_000 }, (_, i) => ({ name: `${i}`, cid: bytes, size: 1 }))
    cid = blocks.add(node(encodeDirectory(links)))
  }
  const count = { entries: 0 }
  await rejects(
    async () => {
      for await (const entry of walk(cid, blocks.get, { entriesMax: 5_000 })) {
        assert.ok(entry)
        count.entries++
      }
    },
    'BAD_DAG',
    /more than 5000/
  )
  assert.is(count.entries, 5_000)
})

walks('directories in one another have a limit', async () => {
  const blocks = new Blocks()
  let cid = blocks.add(node(encodeDirectory([])))
  for (let level = 0; level < 2_000; level++) {
    cid = blocks.add(node(encodeDirectory([{ name: 'd', cid: cid.bytes, size: 1 }])))
  }
  await rejects(() => listed(walk(cid, blocks.get)), 'BAD_DAG', /directories/)
  await rejects(() => listed(dagBlocks(cid, blocks.get)), 'BAD_DAG', /levels/)
})

walks('links by the million are refused before they fill memory', async () => {
  const blocks = new Blocks()
  const { bytes: leaf } = cidOf(noise(1))
  let cid = blocks.add(node(encodeDirectory([])))
  for (let level = 0; level < 14; level++) {
    const links = Array.from({ length: 20_000 }, (_, i) => ({ name: `y${i}`, cid: leaf, size: 1 }))
    cid = blocks.add(node(encodeDirectory([{ name: 'x', cid: cid.bytes, size: 1 }, ...links])))
  }
  blocks.add({ cid: cidOf(noise(1)), bytes: noise(1) })
  await rejects(() => listed(walk(cid, blocks.get)), 'BAD_DAG', /wait to be followed/)
})

walks('every block of a DAG comes once, itself first, each before what it links to', async () => {
  const { root, blocks } = await collect(treeBlocks(TREE, { chunkBytes: 10, linksPerNode: 2 }))
  const found = await listed(dagBlocks(root.cid, blocks.get))
  assert.is(keyOf(found[0]?.cid as Block['cid']), keyOf(root.cid))
  const keys = found.map(({ cid }) => keyOf(cid))
  assert.is(new Set(keys).size, keys.length)
  assert.equal(keys.toSorted(), [...blocks.all.keys()].toSorted())
  const reader = await CarReader.fromBytes(await bytesOf(carOf([root.cid], found)))
  assert.is((await listed(reader.blocks())).length, blocks.all.size)
})

walks('a block that is met twice comes where it is met first', async () => {
  const blocks = new Blocks()
  const c = blocks.add({ cid: cidOf(noise(3)), bytes: noise(3) })
  const b = blocks.add(node(encodeFile([{ name: '', cid: c.bytes, size: 3 }], [3])))
  const d = blocks.add({ cid: cidOf(noise(4)), bytes: noise(4) })
  const link = (name: string, { bytes }: Block['cid']) => ({ name, cid: bytes, size: 3 })
  const a = blocks.add(node(encodeDirectory([link('1', b), link('2', d), link('3', c)])))
  const found = (await listed(dagBlocks(a, blocks.get))).map(({ cid }) => String(cid))
  assert.equal(found, [a, b, c, d].map(String))
})

walks('a bomb of a few blocks gives those few', async () => {
  const blocks = new Blocks()
  let cid = blocks.add({ cid: cidOf(noise(1)), bytes: noise(1) })
  for (let level = 0; level < 60; level++) {
    const { bytes } = cid
    const links = Array.from({ length: 1_000 }, (_, i) => ({ name: `${i}`, cid: bytes, size: 1 }))
    cid = blocks.add(node(encodeDirectory(links)))
  }
  assert.is((await listed(dagBlocks(cid, blocks.get))).length, 61)
  assert.ok(blocks.asked.length < 130, `${blocks.asked.length} asked for`)
})

walks('a slow consumer has no more than twice the read-ahead asked for', async () => {
  const { root, blocks } = await collect(
    treeBlocks(
      Array.from({ length: 900 }, (_, i) => ({
        type: 'file' as const,
        path: [`${Math.floor(i / 30)}`, `${i}`],
        content: [noise(100, i)]
      })),
      { chunkBytes: 10 }
    )
  )
  let held = 0
  let most = 0
  const getBlock = async (cid: Block['cid']) => {
    most = Math.max(most, ++held)
    return blocks.get(cid)
  }
  let given = 0
  for await (const block of dagBlocks(root.cid, getBlock, { readAhead: 16 })) {
    assert.ok(block)
    given++
    held--
  }
  assert.is(given, blocks.all.size)
  assert.ok(most <= 2 * 16 + 1 + (blocks.asked.length - given), `${most} held`)
  assert.ok(blocks.asked.length < 1.3 * given, `${blocks.asked.length} asked for ${given}`)
})

walks('blocks that answer to any name, and so make cycles, end in an error of ours', async () => {
  const { cid } = node(noise(5))
  const self = (bytes: Uint8Array) => async () => bytes
  const { bytes } = cid
  const directory = self(encodeDirectory([{ name: 'd', cid: bytes, size: 1 }]))
  await rejects(() => listed(walk(cid, directory)), 'BAD_DAG')
  const file = self(encodeFile([{ name: '', cid: bytes, size: 1 }], [1]))
  await rejects(() => listed(readFile(cid, file)), 'BAD_DAG', /levels/)
  const shard = self(encodeShard([{ name: '00', cid: bytes, size: 1 }], [0], 256))
  await rejects(() => listed(readDirectory(cid, shard)), 'BAD_DAG', /deeper/)
  await rejects(() => listed(walk(cid, shard)), 'BAD_DAG', /deeper/)
})

walks('a DAG with changed bytes gives what it holds or an error of ours, whoever reads it', async () => {
  const many: TreeEntry[] = Array.from({ length: 6_000 }, (_, i) => ({
    type: 'file',
    path: ['m', `${i}`],
    content: []
  }))
  const { root, blocks } = await collect(treeBlocks([...TREE, ...many], { chunkBytes: 10, linksPerNode: 2 }))
  const nodes = [...blocks.all].filter(([key]) => blocks.all.get(key)?.[0] === 0x12)
  const random = seeded(9)
  for (let i = 0; i < 100; i++) {
    const bent = new Blocks()
    for (const [key, bytes] of blocks.all) bent.all.set(key, bytes)
    for (let changes = 0; changes < 3; changes++) {
      // Of the many shards mostly the first few nodes, so that every kind is changed often.
      const [key, bytes] = nodes[pick(random, i % 2 === 0 ? nodes.length : 8)] as [string, Uint8Array]
      const other = bytes.slice()
      other[pick(random, other.length)] = pick(random, 256)
      bent.all.set(key, other)
    }
    for (const read of [walk, dagBlocks, readDirectory, readFile]) {
      try {
        for await (const item of read(root.cid, bent.get)) assert.ok(item)
      } catch (error) {
        if (!CairnError.is(error)) throw error
      }
    }
  }
})

walks.run()
