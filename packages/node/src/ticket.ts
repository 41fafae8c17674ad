/**
 * Tickets for bulk channels: a key for one TLS connection, told over the admitted control connection to
 * whoever asks, good once, for that peer, for seconds. Who holds the key has shown its peer id and the
 * network's secret there, so the TLS handshake need show nothing but the key.
 */
import { randomBytes } from 'node:crypto'
import { fixed, hex, optional, type PeerId, struct, u16 } from '@cairn/core'

export const TICKET_PROTOCOL = '/cairn/bulk-ticket/1'
/** From asking to connecting is one round trip; a loaded machine may take seconds over it. */
export const TICKET_MS = 10_000
/** Unused ones, of all peers and of one: two channels a peer are in use, and each may be opened again. */
export const TICKETS_MAX = 64
export const TICKETS_A_PEER_MAX = 4
const IDENTITY_BYTES = 16
const KEY_BYTES = 32
/** An answer is 51 bytes. */
export const TICKET_BYTES_MAX = 64

/** The answer to an empty question: undefined when there is no such port, or too many ask. */
export const ticketCodec = optional(
  struct({ port: u16, identity: hex(IDENTITY_BYTES), key: fixed(KEY_BYTES) })
)

export interface Ticket {
  identity: string
  key: Uint8Array
}

export interface Tickets {
  /** Undefined when too many are open. */
  issue(peer: PeerId, nowMs: number): Ticket | undefined
  /** Whom a ticket was given to, the first time, in time. */
  redeem(identity: string, nowMs: number): { peer: PeerId; key: Uint8Array } | undefined
  /** Open ones. */
  count(): number
}

export function createTickets(): Tickets {
  const open = new Map<string, { peer: PeerId; key: Uint8Array; untilMs: number }>()

  const expire = (nowMs: number): void => {
    for (const [identity, { untilMs }] of open) {
      if (untilMs > nowMs) return // in the order in which they were given
      open.delete(identity)
    }
  }
  return {
    issue(peer, nowMs) {
      expire(nowMs)
      const own = [...open.values()].filter((ticket) => ticket.peer === peer)
      if (open.size >= TICKETS_MAX || own.length >= TICKETS_A_PEER_MAX) return undefined
      const ticket = { identity: randomBytes(IDENTITY_BYTES).toString('hex'), key: randomBytes(KEY_BYTES) }
      open.set(ticket.identity, { peer, key: ticket.key, untilMs: nowMs + TICKET_MS })
      return ticket
    },
    redeem(identity, nowMs) {
      expire(nowMs)
      const ticket = open.get(identity)
      if (ticket === undefined) return undefined
      open.delete(identity)
      return { peer: ticket.peer, key: ticket.key }
    },
    count: () => open.size
  }
}
