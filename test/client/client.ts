// limit: 240 s
import { cidOf } from '@cairn/blocks'
import { createClient, type NodeEvent, type Progress } from '@cairn/client'
import { CairnError, concat } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clientOf, randomBytes, withWorld } from './support/world.ts'

const client = suite('client')
const MIB = 1024 * 1024
/** The golden value of IPIP-0499's profile, as Kubo and Helia give it. */
const HELLO = 'bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa'

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

async function failureOf(promise: PromiseLike<unknown>): Promise<CairnError> {
  try {
    await promise
  } catch (error) {
    assert.ok(CairnError.is(error), String(error))
    return error
  }
  return assert.unreachable('it succeeded') as never
}

client(
  'whatever the bytes come in, the CID is the one of IPFS, and they come back',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const text = 'hello IPFS\n'
    const bytes = new TextEncoder().encode(text)
    async function* pieces() {
      for (const byte of bytes) yield Uint8Array.of(byte)
    }
    const sources = [
      text,
      bytes,
      new Blob([text]),
      new File([text], 'hello.txt'),
      new Blob([text]).stream(),
      pieces(),
      [bytes]
    ]
    for (const source of sources) {
      const { cid, size, blocks, replicas, wanted, pin } = await cairn.put(source)
      assert.is(cid.toString(), HELLO)
      assert.equal([size, blocks, replicas, wanted], [11, 1, 1, 1])
      assert.is(pin?.name, source instanceof File ? 'hello.txt' : undefined)
    }
    assert.is(await (await cairn.get(HELLO)).text(), text)
    assert.is(await new Response((await cairn.get(HELLO)).body).text(), text)
    assert.equal(concat(await all(await cairn.get(HELLO))), bytes)
  })
)

client(
  'an empty file, one of many blocks, other hashes',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    for (const hash of ['sha2-256', 'sha2-512', 'blake3'] as const) {
      for (const size of [0, 1, MIB, MIB + 1, 20 * MIB + 5]) {
        const bytes = randomBytes(size, size + 1)
        const put = await cairn.put(bytes, { hash })
        const got = await cairn.get(put.cid)
        assert.is(got.size, size)
        assert.ok(Buffer.from(await got.bytes()).equals(bytes), `${hash} ${size}`)
      }
    }
  })
)

client(
  'a range reads what it covers and no other leaf',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const bytes = randomBytes(9 * MIB + 7)
    const { cid } = await cairn.put(bytes)
    const asked: string[] = []
    const get = node.get
    node.get = (cid, options) => {
      asked.push(cid.toString())
      return get(cid, options)
    }
    const range = { start: 3 * MIB + 5, end: 4 * MIB + 4 }
    const got = await cairn.get(cid, { range })
    assert.ok(Buffer.from(await got.bytes()).equals(bytes.subarray(range.start, range.end + 1)))
    assert.is(new Set(asked).size, 3)
    const tail = await cairn.get(cid, { range: { start: bytes.length - 3 } })
    assert.equal(await tail.bytes(), bytes.subarray(-3))
    assert.is((await (await cairn.get(cid, { range: { start: 10 ** 9 } })).bytes()).length, 0)
  })
)

client(
  'a directory, in any order, is listed, walked, read by path, and copied to another network',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const cairn = clientOf([[one.url, one.node]])
    const { cid, size } = await cairn.putDir([
      { path: 'b/c/deep.txt', content: 'deep' },
      { path: 'a.txt', content: new Blob(['a']) },
      { path: 'b/b.bin', content: randomBytes(2 * MIB) }
    ])
    assert.is(size, 2 * MIB + 5)
    const walked = (await all(cairn.walk(cid))).map(({ path, type }) => `${type} ${path.join('/')}`)
    assert.equal(walked, [
      'directory ',
      'file a.txt',
      'directory b',
      'file b/b.bin',
      'directory b/c',
      'file b/c/deep.txt'
    ])
    assert.equal(
      (await all(cairn.ls(`${cid}/b`))).map(({ name }) => name),
      ['b.bin', 'c']
    )
    assert.is(await (await cairn.get(`${cid}/b/c/deep.txt`)).text(), 'deep')
    assert.is((await failureOf(cairn.get(`${cid}/b/none`))).code, 'NOT_FOUND')
    assert.is((await failureOf(cairn.get(`${cid}/b`))).code, 'BAD_DAG')
    const copy = await clientOf([[two.url, two.node]]).putDir(cairn.getTree(cid))
    assert.is(copy.cid.toString(), cid.toString())
  })
)

client(
  'a directory of one file is not that file',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const { cid } = await cairn.putDir([{ path: 'only', content: 'x' }])
    assert.equal(
      (await all(cairn.ls(cid))).map(({ name }) => name),
      ['only']
    )
    const bad = await failureOf(cairn.putDir([{ path: '../x', content: 'x' }]))
    assert.is(bad.code, 'BAD_NAME')
  })
)

client(
  'progress goes through both phases and ends at all bytes and all copies',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const put = cairn.put(randomBytes(30 * MIB))
    const seen: Progress[] = await all(put.progress())
    await put
    assert.equal([...new Set(seen.map(({ phase }) => phase))], ['hashing', 'sending'])
    for (const phase of ['hashing', 'sending']) {
      const bytes = seen.filter((step) => step.phase === phase).map((step) => step.bytes)
      assert.equal(
        bytes,
        bytes.toSorted((a, b) => a - b),
        phase
      )
    }
    assert.equal(seen.at(-1), { phase: 'sending', bytes: 30 * MIB, total: 30 * MIB, replicas: 1 })
  })
)

client(
  'a failed put tells whoever awaits it, and only ends its progress',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = createClient({ url, token: 'wrong' })
    const put = cairn.put('x')
    await all(put.progress())
    const error = await failureOf(put)
    assert.is(error.code, 'UNAUTHORIZED')
    assert.equal(node.calls, [])
  })
)

client(
  'a put that is aborted throws the reason, stops reading, and pins nothing',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const stop = new AbortController()
    let returned = false
    async function* endless() {
      try {
        for (let i = 1; ; i++) {
          yield new Uint8Array(MIB).fill(i)
          if (i === 40) stop.abort(new Error('enough'))
        }
      } finally {
        returned = true
      }
    }
    try {
      await cairn.put(endless(), { signal: stop.signal })
      assert.unreachable()
    } catch (error) {
      assert.is((error as Error).message, 'enough')
    }
    await until(() => returned)
    assert.not.ok(node.calls.includes('finish'))
  })
)

client(
  'an error of the source is the error of the put',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    async function* broken() {
      yield new Uint8Array(10)
      throw new CairnError('DISK_FAILED', 'the file went away')
    }
    assert.is((await failureOf(cairn.put(broken()))).code, 'DISK_FAILED')
  })
)

client(
  'a repeated put sends nothing that is there',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const bytes = randomBytes(40 * MIB)
    const { cid } = await cairn.put(bytes)
    node.calls.length = 0
    const again = await cairn.put(bytes)
    assert.is(again.cid.toString(), cid.toString())
    assert.equal([again.blocks, again.replicas], [41, 1])
    assert.equal(
      node.calls.filter((call) => call.startsWith('put')),
      []
    )
    for (const key of [...node.blocks.keys()].slice(10, 15)) node.blocks.delete(key)
    node.calls.length = 0
    await cairn.put(bytes)
    const sent = node.calls.filter((call) => call.startsWith('put')).map((call) => Number(call.slice(4)))
    assert.is(
      sent.reduce((sum, count) => sum + count, 0),
      5
    )
  })
)

client(
  'a put of new bytes asks about few of them',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    await clientOf([[url, node]]).put(randomBytes(128 * MIB))
    const kept = node.calls.filter((call) => call.startsWith('keep')).length
    const sent = node.calls.filter((call) => call.startsWith('put')).length
    assert.ok(sent >= 16 && kept <= sent / 2, `${kept} asked, ${sent} sent`)
  })
)

client(
  'a source may use its buffer again',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    async function* reusing() {
      const buffer = new Uint8Array(MIB)
      for (let i = 0; i < 20; i++) yield buffer.fill(i)
    }
    const { cid } = await cairn.put(reusing())
    const got = await (await cairn.get(cid)).bytes()
    assert.ok(got.every((byte, at) => byte === Math.floor(at / MIB)))
  })
)

client(
  'status, peers, pins, node, invite, stop, leave',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const { cid } = await cairn.put('x', { name: 'x.txt', digests: [] })
    assert.is((await cairn.status()).alive, 1)
    assert.is((await cairn.status(cid)).root.toString(), cid.toString())
    assert.is((await cairn.waitFor(cid, { replicas: 1 })).blocks, 1)
    assert.is((await failureOf(cairn.waitFor(cid, { replicas: 9 }))).code, 'BAD_REQUEST')
    assert.is((await cairn.peers())[0]?.self, true)
    assert.is((await cairn.node()).id, node.id)
    assert.is(await cairn.invite(), node.invite())
    assert.equal(
      (await all(cairn.pins.list())).map((pin) => [pin.root.toString(), pin.name]),
      [[cid.toString(), 'x.txt']]
    )
    await cairn.pins.rm(cid)
    assert.is((await failureOf(cairn.pins.rm(cid))).code, 'NOT_FOUND')
    const told: unknown[] = []
    await cairn.leave({ onProgress: (left) => told.push(left) })
    assert.equal(told, [{ blocks: 1, bytes: 1 }])
    assert.ok(node.stopped)
    await cairn.stop()
  })
)

client(
  'events, of the types asked for, until aborted',
  withWorld(async (world) => {
    const { node, url } = await world.node()
    const cairn = clientOf([[url, node]])
    const stop = new AbortController()
    const cid = cidOf(Uint8Array.of(1))
    const seen: NodeEvent[] = []
    const reading = (async () => {
      for await (const event of cairn.events({ types: ['pin'], signal: stop.signal })) {
        seen.push(event)
        stop.abort(new Error('seen'))
      }
    })()
    const telling = setInterval(() => {
      node.tell({ type: 'log', level: 'info', text: 'no', atMs: 1 })
      node.tell({ type: 'pin', root: cid, removed: false, atMs: 2 })
    }, 20)
    try {
      await reading
      assert.unreachable()
    } catch (error) {
      assert.is((error as Error).message, 'seen')
    } finally {
      clearInterval(telling)
    }
    assert.is(seen[0]?.type === 'pin' && seen[0].root.toString(), cid.toString())
  })
)

client(
  'a CAR goes from one network to another',
  withWorld(async (world) => {
    const [one, two] = [await world.node(), await world.node()]
    const from = clientOf([[one.url, one.node]])
    const to = clientOf([[two.url, two.node]])
    const { cid, blocks } = await from.putDir([
      { path: 'a', content: randomBytes(3 * MIB) },
      { path: 'b', content: 'b' }
    ])
    const imported = await to.car.import(await from.car.export(cid))
    assert.equal([imported.cid.toString(), imported.blocks], [cid.toString(), blocks])
    assert.is(await (await to.get(`${cid}/b`)).text(), 'b')
    assert.is((await failureOf(to.car.import('rubbish'))).code, 'BAD_CAR')
  })
)

client('nobody there is UNREACHABLE, with the url and what to do', async () => {
  const error = await failureOf(createClient({ url: 'http://127.0.0.1:9' }).status())
  assert.is(error.code, 'UNREACHABLE')
  assert.match(error.message, /127\.0\.0\.1:9/)
  assert.match(error.hint ?? '', /cairn start/)
  assert.throws(() => createClient({}), TypeError)
  assert.throws(
    () => createClient({ url: 'ftp://x' }),
    (error: Error) => CairnError.is(error, 'BAD_CONFIG')
  )
})

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6_000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(condition(), 'waited a minute')
}

client.run()
