/** A process that writes a tree and kills itself after so many blocks: FILE CID TARGET BLOCKS. */
import { readFileSync } from 'node:fs'
import { writeTree } from '../../src/fs.ts'
import { keyOf, parseCid } from '../../src/index.ts'

const [file, cid, target, blocks] = process.argv.slice(2) as [string, string, string, string]
const all = new Map<string, string>(JSON.parse(readFileSync(file, 'utf8')))
let left = Number(blocks)

await writeTree(
  parseCid(cid),
  async (cid) => {
    if (left-- === 0) process.kill(process.pid, 'SIGKILL')
    return Buffer.from(all.get(keyOf(cid)) as string, 'hex')
  },
  target
)
