/**
 * The blocks of a tree with the digests of its files computed beside, in the same pass; then those of their
 * record. The record goes out as it grows, so that memory stays bounded whatever the number of files.
 */
import {
  type Block,
  type ByteSource,
  CHUNK_BYTES,
  createDigester,
  type Digested,
  type Digester,
  type DigestName,
  type Digests,
  encodeDigested,
  fileBlocks,
  type HashName,
  inOrder,
  RECORD_HEADER,
  type Root,
  type TreeEntry,
  treeBlocks
} from '@cairn/blocks'
import { toUtf8 } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { Expectation } from './expect.ts'

/** A block of an upload; `beside`: it is not of what was put, but goes with it. */
export type UploadBlock = Block & { beside?: true }
/** What an upload is made of; `digests` is the record's CID. */
export type UploadRoot = Root & { digests?: CID }
export type UploadBlocks = AsyncGenerator<UploadBlock, UploadRoot>

export interface DigestedOptions {
  /** Kept in the record. */
  names: readonly DigestName[]
  expected?: Expectation | undefined
  /** Of a file that is put by itself. */
  rootName: string
  /** Told of each file once its last block was used. */
  onFile?: ((path: readonly string[], file: Root, digests: Digests) => void) | undefined
  hash?: HashName
}

/** @throws CairnError DIGEST_MISMATCH before the root is given, so before anything is made of the blocks */
export async function* digestedBlocks(
  tree: AsyncIterable<TreeEntry> | Iterable<TreeEntry>,
  { names, expected, rootName, hash, onFile }: DigestedOptions
): UploadBlocks {
  const options = hash === undefined ? {} : { hash }
  const computed = inOrder([...names, ...(expected?.names ?? [])])
  if (computed.length === 0) {
    return yield* treeBlocks(tree, { ...options, onFile: (path, file) => onFile?.(path, file, {}) })
  }
  const digester = createDigester(computed)
  const record = names.length === 0 ? undefined : openRecord(options)
  let pending: Promise<Digests> = Promise.resolve({})
  let said: Promise<void> = Promise.resolve()
  let root: 'file' | 'directory' = 'directory'
  const say = async (before: Promise<void>, { file, path, promised }: Said) => {
    await before
    const digests = await promised
    onFile?.(path, file, digests)
    const { cid, size } = file
    const named = { path: path.length === 0 ? rootName : path.join('/'), cid, size }
    expected?.see({ ...named, digests })
    const kept = Object.fromEntries(
      Object.entries(digests).filter(([name]) => names.includes(name as DigestName))
    )
    record?.add({ ...named, digests: kept })
  }
  const blocks = treeBlocks(
    taken(tree, digester, (promised) => {
      pending = promised
    }),
    {
      ...options,
      onFile(path, file) {
        if (path.length === 0) root = 'file'
        said = say(said, { path, file, promised: pending })
        said.catch(() => {}) // awaited at the end
      }
    }
  )
  try {
    let next = await blocks.next()
    for (; next.done !== true; next = await blocks.next()) {
      yield next.value
      if (record !== undefined) yield* record.ready()
    }
    await said
    expected?.end(root)
    const kept = record === undefined ? undefined : yield* record.end()
    return kept === undefined ? next.value : { ...next.value, digests: kept.cid }
  } finally {
    await blocks.return(undefined as never) // who leaves early closes the source with it
    await digester.close()
  }
}

interface Said {
  path: readonly string[]
  file: Root
  promised: Promise<Digests>
}

/** A file that is known has its digests with it. */
export type KnownFile = Root & { digests?: Digests }

/** The tree, its files' bytes passing through the digester. */
async function* taken(
  tree: AsyncIterable<TreeEntry> | Iterable<TreeEntry>,
  digester: Digester,
  onEnd: (promised: Promise<Digests>) => void
): AsyncGenerator<TreeEntry> {
  for await (const entry of tree) {
    if (entry.type === 'file' && entry.known !== undefined) {
      onEnd(Promise.resolve((entry.known as KnownFile).digests ?? {}))
      yield entry
    } else {
      yield entry.type === 'file' ? { ...entry, content: through(entry.content, digester, onEnd) } : entry
    }
  }
}

async function* through(
  content: ByteSource,
  digester: Digester,
  onEnd: (promised: Promise<Digests>) => void
): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    await digester.update(piece)
    yield piece
  }
  onEnd(digester.end())
}

interface GrowingRecord {
  add(file: Digested): void
  /** The blocks that there is enough for. */
  ready(): AsyncGenerator<UploadBlock, void>
  /** The rest; undefined when there was no file. */
  end(): AsyncGenerator<UploadBlock, Root | undefined>
}

function openRecord(options: { hash?: HashName }): GrowingRecord {
  let lines: string[] = []
  let length = 0
  let files = 0
  /** Pieces of at least a chunk, but for the last: each makes a block. */
  const pieces: Uint8Array[] = []
  let ended = false
  let wake = (): void => {}
  async function* source(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = pieces.shift()
      if (piece !== undefined) yield piece
      else if (ended) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const cut = (): void => {
    pieces.push(toUtf8(lines.join('')))
    lines = []
    length = 0
  }
  const write = (text: string): void => {
    lines.push(text)
    length += text.length
    if (length >= CHUNK_BYTES) cut()
  }
  const blocks = fileBlocks(source(), options)
  let next: ReturnType<typeof blocks.next> | undefined
  const beside = (block: Block): UploadBlock => ({ ...block, beside: true })
  write(RECORD_HEADER)
  return {
    add(file) {
      files++
      write(encodeDigested(file))
    },
    async *ready() {
      while (pieces.length > 0) {
        next ??= blocks.next()
        wake()
        const { value, done } = await next // there is a chunk's worth, so a block comes
        next = undefined
        if (done !== true) yield beside(value)
      }
    },
    async *end() {
      if (files === 0) return undefined
      cut()
      ended = true
      wake()
      for (;;) {
        const { value, done } = await (next ?? blocks.next())
        next = undefined
        if (done === true) return value
        yield beside(value)
      }
    }
  }
}
