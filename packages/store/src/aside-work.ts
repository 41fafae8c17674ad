/**
 * What a hashing thread does: hashes what lies in a slot of shared memory, in the order that it is asked to.
 * The thread is started from the text of the function, so all that it uses is given to it: a thread that
 * loads a file of TypeScript loads the compiler as well, and takes 12 MB more.
 */
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

export function work(
  { parentPort, workerData }: typeof import('node:worker_threads'),
  { hash }: typeof import('node:crypto'),
  { getPriority, setPriority }: typeof import('node:os')
): void {
  // below the event loop, which must not wait for a core; on Linux 0 is this thread, elsewhere the process
  const nicer = 10
  if (process.platform === 'linux') setPriority(0, Math.min(19, getPriority(0) + nicer))
  const memory = workerData as SharedArrayBuffer
  parentPort?.on('message', ({ slot, offset, name, length }: Asked) => {
    const hashed: Hashed = { slot, digest: hash(name, new Uint8Array(memory, offset, length)) }
    parentPort?.postMessage(hashed)
  })
}
