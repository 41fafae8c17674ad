/** Mirrors as an application, the gateway and the command see them. */
import type { MirrorPhase, PeerId } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { RefUpdate } from './api-refs.ts'

export interface MirrorAsked {
  /** How far behind it wants to be at most, ms; 5 s by default. */
  lagMs?: number
  /** It mirrors only while the ref is read much, and for so long after; always unless told. */
  leaseMs?: number
}

/** A read replica of a ref on this node. */
export interface MirrorView {
  owner: PeerId
  name: string
  /** The root that is here whole; absent until there is one. */
  whole?: { sequence: number; epoch: number; root: CID; blocks: number; bytes: number }
  /** What the ref is at, as far as this node knows; without a root it was removed. */
  primary?: { sequence: number; epoch: number; root?: CID }
  lag: {
    /** How far behind it wants to be at most. */
    wantedMs: number
    /** Since the first update that is not here was seen; 0 with none. */
    ms: number
    /** Updates beyond the whole root; absent while there is none. */
    updates?: number
    /** Since a majority of those who vote on the ref told of it; absent when none has since the start. */
    heardMs?: number
  }
  phase: MirrorPhase
  /** It mirrors only while the ref is read much, and for so long after; of that is left. */
  lease?: { ms: number; leftMs: number }
  /** Why it rests. */
  reason?: string
  /** Of the root that is being fetched, how much is here. */
  fetching?: { sequence: number; blocks: number; bytes: number }
}

export interface PromoteAsked {
  /** What the new ref is called; as the old one unless told. */
  name?: string
  /** Whose it is: this node's unless told. Who has that key signs what comes back as a draft. */
  owner?: PeerId
}

/** Of what a promoted ref came, and what was known to lie beyond it. */
export interface Promoted {
  owner: PeerId
  name: string
  epoch: number
  sequence: number
  root: CID
  /** The hash of the record that it stands on. */
  record: string
  behind: {
    /** Acknowledged updates beyond it, as far as is known here. */
    updates: number
    /** Since the first of them was seen. */
    ms: number
    /** Since a majority of the old voters told of the old ref: what came after that is not known. */
    heardMs?: number
    /** Those whose roots are known. */
    beyond: { sequence: number; root?: CID }[]
    /** Begun, and not known to be acknowledged. */
    begun: number
  }
}

export type Promotion =
  | { type: 'promoted'; ref: RefUpdate; from: Promoted }
  /** The first record, to be signed by its owner and put to the vote; then the mirror can be removed. */
  | { type: 'draft'; body: Uint8Array; from: Promoted }
