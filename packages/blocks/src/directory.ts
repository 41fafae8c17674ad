/**
 * Directories and symlinks become blocks. A directory whose block would be larger than 256 KiB (by its
 * real bytes, as IPIP-0499 counts, not by names and CIDs) is written as a HAMT of many small ones.
 *
 * Memory is about 300 bytes an entry of the directories that are open: a walk holds those from the root
 * down to where it is.
 */
import { CairnError } from '@cairn/core'
import { CID } from 'multiformats/cid'
import type { Block, HashName } from './cid.ts'
import { type Link, linkLength, utf8 } from './dag-pb.ts'
import { type ByteSource, fileBlocks, makeBlock, type Root, type WriteOptions } from './file.ts'
import { compareBytes, shardBlocks } from './hamt.ts'
import { checkName, NESTING_MAX } from './names.ts'
import { DIRECTORY_BYTES, encodeDirectory, encodeSymlink, SYMLINK_BYTES_MAX } from './unixfs.ts'

/** IPIP-0499: a directory block may have this many bytes; one more and it is sharded. */
export const DIRECTORY_BYTES_MAX = 256 * 1024

export interface DirectoryEntry {
  readonly name: string
  readonly cid: CID
  readonly dagSize: number
  /** Bytes of the files in it, to add up. */
  readonly size?: number
}

export interface DirectoryOptions {
  hash?: HashName
}

/**
 * The blocks of one directory, without those of its entries; the root last.
 *
 * @throws CairnError BAD_NAME for a name that no directory may hold, or that is there twice
 */
export function* directoryBlocks(
  entries: Iterable<DirectoryEntry>,
  options: DirectoryOptions = {}
): Generator<Block, Root> {
  const open = openDirectory('')
  for (const { name, cid, dagSize, size = 0 } of entries) {
    reserve(open, name)
    addEntry(open, name, { cid, dagSize, size })
  }
  return yield* close(open, options.hash ?? 'sha2-256')
}

/** @param target what the symlink holds, kept as it is: nobody follows it here */
export function symlinkBlock(target: string | Uint8Array, options: DirectoryOptions = {}): Block {
  const bytes = typeof target === 'string' ? utf8.encode(target) : target
  if (bytes.length === 0 || bytes.length > SYMLINK_BYTES_MAX) {
    throw new CairnError('BAD_NAME', `a symlink whose target has ${bytes.length} bytes`)
  }
  return makeBlock(encodeSymlink(bytes), 'dag-pb', options.hash ?? 'sha2-256')
}

export type TreeEntry =
  | { readonly type: 'directory'; readonly path: readonly string[] }
  | {
      readonly type: 'file'
      readonly path: readonly string[]
      readonly content: ByteSource
      /** Bytes, for whoever shows progress; the content decides. */
      readonly size?: number
      /** What the content is known to be: its blocks are kept already, and it is not read. */
      readonly known?: Root
    }
  | { readonly type: 'symlink'; readonly path: readonly string[]; readonly target: string | Uint8Array }

export interface TreeOptions extends WriteOptions {
  /** Told of each file once its last block was used. */
  onFile?: (path: readonly string[], file: Root) => void
}

/**
 * The blocks of a whole tree, each before those that link to it, the root last. `tree` is a depth-first
 * walk: an empty path is the root itself, a directory comes before what it holds (or is understood from
 * it), and nothing is added to one that the walk has left.
 *
 * @throws CairnError BAD_NAME as `directoryBlocks` does; what the content throws
 */
export async function* treeBlocks(
  tree: AsyncIterable<TreeEntry> | Iterable<TreeEntry>,
  options: TreeOptions = {}
): AsyncGenerator<Block, Root> {
  const hash = options.hash ?? 'sha2-256'
  const open: OpenDirectory[] = []
  for await (const entry of tree) {
    const { path } = entry
    if (path.length === 0 && entry.type !== 'directory') {
      if (open.length > 0) throw new RangeError('a tree whose root is a file holds nothing else')
      return yield* leafBlocks(entry, options)
    }
    const parents = entry.type === 'directory' ? path : path.slice(0, -1)
    const common = commonDepth(open, parents)
    while (open.length > common) yield* closeLast(open, hash)
    for (let depth = open.length; depth <= parents.length; depth++) openNext(open, parents, depth)
    if (entry.type !== 'directory') {
      const parent = open.at(-1) as OpenDirectory
      const name = path.at(-1) as string
      reserve(parent, name)
      addEntry(parent, name, yield* leafBlocks(entry, options))
    }
  }
  if (open.length === 0) openNext(open, [], 0)
  while (open.length > 1) yield* closeLast(open, hash)
  return yield* close(open[0] as OpenDirectory, hash)
}

async function* leafBlocks(entry: Exclude<TreeEntry, { type: 'directory' }>, options: TreeOptions) {
  if (entry.type === 'file') {
    const file = entry.known ?? (yield* fileBlocks(entry.content, options))
    options.onFile?.(entry.path, file)
    return file
  }
  const block = symlinkBlock(entry.target, options)
  yield block
  return { cid: block.cid, size: 0, dagSize: block.bytes.length }
}

interface OpenDirectory {
  readonly name: string
  readonly links: Link[]
  /** Also of the directory that is open in this one. */
  readonly names: Set<string>
  blockBytes: number
  size: number
}

function openDirectory(name: string): OpenDirectory {
  return { name, links: [], names: new Set(), blockBytes: DIRECTORY_BYTES, size: 0 }
}

function openNext(open: OpenDirectory[], path: readonly string[], depth: number): void {
  if (depth > NESTING_MAX) {
    throw new CairnError('BAD_NAME', `more than ${NESTING_MAX} directories inside one another`, {
      hint: `flatten ${path.slice(0, 8).join('/')}/…`
    })
  }
  if (depth === 0) return void open.push(openDirectory(''))
  const name = path[depth - 1] as string
  reserve(open.at(-1) as OpenDirectory, name)
  open.push(openDirectory(name))
}

/** How many of the open directories are on the way to `path`, itself included. */
function commonDepth(open: readonly OpenDirectory[], path: readonly string[]): number {
  let depth = 0
  while (depth < open.length && (depth === 0 || open[depth]?.name === path[depth - 1])) depth++
  return depth
}

function* closeLast(open: OpenDirectory[], hash: HashName): Generator<Block> {
  const last = open.pop() as OpenDirectory
  addEntry(open.at(-1) as OpenDirectory, last.name, yield* close(last, hash))
}

function reserve(directory: OpenDirectory, name: string): void {
  checkName(name, 'BAD_NAME')
  if (directory.names.has(name)) {
    throw new CairnError('BAD_NAME', `two entries of one directory are named ${JSON.stringify(name)}`, {
      hint: 'rename one of them; entries of one directory must come together'
    })
  }
  directory.names.add(name)
}

function addEntry(directory: OpenDirectory, name: string, root: Root): void {
  const link = { name, cid: root.cid.bytes, size: root.dagSize }
  directory.links.push(link)
  directory.blockBytes += linkLength(link)
  directory.size += root.size
}

function* close(directory: OpenDirectory, hash: HashName): Generator<Block, Root> {
  const { links, size, blockBytes } = directory
  if (blockBytes > DIRECTORY_BYTES_MAX) {
    const root = yield* shardBlocks(links, (bytes) => makeBlock(bytes, 'dag-pb', hash))
    return { cid: CID.decode(root.cid), size, dagSize: root.size }
  }
  const block = makeBlock(encodeDirectory(sortedByName(links)), 'dag-pb', hash)
  yield block
  return { cid: block.cid, size, dagSize: links.reduce((sum, link) => sum + link.size, block.bytes.length) }
}

/** By the names' bytes, as dag-pb wants: JavaScript's own order differs outside the basic plane. */
function sortedByName(links: readonly Link[]): Link[] {
  const keyed = links.map((link) => ({ link, key: utf8.encode(link.name) }))
  return keyed.sort((a, b) => compareBytes(a.key, b.key)).map(({ link }) => link)
}
