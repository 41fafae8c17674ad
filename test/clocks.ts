/**
 * Five real nodes whose clocks do not agree: one a day ahead, one a day behind, and one that jumps two days
 * ahead and back while a file is put through it. Nobody is taken for dead, and nothing acknowledged is lost.
 * The clock of people jumps; the monotonic one never does, as on a machine whose time is set.
 */
// limit: 120 s
// beside others
import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from './support/eventually.ts'
import { type FakeClock, fakeClock } from './support/faketime.ts'
import { clientOf, healed, MEET_MS, met, type Node, type World, withNodes } from './support/nodes.ts'

const HOUR_MS = 3_600_000
const FILE_BYTES = 3_000_000
/** For a node to show the time that it was given: at once, but for a machine that is busy. */
const SEEN_MS = 30_000

/** How far a node's clock is ahead of ours, in hours, by what it tells with each answer. */
async function hoursAhead({ url }: Node): Promise<number> {
  const { headers } = await fetch(url)
  return Math.round((Date.parse(headers.get('date') ?? '') - Date.now()) / HOUR_MS)
}

interface Timed {
  nodes: Node[]
  /** Of all but the first, which has the machine's own. */
  clocks: FakeClock[]
}

/** Undefined where no clock can be set. */
async function startAll(world: World, hours: readonly number[]): Promise<Timed | undefined> {
  const clocks: FakeClock[] = []
  for (const [i, ahead] of hours.entries()) {
    const clock = await fakeClock(world.folder, `n${i + 2}`, ahead)
    if (clock === undefined) return undefined
    clocks.push(clock)
  }
  const first = await world.start('n1')
  const join = await clientOf([first]).invite()
  const rest = clocks.map(({ before }, i) => world.start(`n${i + 2}`, { join, before }))
  const nodes = [first, ...(await Promise.all(rest))]
  await met(nodes)
  return { nodes, clocks }
}

/** Puts a file through a node whose clock jumps there and back meanwhile. */
async function putAcross(node: Node, clock: FakeClock, hours: number): Promise<{ cid: CID; bytes: Buffer }> {
  const bytes = randomBytes(FILE_BYTES)
  const jump = async (to: number) => {
    await clock.set(to)
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
    const timed = await startAll(world, [24, -24, 0, 0])
    if (timed === undefined) {
      console.log('SKIPPED: there is no libfaketime')
      return
    }
    const { nodes, clocks } = timed
    assert.equal(await Promise.all(nodes.map(hoursAhead)), [0, 24, -24, 0, 0])
    const [, ahead, behind, jumping] = nodes as [Node, Node, Node, Node, Node]
    const clock = clocks[2] as FakeClock
    const put = [await putAcross(jumping, clock, 48), await putAcross(jumping, clock, -48)]
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
