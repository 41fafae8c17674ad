/**
 * Multiaddrs: which may be dialled, which are worth telling others, and what failed when one did not answer.
 */
import { CairnError, type PeerId } from '@cairn/core'
import { CODE_IP6ZONE, CODE_P2P, CODE_TCP, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { errnoOf } from './files.ts'

/** A multiaddr over TCP, or undefined: what peers say of themselves is not trusted to be one. */
export function readAddress(text: string): Multiaddr | undefined {
  try {
    const address = multiaddr(text)
    return address.getComponents().some(({ code }) => code === CODE_TCP) ? address : undefined
  } catch {
    return undefined // not a multiaddr
  }
}

/** The member that an address names with `/p2p`. */
export function peerOf(address: Multiaddr): PeerId | undefined {
  return address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value as PeerId | undefined
}

export function withoutPeer(address: Multiaddr): string {
  return address.decapsulateCode(CODE_P2P).toString()
}

export function isLoopback(address: Multiaddr): boolean {
  const host = address.getComponents()[0]?.value ?? ''
  return host.startsWith('127.') || host === '::1' || host === 'localhost'
}

/** Addresses that others can use first, loopback last; link-local ones, which need a zone, not at all. */
export function tellable(addresses: readonly Multiaddr[]): Multiaddr[] {
  const usable = addresses.filter((address) => {
    const parts = address.getComponents()
    return !parts.some(({ code, value }) => code === CODE_IP6ZONE || value?.toLowerCase().startsWith('fe80:'))
  })
  return [...usable.filter((one) => !isLoopback(one)), ...usable.filter(isLoopback)]
}

/** What a peer met over `seen` says of itself, without what means another machine there: loopback. */
export function believable(said: readonly string[], seen: Multiaddr): string[] {
  const read = said.map(readAddress).filter((address) => address !== undefined)
  return read.filter((address) => isLoopback(seen) || !isLoopback(address)).map(withoutPeer)
}

/** Why a dial failed, for people. */
export function dialError(cause: unknown, addresses: readonly Multiaddr[]): CairnError {
  if (CairnError.is(cause)) return cause
  const where = addresses.map(String).join(', ')
  const { words, hint } = explain(cause)
  return new CairnError('UNREACHABLE', `${where}: ${words}`, { cause, hint })
}

function explain(cause: unknown): { words: string; hint: string } {
  const causes = cause instanceof AggregateError ? cause.errors : [cause]
  const names = causes.flatMap((one) =>
    one instanceof Error ? [one.name, errnoOf(one) ?? '', one.message] : []
  )
  const any = (pattern: RegExp): boolean => names.some((name) => pattern.test(name))
  if (any(/dial self/i)) {
    return { words: 'that is this node itself', hint: 'give the address of another member' }
  }
  if (any(/UnexpectedPeer|does not match expected remote identity/)) {
    return { words: 'another node answers there', hint: 'ask a member for a fresh invite: cairn invite' }
  }
  if (any(/ECONNREFUSED/)) {
    return { words: 'nothing listens there', hint: 'check that the member runs, and its address and port' }
  }
  return { words: 'no answer', hint: 'check the address, the network between, and any firewall' }
}
