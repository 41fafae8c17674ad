/**
 * A node's place on the wire: libp2p (TCP, Noise, Yamux) with every limit set, and on it the hello, the
 * control frames and the bulk seam. Nothing is decided here but who may speak.
 */
import { CairnError, type PeerId } from '@cairn/core'
import type { Connection, Ed25519PrivateKey, Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import { tellable, withoutPeer } from './address.ts'
import { type Credentials, HELLO_PROTOCOL, type Role } from './admission.ts'
import type { Flow } from './api-flow.ts'
import { type Bulk, createBulk } from './bulk.ts'
import type { ByteChannel } from './channel.ts'
import { CONTROL_PROTOCOL, createControl } from './control.ts'
import {
  checkListen,
  listenError,
  makeLibp2p,
  type Parts,
  STREAMS_A_PROTOCOL_MAX,
  startLibp2p
} from './libp2p.ts'
import { createLinks, HELLO_MS, type Links } from './links.ts'
import type { Network } from './network.ts'
import { createSecure, hostsOf, type Secure } from './secure.ts'
import { type BulkServer, serveBulk, serverBudgets } from './serve.ts'
import { streamChannel } from './stream-channel.ts'
import { TICKET_PROTOCOL } from './ticket.ts'

export const BULK_PROTOCOL = '/cairn/bulk/1'
const PROTOCOLS: Record<Role, string> = { control: CONTROL_PROTOCOL, bulk: BULK_PROTOCOL }

/** Without a byte for so long, a transfer fails. */
const BULK_STALL_MS = 10_000
const CONTROL_STALL_MS = 10_000

export interface TransportLimits {
  bulkStallMs: number
  helloMs: number
}

export interface TransportEvents {
  /** A control frame. */
  message(peer: PeerId, bytes: Uint8Array): void
  /** Its first admitted connection is up. Addresses without `/p2p`, the one that works first. */
  connected(peer: PeerId, addresses: string[]): void
  /** Its last connection closed. */
  disconnected(peer: PeerId): void
  /** mDNS heard of it. Those refused lately are left out. */
  found(peer: PeerId, addresses: string[]): void
  /** A hello failed, or a peer broke a protocol. */
  rejected(who: string, error: CairnError): void
}

export interface TransportOptions {
  privateKey: Ed25519PrivateKey
  listen: readonly string[]
  /** All of a network, what an invite says of one, or nothing: then the first member of an open one tells. */
  admission: Credentials
  mdns?: boolean
  limits?: Partial<TransportLimits>
  on: TransportEvents
  bulk: BulkServer
  /** What it serves others on, in place of the channel itself. */
  servedOn?: (channel: ByteChannel) => ByteChannel
  /** The port for bulk by TLS: 0 or absent is one of the system's choice, false none, nor is it dialled. */
  bulkPort?: number | false | undefined
  /** Another protocol version, for tests. */
  version?: number
}

export interface Transport extends Pick<Bulk, 'sendBlocks' | 'fetchBlocks'> {
  readonly id: PeerId
  /** Where this node listens, with `/p2p`; what others can use first. */
  addresses(): string[]
  /** The network, once it is known in full. */
  network(): Network | undefined
  /**
   * Connects to whoever answers first; admitted when it resolves. With `peer`, one that was refused within
   * the last minutes is not tried again.
   * @throws CairnError WRONG_NETWORK, WRONG_SECRET, WRONG_VERSION, UNREACHABLE, BUSY, TIMEOUT
   */
  dial(addresses: readonly string[], peer?: PeerId): Promise<PeerId>
  /** Where to dial a peer when there is something to send; none forgets it. */
  setAddresses(peer: PeerId, addresses: readonly string[]): void
  /**
   * Ends all connections to a peer. For one found dead: TCP would go on resending into the void, ever more
   * slowly, and be late to notice when the way is free again; the next frame dials anew instead.
   */
  disconnect(peer: PeerId): void
  /** A control frame, at most 64 KiB, which may get lost. */
  send(peer: PeerId, bytes: Uint8Array): void
  connectedPeers(): PeerId[]
  /** Of the last hello. */
  rttMs(peer: PeerId): number | undefined
  /** Control frames dropped here so far. */
  droppedFrames(): number
  /** Bulk channels by TLS that are open now; the others are libp2p streams. */
  secureChannels(): { dialled: number; accepted: number }
  /** Blocks on their way to other members and from them. */
  flow(): Omit<Flow, 'puttingBytes' | 'repaired' | 'asked'>
  close(): Promise<void>
}

/** @throws CairnError PORT_IN_USE, BAD_CONFIG */
export async function openTransport(options: TransportOptions): Promise<Transport> {
  const { on, admission: credentials } = options
  const limits = { bulkStallMs: BULK_STALL_MS, helloMs: HELLO_MS, ...options.limits }
  const id = peerIdFromPrivateKey(options.privateKey).toString() as PeerId
  checkListen(options.listen)
  const libp2p = await makeLibp2p(options)
  const own = (): Multiaddr[] => tellable(libp2p.services.listeners.addresses())
  const links = createLinks({
    libp2p,
    self: id,
    credentials,
    addresses: () => own().map(withoutPeer),
    on: {
      ...on,
      connected(peer, addresses) {
        secure.forgive(peer)
        on.connected(peer, addresses)
      }
    },
    helloMs: limits.helloMs,
    version: options.version
  })
  const stallMs = (role: Role): number => (role === 'bulk' ? limits.bulkStallMs : CONTROL_STALL_MS)
  const open = async (peer: PeerId, role: Role): Promise<ByteChannel> => {
    const connection = await links.connection(peer, role)
    const stream = await openStream(connection, role, peer)
    const channel = streamChannel(stream, peer, { stallMs: stallMs(role) })
    if (role === 'bulk') closeWhenUnused(connection, channel)
    return channel
  }
  const control = createControl({ open: keptChannels((peer) => open(peer, 'control')), deliver: on.message })
  const budgets = serverBudgets()
  const serving: Record<Role, (peer: PeerId, channel: ByteChannel) => Promise<void>> = {
    control: control.receive,
    bulk: (peer, channel) => {
      const { bulk: server, servedOn = (same) => same } = options
      return serveBulk(servedOn(channel), peer, { server, budgets })
    }
  }
  const secure = createSecure({
    connection: (peer) => links.connection(peer, 'control'),
    serve: (peer, channel) => serveUntilEnd(peer, channel, serving.bulk, on),
    stallMs: limits.bulkStallMs
  })
  const bulk = createBulk({
    open: async (peer, signal) =>
      (options.bulkPort === false ? undefined : await secure.open(peer, signal)) ??
      (await open(peer, 'bulk')),
    rejected: on.rejected,
    stallMs: limits.bulkStallMs
  })
  const hello = (stream: Stream, connection: Connection) => links.greeted(stream, connection)
  await libp2p.handle(HELLO_PROTOCOL, hello, { maxInboundStreams: 1 })
  for (const role of ['control', 'bulk'] as const) {
    const serve = (stream: Stream, connection: Connection) =>
      answer(stream, connection, { role, links, on, stallMs: stallMs(role), serve: serving[role] })
    await libp2p.handle(PROTOCOLS[role], serve, { maxInboundStreams: STREAMS_A_PROTOCOL_MAX })
  }
  await libp2p.handle(
    TICKET_PROTOCOL,
    (stream, connection) => giveTicket(stream, connection, links, secure),
    {
      maxInboundStreams: STREAMS_A_PROTOCOL_MAX
    }
  )
  announceFound(libp2p, links, on)
  await startLibp2p(libp2p, options.listen)
  await listenForBulk(secure, options).catch(async (cause) => {
    await libp2p.stop()
    throw cause
  })

  return {
    id,
    addresses: () => own().map((address) => `${withoutPeer(address)}/p2p/${id}`),
    network() {
      const { id: network, open: isOpen, replicas } = credentials
      if (network === undefined || isOpen === undefined || replicas === undefined) return undefined
      return { ...credentials, id: network, open: isOpen, replicas }
    },
    dial: links.dial,
    setAddresses: links.setAddresses,
    disconnect(peer) {
      links.disconnect(peer)
      secure.disconnect(peer)
    },
    send: control.send,
    connectedPeers: links.connectedPeers,
    rttMs: links.rttMs,
    droppedFrames: control.dropped,
    secureChannels: secure.channels,
    flow: () => ({
      receivingBytes: budgets.receiving.used,
      readingBytes: budgets.reading.used,
      servedBytes: budgets.servedBytes,
      receivedBytes: budgets.receivedBytes,
      ...bulk.moved()
    }),
    sendBlocks: bulk.sendBlocks,
    fetchBlocks: bulk.fetchBlocks,
    async close() {
      links.close()
      bulk.close()
      await secure.close()
      await libp2p.stop()
    }
  }
}

async function openStream(connection: Connection, role: Role, peer: PeerId): Promise<Stream> {
  try {
    return await connection.newStream(PROTOCOLS[role], { maxOutboundStreams: STREAMS_A_PROTOCOL_MAX })
  } catch (cause) {
    throw new CairnError('UNREACHABLE', `lost the connection to ${peer}`, { cause })
  }
}

/** One stream a peer while it lasts, then another. */
function keptChannels(open: (peer: PeerId) => Promise<ByteChannel>): (peer: PeerId) => Promise<ByteChannel> {
  const channels = new Map<PeerId, ByteChannel>()
  return async (peer) => {
    const kept = channels.get(peer)
    if (kept !== undefined && !kept.gone.aborted) return kept
    const channel = await open(peer)
    channels.set(peer, channel)
    channel.gone.addEventListener('abort', () => {
      if (channels.get(peer) === channel) channels.delete(peer)
    })
    return channel
  }
}

function closeWhenUnused(connection: Connection, channel: ByteChannel): void {
  channel.gone.addEventListener('abort', () => {
    if (connection.status !== 'open' || connection.streams.length > 0) return
    connection.close().catch((cause) => connection.abort(cause))
  })
}

interface Answering {
  role: Role
  links: Links
  on: TransportEvents
  stallMs: number
  serve(peer: PeerId, channel: ByteChannel): Promise<void>
}

/** Serves a stream that a peer opened, if its connection was admitted for that. */
async function answer(stream: Stream, connection: Connection, how: Answering): Promise<void> {
  const role = await how.links.roleOf(connection)
  if (role !== how.role) return stream.abort(new Error('not admitted'))
  const peer = connection.remotePeer.toString() as PeerId
  const channel = streamChannel(stream, peer, { stallMs: how.stallMs })
  await serveUntilEnd(peer, channel, how.serve, how.on)
}

async function serveUntilEnd(
  peer: PeerId,
  channel: ByteChannel,
  serve: (peer: PeerId, channel: ByteChannel) => Promise<void>,
  on: TransportEvents
): Promise<void> {
  try {
    await serve(peer, channel)
    await channel.close()
  } catch (cause) {
    channel.abort(cause as Error)
    if (CairnError.is(cause, 'BAD_MESSAGE')) on.rejected(peer, cause)
  }
}

/** Only where the network's secret was shown: a ticket admits to bulk without any further proof. */
async function giveTicket(
  stream: Stream,
  connection: Connection,
  links: Links,
  secure: Secure
): Promise<void> {
  const role = await links.roleOf(connection)
  if (role !== 'control') return stream.abort(new Error('not admitted'))
  await secure.answer(stream, connection.remotePeer.toString() as PeerId)
}

/** @throws CairnError PORT_IN_USE, BAD_CONFIG */
async function listenForBulk(secure: Secure, { listen, bulkPort = 0 }: TransportOptions): Promise<void> {
  if (bulkPort === false) return
  const hosts = hostsOf(listen)
  try {
    await secure.listen(hosts, bulkPort)
  } catch (cause) {
    throw listenError(
      cause,
      hosts.map((host) => `${host} port ${bulkPort}, for blocks`)
    )
  }
}

function announceFound(libp2p: Libp2p<Parts>, links: Links, on: TransportEvents): void {
  libp2p.services.mdns?.addEventListener('peer', ({ detail }) => {
    const peer = detail.id.toString() as PeerId
    if (peer === libp2p.peerId.toString() || links.refused(peer) !== undefined) return
    on.found(peer, tellable(detail.multiaddrs).map(withoutPeer))
  })
}
