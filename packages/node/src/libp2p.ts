/**
 * libp2p as Cairn uses it: TCP, Noise, Yamux, Ed25519 only, every limit set here and none by default. No
 * identify, no ping: the hello tells the little that members need, and each parser is an attack surface.
 */
import { CairnError } from '@cairn/core'
import { noise } from '@chainsafe/libp2p-noise'
import type { Ed25519PrivateKey, Libp2p, PeerDiscovery } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { readAddress } from './address.ts'
import { errnoOf } from './files.ts'

const CONNECTIONS_MAX = 1_024
/** A hundred nodes of a host may start at once in tests or clusters. libp2p's 5 refuses seven of twelve. */
const INBOUND_A_SECOND_AND_HOST_MAX = 256
const INBOUND_PENDING_MAX = 64
const DIALS_AT_ONCE_MAX = 32
const DIALS_QUEUED_MAX = 512
const ADDRESS_DIAL_MS = 5_000
const UPGRADE_MS = 10_000
const STREAMS_A_CONNECTION_MAX = 32
/** Of one protocol on one connection: two are in use, the others are a reopening that overlaps. */
export const STREAMS_A_PROTOCOL_MAX = 4
/** A stream's window must fit the read buffer: what arrives while paused would abort the stream. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024
const READ_BUFFER_BYTES = STREAM_WINDOW_BYTES + 64 * 1024
const MDNS_TAG = '_cairn._udp.local'
const MDNS_INTERVAL_MS = 5_000

export interface Parts extends Record<string, unknown> {
  listeners: { addresses(): Multiaddr[] }
  mdns?: PeerDiscovery
}

/** Not started yet: handlers come first. */
export async function makeLibp2p(options: {
  privateKey: Ed25519PrivateKey
  listen: readonly string[]
  mdns?: boolean
}): Promise<Libp2p<Parts>> {
  return await createLibp2p<Parts>({
    start: false,
    privateKey: options.privateKey,
    addresses: { listen: [...options.listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: STREAMS_A_CONNECTION_MAX,
        maxOutboundStreams: STREAMS_A_CONNECTION_MAX,
        streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES, maxReadBufferLength: READ_BUFFER_BYTES }
      })
    ],
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_A_SECOND_AND_HOST_MAX,
      maxIncomingPendingConnections: INBOUND_PENDING_MAX,
      maxParallelDials: DIALS_AT_ONCE_MAX,
      maxDialQueueLength: DIALS_QUEUED_MAX,
      addressDialTimeout: ADDRESS_DIAL_MS,
      inboundUpgradeTimeout: UPGRADE_MS,
      inboundStreamProtocolNegotiationTimeout: UPGRADE_MS,
      outboundStreamProtocolNegotiationTimeout: UPGRADE_MS,
      reconnectRetries: 0
    },
    // Who is alive is the membership's to say; a ping of libp2p's own would be refused as no Cairn protocol.
    connectionMonitor: { enabled: false },
    connectionGater: {
      denyInboundEncryptedConnection: (peer) => peer.type !== 'Ed25519',
      denyOutboundEncryptedConnection: (peer) => peer.type !== 'Ed25519',
      denyDialMultiaddr: () => false
    },
    services: {
      // libp2p itself tells others only addresses that a third party confirmed; members tell each other all.
      listeners: ({ transportManager }) => ({ addresses: () => transportManager.getAddrs() }),
      ...(options.mdns === true ? { mdns: mdns({ serviceTag: MDNS_TAG, interval: MDNS_INTERVAL_MS }) } : {})
    }
  })
}

/** Starts listening. @throws CairnError PORT_IN_USE, BAD_CONFIG */
export async function startLibp2p(libp2p: Libp2p<Parts>, addresses: readonly string[]): Promise<void> {
  try {
    await libp2p.start()
  } catch (cause) {
    await libp2p.stop()
    throw listenError(cause, addresses)
  }
}

export function listenError(cause: unknown, addresses: readonly string[]): CairnError {
  const causes = [cause, ...(cause instanceof AggregateError ? cause.errors : [])]
  const where = addresses.join(', ')
  const text = causes
    .map((one) => `${errnoOf(one) ?? ''} ${one instanceof Error ? one.message : ''}`)
    .join(' ')
  if (text.includes('EADDRINUSE')) {
    const hint =
      'stop the other program, or listen elsewhere: --listen /ip4/127.0.0.1/tcp/0 takes any free port'
    return new CairnError('PORT_IN_USE', `another program listens on ${where}`, { cause, hint })
  }
  const hint = 'an address of this machine, such as /ip4/0.0.0.0/tcp/4400; ports below 1024 need privileges'
  return new CairnError('BAD_CONFIG', `can't listen on ${where}: ${text.trim()}`, { cause, hint })
}

/** @throws CairnError BAD_CONFIG for an address that is none */
export function checkListen(addresses: readonly string[]): void {
  const wrong = addresses.find((text) => readAddress(text) === undefined)
  if (wrong === undefined) return
  throw new CairnError('BAD_CONFIG', `"${wrong}" is no address to listen on`, {
    hint: 'write it as /ip4/0.0.0.0/tcp/4400'
  })
}
