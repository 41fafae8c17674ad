/** Letting go on whole nodes: who joins takes its share, and what it displaces goes, never below N. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { blocksOf, copiesIn, eventually, onDisk, openNodes, uploadOn } from './support/nodes.ts'
import { scoped } from './support/scope.ts'

const BLOCKS = 60
const config = { releaseAfterMs: 1_000, releaseIntervalMs: 200, releaseRetryMs: 1_000 }

const release = suite('letting go')

release(
  'a sixth node takes its share, and the copies that it displaces go, for good',
  scoped(async (use) => {
    const net = use(await openNodes(5, { config }))
    const blocks = blocksOf(BLOCKS)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(async () => (await copiesIn(net)) === 3 * BLOCKS, 'three copies of each')
    await net.add({ config })
    await net.gathered()
    const sixth = net.at(5)
    await eventually(async () => (await sixth.status()).usage.blocks > 0, 'it takes its share')
    let least = Number.POSITIVE_INFINITY
    const settled = async () => {
      const copies = await copiesIn(net)
      least = Math.min(least, copies)
      const { usage, byCopies, verdict } = await sixth.status()
      return verdict === 'healthy' && usage.blocks > 5 && copies === 3 * BLOCKS && byCopies.at(-1) === BLOCKS
    }
    await eventually(settled, 'what it displaced has gone', 60_000)
    assert.is(least, 3 * BLOCKS, 'and never too much')
    await net.stopAll()
    const copies = new Array<number>(BLOCKS).fill(0)
    for (let i = 0; i < 6; i++) {
      const stats = await onDisk(net.home(i), blocks)
      for (const [at, stat] of stats.entries()) copies[at] = (copies[at] as number) + (stat ? 1 : 0)
    }
    assert.equal(copies, new Array<number>(BLOCKS).fill(3))
  })
)

release.run()
