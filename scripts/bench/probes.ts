/**
 * How long probes between members take while a file is put at full speed on three nodes, each a process of
 * its own: membership must not wait behind bulk.
 *
 * Run: npm run bench -- probes [MiB]
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@cairn/client'
import { type Running, start } from './processes.ts'

const MIB = 1024 * 1024
const LOOK_MS = 100
/** Without load, for comparison. */
const IDLE_MS = 10_000
const mib = Number(process.argv[2] ?? 1024)

interface Said {
  url: string
  token: string
  invite: string
}

const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
const nodes: Running<Said>[] = []
try {
  const path = join(directory, 'file')
  const file = await open(path, 'w')
  for (let i = 0; i < mib; i++) await file.write(randomBytes(MIB))
  await file.close()
  for (let i = 0; i < 3; i++) {
    nodes.push(await start<Said>('node-process.ts', [join(directory, `n${i}`), nodes[0]?.said.invite ?? '']))
  }
  const clients = nodes.map(({ said }) => createClient(said))
  while ((await clients[0]?.status())?.alive !== 3)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))

  tell('idle', await watched(new Promise((resolve) => setTimeout(resolve, IDLE_MS))))
  const first = (nodes[0] as Running<Said>).said
  const put = start<{ seconds: number; bytes: number }>('client-process.ts', [
    first.url,
    first.token,
    'put',
    path
  ])
  const during = await watched(put)
  const { said, end } = await put
  await end()
  tell(`during a put of ${mib} MiB x 3 at ${(said.bytes / 1e6 / said.seconds).toFixed(0)} MB/s`, during)

  async function watched(work: Promise<unknown>): Promise<number[]> {
    let over = false
    const done = work.finally(() => {
      over = true
    })
    const seen = new Set<number>()
    while (!over) {
      for (const client of clients) {
        for (const { self, rttMs } of await client.peers()) if (!self && rttMs !== undefined) seen.add(rttMs)
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    await done
    return [...seen].sort((a, b) => a - b)
  }
} finally {
  for (const node of nodes.reverse()) await node.end()
  await rm(directory, { recursive: true })
}

function tell(what: string, times: readonly number[]): void {
  const at = (share: number): string =>
    (times[Math.min(times.length - 1, Math.floor(share * times.length))] as number).toFixed(1)
  console.log(`| ${what} | ${times.length} probes: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms |`)
}
