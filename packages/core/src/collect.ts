/**
 * Collecting: a block is deleted once its last known claim ended, a grace passed, and its claims were
 * compared equal with a majority of the slot's holders since. Only what is known counts: absence of claims
 * is never evidence, and whoever knows of a live claim says so instead of agreeing.
 *
 * What was acknowledged is safe without any of this: who signed for a block has a live claim on its own disk,
 * and nobody deletes what it has a live claim on. Asking keeps a member that missed a claim from deleting its
 * copy of what the others keep.
 */
import { type BlockKey, blockKeyCodec, type PeerId, slotOf } from './block.ts'
import { covers, isUnchanged, type Register } from './claim.ts'
import type { Claiming } from './claiming.ts'
import { type ClaimingAction, claimsDiffer, type KnownClaims, tellMore, UNKNOWN_CLAIMS } from './claiming.ts'
import { type Decoded, hex, list, struct, varint } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { actingHolders, type Holders } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'
import { type Copy, copyCodec, inMessages, LIFE_BYTES } from './release.ts'

const number = { life: hex(LIFE_BYTES), round: varint }

export const COLLECT_MESSAGES = {
  /** "All claims that I know of on these have ended. Are yours the same?" */
  ended: struct({ ...number, copies: list(copyCodec, LIMITS.collectKeys) }),
  /** "They are, of these." */
  'ended-too': struct({ ...number, keys: list(blockKeyCodec, LIMITS.collectKeys) })
}
/** On the wire: never reuse one. 50 … 59 are kept for what frees room. */
export const COLLECT_TAGS = { ended: 53, 'ended-too': 54 } as const

export type CollectMessage = {
  [K in keyof typeof COLLECT_MESSAGES]: { type: K } & Decoded<(typeof COLLECT_MESSAGES)[K]>
}[keyof typeof COLLECT_MESSAGES]

type MessageOf<K extends CollectMessage['type']> = Extract<CollectMessage, { type: K }>

export type CollectAction =
  | { type: 'send'; to: PeerId; message: CollectMessage }
  /**
   * List blocks held whose every claim has ended, or those that were collected, from a slot on; answer
   * `ended`.
   */
  | { type: 'list-ended'; token: number; collected: boolean; fromSlot: number; limit: number }
  /** See what is known of these, held or collected; answer `claims-known`. */
  | { type: 'know-claims'; token: number; keys: BlockKey[] }
  /** Delete each block and keep its claims, if they are still these; answer `collected` with all of them. */
  | { type: 'collect'; copies: Copy[] }

/** A block held that nobody claims. */
interface Ended extends Copy {
  sinceMs: number
  /** The sweep that last found it. */
  sweep: number
}

interface Asked extends Copy {
  agreed: Set<PeerId>
  asked: readonly PeerId[]
  /** Others that must agree. */
  needed: number
  going: boolean
}

export interface Collecting {
  readonly self: PeerId
  readonly life: string
  readonly config: DataConfig
  readonly known: Map<BlockKey, Ended>
  /** Of the round under way. */
  readonly asked: Map<BlockKey, Asked>
  /** Others' questions, while the disk is asked. */
  readonly questions: Map<number, { from: PeerId; message: MessageOf<'ended'> }>
  round: number
  roundUntilMs: number
  listing: number | undefined
  fromSlot: number
  sweep: number
  /** Sweeps in which no grace is given: a person asked for it. */
  hurriedSweeps: number
  nextToken: number
  nextTurnMs: number
  /** Of telling the holders of what was collected: a listing, the next slot, when, and as of which view. */
  readonly telling: { listing: number | undefined; fromSlot: number; nextMs: number; viewVersion: number }
}

export function createCollecting(self: PeerId, life: string, config: DataConfig): Collecting {
  const maps = { known: new Map(), asked: new Map(), questions: new Map() }
  const sweeps = { listing: undefined, fromSlot: 0, sweep: 1, hurriedSweeps: 0 }
  const rounds = { round: 0, roundUntilMs: Number.POSITIVE_INFINITY, nextToken: 1, nextTurnMs: 0 }
  const telling = { listing: undefined, fromSlot: 0, nextMs: 0, viewVersion: -1 }
  return { self, life, config, ...maps, ...sweeps, ...rounds, telling }
}

/** A person wants room now: what has ended needs no grace, in this sweep and a whole one after it. */
export function hurry(state: Collecting): void {
  state.hurriedSweeps = 2
  for (const one of state.known.values()) one.sinceMs = Number.NEGATIVE_INFINITY
  state.nextTurnMs = Number.NEGATIVE_INFINITY
}

/** Something about the block is being done: it is not collected in this round. */
export function spare(state: Collecting, key: BlockKey): void {
  if (state.asked.get(key)?.going === false) state.asked.delete(key)
}

export function collectTick(state: Collecting, holders: Holders, nowMs: number): CollectAction[] {
  return [...tellCollected(state, holders, nowMs), ...lookForEnded(state, holders, nowMs)]
}

/**
 * What was collected is told to the slot's holders, in turn and again whenever they change: one that
 * missed the end would bring the block back to those that forgot it.
 */
function tellCollected(state: Collecting, holders: Holders, nowMs: number): CollectAction[] {
  const { telling, config } = state
  if (telling.viewVersion !== holders.version && telling.fromSlot === 0) {
    telling.viewVersion = holders.version
    telling.nextMs = Math.min(telling.nextMs, nowMs + config.collectIntervalMs)
  }
  if (nowMs < telling.nextMs || telling.listing !== undefined) return []
  telling.nextMs = nowMs + config.collectIntervalMs
  const token = state.nextToken++
  telling.listing = token
  const { fromSlot } = telling
  return [{ type: 'list-ended', token, collected: true, fromSlot, limit: LIMITS.collectKeys }]
}

function lookForEnded(state: Collecting, holders: Holders, nowMs: number): CollectAction[] {
  if (nowMs >= state.roundUntilMs) endRound(state)
  if (nowMs < state.nextTurnMs || state.asked.size > 0) return []
  state.nextTurnMs = nowMs + state.config.collectIntervalMs
  const asks = ask(state, holders, nowMs)
  if (state.listing !== undefined) return asks
  state.listing = state.nextToken++
  const list = { type: 'list-ended', token: state.listing, collected: false } as const
  return [...asks, { ...list, fromSlot: state.fromSlot, limit: LIMITS.endedListed }]
}

/** What was not agreed to in time is asked about again; what is being deleted stays until that is done. */
function endRound(state: Collecting): void {
  for (const [key, { going }] of state.asked) if (!going) state.asked.delete(key)
  state.roundUntilMs = Number.POSITIVE_INFINITY
}

export function collectDeadline({ nextTurnMs, roundUntilMs, asked, telling }: Collecting): number {
  const tellMs = telling.listing === undefined ? telling.nextMs : Number.POSITIVE_INFINITY
  return Math.min(tellMs, asked.size > 0 ? roundUntilMs : nextTurnMs)
}

/** The disk's answer: since when each has been so, as far as this member knows. */
export function onEnded(
  state: Collecting,
  holders: Holders,
  listed: { token: number; copies: readonly Copy[]; next: number | undefined },
  nowMs: number
): CollectAction[] {
  if (listed.token === state.telling.listing) return tell(state, holders, listed, nowMs)
  if (listed.token === state.listing) note(state, listed, nowMs)
  return []
}

type Ends = Parameters<typeof onEnded>[2]

/** Asked of all that hold the slot now, answers or none: to be asked is to be told. */
function tell(state: Collecting, holders: Holders, { copies, next }: Ends, nowMs: number): CollectAction[] {
  const { telling, config } = state
  telling.listing = undefined
  telling.fromSlot = next ?? 0
  if (next === undefined) telling.nextMs = nowMs + config.collectedTellMs
  const byPeer = new Map<PeerId, Copy[]>()
  for (const copy of copies) {
    if (copy.claims.length > LIMITS.releaseClaims) continue
    for (const id of actingHolders(holders, slotOf(copy.key), copy.replicas)) {
      if (id !== state.self) byPeer.set(id, [...(byPeer.get(id) ?? []), copy])
    }
  }
  return asking(state, byPeer, NO_ROUND)
}

/** Numbers of rounds begin above it. */
const NO_ROUND = 0

function asking(
  { life }: Collecting,
  byPeer: ReadonlyMap<PeerId, readonly Copy[]>,
  round: number
): CollectAction[] {
  const actions: CollectAction[] = []
  for (const [to, copies] of byPeer) {
    for (const part of inMessages(copies, LIMITS.collectKeys)) {
      actions.push({ type: 'send', to, message: { type: 'ended', life, round, copies: part } })
    }
  }
  return actions
}

function note(state: Collecting, listed: Ends, nowMs: number): void {
  state.listing = undefined
  for (const { key, replicas, claims } of listed.copies) {
    const before = state.known.get(key)
    if (before === undefined && state.known.size >= LIMITS.endedKnown) continue
    const isSame = before !== undefined && isUnchanged(before.claims, claims)
    const sinceMs = state.hurriedSweeps > 0 ? Number.NEGATIVE_INFINITY : isSame ? before.sinceMs : nowMs
    state.known.set(key, { key, replicas, claims, sinceMs, sweep: state.sweep })
  }
  state.fromSlot = listed.next ?? 0
  if (listed.next !== undefined) {
    state.nextTurnMs = nowMs // the rest of the sweep need not wait
    return
  }
  for (const [key, { sweep }] of state.known) if (sweep !== state.sweep) state.known.delete(key)
  state.sweep++
  state.hurriedSweeps = Math.max(0, state.hurriedSweeps - 1)
}

/** Asks about what has had its grace, the longest first, and collects what needs nobody's agreement. */
function ask(state: Collecting, holders: Holders, nowMs: number): CollectAction[] {
  const byPeer = new Map<PeerId, Copy[]>()
  const alone: Copy[] = []
  for (const { key, replicas, claims, sinceMs } of state.known.values()) {
    if (state.asked.size >= LIMITS.collectKeys) break
    if (nowMs - sinceMs < state.config.collectGraceMs || claims.length > LIMITS.releaseClaims) continue
    const acting = actingHolders(holders, slotOf(key), replicas)
    const others = acting.filter((id) => id !== state.self)
    const needed = Math.floor(replicas / 2) + 1 - (acting.includes(state.self) ? 1 : 0)
    if (others.length < needed) continue
    const copy = { key, replicas, claims }
    state.asked.set(key, { ...copy, agreed: new Set(), asked: others, needed, going: needed === 0 })
    if (needed === 0) alone.push(copy)
    else for (const id of others) byPeer.set(id, [...(byPeer.get(id) ?? []), copy])
  }
  if (state.asked.size === 0) return []
  state.roundUntilMs = nowMs + state.config.collectTimeoutMs
  const actions = asking(state, byPeer, ++state.round)
  return alone.length === 0 ? actions : [...actions, { type: 'collect', copies: alone }]
}

export function onCollectMessage(state: Collecting, from: PeerId, message: CollectMessage): CollectAction[] {
  if (message.type === 'ended-too') return onAgreed(state, from, message)
  const theirs = [...state.questions.values()].filter((one) => one.from === from).length
  if (theirs >= LIMITS.releaseChecksPerMember || state.questions.size >= LIMITS.releaseChecks) return []
  const token = -state.nextToken++ // negative: those of `claiming.ts` for the same action are positive
  state.questions.set(token, { from, message })
  return [{ type: 'know-claims', token, keys: message.copies.map(({ key }) => key) }]
}

function onAgreed(
  state: Collecting,
  from: PeerId,
  { life, round, keys }: MessageOf<'ended-too'>
): CollectAction[] {
  if (life !== state.life || round !== state.round) return []
  const copies: Copy[] = []
  for (const key of keys) {
    const own = state.asked.get(key)
    if (own === undefined || own.going || !own.asked.includes(from)) continue
    own.agreed.add(from)
    if (own.agreed.size < own.needed) continue
    own.going = true
    copies.push({ key, replicas: own.replicas, claims: own.claims })
  }
  return copies.length === 0 ? [] : [{ type: 'collect', copies }]
}

/** What our disk knows of what another asked about: the same is said so, the rest is exchanged. */
export function onQuestionKnown(
  state: Collecting,
  claiming: Claiming,
  { token, known }: { token: number; known: ReadonlyMap<BlockKey, KnownClaims> },
  {
    sha256,
    isHolder
  }: { sha256: Crypto['sha256']; isHolder: (block: Pick<Copy, 'key' | 'replicas'>) => boolean }
): (CollectAction | ClaimingAction)[] {
  const question = state.questions.get(token)
  state.questions.delete(token)
  if (question === undefined) return []
  const { from, message } = question
  const keys: BlockKey[] = []
  const more: { key: BlockKey; claims: readonly Register[] }[] = []
  for (const { key, replicas, claims } of message.copies) {
    const own = known.get(key)
    if (own === undefined) {
      // No claims are no evidence, but ended ones can be had: a holder that never got the block takes them.
      if (isHolder({ key, replicas })) claimsDiffer(claiming, from, [{ key, claims: UNKNOWN_CLAIMS }])
      continue
    }
    if (isUnchanged(own.claims, claims)) keys.push(key)
    if (!covers(claims, own.claims)) more.push({ key, claims: own.claims })
    if (!covers(own.claims, claims)) claimsDiffer(claiming, from, [{ key, claims: UNKNOWN_CLAIMS }])
  }
  const { life, round } = message
  const agreed = { type: 'ended-too', life, round, keys } as const
  const actions: CollectAction[] = keys.length === 0 ? [] : [{ type: 'send', to: from, message: agreed }]
  return [...actions, ...tellMore(from, more, sha256)]
}

/** The store is done with these, deleted or not. */
export function onCollected(state: Collecting, keys: readonly BlockKey[]): void {
  for (const key of keys) {
    state.asked.delete(key)
    state.known.delete(key)
  }
  if (state.asked.size === 0) state.roundUntilMs = Number.POSITIVE_INFINITY
}
