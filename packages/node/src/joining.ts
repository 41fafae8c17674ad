/**
 * Getting into a network: what a node knows of it before the first contact, and that contact. Whoever
 * knows the network in full needs none: it starts alone and meets the others in its own time.
 */
import { CairnError, type PeerId } from '@cairn/core'
import type { Credentials } from './admission.ts'
import { type Network, parseInvite } from './network.ts'
import type { Transport } from './transport.ts'
import { asCairnError } from './uploads.ts'

/** A first contact is given up after so long: a person waits, and the error says what was tried. */
export const FIRST_CONTACT_MS = 10_000
/** mDNS asks every 5 s: three rounds. */
export const FIRST_FOUND_MS = 16_000
/** Between rounds of trying all addresses. */
const AGAIN_MS = 500

/** Errors that trying again does not change. */
const FINAL = ['WRONG_NETWORK', 'WRONG_SECRET', 'WRONG_VERSION', 'BAD_INVITE']
/** Peers that mDNS found and that are dialled. */
const FOUND_MAX = 64

/** Peers of the local network, until one of them has let us in. */
export interface Found {
  readonly peers: Map<PeerId, string[]>
  add(peer: PeerId, addresses: string[]): void
}

export function foundPeers(): Found {
  const peers = new Map<PeerId, string[]>()
  return {
    peers,
    add(peer, addresses) {
      if (peers.has(peer) || peers.size < FOUND_MAX) peers.set(peer, addresses)
    }
  }
}

export const joinNetwork = {
  /** @throws CairnError BAD_INVITE, WRONG_NETWORK when the home is of another network */
  credentials(known: Network | undefined, invite: string | undefined) {
    const { addresses = [], network, secret } = invite === undefined ? {} : parseInvite(invite)
    if (known !== undefined && network !== undefined && network !== known.id) {
      throw new CairnError('WRONG_NETWORK', `this home is of network ${known.id}, the invite of ${network}`, {
        hint: 'give the other network a home of its own with --home'
      })
    }
    const part = {
      ...(network === undefined ? {} : { id: network }),
      ...(secret === undefined ? {} : { secret })
    }
    const credentials: Credentials = known === undefined ? part : { ...known }
    return { credentials, addresses }
  },

  /** Dials the addresses, or whom mDNS finds, until a member admits us and tells the network's parameters. */
  async firstContact(
    transport: Pick<Transport, 'dial' | 'network'>,
    addresses: readonly string[],
    found: Found
  ): Promise<Network> {
    const asked = addresses.length > 0
    const deadlineMs = performance.now() + (asked ? FIRST_CONTACT_MS : FIRST_FOUND_MS)
    let failure: CairnError | undefined
    while (performance.now() < deadlineMs) {
      const tries = asked ? [{ peer: undefined, where: addresses }] : triesOf(found)
      for (const { peer, where } of tries) {
        try {
          await transport.dial(where, peer)
        } catch (cause) {
          failure = asCairnError(cause)
          if (FINAL.includes(failure.code)) {
            if (asked || peer === undefined) throw failure
            found.peers.delete(peer)
          }
        }
        const network = transport.network()
        if (network !== undefined) return network
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
    throw nobody(addresses, failure)
  }
}

function triesOf({ peers }: Found): { peer: PeerId; where: string[] }[] {
  return [...peers].map(([peer, where]) => ({ peer, where }))
}

function nobody(addresses: readonly string[], failure: CairnError | undefined): CairnError {
  const because = failure === undefined ? '' : `: ${failure.message}`
  if (addresses.length === 0) {
    return new CairnError('UNREACHABLE', `no open network was found on the local network${because}`, {
      cause: failure,
      hint: 'give the address of a member: cairn join ADDRESS; `cairn invite` prints it there'
    })
  }
  if (failure?.hint !== undefined) return failure
  return new CairnError(failure?.code ?? 'UNREACHABLE', `no answer from ${addresses.join(', ')}${because}`, {
    cause: failure,
    hint: 'is that node running, and does it listen on an address that this machine reaches (--listen)?'
  })
}
