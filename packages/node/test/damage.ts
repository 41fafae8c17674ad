// limit: 180 s
/** Damaged copies: nobody is given one, each is found, told of, made good, and remembered. */
import { type Block, keyOf } from '@cairn/blocks'
import { CairnError, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode } from '../src/api.ts'
import { flipAnywhere, flipBlock } from './support/flip.ts'
import { blocksOf, copiesIn, eventually, onDisk, openNodes, sameBytes, uploadOn } from './support/nodes.ts'
import { scoped } from './support/scope.ts'

/** Bits turned in all, on two disks. */
const FLIPS = 1_000
/** What a slow holder was stood in for with goes soon. */
const release = { releaseAfterMs: 1_000, releaseIntervalMs: 200, releaseRetryMs: 1_000 }

const damage = suite('damage')

const healthy = (node: CairnNode, blocks: number) => async () => {
  const { verdict, byCopies } = await node.status()
  return verdict === 'healthy' && byCopies.at(-1) === blocks
}

damage(
  'with a bit turned in each replica in turn, under load, every read gives the right bytes',
  scoped(async (use) => {
    const net = use(await openNodes(4, { create: { open: false, replicas: 3 }, config: release }))
    const blocks = blocksOf(30)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(healthy(net.at(0), 30), 'all have three')
    await eventually(async () => (await copiesIn(net)) === 90, 'and no more: a copy too many is not healed')
    let [reads, done] = [0, false]
    const read = async (node: CairnNode): Promise<void> => {
      while (!done) {
        for (const { cid, bytes } of blocks) {
          assert.ok(sameBytes(await node.get(cid), bytes), `${cid}`)
          reads++
        }
      }
    }
    const readers = net.nodes.map(read)
    let turned = 0
    const all = async () => {
      for (let i = 0; i < 4; i++) {
        for (const { cid } of blocks.slice(6 * i, 6 * i + 6)) {
          if (await flipBlock(net.home(i), keyOf(cid))) turned++
        }
        await net.at(i).scrub()
        const { damage } = await net.at(i).status()
        assert.is(damage.latest.length, damage.found)
        await eventually(async () => {
          const { found, healed } = (await net.at(i).status()).damage
          return healed === found
        }, 'what was found is whole again, and remembered so')
      }
    }
    await all().finally(() => {
      done = true
    })
    await Promise.all(readers)
    // three of four nodes have a block: 18 of 24 bits as a rule
    assert.ok(turned > 6 && reads > 100, `${turned} bits, ${reads} reads`)
    const found = async () => {
      const each = await Promise.all(net.nodes.map(async (node) => (await node.status()).damage.found))
      return each.reduce((sum, some) => sum + some, 0)
    }
    // a bit may be turned in a copy that was moved, and is no block's any more: nobody need find that
    const before = await found()
    assert.ok(before > 6 && before <= turned, `${before} of ${turned} found`)
    await Promise.all(net.nodes.map((node) => node.scrub()))
    assert.is(await found(), before, 'nothing is left to be found')
  })
)

damage(
  'when all replicas are bad the error names each holder and what was wrong with it',
  scoped(async (use) => {
    const net = use(await openNodes(3, { create: { open: false, replicas: 3 } }))
    const [block] = blocksOf(1) as [Block]
    await uploadOn(net.at(0)).put([block])
    for (let i = 0; i < 3; i++) assert.ok(await flipBlock(net.home(i), keyOf(block.cid)))
    const error = await net
      .at(0)
      .get(block.cid)
      .catch((cause: unknown) => cause)
    assert.ok(CairnError.is(error, 'NO_PROVIDER'), String(error))
    for (const i of [1, 2]) assert.match(error.message, `${net.at(i).name}: its copy was damaged`)
    assert.match(error.message, `${net.at(0).name}: the copy here was damaged`)
  })
)

damage(
  'bits turned anywhere on two of three disks are all found in one scrub, and all healed',
  scoped(async (use) => {
    const net = use(await openNodes(3, { create: { open: false, replicas: 3 } }))
    const blocks = blocksOf(150, 20_000)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(healthy(net.at(0), 150), 'all have three')
    const random = seeded(7)
    for (const i of [1, 2]) {
      await net.at(i).stop()
      await flipAnywhere(net.home(i), FLIPS / 2, random)
    }
    for (const i of [1, 2]) await net.restart(i)
    await net.gathered()
    const { members } = await net.at(0).scrubNetwork()
    assert.equal(
      members.map(({ state }) => state),
      ['done', 'done', 'done']
    )
    await eventually(healthy(net.at(0), 150), 'all have three again')
    // each by itself: of one member nobody may ask for another scrub so soon
    const again = await Promise.all(net.nodes.map((node) => node.scrub()))
    assert.equal(
      again.map(({ damaged }) => damaged),
      [0, 0, 0],
      'the first scrub found all there was'
    )
    await net.stopAll()
    for (const i of [0, 1, 2]) {
      const stats = await onDisk(net.home(i), blocks)
      assert.is(stats.filter((stat) => stat === undefined).length, 0, `node ${i}`)
    }
  })
)

damage(
  'a copy held besides, while a newcomer has taken its place, need not come back',
  scoped(async (use) => {
    const net = use(await openNodes(3, { create: { open: false, replicas: 3 } }))
    const blocks = blocksOf(30)
    await uploadOn(net.at(0)).put(blocks)
    await eventually(healthy(net.at(0), 30), 'all have three')
    await net.add()
    await net.gathered()
    await eventually(healthy(net.at(0), 30), 'all have three with the newcomer')
    for (const { cid } of blocks) assert.ok(await flipBlock(net.home(0), keyOf(cid)))
    const { damaged, refetched, besides } = await net.at(0).scrub()
    assert.equal([damaged, refetched + besides], [30, 30])
    assert.ok(besides > 0 && refetched > 0, `${besides} besides`)
    await eventually(async () => (await net.at(0).status()).damage.healed === 30, 'all is made good')
    const { damage } = await net.at(0).status()
    const spared = damage.latest.filter((one) => one.besides === true).length
    assert.ok(spared >= damage.latest.length + besides - 30, 'and is remembered so')
    await eventually(healthy(net.at(0), 30), 'nobody lacks one')
  })
)

damage(
  'what was found is remembered over a restart',
  scoped(async (use) => {
    const net = use(await openNodes(2, { create: { open: false, replicas: 2 } }))
    const [block] = blocksOf(1) as [Block]
    await uploadOn(net.at(0)).put([block])
    assert.ok(await flipBlock(net.home(1), keyOf(block.cid)))
    const { damaged, refetched } = await net.at(1).scrub()
    assert.equal([damaged, refetched], [1, 1])
    await net.at(1).stop()
    const again = await net.restart(1)
    await eventually(async () => (await again.status()).damage.healed === 1, 'it is known to be whole')
    const { found, latest } = (await again.status()).damage
    const [one] = latest
    assert.is(found, 1)
    assert.is(one && keyOf(one.cid), keyOf(block.cid))
  })
)

damage.run()
