/**
 * Garage: three nodes of one zone, three replicas; objects are put to and got from the first by its S3
 * interface, each file one object, many of them 16 at a time. A put is answered once two of the three have
 * it.
 *
 * NOTE: written from its documentation and source (1.0 to 2.x), and never run: no machine of ours had it.
 */
import { randomBytes } from 'node:crypto'
import { openAsBlob, statSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Round } from '../peers.ts'
import { type Daemon, freePorts, run, startDaemon, timed, until } from './daemons.ts'
import { ask, type Bucket, REGION } from './s3.ts'

const AT_ONCE = 16
/** Of a node's id by `garage status`. */
const SHOWN_CHARACTERS = 16
/** Of bucket and key. */
const NAME = 'bench'

interface GarageNode extends Daemon {
  /** Of its S3 interface, an origin. */
  url: string
  garage(...args: string[]): Promise<string>
}

/** `synced`: data and metadata, which it does not do by default. */
export async function measureGarage(round: Round, synced: boolean): Promise<void> {
  const { directory, source, record } = round
  const nodes: GarageNode[] = []
  const secret = randomBytes(32).toString('hex')
  try {
    for (const name of ['0', '1', '2']) nodes.push(await startNode(join(directory, name), secret, synced))
    const bucket = await makeBucket(nodes)
    const paths = statSync(source.path).isDirectory()
      ? (await readdir(source.path)).map((name) => join(source.path, name))
      : [source.path]
    const put = await timed(nodes, () => forEach(paths, (path) => putFile(bucket, path)))
    record('put on three', put.cost)
    let bytes = 0
    const got = await timed(nodes, () =>
      forEach(paths, async (path) => {
        const { body } = await ask(bucket, 'GET', basename(path))
        for await (const piece of body ?? []) bytes += piece.length
      })
    )
    if (bytes !== source.bytes) throw new Error(`${bytes} bytes of ${source.bytes}`)
    record('get', got.cost)
  } finally {
    for (const node of nodes) await node.end()
  }
}

async function putFile(bucket: Bucket, path: string): Promise<void> {
  // read to its end, or its connection is not used again
  await (await ask(bucket, 'PUT', basename(path), await openAsBlob(path))).arrayBuffer()
}

async function forEach(paths: readonly string[], act: (path: string) => Promise<void>): Promise<void> {
  const left = paths.values()
  const takeAll = async () => {
    for (const path of left) await act(path)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, takeAll))
}

async function startNode(home: string, secret: string, synced: boolean): Promise<GarageNode> {
  const [rpc, s3] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`) as [string, string]
  const config = join(home, 'garage.toml')
  await mkdir(home)
  await writeFile(
    config,
    `metadata_dir = ${JSON.stringify(join(home, 'meta'))}
data_dir = ${JSON.stringify(join(home, 'data'))}
db_engine = "lmdb"
metadata_fsync = ${synced}
data_fsync = ${synced}
replication_factor = 3
rpc_bind_addr = "${rpc}"
rpc_public_addr = "${rpc}"
rpc_secret = "${secret}"

[s3_api]
s3_region = "${REGION}"
api_bind_addr = "${s3}"
`
  )
  // it tells of each request otherwise
  const daemon = await startDaemon('garage', ['-c', config, 'server'], { RUST_LOG: 'garage=warn' })
  daemon.stdout.resume()
  const garage = (...args: string[]) => run('garage', ['-c', config, ...args])
  return { ...daemon, garage, url: `http://${s3}` }
}

/** Makes the three one cluster with a layout, and in it a bucket with a key that takes objects. */
async function makeBucket(nodes: readonly GarageNode[]): Promise<Bucket> {
  const { garage, url } = nodes[0] as GarageNode
  for (const node of nodes) await until('Garage answers', async () => (await node.garage('status')) !== '')
  const addresses = await Promise.all(nodes.map((node) => node.garage('node', 'id', '-q')))
  const ids = addresses.map((address) => address.split('@')[0] as string)
  for (const address of addresses.slice(1)) await garage('node', 'connect', address)
  for (const node of nodes) {
    await until('all nodes see each other', async () => {
      const said = await node.garage('status')
      return ids.every((id) => said.includes(id.slice(0, SHOWN_CHARACTERS)))
    })
  }
  for (const id of ids) await garage('layout', 'assign', id, '-z', 'dc1', '-c', '100G')
  await garage('layout', 'apply', '--version', '1')
  await garage('bucket', 'create', NAME)
  const said = await garage('key', 'create', NAME)
  const [id = ''] = /\bGK[0-9a-f]+/.exec(said) ?? []
  const [secret = ''] = /\b[0-9a-f]{64}\b/.exec(said) ?? []
  await garage('bucket', 'allow', '--read', '--write', NAME, '--key', id)
  const bucket = { url: `${url}/${NAME}`, id, secret }
  await until('the bucket takes objects', async () => (await ask(bucket, 'PUT', 'first', new Blob(['x']))).ok)
  return bucket
}
