/**
 * A channel over TLS 1.3 with a pre-shared key (RFC 8446 §2.2) and no certificate: the key, known to two
 * members only, proves each to the other, and an X25519 exchange beside it gives forward secrecy. It costs
 * half the CPU of a libp2p stream, since the bytes are enciphered where they are read and written.
 */
import { constants } from 'node:crypto'
import { type ConnectionOptions, connect, type EphemeralKeyInfo, type TLSSocket } from 'node:tls'
import { noteGarbage } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import { type ByteChannel, type ChannelLimits, makeChannel, type Wire, type WireEvents } from './channel.ts'

/**
 * Both ends alike. One cipher: the fastest here, and its hash is the one that a key without another said
 * goes with. One curve, so that no second hello is needed. No session is kept: a key is good for once.
 */
export const SECURE = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256',
  ecdhCurve: 'X25519',
  secureOptions: constants.SSL_OP_NO_TICKET
} as const

/** Of a block on its way into the socket: whether one of these went is how a stall is told. */
const SLICE_BYTES = 256 * 1024

export interface SecureTarget {
  host: string
  port: number
  /** Names the key to the other side; sent in the clear. */
  identity: string
  key: Uint8Array
}

/** The side that accepted, its handshake done. */
export function acceptedChannel(socket: TLSSocket, peer: string, limits: ChannelLimits): ByteChannel {
  return makeChannel(peer, limits, (events) => {
    socket.on('data', (piece: Buffer) => {
      noteGarbage(piece.length)
      events.received(piece)
    })
    return socketWire(socket, events)
  })
}

/**
 * The side that connects, which reads straight into the reader's buffers. Resolves once the other end has
 * shown that it knows the key; nothing was sent to it before. @throws CairnError UNREACHABLE, TIMEOUT
 */
export async function connectChannel(
  { host, port, identity, key }: SecureTarget,
  { peer, limits, signal }: { peer: string; limits: ChannelLimits; signal: AbortSignal }
): Promise<ByteChannel> {
  let socket: TLSSocket | undefined
  const channel = makeChannel(peer, limits, (events) => {
    const onread = { buffer: () => events.space(), callback: (count: number) => tell(events, count) }
    // `onread` passes through to the socket (net.connect), though the types of tls.connect lack it.
    const options: ConnectionOptions & { onread: typeof onread } = {
      ...SECURE,
      host,
      port,
      onread,
      ca: [],
      checkServerIdentity: () => new Error('a certificate instead of the key'),
      pskCallback: () => ({ psk: key, identity })
    }
    socket = connect(options)
    socket.setNoDelay()
    return socketWire(socket, events)
  })
  try {
    await secured(socket as unknown as TLSSocket, signal)
    return channel
  } catch (cause) {
    const words = `${peer} can't be reached by TLS at ${host}:${port}`
    const error = new CairnError(signal.aborted ? 'TIMEOUT' : 'UNREACHABLE', words, { cause })
    channel.abort(error)
    throw error
  }
}

function tell(events: WireEvents, count: number): boolean {
  events.filled(count)
  return true // `pause` says it when it is enough
}

/** The handshake is over and the other end knew the key. */
function secured(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const quit = (): void => reject(signal.reason)
    if (signal.aborted) return quit()
    signal.addEventListener('abort', quit, { once: true })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed during the handshake')))
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', quit)
      // Without the key no session is taken up; without the exchange the key would open it all later.
      if (!socket.isSessionReused()) reject(new Error('a certificate instead of the key'))
      else if (!isEphemeral(socket.getEphemeralKeyInfo()))
        reject(new Error('a handshake without a key exchange'))
      else resolve()
    })
  })
}

function isEphemeral(info: EphemeralKeyInfo | object | null): boolean {
  return info !== null && 'name' in info && info.name !== undefined
}

function socketWire(socket: TLSSocket, events: WireEvents): Wire {
  let sentBytes = 0
  let wake: (() => void) | undefined
  let problem: Error | undefined
  socket.on('end', () => events.ended())
  socket.on('error', (error) => {
    problem = error
  })
  socket.on('close', () => {
    events.closed(problem)
    wake?.()
  })
  /** Not at `drain`: of less than the socket's high-water mark there is none, while it may be looked at. */
  const taken = (slice: Uint8Array, limitMs: number): Promise<boolean> =>
    new Promise((resolve) => {
      const finish = (moved: boolean): void => {
        clearTimeout(timer)
        wake = undefined
        resolve(moved)
      }
      const timer = setTimeout(() => finish(false), limitMs)
      wake = () => finish(true)
      socket.write(slice, wake)
    })

  return {
    get sentBytes() {
      return sentBytes
    },
    async write(chunk, stallMs) {
      for (const part of chunk) {
        for (let from = 0; from < part.length; from += SLICE_BYTES) {
          const slice = part.subarray(from, from + SLICE_BYTES)
          if (!(await taken(slice, stallMs))) return false
          // not left to `closed`, which comes in a later turn: who sends in a loop would never let it come
          if (socket.destroyed) throw problem ?? new Error('the socket is closed')
          sentBytes += slice.length
        }
      }
      return true
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: (limitMs) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) return resolve()
        const timer = setTimeout(() => reject(new Error('it did not close')), limitMs)
        socket.once('close', () => {
          clearTimeout(timer)
          resolve()
        })
        socket.destroySoon()
      }),
    destroy(reason) {
      problem ??= reason
      socket.destroy()
    }
  }
}
