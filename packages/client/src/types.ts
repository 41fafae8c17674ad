/** What nodes say over HTTP, as the client gives it on: the shapes of the API with CIDs parsed. */
import type { Digests } from '@cairn/blocks'
import type { FaultKind, Member, PeerId } from '@cairn/core'
import type { CID } from 'multiformats/cid'

/** How many receipts a put waits for: N, a majority of N, or one. */
export type Ack = 'all' | 'quorum' | 'one'

export interface Holding {
  peer: PeerId
  name: string
  blocks: number
}

export interface ShortBlock {
  cid: CID
  replicas: number
  reason: string
}

/** How durable some blocks are, as receipts say. */
export interface Outcome {
  blocks: number
  bytes: number
  /** Receipts that every block has, at least. */
  replicas: number
  /** N asked for. */
  wanted: number
  needed: number
  holders: Holding[]
  /** Those short of N; not all of them are named. */
  short: ShortBlock[]
  absent: CID[]
  /** When asked for: what the holders signed. */
  receipts?: HeldReceipt[]
}

/** "Held, verified, then", signed: a receipt as its holder sent it, and the blocks that it is over. */
export interface HeldReceipt {
  receipt: Uint8Array
  items: Uint8Array
}

export interface Pin {
  root: CID
  upload: string
  name?: string
  replicas: number
  blocks: number
  bytes: number
  /** The record of its files' digests. */
  digests?: CID
  /** Milliseconds since 1970, by the clock of the node that pinned it. */
  createdMs: number
  /** How long it binds from its last change, ms; 0 is without end. */
  lifetimeMs: number
}

/** What a CID stands for, how it is checked, and how safe it is. */
export interface ContentStat {
  cid: CID
  type: 'file' | 'directory' | 'symlink'
  /** Bytes of a file, entries of a directory; unknown for a sharded one. */
  size: number | undefined
  /** Those that were kept of it; a directory has none of its own. */
  digests: Digests
  status: DagStatus
}

export type Verdict = 'healthy' | 'under-replicated' | 'at-risk' | 'lost'

export interface Safety {
  verdict: Verdict
  /** One plain sentence. */
  reason: string
  wanted: number
  blocks: number
  bytes: number
  /** Blocks by living copies: [0 copies, 1 copy, 2, …, N or more]. */
  byCopies: number[]
  /** Their bytes, as far as they are known. */
  bytesByCopies: number[]
  repairing: { blocks: number; bytes: number }
  etaSeconds?: number
}

export interface Usage {
  blocks: number
  bytes: number
  diskBytes: number
  capacity: number
  full: boolean
  readOnly: boolean
}

export interface NodeStatus extends Safety {
  id: PeerId
  name: string
  alive: number
  members: number
  usage: Usage
  scrub: ScrubStatus
  damage: DamageStatus
  /** What was last said by this node of when all would be safe, and what became of it. */
  forecast?: Forecast
}

/** How long it was said to take until no block is short, and how long it took. */
export interface Forecast {
  saidSeconds: number
  tookSeconds: number
  /** Short of copies when it was said. */
  blocks: number
  bytes: number
  atMs: number
}

/** What would be, if the copies of some members were lost. */
export interface WhatIf {
  /** Of all that is kept. */
  network: Safety
  /** Of each pin and ref that would have fewer copies than it should, those that would be lost first. */
  affected: Affected[]
  /** Pins and refs looked at. */
  roots: number
}

export interface Affected extends DagStatus {
  /** `pin NAME`, `ref NAME`: why it is kept. */
  names: string[]
}

/** What was found damaged on the node's disk since it was first used, and is whole again. */
export interface DamageStatus {
  found: number
  healed: number
  /** The newest first; times in milliseconds since 1970. */
  latest: { cid: CID; foundMs: number; healedMs?: number; besides?: boolean }[]
}

/** How much of the node's disk was read again lately, and what was found. */
/** What a node holds that nobody claims any more, when asked; and how much of it is gone by now. */
export interface GcResult {
  blocks: number
  bytes: number
  collected: number
}

/** What a name keeps, or a pin: bytes of blocks, each counted once, whatever the copies. */
export interface NameUsage {
  owner: PeerId
  /** Of a pin, what it is called. */
  name: string
  kind: 'ref' | 'pin'
  sequence: number
  replicas: number
  root?: CID
  /** What it points to, earlier roots that it keeps, and records of digests. */
  roots: number
  blocks: number
  bytes: number
  /** Of these, what no other name keeps. */
  own: { blocks: number; bytes: number }
  /** Roots of which not all could be read. */
  unread: number
}

export interface UsageReport {
  names: NameUsage[]
  /** Of all of them together, each block once. */
  blocks: number
  bytes: number
}

export interface ScrubStatus {
  /** Bytes a second that the round in the background may read. */
  bytesPerSecond: number
  /** When the part that waits longest was last verified, milliseconds since 1970; 0 if never. */
  oldestMs: number
  /** Bytes on disk that were verified within seven days, of how many. */
  verified: number
  total: number
  /** Damaged copies found since the node started. */
  lost: number
}

export interface ScrubResult {
  blocks: number
  bytes: number
  /** Copies that were not what their name says, and how many of those are back from other members. */
  damaged: number
  refetched: number
  /** Of those, how many were held besides what the node must hold: N others have theirs. */
  besides: number
}

/** `silent`: it did not answer, or not to the end. */
export interface MemberScrub extends ScrubResult {
  peer: PeerId
  name: string
  state: 'done' | 'refused' | 'silent'
}

/** The sum, and what each member said. */
export interface NetworkScrub extends ScrubResult {
  members: MemberScrub[]
}

export interface ScrubProgress extends ScrubResult {
  /** Bytes of blocks to read in all. */
  total: number
}

/** What holders proved of a DAG, each asked for a random range of every block that it must hold. */
export interface ProofResult {
  root: CID
  /** N. */
  wanted: number
  blocks: number
  bytes: number
  /** Blocks that nobody gave. */
  unread: number
  /** Blocks by the holders that proved them: [none, one, …, N or more]. */
  byProofs: number[]
  holders: ({ peer: PeerId; name: string; state: Member['state'] } & ProofCount)[]
}

export interface ProofProgress {
  blocks: number
  bytes: number
}

export interface ProofCount {
  asked: number
  proven: number
  /** It says itself that it has them not. */
  absent: number
  /** Signed, and not what the block says. */
  wrong: number
  silent: number
}

/** What audits showed of a member since the node started. */
export interface AuditState {
  proven: number
  absent: number
  wrong: number
  silent: number
  secondsAgo?: number
  fault?: { kind: FaultKind; cid: string; by: PeerId }
}

export interface DagStatus extends Safety {
  root: CID
  /** Blocks without a copy, at most 100 of them named. */
  lost: CID[]
  holders: (Holding & { state: Member['state'] })[]
}

export type PeerInfo = Member & { rttMs?: number; connected: boolean; self: boolean; audit?: AuditState }

export interface NodeInfo {
  id: PeerId
  name: string
  version: string
  api: number
  network: { id: string; open: boolean; replicas: number }
  addresses: string[]
  home: string
  usage: Usage
}

export type NodeEvent =
  | {
      type: 'member'
      peer: PeerId
      name: string
      state: Member['state']
      was?: Member['state']
      atMs: number
    }
  | { type: 'repair'; blocks: number; bytes: number; left: number; atMs: number }
  /** No block is short any more: what was said when somebody asked, and what it took. */
  | ({ type: 'safe' } & Forecast)
  | { type: 'block-lost'; cid: CID; reason: string; atMs: number }
  /** A member lied about what it holds: its copies are no longer counted. */
  | { type: 'fault'; peer: PeerId; name: string; kind: FaultKind; cid: CID; by: PeerId; atMs: number }
  | { type: 'pin'; root: CID; removed: boolean; atMs: number }
  | { type: 'log'; level: 'info' | 'warn' | 'error'; text: string; atMs: number }

/** Left to hand over while a node leaves. */
export interface LeaveProgress {
  blocks: number
  bytes: number
}
