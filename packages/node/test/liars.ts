// limit: 180 s
/** Members that lie, among honest ones: nobody is given a wrong byte for it, and who lies is found. */
import { type Block, keyOf } from '@cairn/blocks'
import type { BlockKey } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode } from '../src/api.ts'
import type { Ways } from '../src/node.ts'
import { type Deeds, drops, neverEnds, stalls, swaps } from './support/liars.ts'
import { blocksOf, eventsOf, eventually, onDisk, openNodes, sameBytes, uploadOn } from './support/nodes.ts'
import { until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const liars = suite('liars')

const KINDS: { name: string; ways: (deeds: Deeds) => Ways }[] = [
  { name: 'sends other bytes', ways: swaps },
  { name: 'has thrown away what it acknowledged', ways: (deeds) => drops(deeds, () => true) },
  { name: 'stalls within a block', ways: (deeds) => stalls(deeds, 5_000) },
  { name: 'answers for ever', ways: neverEnds }
]

for (const { name, ways } of KINDS) {
  liars(
    `beside one that ${name}, every read gives the right bytes`,
    scoped(async (use) => {
      const net = use(await openNodes(3, { create: { open: false, replicas: 2 } }))
      const deeds = { lies: 0 }
      const liar = await net.addLiar(ways(deeds))
      await net.gathered()
      const blocks = blocksOf(24)
      await uploadOn(net.at(0)).put(blocks, { ack: 'quorum' })
      const readers = [net.at(0), net.at(1), net.at(2)]
      const read = async (node: CairnNode) => {
        for (const { cid, bytes } of blocks) assert.ok(sameBytes(await node.get(cid), bytes), `${cid}`)
      }
      await Promise.all(readers.map(read))
      assert.ok(deeds.lies > 0 || name.includes('thrown'), 'it had no occasion to lie')
      assert.is(liar.peers().length, 4)
    })
  )
}

liars(
  'one that dropped a tenth of what it acknowledged is found, told of, and made up for; nobody else is',
  scoped(async (use) => {
    const config = { auditIntervalMs: 300 }
    const net = use(await openNodes(1, { create: { open: false, replicas: 3 }, config }))
    for (let i = 1; i < 4; i++) await net.add({ config })
    const deeds = { lies: 0 }
    const isDropped = (key: BlockKey) => Number.parseInt(key.slice(-4), 16) % 10 === 0
    const liar = await net.addLiar(drops(deeds, isDropped), { config })
    await net.gathered()
    const honest = [0, 1, 2, 3].map((i) => net.at(i))
    const told = honest.map(eventsOf)
    const blocks = blocksOf(150, 2_000)
    await uploadOn(net.at(0)).put(blocks)
    const faultAt = (node: CairnNode) => node.peers().find(({ id }) => id === liar.id)?.audit?.fault
    await until(() => honest.every((node) => faultAt(node) !== undefined), 'all know of it', 60_000)
    assert.is(faultAt(net.at(1))?.kind, 'wrong-answer')
    const accused = told.flat().flatMap((event) => (event.type === 'fault' ? [event.peer] : []))
    assert.equal(new Set(accused), new Set([liar.id]))

    const all = async () => {
      const held = await Promise.all(
        honest.map((node) => Promise.all(blocks.map(({ cid }) => node.get(cid))))
      )
      return held.length === 4 && (await net.at(0).status()).verdict === 'healthy'
    }
    await eventually(all, 'all is at its copies again')
    const [block] = blocks.filter(({ cid }) => isDropped(keyOf(cid))) as [Block]
    const proof = await net.at(0).proofOf(block.cid)
    for (const { peer, proven, wrong } of proof.holders) {
      assert.equal([proven, wrong], peer === liar.id ? [0, 1] : [1, 0])
    }
    await net.stopAll()
    const copies = new Array<number>(blocks.length).fill(0)
    for (let i = 0; i < 4; i++) {
      const stats = await onDisk(net.home(i), blocks)
      stats.forEach((stat, at) => {
        copies[at] = (copies[at] as number) + (stat === undefined ? 0 : 1)
      })
    }
    assert.ok(Math.min(...copies) >= 3, `${copies.join(' ')}: three that do not lie hold each`)
  })
)

liars.run()
