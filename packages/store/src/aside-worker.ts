/** One hashing thread: hashes what lies in a slot of shared memory, in the order that it is asked to. */
import { hash } from 'node:crypto'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'

export interface Asked {
  slot: number
  /** Where the bytes begin. */
  offset: number
  name: 'sha256' | 'sha512'
  length: number
}

export interface Hashed {
  slot: number
  /** Hex. */
  digest: string
}

/** Below the event loop, which must not wait for a core. On Linux 0 is this thread, elsewhere the process. */
const NICER = 5
if (process.platform === 'linux') setPriority(0, Math.min(19, getPriority(0) + NICER))

const memory = workerData as SharedArrayBuffer

parentPort?.on('message', ({ slot, offset, name, length }: Asked) => {
  const digest = hash(name, new Uint8Array(memory, offset, length))
  const hashed: Hashed = { slot, digest }
  parentPort?.postMessage(hashed)
})
