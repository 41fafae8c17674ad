/**
 * The whole path, every node and the client a process of its own: put on three of three nodes, all
 * receipts in, get by way of a fourth that holds nothing (blocks come straight from the holders), add to a
 * network of one; a large file and many small ones. Beside it the limits of the same run, and with `--all`
 * (what `npm run bench` without a name gives) five rounds, what the digests of a put cost, a get of which
 * each byte goes through the fourth node, and others of the field. With other work on the machine, trust
 * CPU seconds, not MB/s.
 *
 * Run: npm run bench -- [transfer] [--all] [--mib N] [--files N] [--rounds N] [--only large|small]
 *   [--smoke] [--json] [--svg FILE] [--docs FILE] [--from JSON] [--profile]
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MIB, writeRandom, writeSmall } from './inputs.ts'
import { LIMITS, measureLimits } from './limits.ts'
import { findPeers, type Peer, type Round, type Source } from './peers.ts'
import { addNodes, type NodeSaid, type Running, start } from './processes.ts'
import { type Found, median, rowsOf, type Sample, svgOf, textOf, writeDocs } from './table.ts'

const FILE_BYTES = 4_096
/** Of a node that is read through: so small beside the others that hardly any slot is its own. */
const READER_BYTES = 512 * 1024 ** 2
/** CPU profiles go here, below where the command is run. */
const PROFILES = 'cairn-profiles'
/** Of what another system said when it failed; some say much. */
const NOTE_CHARACTERS = 300
/** How files are put and got; a get does the same work after either way of a put. */
const PLAIN = { who: 'Cairn', verb: 'put' }
const THROUGH = { who: 'Cairn, through one node', verb: 'get-through' }
const DIGESTED = { who: 'Cairn, all four digests', verb: 'put-digests' }

const { values: flags } = parseArgs({
  options: {
    /** Digests and other systems too. */
    all: { type: 'boolean', default: false },
    /** Seconds in all, to see that it runs: one put and one get. */
    smoke: { type: 'boolean', default: false },
    mib: { type: 'string' },
    files: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    svg: { type: 'string' },
    docs: { type: 'string' },
    /** What --json said, of one run or of several of the same sizes: nothing is measured. */
    from: { type: 'string', multiple: true },
    profile: { type: 'boolean', default: false }
  }
})

const full = flags.all && !flags.smoke

interface ClientSaid {
  cid?: string
  bytes: number
  replicas?: number
  seconds: number
  cpuSeconds: number
}

const found = flags.from === undefined ? await measureAll() : await readAll(flags.from)
const sources = [`${found.mib} MiB`, `${found.files} files of 4 KiB`]
const stages = ['put on three', 'add to one', 'get'] as const
const order = sources.flatMap((name) => stages.map((stage) => `${stage}, ${name}`))
const rows = rowsOf(found, [limitsOf(found), ...order])
if (flags.svg !== undefined) await writeFile(flags.svg, svgOf(rows))
if (flags.docs !== undefined) await writeDocs(flags.docs, found, rows)
console.log(flags.json ? JSON.stringify(found) : [textOf(rows), ...found.notes].join('\n'))

function limitsOf({ mib }: Pick<Found, 'mib'>): string {
  return `limits, ${mib} MiB`
}

async function readAll(paths: readonly string[]): Promise<Found> {
  const all = await Promise.all(paths.map(async (path) => JSON.parse(await readFile(path, 'utf8')) as Found))
  const notes = [...new Set(all.flatMap((one) => one.notes))]
  return { ...(all[0] as Found), notes, samples: all.flatMap(({ samples }) => samples) }
}

async function measureAll(): Promise<Found> {
  const { peers, notes } = full ? findPeers() : { peers: [], notes: [] }
  const result: Found = {
    ...{ node: process.version, processor: cpus()[0]?.model ?? '', cores: availableParallelism() },
    mib: Number(flags.mib ?? (flags.smoke ? 4 : 1_024)),
    files: Number(flags.files ?? 10_000),
    rounds: Number(flags.rounds ?? (full ? 5 : 1)),
    ...{ notes, samples: [] }
  }
  const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
  try {
    if (flags.profile) await mkdir(PROFILES, { recursive: true })
    const inputs = await makeInputs(directory, result)
    for (let round = 1; round <= result.rounds; round++) {
      await measureRound(join(directory, 'round'), inputs, result, peers)
      console.error(`round ${round} of ${result.rounds}`)
    }
  } finally {
    await rm(directory, { recursive: true })
  }
  const multiple = multipleOf(result)
  if (multiple !== undefined) notes.unshift(multiple)
  if (flags.profile) notes.push(`profiled, so the times are too high: see ${PROFILES}/`)
  return result
}

async function makeInputs(directory: string, { mib, files }: Found): Promise<Source[]> {
  const only = flags.only ?? (flags.smoke ? 'large' : undefined)
  const names = ['large', 'small'].filter((name) => only === undefined || only === name)
  const inputs: Source[] = []
  for (const name of names) {
    const path = join(directory, name)
    await (name === 'large' ? writeRandom(path, mib) : writeSmall(path, files))
    const about =
      name === 'large'
        ? { name: `${mib} MiB`, bytes: mib * MIB }
        : { name: `${files} files of 4 KiB`, bytes: files * FILE_BYTES }
    inputs.push({ ...about, path })
  }
  return inputs
}

/** All that is measured, once. In each round everything is new but what is put. */
async function measureRound(
  directory: string,
  inputs: readonly Source[],
  { samples, notes, mib }: Found,
  peers: Peer[]
): Promise<void> {
  const inDirectory = async (name: string, act: (path: string) => Promise<void>): Promise<void> => {
    const path = join(directory, name)
    await mkdir(path, { recursive: true })
    try {
      await act(path)
    } finally {
      await rm(path, { recursive: true })
    }
  }
  await inDirectory('limits', async (path) => {
    const limits = await measureLimits(join(path, 'file'), mib)
    for (const { name, ...cost } of limits)
      samples.push({ stage: limitsOf({ mib }), who: name, bytes: mib * MIB, ...cost })
  })
  // new nodes for each way, so that neither finds the other's code made fast
  for (const way of full ? [PLAIN, DIGESTED] : [PLAIN]) {
    await inDirectory('three', (path) => measureThree(path, { inputs, samples, way }))
    if (full) await inDirectory('one', (path) => measureOne(path, { inputs, samples, way }))
  }
  for (const peer of [...peers]) {
    try {
      for (const source of inputs) {
        const record: Round['record'] = (stage, cost) =>
          samples.push({ stage: `${stage}, ${source.name}`, who: peer.name, bytes: source.bytes, ...cost })
        await inDirectory(peer.name, (path) => peer.measure({ directory: path, source, record }))
      }
    } catch (error) {
      const why = (error as Error).message.replace(/\s+/g, ' ').slice(0, NOTE_CHARACTERS)
      notes.push(`${peer.name}: given up: ${why}`)
      peers.splice(peers.indexOf(peer), 1)
    }
  }
}

interface Task {
  inputs: readonly Source[]
  way: typeof PLAIN
  samples: Sample[]
}

async function measureThree(directory: string, task: Task): Promise<void> {
  const { inputs, samples, way } = task
  const nodes: Running<NodeSaid>[] = []
  try {
    const at = await addNodes(nodes, { directory, count: 3 })
    const roots = await putAll('put on three', { ...task, nodes, at })
    if (way !== PLAIN) return
    // each by way of a node of its own, which has nothing yet
    for (const { who, verb } of full ? [{ ...PLAIN, verb: 'get' }, THROUGH] : [{ ...PLAIN, verb: 'get' }]) {
      await addNodes(nodes, { directory, count: 1, config: { capacity: READER_BYTES } })
      for (const [i, { name, bytes }] of inputs.entries()) {
        const about = { nodes, samples, stage: `get, ${name}`, who, at: nodes.at(-1) as typeof at }
        const said = await measure([verb, roots[i] as string], about)
        if (said.bytes !== bytes) throw new Error(`get: ${said.bytes} bytes of ${bytes}`)
      }
    }
  } finally {
    for (const node of nodes.reverse()) await node.end()
  }
}

async function measureOne(directory: string, task: Task): Promise<void> {
  const nodes: Running<NodeSaid>[] = []
  try {
    const at = await addNodes(nodes, { directory, count: 1, config: { replicas: 1 } })
    await putAll('add to one', { ...task, nodes, at })
  } finally {
    for (const node of nodes) await node.end()
  }
}

interface Where {
  nodes: readonly Running<NodeSaid>[]
  samples: Sample[]
  /** Whom the client asks. */
  at: Running<NodeSaid>
}

/** Puts all inputs, on each node; their CIDs. */
async function putAll(title: string, { inputs, way, ...where }: Where & Task): Promise<string[]> {
  const roots: string[] = []
  for (const { name, path } of inputs) {
    const stage = `${title}, ${name}`
    const said = await measure([way.verb, path], { ...where, stage, who: way.who })
    if (said.replicas !== where.nodes.length) throw new Error(`${stage}: ${said.replicas} replicas`)
    roots.push(said.cid as string)
  }
  return roots
}

async function measure(
  task: readonly string[],
  { nodes, samples, stage, who, at }: Where & { stage: string; who: string }
): Promise<ClientSaid> {
  const profile = (process: string): string => join(PROFILES, `${who}, ${stage}, ${process}.cpuprofile`)
  if (flags.profile) for (const [i, node] of nodes.entries()) node.tell(profile(`node ${i}`))
  const before = nodes.map((node) => node.cpuSeconds())
  const client = await start<ClientSaid>('client-process.ts', [at.said.url, at.said.token, ...task], {
    flags: flags.profile ? ['--cpu-prof', `--cpu-prof-name=${profile('client')}`] : []
  })
  const { said } = client
  const cpuSeconds = nodes.map((node, i) => node.cpuSeconds() - (before[i] as number))
  await client.end()
  if (flags.profile) for (const node of nodes) node.tell('')
  samples.push({
    ...{ stage, who, seconds: said.seconds, bytes: said.bytes },
    cpuSeconds: cpuSeconds.reduce((a, b) => a + b, said.cpuSeconds),
    peakMiB: Math.max(...nodes.map((node) => node.peakMiB()))
  })
  return said
}

/** Three nodes and the client hash, two legs go over TLS, three nodes write. */
function multipleOf({ samples, mib }: Found): string | undefined {
  const cpu = (stage: string, who: string): number =>
    median(samples.filter((one) => one.stage === stage && one.who === who).map((one) => one.cpuSeconds))
  const [hash, , tls, write] = LIMITS.map((name) => cpu(limitsOf({ mib }), name)) as [
    number,
    number,
    number,
    number
  ]
  const put = cpu(`put on three, ${mib} MiB`, PLAIN.who)
  const times = (put / (4 * hash + 2 * tls + 3 * write)).toFixed(2)
  return Number.isNaN(put)
    ? undefined
    : `put on three: ${times} times the CPU of its hashing (4), TLS (2) and writing (3)`
}
