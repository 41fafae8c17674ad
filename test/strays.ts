/** A copy on a node that is no holder, kept for a reason of its own: its claim reaches the holders, once. */
// limit: 240 s
// beside others
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { cidOf, keyOf } from '@cairn/blocks'
import { openStore } from '@cairn/store'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { keysToHold } from './support/data.ts'
import { eventually } from './support/eventually.ts'
import {
  cairn,
  clientOf,
  healed,
  kill,
  MEET_MS,
  met,
  type Node,
  stop,
  type World,
  withNodes
} from './support/nodes.ts'

const BYTES = 100_000
const CAPACITY_BYTES = 1024 * 1024 * 1024

const strays = suite('strays')

/** Bytes whose one block this node alone must hold, with one copy of everything. */
async function bytesFor(nodes: readonly Node[], holder: Node): Promise<Uint8Array> {
  const peers = await clientOf(nodes).peers()
  for (;;) {
    const bytes = new Uint8Array(randomBytes(BYTES))
    const keys = [keyOf(cidOf(bytes))]
    if (keysToHold(peers, holder.id, { keys, n: 1 }).length === 1) return bytes
  }
}

async function aliveAt(node: Node, alive: number): Promise<void> {
  await eventually(`${node.name} sees ${alive} alive`, MEET_MS, async () =>
    (await clientOf([node]).status()).alive === alive ? true : undefined
  )
}

function blocksFetched({ said }: Node): number {
  return said.reduce((sum, { event, blocks }) => (event === 'repair' ? sum + Number(blocks) : sum), 0)
}

/** How many live claims the disk of a stopped node has on these bytes' block. */
async function claimsOn({ home }: Node, bytes: Uint8Array): Promise<number | undefined> {
  const store = await openStore({ directory: join(home, 'store'), capacity: CAPACITY_BYTES })
  try {
    return (await store.stat(keyOf(cidOf(bytes))))?.claims.filter(({ live }) => live).length
  } finally {
    await store.close()
  }
}

strays(
  'the holder takes the claim of a copy held elsewhere without the block, and says so',
  withNodes(async (world: World) => {
    const [other, holder] = (await world.network(2, { flags: ['--replicas', '1'] })) as [Node, Node]
    const bytes = await bytesFor([other, holder], holder)
    assert.is((await clientOf([holder]).put(bytes)).replicas, 1)
    await kill([holder])
    await aliveAt(other, 1)
    // the same again, by a node that is the only one left, under a name: another claim, where no holder is
    const { cid } = await clientOf([other]).put(bytes)
    await clientOf([other]).refs.set('strays', cid)
    const again = await world.restart(holder)
    await met([other, again])
    await healed([other, again], MEET_MS)
    // it leaves once the holder has all that it holds: the block's other claim too
    const left = await cairn(['leave', '--home', other.home])
    assert.is(left.exit, 0, left.stderr)
    assert.ok(blocksFetched(again) <= 1, `fetched ${blocksFetched(again)} times`)
    await stop([again])
    assert.is(await claimsOn(again, bytes), 2)
  })
)

strays.run()
