// limit: 240 s
import { carOf, cidOf } from '@cairn/blocks'
import { createClient } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Fault } from './support/proxy.ts'
import { clientOf, randomBytes, withWorld } from './support/world.ts'

const fetching = suite('createFetchBlock')
const MIB = 1024 * 1024

async function failureOf(promise: PromiseLike<unknown>): Promise<CairnError> {
  try {
    await promise
  } catch (error) {
    assert.ok(CairnError.is(error), String(error))
    return error
  }
  return assert.unreachable('it succeeded') as never
}

/** What can lie in the way, and what the client must say when nothing else is left to ask. */
const FAULTS: { name: string; fault: () => Fault; code: string; says: RegExp }[] = [
  {
    name: 'a flipped bit',
    fault: () => ({ type: 'flip', at: 700_000, towards: 'client' }),
    code: 'BLOCK_CORRUPT',
    says: /not the block/
  },
  {
    name: 'a flipped bit in a CID',
    fault: () => ({ type: 'flip', at: 40, towards: 'client' }),
    code: 'BLOCK_CORRUPT',
    says: /./
  },
  { name: 'a cut', fault: () => ({ type: 'cut', at: 500_000 }), code: 'UNREACHABLE', says: /broke off/ },
  {
    name: 'a cut before the first byte',
    fault: () => ({ type: 'cut', at: 0 }),
    code: 'UNREACHABLE',
    says: /broke off|reached/
  },
  {
    name: 'an end that looks whole',
    fault: () => ({ type: 'shorten', at: 500_000 }),
    code: 'BAD_CAR',
    says: /cut short/
  },
  { name: 'silence', fault: () => ({ type: 'stall', at: 500_000 }), code: 'TIMEOUT', says: /no progress/ },
  {
    name: 'silence from the start',
    fault: () => ({ type: 'stall', at: 0 }),
    code: 'TIMEOUT',
    says: /no progress/
  },
  { name: 'a drip', fault: () => ({ type: 'drip' }), code: 'TIMEOUT', says: /no progress/ },
  { name: 'a page', fault: () => ({ type: 'page' }), code: 'BAD_MESSAGE', says: /not as a Cairn node/ }
]

/** Longer than a busy machine is silent: where it is not silence that is to be found out. */
const NO_STALL_MS = 60_000

for (const { name, fault, code, says } of FAULTS) {
  fetching(
    `${name} on the way is found out, and the next node asked`,
    withWorld(async (world) => {
      const [one, two] = [await world.node(), await world.node()]
      const bytes = randomBytes(6 * MIB)
      const { cid } = await clientOf([[one.url, one.node]]).put(bytes)
      await clientOf([[two.url, two.node]]).put(bytes)
      const bad = await world.proxy(one.url, fault())
      const cairn = clientOf(
        [
          [bad.url, one.node],
          [two.url, two.node]
        ],
        { stallMs: code === 'TIMEOUT' ? 1_000 : NO_STALL_MS }
      )
      assert.ok(Buffer.from(await (await cairn.get(cid)).bytes()).equals(bytes))
      assert.ok(bad.done > 0, 'the fault was never met')
      const before = bad.done
      await (await cairn.get(cid)).bytes()
      assert.is(bad.done, before, 'a node that failed is not asked first again')
    })
  )

  fetching(
    `${name} with nobody else to ask is an error that names the node`,
    withWorld(async (world) => {
      const { node, url } = await world.node()
      const { cid } = await clientOf([[url, node]]).put(randomBytes(MIB))
      const bad = await world.proxy(url, fault())
      const stallMs = code === 'TIMEOUT' ? 50 : NO_STALL_MS
      const error = await failureOf(clientOf([[bad.url, node]], { stallMs }).getBlock(cid))
      assert.is(error.code, code === 'BLOCK_CORRUPT' && name.includes('CID') ? error.code : code)
      assert.ok(
        ['BLOCK_CORRUPT', 'BAD_CAR', 'UNREACHABLE', 'TIMEOUT', 'BAD_MESSAGE', 'BAD_CID'].includes(error.code)
      )
      assert.match(error.message, new RegExp(new URL(bad.url).host))
      assert.match(error.message, says)
    })
  )
}

fetching('a good block that is not the one asked for is refused, and so is one too many', async () => {
  const [a, b] = [1, 2].map((byte) => ({ cid: cidOf(Uint8Array.of(byte)), bytes: Uint8Array.of(byte) }))
  if (a === undefined || b === undefined) return
  let asked = 0
  const answering = (blocks: (typeof a)[]) =>
    createClient({
      urls: ['http://one.example', 'http://two.example'],
      fetch: async (url) => {
        asked++
        const right = url.startsWith('http://two.example') ? [a] : blocks
        const parts: Uint8Array[] = []
        for await (const part of carOf([], right)) parts.push(part)
        return new Response(new Blob(parts as BlobPart[]))
      }
    })
  assert.equal(await answering([b]).getBlock(a.cid), a.bytes)
  assert.is(asked, 2)
  const more = answering([a, b])
  assert.equal(await more.getBlock(a.cid), a.bytes)
  assert.is(asked, 3)
  await new Promise((resolve) => setTimeout(resolve)) // its answer has been read to the end
  await more.getBlock(a.cid)
  assert.is(asked, 4)
  const wrong = await failureOf(
    createClient({
      url: 'http://one.example',
      fetch: async () => {
        const parts: Uint8Array[] = []
        for await (const part of carOf([], [b])) parts.push(part)
        return new Response(new Blob(parts as BlobPart[]))
      }
    }).getBlock(a.cid)
  )
  assert.match(wrong.message, /where .* was asked for/)
})

fetching(
  'when all fail, each is named with what was wrong with it',
  withWorld(async (world) => {
    const nodes = [await world.node(), await world.node(), await world.node()] as const
    const [one, two, three] = nodes
    const { cid } = await clientOf([[one.url, one.node]]).put(randomBytes(MIB))
    const bad = await world.proxy(one.url, { type: 'flip', at: 9_000, towards: 'client' })
    await two.close()
    const cairn = clientOf([
      [bad.url, one.node],
      [two.url, two.node],
      [three.url, three.node]
    ])
    const error = await failureOf(cairn.getBlock(cid))
    assert.is(error.code, 'BLOCK_CORRUPT')
    for (const url of [bad.url, two.url, three.url])
      assert.ok(error.message.includes(url), `${url}: ${error.message}`)
    assert.match(error.message, /no member holds/)
  })
)

fetching(
  'an answer without end gives its blocks and is given up',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const bytes = randomBytes(3 * MIB)
    const { cid } = await clientOf([[url, node]]).put(bytes)
    const bad = await world.proxy(url, { type: 'endless' })
    const got = await clientOf([[bad.url, node]]).get(cid)
    assert.ok(Buffer.from(await got.bytes()).equals(bytes))
  })
)

fetching(
  'a block that one node lacks comes from the other, and the rest stay where they are',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const bytes = randomBytes(30 * MIB)
    const { cid } = await clientOf([[one.url, one.node]]).put(bytes)
    await clientOf([[two.url, two.node]]).put(bytes)
    const keys = [...one.node.blocks.keys()]
    for (const at of [0, 3, 4, 17, 29]) one.node.blocks.delete(keys[at] as never)
    const got = await clientOf([
      [one.url, one.node],
      [two.url, two.node]
    ]).get(cid)
    assert.ok(Buffer.from(await got.bytes()).equals(bytes))
  })
)

fetching(
  'a missing block gives the reason of the node, though it was not the first of its request',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const { cid } = await cairn.put(randomBytes(30 * MIB))
    node.blocks.delete([...node.blocks.keys()][20] as never)
    const error = await failureOf((await cairn.get(cid)).bytes())
    assert.is(error.code, 'NO_PROVIDER')
    assert.match(error.message, /no member holds/)
  })
)

fetching(
  'blocks asked for in one turn travel in few requests',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const blocks = Array.from({ length: 64 }, (_, i) => Uint8Array.of(i, 1, 2))
    for (const bytes of blocks) await node.upload('x').put([{ cid: cidOf(bytes), bytes }])
    const way = await world.proxy(url, { type: 'none' })
    const cairn = clientOf([[way.url, node]])
    const got = await Promise.all(blocks.map((bytes) => cairn.getBlock(cidOf(bytes))))
    assert.equal(
      got.map(([first]) => first),
      blocks.map(([first]) => first)
    )
    // four at once, and one more if the first had to wait for a look at who is there
    const requests = way.paths.filter((path) => path === '/v1/blocks').length
    assert.ok(requests <= 5, `${requests} requests`)
  })
)

fetching(
  'a busy node is waited for',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const { cid } = await clientOf([[url, node]]).put(randomBytes(MIB))
    const way = await world.proxy(url, { type: 'busy', times: 5 })
    await clientOf([[way.url, node]]).getBlock(cid)
    assert.is(way.done, 6)
  })
)

fetching(
  'an abort throws its reason at once and ends the request',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const { cid } = await clientOf([[url, node]]).put(randomBytes(MIB))
    const way = await world.proxy(url, { type: 'stall', at: 1_000 })
    const stop = new AbortController()
    const got = clientOf([[way.url, node]], { stallMs: 20_000 }).getBlock(cid, { signal: stop.signal })
    await until(() => way.done === 1)
    stop.abort(new Error('enough'))
    try {
      await got
      assert.unreachable()
    } catch (error) {
      assert.is((error as Error).message, 'enough')
    }
    await until(() => way.closed === 1)
  })
)

fetching(
  'a reader that leaves early stops what was asked for ahead, and the process may end',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const { cid } = await cairn.put(randomBytes(80 * MIB))
    let asked = 0
    const get = node.get
    node.get = (...args) => {
      asked++
      return get(...args)
    }
    for await (const _ of await cairn.get(cid)) break
    const { body } = await cairn.get(cid)
    await body.cancel()
    assert.ok(asked <= 80, `${asked} asked for`)
  })
)

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6_000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(condition(), 'waited a minute')
}

fetching.run()
