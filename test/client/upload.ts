// limit: 240 s
import { keyOf } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clientOf, randomBytes, withWorld } from './support/world.ts'

const uploading = suite('upload')
const MIB = 1024 * 1024
const UPLOADS = /^\/v1\/uploads\/[^/]+\/(blocks|keep)/

async function failureOf(promise: PromiseLike<unknown>): Promise<CairnError> {
  try {
    await promise
  } catch (error) {
    assert.ok(CairnError.is(error), String(error))
    return error
  }
  return assert.unreachable('it succeeded') as never
}

for (const type of ['cut', 'page', 'flip'] as const) {
  uploading(
    `after a ${type} on the way the next node takes the blocks`,
    withWorld(async (world) => {
      const [one, two] = [await world.node(), await world.node()]
      const fault =
        type === 'page'
          ? { type }
          : type === 'cut'
            ? { type, at: 0 }
            : { type, at: 5_000_000, towards: 'node' as const }
      const bad = await world.proxy(one.url, fault, UPLOADS)
      const bytes = randomBytes(40 * MIB)
      const cairn = clientOf([
        [bad.url, one.node],
        [two.url, two.node]
      ])
      const { cid, blocks } = await cairn.put(bytes)
      assert.is(blocks, 41)
      assert.ok(bad.done > 0)
      assert.ok(two.node.blocks.has(keyOf(cid)))
      assert.ok(two.node.calls.includes('finish'))
      assert.not.ok(one.node.calls.includes('finish'))
      const got = await clientOf([[two.url, two.node]]).get(cid)
      assert.ok(Buffer.from(await got.bytes()).equals(bytes))
    })
  )
}

uploading(
  'a node that goes away in the middle: the next one keeps what went before, under the same id',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const way = await world.proxy(one.url, { type: 'none' }, UPLOADS)
    const bytes = randomBytes(64 * MIB)
    async function* source() {
      for (let at = 0; at < bytes.length; at += MIB) {
        // confirmed by the first, all of it, and by nobody else; then the first answers no more
        if (at === 48 * MIB) {
          await until(() => one.node.blocks.size >= 32)
          way.fault = { type: 'page' }
        }
        yield bytes.subarray(at, at + MIB)
      }
    }
    const ids = new Set<string>()
    for (const { node } of [one, two]) {
      const upload = node.upload
      node.upload = (id) => {
        ids.add(id)
        return upload(id)
      }
    }
    const cairn = clientOf([
      [way.url, one.node],
      [two.url, two.node]
    ])
    const { cid } = await cairn.put(source(), { digests: [] })
    assert.is(ids.size, 1)
    // each receipt was of one node only: everything had to be fetched from it and sent again
    assert.is(two.node.blocks.size, 65)
    await one.close()
    const got = await clientOf([[two.url, two.node]]).get(cid)
    assert.ok(Buffer.from(await got.bytes()).equals(bytes))
  })
)

uploading(
  'blocks whose only copy went with a node make the put fail, and the same put again completes it',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const bytes = randomBytes(60 * MIB)
    async function* source(between: () => Promise<void>) {
      for (let at = 0; at < bytes.length; at += MIB) {
        if (at === 40 * MIB) await between()
        yield bytes.subarray(at, at + MIB)
      }
    }
    const cairn = clientOf(
      [
        [one.url, one.node],
        [two.url, two.node]
      ],
      { holdOutMs: 300 }
    )
    const lose = async (): Promise<void> => {
      await until(() => one.node.blocks.size >= 20)
      await one.close()
    }
    const error = await failureOf(cairn.put(source(lose)))
    assert.is(error.code, 'TOO_FEW_REPLICAS')
    assert.match(error.hint ?? '', /same put again/)
    assert.not.ok(two.node.calls.includes('finish'))
    const { cid } = await cairn.put(source(async () => {}))
    assert.ok(two.node.blocks.has(keyOf(cid)))
  })
)

uploading(
  'a put holds out while its only node is away for a moment',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const way = await world.proxy(url, { type: 'cut', at: 0 }, UPLOADS)
    const put = clientOf([[way.url, node]]).put(randomBytes(3 * MIB))
    await until(() => way.done >= 2)
    way.fault = { type: 'none' }
    assert.is((await put).replicas, 1)
  })
)

uploading(
  'a busy node is waited for, not left',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const way = await world.proxy(one.url, { type: 'busy', times: 3 }, UPLOADS)
    await clientOf([
      [way.url, one.node],
      [two.url, two.node]
    ]).put(randomBytes(MIB))
    assert.equal(two.node.calls, [])
  })
)

uploading(
  "a node's refusal is asked of the next node once, and then is the error",
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const few = () => new CairnError('TOO_FEW_REPLICAS', '1 of 3', { hint: 'wait for a member' })
    one.node.putErrors.push(few())
    const cairn = clientOf([
      [one.url, one.node],
      [two.url, two.node]
    ])
    const { cid } = await cairn.put('x')
    assert.ok(two.node.blocks.has(keyOf(cid)))
    for (const { node } of [one, two]) node.putErrors.push(few(), few())
    const error = await failureOf(cairn.put('y'))
    assert.equal([error.code, error.hint], ['TOO_FEW_REPLICAS', 'wait for a member'])
    assert.match(error.message, new RegExp(`${one.url}.*${two.url}|${two.url}.*${one.url}`))
  })
)

uploading(
  'what the request itself has wrong is asked of nobody else',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    one.node.putErrors.push(new CairnError('BAD_REQUEST', 'no'))
    const error = await failureOf(
      clientOf([
        [one.url, one.node],
        [two.url, two.node]
      ]).put('x')
    )
    assert.is(error.code, 'BAD_REQUEST')
    assert.equal(two.node.calls, [])
  })
)

uploading(
  'copies wanted and receipts asked for reach the node',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const { wanted, replicas } = await clientOf([[url, node]]).put('x', { replicas: 3, ack: 'one' })
    assert.equal([wanted, replicas], [3, 1])
  })
)

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6_000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(condition(), 'waited a minute')
}

uploading.run()
