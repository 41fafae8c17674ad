import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { ClassicLevel } from 'classic-level'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { adopt, identify } from '../src/identity.ts'
import { entry, inScratch, withStore } from './scratch.ts'

const identity = suite('identify')

identity('a new directory gets an identity, and keeps it', () =>
  inScratch(async (directory) => {
    const first = await identify(directory, undefined)
    assert.is(first.created, true)
    const second = await identify(directory, undefined)
    assert.is(second.created, false)
    assert.is(second.identity.id, first.identity.id)
    assert.is(second.identity.nonce, first.identity.nonce)
    assert.is(second.identity.openings, 2)
    assert.is(second.copied, false)
  })
)

identity('another inode means a copy, until it is adopted', () =>
  inScratch(async (directory) => {
    const { identity } = await identify(directory, undefined)
    await writeFile(join(directory, 'store.json'), JSON.stringify({ ...identity, inode: '1' }))
    assert.is((await identify(directory, undefined)).copied, true)
    const again = await identify(directory, undefined)
    assert.is(again.copied, true)
    const adopted = await adopt(directory, again.identity)
    assert.is.not(adopted.id, identity.id, "its numbers are not the original's")
    assert.is(adopted.nonce, identity.nonce, 'its records are')
    assert.is((await identify(directory, undefined)).copied, false)
  })
)

identity('a file in the place of one that was removed is another, whatever number it is given', () =>
  inScratch(async (directory) => {
    const path = join(directory, 'store.json')
    for (let i = 0; i < 20; i++) {
      await identify(directory, undefined)
      const kept = await readFile(path)
      await rm(path)
      await writeFile(path, kept)
      assert.is((await identify(directory, undefined)).copied, true)
      await rm(path)
    }
  })
)

/** Rewrites the identity in place, so that its inode stays. */
async function change(directory: string, changes: object): Promise<void> {
  const path = join(directory, 'store.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...changes }))
}

identity('a store that only a newer version understands is refused', () =>
  inScratch(async (directory) => {
    await identify(directory, undefined)
    await change(directory, { format: 2, oldest: 2 })
    const error = await identify(directory, undefined).catch((cause) => cause)
    assert.ok(CairnError.is(error, 'NEWER_VERSION'))
  })
)

identity(
  'a store of the next version that this one may use is read and written, and stays that version',
  () =>
    inScratch(async (directory) => {
      await withStore({ directory }, (store) => store.put([entry(1)]))
      await change(directory, { format: 2, oldest: 1, later: 'kept' })
      const index = new ClassicLevel(join(directory, 'index'))
      await index.put('x', 'of the next version')
      await index.close()
      await withStore({ directory }, async (store) => {
        assert.ok(await store.get(entry(1).key))
        await store.put([entry(2)])
      })
      await withStore({ directory }, async (store) => {
        assert.is(store.usage().blocks, 2)
        assert.is(store.identity.format, 2)
        assert.is((store.identity as { later?: string }).later, 'kept')
      })
      await index.open()
      assert.is(await index.get('x'), 'of the next version')
      await index.close()
    })
)

identity('lost or damaged beside segments, it is made again and the blocks stay', () =>
  inScratch(async (directory) => {
    await withStore({ directory }, (store) => store.put([entry(1)]))
    for (const text of ['', '{"format']) {
      await writeFile(join(directory, 'store.json'), text)
      await withStore({ directory }, async (store) =>
        assert.equal(await store.get(entry(1).key), entry(1).bytes)
      )
    }
  })
)

identity('damaged where nothing tells the nonce, it is an error that says so', () =>
  inScratch(async (directory) => {
    await writeFile(join(directory, 'store.json'), '{')
    const error = await identify(directory, undefined).catch((cause) => cause)
    assert.ok(CairnError.is(error, 'STORE_DAMAGED'))
  })
)

identity.run()
