// limit: 180 s
import { spawn } from 'node:child_process'
import {
  appendFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  truncate,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError, pick, seeded } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type WriteProgress, walkPath, writeTree } from '../src/fs.ts'
import { type Block, cidOf, symlinkBlock, type TreeEntry, treeBlocks } from '../src/index.ts'
import { encodeDirectory } from '../src/unixfs.ts'
import { unsafeName } from '../src/write-tree.ts'
import { Blocks, collect, inScratch, noise, rejects } from './support/dag.ts'

const write = suite('writeTree')
const node = (bytes: Uint8Array): Block => ({ cid: cidOf(bytes, { codec: 'dag-pb' }), bytes })
const link = (name: string, { bytes }: CID) => ({ name, cid: bytes, size: 1 })

const TREE: TreeEntry[] = [
  { type: 'directory', path: [] },
  { type: 'file', path: ['a'], content: [noise(35)] },
  { type: 'directory', path: ['d', 'empty'] },
  { type: 'file', path: ['d', 'ä 😀\\"\n'], content: [noise(2_000, 2)] },
  { type: 'symlink', path: ['d', 'up'], target: '../a' },
  { type: 'symlink', path: ['dangling'], target: '/nowhere' },
  { type: 'file', path: ['none'], content: [] }
]
const made = () => collect(treeBlocks(TREE, { chunkBytes: 10, linksPerNode: 4 }))

/** What lies below, one line each. */
async function picture(path: string, prefix = ''): Promise<string[]> {
  const lines: string[] = []
  for (const name of (await readdir(path)).sort()) {
    const full = join(path, name)
    const stats = await lstat(full)
    if (stats.isSymbolicLink()) lines.push(`${prefix}${name} -> ${await readlink(full)}`)
    else if (stats.isDirectory())
      lines.push(`${prefix}${name}/`, ...(await picture(full, `${prefix}${name}/`)))
    else lines.push(`${prefix}${name} ${cidOf(await readFile(full))}`)
  }
  return lines
}

write('names, symlinks and bytes come back', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await made()
    const target = join(dir.path, 'out')
    const written = await writeTree(root.cid, blocks.get, target)
    assert.equal(written, { files: 3, directories: 3, symlinks: 2, bytes: 2_035, kept: 0 })
    const again = await collect(treeBlocks(walkPath(target), { chunkBytes: 10, linksPerNode: 4 }))
    assert.ok(again.root.cid.equals(root.cid))
  })
)

write('the root may be a file or a symlink', () =>
  inScratch(async (dir) => {
    const file = await collect(
      treeBlocks([{ type: 'file', path: [], content: [noise(35)] }], { chunkBytes: 10 })
    )
    await writeTree(file.root.cid, file.blocks.get, join(dir.path, 'file'))
    assert.equal(await readFile(join(dir.path, 'file')), Buffer.from(noise(35)))
    const to = await collect(treeBlocks([{ type: 'symlink', path: [], target: 'file' }]))
    await writeTree(to.root.cid, to.blocks.get, join(dir.path, 'link'))
    assert.is(await readlink(join(dir.path, 'link')), 'file')
    await rejects(
      () => writeTree(file.root.cid, file.blocks.get, dir.path),
      'FILE_EXISTS',
      /directory is in the way/
    )
  })
)

write('a second run keeps everything and asks for no leaf', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await made()
    await writeTree(root.cid, blocks.get, dir.path)
    blocks.asked.length = 0
    const written = await writeTree(root.cid, blocks.get, dir.path)
    assert.equal(written, { files: 3, directories: 3, symlinks: 2, bytes: 2_035, kept: 2_035 })
    assert.ok(blocks.asked.every(({ code }) => code === 0x70))
  })
)

write('after a failure a second run asks only for what is missing', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await collect(
      treeBlocks([{ type: 'file', path: ['f'], content: [noise(1_000)] }], { chunkBytes: 10 })
    )
    const missing = [...blocks.all.keys()][60] as string
    const bytes = blocks.all.get(missing) as Uint8Array
    blocks.all.delete(missing)
    await rejects(() => writeTree(root.cid, blocks.get, dir.path), 'NO_PROVIDER')
    const [part, ...others] = await readdir(dir.path)
    assert.match(part as string, /^\.cairn-[0-9a-f]{32}\.part$/)
    assert.is(others.length, 0)
    blocks.all.set(missing, bytes)
    blocks.asked.length = 0
    const progress: WriteProgress[] = []
    const written = await writeTree(root.cid, blocks.get, dir.path, {
      onProgress: (step) => progress.push(step)
    })
    assert.is(written.kept, 600)
    assert.is(blocks.asked.filter(({ code }) => code === 0x55).length, 40)
    assert.equal(await readdir(dir.path), ['f'])
    assert.equal(await readFile(join(dir.path, 'f')), Buffer.from(noise(1_000)))
    assert.is(
      progress.reduce((sum, { bytes }) => sum + bytes, 0),
      1_000
    )
  })
)

write('a part with holes, rubbish and too much is mended', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await collect(
      treeBlocks([{ type: 'file', path: ['f'], content: [noise(1_000)] }], { chunkBytes: 10 })
    )
    const gone = [...blocks.all.keys()][99] as string
    const last = blocks.all.get(gone) as Uint8Array
    blocks.all.delete(gone)
    await rejects(() => writeTree(root.cid, blocks.get, dir.path), 'NO_PROVIDER')
    blocks.all.set(gone, last)
    const part = join(dir.path, (await readdir(dir.path))[0] as string)
    const bytes = await readFile(part)
    bytes.fill(0, 300, 320)
    await writeFile(part, Buffer.concat([bytes, noise(5_000)]))
    blocks.asked.length = 0
    await writeTree(root.cid, blocks.get, dir.path)
    assert.equal(await readFile(join(dir.path, 'f')), Buffer.from(noise(1_000)))
    assert.is(blocks.asked.filter(({ code }) => code === 0x55).length, 3)
  })
)

write('a file with other content is in the way, unless it may be replaced', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await made()
    for (const spoil of [
      () => writeFile(join(dir.path, 'a'), 'mine'),
      () => truncate(join(dir.path, 'a'), 34),
      () => appendFile(join(dir.path, 'a'), 'x')
    ]) {
      await writeTree(root.cid, blocks.get, dir.path, { overwrite: true })
      await spoil()
      await rejects(() => writeTree(root.cid, blocks.get, dir.path), 'FILE_EXISTS', /other content/)
      await writeTree(root.cid, blocks.get, dir.path, { overwrite: true })
      assert.equal(await readFile(join(dir.path, 'a')), Buffer.from(noise(35)))
    }
  })
)

write('no symlink that is there is followed', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await made()
    const outside = join(dir.path, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'victim'), 'victim')
    for (const [name, to] of [
      ['a', 'victim'],
      ['d', ''],
      ['none', 'victim']
    ] as const) {
      const target = join(dir.path, `target-${name}`)
      await mkdir(target)
      await symlink(join(outside, to), join(target, name))
      await rejects(() => writeTree(root.cid, blocks.get, target), 'UNSAFE_PATH', /symlink is in the way/)
      await writeTree(root.cid, blocks.get, target, { overwrite: true }).catch((error) => {
        if (!CairnError.is(error, 'UNSAFE_PATH') || name !== 'd') throw error
      })
    }
    assert.equal(await picture(outside), [`victim ${cidOf(Buffer.from('victim'))}`])
  })
)

write('a part that is a symlink or another name of a file is not written through', () =>
  inScratch(async (dir) => {
    const { root, blocks } = await collect(
      treeBlocks([{ type: 'file', path: ['f'], content: [noise(30)] }], { chunkBytes: 10 })
    )
    const last = [...blocks.all.keys()][2] as string
    const bytes = blocks.all.get(last) as Uint8Array
    blocks.all.delete(last)
    const target = join(dir.path, 'target')
    await rejects(() => writeTree(root.cid, blocks.get, target), 'NO_PROVIDER')
    blocks.all.set(last, bytes)
    const part = join(target, (await readdir(target))[0] as string)
    const victim = join(dir.path, 'victim')
    const { link: hardLink, unlink } = await import('node:fs/promises')
    for (const plant of [() => symlink(victim, part), () => hardLink(victim, part)]) {
      await writeFile(victim, 'victim')
      await unlink(part).catch(() => {})
      await plant()
      await writeTree(root.cid, blocks.get, target, { overwrite: true })
      assert.is(await readFile(victim, 'utf8'), 'victim')
      await unlink(join(target, 'f'))
    }
  })
)

write('hostile names and bent trees never write outside', () =>
  inScratch(async (dir) => {
    const blocks = new Blocks()
    const evil = blocks.add({ cid: cidOf(noise(6)), bytes: noise(6) })
    const away = blocks.add(symlinkBlock('../..'))
    const holds = (...links: { name: string; cid: Uint8Array; size: number }[]) =>
      blocks.add(node(encodeDirectory(links)))
    const inner = holds(link('evil', evil))
    const bad: [CID, RegExp][] = [
      [holds(link('../evil', evil)), /slash/],
      [holds(link('..', inner)), /another directory/],
      [holds(link('.', inner)), /another directory/],
      [holds(link('/evil', evil)), /slash/],
      [holds(link('', evil)), /empty/],
      [holds(link('a\0b', evil)), /NUL/],
      [holds(link('x', away), link('x', inner)), /two entries/],
      [holds(link(`.cairn-${'0'.repeat(32)}.part`, evil)), /unfinished/]
    ]
    for (const [i, [cid, why]] of bad.entries()) {
      const target = join(dir.path, `${i}`, 'a', 'b')
      await mkdir(target, { recursive: true })
      try {
        await writeTree(cid, blocks.get, target)
        assert.unreachable(String(why))
      } catch (error) {
        assert.ok(CairnError.is(error), `${error}`)
        assert.match(error.message, why)
      }
      assert.equal(await picture(join(dir.path, `${i}`)), ['a/', 'a/b/'])
    }
  })
)

write('a thousand random hostile trees write nothing outside', () =>
  inScratch(async (dir) => {
    const random = seeded(77)
    const names = ['a', 'b', 'A', '..', '.', '/x', 'x/../..', '\0', 'l', 'c:\\x', '..\\x', 'aux']
    const targets = ['..', '../..', '/', 'a', '../outside', 'l/l']
    const grow = (blocks: Blocks, depth: number): CID => {
      const kind = pick(random, depth === 0 ? 2 : 4)
      if (kind === 0) return blocks.add({ cid: cidOf(noise(4)), bytes: noise(4) })
      if (kind === 1) return blocks.add(symlinkBlock(targets[pick(random, targets.length)] as string))
      // Mostly good names, or nothing would ever get as far as the disk.
      const name = () => names[pick(random, pick(random, 12) === 0 ? names.length : 3)] as string
      const links = Array.from({ length: 1 + pick(random, 3) }, () => link(name(), grow(blocks, depth - 1)))
      return blocks.add(node(encodeDirectory(links)))
    }
    let whole = 0
    for (let i = 0; i < 1_000; i++) {
      const blocks = new Blocks()
      const cid = grow(blocks, 4)
      // Twice into the same place, so that the symlinks of the last tree lie in the way of the next.
      const target = join(dir.path, 'in', `${i >> 2}`)
      await mkdir(target, { recursive: true })
      try {
        await writeTree(cid, blocks.get, join(target, 't'), { overwrite: i % 2 === 0 })
        whole++
      } catch (error) {
        if (!CairnError.is(error)) throw error
      }
      assert.ok((await readdir(target)).every((name) => name === 't' || name.endsWith('.part')))
    }
    assert.equal(await readdir(dir.path), ['in'])
    assert.ok(whole > 100, `${whole} were written whole`)
  })
)

write('names that only Windows minds are refused there', () => {
  for (const name of ['..\\x', 'c:x', 'CON', 'nul.txt', 'com1', 'x.', 'x ']) {
    assert.ok(unsafeName(name, 'win32'), name)
    assert.is(unsafeName(name, 'linux'), undefined)
  }
  for (const name of ['console', 'a.b', '.x', 'com']) assert.is(unsafeName(name, 'win32'), undefined)
})

write(
  'a process killed at any moment leaves no final name with half a file, and a second run completes',
  () =>
    inScratch(async (dir) => {
      const target = join(dir.path, 'out')
      const tree: TreeEntry[] = Array.from({ length: 40 }, (_, i) => ({
        type: 'file',
        path: [`${i}`],
        content: [noise(5_000 + i, i)]
      }))
      const { root, blocks } = await collect(treeBlocks(tree, { chunkBytes: 100 }))
      const car = join(dir.path, 'blocks.json')
      await writeFile(
        car,
        JSON.stringify([...blocks.all].map(([key, bytes]) => [key, Buffer.from(bytes).toString('hex')]))
      )
      const child = join(import.meta.dirname, 'support', 'get.ts')
      for (let round = 1; round <= 4; round++) {
        const args = ['--conditions=cairn-src', child, car, String(root.cid), target, '400']
        const killed = spawn(process.execPath, args, { stdio: 'inherit' })
        await new Promise((resolve) => killed.once('close', resolve))
        assert.is(killed.signalCode, 'SIGKILL', `round ${round}`)
        for (const name of await readdir(target)) {
          if (name.endsWith('.part')) continue
          assert.equal(
            await readFile(join(target, name)),
            Buffer.from(noise(5_000 + Number(name), Number(name)))
          )
        }
      }
      const written = await writeTree(root.cid, blocks.get, target)
      assert.ok(written.kept > 0)
      assert.ok((await collect(treeBlocks(walkPath(target), { chunkBytes: 100 }))).root.cid.equals(root.cid))
      assert.is((await readdir(target)).length, 40)
    })
)

write.run()
