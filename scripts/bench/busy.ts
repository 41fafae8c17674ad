/**
 * A hundred clients that upload at once to one node of three: what each takes from the common start, and how
 * often it was told BUSY.
 *
 * Run: npm run bench -- busy [--clients 100] [--mib 10] [--json]
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from '@cairn/client'
import { addNodes, type NodeSaid, type Running } from './processes.ts'

const MIB = 1024 * 1024

const { values: flags } = parseArgs({
  options: {
    clients: { type: 'string', default: '100' },
    mib: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false }
  }
})

let busy = 0
async function counting(input: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init)
  if (response.status === 503) busy++
  return response
}

const directory = await mkdtemp(join(tmpdir(), 'cairn-busy-'))
const nodes: Running<NodeSaid>[] = []
try {
  const { said } = await addNodes(nodes, { directory, count: 3 })
  const startedMs = performance.now()
  const seconds = await Promise.all(
    Array.from({ length: Number(flags.clients) }, async () => {
      const { replicas } = await createClient({ ...said, fetch: counting }).put(pieces(), { digests: [] })
      if (replicas !== 3) throw new Error(`${replicas} replicas`)
      return (performance.now() - startedMs) / 1_000
    })
  )
  seconds.sort((a, b) => a - b)
  const peakMiB = nodes.map((node) => Math.round(node.peakMiB()))
  if (flags.json) console.log(JSON.stringify({ node: process.version, seconds, busy, peakMiB }))
  else print(seconds, peakMiB)
} finally {
  for (const node of nodes.reverse()) await node.end()
  await rm(directory, { recursive: true })
}

function* pieces(): Generator<Uint8Array> {
  for (let i = 0; i < Number(flags.mib); i++) yield randomBytes(MIB)
}

function print(seconds: readonly number[], peakMiB: readonly number[]): void {
  const at = (share: number): string => (seconds[Math.floor(share * seconds.length)] ?? 0).toFixed(1)
  const last = seconds.at(-1) ?? 0
  console.log(
    `${flags.clients} clients put ${flags.mib} MiB each, three copies: the first after ${at(0)} s, ` +
      `half after ${at(0.5)} s, the last after ${last.toFixed(1)} s`
  )
  console.log(`told BUSY ${busy} times; peak memory of the nodes: ${peakMiB.join(', ')} MiB`)
}
