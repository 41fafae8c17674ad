/**
 * Bulk channels by TLS beside libp2p: this node's port and its tickets, and the dialling of others'. Where
 * it does not work (NAT, a closed port, a member that lacks it) the caller takes a libp2p stream, and the
 * failure is remembered for a while. A ticket is asked for and given on admitted connections only.
 */
import { CairnError, decode, encode, type PeerId } from '@cairn/core'
import type { Connection, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { CODE_IP4, CODE_IP6, CODE_IP6ZONE, type Multiaddr } from '@multiformats/multiaddr'
import { readAddress } from './address.ts'
import type { ByteChannel } from './channel.ts'
import { STREAMS_A_PROTOCOL_MAX } from './libp2p.ts'
import { connectChannel } from './secure-channel.ts'
import { listenSecure, type SecureListener } from './secure-listener.ts'
import { createTickets, TICKET_BYTES_MAX, TICKET_PROTOCOL, ticketCodec } from './ticket.ts'

/** For a ticket, and again for the connection. A round trip each; the rest is for loaded machines. */
const TICKET_WAIT_MS = 3_000
const CONNECT_MS = 3_000
/** After a failure the peer is reached by libp2p for so long: a closed port seldom opens. A guess. */
const BLOCKED_MS = 5 * 60_000
const BLOCKED_MAX = 1_000

export interface Secure {
  /** A bulk channel by TLS; undefined where that does not work now. @throws when the peer is not there */
  open(peer: PeerId, signal: AbortSignal): Promise<ByteChannel | undefined>
  /** Answers a question for a ticket, on a connection that was admitted. */
  answer(stream: Stream, peer: PeerId): Promise<void>
  /** @throws the system's error */
  listen(hosts: readonly string[], port: number): Promise<void>
  /** What failed before may work now: the peer is newly connected. */
  forgive(peer: PeerId): void
  disconnect(peer: PeerId): void
  /** Open channels that this node dialled, and that others did. */
  channels(): { dialled: number; accepted: number }
  close(): Promise<void>
}

export interface SecureOptions {
  /** An admitted control connection. */
  connection(peer: PeerId): Promise<Connection>
  serve(peer: PeerId, channel: ByteChannel): Promise<void>
  stallMs: number
}

export function createSecure({ connection, serve, stallMs }: SecureOptions): Secure {
  const tickets = createTickets()
  const blocked = new Map<PeerId, number>()
  const dialled = new Map<ByteChannel, PeerId>()
  let listener: SecureListener | undefined

  const block = (peer: PeerId): void => {
    blocked.set(peer, performance.now() + BLOCKED_MS)
    if (blocked.size > BLOCKED_MAX) blocked.delete(blocked.keys().next().value as PeerId)
  }
  const dial = async (
    peer: PeerId,
    over: Connection,
    signal: AbortSignal
  ): Promise<ByteChannel | undefined> => {
    const host = hostOf(over.remoteAddr)
    const ticket = host === undefined ? 'lacks it' : await askTicket(over, signal)
    if (host === undefined || ticket === 'lacks it') {
      block(peer)
      return undefined
    }
    if (ticket === undefined) return undefined
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)])
      return await connectChannel({ host, ...ticket }, { peer, limits: { stallMs }, signal: limit })
    } catch {
      block(peer) // and the caller goes another way, which tells what is wrong if it is the peer itself
      return undefined
    }
  }

  return {
    async open(peer, signal) {
      if ((blocked.get(peer) ?? 0) > performance.now()) return undefined
      const channel = await dial(peer, await connection(peer), signal)
      signal.throwIfAborted()
      if (channel === undefined) return undefined
      dialled.set(channel, peer)
      channel.gone.addEventListener('abort', () => dialled.delete(channel))
      return channel
    },
    async answer(stream, peer) {
      const signal = AbortSignal.timeout(TICKET_WAIT_MS)
      const frames = lpStream(stream, { maxDataLength: TICKET_BYTES_MAX })
      try {
        const ticket = listener && tickets.issue(peer, performance.now())
        const port = listener?.port ?? 0
        await frames.write(encode(ticketCodec, ticket && { port, ...ticket }), { signal })
        await stream.close({ signal })
      } catch (cause) {
        stream.abort(cause as Error) // who asked goes another way
      }
    },
    async listen(hosts, port) {
      if (hosts.length === 0) return
      listener = await listenSecure({ hosts, port, tickets, stallMs, serve })
    },
    forgive: (peer) => void blocked.delete(peer),
    disconnect(peer) {
      listener?.disconnect(peer)
      for (const [channel, to] of [...dialled]) if (to === peer) channel.abort(givenUp(peer))
    },
    channels: () => ({ dialled: dialled.size, accepted: listener?.channels() ?? 0 }),
    async close() {
      for (const [channel, peer] of [...dialled]) channel.abort(givenUp(peer))
      await listener?.close()
    }
  }
}

const givenUp = (peer: PeerId) => new CairnError('UNREACHABLE', `the connection to ${peer} was given up`)

/** Undefined when it has none to give now, or is silent: another way may still do. */
async function askTicket(connection: Connection, signal: AbortSignal) {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TICKET_WAIT_MS)])
  let stream: Stream | undefined
  try {
    const maxOutboundStreams = STREAMS_A_PROTOCOL_MAX
    stream = await connection.newStream(TICKET_PROTOCOL, { signal: limit, maxOutboundStreams })
    const frames = lpStream(stream, { maxDataLength: TICKET_BYTES_MAX })
    const answer = (await frames.read({ signal: limit })).subarray()
    stream.close({ signal: limit }).catch((cause) => stream?.abort(cause))
    return decode(ticketCodec, answer)
  } catch (cause) {
    stream?.abort(cause as Error)
    const lacksIt = cause instanceof Error && cause.name === 'UnsupportedProtocolError'
    return lacksIt || CairnError.is(cause, 'BAD_MESSAGE') ? 'lacks it' : undefined
  }
}

/** The address part that TCP can dial; none of a zone, which only this machine would know. */
function hostOf(address: Multiaddr): string | undefined {
  const parts = address.getComponents()
  if (parts.some(({ code }) => code === CODE_IP6ZONE)) return undefined
  return parts.find(({ code }) => code === CODE_IP4 || code === CODE_IP6)?.value
}

/** The hosts that libp2p listens on, once each: TLS listens there too. */
export function hostsOf(listen: readonly string[]): string[] {
  const hosts = listen
    .map(readAddress)
    .flatMap((address) => (address === undefined ? [] : [hostOf(address)]))
    .filter((host) => host !== undefined)
  return [...new Set(hosts)]
}
