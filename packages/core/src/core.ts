/**
 * A node's decisions as one deterministic function from events to actions. Two things feed it: libp2p
 * with a disk, or the simulator. Nothing here waits, reads a clock, draws chance of its own or touches
 * the outside: completed I/O comes back as an event, and `deadline` says when a tick is wanted.
 */
import { AUDIT_TOKENS_FROM } from './audit-messages.ts'
import {
  auditAsking,
  auditDeadline,
  auditGone,
  auditMember,
  auditStored,
  auditTick,
  createAuditing,
  onAuditEvent,
  onAuditLookedUp,
  onAuditSlot
} from './auditing.ts'
import { type BlockKey, slotOf } from './block.ts'
import { NETWORK_ID_BYTES } from './claim.ts'
import { type CompareAction, placeOf } from './compare.ts'
import { configure } from './config.ts'
/** Of a node that is given no refs: nothing signed for it is anybody's. */
import type { Core, CoreAction, CoreEvent, CoreOptions, Effect } from './core-types.ts'
import { askDoomed, doomedListFailed, onDoomedListed } from './doomed.ts'
import {
  createFetches,
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
import {
  calledFor,
  createFreeing,
  freeingDeadline,
  freeingForget,
  freeingTick,
  isBeingLetGo,
  isFreeingEvent,
  onDiffering,
  onFreeingEvent,
  onLost
} from './freeing.ts'
import { receive } from './hearing.ts'
import { createHeat, heatRead, tellHeat } from './heat.ts'
import { createHolders, livingMembers, placeMember, vacancyDeadline, vacatePlaces } from './holders.ts'
import { onListed, onListFailed, onLookedUp } from './listing.ts'
import { isLiving, type Member } from './member.ts'
import { createMembership, deadline as membershipDeadline, step as membershipStep } from './membership.ts'
import { createMirrorTold, mirrorsOf, tellMirrors } from './mirror-told.ts'
import {
  createMirrors,
  doubtMirrors,
  isLook,
  lookOf,
  mirrorsDeadline,
  mirrorsTick,
  onMirrorEvent,
  onMirrorLooked
} from './mirrors.ts'
import { noteServed } from './ration.ts'
import {
  createReconciler,
  onSummaries,
  onTaken,
  reconcileDeadline,
  reconcileDoubt,
  reconcileForget,
  reconcileTick,
  uncover
} from './reconcile.ts'
import { livingCarriers } from './ref-table.ts'
import { createRefs, onRefEvent, refsDeadline, refsTick } from './refs.ts'
import { repairLost, repairMissing } from './repair.ts'
import { type Count, toHandOver } from './safety.ts'
import { mirrorScene, ownDoomed, ownTally, refScene, viewOf } from './scenes.ts'
import { createSurveys, onSurveyLookedUp, startSurvey, surveysDeadline, surveysTick } from './survey.ts'
import { ownMember } from './view.ts'
import { isGossip, REASON_CHARS_MAX } from './wire.ts'
import {
  cancelPut,
  createWrites,
  onAnswered,
  onSendEnded,
  startPut,
  writesDeadline,
  writesForget,
  writesTick
} from './write.ts'

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
      if (event.token < 0) return onDoomedListed(surveys.doomed, event)
      if (event.token >= AUDIT_TOKENS_FROM) return onAuditSlot(core.auditing, event, dataMs)
      return onListed(reconciler, event)
    case 'list-failed':
      doomedListFailed(surveys.doomed, event.token)
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
    case 'ask-doomed':
      return askDoomed(surveys.doomed, event, (without) => ownDoomed(core, without), dataMs)
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
