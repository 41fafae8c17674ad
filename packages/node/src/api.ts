/**
 * What an application, the gateway and the command see of a node: this interface and nothing behind it.
 */
import type { Block } from '@cairn/blocks'
import type { CairnError, FaultKind, Member, PeerId } from '@cairn/core'
import type { ScrubStatus, Usage } from '@cairn/store'
import type { CID } from 'multiformats/cid'
import type { Flow } from './api-flow.ts'
import type { MirrorAsked, MirrorView, PromoteAsked, Promotion } from './api-mirrors.ts'
import type { RefAsked, RefDraft, RefOutcome, RefRecordView, RefUpdate, RefView } from './api-refs.ts'

/** How many receipts a put waits for: N, a majority of N, or one. */
export type Ack = 'all' | 'quorum' | 'one'

export interface PutOptions {
  /** N for these blocks. The network's by default. */
  replicas?: number
  ack?: Ack
  /** Give the holders' receipts too. */
  receipts?: boolean
  /**
   * Called when nobody looks at the blocks' bytes any more: some members may still be sent them when the put
   * is settled. Not called when the put is refused at once.
   */
  onReleased?: () => void
  signal?: AbortSignal
}

/** A receipt as its holder signed it (core's `Receipt`), and the blocks that it is over (`ReceiptItem`s). */
export interface HeldReceipt {
  receipt: Uint8Array
  items: Uint8Array
}

/** A block that has fewer receipts than asked for, and why. */
export interface ShortBlock {
  cid: CID
  replicas: number
  reason: string
}

/** What is known when the blocks of one call are as durable as they will be within its limits. */
export interface PutOutcome {
  blocks: number
  bytes: number
  /** Receipts that every block of the call has, at least: "3 of 3". */
  replicas: number
  /** N asked for. */
  wanted: number
  /** Receipts asked for by `ack`, given the members that live now. */
  needed: number
  /** Who gave receipts, with how many blocks each. */
  holders: { peer: PeerId; name: string; blocks: number }[]
  /** Those short of N, at most 100 of them named; empty when `replicas === wanted`. */
  short: ShortBlock[]
  /** Of `keep`: those that fewer than N hold, so that their bytes must be sent. */
  absent: CID[]
  /** When asked for: those that came until now. */
  receipts?: HeldReceipt[]
}

/** A block to keep. Unless it was checked against its CID just now, the store does so. */
export interface PutBlock extends Block {
  verified?: true
}

/** An upload: blocks kept under one claim, until `finish` makes of them a pin. */
export interface Upload {
  /** 32 hexadecimal digits, chosen by who uploads; the same id continues the same upload. */
  readonly id: string
  /**
   * Sends blocks to their holders; resolves with receipts.
   * @throws TOO_FEW_REPLICAS, FULL
   */
  put(blocks: readonly PutBlock[], options?: PutOptions): Promise<PutOutcome>
  /** Claims blocks that may already be held, without their bytes; tells which must be sent. */
  keep(cids: readonly CID[], options?: PutOptions): Promise<PutOutcome>
  /** The upload is whole: its blocks are kept as a pin named by its root. */
  finish(root: CID, about: PinFacts): Promise<Pin>
  /** The upload is over, and no pin is made of it: what nothing else keeps is let go of. */
  end(): Promise<void>
}

export interface PinFacts {
  name?: string
  replicas?: number
  bytes: number
  blocks: number
  /** The record of its files' digests, uploaded with it. */
  digests?: CID
}

/** What is to change of a pin; the rest stays, or is as the network has it. */
export interface PinAsked {
  name?: string
  replicas?: number
  /** Milliseconds; 0 is without end. */
  lifetimeMs?: number
}

export interface Pin {
  root: CID
  upload: string
  name: string | undefined
  replicas: number
  blocks: number
  bytes: number
  /** The record of its files' digests, kept as long as it is. */
  digests?: CID
  /** Milliseconds since 1970, by the clock of the node that pinned it. */
  createdMs: number
  /** How long it binds from its last change; 0 is without end. */
  lifetimeMs: number
}

export type Verdict = 'healthy' | 'under-replicated' | 'at-risk' | 'lost'

/** How safe the data is: of the network as its members see it, or of one DAG. */
export interface Safety {
  verdict: Verdict
  /** One plain sentence: why it is so, and what is being done. */
  reason: string
  wanted: number
  blocks: number
  bytes: number
  /** Blocks by living copies: [0 copies, 1 copy, 2, …, N or more]. */
  byCopies: number[]
  /** Their bytes, as far as they are known. */
  bytesByCopies: number[]
  /** Bytes on their way now, and to come, for blocks below N. */
  repairing: { blocks: number; bytes: number }
  /** Seconds until all is at N, when that can be said. */
  etaSeconds: number | undefined
}

export interface NodeStatus extends Safety {
  id: PeerId
  name: string
  /** Members alive, this one among them. */
  alive: number
  members: number
  usage: Usage
  /** How much of this disk was read again lately, and what was found. */
  scrub: ScrubStatus
  damage: DamageStatus
  /** What was last said here of when all would be safe, and what became of it. */
  forecast: Forecast | undefined
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

export interface StatusOptions {
  /**
   * As if the copies of these members were lost: `node:NAME`, `node:ID`, `zone:ZONE`. For the network, copies
   * held besides those that must hold them are not counted then; for a DAG, they are.
   */
  without?: readonly string[]
}

export interface DagStatusOptions extends StatusOptions {
  /** N for it, where this node has not its pin. */
  replicas?: number
  signal?: AbortSignal
}

export interface DagStatus extends Safety {
  root: CID
  /** Blocks without a copy, at most 100 of them named. */
  lost: CID[]
  holders: { peer: PeerId; name: string; state: Member['state']; blocks: number }[]
}

export interface PeerInfo extends Member {
  /** The round trip of control messages, ms; undefined before the first. */
  rttMs: number | undefined
  connected: boolean
  self: boolean
  /** What audits showed of it; undefined before there was one. */
  audit: AuditState | undefined
}

/** Ranges of blocks that a member was asked to prove since this node started, and what came of it. */
export interface AuditState {
  proven: number
  /** It said by itself that it has them no longer. */
  absent: number
  wrong: number
  /** Audits without an answer: no evidence of anything. */
  silent: number
  secondsAgo: number | undefined
  /** It lied about what it holds: its copies are not counted. */
  fault: { kind: FaultKind; cid: CID; by: PeerId } | undefined
}

export interface ProofOptions {
  onProgress?: (progress: { blocks: number; bytes: number }) => void
  signal?: AbortSignal
}

/** Blocks that a holder was asked to prove now. */
export interface ProofCount {
  asked: number
  proven: number
  absent: number
  wrong: number
  silent: number
}

export interface ProofResult {
  root: CID
  wanted: number
  blocks: number
  bytes: number
  /** Blocks that nobody gave, so that no proof of them could be checked. */
  unread: number
  /** Blocks by the holders that proved them: [none, one, …, N or more]. */
  byProofs: number[]
  holders: ({ peer: PeerId; name: string; state: Member['state'] } & ProofCount)[]
}

export type NodeEvent =
  | {
      type: 'member'
      peer: PeerId
      name: string
      state: Member['state']
      was: Member['state'] | undefined
      atMs: number
    }
  | { type: 'repair'; blocks: number; bytes: number; left: number; atMs: number }
  /** No block is short any more: what was said when somebody asked, and what it took. */
  | ({ type: 'safe' } & Forecast)
  | { type: 'block-lost'; cid: CID; reason: string; atMs: number }
  /** A member lied about what it holds. */
  | { type: 'fault'; peer: PeerId; name: string; kind: FaultKind; cid: CID; by: PeerId; atMs: number }
  | { type: 'pin'; root: CID; removed: boolean; atMs: number }
  /** What is acknowledged of a ref has changed, as far as this node knows. */
  | { type: 'ref'; owner: PeerId; name: string; sequence: number; root?: CID; forks: number; atMs: number }
  | { type: 'log'; level: 'info' | 'warn' | 'error'; text: string; atMs: number }

export interface NetworkInfo {
  /** 32 hexadecimal digits. */
  id: string
  open: boolean
  replicas: number
}

export interface CairnNode {
  readonly id: PeerId
  readonly name: string
  readonly version: string
  readonly network: NetworkInfo
  readonly home: string
  /** Bearer token of the HTTP API, also in `HOME/token` (0600). */
  readonly token: string
  addresses(): string[]
  /** One string that lets another machine join. Any member may invite. */
  invite(): string
  /** Told to the other members, so that `peers` shows where the API is. */
  announceHttp(url: string): void
  upload(id: string): Upload
  pins(): Promise<Pin[]>
  /** Keeps what is stored already, or changes its pin. @throws NO_PROVIDER, TOO_FEW_REPLICAS */
  pin(root: CID, asked?: PinAsked): Promise<Pin>
  /** Removes a pin, whichever member made it (in an open network: this one). @throws NOT_FOUND */
  unpin(root: CID): Promise<void>
  /**
   * A verified block, from this disk or another member's. Callers that ask for it at the same time are
   * given the same bytes: don't change them. Of what `ref` points to, its mirrors are asked
   * as well. @throws NO_PROVIDER, BLOCK_CORRUPT, or the signal's reason
   */
  get(
    cid: CID,
    options?: { signal?: AbortSignal; ref?: { owner: PeerId; name: string } | undefined }
  ): Promise<Uint8Array>
  /** What each name and pin keeps, of all owners. @throws TOO_LARGE */
  usage(options?: { signal?: AbortSignal }): Promise<UsageReport>
  /** Names that live. */
  readonly refs: {
    /** What is acknowledged, as a carrier knows it; `latest` asks a majority. @throws TOO_FEW_REPLICAS */
    get(ref: { owner: PeerId; name: string }, options?: { latest?: boolean }): Promise<RefView | undefined>
    /** Updates a ref of this node's own key. @throws TOO_FEW_REPLICAS, REF_CONFLICT, REF_STALE, NOT_FOUND */
    set(name: string, asked: RefAsked): Promise<RefUpdate>
    /** For whoever keeps the owner's key elsewhere: the next record, not signed. */
    draft(want: RefAsked & { owner: PeerId; name: string }): Promise<RefDraft>
    /** Puts a signed record to the vote. @throws BAD_MESSAGE */
    propose(record: Uint8Array): Promise<RefOutcome>
    /** All that the members carry, of one owner or of all. */
    list(owner?: PeerId): Promise<RefRecordView[]>
    /** How many names' records are on this disk. */
    carried(): number
  }
  /** @throws NOT_FOUND, BAD_REQUEST for members to suppose lost that are not known */
  status(options?: StatusOptions): Promise<NodeStatus>
  statusOf(root: CID, options?: DagStatusOptions): Promise<DagStatus>
  /** Read replicas of refs, on this node. */
  readonly mirrors: {
    /** Begins to mirror a ref, or takes another lag or lease for it. @throws BAD_REQUEST, FULL */
    add(ref: { owner: PeerId; name: string }, asked?: MirrorAsked): Promise<MirrorView>
    list(): Promise<MirrorView[]>
    /** Its claims end, and what nothing else keeps goes. @throws NOT_FOUND */
    remove(ref: { owner: PeerId; name: string }): Promise<void>
    /**
     * Makes a ref that stands alone of the last whole root: claimed first, voted on by this node alone, with
     * what it came from in its metadata. The mirror ends. @throws NOT_FOUND, BAD_REQUEST, BUSY
     */
    promote(ref: { owner: PeerId; name: string }, asked?: PromoteAsked): Promise<Promotion>
  }
  /** Asks every holder of every block of it for proof, now. @throws the signal's reason */
  proofOf(root: CID, options?: ProofOptions): Promise<ProofResult>
  peers(): PeerInfo[]
  flow(): Flow
  /** What is on this disk. */
  stored(): Usage
  /**
   * Reads all of this disk again now. Damaged copies are put aside, and waited for until the others' copies
   * have come, as long as any comes. @throws BUSY when one is under way, or the signal's reason
   */
  scrub(options?: ScrubOptions): Promise<ScrubResult>
  /** What this node holds that nobody claims any more; with `now`, it is collected without its grace. */
  gc(options?: GcOptions): Promise<GcResult>
  /** Has all living members read their disks again, and adds up. Refused by those of an open network. */
  scrubNetwork(options?: ScrubOptions): Promise<NetworkScrub>
  /** From now on, at most 1,000 waiting; the oldest are dropped and counted in a log event. */
  events(signal?: AbortSignal): AsyncIterable<NodeEvent>
  /**
   * Leaves for good: says so, hands over what it holds, stops. Resolves when it has stopped. Given up by
   * the signal, or since nothing moves, the node goes on and hands over what it can: `leave` again
   * continues, and a restart makes it a full member again.
   *
   * @throws CairnError TOO_FEW_REPLICAS when nothing was taken for `stallMs`, which says what is left
   */
  leave(options?: LeaveOptions): Promise<void>
  /** Clean, and within a limit. What was under way fails with UNREACHABLE; what was acknowledged is safe. */
  stop(): Promise<void>
  /** Resolves when the node has ended, by `stop`, by `leave` or by itself: then `error` says why. */
  readonly closed: Promise<{ error: CairnError | undefined }>
  /** What was decided at the start that its owner should know, one plain sentence each. */
  readonly notes: readonly string[]
}

export interface ScrubOptions {
  onProgress?: (progress: ScrubProgress) => void
  signal?: AbortSignal
}

export interface ScrubResult {
  /** Read and compared. */
  blocks: number
  bytes: number
  /** Copies that were not what their name says. */
  damaged: number
  /** Of those, how many are here again, from other members. */
  refetched: number
  /** Of those, how many were held besides what this node must hold: N others have theirs. */
  besides: number
}

/** What was found damaged on this disk since it was first used, and is whole again. */
export interface DamageStatus {
  found: number
  healed: number
  /** The newest first; times in milliseconds since 1970. */
  latest: { cid: CID; foundMs: number; healedMs?: number; besides?: boolean }[]
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
  /** Bytes of blocks that are to be read in all. */
  total: number
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

export interface GcOptions {
  now?: boolean
  signal?: AbortSignal
}

export interface GcResult {
  /** Held when asked. */
  blocks: number
  bytes: number
  /** Of those, gone by now. */
  collected: number
}

export interface LeaveOptions {
  onProgress?: (left: { blocks: number; bytes: number }) => void
  signal?: AbortSignal
  /** With nothing taken by the others for so long, it is given up. A minute by default. */
  stallMs?: number
  /** Goes at once, with nothing handed over: the others repair what it held, from copies elsewhere. */
  force?: boolean
}

export type { Flow } from './api-flow.ts'
export type { MirrorAsked, MirrorView, PromoteAsked, Promoted, Promotion } from './api-mirrors.ts'
export type {
  RefAsked,
  RefDraft,
  RefOutcome,
  RefReceiptView,
  RefRecordView,
  RefUpdate,
  RefView
} from './api-refs.ts'
export type { Block }
