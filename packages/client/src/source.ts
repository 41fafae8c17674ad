/** Whatever an application has its bytes in, as pieces; and trees of such things. */
import type { ByteSource, TreeEntry } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import { piecesOfStream } from './nodes.ts'

/** A piece of an iterable must stay as it is until the next one is asked for. */
export type Source =
  | Blob
  | Uint8Array
  | string
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>

/** A piece that is given on at once, bytes: what a whole Uint8Array is cut into, without copying. */
const PIECE_BYTES = 1024 * 1024

const encoder = new TextEncoder()

export function bytesOf(source: Source): { pieces: ByteSource; total: number | undefined } {
  if (typeof source === 'string') return bytesOf(encoder.encode(source))
  if (source instanceof Uint8Array) return { pieces: cut(source), total: source.length }
  if (source instanceof Blob) return { pieces: piecesOfStream(source.stream()), total: source.size }
  if (source instanceof ReadableStream) return { pieces: piecesOfStream(source), total: undefined }
  if (Symbol.asyncIterator in source || Symbol.iterator in source) return { pieces: source, total: undefined }
  throw new TypeError('put takes a Blob, Uint8Array, string, ReadableStream or an iterable of Uint8Arrays')
}

function* cut(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}

/** A file of a directory: `path` is names joined by slashes. */
export interface PathContent {
  path: string
  content: Source
}
export type DirEntry = PathContent | TreeEntry

/**
 * The depth-first walk that blocks are made of. An array may be in any order; anything else must be depth
 * first already, because only that takes bounded memory.
 */
export async function* treeOf(
  entries: AsyncIterable<DirEntry> | Iterable<DirEntry>
): AsyncGenerator<TreeEntry> {
  const ordered = Array.isArray(entries) ? (entries as DirEntry[]).map(toEntry).sort(byPath) : entries
  let first = true
  for await (const entry of ordered) {
    const tree = toEntry(entry)
    // said first, so that a directory of one file is not taken for that file
    if (first && tree.path.length > 0) yield { type: 'directory', path: [] }
    first = false
    yield tree
  }
}

function toEntry(entry: DirEntry): TreeEntry {
  if ('type' in entry) return entry
  const path = entry.path.split('/').filter((name) => name !== '' && name !== '.')
  if (path.length === 0) {
    throw new CairnError('BAD_NAME', `not the path of a file in a directory: ${JSON.stringify(entry.path)}`, {
      hint: 'as in a/b.txt'
    })
  }
  const { pieces, total } = bytesOf(entry.content)
  return { type: 'file', path, content: pieces, ...(total === undefined ? {} : { size: total }) }
}

/** A directory before what it holds, and what it holds together. */
function byPath(a: TreeEntry, b: TreeEntry): number {
  for (let i = 0; i < a.path.length && i < b.path.length; i++) {
    const [x, y] = [a.path[i] as string, b.path[i] as string]
    if (x !== y) return x < y ? -1 : 1
  }
  return a.path.length - b.path.length
}
