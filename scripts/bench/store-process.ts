/** Cairn's store in a process of its own, measured: `SIZE COUNT WRITERS DIRECTORY`; one line of JSON. */
import { randomBytes } from 'node:crypto'
import type { BlockKey } from '@cairn/core'
import { openStore, rebuildStore } from '@cairn/store'
import { measureStore, type Sample, samples, seconds } from './store-work.ts'

const CLAIM = { claimant: '01'.repeat(33), sequence: 1, live: true, replicas: 3 }
/** Of a claim: a header, a signature and a path of ten hashes. */
const PROOF_BYTES = 600
/** Put before the clock runs: threads start, and the code is compiled. */
const WARM = 32

const [size = 0, count = 0, writers = 0] = process.argv.slice(2, 5).map(Number)
const options = { directory: process.argv[5] as string, capacity: 64 * 1024 ** 3 }
const proof = randomBytes(PROOF_BYTES)
let store = await openStore(options)

async function put({ key, bytes }: Sample): Promise<void> {
  await store.put([{ key: key as BlockKey, bytes, claims: [{ ...CLAIM, proof }] }])
}

const warm = samples({ size, count: WARM, writers })
await Promise.all(warm.map(put))
await store.delete(warm.map(({ key }) => key as BlockKey))

const measured = await measureStore(
  {
    put,
    get: ({ key }) => store.get(key as BlockKey),
    has: ({ key }) => store.stat(key as BlockKey),
    async keys() {
      let found = 0
      for await (const _ of store.keys()) found++
      return found
    },
    delete: (all) => store.delete(all.map(({ key }) => key as BlockKey)),
    diskBytes: async () => store.usage().diskBytes
  },
  { size, count, writers }
)
const compact = await seconds(() => store.compactNow())
const compactedBytes = store.usage().diskBytes
await store.close()
const reopen = await seconds(async () => {
  store = await openStore(options)
})
await store.close()
const rebuild = await seconds(() => rebuildStore(options))
console.log(JSON.stringify({ ...measured, compact, compactedBytes, reopen, rebuild }))
