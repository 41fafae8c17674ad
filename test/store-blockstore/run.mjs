/**
 * The public suite that every IPFS blockstore runs, over Cairn's disk store and the one in memory. It comes
 * with 100 packages, so it is installed beside the project, not with it: `npm ci` here, then
 * test/store-blockstore.ts runs it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { interfaceBlockstoreTests } from 'interface-blockstore-tests'
import { blockstoreOf, memoryStore, openStore } from '../../packages/store/src/index.ts'

const CAPACITY_BYTES = 64 * 1024 * 1024

describe('the store on a disk', () => {
  const open = new Map()
  interfaceBlockstoreTests({
    async setup() {
      const directory = await mkdtemp(join(tmpdir(), 'cairn-blockstore-'))
      const store = await openStore({ directory, capacity: CAPACITY_BYTES })
      const blockstore = blockstoreOf(store)
      open.set(blockstore, async () => {
        await store.close()
        await rm(directory, { recursive: true })
      })
      return blockstore
    },
    async teardown(blockstore) {
      await open.get(blockstore)?.()
    }
  })
})

describe('the store in memory', () => {
  interfaceBlockstoreTests({
    setup: async () => blockstoreOf(memoryStore({ capacity: CAPACITY_BYTES })),
    teardown: async () => undefined
  })
})
