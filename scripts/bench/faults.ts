/**
 * What faults of members and disks cost a reader: four nodes of one process, two copies of each block, one
 * member that lies or one disk after another with bits turned. For each fault: wrong bytes delivered (there
 * must be none) and reads that failed (none either), the time that a read took, and how long it was until
 * all was whole again. The lines are those of docs/benchmarks.md.
 *
 * Run: npm run bench -- faults [blocks]
 */
import { type Block, keyOf } from '@cairn/blocks'
import type { CairnNode } from '@cairn/node'
import { flipBlock } from '../../packages/node/test/support/flip.ts'
import { drops, neverEnds, stalls, swaps } from '../../packages/node/test/support/liars.ts'
import {
  blocksOf,
  eventually,
  type Nodes,
  openNodes,
  sameBytes,
  uploadOn
} from '../../packages/node/test/support/nodes.ts'

const BLOCKS = Number(process.argv[2] ?? 120)
const BLOCK_BYTES = 100_000
const HEAL_LIMIT_MS = 120_000
const TWO_COPIES = { create: { open: false, replicas: 2 } }

interface Row {
  fault: string
  reads: number
  wrong: number
  failed: number
  ms: number[]
  /** Until all was whole again, where something was to heal. */
  healMs?: number
}

type Liar = Parameters<Nodes['addLiar']>[0]
const LIARS: [string, Liar][] = [
  ['none', {}],
  ['one sends other bytes', swaps({ lies: 0 })],
  ['one dropped all that it acknowledged', drops({ lies: 0 }, () => true)],
  ['one stalls within a block', stalls({ lies: 0 }, BLOCK_BYTES / 2)],
  ['one answers for ever', neverEnds({ lies: 0 })]
]

await besideLiar('none', {}) // the code made fast
const rows: Row[] = []
for (const [fault, ways] of LIARS) rows.push(await besideLiar(fault, ways))
rows.push(await turnedBits())
report(rows)
process.exitCode = rows.some(({ wrong, failed }) => wrong + failed > 0) ? 1 : 0

/** All is read through three honest members, one block after the other, each of which lacks half of them. */
async function besideLiar(fault: string, ways: Liar): Promise<Row> {
  const net = await openNodes(3, TWO_COPIES)
  try {
    await net.addLiar(ways)
    await net.gathered()
    const blocks = blocksOf(BLOCKS, BLOCK_BYTES)
    await uploadOn(net.at(0)).put(blocks, { ack: 'one' })
    const row: Row = { fault, reads: 0, wrong: 0, failed: 0, ms: [] }
    for (const i of [0, 1, 2]) await readAll(net.at(i), blocks, row)
    return row
  } finally {
    await net[Symbol.asyncDispose]()
  }
}

/** A bit of each block is turned in one replica after another, while all are read. */
async function turnedBits(): Promise<Row> {
  const net = await openNodes(4, TWO_COPIES)
  try {
    const blocks = blocksOf(BLOCKS, BLOCK_BYTES)
    await uploadOn(net.at(0)).put(blocks)
    const row: Row = { fault: 'a bit turned in each replica in turn', reads: 0, wrong: 0, failed: 0, ms: [] }
    let healMs = 0
    for (const i of [0, 1, 2, 3]) {
      await eventually(isWhole(net.at(0)), 'all copies are there', HEAL_LIMIT_MS)
      for (const { cid } of blocks) await flipBlock(net.home(i), keyOf(cid))
      const startedMs = performance.now()
      await Promise.all([readAll(net.at(i), blocks, row), net.at(i).scrub()])
      await eventually(isHealed(net.at(i)), 'what was damaged is whole', HEAL_LIMIT_MS)
      healMs = Math.max(healMs, performance.now() - startedMs)
    }
    return { ...row, healMs }
  } finally {
    await net[Symbol.asyncDispose]()
  }
}

function isWhole(node: CairnNode) {
  return async () => (await node.status()).verdict === 'healthy'
}

function isHealed(node: CairnNode) {
  return async () => {
    const { found, healed } = (await node.status()).damage
    return found > 0 && found === healed
  }
}

async function readAll(node: CairnNode, blocks: readonly Block[], row: Row): Promise<void> {
  for (const { cid, bytes } of blocks) {
    const startedMs = performance.now()
    try {
      if (!sameBytes(await node.get(cid), bytes)) row.wrong++
    } catch {
      row.failed++
    }
    row.reads++
    row.ms.push(performance.now() - startedMs)
  }
}

function quantile(ms: readonly number[], q: number): number {
  return ms.toSorted((a, b) => a - b)[Math.min(ms.length - 1, Math.floor(q * ms.length))] ?? 0
}

function report(all: readonly Row[]): void {
  const [plain] = all as [Row]
  const shown = (ms: number) => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0))
  console.log(
    '| fault | reads | wrong bytes | failed | p50, ms | p99, ms | added p50 | added p99 | whole after |'
  )
  console.log('|---|---|---|---|---|---|---|---|---|')
  for (const { fault, reads, wrong, failed, ms, healMs } of all) {
    const [p50, p99] = [quantile(ms, 0.5), quantile(ms, 0.99)]
    const added = [p50 - quantile(plain.ms, 0.5), p99 - quantile(plain.ms, 0.99)].map((more) =>
      shown(Math.max(0, more))
    )
    const heal = healMs === undefined ? '-' : `${(healMs / 1_000).toFixed(1)} s`
    console.log(`| ${[fault, reads, wrong, failed, shown(p50), shown(p99), ...added, heal].join(' | ')} |`)
  }
}
