/**
 * Real nodes for tests: `cairn start` in a process and a home of its own each, told what they say, ended
 * whatever the test does. A node's port is kept over a restart, so that a client's urls stay true.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type Client, type ClientOptions, createClient } from '@cairn/client'
import { ROOT } from '../structure/tree.ts'
import { eventually } from './eventually.ts'

/** A node answers in 1 s on an idle machine; a joiner gives up after 10 s. */
export const READY_MS = 90_000
/** A node's own clean stop has 15 s. */
const STOP_MS = 30_000
/** For members to have met, and for a change to reach all. A second or two on an idle machine. */
export const MEET_MS = 60_000
/** Of what a node said, kept for the message of a test that fails. */
const SAID_LINES = 400
const SHOWN_LINES = 15

const MAIN = join(ROOT, 'packages', 'cli', 'src', 'main.ts')

/** A line of a node's `--json` output. */
export type Said = Record<string, unknown>

export interface StartOptions {
  /** An invite or an address; without it, the node makes a network or returns to its own. */
  join?: string
  /** Further flags of `cairn start`. */
  flags?: readonly string[]
  /** The network namespace to run in. */
  netns?: string
  /** Before the command: `faketime …`. */
  before?: readonly string[]
}

export interface Node {
  readonly home: string
  readonly id: string
  readonly name: string
  readonly url: string
  readonly token: string
  readonly addresses: readonly string[]
  readonly pid: number
  readonly options: StartOptions
  /** What it told since its start, oldest first. */
  readonly said: Said[]
  /** Resolves with the exit code, or the signal, once the process is gone. */
  readonly ended: Promise<number | NodeJS.Signals>
  alive(): boolean
}

export interface Ended {
  exit: number | NodeJS.Signals
  stdout: string
  stderr: string
}

/** How to run the command: from its source, by the Node that runs the test. */
function command(args: readonly string[], { netns, before = [] }: StartOptions): string[] {
  const node = [process.execPath, '--conditions=cairn-src']
  const plain = [...before, ...node, MAIN, ...args]
  return netns === undefined ? plain : ['ip', 'netns', 'exec', netns, ...plain]
}

function cleanEnv(extra: Record<string, string>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(CAIRN_|FORCE_COLOR)/.test(name))
  return { ...Object.fromEntries(kept), ...extra }
}

/** Runs a command to its end, with nothing of the tester's own settings. */
export async function cairn(
  args: readonly string[],
  options: { netns?: string; env?: Record<string, string>; stdin?: string | Uint8Array } = {}
): Promise<Ended> {
  const [program = '', ...rest] = command(args, options)
  const child = spawn(program, rest, { env: cleanEnv(options.env ?? {}) })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => {}) // a command that refuses its arguments never reads it
  child.stdin.end(options.stdin)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString()
  return { exit: code ?? signal ?? 'SIGKILL', stdout: text(stdout), stderr: text(stderr) }
}

/** The last line of `--json` output, which tells the result or the error. */
export function lastJson(text: string): Said {
  const line = text.trimEnd().split('\n').at(-1) ?? ''
  try {
    return JSON.parse(line) as Said
  } catch {
    throw new Error(`not a line of JSON: ${line || '(nothing was said)'}`)
  }
}

type Child = ChildProcessByStdio<null, Readable, Readable>

/** Starts a node and waits until it answers. @throws Error with what it said when it does not */
async function start(home: string, options: StartOptions, started: (child: Child) => void): Promise<Node> {
  const flags = ['--home', home, '--json', '--while-pid', String(process.pid), ...(options.flags ?? [])]
  if (!flags.includes('--port')) flags.push('--port', '0')
  const [program = '', ...rest] = command(['start', ...flags], options)
  const child = spawn(program, rest, {
    env: cleanEnv(options.join === undefined ? {} : { CAIRN_JOIN: options.join }),
    stdio: ['ignore', 'pipe', 'pipe']
  })
  started(child)
  const said: Said[] = []
  const heard = hear(child, said)
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
  })
  let end: number | NodeJS.Signals | undefined
  ended.then((why) => {
    end = why
  })
  const ready = await eventually(`the node of ${home} answers`, READY_MS, () => {
    if (end !== undefined) throw new Error(`the node ended by ${end}:\n${lastOf(heard)}`)
    return said.find(({ event }) => event === 'ready')
  }).catch((error: Error) => {
    child.kill('SIGKILL')
    throw new Error(`${error.message}\n${lastOf(heard)}`, { cause: error })
  })
  const token = (await readFile(join(home, 'token'), 'utf8')).trim()
  const { id, name, url, addresses } = ready as { id: string; name: string; url: string; addresses: string[] }
  const pid = child.pid as number
  return { home, id, name, url, token, addresses, pid, options, said, ended, alive: () => end === undefined }
}

/** Gathers what a node says: its events as JSON, and every line as it is. */
function hear({ stdout, stderr }: Child, said: Said[]): string[] {
  const lines: string[] = []
  const take = (line: string, isJson: boolean): void => {
    lines.push(line)
    if (lines.length > SAID_LINES) lines.shift()
    if (isJson) said.push(JSON.parse(line) as Said)
  }
  for (const [stream, isJson] of [[stdout, true] as const, [stderr, false] as const]) {
    let rest = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) take(part, isJson)
    })
  }
  return lines
}

const lastOf = (lines: readonly string[]): string => lines.slice(-SHOWN_LINES).join('\n')

/** The nodes of one test, in a directory of its own. */
export interface World {
  readonly folder: string
  /** All that run. */
  nodes(): Node[]
  /** Starts a node in `folder/NAME`. */
  start(name: string, options?: StartOptions): Promise<Node>
  /** Starts it again where it was: the same home and, for its interface, the same port. */
  restart(node: Node, options?: StartOptions): Promise<Node>
  /** A private network of n nodes that have all met. */
  network(n: number, options?: StartOptions): Promise<Node[]>
}

/** Runs a test's body with nodes; none of them, and nothing of the directory, is left. */
export function withNodes(body: (world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-nodes-'))
    const children: Child[] = []
    const running: Node[] = []
    const begin = async (home: string, options: StartOptions): Promise<Node> => {
      const node = await start(home, options, (child) => children.push(child))
      running.push(node)
      return node
    }
    const world: World = {
      folder,
      nodes: () => running.filter((node) => node.alive()),
      start: (name, options = {}) => begin(join(folder, name), options),
      restart: (node, options = node.options) => {
        const { join: _join, flags = [], ...rest } = options
        return begin(node.home, { ...rest, flags: [...flags, '--port', new URL(node.url).port] })
      },
      network: (n, options = {}) => startNetwork(world, n, options)
    }
    try {
      await body(world)
    } finally {
      await Promise.all(children.map(killChild))
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

async function startNetwork(world: World, n: number, options: StartOptions): Promise<Node[]> {
  const first = await world.start('n1', options)
  const invite = await clientOf([first]).invite()
  const rest = Array.from({ length: n - 1 }, (_, i) => world.start(`n${i + 2}`, { ...options, join: invite }))
  const nodes = [first, ...(await Promise.all(rest))]
  await met(nodes)
  return nodes
}

async function killChild(child: Child): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** A client of these nodes, in this order, and of no other: what they can't give it does not get. */
export function clientOf(nodes: readonly Node[], options: ClientOptions = {}): Client {
  const urls = nodes.map(({ url, token }) => ({ url, token }))
  return createClient({ urls, direct: false, ...options })
}

/** Until each of the nodes sees all of them alive, and nobody else. */
export async function met(nodes: readonly Node[], limitMs = MEET_MS): Promise<void> {
  await eventually(`all ${nodes.length} nodes see ${nodes.length} alive`, limitMs, async (tell) => {
    const seen = await Promise.all(nodes.map(async (node) => (await clientOf([node]).status()).alive))
    tell(`alive as each sees it: ${seen.join(', ')}`)
    return seen.every((alive) => alive === nodes.length) ? true : undefined
  })
}

/** Until no node knows of a block with fewer than N copies, and each has heard all others of it. */
export async function healed(nodes: readonly Node[], limitMs: number): Promise<void> {
  await eventually('no block is below N copies', limitMs, async (tell) => {
    const seen = await Promise.all(nodes.map((node) => clientOf([node]).status()))
    const below = seen.map(({ byCopies, wanted }) => byCopies.slice(0, wanted).reduce((sum, n) => sum + n, 0))
    tell(`blocks below N as each sees it: ${below.join(', ')}; ${seen[0]?.reason}`)
    const heardAll = seen.every(({ reason }) => !reason.includes('no answer from'))
    const whole = seen.every(({ verdict }, i) => verdict === 'healthy' && below[i] === 0)
    return heardAll && whole ? true : undefined
  })
}

export function signal(nodes: readonly Node[], name: NodeJS.Signals): void {
  for (const { pid } of nodes) process.kill(pid, name)
}

/** Ends nodes as a crash would, all at once. */
export async function kill(nodes: readonly Node[]): Promise<void> {
  signal(nodes, 'SIGKILL')
  await Promise.all(nodes.map(({ ended }) => ended))
}

/** Ends nodes cleanly, all at once. @throws Error when one does not end with 0, in time */
export async function stop(nodes: readonly Node[]): Promise<void> {
  signal(nodes, 'SIGTERM')
  await eventually('the nodes stop', STOP_MS, () => (nodes.some((node) => node.alive()) ? undefined : true))
  for (const node of nodes) {
    const code = await node.ended
    if (code !== 0 && code !== 143) throw new Error(`${node.name} stopped with ${code}`)
  }
}
