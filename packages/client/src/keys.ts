/**
 * Keys that sign refs, kept by the application: Ed25519 (RFC 8032) by Web Crypto, so that browsers have them
 * too. A key's id is the libp2p peer id of its public half; the secret half never goes to a node.
 */
import { CairnError, equalBytes, type PeerId } from '@cairn/core'
import { base58btc } from 'multiformats/bases/base58'

/** Signs refs for one owner. */
export interface RefKey {
  readonly id: PeerId
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

const SEED_BYTES = 32
const PUBLIC_BYTES = 32
/** Before a seed in PKCS #8 (RFC 8410). */
const PKCS8_PREFIX = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32])
/** Before a public key in a peer id: an identity multihash of a protobuf that says Ed25519. */
const ID_PREFIX = Uint8Array.from([0, 36, 8, 1, 18, 32])
/** Before the two halves in libp2p's protobuf of a secret key. */
const SECRET_PREFIX = Uint8Array.from([8, 1, 18, 64])

export function newSeed(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(SEED_BYTES))
}

/** The key of a seed of 32 bytes. @throws RangeError */
export async function refKey(seed: Uint8Array): Promise<RefKey> {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes, not ${seed.length}`)
  const { secret, publicKey } = await halves(seed)
  return {
    id: peerIdOf(publicKey),
    sign: async (bytes) => new Uint8Array(await crypto.subtle.sign('Ed25519', secret, bytes as BufferSource))
  }
}

async function halves(seed: Uint8Array): Promise<{ secret: CryptoKey; publicKey: Uint8Array }> {
  const der = new Uint8Array([...PKCS8_PREFIX, ...seed])
  const secret = await crypto.subtle.importKey('pkcs8', der, 'Ed25519', true, ['sign'])
  const { x = '' } = await crypto.subtle.exportKey('jwk', secret)
  const text = atob(x.replaceAll('-', '+').replaceAll('_', '/'))
  return { secret, publicKey: Uint8Array.from(text, (char) => char.charCodeAt(0)) }
}

function peerIdOf(publicKey: Uint8Array): PeerId {
  return base58btc.baseEncode(new Uint8Array([...ID_PREFIX, ...publicKey])) as PeerId
}

/** The key as libp2p writes one: any libp2p tool reads it. */
export async function exportKey(seed: Uint8Array): Promise<Uint8Array> {
  const { publicKey } = await halves(seed)
  return new Uint8Array([...SECRET_PREFIX, ...seed, ...publicKey])
}

/** The seed of a key that libp2p wrote. @throws CairnError BAD_CONFIG */
export async function importKey(bytes: Uint8Array): Promise<Uint8Array> {
  const seed = bytes.slice(SECRET_PREFIX.length, SECRET_PREFIX.length + SEED_BYTES)
  const good = seed.length === SEED_BYTES && equalBytes(await exportKey(seed), bytes)
  if (good) return seed
  throw new CairnError('BAD_CONFIG', 'not an Ed25519 key as libp2p writes one', {
    hint: 'cairn key export NAME writes one'
  })
}

/** Whether a signature is an owner's or a voter's. */
export async function verifies(peer: PeerId, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const publicKey = publicOf(peer)
  if (publicKey === undefined) return false
  const key = await crypto.subtle.importKey('raw', publicKey as BufferSource, 'Ed25519', false, ['verify'])
  return crypto.subtle.verify('Ed25519', key, signature as BufferSource, bytes as BufferSource)
}

function publicOf(peer: string): Uint8Array | undefined {
  try {
    const bytes = base58btc.baseDecode(peer)
    const good = bytes.length === ID_PREFIX.length + PUBLIC_BYTES
    return good && equalBytes(bytes.subarray(0, ID_PREFIX.length), ID_PREFIX)
      ? bytes.subarray(ID_PREFIX.length)
      : undefined
  } catch {
    return undefined // no peer id: nobody's signature
  }
}
