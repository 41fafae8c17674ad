import { keyOf } from '@cairn/blocks'
import { openReceipt } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { verifier } from '../src/identity.ts'
import { blocksOf, openNodes, uploadOn } from './support/nodes.ts'
import { scoped } from './support/scope.ts'

const receipts = suite('receipts')

receipts(
  'who puts and asks is given what each holder signed, its own node among them, to be checked anywhere',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const blocks = blocksOf(20)
    const beforeMs = Date.now()
    const outcome = await uploadOn(net.at(0)).put(blocks, { receipts: true })
    const said = new Map<string, Set<string>>()
    for (const held of outcome.receipts ?? []) {
      const { receipt, items } = openReceipt(held, verifier())
      const { network, holder, timeMs } = receipt.statement
      assert.is(network, net.at(0).network.id)
      assert.ok(timeMs >= beforeMs && timeMs <= Date.now())
      const keys = said.get(holder) ?? new Set()
      for (const { key } of items) keys.add(key)
      said.set(holder, keys)
    }
    assert.equal([...said.keys()].sort(), net.nodes.map(({ id }) => id).sort())
    const keys = blocks.map(({ cid }) => keyOf(cid)).sort()
    for (const held of said.values()) assert.equal([...held].sort(), keys)
    const kept = await uploadOn(net.at(0)).keep(
      blocks.map(({ cid }) => cid),
      { receipts: true }
    )
    assert.is(kept.receipts?.length, 3) // those already held are signed for again: "held now"
    assert.is((await uploadOn(net.at(0)).put(blocks)).receipts, undefined)
  })
)

receipts.run()
