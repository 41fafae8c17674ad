/**
 * Others of the field, measured beside Cairn in the same run: Helia, from a workspace of its own, and what
 * is found on PATH. Each adds to one node and reads that from a second, which has nothing; those that keep
 * copies put on three. What a driver throws is told beside the table, and it is left out from then on.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { measureCluster } from './peers/cluster.ts'
import { LIMIT_MS } from './peers/daemons.ts'
import { measureGarage } from './peers/garage.ts'
import { measureKubo } from './peers/kubo.ts'
import { cpuSecondsOf, endedCpuSeconds, peakMiBOf, start } from './processes.ts'
import type { Sample } from './table.ts'

const HELIA = fileURLToPath(new URL('helia', import.meta.url))
const run = promisify(execFile)

/** What is put: a file or a directory. */
export interface Source {
  name: string
  path: string
  bytes: number
}

export interface Round {
  /** Empty, of its own, removed afterwards. */
  directory: string
  source: Source
  record(stage: 'put on three' | 'add to one' | 'get', cost: Omit<Sample, 'stage' | 'who' | 'bytes'>): void
}

export interface Peer {
  name: string
  measure(round: Round): Promise<void>
}

/** What each driver needs on PATH. */
const ON_PATH: readonly [needs: string[], drivers: Peer[]][] = [
  [['ipfs'], [{ name: 'Kubo', measure: measureKubo }]],
  [['ipfs-cluster-service', 'ipfs-cluster-ctl', 'ipfs'], [{ name: 'IPFS Cluster', measure: measureCluster }]],
  [
    ['garage'],
    [
      { name: 'Garage', measure: (round) => measureGarage(round, false) },
      { name: 'Garage, synced', measure: (round) => measureGarage(round, true) }
    ]
  ],
  [['sendme'], [{ name: 'sendme', measure: measureSendme }]]
]

/** Those that can be measured, and a line about each that can't. */
export function findPeers(): { peers: Peer[]; notes: string[] } {
  const peers: Peer[] = []
  const notes: string[] = []
  const missing = installHelia()
  if (missing === undefined) peers.push({ name: 'Helia', measure: measureHelia })
  else notes.push(`Helia: can't be installed: ${missing}`)
  for (const [needs, drivers] of ON_PATH) {
    const absent = needs.filter((name) => !onPath(name))
    if (absent.length === 0) peers.push(...drivers)
    else notes.push(`${absent.join(', ')}: not found on PATH`)
  }
  return { peers, notes }
}

function onPath(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK)
      return true
    } catch {
      return false // not there is the answer
    }
  })
}

/** Why it is not there; undefined once it is. */
function installHelia(): string | undefined {
  if (existsSync(join(HELIA, 'node_modules', 'helia'))) return undefined
  try {
    const args = ['ci', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
    execFileSync('npm', args, { cwd: HELIA, stdio: ['ignore', 2, 2] })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

interface HeliaSaid {
  address: string
  cid: string
  bytes: number
  seconds: number
  cpuSeconds: number
}

async function measureHelia({ directory, source, record }: Round): Promise<void> {
  const act = (...args: string[]) => start<HeliaSaid>('helia/peer.mjs', args, { timeout: LIMIT_MS })
  const adds = await act('add', join(directory, 'a'), source.path)
  try {
    const { seconds, cpuSeconds, address, cid } = adds.said
    record('add to one', { seconds, cpuSeconds, peakMiB: adds.peakMiB() })
    const before = adds.cpuSeconds()
    const gets = await act('get', join(directory, 'b'), address, cid)
    const { said } = gets
    const peakMiB = Math.max(adds.peakMiB(), gets.peakMiB())
    await gets.end()
    if (said.bytes !== source.bytes) throw new Error(`${said.bytes} bytes of ${source.bytes}`)
    const served = adds.cpuSeconds() - before
    record('get', { seconds: said.seconds, cpuSeconds: said.cpuSeconds + served, peakMiB })
  } finally {
    await adds.end()
  }
}

/** NOTE: written from sendme's own description, and never run: no machine of ours had it. */
async function measureSendme({ directory, source, record }: Round): Promise<void> {
  const [from, to] = [join(directory, 'a'), join(directory, 'b')]
  for (const path of [from, to]) mkdirSync(path)
  const startedMs = performance.now()
  const sender = spawn('sendme', ['send', source.path], { cwd: from, stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = sender.pid as number
  try {
    const ticket = await ticketOf(createInterface({ input: sender.stdout }))
    sender.stdout.resume()
    const took = { seconds: (performance.now() - startedMs) / 1000, cpuSeconds: cpuSecondsOf(pid) }
    record('add to one', { ...took, peakMiB: peakMiBOf(pid) })
    const before = cpuSecondsOf(pid) + endedCpuSeconds()
    const fromMs = performance.now()
    await run('sendme', ['receive', ticket], { cwd: to, timeout: LIMIT_MS })
    const seconds = (performance.now() - fromMs) / 1000
    const cpuSeconds = cpuSecondsOf(pid) + endedCpuSeconds() - before
    record('get', { seconds, cpuSeconds, peakMiB: peakMiBOf(pid) })
  } finally {
    const ended = once(sender, 'exit')
    if (sender.kill('SIGINT')) await ended
  }
}

/** What it says to give to who receives. */
async function ticketOf(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) {
    const [, ticket] = /sendme receive (\S+)/.exec(line) ?? []
    if (ticket !== undefined) return ticket
  }
  throw new Error('sendme ended without a ticket')
}
