import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cidOf } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { knownIn, openStatCache } from '../src/stat-cache.ts'

const caches = suite('what files were')
const HOW = ['sha2-256', 'all']
const digests = { md5: '0'.repeat(32) }
const root = (text: string) => ({ cid: cidOf(Buffer.from(text)), size: text.length, dagSize: text.length })

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cairn-stats-'))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const long = () => Date.now() + 60_000
const statsOf = (path: string) => stat(path, { bigint: true })

caches('a file is known by its size, times and inode, and only as long as the name keeps it', () =>
  inFolder(async (home) => {
    const path = join(home, 'a')
    await writeFile(path, 'one')
    const first = await openStatCache(home, home, HOW)
    const was = await statsOf(path)
    assert.is(first.known(['a'], was), undefined)
    first.onRead(['a'], was, long())
    first.onFile(['a'], root('one'), digests)
    await first.save()
    const next = await openStatCache(home, home, HOW)
    assert.equal(next.known(['a'], was)?.digests, digests)
    assert.is(`${next.known(['a'], was)?.cid}`, `${root('one').cid}`)
    assert.is(next.known(['b'], was), undefined)
    const keeps = (yes: boolean) => knownIn(next, { sequence: 1, has: () => yes })(['a'], was)
    assert.is(keeps(false), undefined)
    assert.ok(keeps(true))
    assert.equal(next.unchanged, { files: 1, bytes: 3 })
    await utimes(path, 1, 1)
    assert.is(next.known(['a'], await statsOf(path)), undefined)
    assert.is((await openStatCache(home, home, ['blake3', 'all'])).known(['a'], was), undefined)
  })
)

caches('a file that was written a moment before it was read is not remembered', () =>
  inFolder(async (home) => {
    const path = join(home, 'a')
    await writeFile(path, 'one')
    const was = await statsOf(path)
    const cache = await openStatCache(home, home, HOW)
    cache.onRead(['a'], was, Date.now())
    cache.onFile(['a'], root('one'), digests)
    await cache.save()
    assert.is((await openStatCache(home, home, HOW)).known(['a'], was), undefined)
  })
)

caches('a damaged file of it is nothing, and what is gone from the tree is forgotten', () =>
  inFolder(async (home) => {
    const path = join(home, 'a')
    await writeFile(path, 'one')
    const was = await statsOf(path)
    const cache = await openStatCache(home, home, HOW)
    for (const name of ['a', 'b']) {
      cache.onRead([name], was, long())
      cache.onFile([name], root('one'), digests)
    }
    await cache.save()
    const [name = ''] = await readdir(join(home, 'cache'))
    const file = join(home, 'cache', name)
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('"size":3', '"size":4'))
    assert.is((await openStatCache(home, home, HOW)).known(['a'], was), undefined)
    await writeFile(file, text)
    const again = await openStatCache(home, home, HOW)
    assert.ok(again.known(['b'], was))
    again.onFile(['a'], root('one'), digests)
    await again.save()
    const last = await openStatCache(home, home, HOW)
    assert.ok(last.known(['a'], was))
    assert.is(last.known(['b'], was), undefined)
  })
)

caches.run()
