/**
 * The files of a store: segments by number, kept open within a limit, read and written at positions; and
 * the directory, synced after each change of its entries. Every refusal comes out typed.
 */
import fs from 'node:fs'
import { mkdir, open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type DirectWriter, directWriter } from './direct.ts'
import { fault } from './fault.ts'

const openFd = promisify(fs.open)
const closeFd = promisify(fs.close)
const readFd = promisify(fs.read)
const writevFd = promisify(fs.writev)
const truncateFd = promisify(fs.ftruncate)
const syncFd = promisify(fs.fdatasync)

/** Segments open at once. 128 of 256 MiB are 32 GiB; an opening costs some 20 us. */
const OPEN_FILES_MAX = 128
const SEGMENT_NAME = /^(\d{8})\.car$/

interface OpenFile {
  fd: Promise<number>
  users: number
  closing: boolean
}

export class Files {
  readonly directory: string
  readonly #open = new Map<number, OpenFile>()
  readonly #direct: DirectWriter | undefined
  /** Those who want a segment opened while as many as may be are in use; their callers hold them back. */
  readonly #waiting: (() => void)[] = []

  private constructor(directory: string, direct: boolean) {
    this.directory = directory
    this.#direct = direct ? directWriter() : undefined
  }

  /** `direct`: long writes go past the page cache where the file system has that. */
  static async open(directory: string, { direct = true }: { direct?: boolean } = {}): Promise<Files> {
    try {
      await mkdir(directory, { recursive: true })
    } catch (cause) {
      throw fault(cause, `cannot make ${directory}`)
    }
    return new Files(directory, direct)
  }

  path(segment: number): string {
    return join(this.directory, `${String(segment).padStart(8, '0')}.car`)
  }

  /** Segments that exist, by number, with their sizes. */
  async list(): Promise<Map<number, number>> {
    const sizes = new Map<number, number>()
    for (const name of (await readdir(this.directory)).sort()) {
      const number = Number(SEGMENT_NAME.exec(name)?.[1])
      if (number > 0) sizes.set(number, (await stat(join(this.directory, name))).size)
    }
    return sizes
  }

  /** Up to `length` bytes: fewer at the segment's end. */
  read(segment: number, offset: number, length: number): Promise<Buffer> {
    return this.readInto(Buffer.allocUnsafeSlow(length), segment, offset)
  }

  /** As much as there is, up to the buffer's length. */
  async readInto(bytes: Buffer, segment: number, offset: number): Promise<Buffer> {
    const { length } = bytes
    return this.#using(segment, `cannot read segment ${segment}`, async (fd) => {
      let done = 0
      while (done < length) {
        const { bytesRead } = await readFd(fd, bytes, done, length - done, offset + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return done === length ? bytes : bytes.subarray(0, done)
    })
  }

  async write(segment: number, offset: number, buffers: readonly Buffer[]): Promise<void> {
    await this.#using(segment, `cannot write segment ${segment}`, async (fd) => {
      let rest = [...buffers]
      for (let at = offset; rest.length > 0; ) {
        const { bytesWritten } = await writevFd(fd, rest, at)
        at += bytesWritten
        rest = after(rest, bytesWritten)
      }
    })
  }

  /** As `write`, for groups: one at a time, of whole pages, at a page's start. */
  async append(segment: number, offset: number, buffers: readonly Buffer[]): Promise<void> {
    try {
      if (await this.#direct?.write(this.path(segment), offset, buffers)) return
    } catch (cause) {
      throw fault(cause, `cannot write segment ${segment}`)
    }
    await this.write(segment, offset, buffers)
  }

  async truncate(segment: number, size: number): Promise<void> {
    await this.#using(segment, `cannot cut segment ${segment}`, (fd) => truncateFd(fd, size))
  }

  /** What was written to the segment is durable when this resolves. Its failure is final (fsyncgate). */
  async sync(segment: number): Promise<void> {
    await this.#using(segment, `cannot sync segment ${segment}`, (fd) => syncFd(fd))
  }

  /** A new segment that begins with `page`, its directory entry durable. */
  async create(segment: number, page: Buffer): Promise<void> {
    try {
      await this.#direct?.close() // of the segment before, which is sealed now
      this.#mayOpen(segment)
      const fd = await openFd(this.path(segment), 'wx+')
      this.#open.set(segment, { fd: Promise.resolve(fd), users: 0, closing: false })
    } catch (cause) {
      throw fault(cause, `cannot make segment ${segment}`)
    }
    try {
      await this.write(segment, 0, [page])
      await syncDirectory(this.directory)
    } catch (cause) {
      await this.remove(segment).catch(() => undefined) // the first refusal is the one to report
      throw cause
    }
  }

  /** Gone for good when this resolves, but for reads under way. */
  async remove(segment: number): Promise<void> {
    try {
      await unlink(this.path(segment))
      await this.#close(segment)
      await syncDirectory(this.directory)
    } catch (cause) {
      throw fault(cause, `cannot remove segment ${segment}`)
    }
  }

  /** Closes the segments that nobody reads or writes now: somebody needs descriptors more. */
  async rest(): Promise<void> {
    for (const [segment, { users }] of [...this.#open]) if (users === 0) await this.#close(segment)
  }

  async close(): Promise<void> {
    await this.#direct?.close()
    for (const segment of [...this.#open.keys()]) await this.#close(segment)
  }

  async #using<T>(segment: number, doing: string, work: (fd: number) => Promise<T>): Promise<T> {
    while (!this.#mayOpen(segment)) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const file = this.#acquire(segment)
    try {
      return await work(await file.fd)
    } catch (cause) {
      throw fault(cause, doing)
    } finally {
      file.users--
      this.#waiting.shift()?.()
      await closeUnused(file)
    }
  }

  #acquire(segment: number): OpenFile {
    const file = this.#open.get(segment) ?? { fd: openSegment(this.path(segment)), users: 0, closing: false }
    file.users++
    file.fd.catch(() => this.#forget(segment, file))
    this.#open.delete(segment) // and in again: the map's order is that of last use
    this.#open.set(segment, file)
    return file
  }

  /** Lets go of what was used longest ago until there is room for the segment; false if all is in use. */
  #mayOpen(segment: number): boolean {
    if (this.#open.has(segment)) return true
    for (const [other, file] of this.#open) {
      if (this.#open.size < OPEN_FILES_MAX) break
      if (file.users > 0) continue
      this.#forget(other, file)
      file.closing = true
      file.fd.then(closeFd).catch(() => undefined) // it was only read from
    }
    return this.#open.size < OPEN_FILES_MAX
  }

  #forget(segment: number, file: OpenFile): void {
    if (this.#open.get(segment) === file) this.#open.delete(segment)
  }

  async #close(segment: number): Promise<void> {
    const file = this.#open.get(segment)
    if (file === undefined) return
    this.#open.delete(segment)
    file.closing = true
    await closeUnused(file)
  }
}

async function closeUnused(file: OpenFile): Promise<void> {
  if (!file.closing || file.users > 0) return
  file.users = Number.NEGATIVE_INFINITY // closed once
  const fd = await file.fd.catch(() => undefined)
  if (fd !== undefined) await closeFd(fd)
}

async function openSegment(path: string): Promise<number> {
  try {
    return await openFd(path, 'r+')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EROFS') throw cause
    return await openFd(path, 'r')
  }
}

function after(buffers: readonly Buffer[], written: number): Buffer[] {
  let rest = written
  let i = 0
  while (i < buffers.length && rest >= (buffers[i] as Buffer).length) rest -= (buffers[i++] as Buffer).length
  const left = buffers.slice(i)
  if (rest > 0) left[0] = (left[0] as Buffer).subarray(rest)
  return left
}

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
