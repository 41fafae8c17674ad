/**
 * Blocks become files and directories again: a byte range of a file as a stream, the entries of a directory,
 * a path's end, a whole tree. What is read comes from strangers: every size that a node claims for a part is
 * compared with the part, depth is bounded, and nothing outside the range is asked for.
 */
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { CODECS, type GetBlock, keyOf } from './cid.ts'
import { badDag, type Link } from './dag-pb.ts'
import { depthFirst } from './depth-first.ts'
import { hashName, labelOf, levelsOf, placeOf } from './hamt.ts'
import { checkCodec, cidOfLink, type FileNode, readNode, type ShardNode, type UnixfsNode } from './unixfs.ts'

/** Nodes above one another in a file. The profile needs 4 for a petabyte. */
export const FILE_DEPTH_MAX = 64

export interface ReadOptions {
  /** The first byte wanted. */
  offset?: number
  /** How many bytes, at most: all that there are, unless said. */
  length?: number
  /** Blocks asked for ahead of the consumer. */
  readAhead?: number
}

/** A block of a file: where its first byte lies, how many bytes are in and below it (the root: not known). */
export interface FilePart {
  readonly cid: CID
  readonly start: number
  readonly size: number | undefined
  readonly depth: number
}

/** Asks for a block as `GetBlock` does, knowing which part of the file it is. */
export type GetPart = (part: FilePart) => Promise<Uint8Array>

/**
 * A byte range of a file, in order. Holds `readAhead` blocks, twice as many for a moment.
 *
 * @throws CairnError BAD_DAG, also when `cid` is a directory; what `getBlock` throws
 */
export async function* readFile(
  cid: CID,
  getBlock: GetBlock,
  options: ReadOptions = {}
): AsyncGenerator<Uint8Array, void> {
  for await (const { bytes } of readParts(cid, ({ cid }) => getBlock(cid), options)) yield bytes
}

/** As `readFile`, with the place of each piece. */
export async function* readParts(
  cid: CID,
  getPart: GetPart,
  { offset = 0, length = Number.POSITIVE_INFINITY, readAhead }: ReadOptions = {}
): AsyncGenerator<{ start: number; bytes: Uint8Array; part: FilePart }, void> {
  if (!(offset >= 0 && length >= 0)) throw new RangeError(`no byte range: ${offset}, ${length}`)
  const end = offset + length
  const nodes = new Map<FilePart, FileNode>()
  const walk = depthFirst<FilePart, Uint8Array>(
    { cid: readable(cid), start: 0, size: undefined, depth: 0 },
    {
      fetch: getPart,
      expand(part, bytes) {
        const node = fileNodeOf(part, bytes)
        nodes.set(part, node)
        return partsWithin(part, node, offset, end)
      },
      readAhead
    }
  )
  for await (const { item: part } of walk) {
    const { data } = nodes.get(part) as FileNode
    nodes.delete(part)
    const from = Math.max(0, offset - part.start)
    const bytes = data.subarray(from, Math.max(from, end - part.start))
    if (bytes.length > 0) yield { start: part.start + from, bytes, part }
  }
}

function fileNodeOf(part: FilePart, bytes: Uint8Array): FileNode {
  const node = readNode(part.cid, bytes)
  if (node.type !== 'file') return badDag(`${part.cid} is a ${NAMES[node.type]}, not a file`)
  if (part.size !== undefined && part.size !== node.size) {
    badDag(`a file that claims ${part.size} bytes in a block with ${node.size}`)
  }
  return node
}

const NAMES = { file: 'file', directory: 'directory', shard: 'directory', symlink: 'symlink' } as const

function partsWithin(part: FilePart, node: FileNode, offset: number, end: number): FilePart[] {
  const parts: FilePart[] = []
  let start = part.start + node.data.length
  for (let i = 0; i < node.links.length && start < end; i++) {
    const size = node.sizes[i] as number
    // A part without bytes is never asked for, or a few blocks could keep a reader busy for ever.
    if (Math.min(start + size, end) > Math.max(start, offset)) {
      if (part.depth === FILE_DEPTH_MAX) badDag(`a file of more than ${FILE_DEPTH_MAX} levels`)
      parts.push({ cid: cidOfLink(node.links[i] as Link), start, size, depth: part.depth + 1 })
    }
    start += size
  }
  return parts
}

/** The CID, if it may be asked for and can be read. @throws CairnError BAD_CID, BAD_DAG */
function readable(cid: CID): CID {
  keyOf(cid)
  checkCodec(cid)
  return cid
}

export async function getNode(cid: CID, getBlock: GetBlock): Promise<UnixfsNode> {
  return readNode(readable(cid), await getBlock(cid))
}

export interface Stat {
  readonly cid: CID
  readonly type: 'file' | 'directory' | 'symlink'
  /** Bytes of a file or a symlink's target, entries of a directory; unknown for a sharded directory. */
  readonly size: number | undefined
  /** Bytes of all blocks, as the links claim. */
  readonly dagSize: number
}

/** What `cid` is, from its one block. */
export async function stat(cid: CID, getBlock: GetBlock): Promise<Stat> {
  const bytes = await getBlock(readable(cid))
  const node = readNode(cid, bytes)
  const links = node.type === 'symlink' ? [] : node.links
  const dagSize = links.reduce((sum, { size }) => sum + size, bytes.length)
  return { cid, type: NAMES[node.type], size: sizeOf(node), dagSize }
}

function sizeOf(node: UnixfsNode): number | undefined {
  switch (node.type) {
    case 'file':
      return node.size
    case 'directory':
      return node.links.length
    case 'shard':
      return undefined
    case 'symlink':
      return node.target.length
  }
}

export interface Entry {
  readonly name: string
  readonly cid: CID
  /** Bytes of all blocks of the entry, as the directory claims: for a file, close to its size. */
  readonly dagSize: number
  /** Known without its block only for a file of one block. */
  readonly type: 'file' | undefined
}

/** A place in a directory while it is read: itself, or one of its shards. */
export interface ShardPart {
  readonly cid: CID
  readonly depth: number
  /** Of the shards above; one directory has one width throughout. */
  readonly bits: number | undefined
  /** The way here, a place a level. */
  readonly places: readonly number[]
}

/**
 * The entries of a directory, sharded or not; a sharded one's in the order of the names' hashes.
 *
 * @throws CairnError BAD_DAG, UNSAFE_PATH for a name that no directory may hold
 */
export async function* readDirectory(
  cid: CID,
  getBlock: GetBlock,
  { readAhead }: { readAhead?: number } = {}
): AsyncGenerator<Entry, void> {
  const found = new Map<ShardPart, Entry[]>()
  const walk = depthFirst<ShardPart, Uint8Array>(
    { cid: readable(cid), depth: 0, bits: undefined, places: [] },
    {
      fetch: (part) => getBlock(part.cid),
      expand(part, bytes) {
        const { entries, shards } = listing(part, readNode(part.cid, bytes))
        found.set(part, entries)
        return shards
      },
      readAhead
    }
  )
  for await (const { item } of walk) {
    yield* found.get(item) as Entry[]
    found.delete(item)
  }
}

/** What one block of a directory holds: entries, and further shards. */
export function listing(part: ShardPart, node: UnixfsNode): { entries: Entry[]; shards: ShardPart[] } {
  if (node.type === 'directory' && part.depth === 0) return { entries: node.links.map(entryOf), shards: [] }
  if (node.type !== 'shard')
    return badDag(`${part.cid} is a ${NAMES[node.type]}, not ${part.depth ? 'a shard' : 'a directory'}`)
  checkShard(part, node)
  const entries: Entry[] = []
  const shards: ShardPart[] = []
  const width = labelOf(0, node.bits).length
  for (const link of node.links) {
    const place = Number.parseInt(link.name.slice(0, width), 16)
    if (link.name.length === width) shards.push(shardOf(part, node, link, place))
    else entries.push(entryIn(part, node, { ...link, name: link.name.slice(width) }, place))
  }
  return { entries, shards }
}

function checkShard({ depth, bits }: ShardPart, node: ShardNode): void {
  if (bits !== undefined && bits !== node.bits) badDag('a sharded directory of two widths')
  if (depth >= levelsOf(node.bits)) badDag('a sharded directory deeper than its hash')
}

function shardOf({ depth, places }: ShardPart, { bits }: ShardNode, link: Link, place: number): ShardPart {
  return { cid: cidOfLink(link), depth: depth + 1, bits, places: [...places, place] }
}

/** An entry whose name has the hash that its place means; else it could be listed but never looked up. */
function entryIn({ places }: ShardPart, { bits }: ShardNode, link: Link, place: number): Entry {
  const hash = hashName(link.name)
  for (const [depth, want] of [...places, place].entries()) {
    if (placeOf(hash, bits, depth) !== want) badDag(`${JSON.stringify(link.name)} is in the wrong shard`)
  }
  return entryOf(link)
}

function entryOf(link: Link): Entry {
  const cid = cidOfLink(link)
  return { name: link.name, cid, dagSize: link.size, type: cid.code === CODECS.raw ? 'file' : undefined }
}

/**
 * The CID at the end of `path`, names joined by slashes; of an empty path, `cid` itself. Symlinks are not
 * followed.
 *
 * @throws CairnError NOT_FOUND, naming how far the path led
 */
export async function resolvePath(
  cid: CID,
  path: string | readonly string[],
  getBlock: GetBlock
): Promise<CID> {
  const names = typeof path === 'string' ? path.split('/').filter((name) => name !== '') : path
  let at = cid
  for (const [depth, name] of names.entries()) {
    const next = await lookUp(at, name, getBlock)
    if (next === undefined) throw notFound(cid, names.slice(0, depth + 1))
    at = next
  }
  return at
}

function notFound(cid: CID, names: readonly string[]): CairnError {
  return new CairnError('NOT_FOUND', `${cid} holds no ${names.join('/')}`, {
    hint: `list what there is: cairn ls ${cid}`
  })
}

/** The entry's CID; `undefined` when there is none, or `cid` is not a directory. */
async function lookUp(cid: CID, name: string, getBlock: GetBlock): Promise<CID | undefined> {
  let node = await getNode(cid, getBlock)
  if (node.type === 'directory') {
    const link = node.links.find((link) => link.name === name)
    return link === undefined ? undefined : cidOfLink(link)
  }
  const hash = hashName(name)
  let bits: number | undefined
  for (let depth = 0; node.type === 'shard'; depth++) {
    checkShard({ cid, depth, bits, places: [] }, node)
    bits = node.bits
    const label = labelOf(placeOf(hash, bits, depth), bits)
    const link = node.links.find((link) => link.name === label || link.name === label + name)
    if (link === undefined) return undefined
    if (link.name !== label) return cidOfLink(link)
    node = await getNode(cidOfLink(link), getBlock)
  }
  if (bits !== undefined) badDag(`${cid} has a ${NAMES[node.type]} where a shard belongs`)
  return undefined
}
