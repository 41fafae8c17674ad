/**
 * How long probes between members take while a file is put at full speed on three nodes, each a process of
 * its own: membership must not wait behind bulk. Beside them two processes that do nothing else send each
 * other a byte: what a round trip takes at least while the cores are as busy as that.
 *
 * Run: npm run bench -- probes [MiB]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@cairn/client'
import { writeRandom } from './inputs.ts'
import { addNodes, type NodeSaid, type Running, start } from './processes.ts'

const LOOK_MS = 100
/** The nodes come to rest: what runs for the first time is compiled. */
const REST_MS = 5_000
/** Without load, for comparison. */
const IDLE_MS = 8_000
/** More often than a node does it by default, so that there are enough of them. */
const PROBE_INTERVAL_MS = 400
const mib = Number(process.argv[2] ?? 1024)

/** Milliseconds, ascending. */
interface Times {
  probes: number[]
  echoes: number[]
}

const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
const nodes: Running<NodeSaid>[] = []
try {
  const path = join(directory, 'file')
  await writeRandom(path, mib)
  const config = { probeIntervalMs: PROBE_INTERVAL_MS, probeTimeoutMs: 0.4 * PROBE_INTERVAL_MS }
  const { said: first } = await addNodes(nodes, { directory, count: 3, config })
  const clients = nodes.map(({ said }) => createClient(said))
  console.log(`| ${mib} MiB | probes | a byte between two processes |\n|---|---|---|`)
  await rest(REST_MS)
  tell('idle', await watched(() => rest(IDLE_MS)))
  let rate = 0
  const during = await watched(async () => {
    const put = await start<{ seconds: number; bytes: number }>('client-process.ts', [
      first.url,
      first.token,
      'put',
      path
    ])
    rate = put.said.bytes / 1e6 / put.said.seconds
    await put.end()
  })
  tell(`during a put of ${mib} MiB x 3 at ${rate.toFixed(0)} MB/s`, during)

  async function watched(work: () => Promise<unknown>): Promise<Times> {
    const server = await start<{ port: number }>('echo-process.ts', [])
    const asker = start<{ times: number[] }>('echo-process.ts', [String(server.said.port)])
    const before = await roundTrips()
    let over = false
    const done = work().finally(() => {
      over = true
    })
    const probes = new Set<number>()
    while (!over) {
      for (const rttMs of await roundTrips()) if (!before.has(rttMs)) probes.add(rttMs)
      await rest(LOOK_MS)
    }
    await done
    await server.end()
    const { said, end } = await asker
    await end()
    return { probes: [...probes].sort(ascending), echoes: said.times.sort(ascending) }
  }

  async function roundTrips(): Promise<Set<number>> {
    const peers = (await Promise.all(clients.map((client) => client.peers()))).flat()
    return new Set(peers.flatMap(({ self, rttMs }) => (self || rttMs === undefined ? [] : [rttMs])))
  }
} finally {
  for (const node of nodes.reverse()) await node.end()
  await rm(directory, { recursive: true })
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function ascending(a: number, b: number): number {
  return a - b
}

function tell(what: string, { probes, echoes }: Times): void {
  console.log(`| ${what} | ${said(probes)} | ${said(echoes)} |`)
}

function said(times: readonly number[]): string {
  const at = (share: number): string =>
    (times[Math.min(times.length - 1, Math.floor(share * times.length))] as number).toFixed(1)
  return `${times.length}: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms`
}
