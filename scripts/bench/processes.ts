/**
 * Child processes of a benchmark, nodes above all, and what they cost: CPU and peak memory as Linux counts
 * them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createClient } from '@cairn/client'
import { eventually } from '../../test/support/eventually.ts'

/** Linux counts CPU time for user space in hundredths of a second on every architecture. */
const TICKS_A_SECOND = 100

export interface Running<T> {
  said: T
  cpuSeconds(): number
  peakMiB(): number
  signal(name: NodeJS.Signals): void
  /** A line on its stdin. */
  tell(line: string): void
  /** Closes its stdin and waits for its end. */
  end(): Promise<void>
  /** Ends it where it stands. */
  kill(): Promise<void>
}

/** What `node-process.ts` says. */
export interface NodeSaid {
  url: string
  token: string
  invite: string
}

/** For members to be found, or found dead. */
const MEET_MS = 60_000

export interface More {
  /** Of the new ones together: each has one of its own below it. */
  directory: string
  count: number
  /** What differs from what `node-process.ts` takes. */
  config?: {
    replicas?: number
    capacity?: number
    repairDelayMs?: number
    probeIntervalMs?: number
    probeTimeoutMs?: number
  }
}

/** Starts so many nodes more in the network of those that run; returns the first of all once it sees all. */
export async function addNodes(
  nodes: Running<NodeSaid>[],
  { directory, count, config = {} }: More
): Promise<Running<NodeSaid>> {
  const at = nodes.length
  const started = (i: number) => {
    const args = [join(directory, `${i}`), nodes[0]?.said.invite ?? '', JSON.stringify(config)]
    return start<NodeSaid>('node-process.ts', args)
  }
  if (at === 0) nodes.push(await started(0)) // the others join it
  const more = Array.from({ length: at + count - nodes.length }, (_, i) => started(nodes.length + i))
  nodes.push(...(await Promise.all(more)))
  const first = nodes[0] as Running<NodeSaid>
  await allAlive(first, nodes.length)
  return first
}

/** Waits until a node sees so many alive. */
export async function allAlive({ said }: Running<NodeSaid>, count: number): Promise<void> {
  const client = createClient(said)
  await eventually('all are alive', MEET_MS, async () =>
    (await client.status()).alive === count ? true : undefined
  )
}

/** Starts a script of this directory; resolves with the line of JSON that it says. */
export async function start<T>(
  script: string,
  args: readonly string[],
  /** For Node, and how long it may live. */
  { flags = [], timeout }: { flags?: readonly string[]; timeout?: number } = {}
) {
  const path = fileURLToPath(new URL(script, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, ...flags, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout
  })
  return { ...meterOf(child), said: await lineOf<T>(child, script) } satisfies Running<T>
}

function meterOf(child: ChildProcess) {
  return {
    cpuSeconds: () => cpuSecondsOf(child.pid as number),
    peakMiB: () => peakMiBOf(child.pid as number),
    signal: (name: NodeJS.Signals) => void child.kill(name),
    tell: (line: string) => void child.stdin?.write(`${line}\n`),
    async end() {
      const ended = child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit')
      child.stdin?.end()
      await ended
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
  }
}

async function lineOf<T>(child: ChildProcess, script: string): Promise<T> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    return JSON.parse(line) as T
  }
  throw new Error(`${script} ended without a word`)
}

export function cpuSecondsOf(pid: number): number {
  const fields = statOf(pid)
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}

/** Of all children of this process that have ended. */
export function endedCpuSeconds(): number {
  const fields = statOf('self')
  return (Number(fields[13]) + Number(fields[14])) / TICKS_A_SECOND
}

function statOf(process: number | 'self'): string[] {
  const stat = readFileSync(`/proc/${process}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

export function peakMiBOf(pid: number): number {
  const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}
