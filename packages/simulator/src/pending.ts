/**
 * What a node has begun and not ended, by what it is: all of it is nothing at rest. Whatever stays above
 * nothing is a leak, or a node that goes on working for no reason.
 */
import type { Core } from '@cairn/core'

/** Counts of what is under way in a core; at rest each is 0. */
export function pendingOf({ fetches, writes, reconciler, surveys, freeing }: Core): Record<string, number> {
  const { strays, claiming, collecting } = freeing
  const { releases } = strays
  const asked = [...fetches.loads.values()].map((load) => load.pending + load.told)
  return {
    wants: fetches.wants.byKey.size,
    fetches: fetches.transfers.size,
    repairing: fetches.repairing,
    asked: Math.max(0, ...asked),
    puts: writes.puts.size,
    sends: writes.transfers.size,
    pages: reconciler.listings.served.size,
    lookups: reconciler.listings.lookups.size,
    surveys: surveys.open.size + surveys.lookups.size,
    attempts: releases.attempts.size + releases.copies.size,
    checks: releases.checks.size,
    claims: claiming.waiting.size + claiming.taking.size + claiming.told.size,
    ended: collecting.known.size + collecting.asked.size + collecting.questions.size
  }
}
