/**
 * The owner's side of an update: the record is on disk before it goes out, the same bytes go to every voter
 * until a majority of each group has answered with receipts, or can't any more. Primary-backup replication
 * (Alsberg and Day 1976) with the backups' votes as the fence against a second primary.
 */

import type { Refusal } from './ballot.ts'
import type { PeerId } from './block.ts'
import { isAcknowledged, majorityOf, type RefRecord } from './ref.ts'
import type { KnownRef } from './ref-entry.ts'
import type { RefReceipt } from './ref-receipt.ts'

/** Voters that have not answered are asked again after this. Above a round trip and two syncs. */
export const PROPOSE_AGAIN_MS = 500
/** An update that is not acknowledged after this fails; its bytes stay, and are sent again by the next. */
export const PROPOSE_TIMEOUT_MS = 8_000
/** Updates under way at one member. */
export const UPDATES_MAX = 256

export type UpdateOutcome =
  | { type: 'acknowledged'; record: RefRecord; receipts: RefReceipt[] }
  /** Voters gave their vote to others, or know better: it can't be acknowledged any more. */
  | { type: 'refused'; record: RefRecord; receipts: RefReceipt[]; refusals: [PeerId, Refusal][] }
  /** Too few answered. It may still be acknowledged: by the same bytes, sent again. */
  | { type: 'too-few'; record: RefRecord; receipts: RefReceipt[]; silent: PeerId[] }

export interface Update {
  readonly request: number
  readonly record: RefRecord
  readonly chain: readonly KnownRef[]
  readonly receipts: Map<PeerId, RefReceipt>
  readonly refusals: Map<PeerId, Refusal>
  /** On disk here, so that it may go out. */
  kept: boolean
  againAtMs: number
  readonly untilMs: number
}

export function newUpdate(
  request: number,
  known: KnownRef,
  chain: readonly KnownRef[],
  nowMs: number
): Update {
  const untilMs = nowMs + PROPOSE_TIMEOUT_MS
  const { record, receipts } = known
  const own = new Map([...receipts].filter(([peer]) => votersOf(record).includes(peer)))
  return {
    request,
    record,
    chain,
    receipts: own,
    refusals: new Map(),
    kept: false,
    againAtMs: nowMs,
    untilMs
  }
}

export function votersOf({ voters }: Pick<RefRecord, 'voters'>): PeerId[] {
  return [...new Set(voters.flat())]
}

/** Whom to ask now; nobody before it is on disk. */
export function toAsk(update: Update, nowMs: number): PeerId[] {
  if (!update.kept || nowMs < update.againAtMs) return []
  update.againAtMs = nowMs + PROPOSE_AGAIN_MS
  return votersOf(update.record).filter((peer) => !update.receipts.has(peer))
}

/** How the update has ended, if it has. */
export function outcomeOf(update: Update, nowMs: number): UpdateOutcome | undefined {
  const { record, receipts, refusals } = update
  const told = { record, receipts: [...receipts.values()] }
  if (isAcknowledged(record, receipts)) return { type: 'acknowledged', ...told }
  const hopeless = record.voters.some((group) => {
    const against = group.filter((peer) => !receipts.has(peer) && isFinal(refusals.get(peer))).length
    return group.length - against < majorityOf(group)
  })
  if (hopeless) return { type: 'refused', ...told, refusals: [...refusals] }
  if (nowMs < update.untilMs) return undefined
  const silent = votersOf(record).filter((peer) => !receipts.has(peer) && !isFinal(refusals.get(peer)))
  return { type: 'too-few', ...told, silent }
}

/** One that abstains may vote later; the others have said their last word on this record. */
function isFinal(refusal: Refusal | undefined): boolean {
  return refusal !== undefined && refusal !== 'unproven'
}
