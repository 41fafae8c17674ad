/**
 * A tree of blocks becomes files on disk, all of them inside the target, whatever its author intended.
 *
 * Never outside: names are checked, each directory is made or seen to be a real one (not a symlink) before
 * anything goes into it, files are opened without following symlinks, and symlinks are made last.
 *
 * Resuming: a file is written as `.cairn-….part` beside its place and renamed when whole, so that a final
 * name never holds half a file, also after a crash of this process (not of the machine: nothing is synced).
 * The part's name follows from the content and the name, so that a second run finds it and asks only for
 * the blocks that are not in it yet. A file that is already there is kept if it has the right bytes, else
 * it is in the way: FILE_EXISTS, unless `overwrite`.
 */
import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  symlink,
  unlink
} from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { BLOCK_BYTES_MAX, CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { CODECS, type GetBlock, verifyBlock } from './cid.ts'
import { diskError, onDisk } from './disk-error.ts'
import { type FilePart, readParts } from './read.ts'
import { type WalkEntry, type WalkOptions, walk } from './walk.ts'

/** Files written at once: enough to hide the network's delay, and for small blocks to share requests. */
const FILES_AT_ONCE = 64
/** And their bytes, a file counting at most as what is read ahead of it: so eight large ones. Guesses. */
const BYTES_AT_ONCE = 32 * 1024 * 1024
const FILE_BYTES_COUNTED = 4 * 1024 * 1024
/** Blocks asked for ahead in one file, so that all files together hold no more than 64 of a chunk each. */
const READ_AHEAD_PER_FILE = 4
/** Symlinks wait for the end in memory; this many bytes of paths and targets, some 500,000 symlinks. */
const SYMLINK_BYTES_MAX = 64 * 1024 * 1024

export interface WriteProgress {
  /** Where on disk. */
  readonly path: string
  readonly type: 'file' | 'directory' | 'symlink'
  /** Bytes of the file that are in place since the last report. */
  readonly bytes: number
  /** Of these, bytes that were there before. */
  readonly kept: number
  /** True once the file, directory or symlink is complete. */
  readonly done: boolean
}

export interface WriteTreeOptions extends WalkOptions {
  /** Replace files and symlinks that differ. Directories are never replaced. */
  overwrite?: boolean
  onProgress?: (progress: WriteProgress) => void
}

export interface Written {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  readonly bytes: number
  readonly kept: number
}

/**
 * Writes what `cid` is to `target`: a file there, or a directory with all that it holds. The directory
 * that `target` lies in must exist; `target` may not be a symlink.
 *
 * @throws CairnError UNSAFE_PATH, FILE_EXISTS, BAD_NAME when the filesystem can't hold a name, BAD_DAG;
 *   what `getBlock` throws
 */
export async function writeTree(
  cid: CID,
  getBlock: GetBlock,
  target: string,
  options: WriteTreeOptions = {}
): Promise<Written> {
  const job = startJob(getBlock, resolve(target), options)
  try {
    for await (const entry of walk(cid, getBlock, options)) {
      const path = await placeOf(job, entry)
      if (entry.type === 'directory') await makeDirectory(job, path)
      else if (entry.type === 'symlink') keepForLast(job, path, entry.target)
      else await startFile(job, path, entry)
    }
  } finally {
    await Promise.allSettled(job.running)
  }
  if (job.failure !== undefined) throw job.failure.error
  for (const { path, target } of job.symlinks) await makeSymlink(job, path, target)
  return job.written
}

interface Job {
  readonly getBlock: GetBlock
  readonly target: string
  readonly options: WriteTreeOptions
  readonly running: Set<Promise<void>>
  runningBytes: number
  readonly symlinks: { path: string; target: Uint8Array }[]
  symlinkBytes: number
  /** The names of each directory on the way to where the walk is, as a filesystem without case sees them. */
  readonly names: Map<string, string>[]
  readonly written: { -readonly [K in keyof Written]: Written[K] }
  /** Of the first file that could not be written; it ends the others. */
  failure: { error: unknown } | undefined
}

function startJob(getBlock: GetBlock, target: string, options: WriteTreeOptions): Job {
  return {
    getBlock,
    target,
    options,
    running: new Set(),
    runningBytes: 0,
    symlinks: [],
    symlinkBytes: 0,
    names: [],
    written: { files: 0, directories: 0, symlinks: 0, bytes: 0, kept: 0 },
    failure: undefined
  }
}

/** Where the entry goes. @throws CairnError UNSAFE_PATH, BAD_NAME */
async function placeOf(job: Job, { path }: WalkEntry): Promise<string> {
  const name = path.at(-1)
  if (name === undefined) return job.target
  const unsafe = unsafeName(name, process.platform)
  if (unsafe !== undefined) {
    throw new CairnError('UNSAFE_PATH', `${JSON.stringify(path.join('/'))} can't be written: ${unsafe}`, {
      hint: 'fetch the other files one by one, or this one under another name: cairn cat'
    })
  }
  const place = join(job.target, ...path)
  job.names.length = Math.min(job.names.length, path.length) // the walk has left the deeper ones
  const names = job.names[path.length - 1] ?? new Map<string, string>()
  job.names[path.length - 1] = names
  const folded = name.normalize('NFC').toLowerCase()
  const other = names.get(folded)
  names.set(folded, name)
  if (other !== undefined) await checkClash(job, place, other)
  return place
}

const PART = /^\.cairn-[0-9a-f]{32}\.part$/i

/** Why a name that UnixFS allows is not safe on `platform`; `undefined` if it is. */
export function unsafeName(name: string, platform: string): string | undefined {
  if (PART.test(name)) return 'the name is one that Cairn gives to unfinished files'
  if (platform !== 'win32') return undefined
  if (/[\\:]/.test(name)) return 'the name could lead out of its directory'
  if (/^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)/i.test(name))
    return 'the name means a device'
  return /[ .]$/.test(name) ? 'Windows would change the name' : undefined
}

/** Two names that differ in case or composition: fine, unless the filesystem takes them for one. */
async function checkClash(job: Job, place: string, other: string): Promise<void> {
  await Promise.all(job.running)
  if ((await statOf(place)) === undefined) return
  if ((await onDisk(place, () => readdir(dirname(place)))).includes(basename(place))) return
  throw new CairnError('BAD_NAME', `${place} and ${other} are one name on this filesystem`, {
    hint: 'choose a target on a filesystem that tells upper from lower case'
  })
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw diskError(cause, path)
  }
}

async function makeDirectory(job: Job, path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (cause) {
    // Also the target itself: an earlier tree may have been a symlink, and this one would go where it says.
    const there = await statOf(path)
    if (there?.isSymbolicLink()) throw inTheWay('UNSAFE_PATH', path, 'a symlink')
    if (there !== undefined && !there.isDirectory()) throw inTheWay('FILE_EXISTS', path, 'a file')
    if (there === undefined) throw diskError(cause, path)
  }
  job.written.directories++
  job.options.onProgress?.({ path, type: 'directory', bytes: 0, kept: 0, done: true })
}

function inTheWay(code: 'UNSAFE_PATH' | 'FILE_EXISTS', path: string, what: string): CairnError {
  return new CairnError(code, `${path}: ${what} is in the way`, {
    hint: 'move it away, or choose another target'
  })
}

/** Waits for a free place, then writes in the background. */
async function startFile(job: Job, path: string, entry: WalkEntry & { type: 'file' }): Promise<void> {
  const bytes = Math.min(entry.size, FILE_BYTES_COUNTED)
  const { running } = job
  while (running.size >= FILES_AT_ONCE || (running.size > 0 && job.runningBytes + bytes > BYTES_AT_ONCE)) {
    await Promise.race(running)
  }
  if (job.failure !== undefined) throw job.failure.error
  job.runningBytes += bytes
  const task: Promise<void> = writeFile(job, path, entry.cid)
    .catch((cause: unknown) => {
      job.failure ??= { error: cause }
    })
    .finally(() => {
      running.delete(task)
      job.runningBytes -= bytes
    })
  running.add(task)
}

async function writeFile(job: Job, path: string, cid: CID): Promise<void> {
  const there = await statOf(path)
  if (there?.isSymbolicLink() && job.options.overwrite !== true)
    throw inTheWay('UNSAFE_PATH', path, 'a symlink')
  if (there?.isDirectory()) throw inTheWay('FILE_EXISTS', path, 'a directory')
  if (there?.isFile() && (await sameContent(job, path, cid, there.size))) {
    job.written.files++
    report(job, path, there.size, there.size, true)
    return
  }
  if (there !== undefined && job.options.overwrite !== true) {
    throw new CairnError('FILE_EXISTS', `${path} exists and has other content`, {
      hint: 'move it away, choose another target, or allow to overwrite'
    })
  }
  const part = join(dirname(path), partName(cid, basename(path)))
  const file = await onDisk(path, () => openPart(part))
  try {
    const end = await fill(job, path, file, cid)
    await onDisk(path, () => file.truncate(end))
  } finally {
    await onDisk(path, () => file.close())
  }
  await onDisk(path, () => rename(part, path))
  job.written.files++
  report(job, path, 0, 0, true)
}

/** Depends on the content too, or the part of one version would be taken for the beginning of another. */
function partName(cid: CID, name: string): string {
  const hash = createHash('sha256').update(cid.bytes).update(name).digest('hex')
  return `.cairn-${hash.slice(0, 32)}.part`
}

async function openPart(part: string): Promise<FileHandle> {
  const there = await statOf(part)
  // What is not a file of its own was not made here: another name of some file, a symlink, a pipe.
  if (there !== undefined && (!there.isFile() || there.nlink !== 1)) await unlink(part)
  return await open(part, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o666)
}

function report(job: Job, path: string, bytes: number, kept: number, done: boolean): void {
  job.written.bytes += bytes
  job.written.kept += kept
  job.options.onProgress?.({ path, type: 'file', bytes, kept, done })
}

/** Writes what is not in `file` yet. @returns the length of the whole */
async function fill(job: Job, path: string, file: FileHandle, cid: CID): Promise<number> {
  const { size: length } = await onDisk(path, () => file.stat())
  const kept = new Set<FilePart>()
  const getPart = async (part: FilePart): Promise<Uint8Array> => {
    const local = await onDisk(path, () => localPart(file, part, length))
    if (local === undefined) return await job.getBlock(part.cid)
    kept.add(part)
    return local
  }
  let end = 0
  for await (const { start, bytes, part } of readParts(cid, getPart, { readAhead: READ_AHEAD_PER_FILE })) {
    if (job.failure !== undefined) throw job.failure.error
    if (!kept.has(part)) await onDisk(path, () => writeAll(file, bytes, start))
    report(job, path, bytes.length, kept.delete(part) ? bytes.length : 0, false)
    end = start + bytes.length
  }
  return end
}

/** The leaf, if its bytes are already in the file at its place. */
async function localPart(file: FileHandle, part: FilePart, length: number): Promise<Uint8Array | undefined> {
  const { cid, start, size } = part
  if (cid.code !== CODECS.raw || size === undefined || size > BLOCK_BYTES_MAX || start + size > length)
    return undefined
  const bytes = await readAt(file, start, size)
  return isBlock(cid, bytes) ? bytes : undefined
}

function isBlock(cid: CID, bytes: Uint8Array): boolean {
  try {
    verifyBlock(cid, bytes)
    return true
  } catch (error) {
    if (CairnError.is(error, 'BLOCK_CORRUPT')) return false
    throw error
  }
}

async function readAt(file: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length)
  let have = 0
  while (have < length) {
    const { bytesRead } = await file.read(buffer, have, length - have, start + have)
    if (bytesRead === 0) break
    have += bytesRead
  }
  return buffer.subarray(0, have)
}

async function writeAll(file: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done)
    done += bytesWritten
  }
}

/** Whether the file at `path` has exactly the bytes of `cid`. Of the DAG, only nodes are asked for. */
export async function sameContent(
  job: { getBlock: GetBlock },
  path: string,
  cid: CID,
  length: number
): Promise<boolean> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await onDisk(path, () => open(path, flags))
  try {
    if (cid.code === CODECS.raw)
      return length <= BLOCK_BYTES_MAX && isBlock(cid, await readAt(file, 0, length))
    const getPart = async (part: FilePart): Promise<Uint8Array> => {
      if (part.cid.code !== CODECS.raw) return await job.getBlock(part.cid)
      const local = await localPart(file, part, length)
      if (local === undefined) throw new Differs()
      return local
    }
    let end = 0
    for await (const { start, bytes, part } of readParts(cid, getPart, { readAhead: READ_AHEAD_PER_FILE })) {
      const inline = part.cid.code !== CODECS.raw
      if (inline && !Buffer.from(await readAt(file, start, bytes.length)).equals(bytes)) return false
      end = start + bytes.length
    }
    return end === length
  } catch (error) {
    if (error instanceof Differs) return false
    throw error
  } finally {
    await file.close()
  }
}

/** Ends a comparison early; never leaves this file. */
class Differs extends Error {}

function keepForLast(job: Job, path: string, target: Uint8Array): void {
  if (target.length === 0 || target.includes(0)) {
    throw new CairnError('UNSAFE_PATH', `${path}: a symlink to nothing, or with a NUL in its target`)
  }
  job.symlinkBytes += 2 * path.length + target.length
  if (job.symlinkBytes > SYMLINK_BYTES_MAX) {
    throw new CairnError('BAD_DAG', 'too many symlinks in one tree', {
      hint: 'get its directories one by one'
    })
  }
  job.symlinks.push({ path, target: target.slice() }) // a view would keep its block in memory
}

async function makeSymlink(job: Job, path: string, target: Uint8Array): Promise<void> {
  const there = await statOf(path)
  const same = there?.isSymbolicLink() && (await onDisk(path, () => readlink(path, 'buffer'))).equals(target)
  if (same !== true) {
    if (there?.isDirectory()) throw inTheWay('FILE_EXISTS', path, 'a directory')
    if (there !== undefined && job.options.overwrite !== true)
      throw inTheWay('FILE_EXISTS', path, 'something else')
    await onDisk(path, async () => {
      if (there !== undefined) await unlink(path)
      await symlink(Buffer.from(target), path)
    })
  }
  job.written.symlinks++
  job.options.onProgress?.({ path, type: 'symlink', bytes: 0, kept: 0, done: true })
}
