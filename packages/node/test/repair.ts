// limit: 180 s
/** The one rule on whole nodes: what is lost comes back, what is not lost stays where it is. */
import { cp, readdir, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { type Block, cidOf } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode, NodeEvent } from '../src/api.ts'
import { blocksOf, copiesIn, eventsOf, eventually, onDisk, openNodes, uploadOn } from './support/nodes.ts'
import { codeOf, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const repair = suite('repair')

const whole = (node: CairnNode, blocks: number) => async () => {
  const { verdict, byCopies } = await node.status()
  return verdict === 'healthy' && byCopies.at(-1) === blocks
}
const repaired = (told: readonly NodeEvent[]) =>
  told.reduce((sum, event) => sum + (event.type === 'repair' ? event.blocks : 0), 0)

repair(
  'a member that is gone is made up for, and told of',
  scoped(async (use) => {
    // what a slow holder was stood in for with goes soon: with copies to spare nothing would be made up for
    const config = { releaseAfterMs: 1_000, releaseIntervalMs: 200, releaseRetryMs: 1_000 }
    const net = use(await openNodes(5, { config }))
    const blocks = blocksOf(30)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(whole(net.at(0), 30), 'all have three')
    await eventually(async () => (await copiesIn(net)) === 90, 'and no more')
    const told = net.nodes.map(eventsOf)
    const gone = net.at(4)
    await gone.stop()
    const state = () =>
      net
        .at(0)
        .peers()
        .find(({ id }) => id === gone.id)?.state
    await until(() => state() === 'dead', 'it is known to be dead')
    await until(() => told.some((events) => repaired(events) > 0), 'repairs are told')
    await eventually(whole(net.at(0), 30), 'four make up for the fifth')
    const states = (told[0] ?? []).flatMap((event) =>
      event.type === 'member' && event.peer === gone.id ? [event.state] : []
    )
    assert.is(states[states.indexOf('dead') - 1], 'suspect')
    const { root, holders, verdict } = await net.at(0).statusOf(blocks[0]?.cid as Block['cid'])
    assert.equal([root, verdict, holders.length >= 3], [blocks[0]?.cid, 'healthy', true])
    await net.stopAll()
    const copies = new Array<number>(30).fill(0)
    for (const i of [0, 1, 2, 3]) {
      const stats = await onDisk(net.home(i), blocks)
      for (const [at, stat] of stats.entries()) copies[at] = (copies[at] as number) + (stat ? 1 : 0)
    }
    assert.ok(
      copies.every((count) => count >= 3),
      `${copies}`
    )
  })
)

repair(
  'a restart within the delay moves nothing; an empty disk is filled again',
  scoped(async (use) => {
    const net = use(await openNodes(3, { config: { repairDelayMs: 60_000 } }))
    const blocks = blocksOf(30)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(whole(net.at(0), 30), 'all have three')
    const told = net.nodes.map(eventsOf)
    await net.at(2).stop()
    await net.restart(2)
    told.push(eventsOf(net.at(2)))
    await net.gathered()
    await eventually(whole(net.at(0), 30), 'all have three again')
    assert.equal(told.map(repaired), [0, 0, 0, 0])
    await net.at(2).stop()
    await rm(join(net.home(2), 'store'), { recursive: true })
    await net.restart(2)
    await eventually(async () => (await net.at(2).status()).usage.blocks === 30, 'it has all again')
    await eventually(whole(net.at(0), 30), 'and is counted')
  })
)

repair(
  'a damaged copy is told of and fetched again',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const blocks = blocksOf(20, 50_000)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(whole(net.at(0), 20), 'all have three')
    await net.at(1).stop()
    const store = join(net.home(1), 'store')
    for (const name of await readdir(store, { recursive: true })) {
      if (name.endsWith('.car')) await truncate(join(store, name), 300_000)
    }
    await net.restart(1)
    await net.gathered()
    for (const { cid } of blocks) await net.at(1).get(cid)
    await eventually(async () => (await net.at(1).status()).usage.blocks === 20, 'it has all again')
    await eventually(whole(net.at(1), 20), 'and all are counted')
    await net.stopAll()
    assert.ok((await onDisk(net.home(1), blocks)).every((stat) => stat !== undefined))
  })
)

repair(
  'a member restored from an old backup says so, loses nothing, and gets what it lacks',
  scoped(async (use) => {
    const net = use(await openNodes(4))
    const [old, late] = [blocksOf(20), blocksOf(20)]
    await uploadOn(net.at(0)).put(old)
    await eventually(whole(net.at(0), 20), 'all have three')
    await net.at(3).stop()
    const backup = `${net.home(3)}-backup`
    await cp(net.home(3), backup, { recursive: true })
    await net.restart(3)
    assert.equal(net.at(3).notes, [], 'the original is no copy')
    await net.gathered()
    await uploadOn(net.at(0)).put(late)
    await eventually(whole(net.at(0), 40), 'all have three')
    await net.at(3).stop()
    await rm(net.home(3), { recursive: true })
    await cp(backup, net.home(3), { recursive: true })
    await net.restart(3)
    assert.match(net.at(3).notes.join(), 'restored from a backup')
    await net.gathered()
    for (const node of net.nodes) await eventually(whole(node, 40), 'all have three again')
    await net.at(3).stop()
    await net.restart(3)
    assert.equal(net.at(3).notes, [], 'it is told once')
    await net.stopAll()
    const copies = new Array<number>(40).fill(0)
    for (const i of [0, 1, 2, 3]) {
      const stats = await onDisk(net.home(i), [...old, ...late])
      for (const [at, stat] of stats.entries()) copies[at] = (copies[at] as number) + (stat ? 1 : 0)
    }
    assert.ok(Math.min(...copies) >= 3, `${copies}`)
  })
)

repair(
  'an unpin ends the claims on every holder, whoever pinned it, those of an upload that was no news too',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const bytes = new TextEncoder().encode('a leaf, pinned')
    const block = { cid: cidOf(bytes), bytes }
    const upload = uploadOn(net.at(0))
    await upload.put([block])
    const about = { name: 'leaf', bytes: bytes.length, blocks: 1 }
    const pin = await upload.finish(block.cid, about)
    const other = net.at(0).upload('ef'.repeat(16))
    await other.put([block])
    await Promise.all([other.finish(block.cid, about), upload.finish(block.cid, about)])
    assert.equal(
      (await net.at(0).pins()).map(({ root }) => String(root)),
      [String(pin.root)]
    )
    await net.at(1).unpin(block.cid)
    await eventually(async () => (await net.at(0).pins()).length === 0, 'the others hear of it')
    assert.is(await codeOf(net.at(0).unpin(block.cid)), 'NOT_FOUND', 'any member may')
    const open = async () => (await readdir(join(net.home(0), 'uploads'))).length
    await eventually(async () => (await open()) === 0, 'the second upload is over too')
    await net.stopAll()
    for (const i of [0, 1, 2]) {
      const [stat] = await onDisk(net.home(i), [block])
      assert.equal(
        stat?.claims.map(({ live }) => live),
        [false, false],
        `node ${i}`
      )
    }
  })
)

repair.run()
