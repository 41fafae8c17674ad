/**
 * Who this node is: one Ed25519 key in `identity.key` (libp2p's protobuf, so that any libp2p tool reads
 * it), and the synchronous signatures (RFC 8032) that the core asks for. Other key types are refused:
 * verifying a giant RSA key is an attack (CVE-2023-39533).
 */
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import { CairnError, type Crypto, type PeerId } from '@cairn/core'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { keepPrivate, readIfThere, writeWhole } from './files.ts'

/** A seed and a public key in DER, before their 32 bytes (RFC 8410). */
const SEED_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const SEED_BYTES = 32
/** Public keys kept parsed; parsing one costs about as much as a verification. The scale's 10,000 members. */
const PARSED_KEYS_MAX = 10_000

export interface Identity {
  readonly id: PeerId
  readonly privateKey: Ed25519PrivateKey
}

/** Reads the key of a home, or makes one where there is none. @throws CairnError BAD_CONFIG */
export async function openIdentity(path: string): Promise<Identity> {
  const kept = await readIdentity(path)
  if (kept !== undefined) {
    await keepPrivate(path)
    return kept
  }
  const privateKey = await generateKeyPair('Ed25519')
  await writeWhole(path, privateKeyToProtobuf(privateKey))
  return identityOf(privateKey)
}

/** The identity in a file, or undefined when there is none. @throws CairnError BAD_CONFIG */
export async function readIdentity(path: string): Promise<Identity | undefined> {
  const bytes = await readIfThere(path)
  if (bytes === undefined) return undefined
  const hint = 'restore the file from a backup; without it this node is another member'
  try {
    const key = privateKeyFromProtobuf(bytes)
    if (key.type === 'Ed25519') return identityOf(key)
  } catch (cause) {
    throw new CairnError('BAD_CONFIG', `${path} holds no key`, { cause, hint })
  }
  throw new CairnError('BAD_CONFIG', `${path} holds a key that is not Ed25519`, { hint })
}

function identityOf(privateKey: Ed25519PrivateKey): Identity {
  return { id: peerIdFromPrivateKey(privateKey).toString() as PeerId, privateKey }
}

/** What the core needs of cryptography, with this node's key. */
export function cryptoOf(identity: Identity): Crypto {
  const seed = identity.privateKey.raw.subarray(0, SEED_BYTES)
  const own = createPrivateKey({ key: Buffer.concat([SEED_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  return { ...verifier(), sign: (bytes) => sign(null, bytes, own) }
}

/** What checking others' signatures needs: no key of one's own. */
export function verifier(): Pick<Crypto, 'sha256' | 'verify'> {
  const parsed = new Map<PeerId, KeyObject>()
  return {
    sha256: (bytes) => hash('sha256', bytes, 'buffer'),
    verify(peer, bytes, signature) {
      const key = parsed.get(peer) ?? publicKeyOf(peer)
      if (key === undefined) return false
      parsed.set(peer, key)
      if (parsed.size > PARSED_KEYS_MAX) parsed.delete(parsed.keys().next().value as PeerId)
      return verify(null, bytes, key, signature)
    }
  }
}

function publicKeyOf(peer: PeerId): KeyObject | undefined {
  const raw = ed25519Raw(peer)
  if (raw === undefined) return undefined
  return createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, raw]), format: 'der', type: 'spki' })
}

function ed25519Raw(peer: string): Uint8Array | undefined {
  try {
    const id = peerIdFromString(peer)
    return id.type === 'Ed25519' ? id.publicKey.raw : undefined
  } catch {
    return undefined // no peer id at all: nobody's signature
  }
}

/** Whether the text is a peer id that may be a member's. */
export function isPeerId(text: string): text is PeerId {
  return ed25519Raw(text) !== undefined
}
