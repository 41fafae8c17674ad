/** Refs of a test: records signed with seals, receipts, entries. */
import { createHash } from 'node:crypto'
import {
  type KeptMirror,
  MIRROR_LAG_MS,
  type PeerId,
  type RefBody,
  type RefRecord,
  refId,
  SIGNATURE_BYTES,
  signRef,
  toUtf8,
  votersAfter
} from '@cairn/core'
import type { KnownRef } from '../../src/ref-entry.ts'
import { signVote } from '../../src/ref-receipt.ts'

export const NETWORK = '7'.repeat(32)
export const sha256 = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(createHash('sha256').update(bytes).digest())

/** Signs by naming the signer and a hash of what is signed. */
export function seal(by: string, bytes: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(SIGNATURE_BYTES)
  sealed.set(sha256(new Uint8Array([...toUtf8(`${by}\0`), ...bytes])))
  return sealed
}

export function cryptoOf(by: string) {
  return {
    sha256,
    sign: (bytes: Uint8Array) => seal(by, bytes),
    verify: (peer: PeerId, bytes: Uint8Array, signature: Uint8Array) =>
      seal(peer, bytes).join() === signature.join()
  }
}

export const ids = (...names: string[]): PeerId[] => names as PeerId[]
export const OWNER = 'owner' as PeerId
/** The ref of `record`, and its id. */
export const PHOTOS = { owner: OWNER, name: 'photos' }
export const PHOTOS_ID = refId(PHOTOS, sha256)

/** A mirror of it that has nothing yet, unless told. */
export function keptMirror(more: Partial<KeptMirror> = {}): KeptMirror {
  const none = { leaseMs: undefined, generation: 0, whole: undefined }
  return { ref: PHOTOS, lagMs: MIRROR_LAG_MS, ...none, ...more }
}

/** A record that follows these; its electorate is a, b and c unless told. */
export function record(follows: readonly RefRecord[], more: Partial<RefBody> = {}): RefRecord {
  const electorate = more.electorate ?? ids('a', 'b', 'c')
  const sequence = Math.max(0, ...follows.map((one) => one.sequence)) + 1
  const body: RefBody = {
    network: NETWORK,
    owner: OWNER,
    name: 'photos',
    epoch: follows[0]?.epoch ?? 0,
    since: follows[0]?.since ?? 1,
    sequence,
    root: Uint8Array.of(1, sequence),
    predecessors: follows.map(({ hash }) => hash),
    replicas: 3,
    lifetimeMs: 0,
    electorate,
    voters: follows.length === 0 ? [electorate] : votersAfter(follows),
    keep: 1,
    history: [],
    metadata: [],
    ...more
  }
  return signRef(body, cryptoOf(body.owner))
}

export function voted(one: RefRecord, ...voters: string[]): KnownRef {
  const receipts = voters.map((voter) => {
    const vote = { network: NETWORK, voter: voter as PeerId, hash: one.hash, timeMs: 1 }
    return [voter as PeerId, signVote(vote, cryptoOf(voter))] as const
  })
  return { record: one, receipts: new Map(receipts) }
}
