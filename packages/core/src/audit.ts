/**
 * Audits: each member challenges those that it shares slots with, one after the other, over random ranges
 * of random blocks. First the other signs which of the blocks it holds, and the blocks' other holders are
 * told of that; then our own copies are read and verified; only then comes the challenge, with a nonce. So
 * who has dropped a block must answer wrongly or ask somebody for it who knows that it said to have it.
 *
 * Whoever dropped a tenth of its blocks passes 16 of them with p = 0.19, and the 48 of three cycles, with
 * no more than one auditor, with p = 0.006. A round costs at most some 8 kB on all links together: at one in
 * five minutes 27 bytes a second, which is 0.1 % of 220 kbit/s.
 */
import type { AuditAction, Proven } from './audit-action.ts'
import { AUDIT_TOKENS_FROM, type AuditMessageOf } from './audit-messages.ts'
import type { BlockKey, PeerId } from './block.ts'
import { equalBytes } from './bytes.ts'
import type { Listed } from './compare.ts'
import type { Crypto } from './crypto.ts'
import { coHolders, convict, type Faults, onHeld, type View } from './faults.ts'
import type { SlotSummary } from './fingerprint.ts'
import { actingHolders, type Holders, isDistrusted, livingMembers } from './holders.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { type Hold, type Proof, type Range, readHold, readProof } from './possession.ts'
import { pick, type Random, shuffle } from './random.ts'
import type { Held } from './shared.ts'

/** Blocks of one round: see the head of this file. */
export const ROUND_BLOCKS = 16
/** Other holders told of one statement: 8 of 700 bytes are most of what a round costs. */
const WITNESSES_MAX = 8
/** From telling them to the challenge, ms: above the p99 of a control message on its way. */
const WITNESS_LEAD_MS = 500
/** For an answer of the store or of the other, ms. Late is silent, and silence is no evidence. */
const ANSWER_MS = 60_000
/** Members looked at in one turn for one that we share something with. */
const LOOKED_AT_MAX = 8
/** Challenges of callers under way. */
const CHALLENGES_MAX = 64

export interface Asked extends Range {
  /** What it must answer. */
  digest: Uint8Array
}

interface Challenge {
  to: PeerId
  nonce: Uint8Array
  items: readonly Asked[]
  /** Of a caller; undefined for a round of our own. */
  request: number | undefined
  untilMs: number
}

interface Picked {
  key: BlockKey
  size: number
  replicas: number
}

interface Round {
  peer: PeerId
  token: number
  phase: 'picking' | 'asking' | 'making' | 'ready' | 'challenged'
  /** Slots being listed. */
  listing: { slot: number; replicas: number; after: BlockKey | undefined }[]
  picked: Map<BlockKey, Picked>
  /** When the challenge may go, once it is made. */
  readyMs: number
  made: { nonce: Uint8Array; items: readonly Asked[] } | undefined
  untilMs: number
}

/** What came of challenging a member, since we started. */
export interface AuditRecord {
  proven: number
  absent: number
  wrong: number
  /** Rounds that were answered, and that were not. */
  rounds: number
  silent: number
  atMs: number
}

export interface Audits {
  readonly self: PeerId
  readonly network: string
  readonly crypto: Crypto
  readonly random: Random
  readonly intervalMs: number
  /** Who is still to be audited in this cycle. */
  queue: PeerId[]
  cycle: number
  round: Round | undefined
  nextMs: number
  readonly challenges: Map<number, Challenge>
  readonly records: Map<PeerId, AuditRecord>
  nextToken: number
}

export function createAudits(
  options: Pick<Audits, 'self' | 'network' | 'crypto' | 'random' | 'intervalMs'>,
  nowMs: number
): Audits {
  const none = { queue: [], cycle: 0, round: undefined, challenges: new Map(), records: new Map() }
  // Members that started together do not audit together.
  const nextMs = nowMs + options.intervalMs * (0.5 + options.random())
  return { ...options, ...none, nextMs, nextToken: 3 * AUDIT_TOKENS_FROM }
}

/** Begins a round that is due, and ends what was not answered. */
export function auditsTick(audits: Audits, held: Held, holders: Holders, nowMs: number): AuditAction[] {
  const actions: AuditAction[] = []
  for (const [token, { untilMs, request }] of audits.challenges) {
    if (untilMs > nowMs) continue
    if (request === undefined) audits.challenges.delete(token)
    else actions.push(...silence(audits, token))
  }
  const { round } = audits
  if (round !== undefined) {
    if (round.phase === 'ready' && nowMs >= round.readyMs) actions.push(...send(audits, round, nowMs))
    else if (nowMs >= round.untilMs) endRound(audits, 'silent', nowMs)
  }
  if (audits.round === undefined && nowMs >= audits.nextMs) {
    audits.nextMs = nowMs + audits.intervalMs
    actions.push(...begin(audits, held, holders, nowMs))
  }
  return actions
}

export function auditsDeadline({ nextMs, round, challenges }: Audits): number {
  let next = round === undefined ? nextMs : round.untilMs
  if (round?.phase === 'ready') next = Math.min(next, round.readyMs)
  for (const { untilMs } of challenges.values()) next = Math.min(next, untilMs)
  return next
}

/** The member is gone, and what was asked of it with it. */
export function auditsForget(audits: Audits, peer: PeerId): AuditAction[] {
  if (audits.round?.peer === peer) audits.round = undefined
  audits.records.delete(peer)
  return [...audits.challenges].flatMap(([token, { to, request }]) => {
    return to === peer && request !== undefined ? silence(audits, token) : []
  })
}

/** The next member of the cycle, and places of which it must hold blocks as we do. */
function begin(audits: Audits, held: Held, holders: Holders, nowMs: number): AuditAction[] {
  for (let looked = 0; looked < LOOKED_AT_MAX; looked++) {
    if (audits.queue.length === 0) {
      if (looked > 0) return []
      audits.cycle++
      audits.queue = shuffle(
        audits.random,
        livingMembers(holders).filter((id) => id !== audits.self)
      )
    }
    const peer = audits.queue.pop()
    if (peer === undefined) return []
    const isThere = holders.standing.get(peer)?.living === true && !isDistrusted(holders, peer)
    const places = isThere ? sample(audits, held, { peer, holders }) : []
    if (places.length > 0) return pickFrom(audits, peer, places, nowMs)
  }
  return []
}

/** Places by chance, each block of what we share as likely as any other. */
function sample(
  { self, random }: Audits,
  { mine }: Held,
  { peer, holders }: { peer: PeerId; holders: Holders }
): SlotSummary[] {
  const shared: SlotSummary[] = []
  let blocks = 0
  for (const value of mine.values()) {
    const acting = actingHolders(holders, value.slot, value.replicas)
    if (!acting.includes(self) || !acting.includes(peer)) continue
    shared.push(value)
    blocks += value.blocks
  }
  const wanted = Array.from({ length: Math.min(ROUND_BLOCKS, blocks) }, () => pick(random, blocks))
  wanted.sort((a, b) => a - b)
  const places: SlotSummary[] = []
  let before = 0
  for (const value of shared) {
    before += value.blocks
    while (places.length < wanted.length && (wanted[places.length] as number) < before) places.push(value)
  }
  return places
}

function pickFrom(
  audits: Audits,
  peer: PeerId,
  places: readonly SlotSummary[],
  nowMs: number
): AuditAction[] {
  const listing = places.map(({ slot, replicas, blocks }) => {
    return { slot, replicas, after: blocks > LIMITS.pageKeys ? someKey(audits.random, slot) : undefined }
  })
  const fresh = { phase: 'picking', picked: new Map(), made: undefined, readyMs: nowMs } as const
  audits.round = { ...fresh, peer, token: audits.nextToken++, listing, untilMs: nowMs + ANSWER_MS }
  return [listSlots(audits.round)]
}

function listSlots({ token, listing }: Round): AuditAction {
  return { type: 'list-slots', token, slots: listing, limit: LIMITS.pageKeys }
}

/** Somewhere in a slot of more blocks than one page: the page after it is drawn from. */
function someKey(random: Random, slot: number): BlockKey {
  const digits = Array.from({ length: 60 }, () => pick(random, 16).toString(16)).join('')
  return `1220${slot.toString(16).padStart(4, '0')}${digits}` as BlockKey
}

/** The store listed the slots: one block of each is drawn, and the other asked which it holds. */
export function onAuditListed(
  audits: Audits,
  { token, lists }: { token: number; lists: readonly (readonly (Listed & { replicas: number })[])[] },
  nowMs: number
): AuditAction[] {
  const { round } = audits
  if (round?.phase !== 'picking' || round.token !== token) return []
  const empty = round.listing.filter((place, i) => !draw(audits, round, place, lists[i] ?? []))
  round.listing = empty.flatMap((place) =>
    place.after === undefined ? [] : [{ ...place, after: undefined }]
  )
  round.untilMs = nowMs + ANSWER_MS
  if (round.listing.length > 0) return [listSlots(round)] // nothing after where it was looked for
  if (round.picked.size === 0) {
    audits.round = undefined
    return []
  }
  round.phase = 'asking'
  const keys = [...round.picked.keys()]
  return [{ type: 'send', to: round.peer, message: { type: 'ask-hold', token: round.token, keys } }]
}

function draw(
  { random }: Audits,
  { picked }: Round,
  place: Round['listing'][number],
  entries: readonly (Listed & { replicas: number })[]
): boolean {
  const fitting = entries.filter(({ replicas, size }) => replicas === place.replicas && size > 0)
  const chosen = fitting[pick(random, fitting.length)]
  if (chosen === undefined) return false
  const { key, size, replicas } = chosen
  picked.set(key, { key, size, replicas })
  return true
}

/** It signed what it holds: others are told, and the challenge is made from our own copies. */
export function onHold(
  audits: Audits,
  faults: Faults,
  { from, message }: { from: PeerId; message: AuditMessageOf<'hold'> },
  { holders, nowMs }: View
): AuditAction[] {
  const { round, self, network, crypto } = audits
  if (round?.phase !== 'asking' || round.peer !== from || round.token !== message.token) return []
  const hold = readHold(message.signed, network, crypto)
  if (hold.holder !== from || hold.auditor !== self) return []
  onHeld(faults, hold, message.signed, nowMs)
  const items = hold.keys.flatMap((key) => round.picked.get(key) ?? [])
  const witnesses = witnessesOf(items, holders, [self, from])
  const actions = witnesses.map((to): AuditAction => {
    return { type: 'send', to, message: { type: 'witness', signed: message.signed } }
  })
  if (items.length === 0) {
    endRound(audits, tallyOf(hold, round), nowMs)
    return actions
  }
  round.phase = 'making'
  round.readyMs = nowMs + WITNESS_LEAD_MS
  round.untilMs = nowMs + ANSWER_MS
  const wanted = items.map(({ key, size }) => ({ key, size }))
  return [...actions, { type: 'make-challenge', token: round.token, holder: from, items: wanted }]
}

function tallyOf(hold: Hold, { picked }: Round): Proven[] {
  return [...picked.keys()].filter((key) => !hold.keys.includes(key)).map(() => 'absent')
}

/** Those that hold most of the blocks beside the two. */
function witnessesOf(items: readonly Picked[], holders: Holders, besides: readonly PeerId[]): PeerId[] {
  const counts = new Map<PeerId, number>()
  for (const { key, replicas } of items) {
    for (const id of coHolders(holders, { key, replicas, besides })) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  const most = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
  return most.slice(0, WITNESSES_MAX).map(([id]) => id)
}

/** Our own copies were read: what of them is good is asked for. */
export function onChallengeMade(
  audits: Audits,
  made: { token: number; nonce: Uint8Array; items: readonly (Range & { digest: Uint8Array | undefined })[] },
  nowMs: number
): AuditAction[] {
  const { round } = audits
  if (round?.phase !== 'making' || round.token !== made.token) return []
  const items = made.items.flatMap(({ digest, ...range }) =>
    digest === undefined ? [] : [{ ...range, digest }]
  )
  if (items.length === 0) {
    audits.round = undefined // nothing here to compare with: that is ours to repair
    return []
  }
  round.made = { nonce: made.nonce, items }
  round.phase = 'ready'
  return nowMs >= round.readyMs ? send(audits, round, nowMs) : []
}

function send(audits: Audits, round: Round, nowMs: number): AuditAction[] {
  const { made, peer, token } = round
  if (made === undefined) return []
  round.phase = 'challenged'
  round.untilMs = nowMs + ANSWER_MS
  return [challenge(audits, { to: peer, token, request: undefined, ...made }, nowMs)]
}

/** A caller wants proof now. `to` answers within a limit or is silent. */
export function startChallenge(
  audits: Audits,
  asked: Pick<Challenge, 'to' | 'nonce' | 'items'> & { request: number },
  nowMs: number
): AuditAction[] {
  if (audits.challenges.size >= CHALLENGES_MAX) {
    const { request, to, items } = asked
    return [{ type: 'challenged', request, to, answers: items.map(() => 'silent') }]
  }
  return [challenge(audits, { ...asked, token: audits.nextToken++ }, nowMs)]
}

function challenge(
  { challenges }: Audits,
  { token, ...asked }: Omit<Challenge, 'untilMs'> & { token: number },
  nowMs: number
): AuditAction {
  challenges.set(token, { ...asked, untilMs: nowMs + ANSWER_MS })
  const { to, nonce, items } = asked
  const ranges = items.map(({ key, offset, length }) => ({ key, offset, length }))
  return { type: 'send', to, message: { type: 'challenge', token, nonce, items: ranges } }
}

/** An answer to a challenge. A digest that is wrong, under the other's signature, is evidence. */
export function onProof(
  audits: Audits,
  faults: Faults,
  { from, message }: { from: PeerId; message: AuditMessageOf<'proof'> },
  view: View
): AuditAction[] {
  const { challenges, network, crypto, self, round } = audits
  const asked = challenges.get(message.token)
  if (asked?.to !== from) return []
  const proof = readProof(message.signed, network, crypto)
  if (proof.holder !== from || proof.auditor !== self || !isAbout(proof, asked)) return []
  challenges.delete(message.token)
  const answers = asked.items.map(({ digest }, i): Proven => {
    const said = proof.items[i]?.digest
    return said === undefined ? 'absent' : equalBytes(said, digest) ? 'proven' : 'wrong'
  })
  const actions: AuditAction[] = []
  const wrong = answers.indexOf('wrong')
  if (wrong >= 0) {
    const { key } = asked.items[wrong] as Asked
    const evidence = message.signed
    actions.push(...convict(faults, view, { accused: from, kind: 'wrong-answer', key, evidence }))
  }
  if (asked.request !== undefined) {
    note(audits, from, answers, view.nowMs)
    actions.push({ type: 'challenged', request: asked.request, to: from, answers })
  } else if (round?.token === message.token) endRound(audits, answers, view.nowMs)
  return actions
}

function isAbout(proof: Proof, { nonce, items }: Challenge): boolean {
  if (!equalBytes(proof.nonce, nonce) || proof.items.length !== items.length) return false
  return proof.items.every(({ key, offset, length }, i) => {
    const asked = items[i] as Asked
    return key === asked.key && offset === asked.offset && length === asked.length
  })
}

function silence(audits: Audits, token: number): AuditAction[] {
  const known = audits.challenges.get(token)
  audits.challenges.delete(token)
  if (known?.request === undefined) return []
  const { request, to, items } = known
  return [{ type: 'challenged', request, to, answers: items.map(() => 'silent') }]
}

function endRound(audits: Audits, answers: readonly Proven[] | 'silent', nowMs: number): void {
  const { round } = audits
  audits.round = undefined
  if (round === undefined) return
  audits.challenges.delete(round.token)
  // When our own store did not answer, the other was not asked.
  if (answers !== 'silent' || round.phase === 'asking' || round.phase === 'challenged') {
    note(audits, round.peer, answers, nowMs)
  }
}

function note({ records }: Audits, peer: PeerId, answers: readonly Proven[] | 'silent', atMs: number): void {
  const record = records.get(peer) ?? { proven: 0, absent: 0, wrong: 0, rounds: 0, silent: 0, atMs }
  records.set(peer, record)
  if (answers === 'silent') record.silent++
  else {
    record.rounds++
    record.atMs = atMs
    for (const answer of answers) record[answer]++
  }
}
