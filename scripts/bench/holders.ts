/**
 * One get from 5, 3 and 1 holders, each on a machine of its own whose cable carries 20 MB/s (tbf in network
 * namespaces; `--cable` says how many), by a client beside a node that has nothing itself: blocks straight
 * from the holders, or all through the node. Needs root, iproute2 and nftables.
 *
 * Run: npm run bench -- holders [--holders 5,3,1] [--cable 20] [--mib 192] [--rounds 3] [--through] [--json]
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { eventually } from '../../test/support/eventually.ts'
import { type Hub, hub } from '../../test/support/hub.ts'
import { cairn, lastJson, type Node, withNodes } from '../../test/support/nodes.ts'

const MIB = 1024 * 1024
const STEP_MS = 120_000

const { values: flags } = parseArgs({
  options: {
    holders: { type: 'string', default: '5,3,1' },
    cable: { type: 'string', default: '20' },
    mib: { type: 'string', default: '192' },
    rounds: { type: 'string', default: '3' },
    through: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false }
  }
})
const mib = Number(flags.mib)
/** Of each holder's cable. */
const MB_PER_SECOND = Number(flags.cable)

async function said(node: Node, ...args: string[]): Promise<Record<string, unknown>> {
  const { netns } = node.options
  const ended = await cairn(['--home', node.home, '--json', ...args], netns === undefined ? {} : { netns })
  if (ended.exit !== 0 && ended.exit !== 6) throw new Error(`cairn ${args.join(' ')}: ${ended.stderr}`)
  return lastJson(ended.stdout)
}

/** MB/s of one get, the client beside the reading node. */
async function read(reader: Node, cid: string): Promise<number> {
  const script = fileURLToPath(new URL('client-process.ts', import.meta.url))
  const verb = flags.through ? 'get-through' : 'get'
  const command = [process.execPath, ...process.execArgv, script, reader.url, reader.token, verb, cid]
  const { stdout } = await promisify(execFile)('ip', [
    ...['netns', 'exec', reader.options.netns ?? ''],
    ...command
  ])
  const { bytes, seconds } = JSON.parse(stdout) as { bytes: number; seconds: number }
  if (bytes !== mib * MIB) throw new Error(`${bytes} bytes came`)
  return bytes / seconds / 1e6
}

const alive = (node: Node, count: number) =>
  eventually(`${count} are alive as ${node.name} sees it`, STEP_MS, async () => {
    return (await said(node, 'status')).alive === count ? true : undefined
  })

/** So many holders that have all of a file, and a reader that has nothing. */
async function measure(count: number, { machines, slow }: Hub): Promise<number[]> {
  const MBs: number[] = []
  await withNodes(async (world) => {
    const start = (i: number, join: string | undefined, flagged: string[]): Promise<Node> => {
      const { name, address } = machines[i] as (typeof machines)[0]
      const reached = ['--listen', `${address}:0`, '--host', address, '--free-reads']
      const options = { netns: name, flags: [...reached, ...flagged] }
      return world.start(`m${i}`, join === undefined ? options : { ...options, join })
    }
    const big = ['--capacity', '4000GB']
    const first = await start(1, undefined, [...big, '--replicas', `${count}`])
    const invite = String((await said(first, 'invite')).invite)
    for (let i = 2; i <= count; i++) await start(i, invite, big)
    await alive(first, count)
    const path = join(world.folder, 'file')
    await writeFile(path, randomBytes(mib * MIB))
    const { cid } = await said(first, 'put', path, '--digests', 'none')
    // so small beside the others that hardly any slot is its own
    const reader = await start(0, invite, ['--capacity', '1GB'])
    await alive(reader, 1 + count)
    for (let i = 1; i <= count; i++) slow(i, 8_000 * MB_PER_SECOND)
    for (let round = 0; round < Number(flags.rounds); round++) MBs.push(await read(reader, String(cid)))
  })()
  return MBs
}

const results: { holders: number; MBs: number[]; ratio: number }[] = []
for (const holders of flags.holders.split(',').map(Number)) {
  let MBs: number[] = []
  await hub(1 + holders, async (made) => {
    MBs = await measure(holders, made)
  })
  const median = MBs.toSorted((a, b) => a - b)[Math.floor(MBs.length / 2)] as number
  const ratio = median / (holders * MB_PER_SECOND)
  results.push({ holders, MBs, ratio })
  const told = MBs.map((one) => one.toFixed(1)).join(', ')
  if (!flags.json) console.log(`${holders} holders: ${told} MB/s, ${ratio.toFixed(2)} of the cables'`)
}
if (flags.json) console.log(JSON.stringify({ node: process.version, mib, results }))
