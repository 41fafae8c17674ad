/**
 * IPFS Cluster: three peers, each with a Kubo of its own; `ipfs-cluster-ctl` adds to the first with three
 * replicas. A fourth Kubo, connected to the three, gets over Bitswap.
 *
 * NOTE: written from its documentation and source (1.0 and 1.1), and never run: no machine of ours had it.
 */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Round } from '../peers.ts'
import { type Daemon, freePorts, LIMIT_MS, run, startDaemon, timed, until } from './daemons.ts'
import { connect, type Kubo, startKubo } from './kubo.ts'

const REPLICAS = 3
// the first two give Cairn's CIDs
const OPTIONS = ['--cid-version=1', '--chunker=size-1048576', '--recursive', '--quieter']
const FACTORS = [`--replication-min=${REPLICAS}`, `--replication-max=${REPLICAS}`]

interface ClusterPeer extends Daemon {
  /** Of its libp2p host, with its id. */
  address: string
  ctl(...args: string[]): Promise<string>
}

/** The parts of `service.json` that are changed here. */
interface Config {
  cluster: Record<string, unknown>
  consensus: { crdt: Record<string, unknown> }
  api: { restapi: Record<string, unknown> }
  ipfs_connector: { ipfshttp: Record<string, unknown> }
  allocator: { balanced: Record<string, unknown> }
  informer: { disk: Record<string, unknown> }
}

export async function measureCluster({ directory, source, record }: Round): Promise<void> {
  const daemons: Daemon[] = []
  const secret = randomBytes(32).toString('hex')
  try {
    const kubos: Kubo[] = []
    const peers: ClusterPeer[] = []
    for (let i = 0; i < REPLICAS; i++) {
      const kubo = await startKubo(join(directory, `ipfs-${i}`))
      kubos.push(kubo)
      daemons.push(kubo)
      const about = { secret, api: kubo.api, first: peers[0]?.address }
      const peer = await startPeer(join(directory, `cluster-${i}`), about)
      peers.push(peer)
      daemons.push(peer)
    }
    const { ctl } = peers[0] as ClusterPeer
    await met(ctl)
    const put = await timed(daemons, async () => {
      const said = await ctl('add', ...OPTIONS, ...FACTORS, source.path)
      const cid = said.split('\n').at(-1) as string
      // not by `--wait`, which looks only once a second
      await until(`all pin ${cid}`, async () => allIn(await ctl('status', cid), /: PINNED\b/g), LIMIT_MS)
      return cid
    })
    record('put on three', put.cost)
    const reader = await startKubo(join(directory, 'reader'))
    daemons.push(reader)
    for (const kubo of kubos) await connect(reader, kubo)
    const got = await timed(daemons, () => reader.ipfs('get', '--output', join(directory, 'got'), put.said))
    record('get', got.cost)
  } finally {
    for (const daemon of daemons.toReversed()) await daemon.end()
  }
}

/** Nobody can be allocated a block who has not told how much space is free. */
async function met(ctl: ClusterPeer['ctl']): Promise<void> {
  await until('the peers see each other', async () => allIn(await ctl('peers', 'ls'), /Sees 2 other peers/g))
  const told = () => ctl('health', 'metrics', 'freespace')
  await until('all tell their free space', async () => allIn(await told(), /\bfreespace\b/g))
}

/** Whether it says so of each peer. */
function allIn(text: string, pattern: RegExp): boolean {
  return (text.match(pattern) ?? []).length >= REPLICAS
}

interface About {
  secret: string
  /** Of its Kubo. */
  api: string
  /** Whom it joins. */
  first: string | undefined
}

async function startPeer(home: string, { secret, api, first }: About): Promise<ClusterPeer> {
  const env = { CLUSTER_SECRET: secret }
  await run('ipfs-cluster-service', ['--config', home, 'init'], env)
  const [swarm, rest] = (await freePorts(2)).map((port) => `/ip4/127.0.0.1/tcp/${port}`) as [string, string]
  const path = join(home, 'service.json')
  const config = JSON.parse(await readFile(path, 'utf8')) as Config
  // no mDNS: others may run here; told sooner than by default, or each round waits for half a minute
  const soon = { mdns_interval: '0s', monitor_ping_interval: '2s' }
  Object.assign(config.cluster, { listen_multiaddress: [swarm], ...soon })
  config.consensus.crdt.trusted_peers = ['*']
  // without the sections of its other two interfaces it does not open their ports
  config.api = { restapi: { ...config.api.restapi, http_listen_multiaddress: rest } }
  config.ipfs_connector.ipfshttp.node_multiaddress = api
  config.allocator.balanced.allocate_by = ['freespace']
  config.informer.disk.metric_ttl = '10s'
  await writeFile(path, JSON.stringify(config))
  const { id } = JSON.parse(await readFile(join(home, 'identity.json'), 'utf8')) as { id: string }
  const args = ['--config', home, '--loglevel', 'error', 'daemon']
  if (first !== undefined) args.push('--bootstrap', first)
  const daemon = await startDaemon('ipfs-cluster-service', args, env)
  daemon.stdout.resume()
  const ctl = (...more: string[]) => run('ipfs-cluster-ctl', ['--host', rest, ...more])
  return { ...daemon, ctl, address: `${swarm}/p2p/${id}` }
}
