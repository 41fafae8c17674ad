/**
 * The cryptography that decisions need, passed in by the shell like time and chance: synchronous, so
 * that a step stays a step, and replaceable by a cheap one where the simulator runs a million of them.
 */
import type { PeerId } from './block.ts'

export interface Crypto {
  /** SHA-256 (FIPS 180-4), 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array
  /** Ed25519 (RFC 8032) with this node's key, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
  /** Whether `signature` is `peer`'s over `bytes`. Never throws. */
  verify(peer: PeerId, bytes: Uint8Array, signature: Uint8Array): boolean
}

export const SIGNATURE_BYTES = 64
export const SHA256_BYTES = 32
