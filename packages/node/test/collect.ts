// limit: 240 s
/** Collecting on whole nodes: what is no longer pinned leaves every disk, and what is put again stays. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Block } from '../src/api.ts'
import { blocksOf, copiesIn, eventually, type Nodes, openNodes, sameBytes } from './support/nodes.ts'
import { scoped } from './support/scope.ts'

const BLOCKS = 40
/** What a slow holder was stood in for with goes soon too, or the copies could not be counted. */
const release = { releaseAfterMs: 1_000, releaseIntervalMs: 200, releaseRetryMs: 1_000 }
const config = { collectGraceMs: 1_000, collectIntervalMs: 200, ...release }

const collect = suite('collecting')

let uploads = 0
const upload = (net: Nodes, i: number) => net.at(i).upload((++uploads).toString(16).padStart(32, '0'))

/** Each block a pin of its own, so that nothing needs to be walked. */
async function pin(net: Nodes, i: number, blocks: readonly Block[]): Promise<void> {
  const one = async (block: Block): Promise<void> => {
    const its = upload(net, i)
    await its.put([block])
    await its.finish(block.cid, { bytes: block.bytes.length, blocks: 1 })
  }
  await Promise.all(blocks.map(one))
}

collect(
  'what is unpinned leaves every disk, what a name keeps stays, and the members agree on what is left',
  scoped(async (use) => {
    const net = use(await openNodes(4, { config }))
    const [mine, shared] = [blocksOf(BLOCKS), blocksOf(BLOCKS)]
    await pin(net, 0, [...mine, ...shared])
    await Promise.all(shared.map(({ cid }, n) => net.at(1).refs.set(`kept${n}`, { root: cid })))
    for (const { cid } of [...mine, ...shared]) await net.at(0).unpin(cid)
    await eventually(async () => (await copiesIn(net)) === 3 * BLOCKS, 'half of it is collected')
    const healthy = async () => {
      const { verdict, blocks, byCopies } = await net.at(2).status()
      return verdict === 'healthy' && blocks === BLOCKS && byCopies.at(-1) === BLOCKS
    }
    await eventually(healthy, 'the rest is whole')
    for (const { cid, bytes } of shared) assert.ok(sameBytes(await net.at(3).get(cid), bytes))
  })
)

collect(
  'a member that was away while it ended hears of it, and brings nothing back',
  scoped(async (use) => {
    const net = use(await openNodes(4, { config }))
    const blocks = blocksOf(BLOCKS)
    await pin(net, 0, blocks)
    await eventually(async () => (await copiesIn(net)) === 3 * BLOCKS, 'three copies of each')
    const away = net.at(3)
    const held = (await away.status()).usage.blocks
    assert.ok(held > 0)
    await away.stop()
    const seen = () =>
      net
        .at(0)
        .peers()
        .find(({ id }) => id === away.id)?.state
    await eventually(async () => seen() === 'dead', 'it is known to be gone')
    for (const { cid } of blocks) await net.at(0).unpin(cid)
    const others = async () => {
      const usages = await Promise.all([0, 1, 2].map(async (i) => (await net.at(i).status()).usage.blocks))
      return usages.every((count) => count === 0)
    }
    await eventually(others, 'the others have collected it')
    await net.restart(3, { config })
    await net.gathered()
    await eventually(async () => (await copiesIn(net)) === 0, 'it collects its own')
  })
)

collect(
  'a person in a hurry has it collected at once, and it is told how much there was',
  scoped(async (use) => {
    const patient = { ...config, collectGraceMs: 3_600_000 }
    const net = use(await openNodes(1, { config: patient }))
    for (let i = 1; i < 3; i++) await net.add({ config: patient })
    await net.gathered()
    const blocks = blocksOf(BLOCKS)
    await pin(net, 0, blocks)
    for (const { cid } of blocks) await net.at(0).unpin(cid)
    const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0)
    const ended = async () => (await net.at(1).gc()).blocks === BLOCKS
    await eventually(ended, 'what was unpinned elsewhere is known to have ended')
    assert.equal(await net.at(1).gc(), { blocks: BLOCKS, bytes, collected: 0 })
    assert.equal(await net.at(1).gc({ now: true }), { blocks: BLOCKS, bytes, collected: BLOCKS })
    assert.equal(await net.at(1).gc(), { blocks: 0, bytes: 0, collected: 0 })
    assert.is(await copiesIn(net), 2 * BLOCKS, 'the others give it its grace')
  })
)

collect(
  'what is put again while it is collected is kept',
  scoped(async (use) => {
    const net = use(await openNodes(4, { config }))
    const blocks = blocksOf(BLOCKS)
    await pin(net, 0, blocks)
    for (const { cid } of blocks) await net.at(0).unpin(cid)
    const some = async () => (await copiesIn(net)) < 3 * BLOCKS
    await eventually(some, 'collecting is under way, or was')
    const outcome = await upload(net, 1).put(blocks)
    assert.is(outcome.replicas, 3)
    await eventually(async () => (await copiesIn(net)) === 3 * BLOCKS, 'all of it is here again')
    await new Promise((resolve) => setTimeout(resolve, 3 * config.collectGraceMs))
    for (const { cid, bytes } of blocks) assert.ok(sameBytes(await net.at(2).get(cid), bytes))
    assert.ok((await copiesIn(net)) >= 3 * BLOCKS, 'nothing of it goes')
  })
)

collect.run()
