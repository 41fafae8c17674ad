import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { decode, encode, type PeerId, PROTOCOL_VERSION } from '@cairn/core'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HELLO_PROTOCOL, type Hello, helloCodec } from '../src/admission.ts'
import { CONTROL_PROTOCOL } from '../src/control.ts'
import { newNetwork } from '../src/network.ts'
import { BULK_PROTOCOL } from '../src/transport.ts'
import { codeOf, openPeer, type TestPeer, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

/** A stranger: plain libp2p that knows Cairn's protocols by name only. */
async function openStranger(keyType: 'Ed25519' | 'secp256k1' = 'Ed25519') {
  const privateKey =
    keyType === 'Ed25519' ? await generateKeyPair('Ed25519') : await generateKeyPair('secp256k1')
  const node = await createLibp2p({
    privateKey,
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false }
  })
  return Object.assign(node, { [Symbol.asyncDispose]: async () => node.stop() })
}

const addressOf = (peer: TestPeer) => multiaddr(peer.transport.addresses()[0])

/** Nothing on a connection that was closed before: a slow machine's strangers are late. */
async function openOn(connection: Connection, protocol: string): Promise<Stream | undefined> {
  try {
    return await connection.newStream(protocol)
  } catch (cause) {
    if (connection.status === 'open') throw cause
    return undefined
  }
}

/** Resolves once the other side reset or closed the stream, with the bytes that it said before. */
async function silence(stream: Stream | undefined): Promise<number> {
  if (stream === undefined) return 0
  let heard = 0
  let gone = stream.status !== 'open'
  stream.addEventListener('message', ({ data }) => {
    heard += data.byteLength
  })
  stream.addEventListener('close', () => {
    gone = true
  })
  await until(() => gone || stream.status !== 'open', 'the stream is refused')
  return heard
}

const admission = suite('admission')

admission(
  'the right secret admits, and the joiner learns the network',
  scoped(async (use) => {
    const network = newNetwork({ open: false, replicas: 2 })
    const member = use(await openPeer(network))
    const { id, secret } = network
    const joiner = use(await openPeer({ id, ...(secret === undefined ? {} : { secret }) }))
    assert.is(joiner.transport.network(), undefined)
    assert.is(await joiner.transport.dial(member.transport.addresses()), member.id)
    assert.equal(joiner.transport.network(), network)
    await until(() => member.log.length === 1, 'the member hears of it')
    assert.equal(member.log, [`connected ${joiner.id.slice(-4)}`])
    assert.equal(joiner.log, [`connected ${member.id.slice(-4)}`])
    assert.ok((joiner.transport.rttMs(member.id) ?? -1) >= 0)
  })
)

admission(
  'whoever lacks the secret, or belongs elsewhere, is refused by code on both sides',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const member = use(await openPeer(network))
    const other = newNetwork({ open: false })
    const cases = [
      [{ ...network, secret: other.secret as string }, 'WRONG_SECRET'],
      [{ id: network.id }, 'WRONG_SECRET'],
      [{}, 'WRONG_SECRET'],
      [other, 'WRONG_NETWORK'],
      [newNetwork({ open: true }), 'WRONG_NETWORK'],
      [{ id: network.id, open: true, replicas: 3 }, 'WRONG_SECRET']
    ] as const
    for (const [credentials, code] of cases) {
      const outsider = use(await openPeer(credentials))
      assert.is(await codeOf(outsider.transport.dial(member.transport.addresses())), code)
      await until(() => member.log.at(-1) === `${code} ${outsider.id.slice(-4)}`, `the member notes ${code}`)
      assert.equal(outsider.log, [`${code} ${member.id.slice(-4)}`])
    }
    assert.equal(member.transport.connectedPeers(), [])
  })
)

admission(
  'a dialler that skips its own checks gets no further: no proof, a random one, the listeners own sent back',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const member = use(await openPeer(network))
    const stranger = use(await openStranger())
    const proofs: ((theirs: Uint8Array | undefined) => Uint8Array | undefined)[] = [
      () => undefined,
      () => randomBytes(32),
      (theirs) => theirs
    ]
    for (const proofOf of proofs) {
      const connection = await stranger.dial(addressOf(member), { force: true })
      const line = lpStream(await connection.newStream(HELLO_PROTOCOL))
      const say = (hello: Hello) => line.write(encode(helloCodec, { version: PROTOCOL_VERSION, hello }))
      const hear = async () => decode(helloCodec, (await line.read()).subarray()).hello
      await say({ type: 'opening', role: 'control', network: network.id, nonce: randomBytes(32) })
      const challenge = await hear()
      assert.is(challenge.type, 'challenge')
      if (challenge.type !== 'challenge') return
      await say({ type: 'answer', proof: proofOf(challenge.proof), addresses: [] })
      assert.equal(await hear(), { type: 'refusal', reason: 'secret', network: network.id })
      await until(() => connection.status !== 'open', 'the connection is closed')
    }
    await until(() => member.log.length === 3, 'the member notes each')
    assert.equal(member.log, Array(3).fill(`WRONG_SECRET ${stranger.peerId.toString().slice(-4)}`))
  })
)

admission(
  'a node that claims to be open does not admit a holder of the secret without proof',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const pretender = use(await openPeer({ id: network.id, open: true, replicas: 1 }))
    const member = use(await openPeer(network))
    assert.is(await codeOf(member.transport.dial(pretender.transport.addresses())), 'WRONG_SECRET')
    assert.equal(member.transport.network(), network)
  })
)

admission(
  'another protocol version is refused with both versions named',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const member = use(await openPeer(network))
    const newer = use(await openPeer(network, { version: PROTOCOL_VERSION + 1 }))
    assert.is(await codeOf(newer.transport.dial(member.transport.addresses())), 'WRONG_VERSION')
    await until(() => member.rejections.length === 1, 'the member notes it')
    assert.match(member.rejections[0]?.error.message ?? '', /version 3.*version 2/)
    assert.match(newer.rejections[0]?.error.message ?? '', /version 2.*version 3/)
    assert.match(member.rejections[0]?.error.hint ?? '', 'this machine')
    assert.match(newer.rejections[0]?.error.hint ?? '', 'other machine')
  })
)

admission(
  'one address is enough to join an open network, and a node without one cannot admit',
  scoped(async (use) => {
    const network = newNetwork({ open: true, replicas: 5 })
    const member = use(await openPeer(network))
    const joiner = use(await openPeer({}))
    const lost = use(await openPeer({}))
    assert.is(await codeOf(lost.transport.dial(joiner.transport.addresses())), 'BUSY')
    await joiner.transport.dial(member.transport.addresses())
    assert.equal(joiner.transport.network(), network)
    await lost.transport.dial(joiner.transport.addresses())
    assert.equal(lost.transport.network(), network)
  })
)

admission(
  'no protocol answers on a connection without a hello, and after a while it is closed',
  scoped(async (use) => {
    const member = use(await openPeer(newNetwork({ open: true }), { limits: { helloMs: 500 } }))
    const stranger = use(await openStranger())
    const connection = await stranger.dial(addressOf(member))
    for (const protocol of [CONTROL_PROTOCOL, BULK_PROTOCOL]) {
      const stream = await openOn(connection, protocol)
      if (stream?.writeStatus === 'writable') stream.send(new Uint8Array(1_000))
      assert.is(await silence(stream), 0, protocol)
    }
    assert.equal(member.messages, [])
    await until(() => connection.status !== 'open', 'the silent connection is closed')
    await until(() => member.log.length > 0, 'and the member says why')
    assert.equal(member.log, [`TIMEOUT ${stranger.peerId.toString().slice(-4)}`])
  })
)

admission(
  'a hello cut short, too long or nonsense admits nobody',
  scoped(async (use) => {
    const member = use(await openPeer(newNetwork({ open: true }), { limits: { helloMs: 500 } }))
    const stranger = use(await openStranger())
    for (const said of [
      new Uint8Array(),
      Uint8Array.of(0, 1, 9),
      new Uint8Array(60),
      new Uint8Array(1_000).fill(1)
    ]) {
      const connection = await stranger.dial(addressOf(member), { force: true })
      const hello = await openOn(connection, HELLO_PROTOCOL)
      if (hello !== undefined) await lpStream(hello).write(said)
      const stream = await openOn(connection, CONTROL_PROTOCOL)
      assert.is(await silence(stream), 0)
      await until(() => connection.status !== 'open', 'the connection is closed')
    }
    const connection = await stranger.dial(addressOf(member), { force: true })
    const hello = await connection.newStream(HELLO_PROTOCOL)
    hello.send(Uint8Array.of(255, 255, 255, 127))
    await until(() => connection.status !== 'open', 'the endless hello is closed')
    assert.equal(member.transport.connectedPeers(), [])
    assert.not.ok(member.log.some((line) => line.startsWith('connected')))
  })
)

admission(
  'only Ed25519 peers connect',
  scoped(async (use) => {
    const member = use(await openPeer(newNetwork({ open: true })))
    const stranger = use(await openStranger('secp256k1'))
    let ended = false
    const connection = await stranger.dial(addressOf(member)).catch(() => {
      ended = true
    })
    if (connection) await until(() => connection.status !== 'open', 'the connection is closed')
    assert.ok(ended || connection?.status !== 'open')
    assert.equal(member.log, [])
  })
)

admission(
  'bytes that are no libp2p do no harm',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const member = use(await openPeer(network))
    const port = Number(/tcp\/(\d+)/.exec(member.transport.addresses()[0] ?? '')?.[1])
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => {}) // a reset is as good as an end
    socket.resume().write(Buffer.alloc(100_000, 7))
    await until(() => socket.destroyed || socket.readableEnded, 'the socket is closed')
    socket.destroy()
    const joiner = use(await openPeer({}))
    assert.is(await joiner.transport.dial(member.transport.addresses()), member.id as PeerId)
  })
)

admission.run()
