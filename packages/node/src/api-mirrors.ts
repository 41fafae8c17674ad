/** Mirrors as an application, the gateway and the command see them. */
import type { MirrorPhase, PeerId } from '@cairn/core'
import type { CID } from 'multiformats/cid'

export interface MirrorAsked {
  /** How far behind it wants to be at most, ms; 5 s by default. */
  lagMs?: number
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
  /** Why it rests. */
  reason?: string
  /** Of the root that is being fetched, how much is here. */
  fetching?: { sequence: number; blocks: number; bytes: number }
}
