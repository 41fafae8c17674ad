/**
 * A file becomes blocks as the profile `unixfs-v1-2025` (IPIP-0499) says, so that it has the CID that Kubo
 * and Helia give it: fixed chunks as raw leaves under a balanced tree; a file of one chunk is that leaf.
 *
 * Memory is one chunk and the links of one node a level, whatever the file's size.
 */
import { BLOCK_BYTES_MAX } from '@cairn/core'
import { pipe } from 'it-pipe'
import { CID } from 'multiformats/cid'
import { type Block, type CodecName, cidOf, type HashName } from './cid.ts'
import type { Link } from './dag-pb.ts'
import { encodeFile } from './unixfs.ts'

/** IPIP-0499's chunk, in bytes. */
export const CHUNK_BYTES = 1024 * 1024
/** IPIP-0499's links a node. */
export const LINKS_PER_NODE = 1024

export interface WriteOptions {
  /** What names every block. Anything but sha2-256 leaves the profile. */
  hash?: HashName
  /** Bytes of the file in each leaf. Anything but 1 MiB leaves the profile. */
  chunkBytes?: number
  /** Links in each node of a file. Anything but 1,024 leaves the profile. */
  linksPerNode?: number
}

/** What was written, whole. */
export interface Root {
  readonly cid: CID
  /** Bytes of the file, or of all files below the directory. */
  readonly size: number
  /** Bytes of all blocks, counting a block as often as it is linked to: UnixFS's cumulative size. */
  readonly dagSize: number
}

export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/**
 * The blocks of a file, leaves before the nodes that link to them, the root last. A piece of `source` must
 * stay as it is until the next one is asked for: a whole chunk is not copied, so that the bytes of a block
 * may change once the next one is asked for.
 */
export function fileBlocks(source: ByteSource, options: WriteOptions = {}): AsyncGenerator<Block, Root> {
  const { hash = 'sha2-256', chunkBytes = CHUNK_BYTES, linksPerNode = LINKS_PER_NODE } = options
  if (!(chunkBytes >= 1 && chunkBytes <= BLOCK_BYTES_MAX)) throw new RangeError(`chunkBytes: ${chunkBytes}`)
  if (!(linksPerNode >= 2)) throw new RangeError(`linksPerNode: ${linksPerNode}`)
  return pipe(source, chunks(chunkBytes), leaves(hash), balanced(linksPerNode, hash))
}

/** Cuts into pieces of exactly `bytes`, the last one shorter; of nothing makes one empty piece. */
export function chunks(bytes: number): (source: ByteSource) => AsyncGenerator<Uint8Array> {
  return async function* (source) {
    let part = new Uint8Array(0) // a copy: the piece may not outlive its turn
    let have = 0
    let none = true
    for await (let piece of source) {
      while (have + piece.length >= bytes) {
        const cut = piece.subarray(0, bytes - have)
        yield have === 0 ? cut : filled(part, have, cut, bytes)
        none = false
        have = 0
        piece = piece.subarray(cut.length)
      }
      if (piece.length === 0) continue
      part = have === 0 ? new Uint8Array(piece) : filled(part, have, piece, bytes)
      have += piece.length
    }
    if (have > 0 || none) yield part.subarray(0, have)
  }
}

/** `more` after the first `have` bytes of the part, which then gets the room of a whole chunk. */
function filled(part: Uint8Array, have: number, more: Uint8Array, bytes: number): Uint8Array<ArrayBuffer> {
  let whole = part as Uint8Array<ArrayBuffer>
  if (part.length < bytes) {
    whole = new Uint8Array(bytes)
    whole.set(part)
  }
  whole.set(more, have)
  return whole
}

export function leaves(hash: HashName): (source: AsyncIterable<Uint8Array>) => AsyncGenerator<Block> {
  return async function* (source) {
    for await (const bytes of source) yield makeBlock(bytes, 'raw', hash)
  }
}

export function makeBlock(bytes: Uint8Array, codec: CodecName, hash: HashName): Block {
  return { cid: cidOf(bytes, { hash, codec }), bytes }
}

/** A finished part of the file: a leaf or a node over `width` of them. */
interface Part {
  readonly link: Link
  readonly size: number
}

/**
 * Passes the leaves on and puts nodes over every `width` of them, and over every `width` of those. At the
 * end what is left on each level gets a node of its own, even over a single link, up to a single root.
 */
function balanced(
  width: number,
  hash: HashName
): (source: AsyncIterable<Block>) => AsyncGenerator<Block, Root> {
  return async function* (source) {
    const levels: Part[][] = [[]]
    for await (const block of source) {
      yield block
      const { length } = block.bytes
      yield* add(levels, 0, { link: { name: '', cid: block.cid.bytes, size: length }, size: length })
    }
    for (let level = 0; ; level++) {
      const parts = levels[level] as Part[]
      const only = parts[0] as Part
      if (level === levels.length - 1 && parts.length === 1) return rootOf(only)
      if (parts.length > 0) yield* reduce(levels, level)
    }
  }

  function* add(levels: Part[][], level: number, part: Part): Generator<Block> {
    levels[level] ??= []
    const parts = levels[level] as Part[]
    parts.push(part)
    if (parts.length === width) yield* reduce(levels, level)
  }

  function* reduce(levels: Part[][], level: number): Generator<Block> {
    const parts = levels[level] as Part[]
    levels[level] = []
    const links = parts.map(({ link }) => link)
    const sizes = parts.map(({ size }) => size)
    const block = makeBlock(encodeFile(links, sizes), 'dag-pb', hash)
    yield block
    const dagSize = links.reduce((sum, link) => sum + link.size, block.bytes.length)
    const size = sizes.reduce((sum, part) => sum + part, 0)
    yield* add(levels, level + 1, { link: { name: '', cid: block.cid.bytes, size: dagSize }, size })
  }
}

function rootOf({ link, size }: Part): Root {
  return { cid: CID.decode(link.cid), size, dagSize: link.size }
}
