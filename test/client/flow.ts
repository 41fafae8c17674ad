/** A transfer that is given up stops at once, and whoever is slow is waited for by few. */
// limit: 120 s
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { cidOf } from '@cairn/blocks'
import { type Client, createClient } from '@cairn/client'
import { ANSWERING_BYTES, BULK_MAX, type Serving, serveNode } from '@cairn/gateway'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Nodes, openNodes } from '../../packages/node/test/support/nodes.ts'
import { eventually } from '../support/eventually.ts'
import { randomBytes } from './support/world.ts'

const MIB = 1024 * 1024
/** Far above what stopping takes, far below what would end by itself: 15 s of a put's second tries. */
const AT_ONCE_MS = 8_000
/** For what takes a moment on an idle machine. */
const LIMIT_MS = 60_000
/** What the system itself keeps of an answer that nobody reads, in both sockets. */
const SOCKET_BYTES = 8 * MIB
/** More than all bounds on the way together. */
const FILE_MIB = 64
/** That go with a few blocks, and the roots. */
const CLAIMS_BYTES = 20_000
const BARE = { digests: [] }

const flow = suite('flow')

interface Site {
  net: Nodes
  serving: Serving
  client: Client
}

/** Nodes with so many copies of all, the first served over HTTP. */
function site(nodes: number, replicas: number, body: (site: Site) => Promise<void>): () => Promise<void> {
  return async () => {
    const net = await openNodes(nodes, { create: { open: false, replicas } })
    try {
      const serving = await serveNode(net.at(0), { onStop: () => {} })
      try {
        await body({ net, serving, client: createClient({ url: serving.url, token: net.at(0).token }) })
      } finally {
        await serving.close()
      }
    } finally {
      await net[Symbol.asyncDispose]()
    }
  }
}

/** Of all nodes and the API, bytes in memory. */
function held({ net, serving }: Site): number {
  const { sending, answering } = serving.held()
  const each = net.nodes.map((node) => {
    const { puttingBytes, receivingBytes, readingBytes } = node.flow()
    return puttingBytes + receivingBytes + readingBytes
  })
  return each.reduce((a, b) => a + b, sending + answering)
}

/** For some looks: a cancel may still be on its way. */
async function idle(at: Site, limitMs = LIMIT_MS): Promise<void> {
  let looks = 0
  await eventually('nothing is held', limitMs, (tell) => {
    tell(`${held(at)} bytes`)
    looks = held(at) === 0 ? looks + 1 : 0
    return looks > 3 || undefined
  })
}

const served = ({ net }: Site) => net.at(1).flow().servedBytes

flow(
  'a get that is given up stops at both ends',
  site(2, 1, async (at) => {
    const { cid } = await at.client.put(randomBytes(40 * MIB), BARE)
    await idle(at)
    const abort = new AbortController()
    const failed = await (async () => {
      for await (const _ of await at.client.get(cid, { signal: abort.signal })) abort.abort()
    })().catch((error) => error)
    assert.instance(failed, Error)
    await idle(at, AT_ONCE_MS)
    const sent = served(at)
    const onOther = (await at.net.at(1).status()).usage.bytes
    assert.ok(sent < onOther, `${sent} of ${onOther} bytes were sent`)
    const other = await at.client.put(randomBytes(3 * MIB, 7), BARE)
    await (await at.client.get(other.cid)).bytes()
    assert.ok(served(at) - sent <= 3 * MIB + CLAIMS_BYTES, 'nothing of the first is sent any more')
  })
)

flow(
  'a put that is given up stops at both ends',
  site(2, 2, async (at) => {
    const abort = new AbortController()
    function* endless() {
      for (let i = 0; ; i++) yield randomBytes(MIB, i)
    }
    const put = at.client.put(endless(), { ...BARE, signal: abort.signal })
    const failed = Promise.resolve(put).catch((error: unknown) => error)
    const under = () => at.net.at(0).flow().puttingBytes > 4 * MIB || undefined
    await eventually('some of it is on its way', LIMIT_MS, under)
    abort.abort()
    assert.instance(await failed, Error)
    await idle(at, AT_ONCE_MS)
    const blocks = async () => (await at.net.at(1).status()).usage.blocks
    const before = await blocks()
    await at.client.put('another', BARE)
    assert.ok((await blocks()) - before <= 1, 'nothing of the first arrives any more')
  })
)

flow(
  'a reader that takes nothing, or little, has no more in memory than its bound, and holds up nobody',
  site(2, 1, async (at) => {
    const file = randomBytes(FILE_MIB * MIB)
    await at.client.put(file, BARE)
    await idle(at)
    const cids = Array.from({ length: FILE_MIB }, (_, i) => `${cidOf(file.subarray(i * MIB, (i + 1) * MIB))}`)
    let most = 0
    const look = (): number => {
      const bytes = held(at)
      most = Math.max(most, bytes)
      return bytes
    }
    const slow = await answerOf(at.serving.url, cids)
    let seen = -1
    await eventually('it has come to a stop', LIMIT_MS, () => {
      const now = served(at)
      const stands = look() > 0 && now === seen
      seen = now
      return stands || undefined
    })
    for (let i = 0; i < 40; i++) {
      slow.read(10_000) ?? (await once(slow, 'readable'))
      look()
    }
    const quick = await at.client.put(randomBytes(9 * MIB, 5), BARE)
    assert.is((await (await at.client.get(quick.cid)).bytes()).length, 9 * MIB)
    let bytes = 40 * 10_000
    for await (const piece of slow as AsyncIterable<Uint8Array>) {
      bytes += piece.length
      look()
    }
    assert.ok(bytes > FILE_MIB * MIB, `${bytes} bytes came`)
    assert.ok(most <= 2 * ANSWERING_BYTES + SOCKET_BYTES, `${most} bytes were held`)
    await idle(at)
  })
)

flow(
  'a range moves the blocks that it covers, over HTTP and between the nodes, and seeking moves no more',
  site(2, 1, async (at) => {
    let came = 0
    const counting = async (input: string, init?: RequestInit): Promise<Response> => {
      const response = await fetch(input, init)
      const count = new TransformStream<Uint8Array, Uint8Array>({
        transform(piece, out) {
          came += piece.length
          out.enqueue(piece)
        }
      })
      return new Response(response.body?.pipeThrough(count) ?? null, response)
    }
    const reader = createClient({ url: at.serving.url, fetch: counting })
    const file = randomBytes(30 * MIB)
    const { cid } = await at.client.put(file, BARE)
    const before = served(at)
    for (const [i, start] of [17, 3, 25].map((mib) => mib * MIB - 5).entries()) {
      const got = await reader.get(cid, { range: { start, end: start + 9 } })
      assert.ok(Buffer.from(await got.bytes()).equals(file.subarray(start, start + 10)))
      // two leaves, and the root once or again
      const most = (i + 1) * (2 * MIB + CLAIMS_BYTES)
      assert.ok(came < most, `${came} bytes came for ${i + 1} ranges of 10 bytes`)
      assert.ok(served(at) - before < most, `${served(at) - before} bytes between the nodes`)
    }
  })
)

flow(
  'a hundred that upload at once are told BUSY beyond the bound, and all succeed',
  site(1, 1, async (at) => {
    let busy = 0
    const counting = async (input: string, init?: RequestInit): Promise<Response> => {
      const response = await fetch(input, init)
      if (response.status === 503) busy++
      return response
    }
    const options = { url: at.serving.url, token: at.net.at(0).token, fetch: counting }
    const startedMs = performance.now()
    const took = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const { replicas } = await createClient(options).put(randomBytes(MIB, i + 1), BARE)
        assert.is(replicas, 1)
        return performance.now() - startedMs
      })
    )
    const [first = 0, last = 0] = [Math.min(...took), Math.max(...took)]
    console.log(`  the first after ${first.toFixed(0)} ms, the last after ${last.toFixed(0)} ms`)
    assert.ok(busy > 0, `none of 100 was told BUSY with a bound of ${BULK_MAX}`)
    await idle(at)
  })
)

/** The answer to a request for blocks, not read at all. */
async function answerOf(url: string, cids: readonly string[]): Promise<IncomingMessage> {
  const asked = request(`${url}/v1/blocks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' }
  })
  asked.end(JSON.stringify({ cids }))
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  return answer
}

flow.run()
