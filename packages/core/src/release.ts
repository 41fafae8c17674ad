/**
 * Letting go is a promise. To let a copy go, a member opens a numbered attempt; until it deletes or
 * cancels, it gives no promise and no receipt for that block. It asks the slot's holders; one that is not
 * itself letting go promises once its copy's bytes were verified within the scrub period and every claim
 * of the request is durable on it. With N promises from distinct others to this attempt, it deletes.
 *
 * No lease, no clock, nothing to remember: a promise is given during the asker's attempt by a member not in
 * one, so among those that delete, the last to have started leaves N behind. Numbers never repeat, so a
 * promise that was long on its way counts for nothing.
 */
import { type BlockKey, blockKeyCodec, type PeerId, slotOf } from './block.ts'
import { covers, isEnded, type Register, registerCodec } from './claim.ts'
import type { KnownClaims } from './claiming.ts'
import { type Decoded, hex, list, struct, varint } from './codec.ts'
import { placeOf, replicasCodec } from './compare.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'

export const copyCodec = struct({
  key: blockKeyCodec,
  replicas: replicasCodec,
  claims: list(registerCodec, LIMITS.releaseClaims)
})

/** A block as it is held: N by its claims, and the claims. */
export interface Copy {
  key: BlockKey
  replicas: number
  claims: readonly Register[]
}

/** What names one run of one store, bytes. */
export const LIFE_BYTES = 8
/** The run of the asker, and the attempt in it: together they never repeat. */
const number = { life: hex(LIFE_BYTES), attempt: varint }

export const RELEASE_MESSAGES = {
  /** "I hold these besides what I must; do you keep yours?" */
  release: struct({ ...number, copies: list(copyCodec, LIMITS.releaseKeys) }),
  /** "I keep these." */
  promise: struct({ ...number, keys: list(blockKeyCodec, LIMITS.releaseKeys) })
}
/** On the wire: never reuse one. 50 … 59 are kept for what frees room. */
export const RELEASE_TAGS = { release: 50, promise: 51 } as const

export type ReleaseMessage = {
  [K in keyof typeof RELEASE_MESSAGES]: { type: K } & Decoded<(typeof RELEASE_MESSAGES)[K]>
}[keyof typeof RELEASE_MESSAGES]

type MessageOf<K extends ReleaseMessage['type']> = Extract<ReleaseMessage, { type: K }>

export type ReleaseAction =
  | { type: 'send'; to: PeerId; message: ReleaseMessage }
  /** Read our copies of these again, unless they were verified within the scrub period; answer `verified`. */
  | { type: 'verify-copies'; token: number; keys: BlockKey[] }
  /** Delete each copy, if its claims are still these; answer `gone` with all of them, deleted or not. */
  | { type: 'let-go'; copies: (Copy & { promised: PeerId[] })[] }

/** A copy in an attempt of ours. Once it is `going` nothing can call it back. */
interface LettingGo extends Copy {
  attempt: number
  asked: readonly PeerId[]
  promised: Set<PeerId>
  going: boolean
}

interface Check {
  to: PeerId
  message: MessageOf<'release'>
  keys: Set<BlockKey>
}

export interface Releases {
  readonly self: PeerId
  readonly config: Pick<DataConfig, 'releaseTimeoutMs'>
  readonly life: string
  /** Copies in an attempt, by key: nothing is promised of them. */
  readonly copies: Map<BlockKey, LettingGo>
  /** When each open attempt is given up. */
  readonly attempts: Map<number, number>
  /** Requests of others whose copies are being verified, and which of them may still be promised. */
  readonly checks: Map<number, Check>
  nextAttempt: number
  nextToken: number
}

/** @param life 16 hexadecimal digits, others in each run of this member, so that numbers never repeat. */
export function createReleases(self: PeerId, life: string, config: Releases['config']): Releases {
  const maps = { copies: new Map(), attempts: new Map(), checks: new Map() }
  return { self, config, life, ...maps, nextAttempt: 1, nextToken: 1 }
}

/** Whether a copy is being deleted: what arrives for it now must not be acknowledged. */
export function isGoing({ copies }: Releases, key: BlockKey): boolean {
  return copies.get(key)?.going === true
}

/** What is asked of whom: a copy, and the members that should promise to keep theirs. */
export interface Asking {
  copy: Copy
  others: readonly PeerId[]
}

/** Opens one attempt for copies that are in none. Those that too few others could promise are passed over. */
export function openAttempt(state: Releases, asking: readonly Asking[], nowMs: number): ReleaseAction[] {
  const attempt = state.nextAttempt++
  const byPeer = new Map<PeerId, Copy[]>()
  for (const { copy, others } of asking) {
    const distinct = [...new Set(others)].filter((peer) => peer !== state.self)
    if (state.copies.has(copy.key) || copy.claims.length > LIMITS.releaseClaims) continue
    if (distinct.length < copy.replicas) continue
    state.copies.set(copy.key, { ...copy, attempt, asked: distinct, promised: new Set(), going: false })
    unverify(state, copy.key)
    for (const peer of distinct) byPeer.set(peer, [...(byPeer.get(peer) ?? []), copy])
  }
  if (byPeer.size > 0) state.attempts.set(attempt, nowMs + state.config.releaseTimeoutMs)
  const actions: ReleaseAction[] = []
  for (const [to, copies] of byPeer) {
    for (const part of inMessages(copies)) {
      const message = { type: 'release', life: state.life, attempt, copies: part } as const
      actions.push({ type: 'send', to, message })
    }
  }
  return actions
}

/** What was read of a copy before now says nothing of it any more: it may go before the reading is told. */
export function unverify({ checks }: Releases, key: BlockKey): void {
  for (const { keys } of checks.values()) keys.delete(key)
}

/** Of a copy in a request, bytes at most: key, N and count; each claim. */
const COPY_BYTES = 72
const REGISTER_BYTES = 42

/** In parts that fit a message each, with the claims of a copy whole. */
export function inMessages(
  copies: readonly Copy[],
  keysMax: number = LIMITS.releaseKeys
): Decoded<typeof copyCodec>[][] {
  const parts: Decoded<typeof copyCodec>[][] = []
  let room = 0
  for (const { key, replicas, claims } of copies) {
    const bytes = COPY_BYTES + REGISTER_BYTES * claims.length
    if (parts.length === 0 || bytes > room || parts.at(-1)?.length === keysMax) {
      parts.push([])
      room = LIMITS.releaseBytes
    }
    const registers = claims.map(({ claimant, sequence, live }) => ({ claimant, sequence, live }))
    parts.at(-1)?.push({ key, replicas, claims: registers })
    room -= bytes
  }
  return parts
}

/**
 * Another asks. Of two that ask each other, the one that `yields` (the earlier in the slot's order) cancels
 * and may promise; the other says nothing.
 */
export function onRelease(
  state: Releases,
  from: PeerId,
  message: MessageOf<'release'>,
  yields: (copy: Copy) => boolean
): ReleaseAction[] {
  for (const copy of message.copies) {
    const own = state.copies.get(copy.key)
    if (own !== undefined && !own.going && own.asked.includes(from) && yields(copy)) cancel(state, copy.key)
  }
  const theirs = [...state.checks.values()].filter(({ to }) => to === from).length
  if (state.checks.size >= LIMITS.releaseChecks || theirs >= LIMITS.releaseChecksPerMember) return []
  const keys = message.copies.map(({ key }) => key).filter((key) => !state.copies.has(key))
  if (keys.length === 0) return []
  const token = state.nextToken++
  state.checks.set(token, { to: from, message, keys: new Set(keys) })
  return [{ type: 'verify-copies', token, keys }]
}

/** What of a request was not promised, and why. */
export interface Unpromised {
  from: PeerId
  /** The block is not here. */
  absent: Copy[]
  /** The asker has claims that are not here. */
  lacking: Copy[]
  /** There are claims here that the asker has not, and that end the block or want more copies of it. */
  more: { key: BlockKey; claims: readonly Register[] }[]
}

/**
 * Our copies were looked at: `known` has those that are here and good, and those that were collected, with
 * their claims on disk. Promises are given here, in the step that sees that no attempt of ours is open.
 */
export function onVerified(
  state: Releases,
  { token, known }: { token: number; known: ReadonlyMap<BlockKey, KnownClaims> }
): { actions: ReleaseAction[]; unpromised: Unpromised | undefined } {
  const check = state.checks.get(token)
  state.checks.delete(token)
  if (check === undefined) return { actions: [], unpromised: undefined }
  const { to, message } = check
  const unpromised: Unpromised = { from: to, absent: [], lacking: [], more: [] }
  const keys: BlockKey[] = []
  for (const copy of message.copies) {
    if (!check.keys.has(copy.key)) continue
    const own = known.get(copy.key)
    if (own === undefined) unpromised.absent.push(copy)
    else if (!covers(own.claims, copy.claims)) unpromised.lacking.push(copy)
    else if (own.held && !isEnded(own.claims) && own.replicas <= copy.replicas) keys.push(copy.key)
    else unpromised.more.push({ key: copy.key, claims: own.claims })
  }
  const { life, attempt } = message
  const promise = { type: 'promise', life, attempt, keys } as const
  return { actions: keys.length === 0 ? [] : [{ type: 'send', to, message: promise }], unpromised }
}

/** A promise counts for the attempt that it names, while that is open, once for each that was asked. */
export function onPromise(state: Releases, from: PeerId, message: MessageOf<'promise'>): ReleaseAction[] {
  if (message.life !== state.life || !state.attempts.has(message.attempt)) return []
  const copies: (Copy & { promised: PeerId[] })[] = []
  for (const key of message.keys) {
    const own = state.copies.get(key)
    if (own === undefined || own.going || own.attempt !== message.attempt || !own.asked.includes(from))
      continue
    own.promised.add(from)
    if (own.promised.size < own.replicas) continue
    own.going = true
    const { replicas, claims, promised } = own
    copies.push({ key, replicas, claims, promised: [...promised] })
  }
  return copies.length === 0 ? [] : [{ type: 'let-go', copies }]
}

/** The store is done with these, deleted or not: they are in no attempt any more. */
export function onGone(state: Releases, keys: readonly BlockKey[]): void {
  for (const key of keys) close(state, key)
}

/** Gives a copy's attempt up, unless it is being deleted already. */
export function cancel(state: Releases, key: BlockKey): void {
  if (state.copies.get(key)?.going === false) close(state, key)
}

function close(state: Releases, key: BlockKey): void {
  const own = state.copies.get(key)
  if (own === undefined) return
  state.copies.delete(key)
  for (const { attempt } of state.copies.values()) if (attempt === own.attempt) return
  state.attempts.delete(own.attempt)
}

/** A member died: its word stands for a disk that nobody can read. */
export function releasesForget(state: Releases, peer: PeerId): void {
  for (const { promised, going } of state.copies.values()) if (!going) promised.delete(peer)
}

/** Gives up what was not promised in time; returns the places of those copies. */
export function expireAttempts(state: Releases, nowMs: number): number[] {
  const places: number[] = []
  for (const [id, untilMs] of [...state.attempts]) {
    if (untilMs > nowMs) continue
    for (const { key, replicas, attempt, going } of [...state.copies.values()]) {
      if (attempt !== id || going) continue
      places.push(placeOf({ slot: slotOf(key), replicas }))
      cancel(state, key)
    }
    // What is being deleted keeps its attempt until the store has answered; it needs no deadline.
    if (state.attempts.has(id)) state.attempts.set(id, Number.POSITIVE_INFINITY)
  }
  return places
}

export function attemptsDeadline({ attempts }: Releases): number {
  return Math.min(Number.POSITIVE_INFINITY, ...attempts.values())
}
