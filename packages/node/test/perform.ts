// limit: 180 s
import { type Block, keyOf } from '@cairn/blocks'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CairnNode, NodeEvent } from '../src/api.ts'
import { flipBlock } from './support/flip.ts'
import { blocksOf, eventually, onDisk, openNodes, sameBytes, uploadOn } from './support/nodes.ts'
import { until } from './support/peers.ts'
import { scoped } from './support/scope.ts'
import { joinStub } from './support/stub.ts'

const perform = suite('perform')

const knows = (node: CairnNode, id: string) =>
  node.peers().some((peer) => peer.id === id && peer.state === 'alive')

perform(
  'who gave wrong bytes for a block is told which, and the reader has the right ones from another',
  scoped(async (use) => {
    const net = use(await openNodes(2, { create: { open: false, replicas: 2 } }))
    const [reader, holder] = net.nodes as [CairnNode, CairnNode]
    const liar = use(
      await joinStub(reader, { read: async () => ({ bytes: new Uint8Array(10_000), proofs: [] }) })
    )
    await until(() => knows(reader, liar.id) && knows(holder, liar.id), 'the liar is a member')
    const elsewhere: Block[] = []
    for (const block of blocksOf(60)) {
      const { holders } = await uploadOn(holder).put([block], { replicas: 1 })
      if (holders[0]?.peer === holder.id) elsewhere.push(block)
    }
    for (const { cid, bytes } of elsewhere) assert.ok(sameBytes(await reader.get(cid), bytes))
    assert.ok(liar.asked.length > 0, 'it was asked, and lied')
    const mine = new Set(elsewhere.map(({ cid }) => keyOf(cid)))
    const lies = new Set(liar.asked.filter((key) => mine.has(key)))
    // those that a hedge did not wait for, or that came too late, are not heard
    await until(() => liar.accused.some((key) => lies.has(key)), 'it is told of the lies that were heard')
    assert.ok(
      liar.accused.every((key) => liar.asked.includes(key)),
      'and of nothing else'
    )
  })
)

perform(
  'a member told that its copy is bad reads it again, puts it aside and fetches a good one',
  scoped(async (use) => {
    const net = use(await openNodes(2)) // N is 3: with the third member, all hold all
    const [one, two] = net.nodes as [CairnNode, CairnNode]
    const blocks = blocksOf(10, 50_000)
    await uploadOn(one).put(blocks)
    const peer = use(await joinStub(one, {}))
    await until(() => knows(two, peer.id), 'it is heard')
    const [bad, good] = blocks as [Block, Block]
    assert.ok(await flipBlock(net.home(1), keyOf(bad.cid)))
    const told: NodeEvent[] = []
    void (async () => {
      for await (const event of two.events()) told.push(event)
    })()
    const reports = () => told.flatMap((event) => (event.type === 'log' ? [event.text] : []))
    for (const { cid } of [bad, good]) {
      peer.send(two.id, { type: 'bad-copy', key: keyOf(cid), reason: 'not that block' })
    }
    const lost = () => told.flatMap((event) => (event.type === 'block-lost' ? [keyOf(event.cid)] : []))
    await until(() => lost().length > 0, 'it is found and told of')
    await until(
      () => reports().some((text) => text.includes('it is good when read again')),
      'so is the other'
    )
    assert.equal(lost(), [keyOf(bad.cid)])
    await eventually(async () => (await two.status()).usage.blocks === 10, 'it has it again')
    await net.stopAll()
    assert.ok((await onDisk(net.home(1), blocks)).every((stat) => stat !== undefined))
  })
)

perform.run()
