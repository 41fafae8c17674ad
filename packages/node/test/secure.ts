import { once } from 'node:events'
import { createServer } from 'node:net'
import { decode, encode, type PeerId } from '@cairn/core'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HELLO_PROTOCOL, hearHello } from '../src/admission.ts'
import { type Network, newNetwork } from '../src/network.ts'
import { connectChannel } from '../src/secure-channel.ts'
import { serveBulk, serverBudgets } from '../src/serve.ts'
import { streamChannel } from '../src/stream-channel.ts'
import { TICKET_PROTOCOL, ticketCodec } from '../src/ticket.ts'
import { BULK_PROTOCOL } from '../src/transport.ts'
import { codeOf, keyOf, openPair, openPeer, until } from './support/peers.ts'
import { openRaw } from './support/raw.ts'
import { scoped } from './support/scope.ts'

const block = new Uint8Array(100_000).fill(3)
const key = keyOf(block)

/** Asks for a ticket as any peer can; what came, or undefined when the stream was reset. */
async function askOn(connection: Connection) {
  try {
    const stream = await connection.newStream(TICKET_PROTOCOL)
    const answer = await lpStream(stream).read({ signal: AbortSignal.timeout(30_000) })
    return decode(ticketCodec, answer.subarray())
  } catch {
    return undefined
  }
}

/** A member whose tickets name a port that is closed: a firewall, or a NAT, is before it. */
async function openBehindWall(network: Network, port: number) {
  const node = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false }
  })
  const self = node.peerId.toString() as PeerId
  const asked = { tickets: 0, streams: 0 }
  await node.handle(HELLO_PROTOCOL, (stream, connection) => {
    const peer = connection.remotePeer.toString() as PeerId
    const signal = AbortSignal.timeout(30_000)
    return hearHello(stream, { self, peer, credentials: network, addresses: [], signal }, () => {})
  })
  await node.handle(TICKET_PROTOCOL, async (stream) => {
    asked.tickets++
    const ticket = { port, identity: '00'.repeat(16), key: new Uint8Array(32) }
    await lpStream(stream).write(encode(ticketCodec, ticket))
  })
  const server = {
    receive: async () => ({ items: [] }),
    sizes: async () => [block.length],
    read: async () => ({ bytes: block, proofs: [] }),
    claims: async () => []
  }
  await node.handle(BULK_PROTOCOL, async (stream) => {
    asked.streams++
    const channel = streamChannel(stream, 'asker', { stallMs: 5_000 })
    await serveBulk(channel, self, { server, budgets: serverBudgets() }).catch(() => {}) // the test is over
  })
  const addresses = () => node.getMultiaddrs().map(String)
  return { id: self, asked, addresses, [Symbol.asyncDispose]: async () => node.stop() }
}

const secure = suite('secure bulk')

secure(
  'a ticket is given on an admitted control connection and on no other',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const member = use(await openPeer(network))
    const raw = use(await openRaw())
    const control = await raw.enter(member, network, 'control')
    const bulk = await raw.enter(member, network, 'bulk')
    assert.is(await askOn(bulk), undefined)
    const ticket = await askOn(control)
    assert.is(ticket?.key.length, 32)
    const stranger = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false }
    })
    try {
      const connection = await stranger.dial(multiaddr(member.transport.addresses()[0]))
      assert.is(await askOn(connection), undefined)
    } finally {
      await stranger.stop()
    }
    const limits = { stallMs: 5_000 }
    const to = { host: '127.0.0.1', ...(ticket as NonNullable<typeof ticket>) }
    const dial = () => connectChannel(to, { peer: member.id, limits, signal: AbortSignal.timeout(30_000) })
    const channel = await dial()
    await until(() => member.transport.secureChannels().accepted === 1, 'the ticket admits')
    assert.is(await codeOf(dial()), 'UNREACHABLE', 'once')
    channel.abort(new Error('done'))
  })
)

secure(
  'when the port is closed or mute, libp2p carries the blocks, and TLS is not tried again at once',
  scoped(async (use) => {
    const mute = createServer((socket) => void socket.on('error', () => undefined).resume())
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    try {
      const { port: mutePort } = mute.address() as { port: number }
      for (const port of [1, mutePort]) {
        const network = newNetwork({ open: false })
        const member = use(await openBehindWall(network, port))
        const asker = use(await openPeer(network))
        await asker.transport.dial(member.addresses())
        for (let i = 0; i < 2; i++) {
          let got = 0
          const onBlock = ({ bytes }: { bytes?: Uint8Array }) => {
            got += bytes?.length ?? 0
          }
          await asker.transport.fetchBlocks(member.id, [key], { onBlock })
          assert.is(got, block.length)
        }
        const pushing = asker.transport.sendBlocks(member.id, [{ key, proofs: [] }], { onAnswer: () => {} })
        await pushing
        assert.equal(member.asked, { tickets: 1, streams: 2 })
        assert.equal(asker.transport.secureChannels(), { dialled: 0, accepted: 0 })
      }
    } finally {
      mute.close()
    }
  })
)

secure(
  'a member without the port, or that must not dial one, uses libp2p',
  scoped(async (use) => {
    for (const options of [{ server: { bulkPort: false } }, { client: { bulkPort: false } }] as const) {
      const { server, client } = use(await openPair(options))
      server.blocks.set(key, { key, bytes: block, proofs: [] })
      let got = 0
      await client.transport.fetchBlocks(server.id, [key], {
        onBlock: ({ bytes }) => {
          got += bytes?.length ?? 0
        }
      })
      assert.is(got, block.length)
      assert.is(client.transport.secureChannels().dialled, 0)
    }
  })
)

secure(
  'giving a peer up ends its channels, and the next transfer opens another',
  scoped(async (use) => {
    const { server, client } = use(await openPair())
    server.blocks.set(key, { key, bytes: block, proofs: [] })
    const fetch = () => client.transport.fetchBlocks(server.id, [key], { onBlock: () => {} })
    await fetch()
    assert.equal(client.transport.secureChannels(), { dialled: 1, accepted: 0 })
    server.transport.disconnect(client.id)
    await until(() => client.transport.secureChannels().dialled === 0, 'the channel is closed')
    await until(() => client.transport.connectedPeers().length === 0, 'and the connection')
    await client.transport.dial(server.transport.addresses())
    await fetch()
    assert.equal(server.transport.secureChannels(), { dialled: 0, accepted: 1 })
  })
)

secure(
  'a port for blocks that is taken is refused by name',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    try {
      assert.is(await codeOf(openPeer(network, { bulkPort: port })), 'PORT_IN_USE')
    } finally {
      taken.close()
    }
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.2/tcp/0', '/ip6/::1/tcp/0']
    use(await openPeer(network, { listen }))
  })
)

secure.run()
