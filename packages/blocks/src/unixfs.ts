/**
 * UnixFS: which block is a piece of a file, a directory, a part of a large directory, or a symlink. What a
 * stranger's block claims is checked here once, so that those who walk a DAG need not: a file's size is
 * the sum of its parts, a name is one that a directory may hold, a shard has a fanout that we can read.
 *
 * Spec: https://specs.ipfs.tech/unixfs/
 */
import { BLOCK_BYTES_MAX } from '@cairn/core'
import { CID } from 'multiformats/cid'
import { CODECS, checkBlockSize, keyOf } from './cid.ts'
import {
  badDag,
  decodeNode,
  eachField,
  encodeNode,
  Fields,
  type Link,
  type PbNode,
  readVarint
} from './dag-pb.ts'
import { checkName } from './names.ts'

const TYPES = { raw: 0, directory: 1, file: 2, symlink: 4, shard: 5 } as const

/** murmur3-x64-64, the only hash that a sharded directory may use. */
const HAMT_HASH = 0x22
/** IPIP-0499 fixes 256; readers meet others. Ten bits: Kubo refuses more too. */
const FANOUT_MAX = 1024

export interface FileNode {
  readonly type: 'file'
  /** Bytes of the file in the block itself; they come before those of the links. */
  readonly data: Uint8Array
  readonly links: readonly Link[]
  /** Bytes of the file below each link. */
  readonly sizes: readonly number[]
  /** Bytes of the file in and below the block. */
  readonly size: number
}

export interface DirectoryNode {
  readonly type: 'directory'
  readonly links: readonly Link[]
}

export interface ShardNode {
  readonly type: 'shard'
  readonly links: readonly Link[]
  /** Bits of a name's hash that choose a place in this shard. */
  readonly bits: number
}

export interface SymlinkNode {
  readonly type: 'symlink'
  readonly target: Uint8Array
}

export type UnixfsNode = FileNode | DirectoryNode | ShardNode | SymlinkNode

const NOTHING = new Uint8Array(0)

/**
 * What the block means.
 *
 * @throws CairnError BAD_DAG, UNSAFE_PATH for a name that no directory may hold, BLOCK_TOO_LARGE
 */
export function readNode(cid: CID, bytes: Uint8Array): UnixfsNode {
  checkBlockSize(bytes)
  if (cid.code === CODECS.raw) return { type: 'file', data: bytes, links: [], sizes: [], size: bytes.length }
  checkCodec(cid)
  const node = decodeNode(bytes)
  const message = decodeMessage(node)
  switch (message.type) {
    case TYPES.raw:
    case TYPES.file:
      return fileNode(node, message)
    case TYPES.directory:
      return { type: 'directory', links: checkEntries(node.links) }
    case TYPES.shard:
      return shardNode(node, message)
    case TYPES.symlink:
      return { type: 'symlink', target: message.data }
    default:
      return badDag(`a UnixFS block of type ${message.type}, which is none that Cairn can read`)
  }
}

/** The CID of a link, checked before anyone is asked for its block. @throws CairnError BAD_DAG, BAD_CID */
export function cidOfLink(link: Link): CID {
  let cid: CID
  try {
    cid = CID.decode(link.cid)
  } catch (cause) {
    return badDag('a link to something that is not a CID', cause)
  }
  checkCodec(cid)
  keyOf(cid)
  return cid
}

export function checkCodec(cid: CID): void {
  if (cid.code === CODECS.raw || cid.code === CODECS['dag-pb']) return
  badDag(`${cid} has the codec 0x${cid.code.toString(16)}; files and directories are raw or dag-pb`)
}

interface Message {
  type: number
  data: Uint8Array
  fileSize: number | undefined
  blockSizes: number[]
  hashType: number | undefined
  fanout: number | undefined
}

function decodeMessage({ data, links }: PbNode): Message {
  const message: Message = {
    type: -1,
    data: NOTHING,
    fileSize: undefined,
    blockSizes: [],
    hashType: undefined,
    fanout: undefined
  }
  eachField(data, (field, value) => {
    if (field === 4) addSizes(message.blockSizes, value, links.length)
    else if (field === 2) message.data = typeof value === 'number' ? badDag('not UnixFS') : value
    else if (typeof value === 'number') {
      if (field === 1) message.type = value
      else if (field === 3) message.fileSize = value
      else if (field === 5) message.hashType = value
      else if (field === 6) message.fanout = value
    } else if (field === 1 || field === 3 || field === 5 || field === 6) badDag('not UnixFS')
  })
  return message
}

/** Sizes come one by one or, from other writers, packed. There are never more than links. */
function addSizes(sizes: number[], value: number | Uint8Array, max: number): void {
  if (typeof value === 'number') sizes.push(value)
  else
    for (const at = { offset: 0 }; at.offset < value.length && sizes.length <= max; )
      sizes.push(readVarint(value, at))
  if (sizes.length > max) badDag('a file with more sizes than links')
}

function fileNode({ links }: PbNode, { data, blockSizes, fileSize }: Message): FileNode {
  if (blockSizes.length !== links.length)
    badDag(`a file with ${links.length} links and ${blockSizes.length} sizes`)
  let size = data.length
  for (const part of blockSizes) size += part
  if (!Number.isSafeInteger(size)) badDag('a file of more than 2^53 bytes')
  if (fileSize !== undefined && fileSize !== size)
    badDag(`a file that claims ${fileSize} bytes and has ${size}`)
  return { type: 'file', data, links, sizes: blockSizes, size }
}

function checkEntries(links: readonly Link[]): readonly Link[] {
  const names = new Set<string>()
  for (const { name } of links) {
    checkName(name, 'UNSAFE_PATH')
    if (names.has(name)) badDag(`a directory with two entries named ${JSON.stringify(name)}`)
    names.add(name)
  }
  return links
}

function shardNode({ links }: PbNode, { data, hashType, fanout }: Message): ShardNode {
  if (hashType !== HAMT_HASH) badDag(`a sharded directory with the hash ${hashType}`)
  if (fanout === undefined || fanout < 2 || fanout > FANOUT_MAX || (fanout & (fanout - 1)) !== 0) {
    badDag(`a sharded directory with the fanout ${fanout}`)
  }
  if (links.length > fanout || data.length > fanout / 8 + 1)
    badDag('a shard with more entries than its fanout')
  const width = (fanout - 1).toString(16).length
  const seen = new Set<number>()
  for (const { name } of links) {
    const place = /^[0-9A-F]+$/.test(name.slice(0, width))
      ? Number.parseInt(name.slice(0, width), 16)
      : fanout
    if (name.length < width || place >= fanout) badDag('a shard with an entry out of place')
    if (seen.has(place) || !bitSet(data, place)) badDag('a shard whose entries and bitmap differ')
    seen.add(place)
    if (name.length > width) checkName(name.slice(width), 'UNSAFE_PATH')
  }
  return { type: 'shard', links, bits: Math.log2(fanout) }
}

/** The bitmap is a big-endian number without leading zeros. */
function bitSet(bitmap: Uint8Array, place: number): boolean {
  const byte = bitmap[bitmap.length - 1 - (place >> 3)] ?? 0
  return ((byte >> (place & 7)) & 1) === 1
}

export function encodeFile(links: readonly Link[], sizes: readonly number[]): Uint8Array {
  let size = 0
  for (const part of sizes) size += part
  const message = new Fields().varint(1, TYPES.file).varint(3, size)
  for (const part of sizes) message.varint(4, part)
  return encodeNode(links, message.end())
}

const DIRECTORY = new Fields().varint(1, TYPES.directory).end()

export function encodeDirectory(links: readonly Link[]): Uint8Array {
  return encodeNode(links, DIRECTORY)
}

/** @param places where the links belong, in the same order */
export function encodeShard(links: readonly Link[], places: readonly number[], fanout: number): Uint8Array {
  const bitmap = new Uint8Array(fanout / 8)
  for (const place of places) {
    const at = bitmap.length - 1 - (place >> 3)
    bitmap[at] = (bitmap[at] as number) | (1 << (place & 7))
  }
  const first = bitmap.findIndex((byte) => byte !== 0)
  const message = new Fields()
    .varint(1, TYPES.shard)
    .bytes(2, bitmap.subarray(first))
    .varint(5, HAMT_HASH)
    .varint(6, fanout)
  return encodeNode(links, message.end())
}

export function encodeSymlink(target: Uint8Array): Uint8Array {
  const message = new Fields().varint(1, TYPES.symlink).bytes(2, target)
  return encodeNode([], message.end())
}

/** Bytes of an empty directory's block. */
export const DIRECTORY_BYTES = encodeDirectory([]).length
export const SYMLINK_BYTES_MAX = BLOCK_BYTES_MAX / 2
