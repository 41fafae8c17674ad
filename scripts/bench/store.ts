/**
 * What a store does in a second, beside what the machine could: `npm run bench -- store [sizes] [--million]`.
 * Every figure is a ratio to a limit measured in the same run, since disks and neighbours change by the hour.
 */
import { hash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { BlockKey } from '@cairn/core'
import { type DiskStore, openStore, rebuildStore } from '@cairn/store'

const MiB = 1024 * 1024
const CAPACITY_BYTES = 64 * 1024 * MiB
const CLAIM = { claimant: '01'.repeat(33), sequence: 1, live: true, replicas: 3 }
/** Of a claim: a header, a signature and a path of ten hashes. */
const PROOF_BYTES = 600

interface Plan {
  size: number
  count: number
  writers: number
}

const PLANS: Plan[] = [
  { size: MiB, count: 512, writers: 16 },
  { size: MiB / 4, count: 1024, writers: 16 },
  { size: 1024, count: 60_000, writers: 64 }
]

interface Limits {
  write: number
  read: number
  hash: number
}

interface Sample {
  key: BlockKey
  bytes: Uint8Array
}

async function seconds(work: () => unknown): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

/** MB/s of a sequential write synced every 16 MiB, of reading it back, and of SHA-256 on one core. */
async function limits(directory: string): Promise<Limits> {
  const path = join(directory, 'raw')
  const piece = randomBytes(MiB)
  const count = 384
  const megabytes = (count * MiB) / 1e6
  const fd = fs.openSync(path, 'w+')
  const write = await seconds(() => {
    for (let i = 1; i <= count; i++) {
      fs.writeSync(fd, piece)
      if (i % 16 === 0) fs.fdatasyncSync(fd)
    }
  })
  const read = await seconds(() => {
    for (let i = 0; i < count; i++) fs.readSync(fd, piece, 0, MiB, i * MiB)
  })
  const hashing = await seconds(() => {
    for (let i = 0; i < count; i++) hash('sha256', piece)
  })
  fs.closeSync(fd)
  fs.unlinkSync(path)
  return { write: megabytes / write, read: megabytes / read, hash: megabytes / hashing }
}

function samples({ size, count }: Plan): Sample[] {
  const pool = randomBytes(64 * MiB)
  return Array.from({ length: count }, (_, i) => {
    const bytes = Buffer.allocUnsafeSlow(size)
    const from = (i * 100_003) % (pool.length - size)
    pool.copy(bytes, 0, from, from + size)
    bytes.writeUInt32BE(i)
    return { key: `1220${hash('sha256', bytes)}` as BlockKey, bytes }
  })
}

/** `count` calls of `work`, `at` at a time. */
async function pooled(count: number, at: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i)
  }
  await Promise.all(Array.from({ length: at }, one))
}

function row(what: string, rate: string, note: string): void {
  console.log(`  ${what.padEnd(22)}${rate.padStart(16)}   ${note}`)
}

async function bench(plan: Plan): Promise<void> {
  const { size, count, writers } = plan
  const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
  const blocks = samples(plan)
  const megabytes = (size * count) / 1e6
  const before = await limits(directory)
  const at = join(directory, 'store')
  let store = await openStore({ directory: at, capacity: CAPACITY_BYTES })
  console.log(`${size >= MiB / 4 ? `${size / 1024} KiB` : `${size} B`}, ${count} blocks, ${writers} writers`)

  const put = await timedPut(store, blocks, writers)
  const after = await limits(directory)
  const limit: Limits = {
    write: (before.write + after.write) / 2,
    read: (before.read + after.read) / 2,
    hash: (before.hash + after.hash) / 2
  }
  row(
    'limits',
    '',
    `write ${limit.write.toFixed(0)}, read ${limit.read.toFixed(0)}, hash ${limit.hash.toFixed(0)} MB/s`
  )
  const putRate = megabytes / put.seconds
  row(
    'put, durable',
    `${putRate.toFixed(0)} MB/s`,
    `${(putRate / limit.write).toFixed(2)} of the write; ${(count / put.seconds).toFixed(0)}/s`
  )
  row(
    '',
    `${put.cpuSeconds.toFixed(2)} CPU s`,
    `event loop: p99 ${put.p99Ms.toFixed(1)}, p99.9 ${put.p999Ms.toFixed(1)} ms`
  )

  const key = (i: number): BlockKey => (blocks[(i * 7919) % count] as Sample).key
  const get = await seconds(() => pooled(count, 16, (i) => store.get(key(i))))
  const possible = 1 / (1 / limit.read + 1 / limit.hash)
  const getRate = megabytes / get
  row(
    'get, verified',
    `${getRate.toFixed(0)} MB/s`,
    `${(getRate / possible).toFixed(2)} of one core's; ${(count / get).toFixed(0)}/s`
  )
  const has = await seconds(() => pooled(count, 16, (i) => store.stat(key(i))))
  row('stat', `${(count / has).toFixed(0)}/s`, 'claims and proofs included')
  const iterate = await seconds(async () => {
    for await (const _ of store.keys());
  })
  row('iterate keys', `${(count / iterate).toFixed(0)}/s`, '')
  const half = blocks.filter((_, i) => i % 2 === 0).map(({ key }) => key)
  const remove = await seconds(() => store.delete(half))
  const used = store.usage().diskBytes
  row(
    'delete half',
    `${(half.length / remove).toFixed(0)}/s`,
    `disk / data before: ${(used / 1e6 / megabytes).toFixed(2)}`
  )
  const compact = await seconds(() => store.compactNow())
  row(
    'compact',
    `${compact.toFixed(2)} s`,
    `disk / data after: ${(store.usage().diskBytes / 1e6 / (megabytes / 2)).toFixed(2)}`
  )
  await store.close()
  const reopen = await seconds(async () => {
    store = await openStore({ directory: at, capacity: CAPACITY_BYTES })
  })
  await store.close()
  const rebuild = await seconds(() => rebuildStore({ directory: at, capacity: CAPACITY_BYTES }))
  row('reopen, rebuild', `${(reopen * 1000).toFixed(0)} ms`, `${(rebuild * 1000).toFixed(0)} ms`)
  await rm(directory, { recursive: true })
}

interface Timed {
  seconds: number
  cpuSeconds: number
  p99Ms: number
  p999Ms: number
}

async function timedPut(store: DiskStore, blocks: readonly Sample[], writers: number): Promise<Timed> {
  const proof = randomBytes(PROOF_BYTES)
  const loop = monitorEventLoopDelay({ resolution: 1 })
  const cpu = process.cpuUsage()
  loop.enable()
  const took = await seconds(() =>
    pooled(blocks.length, writers, (i) => {
      const block = blocks[i] as Sample
      return store.put([{ ...block, claims: [{ ...CLAIM, proof }] }])
    })
  )
  loop.disable()
  const { user, system } = process.cpuUsage(cpu)
  const [p99Ms, p999Ms] = [loop.percentile(99) / 1e6, loop.percentile(99.9) / 1e6]
  return { seconds: took, cpuSeconds: (user + system) / 1e6, p99Ms, p999Ms }
}

/** A million blocks of 100 bytes: what they cost in memory, and how long until they are there again. */
async function million(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
  const count = 1_000_000
  const proof = randomBytes(100)
  const options = { directory, capacity: CAPACITY_BYTES }
  let store = await openStore(options)
  const took = await seconds(() =>
    pooled(count / 100, 16, (i) => {
      const entries = Array.from({ length: 100 }, (_, j) => {
        const bytes = Buffer.alloc(100)
        bytes.writeUInt32BE(100 * i + j)
        return { key: `1220${hash('sha256', bytes)}` as BlockKey, bytes, claims: [{ ...CLAIM, proof }] }
      })
      return store.put(entries)
    })
  )
  console.log(`a million blocks: put at ${(count / took).toFixed(0)}/s`)
  row('memory', `${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`, 'resident, of the whole process')
  await store.close()
  const reopen = await seconds(async () => {
    store = await openStore(options)
  })
  row('open, clean', `${(reopen * 1000).toFixed(0)} ms`, '')
  let summaries = 0
  const sweep = await seconds(async () => {
    for (let some = await store.changes(256); some.length > 0; some = await store.changes(256))
      summaries += some.length
  })
  row('all summaries', `${sweep.toFixed(1)} s`, `${summaries}`)
  await store.close()
  const rebuild = await seconds(() => rebuildStore(options))
  row('rebuild', `${rebuild.toFixed(1)} s`, `${(process.memoryUsage().rss / 1e6).toFixed(0)} MB resident`)
  await rm(directory, { recursive: true })
}

const wanted = process.argv
  .slice(2)
  .map(Number)
  .filter((size) => size > 0)
for (const plan of PLANS) if (wanted.length === 0 || wanted.includes(plan.size)) await bench(plan)
if (process.argv.includes('--million')) await million()
