/**
 * Five real nodes, three copies; one is killed, or stopped (SIGSTOP: its sockets stay open). How long until
 * that is known, until repair begins, until all has three copies again; the bytes moved over the least
 * possible (what the lost one held); MB/s over the put's of the same run; and what reading a block costs
 * before and during it.
 *
 * Run: npm run bench -- repair [--mib 1024] [--how kill|stop] [--delay MS] [--json]
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Client, createClient, type NodeEvent } from '@cairn/client'
import { MIB, writeRandom } from './inputs.ts'
import { addNodes, type NodeSaid, type Running, start } from './processes.ts'

const NODES = 5
const LOOK_MS = 200
/** Blocks that the readers beside it read, in no order; readers, and what each waits between two of them. */
const READ_BLOCKS = 128
const READERS = 2
const READ_PAUSE_MS = 50
/** Reading before the loss, for comparison. */
const BEFORE_MS = 10_000
/** For any one step. */
const LIMIT_MS = 1_200_000

const { values: flags } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    how: { type: 'string' },
    delay: { type: 'string', default: '15000' },
    json: { type: 'boolean', default: false }
  }
})
const mib = Number(flags.mib)

interface Result {
  how: 'kill' | 'stop'
  mib: number
  putMBs: number
  detectedS: number
  startedS: number
  fullS: number
  movedBytes: number
  leastBytes: number
  repairMBs: number
  readMs: Record<'before' | 'during', { reads: number; p50: number; p99: number }>
  forecast: string
}

for (const how of flags.how === undefined ? (['kill', 'stop'] as const) : [flags.how as 'kill' | 'stop']) {
  const result = await measure(how)
  if (flags.json) console.log(JSON.stringify(result))
  else print(result)
}

async function measure(how: 'kill' | 'stop'): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
  const nodes: Running<NodeSaid>[] = []
  const watching = new AbortController()
  try {
    const path = join(directory, 'file')
    await writeRandom(path, mib)
    await addNodes(nodes, { directory, count: NODES, config: { repairDelayMs: Number(flags.delay) } })
    const clients = nodes.map(({ said }) => createClient(said))
    const [first, victim] = [clients[0] as Client, nodes.at(-1) as Running<NodeSaid>]
    const put = await putFile(nodes[0] as Running<NodeSaid>, path)
    const cids = await putBlocks(first)
    await until(async () => isWhole(await first.status()))

    const survivors = clients.slice(0, -1)
    const watch = watchRepair(survivors, watching.signal)
    const before = readers(first, cids)
    await new Promise((resolve) => setTimeout(resolve, BEFORE_MS))
    const beforeMs = await before.end()
    const { bytes: leastBytes } = (await (clients.at(-1) as Client).node()).usage
    const startMs = performance.now()
    victim.signal(how === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    await until(async () => watch.deadMs !== undefined)
    const during = readers(first, cids)
    const forecast = await first.status()
    await until(async () => isWhole(await first.status()))
    const fullMs = performance.now()
    const duringMs = await during.end(watch.firstMs)
    // a node tells of what it fetched once a second
    await until(async () => performance.now() > fullMs + 1_500)
    const startedMs = watch.firstMs ?? fullMs
    const after = await first.status()
    const { saidSeconds = Number.NaN, tookSeconds = Number.NaN } = after.forecast ?? {}
    return {
      ...{ how, mib, putMBs: put, leastBytes, movedBytes: watch.bytes },
      detectedS: ((watch.deadMs ?? 0) - startMs) / 1000,
      startedS: (startedMs - startMs) / 1000,
      fullS: (fullMs - startMs) / 1000,
      repairMBs: watch.bytes / 1e3 / (fullMs - startedMs),
      readMs: { before: quantiles(beforeMs), during: quantiles(duringMs) },
      forecast: `${forecast.etaSeconds} s at its death; told since: said ${saidSeconds}, took ${tookSeconds}`
    }
  } finally {
    watching.abort()
    nodes.at(-1)?.signal('SIGCONT')
    for (const node of nodes.reverse()) await node.kill()
    await rm(directory, { recursive: true })
  }
}

function isWhole({
  verdict,
  byCopies,
  reason
}: {
  verdict: string
  byCopies: number[]
  reason: string
}): boolean {
  return verdict === 'healthy' && (byCopies.at(-1) ?? 0) > 0 && !reason.includes('being compared')
}

async function putFile(node: Running<NodeSaid>, path: string): Promise<number> {
  const args = [node.said.url, node.said.token, 'put', path]
  const client = await start<{ seconds: number; bytes: number }>('client-process.ts', args)
  await client.end()
  return client.said.bytes / 1e6 / client.said.seconds
}

async function putBlocks(client: Client): Promise<string[]> {
  const cids: string[] = []
  for (let i = 0; i < READ_BLOCKS; i++) {
    const { cid } = await client.put(new Uint8Array(randomBytes(MIB)), { digests: [] })
    cids.push(cid.toString())
  }
  return cids
}

/** Readers that read one block after the other, and how long each took, ms. */
function readers(client: Client, cids: readonly string[]) {
  const times: { atMs: number; tookMs: number }[] = []
  let over = false
  const one = async (): Promise<void> => {
    while (!over) {
      const cid = cids[Math.floor(Math.random() * cids.length)] as string
      const startMs = performance.now()
      await client.getBlock(cid)
      times.push({ atMs: startMs, tookMs: performance.now() - startMs })
      await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS))
    }
  }
  const all = Array.from({ length: READERS }, one)
  return {
    /** Of those begun since then. */
    async end(sinceMs = 0): Promise<number[]> {
      over = true
      await Promise.all(all)
      const those = times.filter(({ atMs }) => atMs >= sinceMs)
      return those.map(({ tookMs }) => tookMs).sort((a, b) => a - b)
    }
  }
}

/** What the survivors tell: the first who finds it dead, the first block fetched, and the bytes in all. */
function watchRepair(clients: readonly Client[], signal: AbortSignal) {
  const seen = { deadMs: undefined as number | undefined, firstMs: undefined as number | undefined, bytes: 0 }
  const note = (event: NodeEvent): void => {
    if (event.type === 'member' && event.state === 'dead') seen.deadMs ??= performance.now()
    if (event.type !== 'repair' || event.blocks === 0 || seen.deadMs === undefined) return
    seen.firstMs ??= performance.now()
    seen.bytes += event.bytes
  }
  const listen = async (client: Client): Promise<void> => {
    for await (const event of client.events({ types: ['member', 'repair'], signal })) note(event)
  }
  for (const client of clients) {
    listen(client).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
  return seen
}

function quantiles(times: readonly number[]) {
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? Number.NaN
  return { reads: times.length, p50: at(0.5), p99: at(0.99) }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${LIMIT_MS / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

function print(result: Result): void {
  const { how, putMBs, detectedS, startedS, fullS, movedBytes, leastBytes, repairMBs, readMs } = result
  const { before, during } = readMs
  const words = how === 'kill' ? 'SIGKILL' : 'SIGSTOP'
  console.log(`${words}, ${result.mib} MiB on three of five, put at ${putMBs.toFixed(0)} MB/s`)
  console.log(
    `  known after ${detectedS.toFixed(1)} s, first block after ${startedS.toFixed(1)} s, ` +
      `all at three after ${fullS.toFixed(1)} s`
  )
  console.log(
    `  ${(movedBytes / MIB).toFixed(0)} MiB moved, ${(movedBytes / leastBytes).toFixed(2)} of the least; ` +
      `${repairMBs.toFixed(0)} MB/s, ${(repairMBs / putMBs).toFixed(2)} of the put`
  )
  const text = ({ reads, p50, p99 }: typeof before) =>
    `p50 ${p50.toFixed(0)}, p99 ${p99.toFixed(0)} ms of ${reads} reads`
  console.log(`  a block of 1 MiB, 2 readers with pauses: before ${text(before)}; during ${text(during)}`)
  console.log(`  foretold: ${result.forecast}`)
}
