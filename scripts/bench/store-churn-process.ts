/**
 * Blocks come and go at random in a store that stays as full as it is told: `SHARE DIRECTORY`; one line of
 * JSON with the bytes written to the disk, index and records included, for each byte of blocks put.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { BlockKey } from '@cairn/core'
import { openStore } from '@cairn/store'
import { MIB } from './inputs.ts'
import { type Sample, samples } from './store-work.ts'

const CAPACITY = 256 * MIB
const BLOCK_BYTES = 64 * 1024
/** Put and deleted before room is taken back: what the compactor would be at meanwhile. */
const AT_ONCE = 32
/** Times that all of what is kept is replaced. */
const ROUNDS = 2
const CLAIM = { claimant: '01'.repeat(33), sequence: 1, live: true, replicas: 3, proof: randomBytes(600) }

const [share = 0, directory = ''] = [Number(process.argv[2]), process.argv[3]]
const kept = Math.floor((share * CAPACITY) / BLOCK_BYTES / AT_ONCE) * AT_ONCE
const all = samples({ size: BLOCK_BYTES, count: (1 + ROUNDS) * kept, writers: 1 })
const store = await openStore({ directory, capacity: CAPACITY, compactBytesPerSecond: 1 })

/** By this process, to files and the line at the end. */
const written = (): number => Number(/^wchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])

async function put(from: number): Promise<Sample[]> {
  const some = all.slice(from, from + AT_ONCE)
  await store.put(some.map(({ key, bytes }) => ({ key: key as BlockKey, bytes, claims: [CLAIM] })))
  return some
}

async function replace(held: Sample[], from: number): Promise<void> {
  const gone: Sample[] = []
  for (let i = 0; i < AT_ONCE; i++) {
    const at = Math.floor(Math.random() * held.length)
    gone.push(held[at] as Sample)
    held[at] = held.at(-1) as Sample
    held.pop()
  }
  await store.delete(gone.map(({ key }) => key as BlockKey))
  await store.compactNow()
  held.push(...(await put(from)))
}

const before = written()
const held: Sample[] = []
for (let i = 0; i < kept; i += AT_ONCE) held.push(...(await put(i)))
const filled = written()
for (let i = kept; i < all.length; i += AT_ONCE) await replace(held, i)
const churned = written()
const { diskBytes } = store.usage()
await store.close()
const bytes = kept * BLOCK_BYTES
console.log(
  JSON.stringify({
    fill: (filled - before) / bytes,
    churn: (churned - filled) / (ROUNDS * bytes),
    disk: diskBytes / CAPACITY
  })
)
