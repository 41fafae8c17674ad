/**
 * Hashes of long blocks, off the event loop: copied into shared memory and hashed there by two threads that
 * all stores of a process share. (subtle.digest does the same with more copying: 3.3 ms of processor for a
 * MiB where this takes 2.8, and 470 MB/s where this gives 740, on two cores without SHA instructions.)
 */
import { hash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { BLOCK_BYTES_MAX, CairnError } from '@cairn/core'
import { type Asked, type Hashed, work } from './aside-work.ts'

export type HashName = Asked['name']

/** One thread leaves half of two cores unused; a third would take turns with the event loop. */
const THREADS_MAX = 2
/** Of shared memory: the event loop may be late by some hashes. Pages that are never used cost nothing. */
const SLOTS = 2 * THREADS_MAX
/** Waiting for a slot. Their callers hold the bytes already; one more is refused. */
const WAITING_MAX = 65_536

const MODULES = ['worker_threads', 'crypto', 'os'].map((name) => `require('node:${name}')`)
const PROGRAM = `(${work})(${MODULES})`

interface Job {
  name: HashName
  bytes: Uint8Array
  resolve(digest: string): void
}

interface Thread {
  worker: Worker
  /** By slot. */
  jobs: Map<number, Job>
}

const threads: Thread[] = []
const threadsMax = Math.min(THREADS_MAX, availableParallelism())
const waiting: Job[] = []
const free = Array.from({ length: SLOTS }, (_, slot) => slot)
let memory: SharedArrayBuffer | undefined
/** A thread could not be started, or ended: from then on everything is hashed where it is asked for. */
let broken = false

/** The digest, in hex. `bytes` must not change until it is there. @throws CairnError BUSY */
export function hashAside(name: HashName, bytes: Uint8Array): Promise<string> {
  if (broken || bytes.length > BLOCK_BYTES_MAX) return Promise.resolve(hash(name, bytes))
  if (waiting.length >= WAITING_MAX) {
    throw new CairnError('BUSY', `${WAITING_MAX} blocks wait to be hashed`, { hint: 'Send fewer at once.' })
  }
  return new Promise((resolve) => {
    waiting.push({ name, bytes, resolve })
    dispatch()
  })
}

function dispatch(): void {
  while (waiting.length > 0 && free.length > 0) {
    const thread = leastBusy()
    const job = waiting.shift() as Job
    const slot = free.pop() as number
    const { name, bytes } = job
    const [offset, length] = [slot * BLOCK_BYTES_MAX, bytes.length]
    new Uint8Array(memory as SharedArrayBuffer, offset, length).set(bytes)
    const asked: Asked = { slot, offset, name, length }
    if (thread.jobs.size === 0) thread.worker.ref() // at work it keeps the process alive, idle it does not
    thread.jobs.set(slot, job)
    thread.worker.postMessage(asked)
  }
}

function leastBusy(): Thread {
  const [least] = threads.toSorted((a, b) => a.jobs.size - b.jobs.size)
  if (least !== undefined && (least.jobs.size === 0 || threads.length === threadsMax)) return least
  return startThread()
}

function startThread(): Thread {
  memory ??= new SharedArrayBuffer(SLOTS * BLOCK_BYTES_MAX)
  const worker = new Worker(PROGRAM, { eval: true, workerData: memory })
  const thread: Thread = { worker, jobs: new Map() }
  worker.on('message', (hashed: Hashed) => finish(thread, hashed))
  worker.on('error', () => giveUp(thread)) // the jobs are done here instead, so nobody need know
  worker.on('exit', () => giveUp(thread))
  worker.unref()
  threads.push(thread)
  return thread
}

function finish(thread: Thread, { slot, digest }: Hashed): void {
  const job = thread.jobs.get(slot)
  thread.jobs.delete(slot)
  free.push(slot)
  if (thread.jobs.size === 0) thread.worker.unref()
  job?.resolve(digest)
  dispatch()
}

function giveUp({ jobs }: Thread): void {
  broken = true
  for (const { name, bytes, resolve } of [...jobs.values(), ...waiting.splice(0)]) resolve(hash(name, bytes))
  jobs.clear()
}
