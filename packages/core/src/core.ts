/**
 * A node's decisions as one deterministic function from events to actions. Two things feed it: libp2p
 * with a disk, or the simulator. Nothing here waits, reads a clock, draws chance of its own or touches
 * the outside: completed I/O comes back as an event, and `deadline` says when a tick is wanted.
 */
import type { BlockKey, PeerId } from './block.ts'
import { type Config, configure } from './config.ts'
import type { Crypto } from './crypto.ts'
import {
  createFetches,
  type FetchAction,
  type Fetches,
  type FetchOutcome,
  fetchDeadline,
  fetchForget,
  fetchTick,
  onFetchEnded,
  onFetched,
  unwant,
  want
} from './fetch.ts'
import type { SlotSummary } from './fingerprint.ts'
import { createHolders, type Holders, placeMember, vacancyDeadline, vacatePlaces } from './holders.ts'
import type { Facts, Member } from './member.ts'
import {
  createMembership,
  type MembershipEvent,
  deadline as membershipDeadline,
  step as membershipStep
} from './membership.ts'
import type { Random } from './random.ts'
import {
  type CompareAction,
  createReconciler,
  type Listed,
  onCompareMessage,
  onListed,
  onLookedUp,
  onSummaries,
  type Reconciler,
  reconcileDeadline,
  reconcileTick
} from './reconcile.ts'
import { repairLost, repairMissing } from './repair.ts'
import { type Count, type Tally, tally, toHandOver } from './safety.ts'
import {
  createSurveys,
  onSurveyLookedUp,
  onSurveyMessage,
  type SurveyAction,
  type Surveys,
  startSurvey,
  surveysDeadline,
  surveysTick
} from './survey.ts'
import { type Membership, type MembershipAction, ownMember } from './view.ts'
import { isCompare, isGossip, type Message } from './wire.ts'
import {
  createWrites,
  onAnswered,
  onSendEnded,
  type PutRequest,
  type SendOutcome,
  startPut,
  type WriteAction,
  type Writes,
  writesDeadline,
  writesForget,
  writesTick
} from './write.ts'

export type CoreEvent =
  | Exclude<MembershipEvent, { type: 'message' }>
  | { type: 'message'; from: PeerId; message: Message }
  /** A caller wants blocks kept. */
  | ({ type: 'put' } & PutRequest)
  /** A member, or our own store, answered for some blocks of a `send-blocks`. */
  | {
      type: 'answered'
      transfer: number
      items: readonly { key: BlockKey; outcome: SendOutcome; reason?: string }[]
    }
  | { type: 'send-ended'; transfer: number; reason: string }
  /** A caller wants to read a block that is not here. */
  | { type: 'want'; key: BlockKey; replicas: number }
  /** No caller waits for it any more. */
  | { type: 'unwant'; key: BlockKey }
  | { type: 'fetched'; transfer: number; key: BlockKey; outcome: FetchOutcome; reason?: string }
  | { type: 'fetch-ended'; transfer: number; reason: string | undefined }
  /** These are durable here now, whoever sent them. */
  | { type: 'stored'; keys: readonly BlockKey[] }
  | { type: 'summaries'; summaries: readonly SlotSummary[] }
  | { type: 'listed'; token: number; entries: readonly (Listed & { replicas: number })[] }
  | { type: 'looked-up'; token: number; found: ReadonlyMap<BlockKey, { claims: string }> }
  /** A copy here was damaged and put aside. */
  | { type: 'lost'; key: BlockKey; replicas: number }
  /** A caller asks how safe the network's data is, or who holds some blocks. */
  | { type: 'survey'; request: number }
  | { type: 'inquire'; request: number; keys: readonly BlockKey[] }

export type CoreAction =
  | { type: 'send'; to: PeerId; message: Message }
  | Exclude<
      MembershipAction | WriteAction | FetchAction | CompareAction | SurveyAction,
      { type: 'send' } | { type: 'missing' }
    >

export interface CoreOptions {
  id: PeerId
  facts: Facts
  /** Above the one of the last run, if that is known. */
  incarnation: number
  config: Partial<Config>
  random: Random
  crypto: Crypto
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
  /** Our own member as placement last saw it. */
  placed: Member
}

/** @throws RangeError for a configuration that cannot work, CairnError BAD_CONFIG for facts no member may say */
export function createCore(options: CoreOptions, nowMs: number): Core {
  const { id, crypto } = options
  const config = configure(options.config)
  const membership = createMembership({ ...options, config }, nowMs)
  const holders = createHolders(config.repairDelayMs)
  const placed = ownMember(membership)
  placeMember(holders, placed, nowMs)
  return {
    self: id,
    config,
    membership,
    holders,
    writes: createWrites(config),
    fetches: createFetches(id, config),
    reconciler: createReconciler(id, config, crypto.sha256),
    surveys: createSurveys(id),
    placed
  }
}

/** When the next `tick` is wanted. */
export function coreDeadline(core: Core): number {
  return Math.min(
    membershipDeadline(core.membership),
    vacancyDeadline(core.holders),
    writesDeadline(core.writes),
    fetchDeadline(core.fetches),
    reconcileDeadline(core.reconciler),
    surveysDeadline(core.surveys)
  )
}

/** Applies one event and returns what the caller must do, in order. */
export function coreStep(core: Core, event: CoreEvent, nowMs: number): CoreAction[] {
  const actions: CoreAction[] = []
  const emit = (more: readonly (CoreAction | CompareAction)[]): void => {
    for (const action of more) {
      if (action.type === 'missing') repairMissing(core.fetches, core.holders, action, nowMs)
      else actions.push(action)
      if (action.type === 'member') emit(memberChanged(core, action.member, nowMs))
    }
  }
  emit(apply(core, event, nowMs))
  if (core.placed !== ownMember(core.membership)) {
    core.placed = ownMember(core.membership)
    placeMember(core.holders, core.placed, nowMs)
  }
  vacatePlaces(core.holders, nowMs)
  emit(writesTick(core.writes, core.holders, nowMs))
  emit(reconcileTick(core.reconciler, core.holders, others(core), nowMs))
  emit(fetchTick(core.fetches, core.holders, nowMs))
  emit(surveysTick(core.surveys, nowMs))
  return actions
}

function apply(core: Core, event: CoreEvent, nowMs: number): readonly (CoreAction | CompareAction)[] {
  const { holders, writes, fetches, reconciler, surveys } = core
  switch (event.type) {
    case 'message':
      return receive(core, event.from, event.message, nowMs)
    case 'put':
      return startPut(writes, holders, event, nowMs)
    case 'answered':
      return onAnswered(writes, holders, event, nowMs)
    case 'send-ended':
      return onSendEnded(writes, holders, event, nowMs)
    case 'want':
      want(fetches, { ...event, purpose: 'read', copies: event.replicas, notBeforeMs: nowMs }, nowMs)
      return []
    case 'unwant':
      return unwant(fetches, event.key)
    case 'fetched':
      return onFetched(fetches, event, nowMs)
    case 'fetch-ended':
      onFetchEnded(fetches, event, nowMs)
      return []
    case 'stored':
      return event.keys.flatMap((key) => unwant(fetches, key))
    case 'summaries':
      onSummaries(reconciler, holders, event.summaries)
      return []
    case 'listed':
      return onListed(reconciler, event)
    case 'looked-up':
      return event.token < 0 ? onSurveyLookedUp(surveys, event) : onLookedUp(reconciler, event, nowMs)
    case 'lost':
      repairLost(fetches, holders, event, nowMs)
      return []
    case 'survey':
    case 'inquire': {
      const { request } = event
      const ask = { request, own: ownTally(core), ...(event.type === 'inquire' ? { keys: event.keys } : {}) }
      return startSurvey(surveys, ask, others(core), nowMs)
    }
    default:
      return membershipStep(core.membership, event, nowMs)
  }
}

function receive(core: Core, from: PeerId, message: Message, nowMs: number) {
  if (isGossip(message)) {
    return membershipStep(core.membership, { type: 'message', from, message }, nowMs)
  }
  if (isCompare(message)) return onCompareMessage(core.reconciler, core.holders, from, message, nowMs)
  return onSurveyMessage(core.surveys, from, message, () => ownTally(core))
}

function memberChanged(core: Core, member: Member, nowMs: number): CoreAction[] {
  if (member.id === core.self) return []
  placeMember(core.holders, member, nowMs)
  if (member.state !== 'dead' && member.state !== 'left') return []
  return [
    ...writesForget(core.writes, core.holders, member.id, nowMs),
    ...fetchForget(core.fetches, member.id, nowMs)
  ]
}

/** Living members that take part in placement, without ourselves, in the order in which they became known. */
function others(core: Core): PeerId[] {
  const ids: PeerId[] = []
  for (const [id, { living }] of core.holders.standing) if (living && id !== core.self) ids.push(id)
  return ids
}

function ownTally(core: Core): Tally {
  return tally(core.reconciler, core.holders, core.fetches)
}

/** What a member that leaves has not yet handed over. */
export function leftToHandOver(core: Core): Count {
  return toHandOver(core.reconciler, core.holders)
}
