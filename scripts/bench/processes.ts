/** Child processes of a benchmark, and what they cost: CPU and peak memory as Linux counts them. */
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

/** Starts one node more, in a directory of its own, in the network of those that run. */
export async function addNode(nodes: Running<NodeSaid>[], directory: string): Promise<void> {
  const invite = nodes[0]?.said.invite ?? ''
  nodes.push(await start<NodeSaid>('node-process.ts', [join(directory, `${nodes.length}`), invite]))
}

/** For members to be found, or found dead. */
const MEET_MS = 60_000

/** Waits until a node sees so many alive. */
export async function allAlive({ said }: Running<NodeSaid>, count: number): Promise<void> {
  const client = createClient(said)
  await eventually('all are alive', MEET_MS, async () =>
    (await client.status()).alive === count ? true : undefined
  )
}

/** Starts a script of this directory; resolves with the line of JSON that it says. */
export async function start<T>(script: string, args: readonly string[], flags: readonly string[] = []) {
  const path = fileURLToPath(new URL(script, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, ...flags, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit']
  })
  return { ...meterOf(child), said: await lineOf<T>(child, script) } satisfies Running<T>
}

function meterOf(child: ChildProcess) {
  return {
    cpuSeconds: () => cpuSecondsOf(child.pid as number),
    peakMiB: () => peakMiBOf(child.pid as number),
    signal: (name: NodeJS.Signals) => void child.kill(name),
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
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}

export function peakMiBOf(pid: number): number {
  const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}
