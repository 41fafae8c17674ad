import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { storeContract } from '../src/contract.ts'
import { openStore } from '../src/disk.ts'

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
    damage: async (key) => {
      const bytes = await readFile(join(directory, key))
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
      await writeFile(join(directory, key), bytes)
    },
    close: async () => {
      await store.close()
      await rm(directory, { recursive: true })
    }
  }
})
for (const [fact, check] of facts) disk(fact, check)

disk.run()
