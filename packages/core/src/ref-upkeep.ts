/**
 * What a ref no longer needs is let go of by one member, the first living holder of the ref's slot, whoever
 * made the update: if that one goes, the next looks again. A lifetime is a duration that each carrier counts
 * by itself, from when it voted for the record, or else came to know it; the record's claims end once a
 * majority of the slot's holders says that it is over, and none knows of a later record.
 */
import type { PeerId } from './block.ts'
import type { Holders } from './holders.ts'
import { toEnd } from './keeping.ts'
import { majorityOf, type RefRecord } from './ref.ts'
import type { KnownRef } from './ref-entry.ts'
import type { RefMessage } from './ref-messages.ts'
import { livingSlotCarriers, type RefTable } from './ref-table.ts'

/** Between looks at which refs need it. */
const LOOK_MS = 2_000
/** Refs seen to at once: each is a walk over what its roots share. A guess. */
const UNDER_WAY_MAX = 2
/** One that failed, since members are away, is tried again after this. A guess. */
const RETRY_MS = 60_000
/** Others have so long to say whether a lifetime is over. */
const ASK_MS = 5_000
/** Lifetimes asked about at once. */
const ASKS_MAX = 16

export type UpkeepAction =
  | { type: 'send'; to: PeerId; message: RefMessage }
  /** End the claims of what this record does not keep; answer `ref-tidied`. */
  | { type: 'tidy-ref'; id: string; record: RefRecord; expired: boolean }

interface Seen {
  hash: string
  /** When this life came to know the record. */
  readonly sinceMs: number
  /** Nothing is left to do for it: 'expired' when that includes the record's own root. */
  done: 'no' | 'kept' | 'expired'
  busy: boolean
  againAtMs: number
}

interface Ask {
  readonly id: string
  readonly hash: string
  readonly asked: readonly PeerId[]
  readonly agreed: Set<PeerId>
  readonly untilMs: number
}

export interface Upkeep {
  /** One key ends all claims of refs, whoever made them: else each owner's node sees to its own. */
  readonly shared: boolean
  readonly seen: Map<string, Seen>
  readonly asks: Map<number, Ask>
  /** What the day's clock said, and when: lifetimes outlast a life. */
  clock: { atMs: number; nowMs: number } | undefined
  nextToken: number
  lookAtMs: number
}

export function createUpkeep(shared: boolean, nowMs: number): Upkeep {
  const lookAtMs = nowMs + LOOK_MS
  return { shared, seen: new Map(), asks: new Map(), clock: undefined, nextToken: 1, lookAtMs }
}

export function upkeepDeadline({ lookAtMs }: Upkeep): number {
  return lookAtMs
}

interface Scene {
  holders: Holders
  nowMs: number
}

export function upkeepTick(state: Upkeep, table: RefTable, scene: Scene): UpkeepAction[] {
  const { nowMs } = scene
  if (nowMs < state.lookAtMs) return []
  state.lookAtMs = nowMs + LOOK_MS
  for (const [token, { untilMs }] of state.asks) if (nowMs >= untilMs) state.asks.delete(token)
  for (const id of state.seen.keys()) if (!table.carried.has(id)) state.seen.delete(id)
  const actions: UpkeepAction[] = []
  let underWay = [...state.seen.values()].filter(({ busy }) => busy).length
  for (const [id, { entry }] of table.carried) {
    const { best } = entry
    if (best === undefined) continue
    const { record } = best
    const lapses = record.lifetimeMs > 0 && record.root !== undefined
    if (!lapses && (record.history.length === 0 || toEnd(record, false).roots.length === 0)) continue
    const seen = seenOf(state, id, record, nowMs)
    if (seen.busy || nowMs < seen.againAtMs || !isOurs(state, table, scene, record)) continue
    if (seen.done === 'no' && underWay < UNDER_WAY_MAX) {
      underWay++
      seen.busy = true
      actions.push({ type: 'tidy-ref', id, record, expired: false })
    } else if (lapses && seen.done === 'kept' && isOver(state, table, best, nowMs)) {
      actions.push(...askExpired(state, table, scene, record))
    }
  }
  return actions
}

function seenOf(state: Upkeep, id: string, { hash }: RefRecord, nowMs: number): Seen {
  const known = state.seen.get(id)
  if (known?.hash === hash) return known
  const seen: Seen = { hash, sinceMs: nowMs, done: 'no', busy: known?.busy ?? false, againAtMs: 0 }
  state.seen.set(id, seen)
  return seen
}

function isOurs({ shared }: Upkeep, table: RefTable, { holders }: Scene, record: RefRecord): boolean {
  if (!shared) return record.owner === table.self
  return livingSlotCarriers(table, holders, record.id)[0] === table.self
}

/** Whether a record's lifetime is over by our own count. */
export function isOver(
  state: Upkeep,
  table: RefTable,
  { record, receipts }: KnownRef,
  nowMs: number
): boolean {
  const { clock, seen } = state
  const vote = receipts.get(table.self)
  const known = seen.get(record.id)
  const here = known?.hash === record.hash ? nowMs - known.sinceMs : 0
  // A clock that went back must not make it last for ever, one that went ahead is one voice of several.
  const byClock = vote && clock && clock.atMs + (nowMs - clock.nowMs) - vote.timeMs
  return record.lifetimeMs > 0 && Math.max(here, byClock ?? 0) >= record.lifetimeMs
}

function askExpired(state: Upkeep, table: RefTable, scene: Scene, record: RefRecord): UpkeepAction[] {
  const { id, hash } = record
  if (state.asks.size >= ASKS_MAX || [...state.asks.values()].some((ask) => ask.id === id)) return []
  const asked = livingSlotCarriers(table, scene.holders, id)
  const token = state.nextToken++
  const ask = { id, hash, asked, agreed: new Set<PeerId>(), untilMs: scene.nowMs + ASK_MS }
  state.asks.set(token, ask)
  const message = { type: 'ref-over' as const, token, id, hash }
  const sent = asked
    .filter((to) => to !== table.self)
    .map((to): UpkeepAction => ({ type: 'send', to, message }))
  return [...sent, ...agree(state, table, token, table.self)]
}

/** Of a majority of N and not only of those that live: a part that is cut off ends nothing. */
function agree(state: Upkeep, table: RefTable, token: number, from: PeerId): UpkeepAction[] {
  const ask = state.asks.get(token)
  const best = ask && table.carried.get(ask.id)?.entry.best?.record
  if (ask === undefined || best?.hash !== ask.hash || !ask.asked.includes(from)) return []
  ask.agreed.add(from)
  const seats = Math.max(ask.asked.length, best.replicas)
  if (ask.agreed.size < majorityOf(Array(seats).fill(0))) return []
  state.asks.delete(token)
  const seen = state.seen.get(ask.id)
  if (seen === undefined || seen.busy || seen.hash !== ask.hash) return []
  seen.busy = true
  return [{ type: 'tidy-ref', id: ask.id, record: best, expired: true }]
}

export function onUpkeepMessage(
  state: Upkeep,
  table: RefTable,
  { nowMs }: Scene,
  from: PeerId,
  message: RefMessage & { type: 'ref-over' | 'ref-over-too' }
): UpkeepAction[] {
  if (message.type === 'ref-over-too') return agree(state, table, message.token, from)
  const { token, id, hash } = message
  const best = table.carried.get(id)?.entry.best
  if (best?.record.hash !== hash) return []
  seenOf(state, id, best.record, nowMs)
  if (!isOver(state, table, best, nowMs)) return []
  return [{ type: 'send', to: from, message: { type: 'ref-over-too', token } }]
}

export interface Tidied {
  id: string
  hash: string
  expired: boolean
  /** It could not be done now. */
  failed: boolean
}

export function onTidied(state: Upkeep, { id, hash, expired, failed }: Tidied, nowMs: number): void {
  const seen = state.seen.get(id)
  if (seen === undefined) return
  seen.busy = false
  if (seen.hash !== hash) return
  if (failed) seen.againAtMs = nowMs + RETRY_MS
  else seen.done = expired ? 'expired' : 'kept'
}

export function setClock(state: Upkeep, atMs: number, nowMs: number): void {
  state.clock = { atMs, nowMs }
}
