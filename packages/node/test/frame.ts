import { randomBytes } from 'node:crypto'
import { BLOCK_BYTES_MAX, CairnError } from '@cairn/core'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ByteChannel } from '../src/channel.ts'
import { encodeEntries, encodeHeader, type OutEntry, readEntries, readMessage } from '../src/frame.ts'
import { newNetwork } from '../src/network.ts'
import { BULK_PROTOCOL } from '../src/transport.ts'
import { codeOf, keyOf, openPair, openPeer, until } from './support/peers.ts'
import { openRaw, outcomeOf } from './support/raw.ts'
import { scoped } from './support/scope.ts'

/** A channel that holds `bytes` and then ends; `allocated` is the largest buffer that it was to fill. */
function holding(bytes: Uint8Array) {
  let at = 0
  const state = { allocated: 0 }
  const channel: ByteChannel = {
    sentBytes: 0,
    receivedBytes: bytes.length,
    gone: new AbortController().signal,
    send: async () => {},
    async fill(target, patient = false) {
      state.allocated = Math.max(state.allocated, target.length)
      if (at === bytes.length && patient) return false
      if (at + target.length > bytes.length) throw new CairnError('UNREACHABLE', 'cut short')
      target.set(bytes.subarray(at, at + target.length))
      at += target.length
      return true
    },
    skip: async () => {},
    close: async () => {},
    abort: () => {}
  }
  return { channel, state }
}

async function readAll(bytes: Uint8Array): Promise<number> {
  const { channel } = holding(bytes)
  let messages = 0
  for (let next = await readMessage(channel); next !== undefined; next = await readMessage(channel)) {
    messages++
    if (next.type === 'push' || next.type === 'blocks') await readEntries(channel, next.entries)
  }
  return messages
}

const key = keyOf(new Uint8Array(1))
const entries: OutEntry[] = [
  { key, bytes: randomBytes(1_000), proofs: [randomBytes(10)] },
  { key: keyOf(new Uint8Array(2)), proofs: [] }
]
const whole = Buffer.concat([
  ...encodeEntries('push', 7, entries),
  encodeHeader({ type: 'want', id: 8, keys: [key] }),
  encodeHeader({ type: 'credit', id: 8, bytes: 1_000_000 }),
  encodeHeader({ type: 'cancel', id: 8 }),
  encodeHeader({ type: 'failed', id: 8, reason: 'no' }),
  encodeHeader({
    type: 'answer',
    id: 7,
    outcomes: [{ outcome: 'full', reason: undefined }],
    receipt: randomBytes(100)
  })
])

const frame = suite('frame')

frame('all messages come back', async () => {
  assert.is(await readAll(whole), 6)
})

frame('mutated frames are malformed, cut short or harmless: nothing else', async () => {
  const mutation = fc.record({
    at: fc.nat(whole.length - 1),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    cut: fc.nat(whole.length)
  })
  await fc.assert(
    fc.asyncProperty(mutation, fc.boolean(), async ({ at, bytes, cut }, cutting) => {
      const changed = Buffer.from(whole)
      changed.set(bytes.subarray(0, changed.length - at), at)
      const outcome = await outcomeOf(() => readAll(cutting ? changed.subarray(0, cut) : changed))
      assert.ok(['accepted', 'BAD_MESSAGE', 'UNREACHABLE'].includes(outcome), outcome)
    }),
    { numRuns: 3_000 }
  )
})

frame('lengths are checked before anything is allocated', async () => {
  const huge = Buffer.alloc(8)
  huge.writeUInt32BE(0xffffffff)
  const large = (size: number, proofs: number[], count: number) =>
    encodeHeader({
      type: 'push',
      id: 1,
      entries: Array.from({ length: count }, () => ({ key, size, proofs }))
    })
  const cases = [
    huge,
    large(BLOCK_BYTES_MAX + 1, [], 1),
    large(2 ** 40, [], 1),
    large(0, [4_097], 1),
    large(BLOCK_BYTES_MAX, [], 3)
  ]
  for (const bytes of cases) {
    const { channel, state } = holding(bytes)
    assert.is(await outcomeOf(() => readMessage(channel)), 'BAD_MESSAGE')
    assert.ok(state.allocated <= bytes.length, `${state.allocated} bytes allocated`)
  }
})

frame(
  'a member that sends nonsense loses its stream and is noted, and others are served on',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const server = use(await openPeer(network, { bulk: { read: () => new Promise<never>(() => {}) } }))
    const raw = use(await openRaw())
    const header = (value: Parameters<typeof encodeHeader>[0]) => encodeHeader(value)
    const five = Array.from({ length: 5 }, (_, id) => header({ type: 'want', id, keys: [key] }))
    const attacks: [string, Uint8Array][] = [
      ['a length of 4 GiB', Uint8Array.of(255, 255, 255, 255)],
      ['random bytes', Buffer.concat([Uint8Array.of(0, 0, 0, 40), randomBytes(40)])],
      [
        'a block of 2^40 bytes',
        header({ type: 'push', id: 1, entries: [{ key, size: 2 ** 40, proofs: [] }] })
      ],
      ['an answer to the server', header({ type: 'answer', id: 1, outcomes: [], receipt: undefined })],
      ['the same request twice', Buffer.concat([five[0] as Uint8Array, five[0] as Uint8Array])],
      ['five requests at once', Buffer.concat(five)]
    ]
    for (const [what, bytes] of attacks) {
      const before = server.rejections.length
      const connection = await raw.enter(server, network, 'bulk')
      const stream = await connection.newStream(BULK_PROTOCOL)
      stream.send(bytes)
      await until(() => stream.status !== 'open', `${what} ends the stream`)
      await until(() => server.rejections.length > before, `${what} is noted`)
      assert.is(server.rejections.at(-1)?.who, raw.id)
      assert.is(server.rejections.at(-1)?.error.code, 'BAD_MESSAGE', what)
      await connection.close()
    }
    const honest = use(await openPeer(network))
    await honest.transport.dial(server.transport.addresses())
    await honest.transport.sendBlocks(server.id, entries, { onAnswer: () => {} })
    assert.ok(server.blocks.has(key))
  })
)

frame(
  'pushes beyond the credit are refused, not stored up',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    let received = 0
    const receive = async (_: unknown, pushed: OutEntry[]) => {
      received += pushed.length
      return new Promise<never>(() => {})
    }
    const server = use(await openPeer(network, { bulk: { receive } }))
    const raw = use(await openRaw())
    const stream = await (await raw.enter(server, network, 'bulk')).newStream(BULK_PROTOCOL)
    for (let id = 1; id <= 65; id++)
      stream.send(encodeHeader({ type: 'push', id, entries: [{ key, size: undefined, proofs: [] }] }))
    await until(() => server.rejections.length === 1, 'the 65th unanswered frame is refused')
    assert.match(server.rejections[0]?.error.message ?? '', 'credit')
    assert.is(received, 64)
  })
)

frame(
  'a peer that asks and never reads is given up, with little read for it',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    let read = 0
    const block = new Uint8Array(1024 * 1024)
    const readOne = async () => {
      read++
      return { bytes: block, proofs: [] }
    }
    const sizes = async (_: unknown, keys: readonly unknown[]) => keys.map(() => block.length)
    const bulk = { read: readOne, sizes }
    const server = use(await openPeer(network, { bulk, limits: { bulkStallMs: 300 } }))
    const raw = use(await openRaw())
    const stream = await (await raw.enter(server, network, 'bulk')).newStream(BULK_PROTOCOL)
    stream.pause()
    const keys = Array.from({ length: 256 }, (_, i) => keyOf(Uint8Array.of(i)))
    stream.send(encodeHeader({ type: 'want', id: 1, keys }))
    await until(() => stream.status !== 'open', 'the stream is given up')
    assert.ok(read <= 4, `${read} blocks read`)
  })
)

frame(
  'a control frame above 64 KiB ends its stream, and bulk does not pass on a control connection',
  scoped(async (use) => {
    const network = newNetwork({ open: true })
    const server = use(await openPeer(network))
    const raw = use(await openRaw())
    const connection = await raw.enter(server, network, 'control')
    const stream = await connection.newStream('/cairn/control/1')
    stream.send(Uint8Array.of(0, 1, 0, 1))
    await until(() => server.rejections.length === 1, 'the frame is refused')
    assert.is(server.rejections[0]?.error.code, 'BAD_MESSAGE')
    const wrong = await connection.newStream(BULK_PROTOCOL)
    await until(() => wrong.status !== 'open', 'bulk on a control connection is refused')
  })
)

frame(
  'a fetch from a server that lies fails with BAD_MESSAGE',
  scoped(async (use) => {
    // The asker checks what comes as the server does: seen from here by asking one that sends another block.
    const { server, client } = use(await openPair())
    const entry = entries[0] as OutEntry
    server.blocks.set(key, { ...entry, proofs: Array(9).fill(new Uint8Array(1)) })
    assert.is(
      await codeOf(client.transport.fetchBlocks(server.id, [key], { onBlock: () => {} })),
      'NO_PROVIDER'
    )
  })
)

frame.run()
