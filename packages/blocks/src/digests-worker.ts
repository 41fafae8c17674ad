/** One hashing thread: runs its hashes over pieces of shared memory, in the order that they come. */
import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { DigestName, Digests } from './digests.ts'

export interface WorkerStart {
  names: readonly DigestName[]
  ring: SharedArrayBuffer
}

export type ToWorker =
  | { type: 'piece'; piece: number; offset: number; length: number }
  | { type: 'end'; content: number }

export type FromWorker =
  | { type: 'hashed'; piece: number }
  | { type: 'digests'; content: number; digests: Digests }

const { names, ring } = workerData as WorkerStart
const start = () => names.map((name) => ({ name, hash: createHash(name) }))
let hashes = start()

parentPort?.on('message', (message: ToWorker) => {
  parentPort?.postMessage(answer(message))
})

function answer(message: ToWorker): FromWorker {
  if (message.type === 'piece') {
    const bytes = new Uint8Array(ring, message.offset, message.length)
    for (const { hash } of hashes) hash.update(bytes)
    return { type: 'hashed', piece: message.piece }
  }
  const digests = Object.fromEntries(hashes.map(({ name, hash }) => [name, hash.digest('hex')]))
  hashes = start()
  return { type: 'digests', content: message.content, digests }
}
