/**
 * How fast a file becomes blocks and CAR and comes back, relative to plain sha256 of the same bytes in the
 * same minute: the disk is out of it (the file is in the page cache) and so is most of the machine's noise.
 *
 * Run: node --conditions=cairn-src scripts/bench/blocks.ts [MiB]
 */
import { hash } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Block, carOf, dagBlocks, fileBlocks, keyOf, readCar, readFile, treeBlocks } from '@cairn/blocks'
import { walkPath } from '@cairn/blocks/fs'

const MIB = 1024 * 1024
const ROUNDS = 3
const mib = Number(process.argv[2] ?? 1024)
/** What is kept in memory for reading back. */
const KEPT_MIB = Math.min(mib, 256)

const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
try {
  const path = join(directory, 'file')
  await fill(path)
  const kept = new Map<string, Uint8Array>()
  const { cid } = await keep(kept)
  const getBlock = async (cid: Block['cid']) => kept.get(keyOf(cid)) as Uint8Array
  const small = Array.from({ length: 100_000 }, (_, i) =>
    new Uint8Array(1024).fill(i & 255).subarray(0, 1000 + (i % 24))
  )

  const plain = await best('sha256 of 1 MiB pieces of the file', mib, () => hashFile(path))
  const relative = async (name: string, mib: number, run: () => Promise<unknown>) => {
    const speed = await best(name, mib, run)
    console.log(`  ${(speed / plain).toFixed(2)} x plain sha256`)
  }
  await relative('walkPath, treeBlocks', mib, () => count(treeBlocks(walkPath(path))))
  await relative('walkPath, treeBlocks, CAR', mib, () => count(carOf([cid], treeBlocks(walkPath(path)))))
  await relative('fileBlocks, 64 KiB pieces in memory', mib, () => count(fileBlocks(pieces(64 * 1024))))
  await relative('readFile, 1 MiB blocks in memory', KEPT_MIB, () => count(readFile(cid, getBlock)))
  await relative('CAR out and in, verified, 64 KiB pieces', KEPT_MIB, async () => {
    await count((await readCar(cut(carOf([cid], dagBlocks(cid, getBlock)), 64 * 1024))).blocks)
  })
  await relative('100,000 blocks of 1 KiB, CAR out and in', (100_000 * 1012) / MIB, async () => {
    await count((await readCar(carOf([], blocksOf(small)))).blocks)
  })
} finally {
  await rm(directory, { recursive: true })
}

async function fill(path: string): Promise<void> {
  const file = await open(path, 'w')
  for await (const piece of pieces(MIB)) await file.write(piece)
  await file.close()
}

async function* pieces(bytes: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(bytes)
  for (let i = 0; i < (mib * MIB) / bytes; i++) {
    piece[0] = i & 255
    yield piece.slice()
  }
}

async function keep(kept: Map<string, Uint8Array>) {
  async function* some() {
    for (let i = 0; i < KEPT_MIB; i++) yield new Uint8Array(MIB).fill(i)
  }
  const blocks = fileBlocks(some())
  for (;;) {
    const next = await blocks.next()
    if (next.done) return next.value
    kept.set(keyOf(next.value.cid), next.value.bytes)
  }
}

async function hashFile(path: string): Promise<void> {
  const file = await open(path)
  const buffer = Buffer.allocUnsafeSlow(MIB)
  for (let i = 0; i < mib; i++) {
    await file.read(buffer, 0, MIB, i * MIB)
    hash('sha256', buffer, 'buffer')
  }
  await file.close()
}

async function* blocksOf(all: readonly Uint8Array[]): AsyncGenerator<Block> {
  for (const bytes of all) yield* fileBlocks([bytes])
}

async function* cut(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    for (let at = 0; at < piece.length; at += bytes) yield piece.slice(at, at + bytes)
  }
}

async function count(source: AsyncIterable<unknown>): Promise<number> {
  let items = 0
  for await (const _ of source) items++
  return items
}

/** The best of a few rounds, MB/s: others on the machine only ever make it slower. */
async function best(name: string, mib: number, run: () => Promise<unknown>): Promise<number> {
  let speed = 0
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    await run()
    speed = Math.max(speed, (mib * MIB) / 1e3 / (performance.now() - started))
  }
  console.log(`${name.padEnd(45)} ${speed.toFixed(0).padStart(6)} MB/s`)
  return speed
}
