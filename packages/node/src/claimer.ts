/**
 * Whose key signs the claims of refs. In a private network it is the network's own, made of its secret, so
 * that what a ref no longer needs can be let go of by any member, also when the one that claimed it is gone
 * for good: its members trust each other. In an open one it is this node's.
 */
import { hkdfSync } from 'node:crypto'
import type { Crypto, PeerId } from '@cairn/core'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { cryptoOf, type Identity } from './identity.ts'
import type { Network } from './network.ts'

const SEED_BYTES = 32
/** Other uses of the secret give other keys. */
const USE = 'cairn claims of refs 1'

export interface Claimer {
  readonly id: PeerId
  readonly crypto: Pick<Crypto, 'sha256' | 'sign'>
  /** Every member has the key. */
  readonly shared: boolean
}

export async function claimerOf(
  { id, secret }: Pick<Network, 'id' | 'secret'>,
  own: Identity
): Promise<Claimer> {
  if (secret === undefined) return { id: own.id, crypto: cryptoOf(own), shared: false }
  const from = Buffer.from(secret, 'base64url')
  const seed = new Uint8Array(hkdfSync('sha256', from, Buffer.from(id, 'hex'), USE, SEED_BYTES))
  const privateKey = await generateKeyPairFromSeed('Ed25519', seed)
  const identity = { id: peerIdFromPrivateKey(privateKey).toString() as PeerId, privateKey }
  return { id: identity.id, crypto: cryptoOf(identity), shared: true }
}
