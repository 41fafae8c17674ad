/**
 * Updates of a name on five nodes, each a process with a disk of its own: how long one takes until a majority
 * of three has it on disk, and, when a voter or the node that the client talks to is killed, how long until
 * the next update is acknowledged and the next read of the latest answered. The killed one is started again.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient, newSeed, refKey } from '@cairn/client'
import { addNodes, allAlive, type NodeSaid, type Running, start } from './processes.ts'

const NODES = 5
const UPDATES = 200

const { values } = parseArgs({ options: { kills: { type: 'string', default: '10' } } })
const folder = await mkdtemp(join(tmpdir(), 'cairn-bench-refs-'))
const running: Running<NodeSaid>[] = []
const key = await refKey(newSeed())
/** Of all nodes, one of them first. */
const clientOf = (first: number) => {
  const urls = [...running.slice(first), ...running.slice(0, first)].map(({ said }) => said)
  return createClient({ urls, key })
}
const met = async (): Promise<void> => {
  await Promise.all(running.map((one) => allAlive(one, NODES)))
}

function told(ms: number[]): string {
  const sorted = [...ms].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  const said = (ms: number) => `${ms.toFixed(1)} ms`
  return `p50 ${said(at(0.5))}, p99 ${said(at(0.99))}, most ${said(sorted.at(-1) ?? 0)}`
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

/** Kills one, and starts it again in its home once the name was updated and read. */
async function killed(victim: number, first: number, cid: string): Promise<{ set: number; get: number }> {
  const client = clientOf(first)
  await client.refs.set('bench', 'same') // whoever has the key names living voters
  await (running[victim] as Running<NodeSaid>).kill()
  const set = await timed(() => client.refs.set('bench', cid, { metadata: { victim: `${victim}` } }))
  const get = await timed(() => client.refs.get('bench', { latest: true }))
  running[victim] = await start<NodeSaid>('node-process.ts', [join(folder, `${victim}`)])
  await met()
  return { set, get }
}

/** The next voter in turn, so that all are killed. */
async function nextVoter(turn: number, but: number | undefined): Promise<number> {
  const { electorate } = await clientOf(0).refs.get('bench')
  const ids = await Promise.all(running.map(async ({ said }) => (await createClient(said).node()).id))
  const voters = electorate.map(({ peer }) => ids.indexOf(peer)).filter((at) => at !== but)
  return voters[turn % voters.length] as number
}

try {
  await addNodes(running, { directory: folder, count: NODES })
  await met()
  const client = clientOf(0)
  const { cid } = await client.put('what the name points to')
  await client.refs.set('bench', cid)
  const latencies: number[] = []
  for (let i = 0; i < UPDATES; i++) {
    latencies.push(await timed(() => client.refs.set('bench', cid, { metadata: { i: `${i}` } })))
  }
  console.log(`${UPDATES} updates, N = 3, ${NODES} nodes: ${told(latencies)}`)
  const latest: number[] = []
  for (let i = 0; i < UPDATES; i++) {
    latest.push(await timed(() => client.refs.get('bench', { latest: true })))
  }
  console.log(`${UPDATES} reads of the latest: ${told(latest)}`)
  const kinds = ['a voter', 'the node that is talked to', 'a voter that is talked to'] as const
  const all = kinds.map((kind) => ({ kind, set: [] as number[], get: [] as number[] }))
  for (let i = 0; i < Number(values.kills); i++) {
    const { kind, set, get } = all[i % kinds.length] as (typeof all)[number]
    const first = i % NODES
    const victim = kind === 'the node that is talked to' ? first : await nextVoter(i, first)
    const took = await killed(victim, kind === 'a voter that is talked to' ? victim : first, `${cid}`)
    set.push(took.set)
    get.push(took.get)
  }
  for (const { kind, set, get } of all) {
    console.log(`${kind} killed, ${set.length} times: next update ${told(set)}; then the latest ${told(get)}`)
  }
  console.log(`all ${values.kills} kills: next update ${told(all.flatMap(({ set }) => set))}`)
} finally {
  await Promise.all(running.map((one) => one.kill()))
  await rm(folder, { recursive: true, force: true })
}
