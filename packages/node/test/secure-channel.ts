import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ByteChannel } from '../src/channel.ts'
import { connectChannel, SECURE } from '../src/secure-channel.ts'
import { CHANNELS_A_PEER_MAX, listenSecure, STRANGERS_MAX } from '../src/secure-listener.ts'
import { createTickets, type Ticket } from '../src/ticket.ts'
import { codeOf, until } from './support/peers.ts'
import { scoped } from './support/scope.ts'

const HOST = '127.0.0.1'
const MIB = 1024 * 1024
const asker = 'asker' as PeerId

/** A listener whose channels are kept as they come; `say` is sent on each at once. */
async function openListener(options: { say?: Uint8Array; handshakeMs?: number; stallMs?: number } = {}) {
  const tickets = createTickets()
  const accepted: { peer: PeerId; channel: ByteChannel }[] = []
  const { stallMs = 10_000, say, ...rest } = options
  const listener = await listenSecure({
    hosts: [HOST],
    port: 0,
    tickets,
    stallMs,
    ...rest,
    async serve(peer, channel) {
      accepted.push({ peer, channel })
      if (say !== undefined) await channel.send([say]).catch(() => undefined) // may be gone
    }
  })
  const dial = (ticket: Ticket, port = listener.port, limitMs = 30_000) =>
    connectChannel(
      { host: HOST, port, ...ticket },
      { peer: 'member', limits: { stallMs }, signal: AbortSignal.timeout(limitMs) }
    )
  const issue = (peer = asker) => tickets.issue(peer, performance.now()) as Ticket
  return { listener, accepted, dial, issue, [Symbol.asyncDispose]: () => listener.close() }
}

/** What the port answers to a socket, until it closes. */
async function answerTo(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = []
  socket.on('data', (piece: Buffer) => pieces.push(piece))
  socket.on('error', () => undefined) // a refusal may come as one; what counts is what was said before
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(pieces)
}

/** Passes bytes on and keeps those of the listener. */
async function openTap(port: number) {
  const heard: Buffer[] = []
  const server = createServer((near) => {
    const far = connect(port, HOST)
    far.on('data', (piece: Buffer) => heard.push(piece))
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) socket.on('error', () => undefined) // one end closed: so does the other
  }).listen(0, HOST)
  await once(server, 'listening')
  const address = server.address()
  const close = async () => void server.close()
  return { port: (address as { port: number }).port, heard, [Symbol.asyncDispose]: close }
}

/** The numbers of the extensions in a plain ServerHello (RFC 8446 §4.1.3). */
function serverExtensions(record: Buffer): number[] {
  assert.is(record[0], 22, 'a handshake record')
  assert.is(record[5], 2, 'a ServerHello')
  const session = 5 + 4 + 2 + 32
  let at = session + 1 + (record[session] as number) + 2 + 1
  const end = at + 2 + record.readUInt16BE(at)
  const numbers: number[] = []
  for (at += 2; at < end; at += 4 + record.readUInt16BE(at + 2)) numbers.push(record.readUInt16BE(at))
  return numbers
}

const secure = suite('secure channel')

secure(
  'bytes pass both ways, whole and in order, whatever the sizes of writes and reads',
  scoped(async (use) => {
    const { accepted, dial, issue } = use(await openListener())
    const near = await dial(issue())
    await until(() => accepted.length === 1, 'it is accepted')
    assert.is(accepted[0]?.peer, asker)
    const far = accepted[0]?.channel as ByteChannel
    const sizes = [1, 3, 16_384, 16_385, 70_000, MIB, 2 * MIB + 1]
    for (const [from, to] of [
      [near, far],
      [far, near]
    ] as const) {
      const sent = sizes.map((size) => randomBytes(size))
      const whole = Buffer.concat(sent)
      const sending = from.send(sent)
      const got = Buffer.alloc(whole.length)
      for (let at = 0, i = 0; at < got.length; i++) {
        const part = got.subarray(at, at + (sizes[(i * 5 + 2) % sizes.length] as number))
        assert.ok(await to.fill(part))
        at += part.length
      }
      await sending
      assert.is(Buffer.compare(got, whole), 0)
      assert.is(to.receivedBytes, whole.length)
      assert.is(from.sentBytes, whole.length)
    }
    const ends = far.fill(Buffer.alloc(1), true)
    await near.close()
    assert.is(await ends, false, 'a clean end between frames')
    await until(() => far.gone.aborted, 'both are closed')
  })
)

secure(
  'a reader that takes nothing holds the sender back, on either end',
  scoped(async (use) => {
    const { accepted, dial, issue } = use(await openListener())
    const near = await dial(issue())
    await until(() => accepted.length === 1, 'it is accepted')
    const far = accepted[0]?.channel as ByteChannel
    for (const [from, to] of [
      [near, far],
      [far, near]
    ] as const) {
      const block = Buffer.alloc(64 * MIB, 7)
      let sent = false
      const before = to.receivedBytes
      const sending = from.send([block]).then(() => {
        sent = true
      })
      let last = -1
      await until(() => {
        const held = to.receivedBytes - before
        const still = held > 0 && held === last
        last = held
        return still
      }, 'no more comes in')
      assert.not.ok(sent)
      assert.ok(to.receivedBytes - before < 2 * MIB, `${to.receivedBytes - before} bytes read ahead`)
      const got = Buffer.alloc(block.length)
      await to.fill(got)
      await sending
      assert.is(Buffer.compare(got, block), 0)
    }
  })
)

secure(
  'an end that moves nothing within a frame is aborted with TIMEOUT, one between frames is not',
  scoped(async (use) => {
    const { accepted, dial, issue } = use(await openListener({ stallMs: 200 }))
    const near = await dial(issue())
    await until(() => accepted.length === 1, 'it is accepted')
    const far = accepted[0]?.channel as ByteChannel
    const waiting = far.fill(Buffer.alloc(4), true)
    const idle = near.fill(Buffer.alloc(4), true)
    await new Promise((resolve) => setTimeout(resolve, 600))
    assert.not.ok(far.gone.aborted, 'silence between frames is fine')
    await near.send([Buffer.alloc(2)])
    assert.is(await codeOf(waiting), 'TIMEOUT')
    assert.is(await idle, false, 'to the other end, which is between frames, it is an end')
    await until(() => near.gone.aborted, 'which takes no more')
    const stuck = await dial(issue())
    assert.is(await codeOf(stuck.send([Buffer.alloc(64 * MIB)])), 'TIMEOUT', 'nobody reads')
  })
)

secure(
  'nobody gets an answer without the key: no ticket, a used one, one with another key, plain bytes',
  scoped(async (use) => {
    const { accepted, listener, dial, issue } = use(await openListener({ say: Buffer.from('a block') }))
    const [used, mine, theirs] = [issue(), issue(), issue('other' as PeerId)]
    const first = await dial(used)
    await first.fill(Buffer.alloc(7))
    assert.is(await codeOf(dial(used)), 'UNREACHABLE', 'used')
    assert.is(await codeOf(dial({ identity: theirs.identity, key: mine.key })), 'UNREACHABLE', 'not its key')
    assert.is(await codeOf(dial({ identity: '00'.repeat(16), key: mine.key })), 'UNREACHABLE', 'none')
    const bare = connectTls({ ...SECURE, host: HOST, port: listener.port, rejectUnauthorized: false })
    assert.not.match((await answerTo(bare)).toString(), 'a block')
    const plain = connect(listener.port, HOST)
    plain.write('GET / HTTP/1.1\r\n\r\n')
    assert.not.match((await answerTo(plain)).toString('latin1'), 'a block')
    assert.is(accepted.length, 1)
  })
)

secure(
  'a session of an earlier handshake opens nothing',
  scoped(async (use) => {
    const { accepted, listener, issue } = use(await openListener({ say: Buffer.from('a block') }))
    const { identity, key } = issue()
    const to = { ...SECURE, host: HOST, port: listener.port }
    const first = connectTls({ ...to, pskCallback: () => ({ psk: key, identity }) })
    const sessions: Buffer[] = []
    first.on('session', (session: Buffer) => sessions.push(session))
    await once(first, 'data')
    first.destroy()
    const again = sessions.map((session) => connectTls({ ...to, session, rejectUnauthorized: false }))
    for (const socket of again) assert.not.match((await answerTo(socket)).toString(), 'a block')
    assert.is(accepted.length, 1)
  })
)

secure(
  'the handshake has both the key and an exchange: recorded bytes stay closed to whoever gets the key later',
  scoped(async (use) => {
    const { listener, dial, issue } = use(await openListener())
    const tap = use(await openTap(listener.port))
    const channel = await dial(issue(), tap.port)
    const extensions = serverExtensions(Buffer.concat(tap.heard))
    assert.ok(extensions.includes(41), 'pre_shared_key')
    assert.ok(extensions.includes(51), 'key_share')
    channel.abort(new Error('done'))
  })
)

secure(
  'strangers are few and get little time, and members pass beside them',
  scoped(async (use) => {
    const { accepted, listener, dial, issue } = use(await openListener({ handshakeMs: 1_000 }))
    const many = Array.from({ length: STRANGERS_MAX - 1 }, () => connect(listener.port, HOST))
    await Promise.all(many.map((socket) => once(socket, 'connect')))
    const member = await dial(issue())
    await until(() => accepted.length === 1, 'a member is accepted')
    const late = Array.from({ length: 2 }, () => connect(listener.port, HOST))
    await answerTo(late[1] as Socket)
    await Promise.all([...many, late[0] as Socket].map(answerTo))
    assert.not.ok(member.gone.aborted, 'one that is in stays')
    await dial(issue())
    await until(() => accepted.length === 2, 'there is room again')
  })
)

secure(
  'of one peer the newest channels are kept',
  scoped(async (use) => {
    const { accepted, listener, dial, issue } = use(await openListener())
    const opened: ByteChannel[] = []
    for (let i = 0; i <= CHANNELS_A_PEER_MAX; i++) {
      opened.push(await dial(issue()))
      await until(() => accepted.length === i + 1, 'it is accepted')
    }
    await until(() => opened[0]?.gone.aborted === true, 'the oldest is closed')
    assert.is(listener.channels(), CHANNELS_A_PEER_MAX)
    assert.is(opened.filter(({ gone }) => gone.aborted).length, 1)
    listener.disconnect(asker)
    await until(() => opened.every(({ gone }) => gone.aborted), 'all are closed')
    assert.is(listener.channels(), 0)
  })
)

secure('a port where nobody speaks TLS, or nobody listens, is left after the time given', async () => {
  const mute = createServer((socket) => void socket.on('error', () => undefined).resume()).listen(0, HOST)
  await once(mute, 'listening')
  const { port } = mute.address() as { port: number }
  const ticket = createTickets().issue(asker, 0) as Ticket
  const dial = (to: number, limitMs = 30_000) =>
    connectChannel(
      { host: HOST, port: to, ...ticket },
      { peer: 'member', limits: { stallMs: 1_000 }, signal: AbortSignal.timeout(limitMs) }
    )
  try {
    assert.is(await codeOf(dial(port, 300)), 'TIMEOUT')
  } finally {
    mute.close()
    await once(mute, 'close')
  }
  assert.is(await codeOf(dial(port)), 'UNREACHABLE')
})

secure.run()
