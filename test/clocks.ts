/**
 * Five real nodes whose clocks do not agree: one a day ahead, one a day behind, and one that jumps two days
 * ahead and back while a file is put through it. Nobody is taken for dead, and nothing acknowledged is lost.
 * The clock of people jumps; the monotonic one never does, as on a machine whose time is set.
 */
// limit: 120 s
// beside others
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from './support/eventually.ts'
import { clientOf, healed, MEET_MS, met, type Node, type World, withNodes } from './support/nodes.ts'

const HOUR_MS = 3_600_000
const FILE_BYTES = 3_000_000
/** For a node to show the time that it was given: at once, but for a machine that is busy. */
const SEEN_MS = 30_000

/** Of Debian and its kin, for any processor. */
async function faketime(): Promise<string | undefined> {
  const folders = await readdir('/usr/lib').catch(() => [])
  const paths = folders.map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  return paths.find((path) => existsSync(path))
}

/** How far a node's clock is ahead of ours, in hours, by what it tells with each answer. */
async function hoursAhead({ url }: Node): Promise<number> {
  const { headers } = await fetch(url)
  return Math.round((Date.parse(headers.get('date') ?? '') - Date.now()) / HOUR_MS)
}

async function setClock(world: World, name: string, hours: number): Promise<void> {
  await writeFile(join(world.folder, `${name}.clock`), `${hours < 0 ? '' : '+'}${hours}h\n`)
}

/** The first has the machine's own clock; what jumps later has a file of its own, too. */
async function startAll(world: World, library: string, hours: readonly number[]): Promise<Node[]> {
  const first = await world.start('n1')
  const invite = await clientOf([first]).invite()
  const start = async (ahead: number, i: number): Promise<Node> => {
    const name = `n${i + 2}`
    await setClock(world, name, ahead)
    const file = join(world.folder, `${name}.clock`)
    const clock = [`LD_PRELOAD=${library}`, `FAKETIME_TIMESTAMP_FILE=${file}`, 'FAKETIME_NO_CACHE=1']
    // its name in versions of the library, older and newer
    const monotonic = ['DONT_FAKE_MONOTONIC=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1']
    return await world.start(name, { join: invite, before: ['env', ...clock, ...monotonic] })
  }
  const nodes = [first, ...(await Promise.all(hours.map(start)))]
  await met(nodes)
  return nodes
}

/** Puts a file through a node whose clock jumps there and back meanwhile. */
async function putAcross(world: World, node: Node, hours: number): Promise<{ cid: CID; bytes: Buffer }> {
  const bytes = randomBytes(FILE_BYTES)
  const jump = async (to: number) => {
    await setClock(world, 'n4', to)
    const shows = async () => ((await hoursAhead(node)) === to ? true : undefined)
    await eventually(`its clock is ${to} hours ahead`, SEEN_MS, shows)
  }
  async function* parts() {
    yield bytes.subarray(0, FILE_BYTES / 3)
    await jump(hours)
    yield bytes.subarray(FILE_BYTES / 3, (2 * FILE_BYTES) / 3)
    await jump(0)
    yield bytes.subarray((2 * FILE_BYTES) / 3)
  }
  const { cid, replicas } = await clientOf([node]).put(parts(), { digests: [] })
  assert.is(replicas, 3)
  return { cid, bytes }
}

const clocks = suite('clocks')

clocks(
  'nodes whose clocks are days apart, and jump, lose nothing and nobody',
  withNodes(async (world) => {
    const library = await faketime()
    if (library === undefined) {
      console.log('SKIPPED: there is no libfaketime')
      return
    }
    const nodes = await startAll(world, library, [24, -24, 0, 0])
    assert.equal(await Promise.all(nodes.map(hoursAhead)), [0, 24, -24, 0, 0])
    const [, ahead, behind, jumping] = nodes as [Node, Node, Node, Node, Node]
    const put = [await putAcross(world, jumping, 48), await putAcross(world, jumping, -48)]
    for (const node of [ahead, behind]) {
      const bytes = randomBytes(FILE_BYTES)
      const { cid, replicas } = await clientOf([node]).put(bytes, { digests: [] })
      assert.is(replicas, 3)
      put.push({ cid, bytes })
    }
    for (const node of nodes) {
      for (const { cid, bytes } of put) {
        const got = await (await clientOf([node]).get(cid)).bytes()
        assert.ok(Buffer.compare(got, bytes) === 0, `${cid} is what was put`)
      }
    }
    await met(nodes)
    await healed(nodes, MEET_MS)
  })
)

clocks.run()
