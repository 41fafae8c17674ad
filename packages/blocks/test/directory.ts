// limit: 180 s
import { encode } from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { compareBytes } from '../src/hamt.ts'
import {
  cidOf,
  DIRECTORY_BYTES_MAX,
  directoryBlocks,
  NESTING_MAX,
  symlinkBlock,
  type TreeEntry,
  treeBlocks
} from '../src/index.ts'
import { collect, noise, oracle, rejects } from './support/dag.ts'

const directory = suite('directories')
const CONTENT = noise(5)

const files = (paths: readonly string[]): TreeEntry[] =>
  paths.map((path) => ({ type: 'file', path: path.split('/'), content: [CONTENT] }))
const theirs = (paths: readonly string[]) => oracle(paths.map((path) => ({ path, content: CONTENT })))

directory('has the CID of the importer from 0 to 20,000 entries', async () => {
  for (const count of [0, 1, 2, 100, 4_681, 4_682, 20_000]) {
    const paths = Array.from({ length: count }, (_, i) => `file-${i}`)
    const { root } = await collect(treeBlocks(files(paths)))
    const expected = await theirs(paths)
    assert.is(String(root.cid), expected.cid, `${count} entries`)
    assert.is(root.dagSize, expected.dagSize)
    assert.is(root.size, count * CONTENT.length)
  }
})

directory('is sharded from the first byte above 256 KiB', async () => {
  const paths = Array.from({ length: 250 }, (_, i) => `${i}`.padStart(1000, 'x'))
  const made = (all: string[]) =>
    collect(directoryBlocks(all.map((name) => ({ name, cid: cidOf(CONTENT), dagSize: CONTENT.length }))))
  const blockBytes: number[] = []
  const missing = DIRECTORY_BYTES_MAX - (await made(paths)).root.dagSize + paths.length * CONTENT.length
  for (let length = missing - 56; length <= missing - 40; length++) {
    const all = [...paths, 'y'.repeat(length)]
    const { root, order, blocks } = await made(all)
    assert.is(String(root.cid), (await theirs(all)).cid, `${length}`)
    if (order.length === 1) blockBytes.push((await blocks.get(root.cid)).length)
  }
  assert.is(blockBytes.at(-1), DIRECTORY_BYTES_MAX)
  assert.ok(blockBytes.length < 17, 'the largest were sharded')
})

directory('has the CID of the importer when nested, with names of any script', async () => {
  const paths = [
    'a/b/c/d',
    'a/b/e',
    'a/ä',
    'a/a\u0308',
    'z/日本語/😀',
    'z/日本語/\uffff',
    'z/with space',
    'z/\\',
    '…'
  ]
  const { root } = await collect(treeBlocks(files(paths)))
  assert.is(String(root.cid), (await theirs(paths)).cid)
})

directory('has the CID of the importer for random trees', async () => {
  const segment = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }).filter((name) => {
    return !/[/\0]/.test(name) && name !== '.' && name !== '..' && name.isWellFormed()
  })
  const tree = fc.uniqueArray(fc.tuple(segment, segment), {
    maxLength: 30,
    selector: (path) => path.join('/')
  })
  await fc.assert(
    fc.asyncProperty(tree, async (paths) => {
      const order = paths.map((path) => path.join('/')).sort()
      const bySegments = [...order].sort((a, b) =>
        (a.split('/')[0] as string) < (b.split('/')[0] as string) ? -1 : 1
      )
      const grouped = Object.values(
        Object.groupBy(bySegments, (path) => `=${path.split('/')[0]}`)
      ).flat() as string[]
      const { root } = await collect(treeBlocks(files(grouped)))
      assert.is(String(root.cid), (await theirs(grouped)).cid)
    }),
    { numRuns: 30 }
  )
})

directory('a sharded directory in a sharded directory has the CID of the importer', async () => {
  const paths = Array.from({ length: 6_000 }, (_, i) => `big/file-${i}`)
  const top = Array.from({ length: 6_000 }, (_, i) => `top-${i}`)
  const { root } = await collect(treeBlocks(files([...paths, ...top])))
  assert.is(String(root.cid), (await theirs([...paths, ...top])).cid)
})

directory('the order of the entries does not matter', async () => {
  const entries = ['b', 'a', '\u{1F600}', '\uffff'].map((name) => ({ name, cid: cidOf(CONTENT), dagSize: 5 }))
  const one = await collect(directoryBlocks(entries))
  const two = await collect(directoryBlocks(entries.toReversed()))
  assert.ok(one.root.cid.equals(two.root.cid))
})

directory('empty directories and symlinks are in', async () => {
  const { root, blocks } = await collect(
    treeBlocks([
      { type: 'directory', path: [] },
      { type: 'directory', path: ['empty'] },
      { type: 'symlink', path: ['link'], target: '../x' }
    ])
  )
  assert.is(blocks.all.size, 3)
  const empty = await collect(directoryBlocks([]))
  assert.is(String(empty.root.cid), (await oracle([])).cid)
  const link = symlinkBlock('../x')
  const again = await collect(
    directoryBlocks([
      { name: 'empty', ...empty.root },
      { name: 'link', cid: link.cid, dagSize: link.bytes.length }
    ])
  )
  assert.ok(root.cid.equals(again.root.cid))
})

directory('symlinks have the bytes that the reference library writes', () => {
  for (const target of ['file', '../ä/😀', '/'.repeat(4_000)]) {
    const data = new UnixFS({ type: 'symlink', data: new TextEncoder().encode(target) }).marshal()
    assert.equal(symlinkBlock(target).bytes, encode({ Data: data, Links: [] }))
  }
})

directory('a symlink to nothing is refused', async () => {
  await rejects(() => symlinkBlock(''), 'BAD_NAME')
})

directory('a tree whose root is a file or a symlink is that', async () => {
  const file = await collect(treeBlocks([{ type: 'file', path: [], content: [CONTENT] }]))
  assert.ok(file.root.cid.equals(cidOf(CONTENT)))
  const link = await collect(treeBlocks([{ type: 'symlink', path: [], target: 'x' }]))
  assert.ok(link.root.cid.equals(symlinkBlock('x').cid))
})

directory('a name that no directory may hold is refused', async () => {
  for (const name of ['', '.', '..', 'a/b', 'a\0b', '\ud800']) {
    await rejects(() => collect(treeBlocks([{ type: 'file', path: ['d', name], content: [] }])), 'BAD_NAME')
    await rejects(() => collect(treeBlocks([{ type: 'directory', path: [name] }])), 'BAD_NAME')
    await rejects(() => collect(directoryBlocks([{ name, cid: cidOf(CONTENT), dagSize: 1 }])), 'BAD_NAME')
  }
})

directory('a name twice in one directory is refused, also after the walk has left it', async () => {
  for (const paths of [
    ['a', 'a'],
    ['a/b', 'c', 'a/d'],
    ['a/b', 'a'],
    ['a', 'a/b']
  ]) {
    await rejects(() => collect(treeBlocks(files(paths))), 'BAD_NAME', /two entries/)
  }
  const entry = { name: 'a', cid: cidOf(CONTENT), dagSize: 1 }
  await rejects(() => collect(directoryBlocks([entry, entry])), 'BAD_NAME', /two entries/)
})

directory('nesting has a limit', async () => {
  const path = (depth: number) => Array.from({ length: depth }, () => 'd')
  await collect(treeBlocks([{ type: 'directory', path: path(NESTING_MAX) }]))
  await rejects(
    () => collect(treeBlocks([{ type: 'directory', path: path(NESTING_MAX + 1) }])),
    'BAD_NAME',
    /inside/
  )
})

directory('names sort by their bytes', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  assert.ok(compareBytes(bytes('\uffff'), bytes('\u{1F600}')) < 0)
  assert.ok('\uffff' > '\u{1F600}', 'which is not how JavaScript sorts them')
  assert.ok(compareBytes(bytes('a'), bytes('ab')) < 0)
  assert.is(compareBytes(bytes('a'), bytes('a')), 0)
})

directory.run()
