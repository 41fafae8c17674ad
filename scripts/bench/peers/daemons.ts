/**
 * What drivers of other systems share: daemons, waiting until they are ready, and what work costs in all
 * processes that take part: daemons, commands that ended meanwhile, and this one where it is the client.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { eventually } from '../../../test/support/eventually.ts'
import { cpuSecondsOf, endedCpuSeconds, peakMiBOf } from '../processes.ts'

/** For all that one process of a peer does in a round. */
export const LIMIT_MS = 600_000
/** For daemons to start and to find each other. */
const READY_MS = 120_000
/** After it a daemon that was asked to end is killed. */
const END_MS = 20_000

const execute = promisify(execFile)

export interface Daemon {
  pid: number
  /** To be read, or at least resumed. */
  stdout: Readable
  end(): Promise<void>
}

/** Runs a command to its end; what it said. */
export async function run(command: string, args: readonly string[], env: object = {}): Promise<string> {
  const options = { env: { ...process.env, ...env }, timeout: LIMIT_MS }
  return (await execute(command, args, options)).stdout.trim()
}

export async function startDaemon(command: string, args: readonly string[], env: object): Promise<Daemon> {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: [...stdio] })
  await once(child, 'spawn') // or it throws why not
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS)
    child.kill()
    await ended
    clearTimeout(late)
  }
  return { pid: child.pid as number, stdout: child.stdout as Readable, end }
}

/** Asks again and again until the answer is yes; an error is a no, and told when the time is up. */
export async function until(what: string, ask: () => Promise<boolean>, limitMs = READY_MS): Promise<void> {
  await eventually(what, limitMs, async (tell) => {
    try {
      return (await ask()) ? true : undefined
    } catch (error) {
      tell((error as Error).message)
      return undefined
    }
  })
}

export async function timed<T>(daemons: readonly Daemon[], work: () => Promise<T>) {
  const [before, startedMs] = [cpuSecondsWith(daemons), performance.now()]
  const said = await work()
  const seconds = (performance.now() - startedMs) / 1000
  const cpuSeconds = cpuSecondsWith(daemons) - before
  const peakMiB = Math.max(...daemons.map(({ pid }) => peakMiBOf(pid)))
  return { said, cost: { seconds, cpuSeconds, peakMiB } }
}

function cpuSecondsWith(daemons: readonly Daemon[]): number {
  const { user, system } = process.cpuUsage()
  const here = (user + system) / 1e6 + endedCpuSeconds()
  return daemons.reduce((sum, { pid }) => sum + cpuSecondsOf(pid), here)
}

/** TCP ports of the loopback interface that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const listening = Array.from({ length: count }, async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  })
  const servers = await Promise.all(listening)
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  for (const server of servers) {
    const closed = once(server, 'close')
    server.close()
    await closed
  }
  return ports
}
