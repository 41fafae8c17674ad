/**
 * A node's decisions as one deterministic function from events to actions. Two things feed it: libp2p
 * with a disk, or the simulator. Nothing here waits, reads a clock, draws chance of its own or touches
 * the outside: completed I/O comes back as an event, and `deadline` says when a tick is wanted.
 */
import type { AuditAction } from './audit-action.ts'
import { AUDIT_TOKENS_FROM } from './audit-messages.ts'
import {
  type AuditEvent,
  type Auditing,
  auditAsking,
  auditDeadline,
  auditGone,
  auditHeard,
  auditMember,
  auditStored,
  auditTick,
  createAuditing,
  onAuditEvent,
  onAuditLookedUp,
  onAuditMessage,
  onAuditSlot
} from './auditing.ts'
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import { NETWORK_ID_BYTES } from './claim.ts'
import { type CompareAction, type Listed, placeOf } from './compare.ts'
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
  hasRepairRoom,
  onFetchEnded,
  onFetched,
  unread,
  unwant,
  want
} from './fetch.ts'
import type { SlotSummary } from './fingerprint.ts'
import {
  calledFor,
  createFreeing,
  type Freeing,
  type FreeingAction,
  type FreeingEvent,
  freeingDeadline,
  freeingForget,
  freeingTick,
  isBeingLetGo,
  isFreeingEvent,
  onDiffering,
  onFreeingEvent,
  onFreeingMessage,
  onLost
} from './freeing.ts'
import {
  createHeat,
  type Heat,
  heatRead,
  heatTold,
  isWorthMirroring,
  onHeatMessage,
  tellHeat
} from './heat.ts'
import {
  createHolders,
  type Holders,
  livingMembers,
  placeMember,
  vacancyDeadline,
  vacatePlaces
} from './holders.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { onListed, onListFailed, onLookedUp } from './listing.ts'
import { type Facts, isLiving, type Member } from './member.ts'
import {
  createMembership,
  type MembershipEvent,
  deadline as membershipDeadline,
  step as membershipStep
} from './membership.ts'
import {
  createMirrorTold,
  type MirrorTold,
  mirrorsOf,
  mirrorsTold,
  onMirrorMessage,
  tellMirrors
} from './mirror-told.ts'
import {
  createMirrors,
  doubtMirrors,
  isLook,
  lookOf,
  type MirrorAction,
  type MirrorEvent,
  type MirrorScene,
  type Mirrors,
  mirrorsDeadline,
  mirrorsTick,
  onMirrorEvent,
  onMirrorLooked
} from './mirrors.ts'
import type { Random } from './random.ts'
import { noteServed } from './ration.ts'
import {
  createReconciler,
  onCompareMessage,
  onSummaries,
  onTaken,
  type Reconciler,
  reconcileDeadline,
  reconcileDoubt,
  reconcileForget,
  reconcileTick,
  uncover
} from './reconcile.ts'
import { knownRef, livingCarriers } from './ref-table.ts'
import {
  createRefs,
  onRefEvent,
  onRefMessage,
  type RefAction,
  type RefEvent,
  type RefOptions,
  type RefScene,
  type Refs,
  refsDeadline,
  refsTick
} from './refs.ts'
import { repairLost, repairMissing } from './repair.ts'
import { type Count, type Tally, tally, toHandOver } from './safety.ts'
import { onScrubMessage, type ScrubAction } from './scrubbing.ts'
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
import {
  isAudit,
  isCompare,
  isFreeing,
  isGossip,
  isHeat,
  isMirror,
  isRef,
  isScrub,
  type Message,
  REASON_CHARS_MAX,
  type SurveyMessage
} from './wire.ts'
import {
  cancelPut,
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

/** Of a node that is given no refs: nothing signed for it is anybody's. */
const NO_NETWORK = '0'.repeat(2 * NETWORK_ID_BYTES)

/** @throws RangeError for a configuration that cannot work, CairnError BAD_CONFIG for facts none may say */
export function createCore(options: CoreOptions, nowMs: number): Core {
  const { id, crypto, life, random } = options
  const { network } = options.refs ?? { network: NO_NETWORK }
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
    writes: createWrites(id, config),
    fetches: createFetches(id, config),
    reconciler: createReconciler(id, config, crypto.sha256, nowMs),
    surveys: createSurveys(id),
    freeing: createFreeing(id, life, config),
    refs: createRefs(
      options.refs ?? { network: NO_NETWORK, boot: 1, states: [] },
      { self: id, crypto, replicas: config.replicas },
      nowMs
    ),
    auditing: createAuditing(
      { self: id, network, crypto, random, intervalMs: config.auditIntervalMs },
      nowMs
    ),
    mirrors: createMirrors(),
    mirrorTold: createMirrorTold(),
    heat: createHeat(),
    placed,
    stalledMs: 0,
    steppedMs: nowMs,
    dataDueMs: Number.NEGATIVE_INFINITY,
    restDueMs: Number.NEGATIVE_INFINITY,
    passVersion: -1,
    bornMs: nowMs,
    lives: new Map(),
    asked: new Map(),
    askedSecond: 0
  }
}

/** When the next `tick` is wanted. */
export function coreDeadline(core: Core): number {
  return Math.min(membershipDeadline(core.membership), core.dataDueMs + core.stalledMs)
}

function restDeadline(core: Core): number {
  return Math.min(
    vacancyDeadline(core.holders),
    writesDeadline(core.writes),
    fetchDeadline(core.fetches),
    freeingDeadline(core.freeing, core),
    surveysDeadline(core.surveys),
    refsDeadline(core.refs),
    mirrorsDeadline(core.mirrors),
    core.mirrorTold.tellAtMs,
    core.heat.tellAtMs,
    auditDeadline(core.auditing)
  )
}

/** Applies one event and returns what the caller must do, in order. */
export function coreStep(core: Core, event: CoreEvent, nowMs: number): CoreAction[] {
  const actions: CoreAction[] = []
  const dataMs = dataTime(core, nowMs)
  const touched = touches(core, event)
  const emit = (more: readonly Effect[]): void => {
    for (const action of more) {
      if (action.type === 'fetch-blocks') emit(auditAsking(core.auditing, action, dataMs))
      if (action.type === 'missing') repairMissing(core.fetches, core.holders, action, dataMs)
      else if (action.type === 'differing') onDiffering(core.freeing, action.from, action.blocks)
      else if (action.type === 'mirror-look')
        emit(onRefEvent(core.refs, refScene(core, dataMs), lookOf(core.mirrors, action.id)))
      else if (action.type === 'ref-read-over' && isLook(action.request))
        onMirrorLooked(core.mirrors, action, dataMs)
      else actions.push(action)
      if (action.type === 'member') emit(memberChanged(core, action.member, dataMs))
    }
  }
  emit(apply(core, event, nowMs, dataMs))
  const isDue = dataMs >= core.restDueMs || touched === 'all' || core.passVersion !== core.holders.version
  if (!isDue && !actions.some(({ type }) => type === 'member')) {
    if (touched === 'comparing' || dataMs >= core.dataDueMs) emit(compareTick(core, dataMs))
    return actions
  }
  if (core.placed !== ownMember(core.membership)) {
    core.placed = ownMember(core.membership)
    placeMember(core.holders, core.placed, dataMs)
  }
  vacatePlaces(core.holders, dataMs)
  emit(writesTick(core.writes, core.holders, dataMs))
  emit(compareTick(core, dataMs))
  emit(freeingTick(core.freeing, core, dataMs))
  emit(fetchTick(core.fetches, core.holders, dataMs))
  emit(surveysTick(core.surveys, dataMs))
  emit(refsTick(core.refs, refScene(core, dataMs)))
  emit(mirrorsTick(core.mirrors, mirrorScene(core, dataMs), dataMs))
  const carriers = (id: string) => livingCarriers(core.refs.table, core.holders, id)
  emit(tellMirrors(core.mirrorTold, core.mirrors, carriers, dataMs))
  emit(tellHeat(core.heat, core.self, carriers, dataMs))
  core.passVersion = core.holders.version
  emit(auditTick(core.auditing, core.reconciler, viewOf(core, dataMs)))
  core.restDueMs = restDeadline(core)
  core.dataDueMs = Math.min(core.restDueMs, reconcileDeadline(core.reconciler))
  return actions
}

/** Begins the comparison that is due; says, too, when the data is to be looked after next. */
function compareTick(core: Core, dataMs: number): CompareAction[] {
  const { reconciler, holders, fetches } = core
  const actions = reconcileTick(reconciler, holders, (peer) => hasRepairRoom(fetches, peer), dataMs)
  core.dataDueMs = Math.min(core.restDueMs, reconcileDeadline(reconciler))
  return actions
}

/**
 * What an event can change of the data, by which it is known what must be looked after. Most of what happens
 * is members' talk, which changes nothing, and comparing, which mostly finds that nothing differs.
 */
function touches(core: Core, event: CoreEvent): 'nothing' | 'comparing' | 'all' {
  if (event.type === 'tick' || event.type === 'served') return 'nothing'
  if (event.type !== 'message') return 'all'
  if (isGossip(event.message)) return 'nothing'
  const { type } = event.message
  if (core.auditing.faults.cases.length > 0) return 'all' // whoever speaks is heard on these
  if (type === 'ref-compare') return 'nothing' // looks up, and answers
  const isView = core.reconciler.viewVersion === core.holders.version
  return isView && (type === 'compare' || type === 'agree') ? 'comparing' : 'all'
}

/**
 * The time by which the data waits: ours, less what we were stalled or suspended for. What was answered
 * meanwhile is still in the queue before us, and would be found late.
 */
function dataTime(core: Core, nowMs: number): number {
  // Members are probed all the time, so that their deadline is never far; one late event is not late twice.
  const lateMs = nowMs - Math.max(core.steppedMs, membershipDeadline(core.membership))
  if (lateMs > core.config.gapMs) core.stalledMs += lateMs
  core.steppedMs = nowMs
  return nowMs - core.stalledMs
}

type Effect = CoreAction | CompareAction | MirrorAction

function apply(core: Core, event: CoreEvent, nowMs: number, dataMs: number): readonly Effect[] {
  const { holders, writes, fetches, reconciler, surveys } = core
  if (isFreeingEvent(event)) {
    if (event.type === 'gone' || event.type === 'collected') auditGone(core.auditing, event.keys, dataMs)
    return onFreeingEvent(core.freeing, core, event, dataMs)
  }
  switch (event.type) {
    case 'message':
      return receive(core, event, nowMs, dataMs)
    case 'put':
      noteServed(fetches.ration, dataMs)
      calledFor(
        core.freeing,
        event.entries.map(({ key }) => key)
      )
      return startPut(writes, holders, event, dataMs)
    case 'cancel-put':
      return cancelPut(writes, event.put)
    case 'answered':
      return onAnswered(writes, holders, event, dataMs)
    case 'send-ended':
      return onSendEnded(writes, holders, event, dataMs)
    case 'want':
      wanted(core, event, dataMs)
      return []
    case 'served':
      noteServed(fetches.ration, dataMs)
      return []
    case 'unwant':
      return unread(fetches, event.key, dataMs)
    case 'fetched':
      return fetched(core, event, dataMs)
    case 'fetch-ended':
      onFetchEnded(fetches, event, dataMs)
      return []
    case 'stored':
      calledFor(core.freeing, event.keys)
      auditStored(core.auditing, event.keys)
      return event.keys.flatMap((key) => unwant(fetches, key))
    case 'summaries':
      onSummaries(reconciler, holders, event.summaries)
      return []
    case 'listed':
      if (event.token >= AUDIT_TOKENS_FROM) return onAuditSlot(core.auditing, event, dataMs)
      return onListed(reconciler, event)
    case 'list-failed':
      onListFailed(reconciler.listings, event.token)
      return []
    case 'looked-up':
      if (event.token < 0) return onSurveyLookedUp(surveys, event)
      if (event.token >= AUDIT_TOKENS_FROM) return onAuditLookedUp(core.auditing, event, dataMs)
      return onLookedUp(reconciler.listings, (id) => reconciler.peers.get(id), event, dataMs)
    case 'lost':
      calledFor(core.freeing, [event.key])
      onLost(core.freeing, event.key)
      uncover(reconciler, placeOf({ slot: slotOf(event.key), replicas: event.replicas }))
      repairLost(fetches, holders, event, dataMs)
      auditGone(core.auditing, [event.key], dataMs)
      doubtMirrors(core.mirrors)
      return []
    case 'disconnected':
      reconcileDoubt(reconciler, event.peer)
      return membershipStep(core.membership, event, nowMs)
    case 'survey':
    case 'inquire':
      return ask(core, event, dataMs)
    case 'ref-read':
    case 'ref-draft':
    case 'ref-propose':
    case 'ref-list':
    case 'ref-kept':
    case 'ref-tidied':
    case 'ref-clock':
      return onRefEvent(core.refs, refScene(core, dataMs), event)
    case 'mirror':
    case 'mirror-hold':
    case 'unmirror':
    case 'mirror-fetched':
    case 'mirror-kept':
    case 'mirror-freed':
      return onMirrorEvent(core.mirrors, event, dataMs)
    case 'challenge':
    case 'challenge-made':
    case 'proved':
    case 'requested':
      return onAuditEvent(core.auditing, event, viewOf(core, dataMs))
    default:
      return membershipStep(core.membership, event, nowMs)
  }
}

/** Whoever mirrors the ref is asked as the holders are, the nearest first. */
function wanted(core: Core, { keys, replicas, ref }: CoreEvent & { type: 'want' }, nowMs: number): void {
  noteServed(core.fetches.ration, nowMs)
  if (ref !== undefined) heatRead(core.heat, ref, keys.length, nowMs)
  const told = ref === undefined ? [] : mirrorsOf(core.mirrorTold, ref, nowMs)
  const living = told.filter((peer) => peer !== core.self && core.holders.standing.get(peer)?.living === true)
  for (const key of keys) {
    const request = { key, replicas, purpose: 'read', notBeforeMs: nowMs } as const
    want(core.fetches, request, nowMs)
    for (const source of living) want(core.fetches, { ...request, source }, nowMs)
  }
}

function fetched(core: Core, event: CoreEvent & { type: 'fetched' }, dataMs: number): CoreAction[] {
  const transfer = core.fetches.transfers.get(event.transfer)
  if (transfer?.purpose === 'repair' && event.outcome === 'held') {
    onTaken(core.reconciler, transfer.from, event.key)
  }
  const actions = onFetched(core.fetches, event, dataMs)
  if (transfer === undefined || event.outcome !== 'corrupt') return actions
  const { key, reason = '' } = event
  const message = { type: 'bad-copy', key, reason: reason.slice(0, REASON_CHARS_MAX) } as const
  return [...actions, { type: 'send', to: transfer.from, message }]
}

function ask(core: Core, event: CoreEvent & { type: 'survey' | 'inquire' }, dataMs: number): CoreAction[] {
  const { request } = event
  const about =
    event.type === 'inquire' ? { keys: event.keys } : event.without ? { without: event.without } : {}
  const own = ownTally(core, dataMs, event.type === 'survey' ? event.without : undefined)
  const question = { request, own, ...about }
  const others = livingMembers(core.holders).filter((id) => id !== core.self)
  return startSurvey(core.surveys, question, others, dataMs)
}

function receive(
  core: Core,
  { from, message }: CoreEvent & { type: 'message' },
  nowMs: number,
  dataMs: number
): readonly Effect[] {
  auditHeard(core.auditing, from, dataMs)
  if (isGossip(message)) {
    return membershipStep(core.membership, { type: 'message', from, message }, nowMs)
  }
  if (!mayAsk(core, from, message, nowMs)) return []
  if (isMirror(message)) {
    onMirrorMessage(core.mirrorTold, from, message, dataMs)
    return []
  }
  if (isHeat(message)) {
    onHeatMessage(core.heat, from, message, dataMs)
    return []
  }
  if (isRef(message)) {
    const answers = onRefMessage(core.refs, refScene(core, dataMs), from, message)
    if (message.type !== 'ref-ask') return answers
    const asked = { ref: message.id, self: core.self, to: from }
    const told = mirrorsTold(core.mirrorTold, core.mirrors, asked, dataMs)
    return [...told, ...heatTold(core.heat, asked, dataMs), ...answers]
  }
  if (message.type === 'bad-copy') {
    return [{ type: 'check-copy', key: message.key, from, reason: message.reason }]
  }
  if (isFreeing(message)) return onFreeingMessage(core.freeing, core, from, message)
  if (isScrub(message)) return onScrubMessage(from, message)
  if (isAudit(message)) return onAuditMessage(core.auditing, { from, message }, viewOf(core, dataMs))
  if (!isCompare(message)) return surveyed(core, from, message, dataMs)
  const peer = { from, mayAsk: hasRepairRoom(core.fetches, from) }
  return onCompareMessage(core.reconciler, core.holders, peer, message, dataMs)
}

/** So long after a start, those of whom only the address is known are waited for. As a join takes. */
const JOIN_WAIT_MS = 30_000

function refScene({ holders, membership, bornMs }: Core, nowMs: number): RefScene {
  const waits = membership.joining.candidates.size > 0 && nowMs < bornMs + JOIN_WAIT_MS
  return { holders, nowMs, apart: waits && livingMembers(holders).length < 2 }
}

function mirrorScene({ refs, heat, mirrorTold, self }: Core, nowMs: number): MirrorScene {
  return {
    bestOf: (id) => knownRef(refs.table, id)?.entry.best?.record,
    isWorth(id, isOne) {
      const mirrors = mirrorsOf(mirrorTold, id, nowMs)
      return isWorthMirroring(heat, { ref: id, self, mirrors, isOne }, nowMs)
    }
  }
}

/** Messages that cost work without our having asked for them. */
const QUESTIONS: readonly Message['type'][] = [
  ...(['compare', 'offer', 'survey', 'inquiry', 'bad-copy', 'release', 'more-claims', 'ended'] as const),
  ...(['ref-list', 'ref-over', 'ask-hold', 'challenge', 'witness', 'accuse', 'ask-scrub'] as const)
]

/** Only living members are heard on data, and nobody may keep us busy. */
function mayAsk(core: Core, from: PeerId, { type }: Message, nowMs: number): boolean {
  const member = core.membership.table.known.get(from)?.member
  if (from === core.self || member === undefined || !isLiving(member.state)) return false
  if (!QUESTIONS.includes(type)) return true
  const second = Math.floor(nowMs / 1_000)
  if (second !== core.askedSecond) core.asked.clear()
  core.askedSecond = second
  const count = (core.asked.get(from) ?? 0) + 1
  core.asked.set(from, count)
  return count <= LIMITS.questionsPerSecond
}

function memberChanged(core: Core, member: Member, dataMs: number): CoreAction[] {
  if (member.id === core.self) return []
  placeMember(core.holders, member, dataMs)
  const audit = auditMember(core.auditing, member.id, isLiving(member.state))
  if (isLiving(member.state)) {
    if (core.lives.get(member.id) !== member.incarnation) reconcileDoubt(core.reconciler, member.id)
    core.lives.set(member.id, member.incarnation)
    return audit
  }
  core.lives.delete(member.id)
  reconcileForget(core.reconciler, member.id)
  freeingForget(core.freeing, member.id)
  return [
    ...audit,
    ...writesForget(core.writes, core.holders, member.id, dataMs),
    ...fetchForget(core.fetches, member.id, dataMs)
  ]
}

function viewOf({ holders, membership }: Core, nowMs: number) {
  const lives = (id: PeerId): boolean => {
    const member = membership.table.known.get(id)?.member
    return member !== undefined && isLiving(member.state)
  }
  return { holders, lives, nowMs }
}

function ownTally(core: Core, nowMs: number, without: readonly PeerId[] = []): Tally {
  return tally(core, { nowMs, without: new Set(without) })
}

function surveyed(core: Core, from: PeerId, message: SurveyMessage, nowMs: number): SurveyAction[] {
  return onSurveyMessage(core.surveys, from, message, (without) => ownTally(core, nowMs, without))
}

/** Members that vanished together, and for how long only last copies are repaired; undefined when all are. */
export function brakedFor(core: Core): { members: number; ms: number } | undefined {
  const { gone, untilMs } = core.holders.brake
  const ms = untilMs - (core.steppedMs - core.stalledMs)
  return ms > 0 ? { members: gone.size, ms } : undefined
}

/** What a member that leaves has not yet handed over. */
export function leftToHandOver(core: Core): Count {
  return toHandOver(core.reconciler, core.holders)
}

/** Whether a copy is being deleted: what arrives for it meanwhile must not be acknowledged. */
export function isLettingGo({ freeing }: Core, key: BlockKey): boolean {
  return isBeingLetGo(freeing, key)
}
