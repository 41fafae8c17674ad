/**
 * A file or directory on disk becomes a tree for `treeBlocks`: depth first, each directory in the order of
 * its names' bytes, so that the same files give the same blocks in the same order. Files are opened one at
 * a time, when their content is asked for; names of one directory a level are held.
 */
import { type BigIntStats, constants, type Dirent } from 'node:fs'
import { type FileHandle, lstat, open, readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError, fromUtf8, toHex } from '@cairn/core'
import type { TreeEntry } from './directory.ts'
import { diskError, onDisk } from './disk-error.ts'
import { CHUNK_BYTES, type Root } from './file.ts'
import { compareBytes } from './hamt.ts'

export interface LeftOut {
  readonly path: string
  readonly why: 'hidden' | 'not a file, directory or symlink'
}

export interface WalkPathOptions {
  /** Take what begins with a dot too. The argument itself is always taken. */
  hidden?: boolean
  /**
   * Pieces of files lie in two buffers used in turn: each stays as it is until the next one is asked for, of
   * this file or another. For who copies them: fresh memory for each piece costs as much as reading it.
   */
  reuse?: boolean
  /** Told of everything that is not taken: hidden files, sockets, pipes, devices. */
  onLeftOut?: (leftOut: LeftOut) => void
  /** Asked about each file before it is read: what it was when it had these stats, if that is known. */
  known?: (path: readonly string[], stats: BigIntStats) => Root | undefined
  /** Told of each file that was read whole and did not change meanwhile: what it was when it was opened. */
  onRead?: (path: readonly string[], stats: BigIntStats, openedMs: number) => void
}

/**
 * The tree at `path`, whose own entry has an empty path. If `path` is a symlink it is followed, since who
 * names one means what it leads to; symlinks inside are kept as symlinks.
 *
 * @throws CairnError NOT_FOUND, BAD_NAME for a name that is not UTF-8, FILE_CHANGED while content is read
 */
export async function* walkPath(
  path: string,
  options: WalkPathOptions = {}
): AsyncGenerator<TreeEntry, void> {
  const memory = options.reuse === true ? inTurn() : Buffer.allocUnsafeSlow
  const { size, ...is } = await onDisk(path, async () => {
    const stats = await stat(path)
    return { size: stats.size, file: stats.isFile(), directory: stats.isDirectory() }
  })
  if (is.file) yield { size, ...(await fileAt(path, [], 0, { ...options, memory })) }
  else if (is.directory) yield* walkDirectory(path, [], { ...options, memory })
  else {
    throw new CairnError('BAD_NAME', `${path} is neither a file nor a directory`, {
      hint: 'pipe its content instead: cat FILE | cairn put -'
    })
  }
}

async function* walkDirectory(
  root: string,
  path: readonly string[],
  options: WalkPathOptions & { memory: Memory }
): AsyncGenerator<TreeEntry, void> {
  yield { type: 'directory', path }
  const directory = join(root, ...path)
  const entries = await onDisk(directory, () =>
    readdir(directory, { encoding: 'buffer', withFileTypes: true })
  )
  entries.sort((a, b) => compareBytes(a.name, b.name))
  for (const entry of entries) {
    if (entry.name[0] === DOT && options.hidden !== true) {
      options.onLeftOut?.({ path: join(directory, entry.name.toString()), why: 'hidden' })
      continue
    }
    const name = nameOf(directory, entry)
    const below = [...path, name]
    const full = join(directory, name)
    if (entry.isDirectory()) yield* walkDirectory(root, below, options)
    else if (entry.isSymbolicLink()) {
      yield { type: 'symlink', path: below, target: await onDisk(full, () => readlink(full, 'buffer')) }
    } else if (entry.isFile()) yield await fileAt(full, below, constants.O_NOFOLLOW, options)
    else options.onLeftOut?.({ path: full, why: 'not a file, directory or symlink' })
  }
}

const DOT = 0x2e

async function fileAt(
  full: string,
  path: readonly string[],
  flags: number,
  { known, onRead, memory }: WalkPathOptions & { memory: Memory }
): Promise<TreeEntry & { type: 'file' }> {
  const content = contentOf(full, {
    flags,
    memory,
    onRead: (stats, openedMs) => onRead?.(path, stats, openedMs)
  })
  if (known === undefined) return { type: 'file', path, content }
  const stats = await onDisk(full, () => (flags === 0 ? stat : lstat)(full, { bigint: true }))
  const root = stats.isFile() ? known(path, stats) : undefined
  return root === undefined ? { type: 'file', path, content } : { type: 'file', path, content, known: root }
}

function nameOf(directory: string, { name }: Dirent<Buffer>): string {
  const text = fromUtf8(name)
  if (text !== undefined) return text
  const shown = name
    .toString('latin1')
    .replace(/[^ -~]/g, (char) => `\\x${toHex(Buffer.from(char, 'latin1'))}`)
  throw new CairnError('BAD_NAME', `${join(directory, shown)} has a name that is not UTF-8`, {
    hint: 'rename it, for instance with convmv'
  })
}

/**
 * The bytes of a file in pieces of one chunk, the next one being read while the last is used.
 *
 * @throws CairnError FILE_CHANGED when its size or times differ at the end
 */
async function* contentOf(
  path: string,
  {
    flags,
    memory,
    onRead
  }: {
    flags: number
    memory: Memory
    onRead: (stats: BigIntStats, openedMs: number) => void
  }
): AsyncGenerator<Uint8Array, void> {
  let file: FileHandle | undefined
  let next: Promise<Buffer> | undefined
  try {
    const openedMs = Date.now()
    // O_NONBLOCK: a pipe that took the file's place must not hang the walk.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | flags)
    const before = await file.stat({ bigint: true })
    if (!before.isFile()) throw changed(path)
    const size = Number(before.size)
    let offset = 0
    next = readPiece(file, memory(pieceBytes(size)), 0)
    for (let piece = await next; piece.length > 0; piece = await next) {
      offset += piece.length
      next = readPiece(file, memory(pieceBytes(size - offset)), offset)
      next.catch(() => {}) // awaited above, unless the consumer leaves
      yield piece
    }
    const after = await file.stat({ bigint: true })
    const same =
      after.size === before.size && after.mtimeNs === before.mtimeNs && BigInt(offset) === before.size
    if (!same) throw changed(path)
    onRead(before, openedMs)
  } catch (cause) {
    throw diskError(cause, path)
  } finally {
    await next?.catch(() => {})
    await file?.close()
  }
}

type Memory = (length: number) => Buffer

/** Two buffers in turn, each made when it is first needed. */
function inTurn(): Memory {
  let [last, first]: (Buffer | undefined)[] = []
  return (length) => {
    const whole = first ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
    first = last
    last = whole
    return whole.subarray(0, length)
  }
}

/** Up to a chunk of what is left, and at its end a byte to see growth. */
function pieceBytes(left: number): number {
  return Math.min(CHUNK_BYTES, Math.max(left, 1))
}

/** Fills the buffer; empty only at the end. */
async function readPiece(file: FileHandle, buffer: Buffer, offset: number): Promise<Buffer> {
  let have = 0
  while (have < buffer.length) {
    const { bytesRead } = await file.read(buffer, have, buffer.length - have, offset + have)
    if (bytesRead === 0) break
    have += bytesRead
  }
  return buffer.subarray(0, have)
}

function changed(path: string): CairnError {
  return new CairnError('FILE_CHANGED', `${path} changed while it was read`, {
    hint: 'run the command again when nothing writes to it'
  })
}
