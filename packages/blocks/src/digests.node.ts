/**
 * Digests on Node, off the event loop: pieces are copied into a ring of shared memory, and each of a few
 * threads runs its part of the hashes over them. The ring is the bound: who is ahead of the hashing waits.
 * Short contents are hashed at once, since a thread's answer takes longer. The browser's half is
 * digests.web.ts; package.json's `#digests` chooses.
 */
import { hash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { CairnError } from '@cairn/core'
import { DIGEST_NAMES, type Digester, type DigestName, type Digests } from './digests.ts'
import type { FromWorker, ToWorker, WorkerStart } from './digests-worker.ts'

/** What a put computes unless told. */
export const DEFAULT_DIGESTS: readonly DigestName[] = ['md5', 'sha1', 'sha256', 'sha512']

/** A piece of the ring: a message to a thread and back costs both some 60 µs, hashing a MiB over 500. */
const PIECE_BYTES = 1024 * 1024
/** Pieces: some for each thread to work on while the next are copied. */
const PIECES = 8
/** Contents that may end in one piece, and how long the first may wait for others, ms. */
const ENDS_MAX = 64
const FLUSH_MS = 10
/** Of so little in all, each so short, no thread is started: that takes some 30 ms. */
const INLINE_BYTES_MAX = 64 * 1024
const INLINE_TOTAL_BYTES_MAX = 2 * 1024 * 1024
/** More threads than this help nobody: the dearest hash is some third of the work. */
const THREADS_MAX = 3
/**
 * What hashing costs, by how it costs here: a processor with instructions for SHA takes a fifth of the time
 * of one without for SHA-256, and for MD5 the same. Taken once, in a millisecond or two.
 */
const SAMPLE_BYTES = 64 * 1024
const SAMPLES = 3
let costs: ReadonlyMap<DigestName, number> | undefined

function measured(): ReadonlyMap<DigestName, number> {
  const sample = new Uint8Array(SAMPLE_BYTES)
  const best = (name: DigestName): number => {
    const times = Array.from({ length: SAMPLES }, () => {
      const startMs = performance.now()
      hash(name, sample, 'hex')
      return performance.now() - startMs
    })
    return Math.min(...times)
  }
  costs ??= new Map(DIGEST_NAMES.map((name) => [name, best(name)]))
  return costs
}

/** Hashes to threads: the dearest first, each to the thread with least to do. */
export function groupsOf(
  names: readonly DigestName[],
  threads: number,
  costs: ReadonlyMap<DigestName, number>
): DigestName[][] {
  const costOf = (name: DigestName): number => costs.get(name) ?? 0
  const groups = Array.from({ length: Math.max(1, Math.min(names.length, threads)) }, () => ({
    names: [] as DigestName[],
    cost: 0
  }))
  for (const name of names.toSorted((a, b) => costOf(b) - costOf(a))) {
    const least = groups.reduce((best, group) => (group.cost < best.cost ? group : best))
    least.names.push(name)
    least.cost += costOf(name)
  }
  return groups.map((group) => group.names)
}

interface Ending {
  digests: Digests
  left: number
  resolve(digests: Digests): void
  reject(error: unknown): void
}

interface Filling {
  piece: number
  length: number
  ends: { content: number; at: number }[]
}

export function openDigester(names: readonly DigestName[]): Digester {
  const ring = new SharedArrayBuffer(PIECES * PIECE_BYTES) // pages that are never touched cost nothing
  /** Threads that have yet to hash each piece; free at 0. */
  const busy = new Array<number>(PIECES).fill(0)
  const endings = new Map<number, Ending>()
  let workers: Worker[] = []
  let failure: Error | undefined
  let freed = Promise.withResolvers<void>()
  let current: Filling | undefined
  /** Where the content under way begins in the current piece; undefined when it began in one before. */
  let begin: number | undefined = 0
  let inlined = 0
  let content = 0
  let timer: NodeJS.Timeout | undefined

  const fail = (error: Error): void => {
    failure ??= error
    for (const { reject } of endings.values()) reject(failure)
    endings.clear()
    freed.resolve()
  }
  /** Threads at work keep the process alive, idle ones don't: a source may wait for ever. */
  const rest = (): void => {
    if (endings.size === 0 && busy.every((left) => left === 0)) for (const worker of workers) worker.unref()
  }
  const heard = ({ piece, ended }: FromWorker): void => {
    if (piece !== undefined) {
      busy[piece] = (busy[piece] as number) - 1
      if (busy[piece] === 0) {
        freed.resolve()
        freed = Promise.withResolvers()
      }
    }
    for (const { content, digests } of ended) {
      const ending = endings.get(content)
      if (ending === undefined) continue
      ending.digests = { ...ending.digests, ...digests }
      if (--ending.left > 0) continue
      endings.delete(content)
      ending.resolve(sorted(ending.digests))
    }
    rest()
  }
  const tell = (message: ToWorker): void => {
    for (const worker of workers) {
      worker.ref()
      worker.postMessage(message)
    }
  }
  const free = async (): Promise<number> => {
    for (;;) {
      if (failure !== undefined) throw failure
      const piece = busy.indexOf(0)
      if (piece >= 0) return piece
      await freed.promise
    }
  }
  const started = (): number => {
    if (workers.length === 0) workers = startWorkers(names, { ring, heard, fail })
    return workers.length
  }
  const handOver = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (current === undefined) return
    const { piece, length, ends } = current
    busy[piece] = started()
    tell({ piece, offset: piece * PIECE_BYTES, length, ends })
    begin = ends.at(-1)?.at === length ? 0 : undefined
    current = undefined
  }
  /** What is hashed here and now; undefined when that is for the threads. */
  const inline = (): Digests | undefined => {
    const length = (current?.length ?? 0) - (begin ?? 0)
    const isFew = length <= INLINE_BYTES_MAX && inlined + length <= INLINE_TOTAL_BYTES_MAX
    if (workers.length > 0 || begin === undefined || !isFew) return undefined
    inlined += length
    const at = (current?.piece ?? 0) * PIECE_BYTES + begin
    if (current !== undefined) current.length = begin
    return hashAll(names, new Uint8Array(ring, at, length))
  }
  const end = async (): Promise<Digests> => {
    if (failure !== undefined) throw failure
    const digests = inline()
    if (digests !== undefined) return digests
    const { promise, resolve, reject } = Promise.withResolvers<Digests>()
    endings.set(content, { digests: {}, left: started(), resolve, reject })
    if (current === undefined) tell({ piece: undefined, offset: 0, length: 0, ends: [{ content, at: 0 }] })
    else {
      current.ends.push({ content, at: current.length })
      if (current.ends.length === ENDS_MAX || current.length === PIECE_BYTES) handOver()
      else timer ??= setTimeout(handOver, FLUSH_MS)
    }
    content++
    begin = current?.length ?? 0
    return promise
  }
  return {
    async update(bytes) {
      for (let at = 0; at < bytes.length; ) {
        current ??= { piece: await free(), length: 0, ends: [] }
        const part = bytes.subarray(at, at + PIECE_BYTES - current.length)
        new Uint8Array(ring, current.piece * PIECE_BYTES + current.length).set(part)
        current.length += part.length
        at += part.length
        if (current.length === PIECE_BYTES) handOver()
      }
    },
    end() {
      const promised = end()
      promised.catch(() => {}) // whoever was promised it hears of it, when they look
      return promised
    },
    async close() {
      clearTimeout(timer)
      fail(new CairnError('INTERNAL', 'the digests were given up'))
      await Promise.all(workers.map((worker) => worker.terminate()))
    }
  }
}

function hashAll(names: readonly DigestName[], bytes: Uint8Array): Digests {
  return Object.fromEntries(names.map((name) => [name, hash(name, bytes, 'hex')]))
}

function sorted(digests: Digests): Digests {
  return Object.fromEntries(DIGEST_NAMES.flatMap((name) => (digests[name] ? [[name, digests[name]]] : [])))
}

function startWorkers(
  names: readonly DigestName[],
  at: { ring: SharedArrayBuffer; heard(message: FromWorker): void; fail(error: Error): void }
): Worker[] {
  // its file has this one's ending: .ts where sources are run, .js where they were built
  const path = import.meta.url.replace(/digests\.node\.(\w+)$/, 'digests-worker.$1')
  // One more than cores, the reader's own thread aside: whoever waits for a piece leaves its core to another.
  const threads = availableParallelism() === 1 ? 1 : THREADS_MAX
  return groupsOf(names, threads, measured()).map((group) => {
    const workerData: WorkerStart = { names: group, ring: at.ring }
    const worker = new Worker(new URL(path), { workerData })
    worker.on('message', at.heard)
    worker.on('error', at.fail)
    worker.on('exit', () => at.fail(new CairnError('INTERNAL', 'a hashing thread ended')))
    return worker
  })
}
