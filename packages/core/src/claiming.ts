/**
 * Claims that differ, without the blocks: who lists a block under other claims than ours is asked for them;
 * and who has fewer than we do is told so, and asks us. Pull only, as all comparing: each takes what it
 * lacks, and in the end both have all of them.
 */
import { type BlockKey, blockKeyCodec, type PeerId, slotOf } from './block.ts'
import type { Register } from './claim.ts'
import { type Decoded, hex, list, struct } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { type Fetches, want } from './fetch.ts'
import { claimsDigest } from './fingerprint.ts'
import { type Holders, mayFetch } from './holders.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { peerOf, type Reconciler } from './reconcile.ts'

const claimed = struct({ key: blockKeyCodec, claims: hex(8) })
/** A block, and what its claims come to at a member. */
export type Claimed = Decoded<typeof claimed>

export const CLAIMING_MESSAGES = {
  /** "I know of claims on these that you do not." */
  'more-claims': struct({ blocks: list(claimed, LIMITS.claimedTold) })
}
/** On the wire: never reuse one. 50 … 59 are kept for what frees room. */
export const CLAIMING_TAGS = { 'more-claims': 52 } as const

export type ClaimingMessage = {
  [K in keyof typeof CLAIMING_MESSAGES]: { type: K } & Decoded<(typeof CLAIMING_MESSAGES)[K]>
}[keyof typeof CLAIMING_MESSAGES]

/**
 * What came of one block's claims. `revived`: it is not here, and some claim on it is live. `partly`:
 * there may be more of them.
 */
export type TakeOutcome = 'taken' | 'partly' | 'revived' | 'failed'

/** In place of what the claims come to at a member that did not say it. */
export const UNKNOWN_CLAIMS = ''

/** A block as the disk knows it: held, or collected. */
export interface KnownClaims {
  held: boolean
  replicas: number
  claims: readonly Register[]
}

export type ClaimingAction =
  | { type: 'send'; to: PeerId; message: ClaimingMessage }
  /** Ask this member for its claims on these, and keep them; answer `claims-taken`, whatever came of it. */
  | { type: 'take-claims'; transfer: number; from: PeerId; keys: BlockKey[] }
  /** See what is known of these, held or collected; answer `claims-known`. */
  | { type: 'know-claims'; token: number; keys: BlockKey[] }

export interface Claiming {
  /** Claims to be asked for, by member, and what they came to there. */
  readonly waiting: Map<PeerId, Map<BlockKey, string>>
  readonly taking: Map<number, { from: PeerId; blocks: Map<BlockKey, string> }>
  /** What others said that they know more of, while the disk is asked. */
  readonly told: Map<number, { from: PeerId; blocks: Claimed[] }>
  nextTransfer: number
  nextToken: number
}

export function createClaiming(): Claiming {
  return { waiting: new Map(), taking: new Map(), told: new Map(), nextTransfer: 1, nextToken: 1 }
}

/** Notes that a member has claims that are not here. Of too many, the next comparison finds the rest. */
export function claimsDiffer(state: Claiming, from: PeerId, blocks: readonly Claimed[]): void {
  const waiting = state.waiting.get(from) ?? new Map<BlockKey, string>()
  state.waiting.set(from, waiting)
  for (const { key, claims } of blocks) if (waiting.size < LIMITS.claimsQueue) waiting.set(key, claims)
}

/** Asks each member for the next of its claims, one request at a time. */
export function claimingTick(state: Claiming): ClaimingAction[] {
  const actions: ClaimingAction[] = []
  for (const [from, waiting] of state.waiting) {
    if ([...state.taking.values()].some((one) => one.from === from)) continue
    const blocks = new Map([...waiting].slice(0, LIMITS.claimsKeys))
    for (const key of blocks.keys()) waiting.delete(key)
    if (waiting.size === 0) state.waiting.delete(from)
    const transfer = state.nextTransfer++
    state.taking.set(transfer, { from, blocks })
    actions.push({ type: 'take-claims', transfer, from, keys: [...blocks.keys()] })
  }
  return actions
}

export function claimingForget(state: Claiming, peer: PeerId): void {
  state.waiting.delete(peer)
}

interface Around {
  reconciler: Reconciler
  holders: Holders
  fetches: Fetches
}

/** What came of a request: claims taken are not asked for again, and who revives a block brings it back. */
export function onClaimsTaken(
  state: Claiming,
  { reconciler, holders, fetches }: Around,
  done: { transfer: number; outcomes: ReadonlyMap<BlockKey, { outcome: TakeOutcome; replicas: number }> },
  nowMs: number
): void {
  const taking = state.taking.get(done.transfer)
  state.taking.delete(done.transfer)
  if (taking === undefined) return
  const { from, blocks } = taking
  const { claims } = peerOf(reconciler, from)
  for (const [key, { outcome, replicas }] of done.outcomes) {
    const digest = blocks.get(key)
    if (digest === undefined) continue
    if (outcome === 'taken' && digest !== UNKNOWN_CLAIMS) claims.set(key, { digest, taken: true })
    if (outcome !== 'revived' || !mayFetch(holders, reconciler.self, slotOf(key), replicas)) continue
    want(fetches, { key, purpose: 'repair', replicas, source: from, notBeforeMs: nowMs }, nowMs)
  }
}

/** Another knows of more claims: those on blocks that we know are looked at. */
export function onMoreClaims(state: Claiming, from: PeerId, { blocks }: ClaimingMessage): ClaimingAction[] {
  const theirs = [...state.told.values()].filter((one) => one.from === from).length
  if (blocks.length === 0 || theirs >= LIMITS.claimsToldPerMember || state.told.size >= LIMITS.claimsTold)
    return []
  const token = state.nextToken++
  state.told.set(token, { from, blocks })
  return [{ type: 'know-claims', token, keys: blocks.map(({ key }) => key) }]
}

/** The disk's answer: of what is known here, and differs, the claims are asked for. */
export function onToldKnown(
  state: Claiming,
  reconciler: Reconciler,
  { token, known }: { token: number; known: ReadonlyMap<BlockKey, KnownClaims> }
): void {
  const told = state.told.get(token)
  state.told.delete(token)
  if (told === undefined) return
  const { from, blocks } = told
  const taken = reconciler.peers.get(from)?.claims
  const news = blocks.filter(({ key, claims }) => {
    const own = known.get(key)
    if (own === undefined || claimsDigest(own.claims, reconciler.sha256) === claims) return false
    const before = taken?.get(key)
    return before?.digest !== claims || !before.taken
  })
  claimsDiffer(state, from, news)
}

/** Tells a member of claims that it has not. */
export function tellMore(
  to: PeerId,
  known: readonly { key: BlockKey; claims: readonly Register[] }[],
  sha256: Crypto['sha256']
): ClaimingAction[] {
  const blocks = known.map(({ key, claims }) => ({ key, claims: claimsDigest(claims, sha256) }))
  return blocks.length === 0 ? [] : [{ type: 'send', to, message: { type: 'more-claims', blocks } }]
}
