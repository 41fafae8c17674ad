/**
 * Small files that must survive a power cut whole: written beside their place, synced, renamed over it,
 * and the directory synced after. A reader sees the old file or the new one, never a part.
 */
import { randomBytes } from 'node:crypto'
import { chmod, type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CairnError } from '@cairn/core'

/** Bits that let anyone but the owner in. */
const OTHERS = 0o077

export async function writeWhole(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    await withFile(beside, 'wx', mode, async (file) => {
      await file.writeFile(data)
      await file.sync()
    })
    await rename(beside, path)
  } catch (cause) {
    await rm(beside, { force: true })
    throw cause
  }
  await syncDirectory(dirname(path))
}

export async function syncDirectory(path: string): Promise<void> {
  await withFile(path, 'r', undefined, (directory) => directory.sync())
}

async function withFile(
  path: string,
  flags: string,
  mode: number | undefined,
  use: (file: FileHandle) => Promise<void>
): Promise<void> {
  const file = await open(path, flags, mode)
  try {
    await use(file)
  } finally {
    await file.close()
  }
}

/** The bytes, or undefined when there is no such file. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw cause
  }
}

export function errnoOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
}

export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
}

/**
 * Takes a file or directory that holds secrets back from other users.
 * @throws CairnError BAD_CONFIG when it is somebody else's and its mode can't be changed.
 */
export async function keepPrivate(path: string): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & OTHERS) === 0) return
  try {
    await chmod(path, mode & 0o700)
  } catch (cause) {
    throw new CairnError('BAD_CONFIG', `other users can read ${path}, and its mode can't be changed`, {
      cause,
      hint: `make it yours alone: chmod go= ${path}`
    })
  }
}
