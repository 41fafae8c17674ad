/**
 * A network: 16 bytes of id, N, and for a private one a secret of 32 bytes that admits whoever proves to
 * know it. A joiner needs one string, the invite: addresses of a member, then id and secret.
 */
import { createHash, randomBytes } from 'node:crypto'
import { CairnError, NETWORK_ID_BYTES } from '@cairn/core'
import { CODE_P2P, CODE_TCP, multiaddr } from '@multiformats/multiaddr'
import { isPeerId } from './identity.ts'

export const SECRET_BYTES = 32
/** Three copies survive two losses inside one repair window. */
export const REPLICAS_DEFAULT = 3
/** Addresses in one invite; more would not be tried in any sensible time. */
const INVITE_ADDRESSES_MAX = 8
const INVITE_VERSION = 1
/** Enough to tell a mistyped invite (1 of 2^32 slips through) from a wrong secret. */
const CHECK_BYTES = 4
const INVITE_MARK = '/cairn/'

export interface Network {
  /** 32 hexadecimal digits. */
  id: string
  open: boolean
  replicas: number
  /** base64url of 32 bytes; absent when open. */
  secret?: string
}

export interface Invite {
  /** Multiaddrs, each with `/p2p/PEER`. */
  addresses: string[]
  network?: string
  secret?: string
}

export function newNetwork(facts: { open: boolean; replicas?: number | undefined }): Network {
  const id = randomBytes(NETWORK_ID_BYTES).toString('hex')
  const replicas = facts.replicas ?? REPLICAS_DEFAULT
  if (facts.open) return { id, open: true, replicas }
  return { id, open: false, replicas, secret: randomBytes(SECRET_BYTES).toString('base64url') }
}

/** The string that lets another machine join. @param addresses with `/p2p/PEER`, the best first */
export function formatInvite(addresses: readonly string[], network: Network): string {
  const secret = network.secret === undefined ? [] : [Buffer.from(network.secret, 'base64url')]
  const body = Buffer.concat([Buffer.of(INVITE_VERSION), Buffer.from(network.id, 'hex'), ...secret])
  const token = Buffer.concat([body, checkOf(body)]).toString('base64url')
  return `${addresses.slice(0, INVITE_ADDRESSES_MAX).join(',')}${INVITE_MARK}${token}`
}

const checkOf = (body: Uint8Array) => createHash('sha256').update(body).digest().subarray(0, CHECK_BYTES)

/** Reads an invite, or the plain address of a member of an open network. @throws CairnError BAD_INVITE */
export function parseInvite(text: string): Invite {
  const trimmed = text.trim()
  const mark = trimmed.lastIndexOf(INVITE_MARK)
  const addresses = (mark < 0 ? trimmed : trimmed.slice(0, mark)).split(',').map((one) => one.trim())
  if (addresses.length > INVITE_ADDRESSES_MAX) throw bad(`it has ${addresses.length} addresses`)
  for (const address of addresses) checkAddress(address)
  return mark < 0 ? { addresses } : { addresses, ...parseToken(trimmed.slice(mark + INVITE_MARK.length)) }
}

function parseToken(token: string): { network: string; secret?: string } {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.toString('base64url') !== token || bytes.length <= CHECK_BYTES) throw bad('its end is cut off')
  const body = bytes.subarray(0, -CHECK_BYTES)
  if (!checkOf(body).equals(bytes.subarray(-CHECK_BYTES)))
    throw bad('a character of its end is wrong or missing')
  if (body[0] !== INVITE_VERSION) {
    throw new CairnError(
      'WRONG_VERSION',
      `an invite of version ${body[0]}; this is version ${INVITE_VERSION}`,
      {
        hint: 'update cairn on this machine'
      }
    )
  }
  const network = body.subarray(1, 1 + NETWORK_ID_BYTES).toString('hex')
  const secret = body.subarray(1 + NETWORK_ID_BYTES)
  if (body.length === 1 + NETWORK_ID_BYTES) return { network }
  if (secret.length !== SECRET_BYTES) throw bad('its end has the wrong length')
  return { network, secret: secret.toString('base64url') }
}

function checkAddress(address: string): void {
  const parts = componentsOf(address)
  if (parts === undefined)
    throw bad(`"${address.slice(0, 80)}" is not an address such as /ip4/192.0.2.1/tcp/4400/p2p/12D3…`)
  const peer = parts.findLast((part) => part.code === CODE_P2P)?.value
  if (peer === undefined || !isPeerId(peer))
    throw bad(`"${address.slice(0, 80)}" names no member: /p2p/12D3… is missing`)
  if (!parts.some((part) => part.code === CODE_TCP)) throw bad(`"${address.slice(0, 80)}" has no TCP port`)
}

function componentsOf(address: string) {
  try {
    return multiaddr(address).getComponents()
  } catch {
    return undefined // not a multiaddr: the caller says so, with the text
  }
}

function bad(why: string): CairnError {
  return new CairnError('BAD_INVITE', `not an invite: ${why}`, {
    hint: 'copy the whole line that `cairn invite` prints on a member, in quotes'
  })
}
