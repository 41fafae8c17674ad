/** Blocks in memory, the importer to compare with, and what else the tests of this package share. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CairnError, type ErrorCode, pick, type Random, seeded } from '@cairn/core'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import type { CID } from 'multiformats/cid'
import * as assert from 'uvu/assert'
import { type Block, type GetBlock, keyOf, type Root, verifyBlock } from '../../src/index.ts'

/** Blocks by key, and how often each was asked for. */
export class Blocks {
  readonly all = new Map<string, Uint8Array>()
  readonly asked: CID[] = []

  add({ cid, bytes }: Block): CID {
    this.all.set(keyOf(cid), bytes)
    return cid
  }

  readonly get: GetBlock = async (cid) => {
    this.asked.push(cid)
    const bytes = this.all.get(keyOf(cid))
    if (bytes === undefined) throw new CairnError('NO_PROVIDER', `nobody has ${cid}`)
    return bytes
  }
}

/** Runs a generator of blocks to its end. Each block is checked, and linked to only after it was given. */
export async function collect(
  blocks: AsyncGenerator<Block, Root> | Generator<Block, Root>
): Promise<{ root: Root; blocks: Blocks; order: CID[] }> {
  const found = new Blocks()
  const order: CID[] = []
  for (;;) {
    const next = await blocks.next()
    if (next.done) return { root: next.value, blocks: found, order }
    verifyBlock(next.value.cid, next.value.bytes)
    order.push(found.add(next.value))
  }
}

export async function drain<T, R>(source: AsyncGenerator<T, R>): Promise<R> {
  for (;;) {
    const next = await source.next()
    if (next.done) return next.value
  }
}

export async function listed<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

export async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Buffer.concat(await listed(source))
}

interface OracleEntry {
  path?: string
  content: Uint8Array
}

/** What ipfs-unixfs-importer makes of the same files, with the same profile. */
export async function oracle(
  entries: OracleEntry[],
  options: { wrap?: boolean; chunkBytes?: number; linksPerNode?: number } = {}
): Promise<{ cid: string; dagSize: number }> {
  const { wrap = true, chunkBytes, linksPerNode } = options
  let last: { cid: CID; size: bigint } | undefined
  for await (const entry of importer(entries, new MemoryBlockstore(), {
    profile: 'unixfs-v1-2025',
    wrapWithDirectory: wrap,
    ...(chunkBytes === undefined ? {} : { chunker: fixedSize({ chunkSize: chunkBytes }) }),
    ...(linksPerNode === undefined ? {} : { layout: balanced({ maxChildrenPerNode: linksPerNode }) })
  })) {
    last = entry
  }
  return { cid: String(last?.cid), dagSize: Number(last?.size) }
}

export async function rejects(action: () => unknown, code: ErrorCode, message?: RegExp): Promise<CairnError> {
  try {
    await action()
  } catch (error) {
    if (!CairnError.is(error)) throw error
    assert.is(error.code, code, error.message)
    if (message !== undefined) assert.match(error.message, message)
    return error
  }
  return assert.unreachable(`nothing was thrown where ${code} belongs`) as never
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => pick(random, 256))
}

/** Bytes that differ from one place to the next, quickly. */
export function noise(length: number, seed = 1): Uint8Array {
  const random = seeded(seed)
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32
  return new Uint8Array(words.buffer, 0, length)
}

/** Runs a test in a directory of its own. (`await using` does not parse on Node 22.) */
export async function inScratch(test: (dir: { path: string }) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'cairn-blocks-'))
  try {
    await test({ path })
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}
