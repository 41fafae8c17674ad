import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type LeftOut, walkPath } from '../src/fs.ts'
import { CHUNK_BYTES, cidOf, type Root, symlinkBlock, treeBlocks } from '../src/index.ts'
import { bytesOf, collect, inScratch, listed, noise, oracle, rejects } from './support/dag.ts'

const walk = suite('walkPath')

walk('a directory has the CID that the importer gives to its files', () =>
  inScratch(async (dir) => {
    await mkdir(join(dir.path, 'd', 'e'), { recursive: true })
    const paths = ['b', 'a', 'd/x', 'd/e/y', 'd/ä 😀']
    for (const [i, path] of paths.entries()) await writeFile(join(dir.path, path), noise(2_000_000 * i, i))
    const { root } = await collect(treeBlocks(walkPath(dir.path)))
    const theirs = await oracle(paths.map((path, i) => ({ path, content: noise(2_000_000 * i, i) })))
    assert.is(String(root.cid), theirs.cid)
    assert.is(root.size, 20_000_000)
  })
)

walk('entries come sorted by their bytes, a directory before what it holds', () =>
  inScratch(async (dir) => {
    await mkdir(join(dir.path, 'b'))
    for (const name of ['b/z', 'b/a', 'c', 'B', '\uffff', '\u{1F600}'])
      await writeFile(join(dir.path, name), '')
    const found = (await listed(walkPath(dir.path))).map(({ type, path }) => `${type} ${path.join('/')}`)
    const files = ['B', 'b/a', 'b/z', 'c', '\uffff', '\u{1F600}'].map((name) => `file ${name}`)
    assert.equal(found, ['directory ', files[0], 'directory b', ...files.slice(1)])
  })
)

walk(
  'a file that is known is not read, and the tree is the same; of the others it is told what they were',
  () =>
    inScratch(async (dir) => {
      for (const name of ['a', 'b']) await writeFile(join(dir.path, name), noise(2_000_000, 1))
      const files = new Map<string, Root>()
      const sizes: string[] = []
      const onFile = (path: readonly string[], file: Root) => void files.set(path.join('/'), file)
      const onRead = (path: readonly string[], { size }: { size: bigint }) =>
        void sizes.push(`${path} ${size}`)
      const first = await collect(treeBlocks(walkPath(dir.path, { onRead }), { onFile }))
      assert.equal(sizes, ['a 2000000', 'b 2000000'])
      const known = (path: readonly string[]) => (path[0] === 'a' ? files.get('a') : undefined)
      const again = await collect(treeBlocks(walkPath(dir.path, { onRead, known }), { onFile }))
      assert.is(`${again.root.cid}`, `${first.root.cid}`)
      assert.is(again.root.dagSize, first.root.dagSize)
      assert.equal(sizes.slice(2), ['b 2000000'])
    })
)

walk('a file is its content, also an empty one and one of several chunks', () =>
  inScratch(async (dir) => {
    for (const length of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]) {
      const path = join(dir.path, `${length}`)
      await writeFile(path, noise(length))
      const [entry, ...more] = await listed(walkPath(path))
      assert.is(more.length, 0)
      assert.ok(entry?.type === 'file' && entry.size === length && entry.path.length === 0)
      assert.equal(await bytesOf(entry.content as AsyncIterable<Uint8Array>), Buffer.from(noise(length)))
    }
  })
)

walk('pieces in memory used again make the same blocks, whatever the size of a chunk', () =>
  inScratch(async (dir) => {
    for (const [i, length] of [5 * CHUNK_BYTES + 9, 0, 3, 2 * CHUNK_BYTES].entries()) {
      await writeFile(join(dir.path, `${i}`), noise(length, i))
    }
    for (const chunkBytes of [CHUNK_BYTES, 700_000, 2 * CHUNK_BYTES]) {
      const fresh = await collect(treeBlocks(walkPath(dir.path), { chunkBytes }))
      const reused = treeBlocks(walkPath(dir.path, { reuse: true }), { chunkBytes })
      const cids: string[] = []
      const memory = new Set<ArrayBufferLike>()
      for await (const { cid, bytes } of reused) {
        assert.ok(cid.equals(cidOf(bytes, { codec: cid.code === 0x55 ? 'raw' : 'dag-pb' })))
        if (bytes.length === CHUNK_BYTES) memory.add(bytes.buffer)
        cids.push(`${cid}`)
      }
      assert.equal(cids, fresh.order.map(String))
      if (chunkBytes === CHUNK_BYTES) assert.is(memory.size, 2)
    }
  })
)

walk('a symlink named on the command line is followed, one inside is kept', () =>
  inScratch(async (dir) => {
    await mkdir(join(dir.path, 'real'))
    await writeFile(join(dir.path, 'file'), noise(3))
    await symlink('../nowhere', join(dir.path, 'real', 'inside'))
    await symlink('real', join(dir.path, 'to-directory'))
    await symlink('file', join(dir.path, 'to-file'))
    const found = await listed(walkPath(join(dir.path, 'to-directory')))
    assert.equal(
      found.map(({ type }) => type),
      ['directory', 'symlink']
    )
    const { root, blocks } = await collect(treeBlocks(walkPath(join(dir.path, 'real'))))
    assert.ok(blocks.all.size === 2 && root.size === 0)
    assert.equal([...blocks.all.values()][0], symlinkBlock('../nowhere').bytes)
    assert.ok(
      (await collect(treeBlocks(walkPath(join(dir.path, 'to-file'))))).root.cid.equals(cidOf(noise(3)))
    )
  })
)

walk('hidden files are left out and named, and taken when asked for', () =>
  inScratch(async (dir) => {
    await mkdir(join(dir.path, '.git'))
    for (const name of ['.git/x', '.env', 'seen']) await writeFile(join(dir.path, name), name)
    const leftOut: LeftOut[] = []
    const names = async (hidden: boolean) => {
      const found = await listed(walkPath(dir.path, { hidden, onLeftOut: (left) => leftOut.push(left) }))
      return found.map(({ path }) => path.join('/'))
    }
    assert.equal(await names(false), ['', 'seen'])
    assert.equal(
      leftOut.map(({ path, why }) => `${path} ${why}`),
      [`${join(dir.path, '.env')} hidden`, `${join(dir.path, '.git')} hidden`]
    )
    assert.equal(await names(true), ['', '.env', '.git', '.git/x', 'seen'])
    assert.is(leftOut.length, 2)
    assert.is((await listed(walkPath(join(dir.path, '.git')))).length, 2, 'the argument itself is taken')
  })
)

walk('sockets and pipes are left out and named; as the argument they are refused', () =>
  inScratch(async (dir) => {
    const path = join(dir.path, 'socket')
    const server = createServer().listen(path)
    try {
      execFileSync('mkfifo', [join(dir.path, 'pipe')])
      const leftOut: string[] = []
      const found = await listed(walkPath(dir.path, { onLeftOut: ({ path }) => leftOut.push(path) }))
      assert.is(found.length, 1)
      assert.equal(leftOut, [join(dir.path, 'pipe'), path])
      await rejects(() => listed(walkPath(path)), 'BAD_NAME', /neither/)
    } finally {
      server.close()
    }
  })
)

walk('a name that is not UTF-8 is refused and shown', () =>
  inScratch(async (dir) => {
    if (process.platform !== 'linux') return
    await writeFile(Buffer.concat([Buffer.from(`${dir.path}/caf`), Buffer.of(0xe9)]), '')
    await rejects(() => listed(walkPath(dir.path)), 'BAD_NAME', /caf\\xe9 has a name that is not UTF-8/)
  })
)

walk('what does not exist is NOT_FOUND', () =>
  inScratch(async (dir) => {
    await rejects(() => listed(walkPath(join(dir.path, 'none'))), 'NOT_FOUND', /none/)
  })
)

walk('a file that changes while it is read is refused', () =>
  inScratch(async (dir) => {
    const path = join(dir.path, 'file')
    const changes: [string, () => Promise<void>][] = [
      ['grows', () => appendFile(path, 'x')],
      ['shrinks', () => truncate(path, 10)],
      ['is touched', () => utimes(path, 1, 1)]
    ]
    for (const [what, change] of changes) {
      await writeFile(path, noise(4 * CHUNK_BYTES))
      let pieces = 0
      await rejects(async () => {
        for await (const entry of walkPath(path)) {
          assert.ok(entry.type === 'file')
          for await (const piece of entry.content) if (pieces++ === 0) await change().then(() => piece)
        }
      }, 'FILE_CHANGED').catch((cause) => assert.unreachable(`${what}: ${cause}`))
    }
  })
)

walk('files are closed when the reader leaves early', () =>
  inScratch(async (dir) => {
    if (process.platform !== 'linux') return
    await writeFile(join(dir.path, 'file'), noise(4 * CHUNK_BYTES))
    const { readdirSync } = await import('node:fs')
    const open = () => readdirSync('/proc/self/fd').length
    const before = open()
    for (let i = 0; i < 5; i++) {
      for await (const entry of walkPath(join(dir.path, 'file'))) {
        if (entry.type === 'file') for await (const piece of entry.content) if (piece.length > 0) break
      }
    }
    assert.is(open(), before)
  })
)

walk.run()
