/**
 * Reading from mirrors alone: the primary is killed, and four clients, through one node that has nothing
 * itself or through one each, read from 4, 2 and 1 mirrors, each on a machine of its own whose cable carries
 * 20 MB/s (tbf in network namespaces). How busy the processors are says what is the limit. Needs root,
 * iproute2 and nftables.
 *
 * Run: npm run bench -- mirrors [--mib 192] [--rounds 2] [--cable 20] [--readers 1|2|4] [--json]
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { eventually } from '../../test/support/eventually.ts'
import { hub } from '../../test/support/hub.ts'
import { cairn, kill, lastJson, type Node, type World, withNodes } from '../../test/support/nodes.ts'

const MIB = 1024 * 1024
const MIRRORS = [4, 2, 1] as const
/** Clients that read at the same time, a file each. */
const CLIENTS = 4
const NAME = 'data'
const STEP_MS = 120_000

const { values: flags } = parseArgs({
  options: {
    mib: { type: 'string', default: '192' },
    rounds: { type: 'string', default: '2' },
    /** MB/s of each mirror. */
    cable: { type: 'string', default: '20' },
    /** Nodes that the clients share. */
    readers: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false }
  }
})
const mib = Number(flags.mib)
const cableMBs = Number(flags.cable)
const readerCount = Number(flags.readers)
const files = Array.from({ length: CLIENTS }, (_, i) => `f${i}`)

interface Result {
  mirrors: number
  MBs: number[]
  ratio: number
  /** Of the processors, in the best round: 1 is all of them all the time. */
  busy: number
}

async function said(node: Node, ...args: string[]): Promise<Record<string, unknown>> {
  const { netns } = node.options
  const ended = await cairn(['--home', node.home, '--json', ...args], netns === undefined ? {} : { netns })
  if (ended.exit !== 0 && ended.exit !== 6) throw new Error(`cairn ${args.join(' ')}: ${ended.stderr}`)
  return lastJson(ended.stdout)
}

/** All at once; MB/s in all. */
async function read(readers: readonly Node[], owner: string): Promise<{ MBs: number; busy: number }> {
  const before = processorMs()
  const all = await Promise.all(
    readers.map((reader, i) => {
      const own = files.filter((_, file) => file % readers.length === i)
      return readOne(reader, `${owner}/${NAME}`, own)
    })
  )
  const after = processorMs()
  if (all.reduce((sum, { bytes }) => sum + bytes, 0) !== mib * MIB) throw new Error('not all of it came')
  const MBs = (mib * MIB) / (Math.max(...all.map(({ seconds }) => seconds)) * 1e6)
  return { MBs, busy: 1 - (after.idle - before.idle) / (after.all - before.all) }
}

function processorMs(): { idle: number; all: number } {
  const times = cpus().flatMap(({ times: one }) => Object.values(one))
  return {
    idle: cpus().reduce((sum, { times: { idle } }) => sum + idle, 0),
    all: times.reduce((sum, ms) => sum + ms, 0)
  }
}

async function readOne(
  reader: Node,
  name: string,
  own: readonly string[]
): Promise<{ bytes: number; seconds: number }> {
  const script = fileURLToPath(new URL('mirrors-reader.ts', import.meta.url))
  const command = [process.execPath, ...process.execArgv, script, reader.url, reader.token, name]
  const { stdout } = await promisify(execFile)('ip', [
    ...['netns', 'exec', reader.options.netns ?? ''],
    ...command,
    ...own
  ])
  return JSON.parse(stdout) as { bytes: number; seconds: number }
}

async function fill(world: World, primary: Node): Promise<void> {
  const path = join(world.folder, NAME)
  await mkdir(path)
  for (const file of files) await writeFile(join(path, file), randomBytes((mib / CLIENTS) * MIB))
  await said(primary, 'put', path, '--name', NAME)
}

const alive = (node: Node, count: number) =>
  eventually(`${count} are alive as the reader sees it`, STEP_MS, async () => {
    return (await said(node, 'status')).alive === count ? true : undefined
  })

const results: Result[] = []
await hub(1 + readerCount + MIRRORS[0], async ({ machines, slow }) => {
  const start = (world: World, i: number, more: { join?: string; capacity: string }): Promise<Node> => {
    const { name, address } = machines[i] as (typeof machines)[0]
    const { capacity, ...rest } = more
    const flagged = ['--listen', `${address}:0`, '--capacity', capacity]
    const first = rest.join === undefined ? ['--replicas', '1'] : []
    return world.start(`m${i}`, { netns: name, flags: [...flagged, ...first], ...rest })
  }
  await withNodes(async (world) => {
    // with one copy, and all but the primary small, nearly every block is the primary's alone
    const primary = await start(world, 0, { capacity: '40GB' })
    const invite = String((await said(primary, 'invite')).invite)
    const others: Node[] = []
    for (let i = 1; i < machines.length; i++) {
      others.push(await start(world, i, { join: invite, capacity: '1GB' }))
    }
    const [readers, mirrors] = [others.slice(0, readerCount), others.slice(readerCount)]
    const reader = readers[0] as Node
    await alive(reader, machines.length)
    await fill(world, primary)
    for (const mirror of mirrors) await said(mirror, 'mirror', 'add', NAME, '--lag', '1s', '--wait')
    await kill([primary])
    for (let i = 1 + readerCount; i < machines.length; i++) slow(i, 8_000 * cableMBs)
    let left = mirrors
    for (const count of MIRRORS) {
      await kill(left.slice(count))
      left = left.slice(0, count)
      await alive(reader, readerCount + count)
      const rounds: Awaited<ReturnType<typeof read>>[] = []
      for (let round = 0; round < Number(flags.rounds); round++) rounds.push(await read(readers, primary.id))
      const best = rounds.reduce((a, b) => (a.MBs > b.MBs ? a : b))
      const MBs = rounds.map((one) => one.MBs)
      results.push({ mirrors: count, MBs, ratio: best.MBs / (count * cableMBs), busy: best.busy })
      const busy = `processors ${Math.round(100 * best.busy)} % busy`
      const told = `${MBs.map((one) => one.toFixed(1)).join(', ')} MB/s, ${busy}`
      if (!flags.json)
        console.log(`${count} mirrors: ${told}, ${results.at(-1)?.ratio.toFixed(2)} of the cables'`)
    }
  })()
})
const single = results.find(({ mirrors }) => mirrors === 1)
const rows = results.map((result) => {
  const linear = Math.max(...result.MBs) / (result.mirrors * Math.max(...(single?.MBs ?? [1])))
  return { ...result, linear }
})
if (flags.json) console.log(JSON.stringify(rows))
else for (const { mirrors, linear } of rows) console.log(`${mirrors} mirrors: ${linear.toFixed(2)} of linear`)
