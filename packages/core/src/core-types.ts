/**
 * What goes into a node's decisions, what comes out, and what they rest on: the events, the actions and
 * the state of `core.ts`.
 */
import type { AuditAction } from './audit-action.ts'
import type { AuditEvent, Auditing } from './auditing.ts'
import type { BlockKey, PeerId } from './block.ts'
import type { CompareAction, Listed } from './compare.ts'
import type { Config } from './config.ts'
import type { Crypto } from './crypto.ts'
import type { DoomedAsked } from './doomed.ts'
import type { FetchAction, Fetches, FetchOutcome } from './fetch.ts'
import type { SlotSummary } from './fingerprint.ts'
import type { Freeing, FreeingAction, FreeingEvent } from './freeing.ts'
import type { Heat } from './heat.ts'
import type { Holders } from './holders.ts'
import type { Facts, Member } from './member.ts'
import type { MembershipEvent } from './membership.ts'
import type { MirrorTold } from './mirror-told.ts'
import type { MirrorAction, MirrorEvent, Mirrors } from './mirrors.ts'
import type { Random } from './random.ts'
import type { Reconciler } from './reconcile.ts'
import type { RefAction, RefEvent, RefOptions, Refs } from './refs.ts'
import type { ScrubAction } from './scrubbing.ts'
import type { SurveyAction, Surveys } from './survey.ts'
import type { Membership, MembershipAction } from './view.ts'
import type { Message } from './wire.ts'
import type { PutRequest, SendOutcome, WriteAction, Writes } from './write.ts'

export type CoreEvent =
  | FreeingEvent
  | Exclude<MembershipEvent, { type: 'message' }>
  | AuditEvent
  | { type: 'message'; from: PeerId; message: Message }
  /** A caller wants blocks kept. */
  | ({ type: 'put' } & PutRequest)
  /** It gave up waiting for them. */
  | { type: 'cancel-put'; put: number }
  /** A member, or our own store, answered for some blocks of a `send-blocks`. */
  | {
      type: 'answered'
      transfer: number
      items: readonly { key: BlockKey; outcome: SendOutcome; reason?: string }[]
    }
  | { type: 'send-ended'; transfer: number; reason: string }
  /** Callers want to read blocks that are not here; `ref`: they are of what this ref points to. */
  | { type: 'want'; keys: readonly BlockKey[]; replicas: number; ref?: string }
  /** No caller waits for it any more. */
  | { type: 'unwant'; key: BlockKey }
  /** A read or a write of somebody's is being served here; not more often than need be. */
  | { type: 'served' }
  | { type: 'fetched'; transfer: number; key: BlockKey; outcome: FetchOutcome; reason?: string }
  | { type: 'fetch-ended'; transfer: number; reason: string | undefined }
  /** These are durable here now, whoever sent them. */
  | { type: 'stored'; keys: readonly BlockKey[] }
  | { type: 'summaries'; summaries: readonly SlotSummary[] }
  /** The store could not be read: no page goes out, and the asker asks again. */
  | { type: 'list-failed'; token: number }
  /** Of each slot asked for, in their order. */
  | { type: 'listed'; token: number; lists: readonly (readonly (Listed & { replicas: number })[])[] }
  | { type: 'looked-up'; token: number; found: ReadonlyMap<BlockKey, { claims: string; held: boolean }> }
  /** A copy here was damaged and put aside. */
  | { type: 'lost'; key: BlockKey; replicas: number }
  /** A caller asks how safe the network's data is, or who holds some blocks. */
  | { type: 'survey'; request: number; without?: readonly PeerId[] }
  | { type: 'inquire'; request: number; keys: readonly BlockKey[] }
  /** Or which blocks would have no holder left, as one member tells; answered by `doomed`. */
  | ({ type: 'ask-doomed' } & DoomedAsked)
  | RefEvent
  | MirrorEvent

export type CoreAction =
  | { type: 'send'; to: PeerId; message: Message }
  /** Read our copy again: this member was given bytes that are not the block's. A damaged one is `lost`. */
  | { type: 'check-copy'; key: BlockKey; from: PeerId; reason: string }
  | Exclude<
      | (MembershipAction | WriteAction | FetchAction | CompareAction | SurveyAction | FreeingAction)
      | (RefAction | AuditAction | ScrubAction | MirrorAction),
      { type: 'send' } | { type: 'mirror-look' } | { type: 'missing' } | { type: 'differing' }
    >

export interface CoreOptions {
  id: PeerId
  facts: Facts
  /** Above the one of the last run, if that is known. */
  incarnation: number
  /** 16 hexadecimal digits that no two runs share: attempts at letting go are numbered in it. */
  life: string
  config: Partial<Config>
  random: Random
  crypto: Crypto
  /** The network that refs are signed for, and what the disk kept of them. */
  refs?: RefOptions
}

export interface Core {
  readonly self: PeerId
  readonly config: Config
  readonly membership: Membership
  readonly holders: Holders
  readonly writes: Writes
  readonly fetches: Fetches
  readonly reconciler: Reconciler
  readonly surveys: Surveys
  readonly freeing: Freeing
  readonly refs: Refs
  readonly auditing: Auditing
  readonly mirrors: Mirrors
  /** Who mirrors what, as others have told. */
  readonly mirrorTold: MirrorTold
  /** How much refs are read. */
  readonly heat: Heat
  /** Our own member as placement last saw it. */
  placed: Member
  /** Time lost to stalls of our own, ms: what waits is not kept waiting longer than we could answer. */
  stalledMs: number
  /** When this life began. */
  readonly bornMs: number
  /** When the last event was applied. */
  steppedMs: number
  /** When the data is to be looked after at the latest, by its own time, as was known at the last look. */
  dataDueMs: number
  /** The same but for comparing, which most of what comes is about. */
  restDueMs: number
  /** The view of who holds what when all of the data was last looked after. */
  passVersion: number
  /** Incarnations of living members, to see who may have begun a new life. */
  readonly lives: Map<PeerId, number>
  /** Questions that each member asked in the present second. */
  readonly asked: Map<PeerId, number>
  askedSecond: number
}

/** What a part of the core answers an event with; `core.ts` carries out what concerns other parts. */
export type Effect = CoreAction | CompareAction | MirrorAction
