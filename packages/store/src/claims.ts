/**
 * The claims on one block as a set of registers: how two sets merge, how many copies they ask for, how
 * they are written down, and the digest by which two holders compare them. A join-semilattice (state-based
 * CRDT, Shapiro et al. 2011): merging in any order, any number of times, gives the same set.
 */
import { hash } from 'node:crypto'
import {
  bool,
  bytes,
  CairnError,
  type Codec,
  encode,
  fromHex,
  type HeldClaim,
  list,
  REPLICAS_MAX,
  struct,
  toHex,
  u8,
  varint
} from '@cairn/core'
import { CLAIMANT_BYTES_MAX, CLAIMS_PER_BLOCK_MAX, PROOF_BYTES_MAX } from './store.ts'

const rawClaimant = bytes(CLAIMANT_BYTES_MAX)

const claimant: Codec<string> = {
  write: (out, value) => rawClaimant.write(out, fromHex(value)),
  read: (from) => toHex(rawClaimant.read(from))
}

const claimCodec: Codec<HeldClaim> = struct({
  claimant,
  sequence: varint,
  live: bool,
  replicas: u8,
  proof: bytes(PROOF_BYTES_MAX)
})

/** The claims of one block, on disk. */
export const claimsCodec: Codec<HeldClaim[]> = list(claimCodec, CLAIMS_PER_BLOCK_MAX)

const comparedCodec = list(struct({ claimant, sequence: varint, live: bool }), CLAIMS_PER_BLOCK_MAX)

/** @throws RangeError for a claim that no caller may make. */
export function checkClaims(claims: readonly HeldClaim[]): void {
  for (const { claimant, sequence, replicas, proof } of claims) {
    if (claimant.length === 0 || fromHex(claimant).length > CLAIMANT_BYTES_MAX) {
      throw new RangeError(`a claimant has 1 to ${CLAIMANT_BYTES_MAX} bytes`)
    }
    if (!Number.isSafeInteger(sequence) || sequence < 0) throw new RangeError(`not a sequence: ${sequence}`)
    if (!Number.isInteger(replicas) || replicas < 1 || replicas > REPLICAS_MAX) {
      throw new RangeError(`replicas are 1 to ${REPLICAS_MAX}, not ${replicas}`)
    }
    if (proof.length > PROOF_BYTES_MAX) throw new RangeError(`a proof has at most ${PROOF_BYTES_MAX} bytes`)
  }
}

/** What decides between two claims of one claimant. */
export type Register = Pick<HeldClaim, 'claimant' | 'sequence' | 'live'>

/** True when `next` replaces `held`: a higher sequence, or the end of the same one. */
export function supersedes(next: Register, held: Register | undefined): boolean {
  if (held === undefined) return true
  if (next.sequence !== held.sequence) return next.sequence > held.sequence
  return held.live && !next.live
}

/** Those of `added` that `held` lacks, one a claimant, sorted by claimant; [] when it lacks none. */
export function newClaims<C extends Register>(held: readonly Register[], added: readonly C[]): C[] {
  const known = new Map(held.map((claim) => [claim.claimant, claim]))
  const fresh = new Map<string, C>()
  for (const claim of added) {
    if (supersedes(claim, fresh.get(claim.claimant) ?? known.get(claim.claimant))) {
      fresh.set(claim.claimant, claim)
    }
  }
  return [...fresh.values()].sort(byClaimant)
}

/** `held` with `fresh` in the place of those they replace, sorted by claimant. */
export function replaceClaims<C extends Register>(held: readonly C[], fresh: readonly C[]): C[] {
  const merged = new Map(held.map((claim) => [claim.claimant, claim]))
  for (const claim of fresh) merged.set(claim.claimant, claim)
  return [...merged.values()].sort(byClaimant)
}

/** Both together, sorted by claimant. @throws CairnError FULL beyond `CLAIMS_PER_BLOCK_MAX`. */
export function mergeClaims<C extends Register>(held: readonly C[], added: readonly C[]): C[] {
  const merged = replaceClaims(held, newClaims(held, added))
  if (merged.length > CLAIMS_PER_BLOCK_MAX) {
    throw new CairnError('FULL', `a block is claimed by more than ${CLAIMS_PER_BLOCK_MAX} claimants`, {
      hint: 'End claims that are no longer needed: `cairn rm` what was put under other names.'
    })
  }
  return merged
}

function byClaimant(a: Register, b: Register): number {
  return a.claimant < b.claimant ? -1 : a.claimant > b.claimant ? 1 : 0
}

/** The most that a live claim wants; if none is live, the most that an ended one did; 1 if none at all. */
export function replicasOf(claims: readonly Pick<HeldClaim, 'live' | 'replicas'>[]): number {
  let live = 0
  let ended = 0
  for (const claim of claims) {
    if (claim.live) live = Math.max(live, claim.replicas)
    else ended = Math.max(ended, claim.replicas)
  }
  return live || ended || 1
}

/** What two holders of a block compare. Proofs are left out: many may prove the same claim. */
export function claimsDigest(claims: readonly Register[]): Uint8Array {
  return hash('sha256', encode(comparedCodec, [...claims]), 'buffer')
}
