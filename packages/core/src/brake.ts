/**
 * The mass-loss brake: when much of the network is gone at once, it is most likely cut off, and will be back;
 * copying all that it holds would cost hours of traffic for nothing, and more when it returns. Places of the
 * dead are kept meanwhile, so that only what is down to one living copy is repaired (`holders.ts`).
 */
import type { PeerId } from './block.ts'

/** DESIGN.md, Urgency: over a third of the capacity and at least ten members within ten minutes. */
const MEMBERS_MIN = 10
const CAPACITY_PART = 1 / 3
const WINDOW_MS = 600_000
/** As long as that, if nobody comes back. */
const BRAKE_MS = 600_000

export interface Brake {
  /** Members found dead within the window and not back since, and what they offered, bytes. */
  readonly gone: Map<PeerId, { atMs: number; capacity: number }>
  /** Until when places are kept; -Infinity when nothing is braked. */
  untilMs: number
}

export function createBrake(): Brake {
  return { gone: new Map(), untilMs: Number.NEGATIVE_INFINITY }
}

/** A member was found dead. `living`: the capacity of all that live, bytes. */
export function noteGone(
  brake: Brake,
  member: { id: PeerId; capacity: number },
  living: number,
  nowMs: number
): void {
  for (const [id, { atMs }] of brake.gone) if (atMs <= nowMs - WINDOW_MS) brake.gone.delete(id)
  brake.gone.set(member.id, { atMs: nowMs, capacity: member.capacity })
  if (isMassLoss(brake, living)) brake.untilMs = nowMs + BRAKE_MS
}

/** One is back: when enough are, the brake is off, and the rest is repaired as ever. */
export function noteBack(brake: Brake, id: PeerId, living: number): void {
  if (!brake.gone.delete(id) || isMassLoss(brake, living)) return
  brake.untilMs = Number.NEGATIVE_INFINITY
}

function isMassLoss({ gone }: Brake, living: number): boolean {
  if (gone.size < MEMBERS_MIN) return false
  let lost = 0
  for (const { capacity } of gone.values()) lost += capacity
  return lost > CAPACITY_PART * (lost + living)
}
