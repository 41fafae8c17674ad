/**
 * The keys of what would have no copy left among its holders if some members were lost, asked of each
 * member in pages. Who has a copy besides (a stand-in, a mirror) is in no tally; with the keys it can be
 * asked, and only what nobody has is lost.
 */
import { type BlockKey, blockKeyCodec, type PeerId } from './block.ts'
import { bool, type Decoded, list, struct, u8, varint } from './codec.ts'
import { fromPlace, type Listed, type Place } from './compare.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { peerIdCodec } from './member.ts'

/** How long a member has to list a page, ms: it reads its index, and not its blocks. A guess. */
const PAGE_TIMEOUT_MS = 5_000
/** Pages being asked for by users, and listed for others. */
const PAGES_MAX = 64
/** Places on one page: most hold a block or two. */
const PLACES_MAX = 256

export const DOOMED_MESSAGES = {
  /** "What of yours would have no copy left without these, in places from this one on?" */
  'ask-doomed': struct({ token: varint, without: list(peerIdCodec, LIMITS.lossMembers), from: varint }),
  /** `next`: the place to go on from, where there is more. Of a place with more keys, only as many. */
  'tell-doomed': struct({
    token: varint,
    keys: list(struct({ key: blockKeyCodec, size: varint, replicas: u8 }), LIMITS.inquiryKeys),
    more: bool,
    next: varint
  })
}
/** On the wire: never reuse one. */
export const DOOMED_TAGS = { 'ask-doomed': 34, 'tell-doomed': 35 } as const

export type DoomedMessage = {
  [K in keyof typeof DOOMED_MESSAGES]: { type: K } & Decoded<(typeof DOOMED_MESSAGES)[K]>
}[keyof typeof DOOMED_MESSAGES]

export interface DoomedKey {
  key: BlockKey
  size: number
  /** Its N. */
  replicas: number
}

/** A page; undefined keys: the member did not answer. */
export interface DoomedPage {
  keys: readonly DoomedKey[] | undefined
  next: Place | undefined
}

export type DoomedAction =
  | { type: 'send'; to: PeerId; message: DoomedMessage }
  | { type: 'list-slots'; token: number; slots: { slot: number; after: undefined }[]; limit: number }
  | ({ type: 'doomed'; request: number } & DoomedPage)

/** What a caller asks of one member, which may be ourselves. */
export interface DoomedAsked {
  request: number
  of: PeerId
  without: readonly PeerId[]
  from: Place
}

export interface Doomings {
  readonly self: PeerId
  readonly open: Map<number, { request: number; of: PeerId; from: Place; untilMs: number }>
  /** Pages being listed here, by their token. */
  readonly served: Map<
    number,
    { to: PeerId; token: number; places: readonly Place[]; next: Place | undefined }
  >
  nextToken: number
}

export function createDoomings(self: PeerId): Doomings {
  return { self, open: new Map(), served: new Map(), nextToken: 1 }
}

/** What this member tells of, in order. */
type PlacesOf = (without: readonly PeerId[]) => readonly Place[]

export function askDoomed(
  state: Doomings,
  { request, of, without, from }: DoomedAsked,
  places: PlacesOf,
  nowMs: number
): DoomedAction[] {
  if (state.open.size >= PAGES_MAX) return [{ type: 'doomed', request, keys: undefined, next: undefined }]
  const token = state.nextToken++
  state.open.set(token, { request, of, from, untilMs: nowMs + PAGE_TIMEOUT_MS })
  const message: Ask = { type: 'ask-doomed', token, without: [...without], from }
  return of === state.self ? listPage(state, of, message, places) : [{ type: 'send', to: of, message }]
}

export function onDoomedMessage(
  state: Doomings,
  from: PeerId,
  message: DoomedMessage,
  places: PlacesOf
): DoomedAction[] {
  if (message.type === 'ask-doomed') return listPage(state, from, message, places)
  const { token, keys, more, next } = message
  return answered(state, from, token, { keys, next: more ? next : undefined })
}

/** The store's list of our slots: the page goes to whoever asked. */
export function onDoomedListed(
  state: Doomings,
  listed: { token: number; lists: readonly (readonly (Listed & { replicas: number })[])[] }
): DoomedAction[] {
  const page = state.served.get(listed.token)
  if (page === undefined) return []
  state.served.delete(listed.token)
  const keys: DoomedKey[] = []
  let { next } = page
  for (const [i, place] of page.places.entries()) {
    const { replicas } = fromPlace(place)
    const some = (listed.lists[i] ?? []).filter((one) => one.replicas === replicas)
    if (keys.length > 0 && keys.length + some.length > LIMITS.inquiryKeys) {
      next = place
      break
    }
    for (const { key, size } of some.slice(0, LIMITS.inquiryKeys)) keys.push({ key, size, replicas })
  }
  return tell(state, page, { keys, next })
}

/** Nothing is told: the asker waits no longer than its time. */
export function doomedListFailed(state: Doomings, token: number): void {
  state.served.delete(token)
}

export function doomedTick(state: Doomings, nowMs: number): DoomedAction[] {
  const late = [...state.open].filter(([, { untilMs }]) => untilMs <= nowMs)
  return late.flatMap(([token, { of }]) => {
    return answered(state, of, token, { keys: undefined, next: undefined })
  })
}

export function doomedDeadline(state: Doomings): number {
  let next = Number.POSITIVE_INFINITY
  for (const { untilMs } of state.open.values()) next = Math.min(next, untilMs)
  return next
}

type Ask = Extract<DoomedMessage, { type: 'ask-doomed' }>

function listPage(
  state: Doomings,
  to: PeerId,
  { token, without, from }: Ask,
  places: PlacesOf
): DoomedAction[] {
  if (state.served.size >= PAGES_MAX) return []
  const left = places(without).filter((place) => place >= from)
  const page = { to, token, places: left.slice(0, PLACES_MAX), next: left[PLACES_MAX] }
  if (page.places.length === 0) return tell(state, page, { keys: [], next: undefined })
  // Negative: the reconciler's tokens for the same action are positive.
  const own = -state.nextToken++
  state.served.set(own, page)
  const slots = page.places.map((place) => ({ slot: fromPlace(place).slot, after: undefined }))
  return [{ type: 'list-slots', token: own, slots, limit: LIMITS.inquiryKeys }]
}

function tell(
  state: Doomings,
  { to, token }: { to: PeerId; token: number },
  { keys, next }: { keys: DoomedKey[]; next: Place | undefined }
): DoomedAction[] {
  if (to === state.self) return answered(state, to, token, { keys, next })
  const message = { type: 'tell-doomed', token, keys, more: next !== undefined, next: next ?? 0 } as const
  return [{ type: 'send', to, message }]
}

function answered(state: Doomings, from: PeerId, token: number, page: DoomedPage): DoomedAction[] {
  const asked = state.open.get(token)
  if (asked?.of !== from) return []
  state.open.delete(token)
  // One that goes back would be asked for ever.
  const next = page.next !== undefined && page.next > asked.from ? page.next : undefined
  return [{ type: 'doomed', request: asked.request, keys: page.keys, next }]
}
