/**
 * Blocks of 4 KiB read by 16 clients through one of three nodes: how many a second, and how long each takes,
 * alone and while a file is put at half its full rate. Nodes, readers and writer are processes of their own.
 *
 * Run: npm run bench -- small-gets [--rounds 5] [--seconds 4] [--json]
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cidOf } from '@cairn/blocks'
import { createClient } from '@cairn/client'
import { addNodes, type NodeSaid, type Running, start } from './processes.ts'

const MIB = 1024 * 1024
const BLOCKS = 2_000
const BLOCK_BYTES = 4_096
/** Put to learn the full rate. */
const FULL_MIB = 128

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false }
  }
})

interface Told {
  perSecond: number
  p50Ms: number
  p99Ms: number
}

const directory = await mkdtemp(join(tmpdir(), 'cairn-small-gets-'))
const nodes: Running<NodeSaid>[] = []
const alone: Told[] = []
const beside: Told[] = []
let fullRate = 0
try {
  const { said } = await addNodes(nodes, { directory, count: 3 })
  const client = createClient(said)
  const contents = Array.from({ length: BLOCKS }, () => randomBytes(BLOCK_BYTES))
  const entries = contents.map((content, i) => ({ path: `${i}`, content }))
  await client.putDir(entries, { digests: [] })
  const path = join(directory, 'cids')
  await writeFile(path, contents.map((content) => `${cidOf(content)}`).join('\n'))
  fullRate = await rateOf(pieces(FULL_MIB, Number.POSITIVE_INFINITY))
  for (let round = 0; round < Number(flags.rounds); round++) {
    alone.push(await read(path))
    const stop = { asked: false }
    const put = client.put(pieces(Number.POSITIVE_INFINITY, fullRate / 2, stop), { digests: [] })
    const putting = Promise.resolve(put)
    beside.push(await read(path))
    stop.asked = true
    await putting
  }

  async function rateOf(source: AsyncIterable<Uint8Array>): Promise<number> {
    const startedMs = performance.now()
    const { size } = await client.put(source, { digests: [] })
    return size / (performance.now() - startedMs)
  }

  async function read(cids: string): Promise<Told> {
    const reader = await start<Told>('small-reader.ts', [said.url, cids, flags.seconds])
    await reader.end()
    return reader.said
  }
} finally {
  for (const node of nodes.reverse()) await node.end()
  await rm(directory, { recursive: true })
}
if (flags.json) console.log(JSON.stringify({ node: process.version, fullRate, alone, beside }))
else print()

/** At so many bytes a millisecond at most. */
async function* pieces(
  mib: number,
  rate: number,
  stop: { asked: boolean } = { asked: false }
): AsyncGenerator<Uint8Array> {
  const startedMs = performance.now()
  for (let i = 0; i < mib && !stop.asked; i++) {
    const waitMs = (i * MIB) / rate - (performance.now() - startedMs)
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    yield randomBytes(MIB)
  }
}

function print(): void {
  console.log(`16 clients; a put at full rate: ${(fullRate / 1_000).toFixed(0)} MB/s`)
  for (const [name, all] of [['alone', alone] as const, ['a put at half rate beside', beside] as const]) {
    const range = (of: (told: Told) => number, digits: number): string => {
      const sorted = all.map(of).sort((a, b) => a - b)
      const text = (value: number | undefined): string => (value ?? Number.NaN).toFixed(digits)
      return `${text(sorted[Math.floor(sorted.length / 2)])} [${text(sorted[0])}-${text(sorted.at(-1))}]`
    }
    console.log(
      `${name.padEnd(26)} ${range(({ perSecond }) => perSecond, 0)} a second, ` +
        `p50 ${range(({ p50Ms }) => p50Ms, 1)} ms, p99 ${range(({ p99Ms }) => p99Ms, 1)} ms`
    )
  }
}
