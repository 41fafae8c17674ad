/**
 * The port on which members open bulk channels by TLS: nobody gets past the handshake without a ticket's
 * key. Strangers are bounded in number and time, channels in number for each peer.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { PeerId } from '@cairn/core'
import type { ByteChannel } from './channel.ts'
import { errnoOf } from './files.ts'
import { acceptedChannel, SECURE } from './secure-channel.ts'
import type { Tickets } from './ticket.ts'

/** Connections without a finished handshake, and how long each may take over it. */
export const STRANGERS_MAX = 64
const HANDSHAKE_MS = 5_000
/** Two are in use; the newest wins, for the old ones may be of a peer that was restarted. */
export const CHANNELS_A_PEER_MAX = 4
/** Without a byte for so long, a channel is closed. Its other end closes it when unused for half of that. */
const SILENT_MS = 120_000
/** Hosts share one port; a free one on the first may be taken on another. */
const PORT_TRIES_MAX = 8

export interface SecureListener {
  readonly port: number
  /** Channels open now. */
  channels(): number
  disconnect(peer: PeerId): void
  close(): Promise<void>
}

export interface SecureListenerOptions {
  hosts: readonly string[]
  /** 0: of the system's choice. */
  port: number
  tickets: Tickets
  stallMs: number
  /** Another time for handshakes, for tests. */
  handshakeMs?: number
  /** Serves a channel until its end; settles never with an error. */
  serve(peer: PeerId, channel: ByteChannel): Promise<void>
}

/** @throws the system's error when a host or the port can't be listened on */
export async function listenSecure(options: SecureListenerOptions): Promise<SecureListener> {
  const channels = new Map<PeerId, ByteChannel[]>()
  const sockets = new Set<Socket>()
  const accept = (peer: PeerId, socket: TLSSocket): void => {
    socket.setTimeout(SILENT_MS, () => socket.destroy())
    const channel = acceptedChannel(socket, peer, { stallMs: options.stallMs })
    const own = channels.get(peer) ?? []
    channels.set(peer, own)
    own.push(channel)
    channel.gone.addEventListener('abort', () => {
      own.splice(own.indexOf(channel), 1)
      if (own.length === 0 && channels.get(peer) === own) channels.delete(peer)
    })
    if (own.length > CHANNELS_A_PEER_MAX) own[0]?.abort(new Error('replaced by a newer one'))
    void options.serve(peer, channel)
  }
  const make = (): Server => makeServer(options, sockets, accept)
  const { servers, port } = await listenAll(make, options.hosts, options.port)

  return {
    port,
    channels: () => [...channels.values()].reduce((sum, own) => sum + own.length, 0),
    disconnect(peer) {
      for (const channel of [...(channels.get(peer) ?? [])]) channel.abort(new Error('given up'))
    },
    async close() {
      const closed = Promise.all(servers.map(closeServer))
      for (const socket of sockets) socket.destroy()
      await closed
    }
  }
}

function makeServer(
  { tickets, handshakeMs = HANDSHAKE_MS }: SecureListenerOptions,
  sockets: Set<Socket>,
  accept: (peer: PeerId, socket: TLSSocket) => void
): Server {
  const knownBy = new WeakMap<TLSSocket, PeerId>()
  const strangers = new Map<string, NodeJS.Timeout>()
  const greeted = (name: string): void => {
    clearTimeout(strangers.get(name))
    strangers.delete(name)
  }
  const server = createServer({
    ...SECURE,
    noDelay: true,
    pskCallback(socket, identity) {
      const ticket = tickets.redeem(identity, performance.now())
      if (ticket === undefined) return null
      knownBy.set(socket, ticket.peer)
      return ticket.key
    }
  })
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket)
    if (strangers.size >= STRANGERS_MAX) return socket.destroy()
    sockets.add(socket)
    strangers.set(
      name,
      setTimeout(() => socket.destroy(), handshakeMs)
    )
    socket.on('close', () => {
      greeted(name)
      sockets.delete(socket)
    })
  })
  server.on('secureConnection', (socket) => {
    greeted(nameOf(socket))
    const peer = knownBy.get(socket)
    if (peer === undefined) socket.destroy()
    else accept(peer, socket)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy()) // no ticket, or no TLS: whoever it was
  return server
}

const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`

async function listenAll(
  make: () => Server,
  hosts: readonly string[],
  wanted: number
): Promise<{ servers: Server[]; port: number }> {
  for (let tries = 1; ; tries++) {
    const servers: Server[] = []
    let port = wanted
    try {
      for (const host of hosts) {
        const server = make()
        server.listen({ host, port, ipv6Only: true })
        await once(server, 'listening')
        servers.push(server)
        port = portOf(server)
      }
      return { servers, port }
    } catch (cause) {
      await Promise.all(servers.map(closeServer))
      const again = wanted === 0 && errnoOf(cause) === 'EADDRINUSE' && tries < PORT_TRIES_MAX
      if (!again) throw cause
    }
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TLS server without a port')
  return address.port
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
