/**
 * The whole path, every node and the client a process of its own: put on three of three nodes, all
 * receipts in, and get through a fourth that holds nothing. Beside it the limits of the same run, since the
 * machine's own speed differs from day to day; with others at work on it, trust CPU seconds, not MB/s.
 *
 * Run: npm run bench -- transfer [--smoke] [--mib N] [--rounds N] [--only large|small] [--put] [--json]
 *   [--profile]
 */
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { parseArgs } from 'node:util'
import { type NodeSaid, type Running, start } from './processes.ts'

const MIB = 1024 * 1024
const { values: flags } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    mib: { type: 'string' },
    only: { type: 'string' },
    put: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '1' }
  }
})
const LARGE_MIB = Number(flags.mib ?? (flags.smoke ? 32 : 1_024))
const SMALL_FILES = flags.smoke ? 500 : 10_000
const SMALL_BYTES = 4_096
const ROUNDS = Number(flags.rounds)
const PROFILE = flags.profile ? ['--cpu-prof', '--cpu-prof-dir=cairn-profiles'] : []

interface ClientSaid {
  cid?: string
  bytes: number
  replicas?: number
  seconds: number
  cpuSeconds: number
}
interface Row {
  what: string
  seconds: number
  mbPerSecond: number
  /** Of each process: the client, then the nodes in the order in which they joined. */
  cpuSeconds: number[]
  peakMiB: number[]
}

const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
const rows: Row[] = []
try {
  const large = join(directory, 'large')
  const small = join(directory, 'small')
  await makeLarge(large)
  await makeSmall(small)
  const limits = await measureLimits(large)
  for (let round = 0; round < ROUNDS; round++) {
    await measureNodes(join(directory, `round ${round}`), [
      ...(flags.only === 'small' ? [] : [[`${LARGE_MIB} MiB`, large] as const]),
      ...(flags.only === 'large' ? [] : [[`${SMALL_FILES} files of 4 KiB`, small] as const])
    ])
  }
  if (flags.json) console.log(JSON.stringify({ node: process.version, largeMiB: LARGE_MIB, limits, rows }))
  else print(limits)
} finally {
  await rm(directory, { recursive: true })
}

async function makeLarge(path: string): Promise<void> {
  const file = await open(path, 'w')
  for (let i = 0; i < LARGE_MIB; i++) await file.write(randomBytes(MIB))
  await file.close()
}

async function makeSmall(path: string): Promise<void> {
  await mkdir(path)
  for (let i = 0; i < SMALL_FILES; i++) await writeFile(join(path, `${i}`), randomBytes(SMALL_BYTES))
}

async function measureNodes(path: string, sources: (readonly [string, string])[]): Promise<void> {
  await mkdir(path)
  const nodes: Running<NodeSaid>[] = []
  const add = async (): Promise<Running<NodeSaid>> => {
    const invite = nodes[0]?.said.invite ?? ''
    const node = await start<NodeSaid>('node-process.ts', [join(path, `${nodes.length}`), invite], PROFILE)
    nodes.push(node)
    return node
  }
  try {
    const first = await add()
    await add()
    await add()
    const roots: string[] = []
    for (const [name, source] of sources) {
      await settled(first, 3)
      const put = await measure(`put x3, ${name}`, nodes, first, ['put', source])
      if (put.replicas !== 3) throw new Error(`put: ${put.replicas} replicas`)
      roots.push(put.cid as string)
    }
    if (flags.put) return // no get
    const fourth = await add()
    for (const [i, [name]] of sources.entries()) {
      await measure(`get, ${name}`, nodes, fourth, ['get', roots[i] as string])
    }
  } finally {
    for (const node of nodes.reverse()) await node.end()
  }
}

/** Waits until as many members are alive. */
async function settled(node: Running<NodeSaid>, alive: number): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const answer = await fetch(`${node.said.url}/v1/status`)
    const status = (await answer.json()) as { alive: number }
    if (status.alive >= alive) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`fewer than ${alive} members after a minute`)
}

async function measure(
  what: string,
  nodes: Running<NodeSaid>[],
  { said }: Running<NodeSaid>,
  task: string[]
): Promise<ClientSaid> {
  const before = nodes.map((node) => node.cpuSeconds())
  const client = await start<ClientSaid>('client-process.ts', [said.url, said.token, ...task], PROFILE)
  const cpuSeconds = nodes.map((node, i) => node.cpuSeconds() - (before[i] as number))
  await client.end()
  const { seconds, bytes } = client.said
  rows.push({
    what,
    seconds,
    mbPerSecond: bytes / 1e6 / seconds,
    cpuSeconds: [client.said.cpuSeconds, ...cpuSeconds],
    peakMiB: nodes.map((node) => node.peakMiB())
  })
  return client.said
}

type Limits = Record<'sha256' | 'socket' | 'tls' | 'syncedWrite', { seconds: number; cpuSeconds: number }>

/** What the parts cost by themselves, for the large file: a hash, one way over TCP and TLS, a write. */
async function measureLimits(path: string): Promise<Limits> {
  const block = randomBytes(MIB)
  return {
    sha256: await timed(async () => {
      for (let i = 0; i < LARGE_MIB; i++) hash('sha256', block, 'buffer')
    }),
    socket: await timed(() => throughTcp(block)),
    tls: await timed(() => throughTls(block)),
    syncedWrite: await timed(async () => {
      const file = await open(`${path}.copy`, 'w')
      for (let i = 0; i < LARGE_MIB; i++) {
        await file.write(block)
        if (i % 16 === 15) await file.datasync()
      }
      await file.datasync()
      await file.close()
      await rm(`${path}.copy`)
    })
  }
}

async function timed(act: () => Promise<void>) {
  const startedMs = performance.now()
  const before = process.cpuUsage()
  await act()
  const { user, system } = process.cpuUsage(before)
  return { seconds: (performance.now() - startedMs) / 1000, cpuSeconds: (user + system) / 1e6 }
}

async function throughTcp(block: Uint8Array): Promise<void> {
  const server = createTcpServer((socket) => void sendAll(socket, block)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(connectTcp({ host: '127.0.0.1', port }).resume(), 'close')
  server.close()
}

async function sendAll(socket: Socket, block: Uint8Array): Promise<void> {
  for (let i = 0; i < LARGE_MIB; i++) if (!socket.write(block)) await once(socket, 'drain')
  socket.end()
}

async function throughTls(block: Uint8Array): Promise<void> {
  const key = randomBytes(32)
  const options = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const
  const server = createServer({ ...options, pskCallback: () => key }, (socket) => {
    void sendAll(socket, block)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const pskCallback = () => ({ psk: key, identity: 'bench' })
  const socket = connect({ ...options, host: '127.0.0.1', port, pskCallback }).resume()
  await once(socket, 'close')
  server.close()
}

function print(limits: Limits): void {
  const scale = `${LARGE_MIB} MiB`
  for (const [name, { seconds, cpuSeconds }] of Object.entries(limits)) {
    console.log(
      `${`${name}, ${scale}`.padEnd(34)} ${seconds.toFixed(2).padStart(7)} s ` +
        `${cpuSeconds.toFixed(2).padStart(7)} CPU s`
    )
  }
  // three nodes and the client hash, two legs go over TLS, three nodes write
  const floor = 4 * limits.sha256.cpuSeconds + 2 * limits.tls.cpuSeconds + 3 * limits.syncedWrite.cpuSeconds
  for (const [what, all] of Map.groupBy(rows, (row) => row.what)) {
    const each = all.length > 1 ? '' : ` (${all[0]?.cpuSeconds.map((one) => one.toFixed(2)).join(' + ')})`
    const cpu = all.map(({ cpuSeconds }) => cpuSeconds.reduce((a, b) => a + b, 0))
    const peak = Math.max(...all.flatMap(({ peakMiB }) => peakMiB))
    console.log(
      `${what.padEnd(34)} ${range(all.map(({ seconds }) => seconds)).padStart(7)} s ` +
        `${median(all.map(({ mbPerSecond }) => mbPerSecond)).toFixed(0)} MB/s, ` +
        `${range(cpu)} CPU s${each}, peak ${peak.toFixed(0)} MiB`
    )
    if (what === `put x3, ${scale}`)
      console.log(`${''.padEnd(34)} ${(median(cpu) / floor).toFixed(2).padStart(7)} x its limits' CPU`)
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** One value as it is, several as median [least-most]. */
function range(values: readonly number[]): string {
  const middle = median(values).toFixed(2)
  if (values.length === 1) return middle
  return `${middle} [${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)}]`
}
