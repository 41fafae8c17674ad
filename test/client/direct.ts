/** Blocks asked of their holders straight: four real nodes, the client is given the one that came last. */
// limit: 240 s
// beside others
import { type Client, type ClientOptions, createClient } from '@cairn/client'
import { serveNode } from '@cairn/gateway'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually, type Nodes, openNodes } from '../../packages/node/test/support/nodes.ts'
import { type BadProxy, type Fault, startProxy } from './support/proxy.ts'
import { randomBytes } from './support/world.ts'

const direct = suite('direct')
const FILES = 48
const FILE_BYTES = 40_000
const HOLDERS = [0, 1, 2]

interface Site {
  net: Nodes
  /** What the first three nodes say where they are: in front of their own servers. */
  holders: BadProxy[]
  /** In front of the fourth, which is given to the client. */
  given: BadProxy
  client(options?: ClientOptions): Client
  /** All of what is put, read once. @throws when a byte of it is another */
  read(client: Client): Promise<void>
  /** Reads until holders were asked straight for blocks that often more, all together. */
  readStraight(client: Client): Promise<void>
}

const NONE: Fault = { type: 'none' }
const asked = ({ paths }: BadProxy): number => paths.filter((path) => path === '/v1/blocks').length

async function withSite(body: (site: Site) => Promise<void>): Promise<void> {
  const net = await openNodes(3)
  const open: (() => Promise<void>)[] = [async () => net[Symbol.asyncDispose]()]
  const before = async (i: number): Promise<BadProxy> => {
    const { url, close } = await serveNode(net.at(i), { onStop: () => {} })
    open.push(close)
    const proxy = await startProxy(url, NONE)
    open.push(proxy.close)
    return proxy
  }
  try {
    const holders = await Promise.all(HOLDERS.map(before))
    for (const [i, { url }] of holders.entries()) net.at(i).announceHttp(url)
    const files = Array.from({ length: FILES }, (_, i) => ({
      path: `${i}`.padStart(3, '0'),
      content: randomBytes(FILE_BYTES, i + 1)
    }))
    const { token } = net.at(0)
    const { cid } = await createClient({ url: holders[0]?.url ?? '', token }).putDir(files, { digests: [] })
    await net.add()
    await net.gathered()
    await eventually(
      async () =>
        net
          .at(3)
          .peers()
          .filter(({ http }) => http !== undefined).length === HOLDERS.length,
      'the fourth knows where the others are'
    )
    const given = await before(3)
    const site: Site = {
      net,
      holders,
      given,
      client: (options = {}) => createClient({ url: given.url, token: net.at(3).token, ...options }),
      async read(client) {
        let at = 0
        for await (const entry of client.getTree(cid)) {
          if (entry.type !== 'file') continue
          const pieces: Uint8Array[] = []
          for await (const piece of entry.content) pieces.push(piece.slice())
          assert.ok(Buffer.concat(pieces).equals(files[at]?.content as Uint8Array), `file ${at}`)
          at++
        }
        assert.is(at, FILES)
      },
      async readStraight(client) {
        const sum = (): number => holders.reduce((all, holder) => all + asked(holder), 0)
        const least = sum() + HOLDERS.length
        await eventually(async () => {
          await site.read(client)
          return sum() >= least
        }, 'holders are asked straight')
      }
    }
    await body(site)
  } finally {
    for (const close of open.reverse()) await close()
  }
}

/** Holders that say that they are at `decoy` are not believed. */
async function misled({ net, holders, client, read, readStraight }: Site): Promise<void> {
  const [first, second] = holders as [BadProxy, BadProxy]
  const decoy = await startProxy(second.url, NONE)
  try {
    net.at(0).announceHttp(decoy.url)
    const told = (): boolean =>
      net
        .at(3)
        .peers()
        .some(({ http }) => http === decoy.url)
    await eventually(async () => told(), 'it is told')
    const before = asked(first)
    const cairn = client()
    await readStraight(cairn)
    await eventually(async () => {
      await read(cairn)
      return decoy.paths.includes('/v1/node')
    }, 'it is asked who it is')
    await read(cairn)
    assert.equal([asked(decoy), asked(first)], [0, before])
  } finally {
    await decoy.close()
  }
}

direct(
  'holders that answer to their names are asked straight, without a token, unless that is turned off',
  () =>
    withSite(async (site) => {
      const { holders, client, read, readStraight } = site
      const off = client({ direct: false })
      const tokens = (): string[] => holders.flatMap((holder) => holder.tokens)
      const [known, requests] = [tokens().length, holders.flatMap(({ paths }) => paths).length]
      await read(off)
      await read(off)
      assert.is(holders.flatMap(({ paths }) => paths).length, requests)
      const on = client()
      await readStraight(on)
      await eventually(async () => {
        await read(on)
        return holders.every((holder) => asked(holder) > 0)
      }, 'each of them is asked')
      assert.is(tokens().length, known)
      await misled(site)
    })
)

const FAULTS: Fault[] = [
  { type: 'flip', at: 20_000, towards: 'client' },
  { type: 'cut', at: 30_000 },
  { type: 'shorten', at: 30_000 },
  { type: 'stall', at: 0 },
  { type: 'stall', at: 20_000 },
  { type: 'page' },
  { type: 'busy', times: 2 }
]

direct('of one that is wrong, cut off, silent or busy the rest comes from the others', () =>
  withSite(async ({ holders, given, client, read, readStraight }) => {
    const [bad] = holders as [BadProxy]
    for (const fault of FAULTS) {
      bad.fault = NONE
      const cairn = client()
      await readStraight(cairn)
      bad.fault = { ...fault }
      bad.done = 0
      await eventually(async () => {
        await read(cairn)
        return bad.done > 0
      }, `${fault.type} is met`)
    }
    bad.fault = NONE
    const cairn = client()
    await readStraight(cairn)
    for (const holder of holders) holder.fault = { type: 'stall', at: 0 }
    const before = asked(given)
    await read(cairn)
    assert.ok(asked(given) > before, 'with all silent, the node that was given is asked')
  })
)

direct("a loopback address of another machine's is not tried, nor what is no address", async () => {
  const tried = new Set<string>()
  const hints = ['http://127.0.0.1:7401', 'http://localhost:1', 'http://[::1]:2', 'file:///etc', 'x', null]
  const peers = hints.map((http, i) => ({ id: `p${i}`, state: 'alive', capacity: 1, http }))
  const good = { id: 'p9', state: 'alive', capacity: 1, http: 'http://other.example:7401' }
  const fetch = async (input: string): Promise<Response> => {
    tried.add(new URL(input).origin)
    const { pathname } = new URL(input)
    if (pathname === '/v1/node') return Response.json({ id: 'me', api: 1, network: { replicas: 9 } })
    if (pathname === '/v1/peers') return Response.json({ peers: [...peers, good] })
    return Response.json({ error: { code: 'NO_PROVIDER', message: 'none' } }, { status: 404 })
  }
  const cairn = createClient({ url: 'http://given.example', fetch, direct: true })
  await eventually(async () => {
    await cairn.getBlock('bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa').catch(() => {})
    return tried.has('http://other.example:7401')
  }, 'the one that may be tried is')
  assert.equal([...tried].sort(), ['http://given.example', 'http://other.example:7401'])
})

direct.run()
