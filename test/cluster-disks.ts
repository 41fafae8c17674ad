/** Disks that betray a node: bytes that turned, a replaced disk, a copy of a home that starts too. */
// limit: 360 s
// beside others
import { cp, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  expectCopies,
  heldIn,
  keysToHold,
  makeTree,
  putTree,
  readAll,
  type Tree,
  treeOf
} from './support/data.ts'
import { eventually } from './support/eventually.ts'
import {
  cairn,
  clientOf,
  healed,
  kill,
  lastJson,
  met,
  type Node,
  stop,
  type World,
  withNodes
} from './support/nodes.ts'

/** For one node's blocks to be fetched again. A few seconds on an idle machine. */
const REPAIR_MS = 120_000
/** Smaller ones are not what holds the blocks. */
const DATA_FILE_BYTES_MIN = 256 * 1024
const FLIPS = 12
/** For two nodes of one identity to notice each other. Some seconds on an idle machine. */
const FENCE_MS = 120_000

const disks = suite('disks')

const homesOf = (nodes: readonly Node[]): string[] => nodes.map(({ home }) => home)

/** Four nodes with a directory on them; the one that the test is about is stopped, by choice the last. */
async function stored(world: World): Promise<{ nodes: Node[]; tree: Tree; bytes: number }> {
  const path = await makeTree(`${world.folder}/tree`, { mebibytes: 16, small: 100 })
  const tree = await treeOf(path)
  const nodes = await world.network(4, { flags: ['--repair-delay', '1s'] })
  const put = await putTree(clientOf(nodes), path)
  assert.is(put.replicas, 3)
  return { nodes, tree, bytes: put.size }
}

/** Turns single bits all over the large files below a directory; how many. */
async function flipBits(directory: string): Promise<number> {
  const random = seeded(7)
  let flipped = 0
  for (const name of await readdir(directory, { recursive: true })) {
    const path = join(directory, name)
    const { size, ...is } = await stat(path).then((stats) => ({ size: stats.size, file: stats.isFile() }))
    if (!is.file || size < DATA_FILE_BYTES_MIN) continue
    const file = await open(path, 'r+')
    try {
      for (let i = 0; i < FLIPS; i++, flipped++) {
        const at = Math.floor(random() * size)
        const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
        await file.write(Uint8Array.of((buffer[0] as number) ^ 0x10), 0, 1, at)
      }
    } finally {
      await file.close()
    }
  }
  return flipped
}

/** What the member must hold of the directory when all are back, by placement and by nobody's word. */
async function ownShare(nodes: readonly Node[], id: string, tree: Tree): Promise<BlockKey[]> {
  const share = keysToHold(await clientOf(nodes).peers(), id, { keys: tree.keys, n: 3 })
  assert.ok(share.length > 0, 'it has a share')
  return share
}

/** Until a node counts so many blocks in its store. */
async function hasBlocks(node: Node, least: number): Promise<void> {
  await eventually(`${node.name} holds its share`, REPAIR_MS, async (tell) => {
    const { usage } = await clientOf([node]).status()
    tell(`${usage.blocks} of ${least} blocks`)
    return usage.blocks >= least ? true : undefined
  })
}

async function expectShare({ home }: Node, share: readonly BlockKey[]): Promise<void> {
  const held = await heldIn(home, share)
  const lacking = share.filter((key) => !held.has(key))
  assert.equal(
    lacking,
    [],
    `${lacking.length} of ${share.length} blocks that it must hold are not on its disk`
  )
}

disks(
  'bytes that turned at rest are never served, are noticed, and are fetched again',
  withNodes(async (world) => {
    const { nodes, tree, bytes } = await stored(world)
    const victim = nodes[3] as Node
    const share = await ownShare(nodes, victim.id, tree)
    await stop([victim])
    assert.ok(await flipBits(join(victim.home, 'store')), 'something large lies there')
    const again = await world.restart(victim)
    const all = [...nodes.slice(0, 3), again]
    await met(all)
    assert.is(
      await readAll(clientOf([again]), tree.root),
      bytes,
      'every byte, through the damaged node alone'
    )
    const lost = await eventually('the damage is told', REPAIR_MS, () => {
      const told = again.said.filter(({ event }) => event === 'block-lost').length
      return told > 0 ? told : undefined
    })
    await hasBlocks(again, share.length)
    await healed(all, REPAIR_MS)
    console.log(`${lost} damaged blocks were found and replaced`)
    await stop(all)
    await expectShare(again, share)
    await expectCopies(homesOf(all), tree.keys, 3)
  })
)

disks(
  'an empty disk in place of the old one: the same member, which fetches all that it should hold',
  withNodes(async (world) => {
    const { nodes, tree, bytes } = await stored(world)
    const victim = nodes[3] as Node
    const share = await ownShare(nodes, victim.id, tree)
    await stop([victim])
    await rm(join(victim.home, 'store'), { recursive: true })
    const again = await world.restart(victim)
    assert.is(again.id, victim.id)
    const all = [...nodes.slice(0, 3), again]
    await met(all)
    const startedMs = performance.now()
    await hasBlocks(again, share.length)
    const tookS = (performance.now() - startedMs) / 1_000
    console.log(`${share.length} blocks are back on an empty disk after ${tookS.toFixed(1)} s`)
    await healed(all, REPAIR_MS)
    assert.is(await readAll(clientOf([again]), tree.root), bytes)
    await stop(all)
    await expectShare(again, share)
    await expectCopies(homesOf(all), tree.keys, 3)
  })
)

disks(
  'a home that is in use is refused to a second process, by name',
  withNodes(async (world) => {
    const node = await world.start('n1')
    const second = await cairn(['start', '--home', node.home, '--port', '0', '--json'])
    assert.is(second.exit, 1)
    const { error } = lastJson(second.stdout) as { error: { code: string; message: string; hint: string } }
    assert.is(error.code, 'LOCKED')
    assert.match(error.message, String(node.pid))
    assert.match(error.hint, '--home')
    assert.ok(node.alive())
  })
)

/** Whether a node told that another process uses its identity, whatever it then did. */
const toldOfTwin = ({ said }: Node): boolean =>
  said.some((one) => /copy of this home|uses this node's identity/.test(JSON.stringify(one)))

disks(
  'a copied home started beside the original: one of the two is left out and told why, and nothing is lost',
  withNodes(async (world) => {
    const { nodes, tree, bytes } = await stored(world)
    const original = nodes[3] as Node
    const home = join(world.folder, 'copy')
    await cp(original.home, home, { recursive: true })
    for (const name of await readdir(home)) {
      if (/^lock|^running/.test(name)) await rm(join(home, name)) // as elsewhere
    }
    const copy = await world.start('copy', { flags: ['--listen', '127.0.0.1:0'] })
    assert.is(copy.id, original.id)
    const twins = [original, copy]
    const outside = await eventually('one of the two is told', FENCE_MS, () => twins.find(toldOfTwin))
    const inside = twins.find((node) => node !== outside) as Node
    await eventually('it has ended, or is let in by nobody', FENCE_MS, async (tell) => {
      const seen = await clientOf([outside])
        .status()
        .then(({ alive }) => `${alive} alive`, String)
      tell(seen)
      return !outside.alive() || seen === '1 alive' || undefined
    })
    const all = [...nodes.slice(0, 3), inside]
    await met(all)
    assert.is(await readAll(clientOf(all), tree.root), bytes)
    await healed(all, REPAIR_MS)
    await kill([outside])
    await met(all)
    await stop(all)
    await expectCopies(homesOf(all), tree.keys, 3)
  })
)

disks.run()
