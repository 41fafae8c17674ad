import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { storeContract } from '../src/contract.ts'
import { openStore } from '../src/disk.ts'

/** Flips a bit of the block's bytes, wherever in a segment its CID stands. */
async function flip(directory: string, key: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.car')) continue
    const bytes = await readFile(join(directory, name))
    const at = bytes.indexOf(Buffer.from(`0155${key}`, 'hex'))
    if (at < 0) continue
    const last = at + 2 + key.length / 2
    bytes[last] = (bytes[last] as number) ^ 1
    await writeFile(join(directory, name), bytes)
  }
}

const disk = suite('openStore')

const facts = storeContract(async (options) => {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-store-'))
  let store = await openStore({ ...options, directory })
  return {
    store,
    reopen: async () => {
      await store.close()
      store = await openStore({ ...options, directory })
      return store
    },
    damage: async (key) => flip(directory, key),
    close: async () => {
      await store.close()
      await rm(directory, { recursive: true })
    }
  }
})
for (const [fact, check] of facts) disk(fact, check)

disk.run()
