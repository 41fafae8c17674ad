/** Data for tests: directories whose every block is another, their blocks, and who holds those on disk. */
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { keyOf, treeBlocks, verifyBlock } from '@cairn/blocks'
import { walkPath } from '@cairn/blocks/fs'
import type { Client, PeerInfo, Put } from '@cairn/client'
import { type BlockKey, holders, seeded, slotOf, weightOf } from '@cairn/core'
import { openStore } from '@cairn/store'
import type { CID } from 'multiformats/cid'

const MIB = 1024 * 1024
const PAGE_BYTES = 4_096
/** Above everything that a test keeps: looking at a store must not fill it. */
const CAPACITY = 64 * 1024 * MIB
const HOME_STORE = 'store'

/** Bytes that differ from page to page, so that every block is another one, and quick. */
export function someBytes(length: number, seed: number): Uint8Array {
  const random = seeded(seed)
  const page = Uint8Array.from({ length: PAGE_BYTES }, () => random() * 256)
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < length; at += PAGE_BYTES) {
    bytes.set(page.subarray(0, length - at), at)
    if (at + 8 <= length) view.setFloat64(at, random())
  }
  return bytes
}

/** One file of so many MiB, written a MiB at a time. */
export async function makeFile(path: string, mebibytes: number, seed: number): Promise<string> {
  const file = await open(path, 'w')
  try {
    for (let i = 0; i < mebibytes; i++) await file.write(someBytes(MIB, seed * 1_000_003 + i))
  } finally {
    await file.close()
  }
  return path
}

/** A directory of one large file, and small ones in directories below it. */
export async function makeTree(
  path: string,
  { mebibytes, small, seed = 1 }: { mebibytes: number; small: number; seed?: number }
): Promise<string> {
  await mkdir(path, { recursive: true })
  await makeFile(join(path, 'large'), mebibytes, seed)
  for (let i = 0; i < small; i++) {
    const folder = join(path, `d${i % 10}`)
    if (i < 10) await mkdir(folder, { recursive: true })
    await writeFile(join(folder, `f${i}`), someBytes(1 + ((i * 97) % 9_000), seed * 7_919 + i))
  }
  return path
}

export interface Tree {
  path: string
  root: CID
  /** All of its blocks, each once. */
  keys: BlockKey[]
}

/** What a directory becomes, worked out here and not by any node. */
export async function treeOf(path: string): Promise<Tree> {
  const keys = new Set<BlockKey>()
  const blocks = treeBlocks(walkPath(path))
  for (let next = await blocks.next(); ; next = await blocks.next()) {
    if (next.done === true) return { path, root: next.value.cid, keys: [...keys] }
    keys.add(keyOf(next.value.cid))
  }
}

export function putTree(client: Client, path: string, signal?: AbortSignal): Put {
  return client.putDir(walkPath(path), signal === undefined ? {} : { signal })
}

/** Reads all files below a root, every block verified by the client; the number of bytes. */
export async function readAll(client: Client, root: CID): Promise<number> {
  let bytes = 0
  for await (const entry of client.getTree(root)) {
    if (entry.type !== 'file') continue
    for await (const chunk of entry.content) bytes += chunk.length
  }
  return bytes
}

/** Those that a member must hold, as placement says of the members that one of them sees alive. */
export function keysToHold(
  peers: readonly PeerInfo[],
  id: string,
  { keys, n }: { keys: readonly BlockKey[]; n: number }
): BlockKey[] {
  const placed = peers
    .filter(({ state }) => state === 'alive')
    .map((peer) => ({ id: peer.id, weight: weightOf(peer.capacity), zone: peer.zone }))
  return keys.filter((key) => holders(slotOf(key), placed, n).some((holder) => holder === id))
}

/** Opens the store of a node that has stopped and asks it for each block, which it verifies. */
export async function heldIn(home: string, keys: readonly BlockKey[]): Promise<Set<BlockKey>> {
  const store = await openStore({ directory: join(home, HOME_STORE), capacity: CAPACITY })
  const held = new Set<BlockKey>()
  try {
    for (const key of keys) {
      const bytes = await store.get(key)
      if (bytes === undefined) continue
      verifyBlock(key, bytes) // the store did; this does not take its word for it
      held.add(key)
    }
  } finally {
    await store.close()
  }
  return held
}

/** Verified copies of each block in the homes of stopped nodes: the least, and which have no more. */
export async function countCopies(
  homes: readonly string[],
  keys: readonly BlockKey[]
): Promise<{ least: number; counts: Map<BlockKey, number> }> {
  const counts = new Map<BlockKey, number>(keys.map((key) => [key, 0]))
  for (const home of homes) {
    for (const key of await heldIn(home, keys)) counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return { least: Math.min(...counts.values()), counts }
}

/** @throws Error that says how many blocks have how many copies, if any has fewer than `n` */
export async function expectCopies(
  homes: readonly string[],
  keys: readonly BlockKey[],
  n: number
): Promise<void> {
  if (keys.length === 0) throw new Error('no block was asked for: nothing was shown')
  const { least, counts } = await countCopies(homes, keys)
  if (least >= n) return
  const tally = new Map<number, number>()
  for (const count of counts.values()) tally.set(count, (tally.get(count) ?? 0) + 1)
  const shown = [...tally].sort(([a], [b]) => a - b).map(([copies, blocks]) => `${blocks} have ${copies}`)
  throw new Error(`of ${keys.length} blocks, each needs ${n} copies on disk; ${shown.join(', ')}`)
}
