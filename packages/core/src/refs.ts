/**
 * Refs at one member: it votes when asked, carries what it should, answers who asks, and runs the updates
 * and reads of the callers here. Every vote is on disk before it is sent, every update before it goes out.
 */

import { type Ballot, judge, LOST_FLOOR, type Proposal } from './ballot.ts'
import type { PeerId } from './block.ts'
import { fellowsOf, findingOf, noteBoot, PROOF_WAIT_MS, type Proof } from './catch-up.ts'
import { chainOf, type Draft, draftRef, type RefWant } from './draft.ts'
import { CairnError } from './errors.ts'
import type { Holders } from './holders.ts'
import { newUpdate, outcomeOf, toAsk, UPDATES_MAX, type Update, type UpdateOutcome } from './primary.ts'
import { majorityOf, type RefRecord, refId } from './ref.ts'
import { type KnownRef, type RefEntry, readEntry, recordsOf, writeEntry } from './ref-entry.ts'
import type { RefMessage } from './ref-messages.ts'
import { readVote, signVote } from './ref-receipt.ts'
import {
  createSpread,
  onSpreadMessage,
  type Spread,
  type SpreadAction,
  spreadDeadline,
  spreadTick,
  startListing
} from './ref-spread.ts'
import {
  carriersOf,
  createRefTable,
  electorateOf,
  type HeldRef,
  holdRef,
  knownRef,
  learn,
  livingCarriers,
  loadRef,
  type RefTable,
  slotCarriers,
  stateBytes
} from './ref-table.ts'
import {
  createUpkeep,
  isOver,
  onTidied,
  onUpkeepMessage,
  setClock,
  type Tidied,
  type Upkeep,
  type UpkeepAction,
  upkeepDeadline,
  upkeepTick
} from './ref-upkeep.ts'

/** How long members have to tell what they know of a ref. */
const GATHER_MS = 1_000
/** Those that have not told are asked once more after this: a question or its answer was lost. */
const ASK_AGAIN_MS = 250
/** Reads and drafts under way. */
const GATHERS_MAX = 1_024
/** Proposals that wait for one member to know whether it may vote. */
const WAITING_MAX = 16
/** Between two looks at whether an electorate of our own refs has lost a member. */
const RENEW_LOOK_MS = 2_000
/** Renewals begun by one look. */
const RENEWALS_MAX = 8

export type RefEvent =
  /** Names (owner's id and name), or one ref's id. `latest` asks a majority of those who vote on it. */
  | { type: 'ref-read'; request: number; id: string; latest: boolean }
  /** The next record of a ref, to be signed by who has the key. */
  | { type: 'ref-draft'; request: number; want: RefWant }
  /** A signed record to be put to the vote. */
  | { type: 'ref-propose'; request: number; record: RefRecord }
  /** All refs that the members carry, of one owner or of all. */
  | { type: 'ref-list'; request: number; owner: PeerId | undefined }
  /** The state of a `keep-ref` is on disk, or can't be put there. */
  | { type: 'ref-kept'; token: number; atMs: number; failed?: string }
  /** What `tidy-ref` asked for was done, or could not be. */
  | ({ type: 'ref-tidied' } & Tidied)
  /** What the day's clock says, now and then. */
  | { type: 'ref-clock'; atMs: number }

export type RefAction =
  | SpreadAction
  | UpkeepAction
  /** Put this on disk in the place of what is kept of the ref, then say `ref-kept`. */
  | { type: 'keep-ref'; token: number; id: string; bytes: Uint8Array }
  /** This many starts have been: the next is one more. */
  | { type: 'keep-boot'; boot: number }
  | { type: 'ref-read-over'; request: number; entry: RefEntry; quorum: boolean }
  | { type: 'ref-drafted'; request: number; draft: Draft | { type: 'unknown' } }
  | { type: 'ref-updated'; request: number; outcome: UpdateOutcome | { type: 'failed'; reason: string } }
  /** A record of ours should be updated to the same root: a member of its electorate is gone. */
  | { type: 'renew-ref'; owner: PeerId; name: string }
  /** What is acknowledged of a ref has changed. */
  | { type: 'ref-changed'; record: RefRecord; forks: RefRecord[] }

interface Gather {
  readonly request: number
  readonly id: string
  /** Undefined for a read. */
  readonly want: RefWant | undefined
  readonly latest: boolean
  readonly asked: Set<PeerId>
  readonly heard: Set<PeerId>
  againAtMs: number
  readonly untilMs: number
}

type AfterKept =
  | { type: 'vote'; id: string; hash: string; to: PeerId; token: number }
  | { type: 'update'; request: number }
  | { type: 'taken'; to: PeerId; token: number }

interface Waiting {
  readonly proof: Proof
  readonly proposals: { from: PeerId; token: number; proposal: Proposal }[]
}

export interface Refs {
  readonly table: RefTable
  readonly spread: Spread
  readonly upkeep: Upkeep
  /** Of this life, and what the next is to be above. */
  readonly boot: number
  bootKept: number
  readonly updates: Map<number, Update>
  readonly gathers: Map<number, Gather>
  readonly proofs: Map<string, Waiting>
  readonly kept: Map<number, AfterKept>
  /** Refs whose last update was acknowledged to a caller here: the next needs no asking first. */
  readonly mine: Set<string>
  nextToken: number
  renewAtMs: number
}

export interface RefOptions {
  network: string
  /** How often this member has started, this time included. */
  boot: number
  /** What the disk kept of each ref, whole: one that is damaged is not given. */
  states: readonly Uint8Array[]
  /** Ids of those that were damaged: what was voted there is forgotten. */
  lost?: readonly string[]
  /** One key, which every member has, ends all claims of refs. */
  shared?: boolean
}

export function createRefs(
  options: RefOptions,
  table: Pick<RefTable, 'self' | 'crypto' | 'replicas'>,
  nowMs: number
): Refs {
  const refs: Refs = {
    table: createRefTable({ ...table, network: options.network }),
    spread: createSpread(nowMs),
    upkeep: createUpkeep(options.shared ?? false, nowMs),
    boot: options.boot,
    bootKept: options.boot,
    updates: new Map(),
    gathers: new Map(),
    proofs: new Map(),
    kept: new Map(),
    mine: new Set(),
    nextToken: 1,
    renewAtMs: nowMs + RENEW_LOOK_MS
  }
  for (const state of options.states) loadRef(refs.table, state)
  for (const id of options.lost ?? []) holdRef(refs.table, id, true).ballot.floor = LOST_FLOOR
  return refs
}

/** What is acknowledged of a ref, as far as this member knows. */
export function bestRef({ table }: Refs, id: string): RefRecord | undefined {
  return knownRef(table, id)?.entry.best?.record
}

/** What a step works with besides the refs. */
export interface RefScene {
  holders: Holders
  nowMs: number
  /** There are members, and none of them was heard in this life: who knows what they have. */
  apart: boolean
}

export function onRefEvent(refs: Refs, scene: RefScene, event: RefEvent): RefAction[] {
  switch (event.type) {
    case 'ref-read':
      return read(refs, scene, event)
    case 'ref-draft':
      return draft(refs, scene, event)
    case 'ref-propose':
      return propose(refs, scene, event)
    case 'ref-list':
      return startListing(refs.spread, refs.table, spreadScene(refs, scene), event)
    case 'ref-kept':
      setClock(refs.upkeep, event.atMs, scene.nowMs)
      return kept(refs, scene, event)
    case 'ref-tidied':
      onTidied(refs.upkeep, event, scene.nowMs)
      return []
    case 'ref-clock':
      setClock(refs.upkeep, event.atMs, scene.nowMs)
      return []
  }
}

/** A message about refs. Bytes that prove nothing are dropped, whoever sent them. */
export function onRefMessage(refs: Refs, scene: RefScene, from: PeerId, message: RefMessage): RefAction[] {
  try {
    return receive(refs, scene, from, message)
  } catch (error) {
    if (CairnError.is(error)) return []
    throw error
  }
}

function receive(refs: Refs, scene: RefScene, from: PeerId, message: RefMessage): RefAction[] {
  switch (message.type) {
    case 'ref-propose':
      return onPropose(refs, scene, from, message)
    case 'ref-vote':
      return onVote(refs, scene, from, message)
    case 'ref-refuse': {
      const update = refs.updates.get(message.token)
      if (update === undefined) return []
      const taken = take(refs, update.record.id, message.entry)
      update.refusals.set(from, message.why)
      return [...taken, ...advance(refs, scene, update)]
    }
    case 'ref-ask': {
      const entry = knownRef(refs.table, message.id)?.entry
      const { token, id } = message
      const told = entry === undefined ? { records: [] } : writeEntry(entry)
      return post(refs, scene, from, { type: 'ref-told', token, id, entry: told })
    }
    case 'ref-told':
      return onTold(refs, scene, from, message)
    case 'ref-boot':
      return onBoot(refs, scene, from, message)
    case 'ref-booted':
      refs.proofs.get(message.id)?.proof.told.set(from, message)
      return judgeWaiting(refs, scene, message.id)
    case 'ref-take': {
      const { token, entry } = message
      const after = token === undefined ? undefined : ({ type: 'taken', to: from, token } as const)
      return takeUnasked(refs, scene, entry, after)
    }
    case 'ref-over':
    case 'ref-over-too':
      return onUpkeepMessage(refs.upkeep, refs.table, scene, from, message)
    case 'ref-list':
    case 'ref-listed':
    case 'ref-taken':
    case 'ref-compare':
    case 'ref-page':
    case 'ref-next':
    case 'ref-want':
      return onSpreadMessage(refs.spread, refs.table, spreadScene(refs, scene), from, message)
  }
}

/** What is due: answers that took too long, updates to send again, comparing, renewals. */
export function refsTick(refs: Refs, scene: RefScene): RefAction[] {
  const { nowMs } = scene
  const actions: RefAction[] = []
  for (const update of [...refs.updates.values()]) actions.push(...advance(refs, scene, update))
  for (const gather of [...refs.gathers.values()]) {
    if (nowMs >= gather.untilMs) actions.push(...finishGather(refs, scene, gather, false))
    else if (nowMs >= gather.againAtMs) actions.push(...askAgain(gather, nowMs))
  }
  for (const [id, { proof }] of [...refs.proofs]) {
    if (nowMs >= proof.untilMs) actions.push(...judgeWaiting(refs, scene, id))
  }
  if (nowMs >= refs.renewAtMs) {
    refs.renewAtMs = nowMs + RENEW_LOOK_MS
    actions.push(...renewals(refs, scene))
  }
  actions.push(...upkeepTick(refs.upkeep, refs.table, scene))
  return [...actions, ...spreadTick(refs.spread, refs.table, spreadScene(refs, scene))]
}

function spreadScene({ upkeep, table }: Refs, { holders, nowMs }: RefScene) {
  return { holders, nowMs, isOver: (known: KnownRef) => isOver(upkeep, table, known, nowMs) }
}

export function refsDeadline(refs: Refs): number {
  let next = Math.min(refs.renewAtMs, spreadDeadline(refs.spread), upkeepDeadline(refs.upkeep))
  for (const { againAtMs, untilMs, kept } of refs.updates.values()) {
    next = Math.min(next, kept ? againAtMs : untilMs, untilMs)
  }
  for (const { untilMs, againAtMs } of refs.gathers.values()) next = Math.min(next, untilMs, againAtMs)
  for (const { proof } of refs.proofs.values()) next = Math.min(next, proof.untilMs)
  return next
}

/** To a member, ourselves included. */
function post(refs: Refs, scene: RefScene, to: PeerId, message: RefMessage): RefAction[] {
  return to === refs.table.self ? receive(refs, scene, to, message) : [{ type: 'send', to, message }]
}

function keep(refs: Refs, held: HeldRef, after?: AfterKept): RefAction[] {
  const token = refs.nextToken++
  if (after !== undefined) refs.kept.set(token, after)
  return [{ type: 'keep-ref', token, id: held.entry.id, bytes: stateBytes(held) }]
}

/** Takes what a member told of a ref that is known here, or asked about. */
function take(refs: Refs, id: string, told: Parameters<typeof readEntry>[0]): RefAction[] {
  if (told.records.length === 0) return []
  const { table } = refs
  const held = holdRef(table, id, false)
  const records = readEntry(told, table.network, table.crypto, held.entry)
  return takeRecords(refs, held, records)
}

function takeRecords(refs: Refs, held: HeldRef, records: readonly KnownRef[]): RefAction[] {
  const before = held.entry.best?.record
  const forks = held.entry.forks.length
  if (!learn(refs.table, held, records)) return []
  const { best } = held.entry
  const actions = held.carried ? keep(refs, held) : []
  if (best === undefined || (best.record === before && held.entry.forks.length === forks)) return actions
  const changed = { record: best.record, forks: held.entry.forks.map(({ record }) => record) }
  return [...actions, { type: 'ref-changed', ...changed }]
}

/** What another brings: it is carried where it should be. */
function takeUnasked(
  refs: Refs,
  { holders }: RefScene,
  told: Parameters<typeof readEntry>[0],
  after: AfterKept | undefined
): RefAction[] {
  const { table } = refs
  const records = readEntry(told, table.network, table.crypto)
  const id = records[0]?.record.id
  if (id === undefined) return []
  const known = knownRef(table, id) ?? holdRef(table, id, false)
  const taken = takeRecords(refs, known, records)
  const mine = known.carried || carriersOf(table, holders, id).includes(table.self)
  const held = mine ? holdRef(table, id, true) : known
  if (after !== undefined && mine) return [...taken, ...keep(refs, held, after)]
  return taken
}

// Voting

function onPropose(
  refs: Refs,
  scene: RefScene,
  from: PeerId,
  message: RefMessage & { type: 'ref-propose' }
): RefAction[] {
  const { table } = refs
  const records = readEntry(
    { records: [{ record: message.record, receipts: message.receipts }, ...message.chain] },
    table.network,
    table.crypto
  )
  const [first, ...chain] = records as [KnownRef, ...KnownRef[]]
  const { record } = first
  if (!record.voters.some((group) => group.includes(table.self))) return []
  const held = holdRef(table, record.id, true)
  const taken = takeRecords(refs, held, records)
  const proposal = { record, chain }
  return [...taken, ...answer(refs, scene, held, { from, token: message.token, proposal })]
}

function answer(
  refs: Refs,
  scene: RefScene,
  held: HeldRef,
  asked: { from: PeerId; token: number; proposal: Proposal }
): RefAction[] {
  const { from, token, proposal } = asked
  const { record } = proposal
  const { entry, ballot } = held
  const judgement = judge(ballot, entry, proposal, refs.table.self)
  const mayAsk = judgement.type === 'refuse' && judgement.why === 'unproven' && !ballot.proven
  if (judgement.type === 'refuse' && !mayAsk) {
    const refusal = { token, why: judgement.why, entry: writeEntry(entry) }
    return post(refs, scene, from, { type: 'ref-refuse', ...refusal })
  }
  const known = recordsOf(entry).find((one) => one.record.hash === record.hash)
  const receipt = known?.receipts.get(refs.table.self)
  if (receipt !== undefined) {
    return post(refs, scene, from, { type: 'ref-vote', token, receipt: receipt.bytes })
  }
  if (!ballot.proven) return askFellows(refs, scene, held, asked)
  vote(ballot, record)
  return keep(refs, held, { type: 'vote', id: entry.id, hash: record.hash, to: from, token })
}

function vote(ballot: Ballot, { epoch, sequence, hash }: RefRecord): void {
  ballot.vote = { epoch, sequence, hash }
}

function askFellows(
  refs: Refs,
  scene: RefScene,
  held: HeldRef,
  asked: { from: PeerId; token: number; proposal: Proposal }
): RefAction[] {
  const { id } = held.entry
  const waiting = refs.proofs.get(id)
  if (waiting !== undefined) {
    const { hash } = asked.proposal.record
    const again = waiting.proposals.some(
      (one) => one.from === asked.from && one.proposal.record.hash === hash && one.token === asked.token
    )
    if (!again && waiting.proposals.length < WAITING_MAX) waiting.proposals.push(asked)
    return []
  }
  const proof = { told: new Map(), untilMs: scene.nowMs + PROOF_WAIT_MS }
  refs.proofs.set(id, { proof, proposals: [asked] })
  const fellows = fellowsOf(asked.proposal.record, refs.table.self)
  const asking = fellows.map((to): RefAction => {
    return { type: 'send', to, message: { type: 'ref-boot', id, boot: refs.bootKept } }
  })
  return [...asking, ...judgeWaiting(refs, scene, id)]
}

function judgeWaiting(refs: Refs, scene: RefScene, id: string): RefAction[] {
  const waiting = refs.proofs.get(id)
  const held = refs.table.carried.get(id)
  const first = waiting?.proposals[0]
  if (waiting === undefined || held === undefined || first === undefined) return []
  const { self } = refs.table
  const { ballot } = held
  const lost = ballot.floor === LOST_FLOOR
  const own = { self, boot: refs.boot, lost }
  const finding = findingOf(waiting.proof, first.proposal.record, own, scene.nowMs)
  if (finding.type === 'wait') return []
  refs.proofs.delete(id)
  const actions: RefAction[] = []
  if (finding.type === 'sound') ballot.proven = true
  if (finding.type === 'floor') {
    ballot.floor = lost ? finding.sequence : Math.max(ballot.floor, finding.sequence)
    ballot.proven = true
    refs.bootKept = Math.max(refs.bootKept, finding.boot)
    actions.push({ type: 'keep-boot', boot: refs.bootKept }, ...keep(refs, held))
  }
  for (const { from, token, proposal } of waiting.proposals) {
    if (ballot.proven) actions.push(...answer(refs, scene, held, { from, token, proposal }))
    else {
      const refusal = { token, why: 'unproven' as const, entry: writeEntry(held.entry) }
      actions.push(...post(refs, scene, from, { type: 'ref-refuse', ...refusal }))
    }
  }
  return actions
}

/** A fellow voter has started: whether it had before, and how far the votes have come. */
function onBoot(
  refs: Refs,
  scene: RefScene,
  from: PeerId,
  { id, boot }: RefMessage & { type: 'ref-boot' }
): RefAction[] {
  const held = refs.table.carried.get(id)
  const known = held === undefined ? 0 : noteBoot(held.ballot, from, boot)
  const sequence = Math.max(held?.ballot.vote?.sequence ?? 0, held?.entry.best?.record.sequence ?? 0)
  const told = post(refs, scene, from, { type: 'ref-booted', id, boot: known, sequence })
  return held === undefined || boot <= known ? told : [...keep(refs, held), ...told]
}

function kept(refs: Refs, scene: RefScene, event: RefEvent & { type: 'ref-kept' }): RefAction[] {
  const after = refs.kept.get(event.token)
  refs.kept.delete(event.token)
  if (after === undefined) return []
  switch (after.type) {
    case 'taken':
      if (event.failed !== undefined) return []
      return post(refs, scene, after.to, { type: 'ref-taken', token: after.token })
    case 'update': {
      const update = refs.updates.get(after.request)
      if (update === undefined) return []
      if (event.failed !== undefined) {
        refs.updates.delete(update.request)
        const outcome = { type: 'failed', reason: event.failed } as const
        return [{ type: 'ref-updated', request: update.request, outcome }]
      }
      update.kept = true
      return advance(refs, scene, update)
    }
    case 'vote': {
      const held = refs.table.carried.get(after.id)
      const known = held && recordsOf(held.entry).find(({ record }) => record.hash === after.hash)
      if (event.failed !== undefined || held === undefined || known === undefined) return []
      const { self, network, crypto } = refs.table
      const receipt =
        known.receipts.get(self) ??
        signVote({ network, voter: self, hash: after.hash, timeMs: event.atMs }, crypto)
      const taken = takeRecords(refs, held, [{ record: known.record, receipts: new Map([[self, receipt]]) }])
      const voted = { type: 'ref-vote', token: after.token, receipt: receipt.bytes } as const
      return [...post(refs, scene, after.to, voted), ...taken]
    }
  }
}

// Updating

function propose(refs: Refs, scene: RefScene, event: RefEvent & { type: 'ref-propose' }): RefAction[] {
  const { request, record } = event
  if (refs.updates.size >= UPDATES_MAX) {
    const outcome = { type: 'failed', reason: `${UPDATES_MAX} updates are under way here` } as const
    return [{ type: 'ref-updated', request, outcome }]
  }
  const held = holdRef(refs.table, record.id, true)
  const taken = takeRecords(refs, held, [{ record, receipts: new Map() }])
  const known = recordsOf(held.entry).find((one) => one.record.hash === record.hash)
  const chain = chainOf(held.entry, record)
  const update = newUpdate(request, known ?? { record, receipts: new Map() }, chain, scene.nowMs)
  refs.updates.set(request, update)
  return [
    ...taken.filter(({ type }) => type !== 'keep-ref'),
    ...keep(refs, held, { type: 'update', request })
  ]
}

function advance(refs: Refs, scene: RefScene, update: Update): RefAction[] {
  const actions: RefAction[] = []
  const { record, request } = update
  if (refs.updates.get(request) !== update) return []
  const known = knownRef(refs.table, record.id)?.entry
  const told = known && recordsOf(known).find((one) => one.record.hash === record.hash)
  for (const [peer, receipt] of told?.receipts ?? []) update.receipts.set(peer, receipt)
  const chain = writeEntry({ id: record.id, best: undefined, rivals: [...update.chain], forks: [] }).records
  const receipts = [...update.receipts.values()].map(({ bytes }) => bytes)
  const proposal = { type: 'ref-propose' as const, token: request, record: record.bytes, receipts, chain }
  for (const to of toAsk(update, scene.nowMs)) actions.push(...post(refs, scene, to, proposal))
  const outcome = refs.updates.get(request) === update ? outcomeOf(update, scene.nowMs) : undefined
  if (outcome === undefined) return actions
  refs.updates.delete(request)
  if (outcome.type === 'acknowledged') {
    refs.mine.add(record.id)
    actions.push(...tellCarriers(refs, scene, record.id))
  } else refs.mine.delete(record.id)
  return [...actions, { type: 'ref-updated', request, outcome }]
}

function onVote(
  refs: Refs,
  scene: RefScene,
  from: PeerId,
  { token, receipt: bytes }: RefMessage & { type: 'ref-vote' }
): RefAction[] {
  const update = refs.updates.get(token)
  if (update === undefined) return []
  const { table } = refs
  const receipt = readVote(bytes, table.network, table.crypto)
  if (receipt.hash !== update.record.hash || receipt.voter !== from) return []
  update.receipts.set(from, receipt)
  const held = holdRef(table, update.record.id, true)
  const taken = takeRecords(refs, held, [{ record: update.record, receipts: new Map([[from, receipt]]) }])
  return [...taken, ...advance(refs, scene, update)]
}

/** Direct mail; comparing brings it to those that this does not reach. */
function tellCarriers(refs: Refs, { holders }: RefScene, id: string): RefAction[] {
  const entry = knownRef(refs.table, id)?.entry
  if (entry === undefined) return []
  const message = { type: 'ref-take' as const, token: undefined, entry: writeEntry(entry) }
  return livingCarriers(refs.table, holders, id).map((to) => ({ type: 'send', to, message }))
}

function renewals(refs: Refs, { holders }: RefScene): RefAction[] {
  const { table, updates } = refs
  const busy = new Set([...updates.values()].map(({ record }) => record.id))
  const actions: RefAction[] = []
  for (const [id, { entry }] of table.carried) {
    const record = entry.best?.record
    if (record === undefined || record.owner !== table.self || busy.has(id)) continue
    const gone = record.electorate.some((peer) => holders.standing.get(peer)?.living !== true)
    if (!gone) continue
    const next = electorateOf(holders, id, record.replicas)
    if ([...next].sort().join() === [...record.electorate].sort().join()) continue
    actions.push({ type: 'renew-ref', owner: record.owner, name: record.name })
    if (actions.length === RENEWALS_MAX) break
  }
  return actions
}

// Reading

function read(refs: Refs, scene: RefScene, event: RefEvent & { type: 'ref-read' }): RefAction[] {
  const { request, id, latest } = event
  const known = refs.table.carried.get(id)
  if (!latest && known?.entry.best !== undefined && isCarrier(refs, scene, id)) {
    return [{ type: 'ref-read-over', request, entry: known.entry, quorum: false }]
  }
  return gather(refs, scene, { request, id, latest, want: undefined })
}

function isCarrier({ table }: Refs, { holders }: RefScene, id: string): boolean {
  return carriersOf(table, holders, id).includes(table.self)
}

function draft(refs: Refs, scene: RefScene, event: RefEvent & { type: 'ref-draft' }): RefAction[] {
  const { request, want } = event
  const id = refId(want, refs.table.crypto.sha256)
  const entry = knownRef(refs.table, id)?.entry
  if (refs.mine.has(id) && entry?.best !== undefined && entry.rivals.length === 0) {
    return [{ type: 'ref-drafted', request, draft: drafted(refs, scene, entry, want) }]
  }
  return gather(refs, scene, { request, id, latest: true, want })
}

function drafted(refs: Refs, { holders }: RefScene, entry: RefEntry, want: RefWant): Draft {
  const { network, replicas } = refs.table
  const electorate = (copies: number) => electorateOf(holders, entry.id, copies)
  return draftRef(entry, want, { network, replicas, electorate })
}

function gather(
  refs: Refs,
  scene: RefScene,
  ask: Pick<Gather, 'request' | 'id' | 'latest' | 'want'>
): RefAction[] {
  if (refs.gathers.size >= GATHERS_MAX) {
    return over(refs, scene, { ...ask, asked: new Set(), heard: new Set(), againAtMs: 0, untilMs: 0 }, false)
  }
  const own = isCarrier(refs, scene, ask.id) || refs.table.carried.has(ask.id) ? [refs.table.self] : []
  const { nowMs } = scene
  const times = { againAtMs: nowMs + ASK_AGAIN_MS, untilMs: nowMs + GATHER_MS }
  const open: Gather = { ...ask, asked: new Set(), heard: new Set(own), ...times }
  refs.gathers.set(ask.request, open)
  return [...askMore(refs, scene, open), ...finishGather(refs, scene, open, true)]
}

/** Asks those that should know, as far as they have come to be known. */
function askMore(refs: Refs, { holders }: RefScene, open: Gather): RefAction[] {
  const { id, request: token, asked } = open
  const next = livingCarriers(refs.table, holders, id).filter((peer) => !asked.has(peer))
  for (const peer of next) asked.add(peer)
  return next.map((to) => ({ type: 'send', to, message: { type: 'ref-ask', token, id } }))
}

function askAgain(open: Gather, nowMs: number): RefAction[] {
  const { id, request: token, asked, heard } = open
  open.againAtMs = nowMs + ASK_AGAIN_MS
  const silent = [...asked].filter((peer) => !heard.has(peer))
  return silent.map((to) => ({ type: 'send', to, message: { type: 'ref-ask', token, id } }))
}

function onTold(
  refs: Refs,
  scene: RefScene,
  from: PeerId,
  message: RefMessage & { type: 'ref-told' }
): RefAction[] {
  const open = refs.gathers.get(message.token)
  if (open === undefined || open.id !== message.id || !open.asked.has(from)) return []
  const taken = take(refs, message.id, message.entry)
  open.heard.add(from)
  return [...taken, ...askMore(refs, scene, open), ...finishGather(refs, scene, open, true)]
}

/** Whether a majority of those who vote on what is known was heard. */
function isQuorum(refs: Refs, { holders }: RefScene, { id, heard }: Gather): boolean {
  const best = knownRef(refs.table, id)?.entry.best?.record
  const group = best?.electorate ?? slotCarriers(refs.table, holders, id)
  return group.filter((peer) => heard.has(peer)).length >= majorityOf(group)
}

function finishGather(refs: Refs, scene: RefScene, open: Gather, mayWait: boolean): RefAction[] {
  const { id, request, latest, asked, heard } = open
  const quorum = isQuorum(refs, scene, open)
  const all = [...asked].every((peer) => heard.has(peer))
  const found =
    knownRef(refs.table, id)?.entry.best !== undefined && [...asked].some((peer) => heard.has(peer))
  if (mayWait && !all && !(latest ? quorum : found)) return []
  refs.gathers.delete(request)
  return over(refs, scene, open, quorum)
}

function over(refs: Refs, scene: RefScene, { request, id, want }: Gather, quorum: boolean): RefAction[] {
  const entry = knownRef(refs.table, id)?.entry ?? { id, best: undefined, rivals: [], forks: [] }
  if (want === undefined) return [{ type: 'ref-read-over', request, entry, quorum }]
  if (!mayDraft(refs, scene, entry, { want, quorum }))
    return [{ type: 'ref-drafted', request, draft: { type: 'unknown' } }]
  return [{ type: 'ref-drafted', request, draft: drafted(refs, scene, entry, want) }]
}

/** Of a ref of which nobody was there to tell, the next would be taken for the first. */
function mayDraft(
  { table }: Refs,
  { apart }: RefScene,
  { best, rivals }: RefEntry,
  { want, quorum }: { want: RefWant; quorum: boolean }
): boolean {
  if (want.anew === true) return true
  if (best === undefined && rivals.length === 0) return quorum && !apart
  // Who knows nobody yet would be the next electorate alone; rightly so where it was already.
  return !apart || want.recover === true || best?.record.electorate.join() === table.self
}
