/**
 * What this member says that it holds, and takes back. It signs "I hold it" only for blocks of which
 * nothing may be under way: none that it asked for of late, lost, or let go of. And when it asks for one
 * that it signed for, for whatever reason, it says so to whom it asks, again and again until that is
 * heard; and after a start, that it started. So none that is honest asks for what it says that it holds.
 */
import type { AuditAction } from './audit-action.ts'
import { AUDIT_TOKENS_FROM, type AuditMessageOf } from './audit-messages.ts'
import type { BlockKey, PeerId } from './block.ts'
import type { Crypto } from './crypto.ts'
import { POSSESSION_KEYS_MAX, type Range, signHold, signProof } from './possession.ts'
import { pick, type Random } from './random.ts'

/** A request of ours may reach another so late, ms: a fetch is given up after 120 s without a byte. */
export const ASKED_MS = 300_000
const ASKED_MAX = 16_384
/** For so long we remember what we signed, ms: longer than whoever was told does (`WATCH_MS`). */
export const STATED_MS = 900_000
const STATED_MAX = 8_192
/** Lost or let go of: not said to be held before it is stored again. */
const GONE_MAX = 16_384
/** Between two sendings of what we take back, and for how long, ms: above the time to a judgement. */
const RETRACT_EVERY_MS = 2_000
const RETRACT_FOR_MS = 300_000
/** Statements and proofs being made for others at one time; one more is not answered. */
const ANSWERS_MAX = 16

export interface Holding {
  readonly self: PeerId
  readonly network: string
  readonly crypto: Crypto
  /** What we signed that we hold, and until when somebody may remember it. */
  readonly stated: Map<BlockKey, number>
  /** What we asked others for, and when last; in that order. */
  readonly asked: Map<BlockKey, number>
  /** Too much was asked for to remember: before this we sign for nothing. */
  unsureUntilMs: number
  readonly gone: Set<BlockKey>
  /** Taken back and not yet acknowledged, by member, each until when it is sent. */
  readonly retractions: Map<PeerId, { keys: Map<BlockKey, number>; untilMs: number }>
  /** Retractions sent, by token, until they are acknowledged. */
  readonly sent: Map<number, { to: PeerId; keys: BlockKey[] }>
  retractMs: number
  /** Drawn at the start, and when that was: others may remember what we signed before. */
  readonly life: number
  readonly bornMs: number
  /** Who knows of this life. */
  readonly aware: Set<PeerId>
  readonly lookups: Map<number, AuditMessageOf<'ask-hold'> & { from: PeerId }>
  readonly proofs: Map<number, AuditMessageOf<'challenge'> & { from: PeerId }>
  nextToken: number
}

export function createHolding(
  { self, network, crypto, random }: Pick<Holding, 'self' | 'network' | 'crypto'> & { random: Random },
  nowMs: number
): Holding {
  const life = { life: pick(random, 2 ** 32), bornMs: nowMs, aware: new Set<PeerId>() }
  const maps = { stated: new Map(), asked: new Map(), retractions: new Map(), sent: new Map() }
  const answers = { lookups: new Map(), proofs: new Map(), gone: new Set<BlockKey>() }
  const times = { unsureUntilMs: Number.NEGATIVE_INFINITY, retractMs: Number.POSITIVE_INFINITY }
  return {
    self,
    network,
    crypto,
    ...maps,
    ...answers,
    ...times,
    ...life,
    nextToken: AUDIT_TOKENS_FROM
  }
}

export function onAskHold(
  holding: Holding,
  from: PeerId,
  message: AuditMessageOf<'ask-hold'>
): AuditAction[] {
  if (holding.lookups.size + holding.proofs.size >= ANSWERS_MAX) return []
  const token = holding.nextToken++
  holding.lookups.set(token, { ...message, from })
  return [{ type: 'look-up', token, keys: message.keys }]
}

/** What the store has of them, less what we can't be sure of, signed. */
export function onHoldLookedUp(
  holding: Holding,
  result: { token: number; found: ReadonlyMap<BlockKey, unknown> },
  nowMs: number
): AuditAction[] {
  const asked = holding.lookups.get(result.token)
  if (asked === undefined) return []
  holding.lookups.delete(result.token)
  forgetOld(holding, nowMs)
  const keys = asked.keys.filter((key) => result.found.has(key) && isSure(holding, key, nowMs))
  const { self, network, stated, crypto, life } = holding
  for (const key of keys) {
    stated.delete(key) // the last said is the last forgotten
    stated.set(key, nowMs + STATED_MS)
  }
  const said = { network, holder: self, auditor: asked.from, life, upMs: Math.floor(nowMs), keys }
  const message = { type: 'hold', token: asked.token, signed: signHold(said, crypto) } as const
  return [{ type: 'send', to: asked.from, message }]
}

function isSure({ stated, asked, gone, unsureUntilMs }: Holding, key: BlockKey, nowMs: number): boolean {
  if (nowMs < unsureUntilMs || asked.has(key) || gone.has(key)) return false
  return stated.has(key) || stated.size < STATED_MAX
}

function forgetOld({ stated, asked }: Holding, nowMs: number): void {
  for (const [key, untilMs] of stated) {
    if (untilMs > nowMs) break
    stated.delete(key)
  }
  for (const [key, atMs] of asked) {
    if (atMs > nowMs - ASKED_MS) break
    asked.delete(key)
  }
}

/** Another wants ranges proved. */
export function onChallenge(
  holding: Holding,
  from: PeerId,
  message: AuditMessageOf<'challenge'>
): AuditAction[] {
  if (holding.lookups.size + holding.proofs.size >= ANSWERS_MAX) return []
  const token = holding.nextToken++
  holding.proofs.set(token, { ...message, from })
  const { nonce, items } = message
  return [{ type: 'prove', token, holder: holding.self, nonce, items, anywhere: false }]
}

export function onOwnProved(
  holding: Holding,
  { token, digests }: { token: number; digests: readonly (Uint8Array | undefined)[] }
): AuditAction[] {
  const asked = holding.proofs.get(token)
  if (asked === undefined) return []
  holding.proofs.delete(token)
  const { self, network, crypto } = holding
  const items = asked.items.map((item: Range, i) => ({ ...item, digest: digests[i] }))
  const said = { network, holder: self, auditor: asked.from, nonce: asked.nonce, items }
  const message = { type: 'proof', token: asked.token, signed: signProof(said, crypto) } as const
  return [{ type: 'send', to: asked.from, message }]
}

/**
 * Blocks are about to be asked of a member: what we signed for among them is taken back from it first. No
 * other needs to hear of it: each judges by what it is asked itself.
 */
export function noteAsked(
  holding: Holding,
  { from, keys }: { from: PeerId; keys: readonly BlockKey[] },
  nowMs: number
): AuditAction[] {
  const { asked, stated, retractions } = holding
  forgetOld(holding, nowMs)
  for (const key of keys) {
    asked.delete(key)
    asked.set(key, nowMs)
  }
  if (asked.size > ASKED_MAX) {
    asked.clear()
    holding.unsureUntilMs = nowMs + ASKED_MS
  }
  const back = stated.size === 0 ? [] : keys.filter((key) => stated.has(key))
  const isReborn = nowMs < holding.bornMs + STATED_MS && !holding.aware.has(from)
  if (back.length === 0 && !(isReborn && !retractions.has(from))) return []
  const untilMs = nowMs + RETRACT_FOR_MS
  const theirs = retractions.get(from)?.keys ?? new Map<BlockKey, number>()
  retractions.set(from, { keys: theirs, untilMs })
  for (const key of back) theirs.set(key, untilMs)
  return sendRetractions(holding, nowMs)
}

/** These are not here any more, lost or let go of: we sign for none of them until it is stored again. */
export function noteGone(holding: Holding, keys: readonly BlockKey[], nowMs: number): void {
  for (const key of keys) holding.gone.add(key)
  if (holding.gone.size <= GONE_MAX) return
  holding.gone.clear()
  holding.unsureUntilMs = nowMs + ASKED_MS
}

export function noteStored({ gone }: Holding, keys: readonly BlockKey[]): void {
  if (gone.size > 0) for (const key of keys) gone.delete(key)
}

function sendRetractions(holding: Holding, nowMs: number): AuditAction[] {
  const { retractions, sent } = holding
  const { life } = holding
  const upMs = Math.ceil(nowMs)
  sent.clear() // an acknowledgement of an earlier sending comes too late: it is sent again
  const actions: AuditAction[] = []
  for (const [to, { keys: theirs, untilMs }] of retractions) {
    for (const [key, until] of theirs) if (until <= nowMs) theirs.delete(key)
    if (untilMs <= nowMs) {
      retractions.delete(to)
      continue
    }
    const all = [...theirs.keys()]
    for (let i = 0; i === 0 || i < all.length; i += POSSESSION_KEYS_MAX) {
      const keys = all.slice(i, i + POSSESSION_KEYS_MAX)
      const token = holding.nextToken++
      sent.set(token, { to, keys })
      actions.push({ type: 'send', to, message: { type: 'retract', token, life, upMs, keys } })
    }
  }
  holding.retractMs = retractions.size === 0 ? Number.POSITIVE_INFINITY : nowMs + RETRACT_EVERY_MS
  return actions
}

export function onRetracted(holding: Holding, from: PeerId, token: number): void {
  const { sent, retractions } = holding
  const known = sent.get(token)
  if (known?.to !== from) return
  sent.delete(token)
  holding.aware.add(from)
  const theirs = retractions.get(from)?.keys
  for (const key of known.keys) theirs?.delete(key)
  if (theirs?.size === 0) retractions.delete(from)
}

export function holdingTick(holding: Holding, nowMs: number): AuditAction[] {
  return holding.retractMs <= nowMs ? sendRetractions(holding, nowMs) : []
}
