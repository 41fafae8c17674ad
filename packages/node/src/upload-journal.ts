/**
 * What this node claimed for each upload, one file an upload, so that those claims can end: when a ref keeps
 * the blocks in their place, or when nobody has gone on with the upload for long. Written beside the claims
 * and not synced: a power cut at that moment leaves some blocks claimed for nothing, and loses none.
 */
import { appendFile, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type BlockKey, fromHex, toHex } from '@cairn/core'
import { errnoOf, makeDirectory } from './files.ts'

/** Claims that end at a time. */
const END_BLOCKS = 512
/** Between two such batches: nobody waits for them, and others may. A guess. */
const PAUSE_MS = 250
/** When it was begun, 8 bytes, and N. */
const HEAD_BYTES = 9
const OPEN = /^([0-9a-f]{32})\.open$/
const ENDING = /^([0-9a-f]{32})\.(\d+)\.ending$/

export interface UploadJournal {
  /** Notes that these are about to be claimed; gives when the upload was begun: no two times are alike. */
  note(upload: string, keys: readonly BlockKey[], replicas: number): Promise<number>
  /**
   * Its claims are about to be those of a pin: they do not end by themselves any more, whatever comes of it.
   * Gives when it was begun; undefined where there are none.
   */
  adopt(upload: string): Promise<number | undefined>
  /** The upload is over: what it claimed is to end. A later put of that name begins another. */
  finish(upload: string): Promise<void>
  /** The same for uploads that nobody has gone on with for so long. */
  abandon(idleMs: number, nowMs: number): Promise<string[]>
  /** Ends what is to end. What can't end now is tried again with the next call. */
  sweep(end: EndBatch): Promise<void>
}

export type EndBatch = (
  upload: string,
  keys: readonly BlockKey[],
  about: { begun: number; replicas: number }
) => Promise<void>

export function openUploadJournal(home: string): UploadJournal {
  const directory = join(home, 'uploads')
  const heads = new Map<string, number>()
  const pathOf = (upload: string) => join(directory, `${upload}.open`)
  let last = 0
  let sweeping: Promise<void> = Promise.resolve()
  let tail: Promise<unknown> = Promise.resolve()
  /** One change at a time: what is noted goes to the file that it was begun in. */
  const serial = <T>(work: () => Promise<T>): Promise<T> => {
    const done = tail.then(work)
    tail = done.catch(() => undefined) // its caller hears of it
    return done
  }

  const begin = async (upload: string, replicas: number): Promise<number> => {
    const path = pathOf(upload)
    const known = await headOf(path)
    if (known !== undefined) return known.begun
    await makeDirectory(directory)
    last = Math.max(last + 1, Date.now())
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeDoubleBE(last)
    head[HEAD_BYTES - 1] = replicas
    await appendFile(path, head, { mode: 0o600 })
    return last
  }
  const finish = async (upload: string): Promise<void> => {
    const begun = heads.get(upload) ?? (await headOf(pathOf(upload)))?.begun
    heads.delete(upload)
    if (begun === undefined) return // another node has it, or it has ended before
    await rename(pathOf(upload), join(directory, `${upload}.${begun}.ending`)).catch(unlessGone)
  }
  const sweep = async (end: EndBatch): Promise<void> => {
    for (const name of await namesIn(directory)) {
      const [, upload = ''] = ENDING.exec(name) ?? []
      if (upload === '') continue
      const path = join(directory, name)
      const head = await headOf(path)
      for await (const keys of head === undefined ? [] : batches(path)) {
        const { begun = 0, replicas = 1 } = head ?? {}
        await end(upload, keys, { begun, replicas })
        await wait(PAUSE_MS)
      }
      await rm(path, { force: true })
    }
  }
  return {
    note: (upload, keys, replicas) =>
      serial(async () => {
        const begun = heads.get(upload) ?? (await begin(upload, replicas))
        heads.set(upload, begun)
        await appendFile(pathOf(upload), rowsOf(keys))
        return begun
      }),
    adopt: (upload) =>
      serial(async () => {
        const begun = heads.get(upload) ?? (await headOf(pathOf(upload)))?.begun
        heads.delete(upload)
        await rm(pathOf(upload), { force: true })
        return begun
      }),
    finish: (upload) => serial(() => finish(upload)),
    async abandon(idleMs, nowMs) {
      const ended: string[] = []
      for (const name of await namesIn(directory)) {
        const upload = OPEN.exec(name)?.[1]
        if (upload === undefined) continue
        const { mtimeMs } = await stat(join(directory, name))
        if (nowMs - mtimeMs < idleMs) continue
        await serial(() => finish(upload))
        ended.push(upload)
      }
      return ended
    },
    sweep(end) {
      sweeping = sweeping.catch(() => undefined).then(() => sweep(end)) // its own caller heard of it
      return sweeping
    }
  }
}

function rowsOf(keys: readonly BlockKey[]): Buffer {
  return Buffer.concat(keys.flatMap((key) => [Buffer.of(key.length / 2), fromHex(key)]))
}

function unlessGone(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort()
  } catch (error) {
    unlessGone(error)
    return [] // nothing was uploaded yet
  }
}

async function headOf(path: string): Promise<{ begun: number; replicas: number } | undefined> {
  const head = Buffer.alloc(HEAD_BYTES)
  try {
    const file = await open(path)
    try {
      const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0)
      if (bytesRead < HEAD_BYTES) return undefined
    } finally {
      await file.close()
    }
  } catch (error) {
    unlessGone(error)
    return undefined
  }
  return { begun: head.readDoubleBE(), replicas: head[HEAD_BYTES - 1] as number }
}

/** Some 40 bytes a block: of a terabyte 40 MB, read at once. A part at the end is left out. */
async function* batches(path: string): AsyncGenerator<BlockKey[], void> {
  const bytes = await readFile(path)
  let keys = new Set<BlockKey>()
  for (let at = HEAD_BYTES; at < bytes.length; ) {
    const length = bytes[at] as number
    if (at + 1 + length > bytes.length) break
    keys.add(toHex(bytes.subarray(at + 1, at + 1 + length)) as BlockKey)
    at += 1 + length
    if (keys.size < END_BLOCKS) continue
    yield [...keys]
    keys = new Set()
  }
  if (keys.size > 0) yield [...keys]
}
