import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ByteChannel } from '../src/channel.ts'
import { CONTROL_FRAME_BYTES_MAX, createControl } from '../src/control.ts'
import { newNetwork } from '../src/network.ts'
import { openPair, openPeer, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const PEER = 'peer' as PeerId

/** A channel that takes what it is sent when told to, and not before. */
function slowChannel() {
  const sent: Uint8Array[] = []
  const waiting: (() => void)[] = []
  const channel: ByteChannel = {
    sentBytes: 0,
    receivedBytes: 0,
    gone: new AbortController().signal,
    async send(parts) {
      await new Promise<void>((resolve) => waiting.push(resolve))
      sent.push(...parts)
    },
    fill: async () => false,
    skip: async () => {},
    close: async () => {},
    abort: () => {}
  }
  return { channel, sent, take: () => waiting.shift()?.() }
}

const control = suite('control')

control(
  'frames arrive whole and in order, both ways, from nothing to 64 KiB',
  scoped(async (use) => {
    const { server, client } = use(await openPair())
    const texts = [
      '',
      'a',
      'b'.repeat(CONTROL_FRAME_BYTES_MAX),
      ...Array.from({ length: 200 }, (_, i) => `n${i}`)
    ]
    for (const text of texts) client.transport.send(server.id, Buffer.from(text))
    await until(() => server.messages.length === texts.length, 'all frames arrive')
    assert.equal(
      server.messages,
      texts.map((text) => ({ from: client.id, text }))
    )
    server.transport.send(client.id, Buffer.from('back'))
    await until(() => client.messages.length === 1, 'the answer arrives')
    assert.throws(
      () => client.transport.send(server.id, new Uint8Array(CONTROL_FRAME_BYTES_MAX + 1)),
      /64 KiB/
    )
  })
)

control(
  'a frame to a peer not connected dials it at its known address',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const one = use(await openPeer(network))
    const two = use(await openPeer(network))
    one.transport.send(two.id, Buffer.from('lost: no address is known'))
    await until(() => one.transport.droppedFrames() === 1, 'the frame is dropped')
    one.transport.setAddresses(two.id, two.transport.addresses())
    one.transport.send(two.id, Buffer.from('found'))
    await until(() => two.messages.length === 1, 'the frame arrives')
    assert.equal(two.messages, [{ from: one.id, text: 'found' }])
    assert.equal(one.log, [`connected ${two.id.slice(-4)}`])
  })
)

control('a channel that takes no more is given up, so that the next frame goes over another', async () => {
  const aborted: Error[] = []
  const broken: ByteChannel = {
    ...slowChannel().channel,
    send: () => Promise.reject(new Error('the stream takes no more')),
    abort: (reason) => void aborted.push(reason)
  }
  const line = createControl({ open: async () => broken, deliver: () => {} })
  line.send(PEER, Buffer.from('lost'))
  await until(() => aborted.length === 1, 'the channel is given up')
})

control('what a slow peer does not take is bounded: the oldest frames are dropped and counted', async () => {
  const { channel, sent, take } = slowChannel()
  const line = createControl({ open: async () => channel, deliver: () => {} })
  for (let i = 0; i < 1_000; i++) line.send(PEER, Buffer.from(String(i)))
  assert.is(line.dropped(), 1_000 - 256)
  for (let i = 0; i < 100; i++) {
    take()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const texts = sent.filter((_, i) => i % 2 === 1).map((bytes) => Buffer.from(bytes).toString())
  assert.is(texts.at(-1), '999', 'the newest is kept')
  assert.is(texts.length, 256)
  for (let i = 0; i < 100; i++) line.send(PEER, new Uint8Array(60_000))
  assert.ok(line.dropped() > 1_000 - 256 + 50, 'bytes are bounded too')
})

control(
  'frames go on after the connection was lost',
  scoped(async (use) => {
    const network = newNetwork({ open: false })
    const one = use(await openPeer(network))
    const two = use(await openPeer(network))
    await one.transport.dial(two.transport.addresses())
    one.transport.send(two.id, Buffer.from('first'))
    await until(() => two.messages.length === 1, 'the first frame arrives')
    const port = two.transport.addresses()[0]?.replace(/\/p2p.*/, '') as string
    await two.transport.close()
    await until(() => one.log.at(-1) === `disconnected ${two.id.slice(-4)}`, 'the loss is noticed')
    const three = use(await openPeer(network, { listen: [port] }))
    one.transport.setAddresses(three.id, [port])
    one.transport.send(three.id, Buffer.from('second'))
    await until(() => three.messages.length === 1, 'the next frame arrives')
  })
)

control.run()
