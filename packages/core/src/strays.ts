/**
 * Which copies are let go of, and when: those held besides what must be held, long enough for their
 * holders to be there to stay, once N of the holders have said that they have all of the slot, and with
 * nothing about the block under way here. A few a second.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import {
  type Claiming,
  type ClaimingAction,
  claimsDiffer,
  type KnownClaims,
  tellMore,
  UNKNOWN_CLAIMS
} from './claiming.ts'
import { fromPlace, type Place, placeOf } from './compare.ts'
import { type Fetches, want } from './fetch.ts'
import { actingHolders, type Holders, isDistrusted, mayFetch } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'
import type { Reconciler } from './reconcile.ts'
import {
  type Asking,
  attemptsDeadline,
  type Copy,
  cancel,
  createReleases,
  expireAttempts,
  onPromise,
  onRelease,
  onVerified,
  openAttempt,
  type ReleaseAction,
  type ReleaseMessage,
  type Releases
} from './release.ts'
import type { Writes } from './write.ts'

export type StrayAction =
  | ReleaseAction
  /** List the copies of these slots and Ns, with their claims; answer `copies`. */
  | { type: 'list-copies'; token: number; places: { slot: number; replicas: number }[]; limit: number }

export interface Strays {
  readonly config: DataConfig
  readonly releases: Releases
  /** Since when each place is held besides. */
  readonly sinceMs: Map<Place, number>
  /** Places of which something was not promised, and until when they are left alone. */
  readonly restUntilMs: Map<Place, number>
  /** The listing under way, and of what. */
  gathering: number | undefined
  gathered: Place[]
  nextToken: number
  nextTurnMs: number
  viewVersion: number
}

/** What the core knows besides. */
export interface Around {
  reconciler: Reconciler
  holders: Holders
  fetches: Fetches
  writes: Writes
}

export function createStrays(self: PeerId, life: string, config: DataConfig): Strays {
  const maps = { sinceMs: new Map(), restUntilMs: new Map() }
  const turns = { gathering: undefined, gathered: [], nextToken: 1, nextTurnMs: 0, viewVersion: -1 }
  return { config, releases: createReleases(self, life, config), ...maps, ...turns }
}

/** Gives up what must be given up, and begins the next attempt when it is due. */
export function straysTick(state: Strays, around: Around, nowMs: number): StrayAction[] {
  const { releases, config } = state
  const { reconciler, holders } = around
  if (state.viewVersion !== holders.version) {
    state.viewVersion = holders.version
    for (const { key, replicas } of releases.copies.values()) {
      if (actingHolders(holders, slotOf(key), replicas).includes(releases.self)) cancel(releases, key)
    }
  }
  for (const place of expireAttempts(releases, nowMs)) rest(state, place, nowMs)
  if (nowMs < state.nextTurnMs || reconciler.strays.size + state.sinceMs.size === 0) return []
  state.nextTurnMs = nowMs + config.releaseIntervalMs
  note(state, reconciler, nowMs)
  const isAtWork = state.gathering !== undefined || releases.copies.size > 0
  if (isAtWork || !holders.standing.get(releases.self)?.living) return []
  const places = readyPlaces(state, around, nowMs)
  if (places.length === 0) return []
  state.gathering = state.nextToken++
  state.gathered = places.map(placeOf)
  return [{ type: 'list-copies', token: state.gathering, places, limit: LIMITS.releaseKeys }]
}

export function straysDeadline({ releases, sinceMs, nextTurnMs }: Strays, { strays }: Reconciler): number {
  const turnMs = strays.size + sinceMs.size === 0 ? Number.POSITIVE_INFINITY : nextTurnMs
  return Math.min(attemptsDeadline(releases), turnMs)
}

function rest(state: Strays, place: Place, nowMs: number): void {
  state.restUntilMs.set(place, nowMs + state.config.releaseRetryMs)
}

/** Keeps since when each place is held besides; what is no longer is forgotten. */
function note({ sinceMs, restUntilMs }: Strays, { strays }: Reconciler, nowMs: number): void {
  for (const place of strays.keys()) if (!sinceMs.has(place)) sinceMs.set(place, nowMs)
  for (const place of sinceMs.keys()) if (!strays.has(place)) sinceMs.delete(place)
  for (const [place, untilMs] of restUntilMs) if (untilMs <= nowMs) restUntilMs.delete(place)
}

function readyPlaces({ sinceMs, restUntilMs, config }: Strays, around: Around, nowMs: number) {
  const { reconciler, holders } = around
  const places: { slot: number; replicas: number }[] = []
  for (const [place, { settled }] of reconciler.strays) {
    if (places.length === LIMITS.releaseKeys) break
    const heldMs = nowMs - (sinceMs.get(place) ?? nowMs)
    if (heldMs < config.releaseAfterMs || restUntilMs.has(place)) continue
    const { slot, replicas } = fromPlace(place)
    const acting = actingHolders(holders, slot, replicas)
    if (trusted(holders, acting).filter((id) => settled.has(id)).length >= replicas)
      places.push({ slot, replicas })
  }
  return places
}

/** A promise of one that lied about what it holds is worth nothing. */
function trusted(holders: Holders, ids: readonly PeerId[]): readonly PeerId[] {
  return holders.distrusted.size === 0 ? ids : ids.filter((id) => !isDistrusted(holders, id))
}

/** The store's answer to `list-copies`: an attempt is opened for those that nothing speaks against. */
export function onCopies(
  state: Strays,
  around: Around,
  listed: { token: number; copies: readonly Copy[] },
  nowMs: number
): StrayAction[] {
  if (listed.token !== state.gathering) return []
  state.gathering = undefined
  const asking: Asking[] = []
  if (listed.copies.length < LIMITS.releaseKeys) {
    // What is there to stay, since a mirror here keeps it, is not looked for again every second.
    const found = new Set(listed.copies.map(({ key, replicas }) => placeOf({ slot: slotOf(key), replicas })))
    for (const place of state.gathered) if (!found.has(place)) rest(state, place, nowMs)
  }
  for (const copy of listed.copies.slice(0, LIMITS.releaseKeys)) {
    const place = placeOf({ slot: slotOf(copy.key), replicas: copy.replicas })
    const others = trusted(around.holders, actingHolders(around.holders, slotOf(copy.key), copy.replicas))
    const isStray = around.reconciler.strays.has(place) && !others.includes(state.releases.self)
    if (!isStray || isUnderWay(around, copy.key)) continue
    if (others.length >= copy.replicas) asking.push({ copy, others })
    else rest(state, place, nowMs)
  }
  return openAttempt(state.releases, asking, nowMs)
}

/** Something about the block is being done here: it is wanted, or a put of it is not over. */
function isUnderWay({ fetches, writes }: Around, key: BlockKey): boolean {
  if (fetches.wants.byKey.has(key)) return true
  for (const { blocks } of writes.puts.values()) if (blocks.has(key)) return true
  return false
}

export function onReleaseMessage(
  state: Strays,
  { holders }: Around,
  from: PeerId,
  message: ReleaseMessage
): StrayAction[] {
  const { releases } = state
  if (message.type === 'promise') return onPromise(releases, from, message)
  // A leaving member's copy leaves with it.
  if (!holders.standing.get(releases.self)?.living) return []
  return onRelease(releases, from, message, ({ key, replicas }) => {
    const order = holders.placement.order(slotOf(key), replicas + LIMITS.standIns)
    const [own, other] = [order.indexOf(releases.self), order.indexOf(from)]
    return own >= 0 && (other < 0 || own < other)
  })
}

/** Our copies were read: those that are good are promised, and a request is an offer of the rest. */
export function onCopiesVerified(
  state: Strays,
  claiming: Claiming,
  { holders, fetches, reconciler }: Around,
  verified: { token: number; known: ReadonlyMap<BlockKey, KnownClaims> },
  nowMs: number
): (StrayAction | ClaimingAction)[] {
  const { releases } = state
  if (!holders.standing.get(releases.self)?.living) {
    releases.checks.delete(verified.token)
    return []
  }
  const { actions, unpromised } = onVerified(releases, verified)
  if (unpromised === undefined) return actions
  const { from, absent, lacking, more } = unpromised
  for (const { key, replicas } of absent) {
    if (!mayFetch(holders, releases.self, slotOf(key), replicas)) continue
    want(fetches, { key, purpose: 'repair', replicas, source: from, notBeforeMs: nowMs }, nowMs)
  }
  claimsDiffer(
    claiming,
    from,
    lacking.map(({ key }) => ({ key, claims: UNKNOWN_CLAIMS }))
  )
  return [...actions, ...tellMore(from, more, reconciler.sha256)]
}
