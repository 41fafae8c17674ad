/**
 * Several real nodes on this machine: one process and one directory each under HOME/cluster, loopback,
 * one private network. n1 makes the network, the others join by its invite.
 *
 * In the foreground, every node watches the process that started the cluster and stops when it is gone,
 * however it went; so nothing is left behind even by SIGKILL. Detached nodes watch nobody.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CairnError } from '@cairn/core'
import { CLUSTER_FOLDER, clusterHomes, readRunning, readToken, type Target } from './home.ts'
import { signalProcess, until, untilGone } from './processes.ts'
import { HTTP_PORT } from './run-node.ts'
import { clientOf } from './session.ts'

/** Nodes in one cluster: each is a process of some 100 MB. A guess at what a workstation bears. */
export const CLUSTER_NODES_MAX = 50
/** For a node to answer, from spawn on: 1 s on an idle machine, so this is for a very busy one. */
const READY_LIMIT_MS = 60_000
/** For a node's own clean stop, before it is killed. */
const STOP_LIMIT_MS = 20_000
/** Of a failed node's log, shown with the error. */
const LOG_TAIL_LINES = 12

export interface ClusterNode {
  /** 1, 2, …: what `cluster kill K` names. */
  k: number
  name: string
  home: string
  pid: number
  url: string
  token: string | undefined
}

export interface ClusterOptions {
  /** CAIRN_HOME of the whole; the nodes live under its `cluster`. */
  home: string
  replicas?: number
  repairDelayMs?: number
  /** n1's HTTP port; the others follow it where those are free. */
  port?: number
  /** The nodes stop when this process ends. */
  whilePid?: number
  /** Each node as it answers. */
  onReady?: (node: ClusterNode) => void
  signal?: AbortSignal
}

/** The nodes that run now, in order. */
export async function runningNodes(home: string): Promise<ClusterNode[]> {
  const found = await Promise.all((await clusterHomes(home)).map(({ k, home }) => readNode(k, home)))
  return found.filter((node) => node !== undefined)
}

async function readNode(k: number, home: string): Promise<ClusterNode | undefined> {
  const running = await readRunning(home)
  if (running === undefined) return undefined
  const token = await readToken(home)
  const name = await readName(home)
  return { k, name: name ?? `n${k}`, home, pid: running.pid, url: running.url, token }
}

/** The name that the node goes by, from its settings; they are there before it runs. */
async function readName(home: string): Promise<string | undefined> {
  const { name } = JSON.parse(await readFile(join(home, 'node.json'), 'utf8')) as { name?: unknown }
  return typeof name === 'string' ? name : undefined
}

export function targetsOf(nodes: readonly ClusterNode[]): Target[] {
  return nodes.map(({ url, token }) => ({ url, token }))
}

/**
 * Starts nodes n1 … nN; those that were there before return with what they held.
 * @throws CairnError when one does not come up, after stopping the others
 */
export async function startCluster(n: number, options: ClusterOptions): Promise<ClusterNode[]> {
  await refuseRunning(options.home)
  await mkdir(join(options.home, CLUSTER_FOLDER), { recursive: true, mode: 0o700 })
  try {
    const first = await startNode(1, undefined, options)
    const invite = await (await clientOf(targetsOf([first]))).invite()
    const others = await settleAll(Array.from({ length: n - 1 }, (_, i) => startNode(i + 2, invite, options)))
    await untilMet(targetsOf([first]), n, options.signal)
    return [first, ...others]
  } catch (error) {
    await stopCluster(options.home)
    throw error
  }
}

/** As Promise.all, but waits for all: what still starts must not escape the clean-up after a failure. */
async function settleAll<T>(starting: Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(starting)
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

async function refuseRunning(home: string): Promise<void> {
  const running = await runningNodes(home)
  if (running.length === 0) return
  throw new CairnError('LOCKED', `a cluster of ${running.length} already runs in ${home}`, {
    hint: 'cairn cluster stop · cairn cluster add · another home: --home DIR'
  })
}

/** All have heard of all that are here: from then on a put finds its N holders. */
async function untilMet(targets: Target[], n: number, signal?: AbortSignal): Promise<void> {
  const client = await clientOf(targets)
  const met = await until(async () => ((await client.status()).alive >= n ? true : undefined), {
    limitMs: READY_LIMIT_MS,
    signal
  })
  if (met === true) return
  throw new CairnError(
    'TIMEOUT',
    `the ${n} nodes did not all find each other in ${READY_LIMIT_MS / 1_000} s`,
    {
      hint: 'their logs lie in HOME/cluster/*.log'
    }
  )
}

/** One more node, which joins by the invite of one that runs. */
export async function addNode(options: ClusterOptions): Promise<ClusterNode> {
  const running = await runningNodes(options.home)
  if (running.length === 0) throw noCluster(options.home)
  const invite = await (await clientOf(targetsOf(running))).invite()
  const taken = await clusterHomes(options.home)
  const whilePid = await watchedBy(running)
  return startNode(Math.max(...taken.map(({ k }) => k)) + 1, invite, {
    ...options,
    ...(whilePid === undefined ? {} : { whilePid })
  })
}

/** The process that the running nodes were started for, so that one added stops with them. */
async function watchedBy(running: readonly ClusterNode[]): Promise<number | undefined> {
  for (const { home } of running) {
    const log = await readFile(logPath(home), 'utf8').catch(() => '')
    const started = log.split('\n').findLast((line) => line.startsWith('{"started"'))
    if (started !== undefined) return (JSON.parse(started) as { whilePid?: number }).whilePid
  }
  return undefined
}

export function noCluster(home: string): CairnError {
  return new CairnError('UNREACHABLE', `no cluster runs in ${home}`, { hint: 'cairn cluster start 5' })
}

/** Kills node K as a crash or a power cut would: SIGKILL, no word to anybody. */
export async function killNode(home: string, k: number): Promise<ClusterNode> {
  const running = await runningNodes(home)
  const node = running.find((candidate) => candidate.k === k)
  if (node === undefined) {
    const known = running.map((candidate) => candidate.k).join(', ')
    throw new CairnError('NOT_FOUND', `no node ${k} runs in the cluster of ${home}`, {
      hint: running.length === 0 ? 'cairn cluster start 5' : `those that run: ${known}`
    })
  }
  signalProcess(node.pid, 'SIGKILL')
  await untilGone(node.pid, STOP_LIMIT_MS)
  return node
}

export interface Stopped {
  nodes: number
  /** Those that had to be killed. */
  killed: number[]
}

/** Stops every node cleanly, all at once; kills what does not end in time. */
export async function stopCluster(home: string, options: { wipe?: boolean } = {}): Promise<Stopped> {
  const running = await runningNodes(home)
  for (const { pid } of running) signalProcess(pid, 'SIGTERM')
  const killed: number[] = []
  await Promise.all(
    running.map(async ({ k, pid }) => {
      if (await untilGone(pid, STOP_LIMIT_MS)) return
      killed.push(k)
      signalProcess(pid, 'SIGKILL')
      await untilGone(pid, STOP_LIMIT_MS)
    })
  )
  if (options.wipe === true) await rm(join(home, CLUSTER_FOLDER), { recursive: true, force: true })
  return { nodes: running.length, killed }
}

const logPath = (home: string): string => `${home}.log`

/** Spawns node K and waits until it answers. */
async function startNode(
  k: number,
  invite: string | undefined,
  options: ClusterOptions
): Promise<ClusterNode> {
  options.signal?.throwIfAborted()
  const home = join(options.home, CLUSTER_FOLDER, `n${k}`)
  await mkdir(home, { recursive: true, mode: 0o700 })
  const port = await freePort((options.port ?? HTTP_PORT) + k - 1)
  const log = await open(logPath(home), 'a', 0o600)
  const { whilePid } = options
  let child: ChildProcess
  try {
    await log.write(`${JSON.stringify({ started: k, ...(whilePid === undefined ? {} : { whilePid }) })}\n`)
    child = spawnNode({ home, port, invite, logFd: log.fd, options })
  } finally {
    await log.close()
  }
  const node = await untilReady(k, home, child, options.signal)
  child.unref() // a detached cluster outlives the command that started it
  options.onReady?.(node)
  return node
}

interface Spawn {
  home: string
  port: number
  invite: string | undefined
  logFd: number
  options: ClusterOptions
}

function spawnNode({ home, port, invite, logFd, options }: Spawn): ChildProcess {
  const { replicas, repairDelayMs, whilePid } = options
  const { CAIRN_JOIN: _join, CAIRN_HOME: _home, ...env } = process.env
  const flags = ['--home', home, '--json', '--port', String(port)]
  if (invite === undefined && replicas !== undefined) flags.push('--replicas', String(replicas))
  if (repairDelayMs !== undefined) flags.push('--repair-delay', `${repairDelayMs}ms`)
  if (whilePid !== undefined) flags.push('--while-pid', String(whilePid))
  const { command, args } = ownCommand()
  return spawn(command, [...args, 'start', ...flags], {
    // a group of its own: Ctrl-C reaches the command that started it, which then stops all in order
    detached: true,
    stdio: ['ignore', logFd, logFd],
    // the invite holds a secret: every user of the machine can read arguments, nobody else the environment
    env: invite === undefined ? env : { ...env, CAIRN_JOIN: invite }
  })
}

/** How to run this same command again: from source in a clone, else as it was built. */
function ownCommand(): { command: string; args: string[] } {
  const isSource = import.meta.url.endsWith('.ts')
  const main = fileURLToPath(new URL(isSource ? './main.ts' : './main.js', import.meta.url))
  return { command: process.execPath, args: [...(isSource ? ['--conditions=cairn-src'] : []), main] }
}

async function untilReady(
  k: number,
  home: string,
  child: ChildProcess,
  signal: AbortSignal | undefined
): Promise<ClusterNode> {
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, by) =>
      resolve(by === null ? `it ended with code ${code}` : `it ended by ${by}`)
    )
  })
  let end: string | undefined
  ended.then((why) => {
    end = why
  })
  const node = await until<ClusterNode | 'ended'>(
    async () => {
      if (end !== undefined) return 'ended'
      const found = await readNode(k, home)
      return found?.pid === child.pid ? found : undefined
    },
    { limitMs: READY_LIMIT_MS, signal }
  ).catch((error) => {
    child.kill('SIGTERM')
    throw error
  })
  if (node !== undefined && node !== 'ended') return node
  child.kill('SIGKILL')
  const why = end ?? `it did not answer within ${READY_LIMIT_MS / 1_000} s`
  throw new CairnError('INTERNAL', `node ${k} did not start: ${why}\n${await logTail(home)}`, {
    hint: `see ${logPath(home)}`
  })
}

async function logTail(home: string): Promise<string> {
  const log = await readFile(logPath(home), 'utf8').catch(() => '')
  return log.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
}

/** The port if nobody listens on it, else 0: let the system choose. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(0))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)))
  })
}
