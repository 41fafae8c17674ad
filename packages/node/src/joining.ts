/**
 * Getting into a network: what a node knows of it before the first contact, and that contact. Whoever
 * knows the network in full needs none: it starts alone and meets the others in its own time.
 */
import { CairnError, type PeerId } from '@cairn/core'
import type { Credentials } from './admission.ts'
import { type Network, parseInvite } from './network.ts'
import type { Transport } from './transport.ts'
import { asCairnError } from './uploads.ts'

/** A first contact is given up after so long: the error then says what was tried. */
export const FIRST_CONTACT_MS = 20_000
/** Between rounds of trying all addresses. */
const AGAIN_MS = 500

/** Errors that trying again does not change. */
const FINAL = ['WRONG_NETWORK', 'WRONG_SECRET', 'WRONG_VERSION', 'BAD_INVITE']

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
    transport: Transport,
    addresses: readonly string[],
    found: readonly { peer: PeerId; addresses: string[] }[]
  ): Promise<Network> {
    const deadline = AbortSignal.timeout(FIRST_CONTACT_MS)
    let failure: CairnError | undefined
    while (!deadline.aborted) {
      const tries = addresses.length > 0 ? [{ peer: undefined, addresses }] : found
      for (const { peer, addresses: where } of tries) {
        try {
          await transport.dial(where, peer)
        } catch (cause) {
          failure = asCairnError(cause)
          if (addresses.length > 0 && FINAL.includes(failure.code)) throw failure
        }
        const network = transport.network()
        if (network !== undefined) return network
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
    throw failure ?? nobody(addresses)
  }
}

function nobody(addresses: readonly string[]): CairnError {
  if (addresses.length > 0) return new CairnError('UNREACHABLE', `no answer from ${addresses.join(', ')}`)
  return new CairnError('UNREACHABLE', 'no open network was found on the local network', {
    hint: 'give the address of a member: cairn join ADDRESS'
  })
}
