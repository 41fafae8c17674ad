/**
 * What the four digests cost a put: one large file, then many small ones, in the page cache become blocks
 * as `put` makes them, with no digests, with SHA-256, and with all four. No network and no disk, so that
 * nothing hides the cost.
 *
 * The bound to hold: no digests, plus the digests' own CPU time over the cores, times 1.1.
 *
 * Run: node --conditions=cairn-src scripts/bench/digests.ts [MiB]
 */
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { DIGEST_NAMES, type DigestName } from '@cairn/blocks'
import { walkPath } from '@cairn/blocks/fs'
import { digestedBlocks } from '@cairn/client'

const MIB = 1024 * 1024
const ROUNDS = 3
const FILES = 3_000
const FILE_BYTES = 32 * 1_024
const mib = Number(process.argv[2] ?? 1024)
const CASES: readonly (readonly [string, readonly DigestName[]])[] = [
  ['none', []],
  ['sha256', ['sha256']],
  ['all four', DIGEST_NAMES]
]

interface Cost {
  wallMs: number
  cpuMs: number
}

const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
try {
  const [file, tree] = [join(directory, 'file'), join(directory, 'tree')]
  await fill(file)
  await fillTree(tree)
  await measure(file, `${mib} MiB`, mib)
  await measure(tree, `${FILES} files of ${FILE_BYTES / 1_024} KiB`, (FILES * FILE_BYTES) / MIB)
} finally {
  await rm(directory, { recursive: true })
}

async function measure(path: string, what: string, size: number): Promise<void> {
  for (const [, names] of CASES) await put(path, names) // into the page cache, and the code made fast
  const best = new Map<string, Cost>()
  // in turn, so that whatever else the machine does falls on all alike
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, names] of CASES) {
      const cost = await put(path, names)
      const before = best.get(name)
      if (before === undefined || cost.wallMs < before.wallMs) best.set(name, cost)
    }
  }
  report(best, what, size)
}

async function fillTree(path: string): Promise<void> {
  await mkdir(path)
  const content = Buffer.alloc(FILE_BYTES, 7)
  for (let i = 0; i < FILES; i++) {
    content.writeUInt32LE(i)
    await writeFile(join(path, `${i}`), content)
  }
}

async function fill(path: string): Promise<void> {
  const piece = Buffer.alloc(MIB)
  for (let i = 0; i < MIB; i += 4) piece.writeUInt32LE(Math.imul(i + 1, 0x9e3779b1) >>> 0, i)
  const file = await open(path, 'w')
  for (let i = 0; i < mib; i++) {
    piece.writeUInt32LE(i)
    await file.write(piece)
  }
  await file.close()
}

async function put(path: string, names: readonly DigestName[]): Promise<Cost> {
  const startedMs = performance.now()
  const before = process.cpuUsage()
  const blocks = digestedBlocks(walkPath(path), { names, rootName: 'file' })
  while ((await blocks.next()).done !== true);
  const { user, system } = process.cpuUsage(before)
  return { wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1_000 }
}

function report(best: ReadonlyMap<string, Cost>, what: string, size: number): void {
  const cores = availableParallelism()
  const none = best.get('none') as Cost
  console.log(`${what}, ${cores} cores, load ${loadavg()[0]?.toFixed(1)}, best of ${ROUNDS}`)
  for (const [name, { wallMs, cpuMs }] of best) {
    const bound = none.wallMs + (cpuMs - none.cpuMs) / cores
    console.log(
      [
        name.padEnd(9),
        `${((1_000 * size) / wallMs).toFixed(0)} MiB/s`.padStart(12),
        `${(wallMs / none.wallMs).toFixed(2)} x none`.padStart(13),
        `CPU ${cpuMs.toFixed(0)} ms`.padStart(13),
        `${(wallMs / bound).toFixed(2)} x (none + digests' CPU / cores)`
      ].join('  ')
    )
  }
}
