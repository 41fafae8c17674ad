/**
 * The public suite that every IPFS blockstore runs, over Cairn's disk store and the one in memory. It comes
 * with 100 packages, so it is installed beside the project, not with it: `npm ci` here, then
 * test/store-blockstore.ts runs it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blockstoreOf, memoryStore, openStore } from '../../packages/store/src/index.ts'

// The one file of aegir that the suite imports; the whole of it would be 1,500 packages.
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'aegir/chai'
      ? next('./chai.js', { ...context, parentURL: import.meta.url })
      : next(specifier, context)
})
const { interfaceBlockstoreTests } = await import('interface-blockstore-tests')

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
