/**
 * Connections to other members: dialled when needed, admitted by a hello before anything else, one kept
 * for control and one for bulk. A peer is connected from its first admitted connection to the end of its
 * last. Whoever was refused is remembered, so that two networks on one LAN don't keep meeting.
 */
import { CairnError, type PeerId } from '@cairn/core'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { believable, dialError, peerOf, readAddress, withoutPeer } from './address.ts'
import {
  type Admitted,
  type Credentials,
  HELLO_PROTOCOL,
  hearHello,
  type Role,
  sayHello
} from './admission.ts'

/** All addresses of one peer get so long. A handshake takes 30 ms, on a loaded machine seconds. */
export const DIAL_MS = 10_000
export const HELLO_MS = 5_000
/** Both may dial at once, for both roles; more is an attack or a bug. */
const CONNECTIONS_A_PEER_MAX = 8
/** Inbound connections that have said no hello yet. */
const STRANGERS_MAX = 128
/** A peer of another network, or without the secret, is left alone for so long. */
const REFUSED_MS = 5 * 60_000
const REFUSED_MAX = 1_000
/** After a failed dial on demand, the next waits so long. One probe period of the membership. */
const REDIAL_MS = 1_000
/** The other side gets so long to read why it was refused. */
const REFUSAL_LINGER_MS = 500
/** A dial may join one under way for the other role; then again. */
const DIAL_TRIES_MAX = 3

export interface LinkEvents {
  connected(peer: PeerId, addresses: string[]): void
  disconnected(peer: PeerId): void
  rejected(who: string, error: CairnError): void
}

export interface Links {
  /**
   * Connects and says hello; resolves with who is there. A `peer` that was refused lately is not tried
   * again; without one it is a person who asks, and anything is. @throws CairnError
   */
  dial(addresses: readonly string[], peer?: PeerId): Promise<PeerId>
  /** An admitted connection for a role, dialled if there is none. @throws CairnError UNREACHABLE and more */
  connection(peer: PeerId, role: Role): Promise<Connection>
  setAddresses(peer: PeerId, addresses: readonly string[]): void
  /** Ends all connections to a peer; the next frame dials anew. */
  disconnect(peer: PeerId): void
  connectedPeers(): PeerId[]
  rttMs(peer: PeerId): number | undefined
  /** For what a connection was admitted; undefined when it was not. Waits for a hello of this node's own. */
  roleOf(connection: Connection): Promise<Role | undefined>
  /** Serves the hello's stream. */
  greeted(stream: Stream, connection: Connection): Promise<void>
  /** Whether this peer was refused a short while ago. */
  refused(peer: PeerId): CairnError | undefined
  close(): void
}

interface Peer {
  connections: Record<Role, Connection[]>
  addresses: string[]
  rttMs: number | undefined
  dialling: Partial<Record<Role, Promise<Connection>>>
  notBeforeMs: number
}

export interface LinkOptions {
  libp2p: Libp2p
  self: PeerId
  /** Read at each hello, filled in by the first welcome. */
  credentials: Credentials
  addresses(): string[]
  on: LinkEvents
  helloMs: number
  /** Another protocol version, for tests. */
  version?: number | undefined
}

export function createLinks(options: LinkOptions): Links {
  const { libp2p, credentials, on } = options
  const peers = new Map<PeerId, Peer>()
  const admitted = new WeakMap<Connection, Admitted>()
  const greetings = new WeakMap<Connection, Promise<Admitted>>()
  const refusals = new Map<PeerId, { error: CairnError; untilMs: number }>()
  const strangers = new Set<Connection>()
  let closed = false

  const peerAt = (id: PeerId): Peer => {
    const known = peers.get(id)
    if (known !== undefined) return known
    const connections = { control: [], bulk: [] }
    const fresh: Peer = { connections, addresses: [], rttMs: undefined, dialling: {}, notBeforeMs: 0 }
    peers.set(id, fresh)
    return fresh
  }
  const facts = (connection: Connection) => ({
    self: options.self,
    peer: idOf(connection),
    credentials,
    addresses: options.addresses(),
    signal: AbortSignal.timeout(options.helloMs),
    ...(options.version === undefined ? {} : { version: options.version })
  })
  const refuse = (who: PeerId, error: CairnError): void => {
    on.rejected(who, error)
    if (!LASTING.includes(error.code)) return
    refusals.set(who, { error, untilMs: Date.now() + REFUSED_MS })
    if (refusals.size > REFUSED_MAX) refusals.delete(refusals.keys().next().value as PeerId)
  }

  const admit = (connection: Connection, with_: Admitted): void => {
    const id = idOf(connection)
    if (closed || connection.status !== 'open') throw lost(id)
    const peer = peerAt(id)
    if (countOf(peer) >= CONNECTIONS_A_PEER_MAX)
      throw new CairnError('BUSY', `${id} has too many connections`)
    const first = countOf(peer) === 0
    const said = believable(with_.addresses, connection.remoteAddr)
    const dialled = connection.direction === 'outbound' ? [withoutPeer(connection.remoteAddr)] : []
    peer.addresses = [...new Set([...dialled, ...said])]
    peer.rttMs = with_.rttMs
    peer.notBeforeMs = 0
    admitted.set(connection, with_)
    refusals.delete(id)
    strangers.delete(connection)
    const list = peer.connections[with_.role]
    list.push(connection)
    connection.addEventListener('close', () => {
      list.splice(list.indexOf(connection), 1)
      if (countOf(peer) === 0 && !closed) on.disconnected(id)
    })
    if (first) on.connected(id, [...peer.addresses])
  }

  /** Says hello on a connection that this node dialled. */
  const greet = (connection: Connection, role: Role): Promise<Admitted> => {
    const known = greetings.get(connection)
    if (known !== undefined) return known
    const greeting = (async () => {
      const about = facts(connection)
      const stream = await openHello(connection, about.signal)
      const result = await sayHello(stream, role, about)
      if (credentials.id !== undefined && credentials.id !== result.network.id) {
        throw new CairnError('WRONG_NETWORK', `${about.peer} is of another network`) // one joined meanwhile
      }
      Object.assign(credentials, result.network)
      admit(connection, result)
      stream.close().catch((cause) => stream.abort(cause))
      return result
    })()
    greetings.set(connection, greeting)
    greeting.catch((cause) => {
      if (CairnError.is(cause)) refuse(idOf(connection), cause)
      connection.abort(cause)
    })
    return greeting
  }

  const connect = async (addresses: Multiaddr[], role: Role): Promise<Connection> => {
    for (let tries = 0; tries < DIAL_TRIES_MAX; tries++) {
      const signal = AbortSignal.timeout(DIAL_MS)
      const connection = await libp2p.dial(addresses, { force: true, signal }).catch((cause) => {
        throw dialError(cause, addresses)
      })
      const result = await greet(connection, role).catch((cause) => {
        throw dialError(cause, addresses)
      })
      if (result.role === role) return connection
    }
    throw new CairnError('BUSY', `${addresses.map(String).join(', ')}: too many dials at once`)
  }

  const dialKnown = async (id: PeerId, role: Role): Promise<Connection> => {
    const peer = peerAt(id)
    const refusal = refusedBy(refusals, id)
    if (refusal !== undefined) throw refusal
    if (role === 'bulk') await peer.dialling.control?.catch(() => {}) // libp2p would hand us the same one
    const open = peer.connections[role].findLast(isOpen)
    if (open !== undefined) return open
    const addresses = peer.addresses
      .map((text) => readAddress(`${text}/p2p/${id}`))
      .filter((one) => one !== undefined)
    if (addresses.length === 0) throw new CairnError('UNREACHABLE', `no address of ${id} is known`)
    if (Date.now() < peer.notBeforeMs)
      throw new CairnError('UNREACHABLE', `${id} did not answer a moment ago`)
    try {
      return await connect(addresses, role)
    } catch (cause) {
      peer.notBeforeMs = Date.now() + REDIAL_MS
      throw cause
    }
  }

  libp2p.addEventListener('connection:open', ({ detail: connection }) => {
    if (connection.direction === 'outbound') return
    const full = strangers.size >= STRANGERS_MAX
    if (full) return connection.abort(new Error('too many connections without a hello'))
    strangers.add(connection)
    const timer = setTimeout(() => {
      if (!strangers.has(connection)) return
      on.rejected(idOf(connection), new CairnError('TIMEOUT', `${idOf(connection)} said no hello`))
      connection.abort(new Error('no hello'))
    }, options.helloMs)
    connection.addEventListener('close', () => {
      clearTimeout(timer)
      strangers.delete(connection)
    })
  })

  return {
    async dial(texts, expected) {
      const refusal = expected && refusedBy(refusals, expected)
      if (refusal !== undefined) throw refusal
      const groups = groupsOf(texts, expected)
      let failure = new CairnError('UNREACHABLE', 'no address that can be dialled')
      for (const { peer: id, addresses } of groups) {
        if (id !== undefined && peers.get(id)?.connections.control.some(isOpen)) return id
        try {
          return idOf(await connect(addresses, 'control'))
        } catch (cause) {
          const error = dialError(cause, addresses)
          if (failure.code === 'UNREACHABLE' || error.code !== 'UNREACHABLE') failure = error
        }
      }
      throw failure
    },
    connection(id, role) {
      const peer = peerAt(id)
      const open = peer.connections[role].findLast(isOpen)
      if (open !== undefined) return Promise.resolve(open)
      const under = peer.dialling[role]
      if (under !== undefined) return under
      const dialling = dialKnown(id, role).finally(() => {
        delete peer.dialling[role]
      })
      peer.dialling[role] = dialling
      return dialling
    },
    setAddresses(id, addresses) {
      if (addresses.length === 0 && peers.has(id) && countOf(peerAt(id)) === 0) peers.delete(id)
      else if (addresses.length > 0) {
        peerAt(id).addresses = addresses
          .map(readAddress)
          .filter((one) => one !== undefined)
          .map(withoutPeer)
      }
    },
    disconnect(id) {
      const { control = [], bulk = [] } = peers.get(id)?.connections ?? {}
      for (const connection of [...control, ...bulk]) connection.abort(new Error('given up'))
    },
    connectedPeers: () => [...peers].filter(([, peer]) => countOf(peer) > 0).map(([id]) => id),
    rttMs: (id) => peers.get(id)?.rttMs,
    async roleOf(connection) {
      const known = admitted.get(connection)
      if (known !== undefined) return known.role
      return greetings.get(connection)?.then(
        ({ role }) => role,
        () => undefined
      )
    },
    async greeted(stream, connection) {
      const id = idOf(connection)
      try {
        if (connection.direction === 'outbound' || greetings.has(connection))
          throw new Error('a second hello')
        greetings.set(connection, Promise.reject(new Error('not this side')))
        greetings.get(connection)?.catch(() => {}) // only marks that the hello was said
        await hearHello(stream, facts(connection), (result) => admit(connection, result))
        await stream.close()
      } catch (cause) {
        if (CairnError.is(cause)) refuse(id, cause)
        setTimeout(() => connection.abort(cause as Error), REFUSAL_LINGER_MS)
      }
    },
    refused: (id) => refusedBy(refusals, id),
    close() {
      closed = true
    }
  }
}

const LASTING: readonly string[] = ['WRONG_NETWORK', 'WRONG_SECRET', 'WRONG_VERSION', 'BAD_MESSAGE']

const idOf = (connection: Connection) => connection.remotePeer.toString() as PeerId
const isOpen = (connection: Connection) => connection.status === 'open'
const countOf = ({ connections }: Peer) => connections.control.length + connections.bulk.length
const lost = (id: PeerId) => new CairnError('UNREACHABLE', `lost the connection to ${id}`)

function refusedBy(
  refusals: Map<PeerId, { error: CairnError; untilMs: number }>,
  id: PeerId
): CairnError | undefined {
  const refusal = refusals.get(id)
  if (refusal === undefined || refusal.untilMs > Date.now()) return refusal?.error
  refusals.delete(id)
  return undefined
}

async function openHello(connection: Connection, signal: AbortSignal): Promise<Stream> {
  try {
    return await connection.newStream(HELLO_PROTOCOL, { signal })
  } catch (cause) {
    const id = idOf(connection)
    if (cause instanceof Error && cause.name === 'UnsupportedProtocolError') {
      throw new CairnError('WRONG_VERSION', `${id} speaks no cairn that this node understands`, { cause })
    }
    throw new CairnError('UNREACHABLE', `${id} ended the connection before the hello`, { cause })
  }
}

/** Addresses of one peer are tried together; those of different peers one peer after another. */
function groupsOf(texts: readonly string[], expected: PeerId | undefined) {
  const groups = new Map<PeerId | undefined, Multiaddr[]>()
  for (const text of texts) {
    const address = readAddress(text)
    if (address === undefined) continue
    const id = peerOf(address) ?? expected
    if (expected !== undefined && id !== expected) continue
    const full =
      id !== undefined && peerOf(address) === undefined ? address.encapsulate(`/p2p/${id}`) : address
    groups.set(id, [...(groups.get(id) ?? []), full])
  }
  return [...groups].map(([peer, addresses]) => ({ peer, addresses }))
}
