/**
 * The one rule:
 *
 * > A member holds a claimed block exactly when it is a holder of the block's slot, or mirrors it. It
 * > fetches what it lacks from anyone who has it, and lets a copy go only after N holders have promised
 * > to keep theirs.
 *
 * Putting, repairing after a loss, filling a new node and draining a leaving one are all this rule,
 * applied to the state as it is: what comparing finds missing is wanted, again and again until it is
 * here. Nothing remembers "one event, one repair".
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import type { Listed } from './compare.ts'
import { type Fetches, want } from './fetch.ts'
import { type Holders, mayFetch } from './holders.ts'

/** Another member has blocks that are not here, or has other claims on them. */
export interface Missing {
  from: PeerId
  slot: number
  replicas: number
  entries: readonly Listed[]
}

/** Wants what a holder must have and has not. A full member keeps what it has and pulls nothing. */
export function repairMissing(fetches: Fetches, holders: Holders, missing: Missing, nowMs: number): void {
  const { from, slot, replicas, entries } = missing
  if (!mayFetch(holders, fetches.self, slot, replicas)) return
  const urgent = isUrgent(holders, slot, replicas)
  const notBeforeMs = urgent ? nowMs : nowMs + fetches.config.settleMs
  for (const { key, size } of entries) {
    want(fetches, { key, purpose: 'repair', replicas, source: from, size, notBeforeMs }, nowMs)
  }
}

/** A copy of ours turned out to be damaged: it is wanted from anybody, now. */
export function repairLost(
  fetches: Fetches,
  holders: Holders,
  lost: { key: BlockKey; replicas: number },
  nowMs: number
): void {
  const { key, replicas } = lost
  if (!mayFetch(holders, fetches.self, slotOf(key), replicas)) return
  want(fetches, { key, purpose: 'repair', replicas, notBeforeMs: nowMs }, nowMs)
}

/** One of the slot's holders is dead: what is missing is not on its way by direct mail. */
function isUrgent({ placement, standing }: Holders, slot: number, replicas: number): boolean {
  return placement.order(slot, replicas).some((id) => !standing.get(id)?.living)
}
