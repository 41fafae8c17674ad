// limit: 180 s
import { getEventListeners } from 'node:events'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { blocksOf, eventually, onDisk, openNodes, sameBytes, uploadOn } from './support/nodes.ts'
import { codeOf } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const uploads = suite('uploads')

uploads(
  'a receipt means that the block is on that disk, and every node gives it back',
  scoped(async (use) => {
    const net = use(await openNodes(5))
    const blocks = blocksOf(40)
    const outcome = await uploadOn(net.at(0)).put(blocks)
    assert.is(outcome.replicas, 3)
    assert.is(outcome.needed, 3)
    assert.equal(outcome.short, [])
    assert.is(outcome.bytes, 400_000)
    for (const node of net.nodes) {
      for (const { cid, bytes } of blocks) assert.ok(sameBytes(await node.get(cid), bytes))
    }
    const said = new Map(outcome.holders.map((holder) => [holder.peer, holder.blocks]))
    const ids = net.nodes.map(({ id }) => id)
    await net.stopAll()
    const copies = new Array<number>(blocks.length).fill(0)
    for (const [i, id] of ids.entries()) {
      const stats = await onDisk(net.home(i), blocks)
      for (const [at, stat] of stats.entries()) copies[at] = (copies[at] as number) + (stat ? 1 : 0)
      const held = stats.filter((stat) => stat !== undefined).length
      assert.ok(held >= (said.get(id) ?? 0), `node ${i} has ${held} of ${said.get(id)} that it signed for`)
    }
    assert.ok(
      copies.every((count) => count >= 3),
      `${copies}`
    )
  })
)

uploads(
  'the caller chooses N and how many receipts to wait for',
  scoped(async (use) => {
    const net = use(await openNodes(5))
    const upload = uploadOn(net.at(1))
    const five = await upload.put(blocksOf(3), { replicas: 5 })
    assert.equal([five.replicas, five.wanted, five.needed, five.holders.length], [5, 5, 5, 5])
    const one = await upload.put(blocksOf(3), { replicas: 1 })
    assert.equal([one.replicas, one.wanted], [1, 1])
    const quorum = await upload.put(blocksOf(3), { ack: 'quorum' })
    assert.is(quorum.needed, 2)
    assert.ok(quorum.replicas >= 2)
    const first = await upload.put(blocksOf(3), { ack: 'one' })
    assert.is(first.needed, 1)
    for (const replicas of [0, 33, 1.5]) {
      assert.is(await codeOf(upload.put(blocksOf(1), { replicas })), 'BAD_REQUEST')
    }
    assert.is(await codeOf(net.at(1).upload('no').put(blocksOf(1))), 'BAD_REQUEST')
  })
)

uploads(
  'bytes are released once no member is sent them any more, however early the put is answered',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const blocks = blocksOf(20, 300_000)
    const lent = blocks.map(({ cid, bytes }) => ({ cid, bytes: bytes.slice() }))
    const { promise: released, resolve } = Promise.withResolvers<void>()
    const onReleased = (): void => {
      for (const { bytes } of lent) bytes.fill(0) // as who uses the memory for something else
      resolve()
    }
    await uploadOn(net.at(0)).put(lent, { ack: 'one', onReleased })
    await released
    await net.stopAll()
    for (const i of [0, 1, 2]) {
      const held = (await onDisk(net.home(i), blocks)).filter((stat) => stat !== undefined)
      assert.is(held.length, blocks.length, `node ${i}`)
    }
  })
)

uploads(
  'keep claims what is held and names what must be sent',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const [held, fresh] = [blocksOf(5), blocksOf(2)]
    await uploadOn(net.at(0)).put(held)
    const upload = net.at(1).upload('cd'.repeat(16))
    const outcome = await upload.keep([...held, ...fresh].map(({ cid }) => cid))
    assert.equal(outcome.absent.map(String).sort(), fresh.map(({ cid }) => String(cid)).sort())
    assert.is(outcome.replicas, 3)
    assert.is(outcome.bytes, 0)
    await upload.put(fresh)
    assert.equal((await upload.keep(fresh.map(({ cid }) => cid))).absent, [])
    await net.stopAll()
    for (const i of [0, 1, 2]) {
      const claims = (await onDisk(net.home(i), held)).map((stat) => stat?.claims.length)
      assert.equal(claims, [2, 2, 2, 2, 2], 'each under both uploads')
    }
  })
)

uploads(
  'fewer members than N give what they can, and the rest is made up when one joins',
  scoped(async (use) => {
    const net = use(await openNodes(2))
    const blocks = blocksOf(10)
    const outcome = await uploadOn(net.at(0)).put(blocks)
    assert.equal([outcome.replicas, outcome.wanted, outcome.needed], [2, 3, 2])
    assert.is(outcome.short.length, 10)
    assert.match(outcome.short[0]?.reason ?? '', 'waiting for a member')
    await eventually(async () => (await net.at(0).status()).byCopies[2] === 10, 'both know of two copies')
    const before = await net.at(0).status()
    assert.is(before.verdict, 'under-replicated')
    assert.match(before.reason, '2 of 3 members')
    await net.add()
    await net.gathered()
    await eventually(async () => (await net.at(1).status()).byCopies[3] === 10, 'the third has all')
    await net.stopAll()
    assert.ok((await onDisk(net.home(2), blocks)).every((stat) => stat !== undefined))
  })
)

uploads(
  'blocks below an N of their own, above the network’s, are short of copies and not lost',
  scoped(async (use) => {
    const net = use(await openNodes(2, { create: { open: false, replicas: 1 } }))
    assert.is((await uploadOn(net.at(0)).put(blocksOf(5), { replicas: 3 })).replicas, 2)
    await eventually(async () => (await net.at(0).status()).repairing.blocks === 5, 'all are known')
    const { verdict, byCopies } = await net.at(0).status()
    assert.equal([verdict, byCopies], ['under-replicated', [0, 5]])
  })
)

uploads(
  'a put that is given up rejects with its reason and leaves no listener',
  scoped(async (use) => {
    const net = use(await openNodes(3))
    const upload = uploadOn(net.at(0))
    const abort = new AbortController()
    const { signal } = abort
    await upload.put(blocksOf(2), { signal })
    assert.is(getEventListeners(signal, 'abort').length, 0, 'of a put that is done')
    const reason = new CairnError('TIMEOUT', 'enough')
    const puts = blocksOf(30, 1_000_000).map((block) => upload.put([block], { signal }))
    const ends = Promise.allSettled(puts)
    abort.abort(reason)
    for (const end of await ends) {
      assert.is(end.status, 'rejected')
      assert.is((end as PromiseRejectedResult).reason, reason)
    }
    assert.is(getEventListeners(signal, 'abort').length, 0, 'of those given up')
    assert.is(await codeOf(upload.put(blocksOf(1), { signal })), 'TIMEOUT')
    assert.is((await upload.put(blocksOf(3))).replicas, 3, 'the next is as good as any')
  })
)

uploads(
  'members that are full are passed over, known to be so, and a put says when there is no room at all',
  scoped(async (use) => {
    const net = use(await openNodes(1, { create: { open: false, replicas: 1 }, capacity: 40 * 1024 * 1024 }))
    const upload = uploadOn(net.at(0))
    let refused: unknown
    for (let i = 0; i < 40 && refused === undefined; i++) {
      refused = await upload.put(blocksOf(1, 1_000_000)).then(
        () => undefined,
        (error: unknown) => error
      )
    }
    assert.ok(CairnError.is(refused, 'FULL'), String(refused))
    await eventually(async () => net.at(0).peers()[0]?.full === true, 'it says that it is full')
    await net.add()
    await net.gathered()
    assert.is((await upload.put(blocksOf(5, 100_000))).replicas, 1, 'the other takes what is new')
    assert.ok((await net.at(0).status()).usage.full)
  })
)

uploads.run()
