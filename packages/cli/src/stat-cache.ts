/**
 * What files were when they were last put under a name: by path, and only while size, times and inode are
 * the same, so that an update reads what has changed. A file that changed so lately that another change
 * could have left its times as they are is not remembered ("racy git"). What the name does not keep is read,
 * whatever is remembered of it.
 */
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseCid, type Root } from '@cairn/blocks'
import type { Kept, KnownFile } from '@cairn/client'

/** Files of one tree that are remembered, at some 400 bytes each on disk and in memory. */
const FILES_MAX = 200_000
/** Trees; the one that was put longest ago goes first. */
const TREES_MAX = 32
/** Coarser than the times of any filesystem in use: FAT has two seconds. */
const TIMES_GRANULARITY_MS = 2_500
const NS_PER_MS = 1_000_000n
const VERSION = 1

interface Line {
  path: string
  stats: string
  cid: string
  size: number
  dagSize: number
  digests: KnownFile['digests']
}

export interface StatCache {
  known(path: readonly string[], stats: BigIntStats): KnownFile | undefined
  onRead(path: readonly string[], stats: BigIntStats, openedMs: number): void
  onFile(path: readonly string[], file: Root, digests: KnownFile['digests']): void
  /** Files that were not read. */
  readonly unchanged: { files: number; bytes: number }
  save(): Promise<void>
}

/** @param how what else the blocks and digests of a file depend on */
export async function openStatCache(home: string, path: string, how: readonly string[]): Promise<StatCache> {
  const about = JSON.stringify([VERSION, resolve(path), ...how])
  const directory = join(home, 'cache')
  const file = join(directory, `${sha256(about).slice(0, 32)}.stats`)
  const before = await read(file, about)
  const now = new Map<string, Line>()
  const readFiles = new Map<string, string>()
  const unchanged = { files: 0, bytes: 0 }
  return {
    unchanged,
    known(parts, stats) {
      const known = before.get(parts.join('/'))
      if (known === undefined || known.stats !== statsOf(stats)) return undefined
      const { cid, size, dagSize, digests } = known
      return { cid: parseCid(cid), size, dagSize, ...(digests === undefined ? {} : { digests }) }
    },
    onRead(parts, stats, openedMs) {
      const settled = BigInt(Math.floor(openedMs) - TIMES_GRANULARITY_MS) * NS_PER_MS
      if (stats.mtimeNs < settled && stats.ctimeNs < settled) readFiles.set(parts.join('/'), statsOf(stats))
    },
    onFile(parts, { cid, size, dagSize }, digests) {
      const key = parts.join('/')
      const stats =
        readFiles.get(key) ?? (before.get(key)?.cid === `${cid}` ? before.get(key)?.stats : undefined)
      readFiles.delete(key)
      if (stats === undefined || now.size >= FILES_MAX) return
      now.set(key, { path: key, stats, cid: `${cid}`, size, dagSize, digests })
    },
    async save() {
      const body = [about, ...[...now.values()].map((line) => JSON.stringify(line))].join('\n')
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const beside = `${file}.${process.pid}`
      await writeFile(beside, `${sha256(body)}\n${body}`, { mode: 0o600 })
      await rename(beside, file)
      await forget(directory)
    }
  }
}

/** Those that the name keeps are taken as they were. */
export function knownIn(cache: StatCache, kept: Kept) {
  return (path: readonly string[], stats: BigIntStats): KnownFile | undefined => {
    const known = cache.known(path, stats)
    if (known === undefined || !kept.has(known.cid)) return undefined
    cache.unchanged.files++
    cache.unchanged.bytes += known.size
    return known
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

function statsOf({ size, mtimeNs, ctimeNs, ino, dev }: BigIntStats): string {
  return [size, mtimeNs, ctimeNs, ino, dev].join(' ')
}

/** What can't be read, or is not what was written, is nothing. */
async function read(file: string, about: string): Promise<Map<string, Line>> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const cut = text.indexOf('\n')
  const body = text.slice(cut + 1)
  if (cut < 0 || sha256(body) !== text.slice(0, cut)) return new Map()
  const [head, ...lines] = body.split('\n')
  if (head !== about) return new Map()
  return new Map(
    lines.map((line) => {
      const known = JSON.parse(line) as Line
      return [known.path, known]
    })
  )
}

async function forget(directory: string): Promise<void> {
  const names = await readdir(directory)
  if (names.length <= TREES_MAX) return
  const aged = await Promise.all(
    names.map(async (name) => ({ name, ms: (await stat(join(directory, name))).mtimeMs }))
  )
  aged.sort((a, b) => b.ms - a.ms)
  for (const { name } of aged.slice(TREES_MAX)) await rm(join(directory, name), { force: true })
}
