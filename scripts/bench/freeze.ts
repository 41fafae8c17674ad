/**
 * What it costs a put, and a get, that one holder stops in the middle of it with its sockets open (SIGSTOP):
 * five nodes, three copies of each block, a file put and read through a node that goes on.
 *
 * Run: npm run bench -- freeze [--mib 96] [--rounds 5] [--json]
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from '@cairn/client'
import { addNodes, allAlive, type NodeSaid, type Running } from './processes.ts'

const MIB = 1024 * 1024
const NODES = 5
/** How far a transfer is when the holder stops. */
const SHARE = 0.4

const { values: flags } = parseArgs({
  options: {
    mib: { type: 'string', default: '96' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false }
  }
})
const mib = Number(flags.mib)
const rounds = Number(flags.rounds)

type Figures = Record<'put' | 'put, one stops' | 'get' | 'get, one stops', number[]>

const figures: Figures = { put: [], 'put, one stops': [], get: [], 'get, one stops': [] }
const directory = await mkdtemp(join(tmpdir(), 'cairn-freeze-'))
const nodes: Running<NodeSaid>[] = []
try {
  const first = await addNodes(nodes, { directory, count: NODES })
  const others = nodes.slice(1)
  await rounded(first)
  for (let round = 0; round < rounds; round++) {
    await measure(first, others[round % others.length] as Running<NodeSaid>)
  }
} finally {
  for (const node of nodes.reverse()) {
    node.signal('SIGCONT')
    await node.end()
  }
  await rm(directory, { recursive: true })
}
if (flags.json) console.log(JSON.stringify({ node: process.version, mib, seconds: figures }))
else print()

/** A first put and get, so that nothing is measured that happens once. */
async function rounded({ said }: Running<NodeSaid>): Promise<void> {
  const client = createClient(said)
  const { cid } = await client.put(pieces(16), { digests: [] })
  for await (const _ of await client.get(cid));
}

function* pieces(count: number, at?: (share: number) => void): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    at?.(i / count)
    yield randomBytes(MIB)
  }
}

async function measure(first: Running<NodeSaid>, holder: Running<NodeSaid>): Promise<void> {
  const client = createClient(first.said)
  const plain = await timed(() => client.put(pieces(mib), { digests: [] }))
  figures.put.push(plain.seconds)
  figures.get.push((await timed(() => readAll(plain.result.cid, () => {}))).seconds)
  const stop = once(SHARE, () => holder.signal('SIGSTOP'))
  const put = await timed(() => client.put(pieces(mib, stop), { digests: [] }))
  if (put.result.replicas !== 3) throw new Error(`${put.result.replicas} replicas`)
  figures['put, one stops'].push(put.seconds)
  holder.signal('SIGCONT')
  await allAlive(first, NODES)
  const stopAgain = once(SHARE, () => holder.signal('SIGSTOP'))
  figures['get, one stops'].push((await timed(() => readAll(plain.result.cid, stopAgain))).seconds)
  holder.signal('SIGCONT')
  await allAlive(first, NODES)

  async function readAll(cid: typeof plain.result.cid, at: (share: number) => void): Promise<void> {
    let bytes = 0
    for await (const piece of await client.get(cid)) {
      bytes += piece.length
      at(bytes / (mib * MIB))
    }
    if (bytes !== mib * MIB) throw new Error(`${bytes} bytes came`)
  }
}

function once(share: number, act: () => void): (share: number) => void {
  let done = false
  return (now) => {
    if (done || now < share) return
    done = true
    act()
  }
}

async function timed<T>(work: () => PromiseLike<T>): Promise<{ seconds: number; result: T }> {
  const startedMs = performance.now()
  const result = await work()
  return { seconds: (performance.now() - startedMs) / 1_000, result }
}

function print(): void {
  console.log(`${mib} MiB, ${rounds} rounds: median [least-most], s`)
  for (const [name, all] of Object.entries(figures)) {
    const sorted = all.toSorted((a, b) => a - b)
    const [least = 0, most = 0] = [sorted[0], sorted.at(-1)]
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0
    console.log(`${name.padEnd(18)} ${median.toFixed(2)} [${least.toFixed(2)}-${most.toFixed(2)}]`)
  }
}
