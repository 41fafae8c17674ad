/**
 * Helia in a process of its own, which keeps blocks in files, as blockstore-fs does (it does not sync):
 * `add DIRECTORY PATH` adds a file or a directory and serves it over Bitswap, `get DIRECTORY ADDRESS CID`
 * reads all of it from there. Says what it took in one line, and ends when its stdin does. It knows nobody
 * but whom it is told: the default node would dial public ones.
 */
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { FsBlockstore } from 'blockstore-fs'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

/** Files asked for at once: one after the other would measure round trips. As many as in `small-gets`. */
const AT_ONCE = 16
const PROFILE = { profile: 'unixfs-v1-2025' }

const [verb, directory, ...about] = process.argv.slice(2)
const blockstore = new FsBlockstore(directory)
await blockstore.open()
const libp2p = {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() }
}
const helia = await withBitswap(withLibp2pLight(createHeliaLight({ blockstore }), libp2p)).start()
const files = unixfs(helia)
const [act, ...rest] = verb === 'add' ? [add, about[0]] : [get, about[1]]
if (verb === 'get') await helia.libp2p.dial(multiaddr(about[0]))

const before = process.cpuUsage()
const startedMs = performance.now()
const done = await act(...rest)
const seconds = (performance.now() - startedMs) / 1000
const { user, system } = process.cpuUsage(before)
const address = `${helia.libp2p.getMultiaddrs()[0]}`
console.log(JSON.stringify({ ...done, address, seconds, cpuSeconds: (user + system) / 1e6 }))
process.stdin.resume().once('end', async () => {
  await helia.stop()
  process.exit()
})

async function add(path) {
  if (!(await stat(path)).isDirectory())
    return { cid: `${await files.addByteStream(createReadStream(path), PROFILE)}` }
  const entries = async function* () {
    for (const name of await readdir(path)) yield { path: name, content: createReadStream(join(path, name)) }
  }
  let cid
  for await (const entry of files.addAll(entries(), { ...PROFILE, wrapWithDirectory: true })) cid = entry.cid
  return { cid: `${cid}` }
}

async function get(text) {
  const cid = CID.parse(text)
  let bytes = 0
  const read = async (one) => {
    for await (const piece of files.cat(one)) bytes += piece.length
  }
  if ((await files.stat(cid)).type !== 'directory') {
    await read(cid)
    return { bytes }
  }
  const entries = files.ls(cid)
  const one = async () => {
    for (let next = await entries.next(); !next.done; next = await entries.next()) await read(next.value.cid)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  return { bytes }
}
