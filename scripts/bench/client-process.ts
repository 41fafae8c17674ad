/**
 * A client of its own process for benchmarks: one `put PATH` (without digests), `put-digests PATH` (with
 * those that it makes by default), `get CID` or `get-through CID` (all of it from the node that it is given),
 * timed, told in one line.
 */
import { statSync } from 'node:fs'
import { walkPath } from '@cairn/blocks/fs'
import { createClient } from '@cairn/client'

const [url = '', token = '', verb = '', what = ''] = process.argv.slice(2)
const client = createClient({ url, token, direct: verb !== 'get-through' })
const [startedMs, before] = [performance.now(), process.cpuUsage()]
const done = verb.startsWith('get') ? await get(what) : await put(what, verb === 'put' ? { digests: [] } : {})
const seconds = (performance.now() - startedMs) / 1000
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ ...done, seconds, cpuSeconds: (user + system) / 1e6 }))
process.stdin.destroy()

async function put(path: string, options: { digests?: [] }) {
  const { cid, size, replicas } = await client.putDir(walkPath(path, { reuse: true }), options)
  return { cid: `${cid}`, bytes: statSync(path).isDirectory() ? size : statSync(path).size, replicas }
}

async function get(cid: string) {
  let bytes = 0
  for await (const entry of client.getTree(cid)) {
    if (entry.type !== 'file') continue
    for await (const piece of entry.content) bytes += piece.length
  }
  return { bytes }
}
