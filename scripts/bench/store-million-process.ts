/** A store of a million blocks in a process of its own: `put|sweep|rebuild DIRECTORY`; lines of JSON. */
import { hash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { BlockKey } from '@cairn/core'
import { openStore, rebuildStore } from '@cairn/store'
import { pooled, seconds } from './store-work.ts'

const COUNT = 1_000_000
const AT_ONCE = 100
const BLOCK_BYTES = 100
const CLAIM = { claimant: '01'.repeat(33), sequence: 1, live: true, replicas: 3 }
/** As much as blocks that came in one upload share of it. */
const PROOF_BYTES = 100

const [phase = '', directory = ''] = process.argv.slice(2)
const options = { directory, capacity: 64 * 1024 ** 3 }

/** Resident, of its own and mapped: LevelDB maps its files, and those pages are the system's to take back. */
function rssMb(): { own: number; mapped: number } {
  const status = readFileSync('/proc/self/status', 'utf8')
  const mb = (name: string): number =>
    (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024) / 1e6
  return { own: mb('RssAnon'), mapped: mb('RssFile') }
}

const say = (value: object): void => console.log(JSON.stringify(value))

async function put(): Promise<void> {
  const store = await openStore(options)
  const proof = randomBytes(PROOF_BYTES)
  const took = await seconds(() =>
    pooled(COUNT / AT_ONCE, 16, (i) =>
      store.put(
        Array.from({ length: AT_ONCE }, (_, j) => {
          const bytes = Buffer.alloc(BLOCK_BYTES)
          bytes.writeUInt32BE(AT_ONCE * i + j)
          return { key: `1220${hash('sha256', bytes)}` as BlockKey, bytes, claims: [{ ...CLAIM, proof }] }
        })
      )
    )
  )
  say({ perSecond: COUNT / took, rssMb: rssMb() })
  await new Promise((resolve) => process.stdin.resume().once('end', resolve))
  await store.close().catch(() => undefined) // the power may have failed: then there is no disk to close
}

async function sweep(): Promise<void> {
  let store: Awaited<ReturnType<typeof openStore>> | undefined
  const open = await seconds(async () => {
    store = await openStore(options)
  })
  if (store === undefined) return
  const { blocks } = store.usage()
  const openedMb = rssMb()
  let summaries = 0
  const took = await seconds(async () => {
    for (let some = await store?.changes(256); some !== undefined && some.length > 0; ) {
      summaries += some.length
      some = await store?.changes(256)
    }
  })
  say({ open, blocks, openedMb, summaries, sweep: took, sweptMb: rssMb() })
  await store.close()
}

async function rebuild(): Promise<void> {
  const took = await seconds(() => rebuildStore(options))
  say({ rebuild: took, rssMb: rssMb() })
}

await ({ put, sweep, rebuild } as Record<string, () => Promise<void>>)[phase]?.()
