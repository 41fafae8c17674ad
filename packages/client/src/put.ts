/** A put under way: awaited for its result, and iterated for its progress. */
import type { CID } from 'multiformats/cid'
import type { UploadBlocks } from './digested.ts'
import type { RefWithReceipts } from './refs.ts'
import type { Holding, Pin, ShortBlock } from './types.ts'
import { type Means, type UploadOptions, upload } from './upload.ts'

export interface Progress {
  /** `hashing` while there is still something to read; sending goes on beside it. */
  phase: 'hashing' | 'sending'
  /** Of the files: hashed so far, or confirmed so far. */
  bytes: number
  /** Of all files, once that is known. */
  total?: number
  /** Confirmed copies, as a mean over all bytes: from 0 up to N. */
  replicas: number
}

export interface PutResult {
  cid: CID
  /** Bytes of the file, or of all files of the directory. */
  size: number
  blocks: number
  /** Receipts that every block has, at least. */
  replicas: number
  /** N asked for. */
  wanted: number
  /** Who gave receipts, and for how many blocks. */
  holders: Holding[]
  /** Blocks with fewer than N receipts, and why; not all of them are named. */
  short: ShortBlock[]
  /** Undefined when a ref was to keep it. */
  pin: Pin | undefined
  /** The ref that was to point to it, and does. */
  ref: RefWithReceipts | undefined
  /** The record of its files' digests. */
  digests: CID | undefined
}

/** Starts at once. An error goes to whoever awaits it; the progress then just ends. */
export interface Put extends PromiseLike<PutResult> {
  /** The latest state whenever it has changed; steps that nobody waited for are left out. */
  progress(): AsyncIterable<Progress>
}

export function startPut(
  means: Means,
  source: { blocks: UploadBlocks; total: number | undefined },
  options: UploadOptions
): Put {
  const meter = newMeter(source.total)
  const result = upload(means, meter.over(source.blocks), { ...options, watcher: meter }).then(
    ({ root, pin, ref, blocks, replicas, wanted, holders, short }) => {
      const { cid, size, digests } = root
      return { cid, size, blocks, replicas, wanted, holders, short, pin, ref, digests }
    }
  )
  result.finally(meter.end).catch(() => {}) // told by `then`; who only iterates must not end the process
  return {
    // biome-ignore lint/suspicious/noThenProperty: a put is a PromiseLike
    then: (resolved, rejected) => result.then(resolved, rejected),
    progress: () => meter.progress()
  }
}

interface Meter {
  hashed(bytes: number): void
  confirmed(bytes: number, replicas: number): void
  over(blocks: UploadBlocks): UploadBlocks
  end: () => void
  progress(): AsyncIterable<Progress>
}

function newMeter(known: number | undefined): Meter {
  let hashedBytes = 0
  let confirmedBytes = 0
  let copiedBytes = 0
  let total = known
  let allHashed = false
  let ended = false
  let version = 0
  let changed = Promise.withResolvers<void>()

  const change = (): void => {
    version++
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const now = (): Progress => {
    const ofAll = total ?? hashedBytes
    return {
      phase: allHashed ? 'sending' : 'hashing',
      bytes: allHashed ? confirmedBytes : hashedBytes,
      ...(total === undefined ? {} : { total }),
      replicas: ofAll === 0 ? 0 : copiedBytes / ofAll
    }
  }
  return {
    hashed(bytes) {
      hashedBytes += bytes
      change()
    },
    confirmed(bytes, replicas) {
      confirmedBytes += bytes
      copiedBytes += bytes * replicas
      change()
    },
    async *over(blocks) {
      const root = yield* blocks
      allHashed = true
      total = hashedBytes
      change()
      return root
    },
    end() {
      ended = true
      change()
    },
    async *progress() {
      for (let seen = -1; ; ) {
        if (seen !== version) {
          seen = version
          yield now()
        } else if (ended) return
        else await changed.promise
      }
    }
  }
}
