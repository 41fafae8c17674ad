/**
 * The directory that goes in: the user's own, or some 100 MB of what pnpm installed: thousands of small
 * files, a few large ones, symlinks, hidden names. Real, and there on every machine that got this far.
 */
import { lstat, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { TreeEntry } from '@cairn/blocks'
import { walkPath } from '@cairn/blocks/fs'
import { CairnError } from '@cairn/core'

const SAMPLE_BYTES = 100e6
/** One package of this size would be the whole sample; those are the binaries of Node and the like. */
const PACKAGE_BYTES_MAX = 40e6

export interface Sample {
  /** As it is told to a person. */
  name: string
  folder: string
  /** Names directly in the folder that take part; all when undefined. */
  names: string[] | undefined
  files: number
  bytes: number
}

interface Extent {
  files: number
  bytes: number
}

/** Files and bytes below a path. Symlinks count nothing. */
async function extentOf(path: string): Promise<Extent> {
  const stats = await lstat(path)
  if (stats.isFile()) return { files: 1, bytes: stats.size }
  if (!stats.isDirectory()) return { files: 0, bytes: 0 }
  const extent = { files: 0, bytes: 0 }
  for (const name of await readdir(path)) {
    const below = await extentOf(join(path, name))
    extent.files += below.files
    extent.bytes += below.bytes
  }
  return extent
}

/** @throws CairnError NOT_FOUND, BAD_REQUEST when it is no directory */
export async function ownSample(folder: string): Promise<Sample> {
  const stats = await stat(folder).catch((cause) => {
    throw new CairnError('NOT_FOUND', `there is no ${folder}`, {
      cause,
      hint: 'name a directory: npm start -- DIR'
    })
  })
  if (!stats.isDirectory()) {
    throw new CairnError('BAD_REQUEST', `${folder} is not a directory`, {
      hint: 'name a directory: npm start -- DIR'
    })
  }
  return { name: `${basename(folder)}/`, folder, names: undefined, ...(await extentOf(folder)) }
}

export async function pnpmSample(root: string): Promise<Sample> {
  const folder = join(root, 'node_modules', '.pnpm')
  const sample = { name: 'node_modules/.pnpm (a part)', folder, names: [] as string[], files: 0, bytes: 0 }
  for (const name of (await readdir(folder)).sort()) {
    const { files, bytes } = await extentOf(join(folder, name))
    if (bytes > PACKAGE_BYTES_MAX) continue
    sample.names.push(name)
    sample.files += files
    sample.bytes += bytes
    if (sample.bytes >= SAMPLE_BYTES) break
  }
  return sample
}

/** The sample as a put takes it, hidden files included. */
export async function* treeOf({ folder, names }: Sample): AsyncGenerator<TreeEntry> {
  if (names === undefined) {
    yield* walkPath(folder, { hidden: true })
    return
  }
  yield { type: 'directory', path: [] }
  for (const name of names) {
    for await (const entry of walkPath(join(folder, name), { hidden: true })) {
      yield { ...entry, path: [name, ...entry.path] }
    }
  }
}
