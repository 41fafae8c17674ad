/**
 * An update of a large tree under a name, on three nodes, each a process with a disk of its own: one file of
 * 1 MiB has changed. How long the command takes, its start included, and what crosses the loopback interface
 * meanwhile, between client and node and among the nodes (of all processes: run it on a machine at rest).
 */
import { execFile } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { MIB, writeRandom } from './inputs.ts'
import { addNodes, type NodeSaid, type Running } from './processes.ts'

const NODES = 3
const FILES = 16
/** Files that changed a moment ago are read again: see the command's `stat-cache.ts`. */
const SETTLE_MS = 3_000
const CAIRN = fileURLToPath(new URL('../../packages/cli/bin/cairn.mjs', import.meta.url))

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, rounds: { type: 'string', default: '5' } }
})
const folder = await mkdtemp(join(tmpdir(), 'cairn-bench-updates-'))
const running: Running<NodeSaid>[] = []
const tree = join(folder, 'tree')
const run = promisify(execFile)

const loopback = (): number => Number(readFileSync('/sys/class/net/lo/statistics/rx_bytes', 'utf8'))

async function put(...flags: string[]) {
  const { url, token } = (running[0] as Running<NodeSaid>).said
  const env = { ...process.env, CAIRN_HOME: join(folder, 'home'), CAIRN_TOKEN: token }
  const args = [...process.execArgv, CAIRN, '--node', url, '--json', 'put', tree, '--name', 'bench', ...flags]
  const [startedMs, before] = [performance.now(), loopback()]
  const { stdout } = await run(process.execPath, args, { env })
  const told = JSON.parse(stdout) as { tookMs: number; blocks: number; unchanged: { files: number } }
  return { ms: performance.now() - startedMs, bytes: loopback() - before, ...told }
}

type Measured = Awaited<ReturnType<typeof put>>

function tell(what: string, { ms, tookMs, bytes, blocks, unchanged }: Measured): void {
  const wire = `${(bytes / 1e6).toFixed(1)} MB on the wire`
  const files = `${blocks} blocks sent or offered, ${unchanged.files} files not read`
  console.log(
    `${what}: ${ms.toFixed(0)} ms with the start of the command, ${tookMs} ms without; ${wire}; ${files}`
  )
}

try {
  await addNodes(running, { directory: folder, count: NODES })
  await mkdir(tree)
  const each = Math.max(1, Math.floor(Number(values.mib) / FILES))
  for (let i = 0; i < FILES; i++) await writeRandom(join(tree, `large-${i}`), each)
  await writeFile(join(tree, 'small'), randomFillSync(Buffer.alloc(MIB)))
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  tell(`first put of ${FILES} x ${each} MiB`, await put())
  for (let i = 0; i < Number(values.rounds); i++) {
    await writeFile(join(tree, 'small'), randomFillSync(Buffer.alloc(MIB)))
    tell('1 MiB changed', await put())
  }
  tell('nothing changed', await put())
  tell('1 MiB changed, --no-cache', await put('--no-cache'))
} finally {
  await Promise.all(running.map((one) => one.kill()))
  await rm(folder, { recursive: true, force: true })
}
