/**
 * `npm start`: five real nodes keep a real directory. It starts them, puts a directory in, kills a node,
 * watches the others heal it, lets a sixth join, and gets the directory back. Each step says what it
 * measured; one that does not hold says what was expected and what was seen, and the script exits with 1.
 *
 *   npm start                    some 100 MB of node_modules; the network stays up until Ctrl-C
 *   npm start -- DIR             a directory of your own
 *   npm start -- --once          stops and deletes everything at the end; 0 only if every step held
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeTree } from '@cairn/blocks/fs'
import {
  addNode,
  type ClusterNode,
  type ClusterOptions,
  clientOf,
  format,
  killNode,
  runningNodes,
  startCluster,
  stopCluster,
  targetsOf,
  until
} from '@cairn/cli'
import type { PutResult, Usage } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { compareTrees } from './testnet/compare.ts'
import { ownSample, pnpmSample, type Sample, treeOf } from './testnet/sample.ts'
import { clear, expect, fact, failed, heading, held, line, live, StepFailed, step } from './testnet/say.ts'
import { aliveAt, LOOK_EVERY_MS, settledUsage, shortAt, usageOf } from './testnet/watch.ts'

const NODES = 5
const REPLICAS = 3
/** Short, so that the demonstration is; 15 s by default, for a restart to move nothing. */
const REPAIR_DELAY_MS = 3_000
/** For the others to agree that a killed node is dead. Five seconds on an idle machine. */
const DETECT_LIMIT_MS = 20_000
const REPAIR_LIMIT_MS = 90_000
const JOIN_LIMIT_MS = 90_000
/** Of an even share, what the sixth must hold at least: placement is random, but not by this much. */
const SHARE_LEAST = 0.5
/** Between lines that say how far the repair is. */
const TELL_EVERY_MS = 1_000
const STEPS = 6

const root = fileURLToPath(new URL('..', import.meta.url))
const { size, rate, plural, count } = format

interface Run {
  home: string
  options: ClusterOptions
  sample: Sample
  signal: AbortSignal
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

async function startNodes({ options }: Run): Promise<ClusterNode[]> {
  step(1, STEPS, `Start ${NODES} nodes: a process and a directory each, on this machine only`)
  const startedMs = performance.now()
  const nodes = await startCluster(NODES, options)
  for (const { k, name, url, pid } of nodes) fact(`n${k}  ${name.padEnd(16)} ${url}  process ${pid}`)
  held(
    `ready in ${seconds(performance.now() - startedMs)}; every block is kept on ${REPLICAS} of them, ` +
      `repair starts ${seconds(REPAIR_DELAY_MS)} after a loss (15 s by default)`
  )
  return nodes
}

async function putSample({ sample, signal }: Run, nodes: ClusterNode[]): Promise<PutResult> {
  step(2, STEPS, `Put a directory in: ${sample.name}, ${plural(sample.files, 'file')}, ${size(sample.bytes)}`)
  const client = await clientOf(targetsOf(nodes))
  const startedMs = performance.now()
  const upload = client.putDir(treeOf(sample), { name: sample.name, replicas: REPLICAS, signal })
  for await (const { phase, bytes } of upload.progress()) live(`${phase} ${size(bytes)}`)
  const result = await upload
  const tookMs = performance.now() - startedMs
  fact(result.cid.toString())
  expect(
    result.replicas === REPLICAS,
    `receipts of ${REPLICAS} members for every block`,
    `${result.replicas} for some`
  )
  held(
    `${plural(result.blocks, 'block')} confirmed by ${REPLICAS} members each in ${seconds(tookMs)}, ` +
      `${rate((1_000 * sample.bytes) / tookMs)}`
  )
  return result
}

/** The node whose loss is the greatest. */
async function fullest(nodes: ClusterNode[]): Promise<{ victim: ClusterNode; had: Usage }> {
  const all = await Promise.all(nodes.map(async (victim) => ({ victim, had: await usageOf(victim) })))
  return all.reduce((one, other) => (other.had.blocks > one.had.blocks ? other : one))
}

async function killOne({ home, signal }: Run, nodes: ClusterNode[]): Promise<ClusterNode[]> {
  const { victim, had } = await fullest(nodes.slice(1))
  step(3, STEPS, `Kill n${victim.k}, ${victim.name}: SIGKILL, as a power cut would`)
  fact(`it held ${plural(had.blocks, 'block')}, ${size(had.bytes)}; from here on this script only watches`)
  await killNode(home, victim.k)
  const killedMs = performance.now()
  const survivors = nodes.filter(({ k }) => k !== victim.k)
  let alive: number[] = []
  const agreed = await until(
    async () => {
      alive = await aliveAt(survivors)
      live(`${seconds(performance.now() - killedMs)}: alive as each sees it: ${alive.join(', ')}`)
      return alive.every((members) => members === NODES - 1) ? true : undefined
    },
    { limitMs: DETECT_LIMIT_MS, everyMs: LOOK_EVERY_MS, signal }
  )
  expect(
    agreed === true,
    `all others to see ${NODES - 1} members within ${seconds(DETECT_LIMIT_MS)}`,
    alive.join(', ')
  )
  held(`all ${survivors.length} others agree that it is dead after ${seconds(performance.now() - killedMs)}`)
  await watchHeal(survivors, { killedMs, signal })
  return survivors
}

interface Loss {
  killedMs: number
  signal: AbortSignal
}

async function watchHeal(survivors: ClusterNode[], { killedMs, signal }: Loss): Promise<void> {
  step(4, STEPS, `Watch the others repair it`)
  let worst = 0
  let worstBytes = 0
  let lastTold = -1
  let toldMs = 0
  const healed = await until(
    async () => {
      const { blocks: below, bytes } = await shortAt(survivors)
      worst = Math.max(worst, below)
      worstBytes = Math.max(worstBytes, bytes)
      const nowMs = performance.now()
      if (below !== lastTold && (below === 0 || nowMs - toldMs >= TELL_EVERY_MS)) {
        fact(`${seconds(nowMs - killedMs).padStart(7)}  ${plural(below, 'block')} below ${REPLICAS} copies`)
        lastTold = below
        toldMs = nowMs
      }
      return worst > 0 && below === 0 ? true : undefined
    },
    { limitMs: REPAIR_LIMIT_MS, everyMs: LOOK_EVERY_MS, signal }
  )
  expect(
    healed === true,
    `no block below ${REPLICAS} copies within ${seconds(REPAIR_LIMIT_MS)}`,
    worst === 0 ? 'no block ever counted as short' : `${count(lastTold)} blocks still short`
  )
  const tookMs = performance.now() - killedMs
  held(
    `at most ${plural(worst, 'block')}, ${size(worstBytes)}, lacked a copy; ` +
      `${REPLICAS} copies of everything ${seconds(tookMs)} after the kill ` +
      `(detection, ${seconds(REPAIR_DELAY_MS)} of waiting, copying)`
  )
}

async function joinSixth({ options, signal }: Run, survivors: ClusterNode[]): Promise<ClusterNode[]> {
  step(5, STEPS, 'A sixth node joins by one string, the invite, and takes its share')
  const startedMs = performance.now()
  const sixth = await addNode(options)
  fact(`n${sixth.k}  ${sixth.name.padEnd(16)} ${sixth.url}  process ${sixth.pid}`)
  const nodes = [...survivors, sixth]
  // All that is kept: beside the files' blocks, those of the record of their digests.
  const kept = await (await clientOf(targetsOf(survivors))).status()
  const even = (kept.blocks * REPLICAS) / nodes.length
  let seen = ''
  const settled = await until(
    async () => {
      const alive = await aliveAt(nodes)
      const { blocks, bytes } = await usageOf(sixth)
      seen = `${plural(blocks, 'block')}, ${size(bytes)} there; alive as each sees it: ${alive.join(', ')}`
      live(`${seconds(performance.now() - startedMs)}: ${seen}`)
      if (alive.some((members) => members !== nodes.length) || blocks < SHARE_LEAST * even) return undefined
      const short = await shortAt(nodes)
      seen += `; ${plural(short.blocks, 'block')} below ${REPLICAS} copies`
      return short.blocks === 0 ? true : undefined
    },
    { limitMs: JOIN_LIMIT_MS, everyMs: LOOK_EVERY_MS, signal }
  )
  expect(
    settled === true,
    `${count(SHARE_LEAST * even)} blocks or more on it within ${seconds(JOIN_LIMIT_MS)}, none short anywhere`,
    seen
  )
  const usage = await settledUsage(sixth, { limitMs: JOIN_LIMIT_MS, signal })
  const share = Math.round((100 * usage.blocks) / even)
  held(
    `it holds ${plural(usage.blocks, 'block')}, ${size(usage.bytes)}: ${share} % of an even share, ` +
      `${seconds(performance.now() - startedMs)} after its start`
  )
  return nodes
}

async function getBack({ home, sample, signal }: Run, nodes: ClusterNode[], put: PutResult): Promise<void> {
  step(6, STEPS, 'Get the directory back and compare it, byte for byte')
  const target = join(home, 'fetched')
  await rm(target, { recursive: true, force: true })
  const client = await clientOf(targetsOf(nodes))
  const startedMs = performance.now()
  try {
    let bytes = 0
    await writeTree(put.cid, (cid) => client.getBlock(cid, { signal }), target, {
      onProgress: (progress) => {
        bytes += progress.bytes
        live(`got ${size(bytes)}`)
      }
    })
    const tookMs = performance.now() - startedMs
    fact(`fetched in ${seconds(tookMs)}, ${rate((1_000 * sample.bytes) / tookMs)}, every block verified`)
    const same = await compareTrees(sample.folder, target, sample.names).catch((error: Error) => {
      throw new StepFailed('two equal directories', error.message)
    })
    held(
      `the same to the last byte: ${plural(same.files, 'file')}, ` +
        `${plural(same.directories, 'directory', 'directories')}, ${plural(same.symlinks, 'symlink')}, ` +
        size(same.bytes)
    )
  } finally {
    await rm(target, { recursive: true, force: true })
  }
}

/** The most memory that any of the nodes ever had, where /proc tells. */
async function peakMemory(nodes: ClusterNode[]): Promise<number | undefined> {
  const peaks = await Promise.all(
    nodes.map(async ({ pid }) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      return 1_024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0)
    })
  )
  const peak = Math.max(...peaks)
  return peak > 0 ? peak : undefined
}

async function allSteps(run: Run): Promise<void> {
  const startedMs = performance.now()
  const nodes = await startNodes(run)
  const put = await putSample(run, nodes)
  const survivors = await killOne(run, nodes)
  const six = await joinSixth(run, survivors)
  await getBack(run, six, put)
  const peak = await peakMemory(six)
  line()
  heading(
    `Every step held, in ${seconds(performance.now() - startedMs)}.` +
      (peak === undefined ? '' : ` The largest node took ${size(peak)} of memory at its peak.`)
  )
}

function sayHowToGoOn(home: string): void {
  const shown = relative(process.cwd(), home) || '.'
  line()
  line(`The network stays up until Ctrl-C. In another terminal, in ${process.cwd()}:`)
  for (const text of [
    `export CAIRN_HOME=$PWD/${shown}`,
    'npx cairn status                    how safe everything is',
    'npx cairn peers                     who is there',
    'echo hello | npx cairn put -        keep something',
    'npx cairn ls                        what is kept',
    'npx cairn cluster kill 2            lose another node, then: npx cairn status',
    'npx cairn cluster add               one more node',
    'npx cairn cluster stop --wipe       stop it and delete it all'
  ]) {
    line(`  ${text}`)
  }
  line(`The next \`npm start\` begins anew and deletes what this network holds.`)
}

interface Arguments {
  once: boolean
  folder: string | undefined
}

function parseArguments(args: readonly string[]): Arguments {
  const unknown = args.find((arg) => arg.startsWith('-') && arg !== '--once')
  const folders = args.filter((arg) => !arg.startsWith('-'))
  if (unknown !== undefined || folders.length > 1) {
    throw new CairnError('BAD_REQUEST', `not understood: ${unknown ?? folders.join(' ')}`, {
      hint: 'npm start -- [DIR] [--once]'
    })
  }
  // npm runs scripts in the project's root and says in INIT_CWD where the user was
  const from = process.env.INIT_CWD ?? process.cwd()
  return {
    once: args.includes('--once'),
    folder: folders[0] === undefined ? undefined : resolve(from, folders[0])
  }
}

async function prepare({ once, folder }: Arguments, signal: AbortSignal): Promise<Run> {
  const sample = folder === undefined ? await pnpmSample(root) : await ownSample(folder)
  const home = once ? await mkdtemp(join(tmpdir(), 'cairn-testnet-')) : join(root, '.cairn')
  if (!once) {
    const running = await runningNodes(home)
    if (running.length > 0) {
      throw new CairnError('LOCKED', `a test network of ${running.length} nodes already runs in ${home}`, {
        hint: `CAIRN_HOME=${home} npx cairn cluster stop`
      })
    }
    await stopCluster(home, { wipe: true })
    await mkdir(home, { recursive: true, mode: 0o700 })
  }
  const options = { home, replicas: REPLICAS, repairDelayMs: REPAIR_DELAY_MS, whilePid: process.pid, signal }
  return { home, options, sample, signal }
}

async function cleanUp({ home }: Run, once: boolean): Promise<void> {
  await stopCluster(home, { wipe: once })
  if (once) await rm(home, { recursive: true, force: true })
}

async function untilStopped({ home, signal }: Run): Promise<void> {
  while (!signal.aborted && (await runningNodes(home)).length > 0) {
    await until(() => (signal.aborted ? true : undefined), { limitMs: 1_000 })
  }
}

function tellFailure(error: unknown): void {
  clear()
  if (error instanceof StepFailed) failed(error)
  else if (CairnError.is(error)) {
    process.stderr.write(
      `error: ${error.message}  ${error.code}\n${error.hint ? `  try: ${error.hint}\n` : ''}`
    )
  } else process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
}

/** The exit code. */
async function main(args: readonly string[]): Promise<number> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
  let run: Run | undefined
  let once = true
  let exit = 0
  try {
    const parsed = parseArguments(args)
    once = parsed.once
    heading('Cairn: five real nodes keep a real directory')
    run = await prepare(parsed, stop.signal)
    await allSteps(run)
    if (!once) {
      sayHowToGoOn(run.home)
      await untilStopped(run)
    }
  } catch (error) {
    exit = stop.signal.aborted ? 130 : 1
    if (!stop.signal.aborted) tellFailure(error)
  }
  if (run !== undefined) {
    if (!once) line('stopping the nodes')
    await cleanUp(run, once)
    line(once ? 'All stopped, everything deleted.' : `Stopped. What the nodes held is in ${run.home}.`)
  }
  return exit
}

process.exit(await main(process.argv.slice(2)))
