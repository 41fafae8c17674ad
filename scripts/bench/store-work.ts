/** What every store is put through by the benchmark `store`, and how it is timed. */
import { hash, randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'

const MiB = 1024 * 1024
/** A turn of the event loop that took longer is counted. */
const HELD_MS = 5
/** Between looks at the clock, of which one that comes late tells of a turn that was long. */
const LOOK_MS = 1

export interface Plan {
  /** Of a block, bytes. */
  size: number
  count: number
  writers: number
}

export interface Sample {
  /** Hex multihash: what Cairn calls a block's key. */
  key: string
  bytes: Uint8Array
}

/** A store under test. One that acknowledges before it synced is marked in the table, not here. */
export interface Tested {
  put(sample: Sample): Promise<unknown>
  get(sample: Sample): Promise<unknown>
  has(sample: Sample): Promise<unknown>
  /** All keys, counted. */
  keys(): Promise<number>
  delete(samples: readonly Sample[]): Promise<unknown>
  diskBytes(): Promise<number>
}

export interface Measured {
  /** Seconds each; `delete` is of half. */
  put: number
  get: number
  has: number
  keys: number
  delete: number
  putCpu: number
  /** Turns of the event loop in the put, how many were held for over 5 ms, and the longest, ms. */
  turns: number
  held: number
  longestMs: number
  diskBytes: number
  peakMb: number
}

export async function seconds(work: () => unknown): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

export function samples({ size, count }: Plan): Sample[] {
  const pool = randomBytes(64 * MiB)
  return Array.from({ length: count }, (_, i) => {
    const bytes = Buffer.allocUnsafeSlow(size)
    const from = (i * 100_003) % (pool.length - size)
    pool.copy(bytes, 0, from, from + size)
    bytes.writeUInt32BE(i)
    return { key: `1220${hash('sha256', bytes)}`, bytes }
  })
}

/** `count` calls of `work`, `at` at a time. */
export async function pooled(
  count: number,
  at: number,
  work: (i: number) => Promise<unknown>
): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i)
  }
  await Promise.all(Array.from({ length: at }, one))
}

export async function measureStore(store: Tested, plan: Plan): Promise<Measured> {
  const { count, writers } = plan
  const all = samples(plan)
  const sample = (i: number): Sample => all[(i * 7919) % count] as Sample
  const watch = watchLoop()
  const before = process.cpuUsage()
  const put = await seconds(() => pooled(count, writers, (i) => store.put(all[i] as Sample)))
  const { user, system } = process.cpuUsage(before)
  const loop = watch()
  const diskBytes = await store.diskBytes()
  const get = await seconds(() => pooled(count, 16, (i) => store.get(sample(i))))
  const has = await seconds(() => pooled(count, 16, (i) => store.has(sample(i))))
  const keys = await seconds(async () => {
    const found = await store.keys()
    if (found !== count) throw new Error(`${found} keys of ${count}`)
  })
  const half = all.filter((_, i) => i % 2 === 0)
  const deleted = await seconds(() => store.delete(half))
  const peakMb = process.resourceUsage().maxRSS / 1e3
  return { put, get, has, keys, delete: deleted, putCpu: (user + system) / 1e6, ...loop, diskBytes, peakMb }
}

function watchLoop(): () => Pick<Measured, 'turns' | 'held' | 'longestMs'> {
  const { loopCount } = performance.nodeTiming.uvMetricsInfo
  let last = performance.now()
  let held = 0
  let longestMs = 0
  const timer = setInterval(() => {
    const now = performance.now()
    const lateMs = now - last - LOOK_MS
    last = now
    longestMs = Math.max(longestMs, lateMs)
    if (lateMs > HELD_MS) held++
  }, LOOK_MS)
  return () => {
    clearInterval(timer)
    return { turns: performance.nodeTiming.uvMetricsInfo.loopCount - loopCount, held, longestMs }
  }
}
