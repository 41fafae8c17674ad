/** Restarts: one node after the other under load, and all at once after a crash of everything. */
// limit: 360 s
// beside others
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { expectCopies, makeTree, putTree, readAll, someBytes, type Tree, treeOf } from './support/data.ts'
import { clientOf, healed, kill, met, type Node, stop, type World, withNodes } from './support/nodes.ts'
import { overAndOver } from './support/rounds.ts'

/** For what was written elsewhere meanwhile to come home. A few seconds on an idle machine. */
const REPAIR_MS = 120_000
const FILE_BYTES = 300_000

const restarts = suite('restart')

const homesOf = (nodes: readonly Node[]): string[] => nodes.map(({ home }) => home)

/** Puts a file, reads it again, and one of those before. */
function putsAndGets(world: World, nodes: readonly Node[], trees: Tree[]) {
  const client = clientOf(nodes)
  return overAndOver(async (i) => {
    const path = join(world.folder, `file-${i}`)
    await writeFile(path, someBytes(FILE_BYTES, 10_000 + i))
    const tree = await treeOf(path)
    const put = await putTree(client, path)
    assert.is(put.cid.toString(), tree.root.toString())
    trees.push(tree)
    assert.is(await readAll(client, tree.root), FILE_BYTES)
    const before = trees[(i * 7) % trees.length] as Tree
    assert.is(await readAll(client, before.root), FILE_BYTES)
  })
}

restarts(
  'one after the other while files are put and read: no operation fails, nothing is lost',
  withNodes(async (world) => {
    let nodes = await world.network(5)
    const trees: Tree[] = []
    const load = putsAndGets(world, nodes, trees)
    for (const node of nodes) {
      await stop([node])
      const again = await world.restart(node)
      assert.is(again.id, node.id)
      assert.is(again.url, node.url)
      nodes = nodes.map((one) => (one === node ? again : one))
      await met(nodes)
    }
    const { done, errors } = await load.end()
    assert.equal(errors, [], 'operations that failed')
    assert.ok(done >= nodes.length, `only ${done} rounds: too few to tell`)
    console.log(`five restarts, ${done} rounds of put and get, none failed`)
    await healed(nodes, REPAIR_MS)
    await stop(nodes)
    const keys = [...new Set(trees.flatMap((tree) => tree.keys))]
    await expectCopies(homesOf(nodes), keys, 3)
  })
)

restarts(
  'all five killed at once find each other again, without an invite, with all that was acknowledged',
  withNodes(async (world) => {
    const path = await makeTree(`${world.folder}/tree`, { mebibytes: 12, small: 200 })
    const tree = await treeOf(path)
    const nodes = await world.network(5)
    const put = await putTree(clientOf(nodes), path)
    assert.is(put.replicas, 3)
    await kill(nodes)
    await expectCopies(homesOf(nodes), tree.keys, 3)
    const startedMs = performance.now()
    const again = await Promise.all(nodes.map((node) => world.restart(node)))
    assert.equal(
      again.map(({ id }) => id),
      nodes.map(({ id }) => id)
    )
    await met(again)
    console.log(`all met again ${((performance.now() - startedMs) / 1_000).toFixed(1)} s after their start`)
    for (const node of again) assert.is(await readAll(clientOf([node]), tree.root), put.size)
    await stop(again)
    await expectCopies(homesOf(again), tree.keys, 3)
  })
)

restarts.run()
