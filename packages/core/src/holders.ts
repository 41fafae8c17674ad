/**
 * Who must hold a slot now: placement, seen through what is known of each member. A member that died
 * less than `repairDelayMs` ago keeps its place, so that a restart moves nothing, unless the slot is
 * down to its last copy; a full one keeps what it has, and the next in the order acts beside it.
 */
import type { PeerId } from './block.ts'
import { type Brake, createBrake, noteBack, noteGone } from './brake.ts'
import { REPLICAS_MAX } from './claim.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { isLiving, type Member } from './member.ts'
import { createPlacement, type Placement } from './placement.ts'
import { weightOf } from './score.ts'

interface Standing {
  living: boolean
  full: boolean
  /** When its place is given away, unless the brake is on; undefined while it lives. */
  vacantAtMs: number | undefined
  capacity: number
}

export interface Holders {
  readonly repairDelayMs: number
  readonly placement: Placement
  readonly standing: Map<PeerId, Standing>
  readonly brake: Brake
  /** Found to have lied about what they hold: they act, and are not counted. */
  readonly distrusted: Set<PeerId>
  /** Rises with each change of any answer below. */
  version: number
  /** Acting holders by N, then slot; emptied when `version` rises. */
  readonly cache: Map<number, (readonly PeerId[])[]>
  /** Living members that take part, in the order in which they became known; undefined when not known. */
  living: readonly PeerId[] | undefined
}

/** Kept of each slot's order: beyond it a call scores every member, and peers choose what we look up. */
const DEPTH = REPLICAS_MAX + LIMITS.standIns

export function createHolders(repairDelayMs: number): Holders {
  const placement = createPlacement({ depth: DEPTH })
  const none = { standing: new Map(), distrusted: new Set<PeerId>(), cache: new Map(), living: undefined }
  return { repairDelayMs, placement, brake: createBrake(), version: 0, ...none }
}

/** Takes a member's news. What its state means for placement is decided here and nowhere else. */
export function placeMember(holders: Holders, member: Member, nowMs: number): void {
  const { placement, standing, repairDelayMs } = holders
  const { id, full, zone, capacity } = member
  const before = standing.get(id)
  const living = isLiving(member.state) && member.state !== 'leaving'
  if (living) {
    const placed = { id, weight: weightOf(capacity), zone }
    const version = placement.version
    if (placement.has(id)) placement.update(placed)
    else placement.add(placed)
    standing.set(id, { living, full, vacantAtMs: undefined, capacity })
    if (before?.living !== true) noteBack(holders.brake, id, livingCapacity(holders))
    if (before?.living && before.full === full && placement.version === version) return
  } else if (member.state === 'dead') {
    if (before === undefined || !before.living) return
    standing.set(id, { living, full, vacantAtMs: nowMs + repairDelayMs, capacity })
    noteGone(holders.brake, { id, capacity }, livingCapacity(holders), nowMs)
  } else {
    if (placement.has(id)) placement.remove(id)
    standing.delete(id)
  }
  changed(holders)
}

function livingCapacity({ standing }: Holders): number {
  let sum = 0
  for (const { living, capacity } of standing.values()) if (living) sum += capacity
  return sum
}

/** Gives away the places of those dead for longer than the delay, unless too many are. */
export function vacatePlaces(holders: Holders, nowMs: number): void {
  if (nowMs < holders.brake.untilMs) return
  for (const [id, { vacantAtMs }] of holders.standing) {
    if (vacantAtMs === undefined || vacantAtMs > nowMs) continue
    holders.placement.remove(id)
    holders.standing.delete(id)
    changed(holders)
  }
}

/** When `vacatePlaces` next has something to do. */
export function vacancyDeadline(holders: Holders): number {
  let next = Number.POSITIVE_INFINITY
  for (const { vacantAtMs } of holders.standing.values()) {
    if (vacantAtMs !== undefined && vacantAtMs < next) next = vacantAtMs
  }
  return Math.max(next, holders.brake.untilMs)
}

/** Until the last of the dead has its place given away; 0 when all have. */
export function vacantInMs({ standing, brake }: Holders, nowMs: number): number {
  let last = nowMs
  for (const { vacantAtMs = nowMs } of standing.values()) last = Math.max(last, vacantAtMs)
  return last === nowMs ? 0 : Math.ceil(Math.max(last, brake.untilMs) - nowMs)
}

function changed(holders: Holders): void {
  holders.version++
  holders.cache.clear()
  holders.living = undefined
}

/** Whether a member's copies are to be counted. Others act beside one that is not trusted. */
export function distrust(holders: Holders, id: PeerId, yes: boolean): void {
  if (holders.distrusted.has(id) === yes) return
  if (yes) holders.distrusted.add(id)
  else holders.distrusted.delete(id)
  changed(holders)
}

export function isDistrusted({ distrusted }: Holders, id: PeerId): boolean {
  return distrusted.has(id)
}

/** The living members that take part in placement. */
export function livingMembers(holders: Holders): readonly PeerId[] {
  holders.living ??= [...holders.standing].filter(([, { living }]) => living).map(([id]) => id)
  return holders.living
}

/** Whether a member must hold a slot's blocks of this N and has room to fetch what it lacks. */
export function mayFetch(holders: Holders, id: PeerId, slot: number, n: number): boolean {
  const own = holders.standing.get(id)
  return own?.living === true && !own.full && actingHolders(holders, slot, n).includes(id)
}

/** The living members that must hold the slot's blocks of this N, best first. */
export function actingHolders(holders: Holders, slot: number, n: number): readonly PeerId[] {
  let slots = holders.cache.get(n)
  if (slots === undefined) {
    slots = []
    holders.cache.set(n, slots)
  }
  const known = slots[slot]
  if (known !== undefined) return known
  const acting = computeActing(holders, slot, n)
  slots[slot] = acting
  return acting
}

function computeActing(
  { placement, standing, distrusted }: Holders,
  slot: number,
  n: number
): readonly PeerId[] {
  if (placement.size === 0) return []
  const first = placement.order(slot, n)
  let copies = 0
  let able = 0
  for (const id of first) {
    const { living, full } = standing.get(id) as Standing
    const counts = living && !distrusted.has(id)
    if (counts) copies++
    if (counts && !full) able++
  }
  if (able === first.length) return first
  const patient = copies >= 2
  const acting: PeerId[] = []
  let seats = 0
  for (const id of placement.order(slot, n + LIMITS.standIns)) {
    if (seats === n) break
    const { living, full } = standing.get(id) as Standing
    if (living) acting.push(id)
    if (living ? !full && !distrusted.has(id) : patient) seats++
  }
  return acting
}

/** Those that a new block may be sent to, best first: living, with room; N of them, then stand-ins. */
export function writeOrder(holders: Holders, slot: number, n: number): PeerId[] {
  const { placement, standing, distrusted } = holders
  if (placement.size === 0) return []
  return placement.order(slot, n + LIMITS.standIns).filter((id) => {
    const member = standing.get(id)
    return member?.living && !member.full && !distrusted.has(id)
  })
}

/** Those that a block may be asked of, past rank N too. */
export function readOrder({ placement, standing }: Holders, slot: number): PeerId[] {
  if (placement.size === 0) return []
  return placement.order(slot, LIMITS.readBreadth).filter((id) => standing.get(id)?.living)
}
