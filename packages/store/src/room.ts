/**
 * The hard cap: what everything on disk takes, and whether more may be written. Some room is held back so
 * that a full store can still delete and compact, and a ballast of files gives that room even where the file
 * system, not the cap, ran out.
 */
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { isErrno } from './fault.ts'
import { syncDirectory } from './files.ts'

const MiB = 1024 * 1024
/** Below it the reserves would leave no room for blocks. */
export const CAPACITY_MIN = 32 * MiB
const SEGMENT_BYTES_MAX = 256 * MiB
const SEGMENT_BYTES_MIN = 4 * MiB
/** LevelDB's default. */
const WRITE_BUFFER_BYTES_MAX = 4 * MiB
const BALLAST_BYTES_MAX = 8 * MiB
/** What one LevelDB compaction may write before it removes what it read: its default file limits. */
const INDEX_COMPACTION_BYTES_MAX = 64 * MiB
/** Directories, the identity and LevelDB's small files. */
const FIXED_BYTES = 64 * 1024
/** How much may be written to the index before its size is measured again. */
const MEASURE_EVERY_BYTES = MiB
const BALLAST_RETRY_MS = 1000
const BALLAST_NAME = 'ballast'
/** Room is inodes too: LevelDB makes some four files when it opens. */
const BALLAST_FILES = 8

export class Room {
  readonly capacity: number
  readonly segmentBytesMax: number
  readonly writeBufferBytes: number
  readonly #ballastBytes: number
  readonly #ballastPath: string
  /** Of all segments. Kept by those who write and remove them. */
  segments = 0
  #index = 0
  #unmeasured = 0
  #ballast = 0
  /** The least that a refused put needed; 0 when none was refused since there was room for it. */
  #refused = 0
  #retryAtMs = 0
  /** What a recovery writes again replaces what it cuts: it must not fail for the little room in between. */
  recovering = false

  constructor(directory: string, capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < CAPACITY_MIN) {
      throw new CairnError('BAD_CONFIG', `a capacity of ${capacity} bytes is too little`, {
        hint: `Give the store at least ${CAPACITY_MIN / MiB} MiB.`
      })
    }
    this.capacity = capacity
    this.segmentBytesMax = within(capacity / 16, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    this.writeBufferBytes = within(capacity / 128, MiB / 4, WRITE_BUFFER_BYTES_MAX)
    this.#ballastBytes = BALLAST_FILES * within(capacity / 512, MiB / 16, BALLAST_BYTES_MAX / BALLAST_FILES)
    this.#ballastPath = join(directory, BALLAST_NAME)
  }

  /** Everything on disk, bytes. */
  get used(): number {
    return this.segments + this.#index + this.#unmeasured + this.#ballast + FIXED_BYTES
  }

  /** Held back from puts: one segment to compact into, and what the index may take for a while. */
  get #reserve(): number {
    const index = 4 * this.writeBufferBytes + Math.min(this.#index, INDEX_COMPACTION_BYTES_MAX)
    return this.segmentBytesMax + index + this.#ballastBytes - this.#ballast
  }

  /** What puts may still take. */
  get free(): number {
    return this.#ballast === 0 ? 0 : Math.max(0, this.capacity - this.#reserve - this.used)
  }

  get full(): boolean {
    return this.#ballast === 0 || (this.#refused > 0 && this.free < this.#refused)
  }

  /** Whether `bytes` more may be written; what makes room, or must not fail for lack of it, is `urgent`. */
  admits(bytes: number, urgent: boolean): boolean {
    if (urgent) return this.recovering || this.used + bytes <= this.capacity
    const admitted = bytes <= this.free
    if (!admitted) this.#refused = bytes
    else if (bytes >= this.#refused) this.#refused = 0
    return admitted
  }

  /** The index took `bytes` more; true when it should be measured again. */
  indexGrew(bytes: number): boolean {
    this.#unmeasured += bytes
    return this.#unmeasured >= MEASURE_EVERY_BYTES
  }

  indexMeasured(bytes: number): void {
    this.#index = bytes
    this.#unmeasured = 0
  }

  /** Makes the ballast if it is not there. At most once a second; false when there is no room for it. */
  async ballast(nowMs: number): Promise<boolean> {
    if (this.#ballast > 0) return true
    if (nowMs < this.#retryAtMs) return false
    this.#retryAtMs = nowMs + BALLAST_RETRY_MS
    if (!(await this.#hasBallast()) && !(await this.#writeBallast())) return false
    this.#ballast = this.#ballastBytes
    return true
  }

  async #hasBallast(): Promise<boolean> {
    const sizes = this.#ballastPaths().map((path) => stat(path).then(({ size }) => size))
    return Promise.all(sizes).then(
      (found) => found.every((size) => size === this.#ballastBytes / BALLAST_FILES),
      () => false
    )
  }

  #ballastPaths(): string[] {
    return Array.from({ length: BALLAST_FILES }, (_, i) => join(this.#ballastPath, String(i)))
  }

  async #writeBallast(): Promise<boolean> {
    const part = Buffer.alloc(this.#ballastBytes / BALLAST_FILES)
    try {
      await mkdir(this.#ballastPath, { recursive: true })
      for (const path of this.#ballastPaths()) await writeFile(path, part, { flush: true })
      return true
    } catch (cause) {
      await rm(this.#ballastPath, { recursive: true, force: true }) // a part of it would be of no use
      if (['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EMFILE'].some((code) => isErrno(cause, code))) return false
      throw cause
    }
  }

  /** Gives the ballast's bytes back to the file system. False when there is none to give. */
  async release(directory: string): Promise<boolean> {
    if (this.#ballast === 0) return false
    this.#ballast = 0
    await rm(this.#ballastPath, { recursive: true })
    await syncDirectory(directory)
    return true
  }
}

/** Gives the ballast back before the store is open: on a full disk nothing could be opened. */
export async function dropBallast(directory: string): Promise<boolean> {
  return rm(join(directory, BALLAST_NAME), { recursive: true }).then(
    () => true,
    () => false
  )
}

function within(value: number, least: number, most: number): number {
  return Math.floor(Math.min(most, Math.max(least, value)))
}
