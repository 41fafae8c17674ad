/**
 * Other blockstores, measured as Cairn's is by the benchmark `store`, one line of JSON:
 * `fs|level SIZE COUNT WRITERS DIRECTORY`. blockstore-fs acknowledges before anything is synced: here a
 * sync of the file and of its directory is added. blockstore-level is left as it is: it does not sync.
 * Neither verifies.
 */
import { open, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FsBlockstore } from 'blockstore-fs'
import { LevelBlockstore } from 'blockstore-level'
import { CID } from 'multiformats/cid'
import { decode } from 'multiformats/hashes/digest'
import { measureStore, pooled } from '../../scripts/bench/store-work.ts'

const [kind, size, count, writers, directory] = process.argv.slice(2)

const cidOf = ({ key }) => CID.createV1(0x55, decode(Buffer.from(key, 'hex')))

async function synced(path) {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function bytesBelow(path) {
  let bytes = 0
  for (const name of await readdir(path, { recursive: true })) {
    const is = await stat(join(path, name)).catch(() => undefined) // LevelDB removes files as it goes
    if (is?.isFile()) bytes += Math.max(is.size, 512 * is.blocks)
  }
  return bytes
}

const store = kind === 'fs' ? new FsBlockstore(directory) : new LevelBlockstore(directory)
await store.open()

async function put(sample) {
  const cid = cidOf(sample)
  await store.put(cid, sample.bytes)
  if (kind !== 'fs') return
  const { dir, file } = store.shardingStrategy.encode(cid)
  const path = join(directory, dir, file)
  await synced(path)
  await synced(dirname(path))
}

async function get(sample) {
  let length = 0
  for await (const piece of store.get(cidOf(sample))) length += piece.length
  if (length !== sample.bytes.length) throw new Error('a block that is too short')
}

const measured = await measureStore(
  {
    put,
    get,
    has: (sample) => store.has(cidOf(sample)),
    async keys() {
      let found = 0
      for await (const _ of store.getAll()) found++
      return found
    },
    delete: (samples) => pooled(samples.length, 16, (i) => store.delete(cidOf(samples[i]))),
    diskBytes: () => bytesBelow(directory)
  },
  { size: Number(size), count: Number(count), writers: Number(writers) }
)
await store.close()
console.log(JSON.stringify(measured))
