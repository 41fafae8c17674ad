/** What a CID stands for, read: a file's bytes as a stream, and trees of files. Every block is verified. */
import {
  CODECS,
  parseCid,
  readFile,
  resolvePath,
  stat,
  type TreeEntry,
  type WalkEntry,
  walk
} from '@cairn/blocks'
import type { CID } from 'multiformats/cid'
import type { FetchBlock } from './fetch-blocks.ts'

/** Blocks asked for ahead of the reader: four requests of four. */
export const READ_AHEAD_BLOCKS = 16
/** Entries of a tree that are looked at ahead, and bytes of the small files among them. */
const AHEAD_ENTRIES = 256
const AHEAD_BYTES = 8 * 1024 * 1024

export interface GetOptions {
  /** The first and the last byte wanted, both included. */
  range?: { start: number; end?: number }
  /** Blocks are always verified; here so that code may say so. */
  verify?: true
  signal?: AbortSignal
}

/** A file. Its bytes can be read once, in one of these ways. */
export interface Got extends AsyncIterable<Uint8Array> {
  readonly cid: CID
  /** Bytes of the whole file, whatever the range. */
  readonly size: number
  readonly body: ReadableStream<Uint8Array>
  bytes(): Promise<Uint8Array>
  text(): Promise<string>
}

/** The CID at the end of `CID/path/to/it`. */
export async function locate(
  fetchBlock: FetchBlock,
  where: CID | string,
  signal?: AbortSignal
): Promise<CID> {
  if (typeof where !== 'string') return parseCid(where)
  const text = where.replace(/^(ipfs:\/\/|\/ipfs\/)/, '')
  const slash = text.indexOf('/')
  if (slash < 0) return parseCid(text)
  return resolvePath(parseCid(text.slice(0, slash)), text.slice(slash + 1), (cid) =>
    fetchBlock(cid, { signal })
  )
}

export async function getFile(
  fetchBlock: FetchBlock,
  where: CID | string,
  options: GetOptions = {}
): Promise<Got> {
  const { range, signal } = options
  const cid = await locate(fetchBlock, where, signal)
  const getBlock = (of: CID) => fetchBlock(of, { signal })
  const about = await stat(cid, getBlock)
  const pieces = readRange(fetchBlock, cid, options)
  if (about.type !== 'file') await pieces.next() // says that it is none, as reading does
  let read = false
  const once = (): AsyncGenerator<Uint8Array, void> => {
    if (read) throw new TypeError('the bytes of a get can be read once')
    read = true
    return pieces
  }
  const size = about.size ?? 0
  const length = Math.max(0, Math.min(size, (range?.end ?? size - 1) + 1) - (range?.start ?? 0))
  const bytes = async (): Promise<Uint8Array> => {
    // as one allocation: the size has been checked against the parts by the time they are here
    const all = new Uint8Array(length)
    let at = 0
    for await (const piece of once()) {
      all.set(piece, at)
      at += piece.length
    }
    return all.subarray(0, at)
  }
  return {
    cid,
    size,
    get body() {
      return streamOf(once())
    },
    bytes,
    text: async () => new TextDecoder().decode(await bytes()),
    [Symbol.asyncIterator]: () => once()
  }
}

async function* readRange(
  fetchBlock: FetchBlock,
  cid: CID,
  { range, signal }: GetOptions
): AsyncGenerator<Uint8Array, void> {
  const left = new AbortController() // a reader that goes away takes what was asked for ahead with it
  const own = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal])
  const offset = range?.start ?? 0
  const length = range?.end === undefined ? undefined : Math.max(0, range.end - offset + 1)
  try {
    yield* readFile(cid, (of) => fetchBlock(of, { signal: own }), {
      offset,
      readAhead: READ_AHEAD_BLOCKS,
      ...(length === undefined ? {} : { length })
    })
  } finally {
    left.abort()
  }
}

/** Everything below a CID, itself first. */
export async function* walkFrom(
  fetchBlock: FetchBlock,
  where: CID | string,
  signal?: AbortSignal
): AsyncGenerator<WalkEntry, void> {
  const root = await locate(fetchBlock, where, signal)
  yield* walk(root, (cid) => fetchBlock(cid, { signal }), { readAhead: READ_AHEAD_BLOCKS })
}

/**
 * As `putDir` takes it: what one network holds can be put into another. Small files are fetched ahead of the
 * reader, many in a request: one by one, each would cost a round trip.
 */
export async function* treeFrom(
  fetchBlock: FetchBlock,
  where: CID | string,
  signal?: AbortSignal
): AsyncGenerator<TreeEntry, void> {
  const left = new AbortController()
  const own = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal])
  const entries = walkFrom(fetchBlock, where, own)
  const ahead: { entry: WalkEntry; block: Promise<Uint8Array> | undefined; bytes: number }[] = []
  let bytes = 0
  let more = true
  try {
    for (;;) {
      while (more && ahead.length < AHEAD_ENTRIES && (ahead.length === 0 || bytes < AHEAD_BYTES)) {
        const next = await entries.next()
        more = next.done !== true
        if (next.done === true) break
        const entry = next.value
        const isSmall = entry.type === 'file' && entry.cid.code === CODECS.raw && entry.size > 0
        const block = isSmall ? fetchBlock(entry.cid, { signal: own }) : undefined
        block?.catch(() => {}) // whoever reads the file is told
        const size = isSmall ? entry.size : 0
        bytes += size
        ahead.push({ entry, block, bytes: size })
      }
      const first = ahead.shift()
      if (first === undefined) return
      bytes -= first.bytes
      yield treeEntry(first.entry, first.block, { fetchBlock, signal: own })
    }
  } finally {
    left.abort()
    await entries.return(undefined)
  }
}

function treeEntry(
  entry: WalkEntry,
  block: Promise<Uint8Array> | undefined,
  { fetchBlock, signal }: { fetchBlock: FetchBlock; signal: AbortSignal }
): TreeEntry {
  const { path } = entry
  if (entry.type === 'directory') return { type: 'directory', path }
  if (entry.type === 'symlink') return { type: 'symlink', path, target: entry.target }
  const { cid, size } = entry
  // the block that was asked for ahead is the file's only one, but how to read it is not said twice
  const get: FetchBlock = block === undefined ? fetchBlock : () => block
  return { type: 'file', path, size, content: readRange(get, cid, { signal }) }
}

export function streamOf(pieces: AsyncGenerator<Uint8Array, void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await pieces.return(undefined)
      }
    },
    { highWaterMark: 0 } // blocks are read ahead already
  )
}
