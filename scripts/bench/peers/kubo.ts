/**
 * Kubo: adds to one daemon, and a second that is connected to it alone gets over Bitswap.
 *
 * NOTE: written from Kubo's documentation, and never run: no machine of ours had it.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Round } from '../peers.ts'
import { type Daemon, run, startDaemon, timed } from './daemons.ts'

export interface Kubo extends Daemon {
  ipfs(...args: string[]): Promise<string>
  /** Where its API listens, a multiaddr. */
  api: string
}

export async function measureKubo({ directory, source, record }: Round): Promise<void> {
  const daemons: Kubo[] = []
  try {
    const adds = await startKubo(join(directory, 'a'))
    daemons.push(adds)
    const gets = await startKubo(join(directory, 'b'))
    daemons.push(gets)
    // of the options the ones that give Cairn's CIDs
    const options = ['--quieter', '--recursive', '--cid-version=1', '--raw-leaves', '--chunker=size-1048576']
    const added = await timed(daemons, () => adds.ipfs('add', ...options, source.path))
    record('add to one', added.cost)
    await connect(gets, adds)
    const got = await timed(daemons, () => gets.ipfs('get', '--output', join(directory, 'got'), added.said))
    record('get', got.cost)
  } finally {
    for (const daemon of daemons) await daemon.end()
  }
}

/** A daemon with a new repository, that knows nobody and listens on the loopback interface alone. */
export async function startKubo(home: string): Promise<Kubo> {
  const env = { IPFS_PATH: home }
  const ipfs = (...args: string[]) => run('ipfs', args, env)
  await ipfs('init', '--profile=test')
  const daemon = await startDaemon('ipfs', ['daemon', '--routing=none'], env)
  try {
    await readyLine(daemon.stdout)
    daemon.stdout.resume()
    return { ...daemon, ipfs, api: (await readFile(join(home, 'api'), 'utf8')).trim() }
  } catch (error) {
    await daemon.end()
    throw error
  }
}

async function readyLine(stdout: Readable): Promise<void> {
  for await (const line of createInterface({ input: stdout })) if (line.includes('Daemon is ready')) return
  throw new Error('the daemon of Kubo ended before it was ready')
}

export async function connect(from: Kubo, to: Kubo): Promise<void> {
  const [address = ''] = (await to.ipfs('id', '--format=<addrs>')).split('\n')
  await from.ipfs('swarm', 'connect', address)
}
