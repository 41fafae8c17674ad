/**
 * Mirrors at one member: which root of its ref each is to have next, when that one is whole, and when the
 * one before may go. The last whole root stays until the next is whole and known to be so on disk; then
 * what neither needs is freed. A ref whose updates outrun a mirror is followed in leaps: what was begun is
 * finished, and then the newest is next. Asynchronous replication: a mirror is behind, and says how far.
 */
import type { PeerId } from './block.ts'
import { compareRefs, type RefRecord } from './ref.ts'

/** Mirrors of one member. Each asks for its ref some times a lag. A guess. */
export const MIRRORS_MAX = 64
/** How far behind a mirror wants to be at most, unless told, ms. */
export const MIRROR_LAG_MS = 5_000
/** Looks at the ref within one lag, so that most of it is left for fetching. */
const LOOKS_PER_LAG = 4
const LOOK_MS_MIN = 250
const LOOK_MS_MAX = 15_000
/** A look that was never answered: the next begins all the same. Above how long refs are gathered. */
const LOOK_LOST_MS = 10_000
/** A root that could not be had is tried again after this, doubled each time, up to the other. */
const RETRY_MS = 1_000
const RETRY_MS_MAX = 60_000
/** A mirror that comes by itself stays for so long after its ref was last read much. A guess. */
export const MIRROR_LEASE_MS = 600_000
/** Updates of which it is remembered when they were first seen: what the lag is counted from. */
const SEEN_MAX = 64

/** A root that is here whole. */
export interface MirrorRoot {
  record: RefRecord
  blocks: number
  bytes: number
}

/** What a mirror's disk keeps of it. */
export interface KeptMirror {
  ref: { owner: PeerId; name: string }
  lagMs: number
  /** It mirrors while the ref is read much, and for so long after; undefined: always. */
  leaseMs: number | undefined
  /** Rises with each root that is fetched: the sequence of the mirror's claims. */
  generation: number
  whole: MirrorRoot | undefined
}

export type MirrorEvent =
  /** A member is to mirror a ref, or knows from its disk that it does. */
  | { type: 'mirror'; id: string; kept: KeptMirror }
  /** What is whole stays as it is while it is being promoted: nothing is begun nor let go of. */
  | { type: 'mirror-hold'; id: string; held: boolean }
  | { type: 'unmirror'; id: string }
  /** What came of a `mirror-fetch`. `lost`: a block that nobody gave. */
  | {
      type: 'mirror-fetched'
      id: string
      generation: number
      outcome: { type: 'whole'; blocks: number; bytes: number } | { type: 'lost' | 'failed'; reason: string }
    }
  /** What a `mirror-keep` gave is on disk, or is not. */
  | { type: 'mirror-kept'; id: string; generation: number; failed?: string }
  | { type: 'mirror-freed'; id: string; generation: number }

export type MirrorAction =
  /** Hold every block below the root under the mirror's claim of this generation; say `mirror-fetched`. */
  | { type: 'mirror-fetch'; id: string; generation: number; record: RefRecord }
  /** Put this on disk, synced, then say `mirror-kept`. */
  | { type: 'mirror-keep'; id: string; kept: KeptMirror }
  /** End the mirror's claims on all that its last fetch did not meet, or on all; say `mirror-freed`. */
  | { type: 'mirror-free'; id: string; generation: number; all?: true }
  /** End all of its claims, and forget it. */
  | { type: 'mirror-drop'; id: string; kept: KeptMirror }
  /** See what a majority of its voters knows of the ref. */
  | { type: 'mirror-look'; id: string }

/**
 * What a mirror is doing. `resting`: it could not have a root, and will try again. `waiting`: it has nothing
 * until its ref is read much.
 */
export type MirrorPhase = 'following' | 'fetching' | 'keeping' | 'freeing' | 'resting' | 'waiting'

export interface Mirror {
  readonly id: string
  readonly ref: { owner: PeerId; name: string }
  lagMs: number
  leaseMs: number | undefined
  /** Until when it has its lease, if it needs one. */
  leasedUntilMs: number
  generation: number
  whole: MirrorRoot | undefined
  /** The highest that is acknowledged, as far as is known here. */
  best: RefRecord | undefined
  phase: MirrorPhase
  /** Being fetched, or found whole and being kept. */
  target: RefRecord | undefined
  /** It is being promoted. */
  held: boolean
  /** What is being kept took the place of other blocks. */
  frees: boolean
  /** Its lease ran out, and all of it goes or is gone. */
  lapsed: boolean
  /** Every block of the whole root was met in this life, and none was lost since. */
  checked: boolean
  /** A block was lost while a fetch was under way. */
  doubted: boolean
  /** When updates were first seen here. */
  seen: { record: RefRecord; atMs: number }[]
  /** When a majority of the voters last told of the ref. */
  heardMs: number | undefined
  lookAtMs: number
  tries: number
  retryAtMs: number
  /** Why it rests. */
  reason: string | undefined
}

export interface Mirrors {
  readonly byId: Map<string, Mirror>
  /** Looks under way, by the number of the question. */
  readonly looks: Map<number, string>
  nextLook: number
}

/** Questions about refs from here on are mirrors'; below, callers'. */
const LOOKS_FROM = 2 ** 40

export function createMirrors(): Mirrors {
  return { byId: new Map(), looks: new Map(), nextLook: LOOKS_FROM }
}

/** The question that a look asks of the refs. */
export function lookOf(mirrors: Mirrors, id: string) {
  const request = mirrors.nextLook++
  mirrors.looks.set(request, id)
  return { type: 'ref-read', request, id, latest: true } as const
}

export function isLook(request: number): boolean {
  return request >= LOOKS_FROM
}

export function onMirrorEvent(mirrors: Mirrors, event: MirrorEvent, nowMs: number): MirrorAction[] {
  const mirror = mirrors.byId.get(event.id)
  switch (event.type) {
    case 'mirror':
      return begin(mirrors, event, nowMs)
    case 'unmirror':
      if (mirror === undefined) return []
      mirrors.byId.delete(event.id)
      return [{ type: 'mirror-drop', id: event.id, kept: keptOf(mirror) }]
    case 'mirror-hold':
      if (mirror !== undefined) mirror.held = event.held
      return []
    case 'mirror-fetched':
      return mirror === undefined ? [] : fetched(mirror, event, nowMs)
    case 'mirror-kept':
      return mirror === undefined ? [] : kept(mirror, event, nowMs)
    case 'mirror-freed':
      if (mirror?.phase !== 'freeing' || mirror.generation !== event.generation) return []
      mirror.phase = mirror.lapsed ? 'waiting' : 'following'
      return []
  }
}

function begin(
  { byId }: Mirrors,
  { id, kept: { ref, lagMs, leaseMs, generation, whole } }: MirrorEvent & { type: 'mirror' },
  nowMs: number
): MirrorAction[] {
  const known = byId.get(id)
  // What is here is not thrown away at a start: that it is still wanted takes a while to be heard.
  const leasedUntilMs = nowMs + (whole === undefined ? 0 : (leaseMs ?? 0))
  if (known !== undefined) {
    Object.assign(known, { lagMs, leaseMs, leasedUntilMs: Math.max(leasedUntilMs, known.leasedUntilMs) })
    known.lookAtMs = nowMs
    return [{ type: 'mirror-keep', id, kept: keptOf(known) }]
  }
  if (byId.size >= MIRRORS_MAX) return []
  const state = { best: whole?.record, target: undefined, phase: 'following', seen: [] } as const
  const looks = { heardMs: undefined, lookAtMs: nowMs }
  const retry = { tries: 0, retryAtMs: nowMs, reason: undefined }
  const doubts = { checked: whole === undefined, doubted: false, frees: false, held: false, lapsed: false }
  const mirror: Mirror = {
    id,
    ref,
    ...{ lagMs, leaseMs, leasedUntilMs, generation, whole },
    ...state,
    ...looks,
    ...retry,
    ...doubts,
    seen: []
  }
  byId.set(id, mirror)
  return [{ type: 'mirror-keep', id, kept: keptOf(mirror) }]
}

function keptOf({ ref, lagMs, leaseMs, generation, whole }: Mirror): KeptMirror {
  return { ref, lagMs, leaseMs, generation, whole }
}

/** What is known of a ref, by its id; and whether it is read so much that one more mirror is worth it. */
export interface MirrorScene {
  bestOf(id: string): RefRecord | undefined
  isWorth(id: string, isOne: boolean): boolean
}

/** What is due. */
export function mirrorsTick({ byId }: Mirrors, scene: MirrorScene, nowMs: number): MirrorAction[] {
  const actions: MirrorAction[] = []
  for (const mirror of byId.values()) {
    see(mirror, scene.bestOf(mirror.id), nowMs)
    if (mirror.leaseMs !== undefined && scene.isWorth(mirror.id, mirror.whole !== undefined)) {
      mirror.leasedUntilMs = nowMs + mirror.leaseMs
    }
    if (nowMs >= mirror.lookAtMs) {
      mirror.lookAtMs = nowMs + LOOK_LOST_MS
      actions.push({ type: 'mirror-look', id: mirror.id })
    }
    actions.push(...advance(mirror, nowMs))
  }
  return actions
}

export function mirrorsDeadline({ byId }: Mirrors): number {
  let next = Number.POSITIVE_INFINITY
  for (const { lookAtMs, phase, retryAtMs, leaseMs, leasedUntilMs, held } of byId.values()) {
    next = Math.min(next, lookAtMs, phase === 'resting' ? retryAtMs : Number.POSITIVE_INFINITY)
    if (leaseMs !== undefined && phase === 'following' && !held) next = Math.min(next, leasedUntilMs)
  }
  return next
}

/** A look is over; what it found is known here by now. */
export function onMirrorLooked(
  { byId, looks }: Mirrors,
  { request, quorum }: { request: number; quorum: boolean },
  nowMs: number
): void {
  const mirror = byId.get(looks.get(request) ?? '')
  looks.delete(request)
  if (mirror === undefined) return
  if (quorum) mirror.heardMs = nowMs
  mirror.lookAtMs = nowMs + Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, mirror.lagMs / LOOKS_PER_LAG))
}

/** A copy on this disk was damaged and put aside: it may have been a mirror's. */
export function doubtMirrors({ byId }: Mirrors): void {
  for (const mirror of byId.values()) {
    if (mirror.phase === 'fetching') mirror.doubted = true
    else mirror.checked = mirror.whole === undefined
  }
}

function see(mirror: Mirror, best: RefRecord | undefined, nowMs: number): void {
  if (best === undefined || (mirror.best !== undefined && compareRefs(best, mirror.best) <= 0)) return
  mirror.best = best
  mirror.seen.push({ record: best, atMs: nowMs })
  if (mirror.seen.length > SEEN_MAX) mirror.seen.splice(1, 1) // the oldest says since when it is behind
}

function isBeyond(record: RefRecord, { whole }: Pick<Mirror, 'whole'>): boolean {
  return whole === undefined || compareRefs(record, whole.record) > 0
}

/** Begins what comes next, if nothing is under way. */
function advance(mirror: Mirror, nowMs: number): MirrorAction[] {
  const { phase, best, whole } = mirror
  const isRested = phase === 'resting' && nowMs >= mirror.retryAtMs
  const isFree = phase === 'following' || phase === 'waiting' || isRested
  if (!isFree || mirror.held) return []
  if (mirror.leaseMs !== undefined && nowMs >= mirror.leasedUntilMs) return lapse(mirror)
  if (phase === 'waiting') mirror.seen = best === undefined ? [] : [{ record: best, atMs: nowMs }]
  mirror.lapsed = false
  mirror.phase = 'following'
  if (best?.root !== undefined && isBeyond(best, mirror)) {
    if (whole === undefined || !mirror.checked || !isSameRoot(best, whole.record))
      return fetchNext(mirror, best)
    mirror.generation++
    return keep(mirror, { ...whole, record: best }, false) // the same content under a newer record
  }
  if (whole !== undefined && !mirror.checked) return fetchNext(mirror, whole.record)
  return []
}

/** Its lease ran out: that nothing is whole is on disk first, then all goes. */
function lapse(mirror: Mirror): MirrorAction[] {
  if (mirror.phase === 'waiting') return []
  mirror.lapsed = true
  mirror.generation++
  mirror.whole = undefined
  mirror.checked = true
  mirror.seen = []
  mirror.phase = 'keeping'
  return [{ type: 'mirror-keep', id: mirror.id, kept: keptOf(mirror) }]
}

function isSameRoot(a: RefRecord, b: RefRecord): boolean {
  return a.root?.join() === b.root?.join()
}

function fetchNext(mirror: Mirror, record: RefRecord): MirrorAction[] {
  mirror.phase = 'fetching'
  mirror.target = record
  mirror.doubted = false
  mirror.generation++
  return [{ type: 'mirror-fetch', id: mirror.id, generation: mirror.generation, record }]
}

function fetched(
  mirror: Mirror,
  { generation, outcome }: MirrorEvent & { type: 'mirror-fetched' },
  nowMs: number
): MirrorAction[] {
  const { target } = mirror
  if (mirror.phase !== 'fetching' || mirror.generation !== generation || target === undefined) return []
  if (outcome.type === 'whole' && !mirror.doubted && !mirror.held) {
    mirror.checked = true
    return keep(mirror, { record: target, blocks: outcome.blocks, bytes: outcome.bytes }, true)
  }
  const why = mirror.held ? 'it is being promoted' : 'a copy here was damaged meanwhile'
  const reason = outcome.type === 'whole' ? why : outcome.reason
  rest(mirror, reason, nowMs)
  // What is gone from everywhere will not come back; what took its place is there.
  const isNewer = mirror.best !== undefined && compareRefs(mirror.best, target) > 0
  if (outcome.type === 'lost' && isNewer) mirror.retryAtMs = nowMs
  return advance(mirror, nowMs)
}

function rest(mirror: Mirror, reason: string, nowMs: number): void {
  mirror.phase = 'resting'
  mirror.reason = reason
  mirror.target = undefined
  mirror.retryAtMs = nowMs + Math.min(RETRY_MS * 2 ** mirror.tries++, RETRY_MS_MAX)
}

function keep(mirror: Mirror, whole: MirrorRoot, frees: boolean): MirrorAction[] {
  mirror.phase = 'keeping'
  mirror.frees = frees
  mirror.target = whole.record
  mirror.whole = whole
  mirror.seen = mirror.seen.filter(({ record }) => isBeyond(record, mirror))
  return [{ type: 'mirror-keep', id: mirror.id, kept: keptOf(mirror) }]
}

/** Only what is known on disk to be whole lets go of what was before it. */
function kept(
  mirror: Mirror,
  { generation, failed }: MirrorEvent & { type: 'mirror-kept' },
  nowMs: number
): MirrorAction[] {
  if (mirror.phase !== 'keeping' || mirror.generation !== generation) return []
  if (failed !== undefined) {
    rest(mirror, failed, nowMs)
    mirror.checked = false
    return []
  }
  mirror.target = undefined
  mirror.tries = 0
  mirror.reason = undefined
  mirror.phase = mirror.frees || mirror.lapsed ? 'freeing' : 'following'
  if (mirror.lapsed) return [{ type: 'mirror-free', id: mirror.id, generation, all: true }]
  if (!mirror.frees) return advance(mirror, nowMs)
  return [{ type: 'mirror-free', id: mirror.id, generation }]
}

/** How far behind a mirror is, as far as is known here. */
export interface MirrorLag {
  /** Updates acknowledged beyond the whole root; undefined while there is none. */
  updates: number | undefined
  /** Since the first of them was seen here; 0 with none. */
  ms: number
  /** Since a majority of the voters told of the ref; undefined when none has in this life. */
  heardMs: number | undefined
}

export function mirrorLag({ whole, best, seen, heardMs, phase }: Mirror, nowMs: number): MirrorLag {
  const isBehind =
    phase !== 'waiting' && best !== undefined && (whole === undefined || compareRefs(best, whole.record) > 0)
  const first = seen[0]
  return {
    updates: whole && (isBehind ? Math.max(1, best.sequence - whole.record.sequence) : 0),
    ms: isBehind && first !== undefined ? nowMs - first.atMs : 0,
    heardMs: heardMs === undefined ? undefined : nowMs - heardMs
  }
}
