/**
 * One value for all that a member holds of a slot: two members agree on it exactly when they hold the
 * same blocks under the same claims. A hash of the sorted list, not a sum of hashes: a client chooses
 * the digests it uploads, and could choose them so that sums collide.
 */
import { type BlockKey, multihashOf } from './block.ts'
import { concat, toHex, toUtf8 } from './bytes.ts'
import type { HeldClaim } from './claim.ts'
import type { Crypto } from './crypto.ts'

/** 128 bits: a collision costs 2^64 hashes and gains its finder a block repaired late. */
export const FINGERPRINT_BYTES = 16

/** All blocks of one slot that want the same N: the unit of comparison. */
export interface SlotSummary {
  slot: number
  replicas: number
  blocks: number
  bytes: number
  /** 32 hexadecimal digits, '' when `blocks` is 0. */
  fingerprint: string
}

export interface FingerprintItem {
  key: BlockKey
  claims: readonly Pick<HeldClaim, 'claimant' | 'sequence' | 'live'>[]
}

/** What the claims of a block come to, 8 bytes as hex: differs when a claim was added, raised or ended. */
export function claimsDigest(claims: FingerprintItem['claims'], sha256: Crypto['sha256']): string {
  const lines = claims
    .map(({ claimant, sequence, live }) => `${claimant} ${sequence} ${live ? 1 : 0}\n`)
    .sort()
  return toHex(sha256(toUtf8(lines.join(''))).subarray(0, 8))
}

/** @param items of one slot and one N, in the order of their keys. */
export function fingerprintOf(items: readonly FingerprintItem[], sha256: Crypto['sha256']): string {
  if (items.length === 0) return ''
  const parts: Uint8Array[] = []
  for (const { key, claims } of items) parts.push(multihashOf(key), toUtf8(claimsDigest(claims, sha256)))
  return toHex(sha256(concat(parts)).subarray(0, FINGERPRINT_BYTES))
}
