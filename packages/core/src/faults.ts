/**
 * What members did that no honest one does. A member that signed "I hold it" is watched: if it then asks
 * for that very block, and has not taken its word back by the time that this is judged, it lied. A wrong
 * answer, signed, is shown to others with who signed it, and each checks it against the block itself.
 *
 * Nothing is ever concluded from silence: who can't be heard is not judged. What follows for who is found
 * out is mild, so that a false accuser gains little: its copies are not counted, and others hold them too.
 */
import type { AuditAction, Fault } from './audit-action.ts'
import { AUDIT_TOKENS_FROM } from './audit-messages.ts'
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import type { Crypto } from './crypto.ts'
import { actingHolders, distrust, type Holders } from './holders.ts'
import {
  type Accusation,
  type FaultKind,
  type Hold,
  type Proof,
  readAccusation,
  readHold,
  readProof,
  signAccusation
} from './possession.ts'

/** For so long a statement is held against who made it, ms. Two audits at the default pace. */
export const WATCH_MS = 600_000
/** Between a request for a block said to be held and the judgement, ms: some 30 sendings of a retraction. */
export const JUDGE_AFTER_MS = 60_000
/** To be judged, it was heard after its request, this much later at least: what it said before has come. */
const HEARD_AFTER_MS = 30_000
/** A case that can't be judged is dropped after so long. */
const CASE_MS = 600_000
/** A statement that others pass on is believed to be of now within this, by its maker's own count. */
const SKEW_MS = 60_000
/** Statements held against one member, and cases open; further ones are passed over. */
const WATCHED_MAX = 2_048
const CASES_MAX = 256
/** Members that one accuser may be believed about without proof, and accusations being checked. */
const BELIEVED_MAX = 4
const CHECKS_MAX = 16
/** A fault is forgotten after so long, ms. A day: an audit finds it again within the hour. A guess. */
const FAULT_MS = 86_400_000

interface Watched {
  evidence: Uint8Array
  untilMs: number
}

/** What a member told us itself of its time, and took back: nothing that it said before counts. */
interface Teller {
  life: number
  upMs: number
  /** Ours then. */
  atMs: number
  /** Taken back, by the member's own count, ms. */
  retracted: Map<BlockKey, number>
  /** All of it, since there was more than is remembered. */
  retractedMs: number
}

interface Case {
  peer: PeerId
  key: BlockKey
  evidence: Uint8Array
  atMs: number
  heardMs: number
}

export interface Faults {
  readonly self: PeerId
  readonly network: string
  readonly crypto: Crypto
  readonly watched: Map<PeerId, Map<BlockKey, Watched>>
  cases: Case[]
  readonly tellers: Map<PeerId, Teller>
  readonly found: Map<PeerId, Fault & { untilMs: number }>
  readonly checks: Map<number, { accusation: Accusation; signed: Uint8Array; digest: Uint8Array }>
  nextToken: number
}

/** What is known of members, from outside. */
export interface View {
  holders: Holders
  lives(peer: PeerId): boolean
  nowMs: number
}

export function createFaults(self: PeerId, network: string, crypto: Crypto): Faults {
  const maps = {
    watched: new Map(),
    tellers: new Map(),
    found: new Map(),
    checks: new Map()
  }
  return { self, network, crypto, ...maps, cases: [], nextToken: 2 * AUDIT_TOKENS_FROM }
}

/** The member as it told us itself: another life of it, and what it said in the last is void. */
function tellerOf(
  faults: Faults,
  peer: PeerId,
  { life, upMs }: Pick<Hold, 'life' | 'upMs'>,
  atMs: number
): Teller {
  const known = faults.tellers.get(peer)
  if (known?.life === life) {
    known.upMs = upMs
    known.atMs = atMs
    return known
  }
  faultsForget(faults, peer)
  const teller = { life, upMs, atMs, retracted: new Map<BlockKey, number>(), retractedMs: -1 }
  faults.tellers.set(peer, teller)
  return teller
}

/** A member told us itself what it holds. */
export function onHeld(faults: Faults, hold: Hold, evidence: Uint8Array, nowMs: number): void {
  watch(faults, hold, { evidence, teller: tellerOf(faults, hold.holder, hold, nowMs), nowMs })
}

function watch(
  faults: Faults,
  { holder, upMs, keys }: Hold,
  { evidence, teller, nowMs }: { evidence: Uint8Array; teller: Teller; nowMs: number }
): void {
  const watched = faults.watched.get(holder) ?? new Map<BlockKey, Watched>()
  faults.watched.set(holder, watched)
  for (const [key, { untilMs }] of watched) {
    if (untilMs > nowMs) break
    watched.delete(key)
  }
  for (const key of keys) {
    if (watched.size >= WATCHED_MAX) return
    if (upMs <= (teller.retracted.get(key) ?? teller.retractedMs)) continue
    watched.delete(key)
    watched.set(key, { evidence, untilMs: nowMs + WATCH_MS })
  }
}

/** Another passes on what a member said to it. An old statement would accuse of what is long changed. */
export function onWitness(faults: Faults, signed: Uint8Array, nowMs: number): void {
  const hold = readHold(signed, faults.network, faults.crypto)
  const teller = faults.tellers.get(hold.holder)
  if (teller?.life !== hold.life) return
  const expectedMs = teller.upMs + nowMs - teller.atMs
  if (Math.abs(hold.upMs - expectedMs) <= SKEW_MS) watch(faults, hold, { evidence: signed, teller, nowMs })
}

/** Whether a member said that it holds a block: then its asking for it is to be told with `requested`. */
export function isWatched(faults: Faults | undefined, peer: PeerId, key: BlockKey): boolean {
  return faults?.watched.get(peer)?.has(key) === true
}

export function onRequested(faults: Faults, peer: PeerId, key: BlockKey, nowMs: number): void {
  const { watched, cases } = faults
  const said = watched.get(peer)?.get(key)
  if (said === undefined || said.untilMs <= nowMs || cases.length >= CASES_MAX) return
  if (cases.some((one) => one.peer === peer && one.key === key)) return
  cases.push({ peer, key, evidence: said.evidence, atMs: nowMs, heardMs: nowMs })
}

/** A member takes back what it said until then. */
export function onRetract(
  faults: Faults,
  peer: PeerId,
  { keys, ...time }: { keys: readonly BlockKey[]; life: number; upMs: number },
  nowMs: number
): void {
  const teller = tellerOf(faults, peer, time, nowMs)
  if (teller.retracted.size >= WATCHED_MAX) {
    teller.retracted.clear()
    teller.retractedMs = time.upMs
  }
  const watched = faults.watched.get(peer)
  for (const key of keys) {
    teller.retracted.set(key, time.upMs)
    watched?.delete(key)
  }
  faults.cases = faults.cases.filter((one) => one.peer !== peer || !keys.includes(one.key))
}

/** Anything came from a member. */
export function faultsHeard({ cases }: Faults, peer: PeerId, nowMs: number): void {
  for (const one of cases) if (one.peer === peer) one.heardMs = nowMs
}

export function faultsForget(faults: Faults, peer: PeerId): void {
  faults.watched.delete(peer)
  faults.tellers.delete(peer)
  faults.cases = faults.cases.filter((one) => one.peer !== peer)
}

/** Judges what is due, and forgets what is old. */
export function faultsTick(faults: Faults, view: View): AuditAction[] {
  const { nowMs, holders, lives } = view
  for (const [peer, { untilMs }] of faults.found) {
    if (untilMs > nowMs) continue
    faults.found.delete(peer)
    distrust(holders, peer, false)
  }
  const actions: AuditAction[] = []
  const open: Case[] = []
  for (const one of faults.cases) {
    if (!lives(one.peer) || nowMs >= one.atMs + CASE_MS) continue // gone, or never heard again
    if (nowMs < one.atMs + JUDGE_AFTER_MS || one.heardMs < one.atMs + HEARD_AFTER_MS) open.push(one)
    else {
      const { peer: accused, key, evidence } = one
      actions.push(...convict(faults, view, { accused, kind: 'asked-for-it', key, evidence }))
    }
  }
  faults.cases = open
  return actions
}

export function faultsDeadline({ cases, found }: Faults): number {
  let next = Number.POSITIVE_INFINITY
  for (const { atMs, heardMs } of cases) {
    const isHeard = heardMs >= atMs + HEARD_AFTER_MS
    next = Math.min(next, atMs + (isHeard ? JUDGE_AFTER_MS : CASE_MS))
  }
  for (const { untilMs } of found.values()) next = Math.min(next, untilMs)
  return next
}

/** We have seen it ourselves: it is noted, and all who share blocks with it are told. */
export function convict(
  faults: Faults,
  view: View,
  what: { accused: PeerId; kind: FaultKind; key: BlockKey; evidence: Uint8Array }
): AuditAction[] {
  if (faults.found.has(what.accused)) return []
  const { network, self, crypto } = faults
  const signed = signAccusation({ network, accuser: self, ...what }, crypto)
  return note(faults, view, { ...what, accuser: self }, signed)
}

function note(
  faults: Faults,
  view: View,
  { accused, kind, key, accuser }: Pick<Accusation, 'accused' | 'kind' | 'key' | 'accuser'>,
  accusation: Uint8Array
): AuditAction[] {
  const { holders, nowMs } = view
  const fault: Fault = { kind, key, accuser, accusation }
  faults.found.set(accused, { ...fault, untilMs: nowMs + FAULT_MS })
  distrust(holders, accused, true)
  return [{ type: 'fault', peer: accused, fault }, ...tell(faults, view, accused)]
}

/**
 * All living members are told, by whoever found it and once more by each that believes it; the accused too:
 * who acts beside it must be the same for all.
 */
function tell(faults: Faults, { holders }: View, accused: PeerId): AuditAction[] {
  const fault = faults.found.get(accused)
  if (fault === undefined) return []
  const others = [...holders.standing]
    .filter(([id, { living }]) => living && id !== faults.self)
    .slice(0, TOLD_MAX)
  return others.map(([to]) => {
    return { type: 'send', to, message: { type: 'accuse', signed: fault.accusation } }
  })
}

/** Members told of one fault by one member; those tell others. */
const TOLD_MAX = 64

/** Tells a member what is known, as it may have been away. */
export function remind(faults: Faults, to: PeerId): AuditAction[] {
  return [...faults.found.values()].map(({ accusation }) => {
    return { type: 'send', to, message: { type: 'accuse', signed: accusation } }
  })
}

/** Another has something against a member. Proof is checked against the block; a word counts, to a limit. */
export function onAccuse(faults: Faults, signed: Uint8Array, view: View): AuditAction[] {
  const { network, crypto, found, self, checks } = faults
  const accusation = readAccusation(signed, network, crypto)
  const { accused, accuser, kind, key } = accusation
  if (accuser === self || accused === accuser || found.has(accused)) return []
  if (!view.lives(accused) || !view.lives(accuser)) return []
  if (kind === 'asked-for-it') {
    const hold = readHold(accusation.evidence, network, crypto)
    if (hold.holder !== accused || !hold.keys.includes(key)) return []
    const believed = [...found.values()].filter(
      (one) => one.accuser === accuser && one.kind === 'asked-for-it'
    )
    return believed.length >= BELIEVED_MAX ? [] : note(faults, view, accusation, signed)
  }
  const proof: Proof = readProof(accusation.evidence, network, crypto)
  const item = proof.items.find((one) => one.key === key)
  if (proof.holder !== accused || item?.digest === undefined || checks.size >= CHECKS_MAX) return []
  const token = faults.nextToken++
  checks.set(token, { accusation, signed, digest: item.digest })
  const { nonce } = proof
  return [{ type: 'prove', token, holder: accused, nonce, items: [item], anywhere: true }]
}

/** The block was read and the range worked out: the accusation is true or it is not. */
export function onChecked(
  faults: Faults,
  { token, digests }: { token: number; digests: readonly (Uint8Array | undefined)[] },
  view: View
): AuditAction[] {
  const check = faults.checks.get(token)
  if (check === undefined) return []
  faults.checks.delete(token)
  const [right] = digests
  if (right === undefined || right.every((byte, i) => byte === check.digest[i])) return []
  if (faults.found.has(check.accusation.accused)) return []
  return note(faults, view, check.accusation, check.signed)
}

/** The other members that must hold a block: whom its holder would ask if it had it not. */
export function coHolders(
  holders: Holders,
  { key, replicas, besides }: { key: BlockKey; replicas: number; besides: readonly PeerId[] }
): PeerId[] {
  return actingHolders(holders, slotOf(key), replicas).filter((id) => !besides.includes(id))
}
