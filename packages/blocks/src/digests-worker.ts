/** One hashing thread: runs its hashes over pieces of shared memory, in the order that they come. */
import { createHash } from 'node:crypto'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { DigestName, Digests } from './digests.ts'

export interface WorkerStart {
  names: readonly DigestName[]
  ring: SharedArrayBuffer
}

/** Bytes of the ring, and which contents end in them, each where: short ones share a piece. */
export interface ToWorker {
  /** To be freed; undefined when a content ends with nothing left to hash. */
  piece: number | undefined
  offset: number
  length: number
  ends: readonly { content: number; at: number }[]
}

export interface FromWorker {
  piece: number | undefined
  ended: readonly { content: number; digests: Digests }[]
}

/** Below event loops, which must not wait for a core. On Linux 0 is this thread, elsewhere the process. */
const NICER = 5
if (process.platform === 'linux') setPriority(0, Math.min(19, getPriority(0) + NICER))

const { names, ring } = workerData as WorkerStart
const start = () => names.map((name) => ({ name, hash: createHash(name) }))
let hashes = start()

parentPort?.on('message', (message: ToWorker) => {
  parentPort?.postMessage(answer(message))
})

function answer({ piece, offset, length, ends }: ToWorker): FromWorker {
  const bytes = new Uint8Array(ring, offset, length)
  let from = 0
  const ended = ends.map(({ content, at }) => {
    update(bytes.subarray(from, at))
    from = at
    return { content, digests: digest() }
  })
  update(bytes.subarray(from))
  return { piece, ended }
}

function update(bytes: Uint8Array): void {
  if (bytes.length > 0) for (const { hash } of hashes) hash.update(bytes)
}

function digest(): Digests {
  const digests = Object.fromEntries(hashes.map(({ name, hash }) => [name, hash.digest('hex')]))
  hashes = start()
  return digests
}
