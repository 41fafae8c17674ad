/**
 * Updates of a name on five nodes, each a process with a disk of its own: how long one takes until a majority
 * of three has it on disk, and how long the owner waits for the next when a voter is killed.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient, newSeed, refKey } from '@cairn/client'
import { type NodeSaid, type Running, start } from './processes.ts'

const NODES = 5
const UPDATES = 200
/** For the members to know each other. */
const MEET_MS = 30_000
const LOOK_MS = 50

const { values } = parseArgs({ options: { kills: { type: 'string', default: '10' } } })
const folder = await mkdtemp(join(tmpdir(), 'cairn-bench-refs-'))
const running: Running<NodeSaid>[] = []
let homes = 0

async function begin(): Promise<Running<NodeSaid>> {
  const invite = running[0]?.said.invite ?? ''
  return start<NodeSaid>('node-process.ts', [join(folder, `n${homes++}`), invite])
}

const key = await refKey(newSeed())
const clientOf = () => createClient({ urls: running.map(({ said }) => said), key })

async function met(): Promise<Map<string, string>> {
  const endMs = performance.now() + MEET_MS
  for (;;) {
    const nodes = await Promise.all(running.map(({ said }) => createClient(said).node()))
    const peers = await Promise.all(running.map(({ said }) => createClient(said).peers()))
    const alive = peers.map((known) => known.filter(({ state }) => state === 'alive').length)
    if (alive.every((count) => count === running.length))
      return new Map(nodes.map(({ id }, i) => [id, running[i]?.said.url ?? '']))
    if (performance.now() > endMs)
      throw new Error(`they see ${alive.join(', ')} of ${running.length} members`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
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

try {
  for (let i = 0; i < NODES; i++) running.push(await begin())
  let byId = await met()
  let client = clientOf()
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
  const failovers: number[] = []
  for (let i = 0; i < Number(values.kills); i++) {
    const { electorate } = await client.refs.get('bench')
    // every other time the node that the client talks to, if that one votes
    const urls = electorate.map(({ peer }) => byId.get(peer)).filter((url) => url !== undefined)
    const first = running[0]?.said.url
    const mine = first !== undefined && i % 2 === 0 && urls.includes(first)
    const url = mine ? first : urls.find((one) => one !== first)
    const at = running.findIndex(({ said }) => said.url === url)
    await running[at]?.kill()
    failovers.push(await timed(() => client.refs.set('bench', cid, { metadata: { kill: `${i}` } })))
    running.splice(at, 1)
    running.push(await begin())
    byId = await met()
    client = clientOf()
    // who has the key renews the electorate once one of it is dead; a node does so for its own
    await client.refs.set('bench', 'same')
  }
  console.log(`${failovers.length} voters killed, one after another, to the next update: ${told(failovers)}`)
} finally {
  await Promise.all(running.map((one) => one.kill()))
  await rm(folder, { recursive: true, force: true })
}
