/** Directories and stores that a test needs for its length, and nothing of them afterwards. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlockKey } from '@cairn/core'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { type DiskStore, type OpenOptions, openStore } from '../src/disk.ts'
import type { Entry } from '../src/store.ts'

export const CAPACITY_BYTES = 32 * 1024 * 1024

export async function inScratch(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-store-'))
  try {
    await work(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Opens a store for the length of `work`. */
export async function withStore<T>(
  options: Partial<OpenOptions> & { directory: string },
  work: (store: DiskStore) => Promise<T>
): Promise<T> {
  const store = await openStore({ capacity: CAPACITY_BYTES, ...options })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

/** A block with one claim. */
export function entry(seed: number, size = 100): Entry & { bytes: Uint8Array } {
  return { ...sampleBlock(seed, size), claims: [sampleClaim('01')] }
}

export async function segmentNames(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith('.car')).sort()
}

/** Flips one bit of a file. */
export async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at] = (bytes[at] as number) ^ 1
  await writeFile(path, bytes)
}

/** Where the block's bytes begin, in every segment that has them. */
export async function placesOf(directory: string, key: BlockKey): Promise<{ path: string; at: number }[]> {
  const places: { path: string; at: number }[] = []
  for (const name of await segmentNames(directory)) {
    const path = join(directory, name)
    const bytes = await readFile(path)
    const cid = Buffer.from(`0155${key}`, 'hex')
    const at = bytes.indexOf(cid)
    if (at >= 0) places.push({ path, at: at + cid.length })
  }
  return places
}

/** Flips the first bit of the block's bytes wherever they are. */
export async function damage(directory: string, key: BlockKey): Promise<void> {
  for (const { path, at } of await placesOf(directory, key)) await flip(path, at)
}
