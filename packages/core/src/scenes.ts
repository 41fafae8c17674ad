/**
 * What each part of the core may see of the others. The parts know nothing of one another; here is said what
 * they are shown.
 */
import type { PeerId } from './block.ts'
import type { Place } from './compare.ts'
import type { Core } from './core-types.ts'
import { isWorthMirroring } from './heat.ts'
import { livingMembers } from './holders.ts'
import { isLiving } from './member.ts'
import { mirrorsOf } from './mirror-told.ts'
import type { MirrorScene } from './mirrors.ts'
import { knownRef } from './ref-table.ts'
import type { RefScene } from './refs.ts'
import { doomedPlaces, type Tally, tally } from './safety.ts'

/** So long after a start, those of whom only the address is known are waited for. As a join takes. */
const JOIN_WAIT_MS = 30_000

/** What votes on refs rest on. */
export function refScene({ holders, membership, bornMs }: Core, nowMs: number): RefScene {
  const waits = membership.joining.candidates.size > 0 && nowMs < bornMs + JOIN_WAIT_MS
  return { holders, nowMs, apart: waits && livingMembers(holders).length < 2 }
}

/** What mirrors ask of the refs. */
export function mirrorScene({ refs, heat, mirrorTold, self }: Core, nowMs: number): MirrorScene {
  return {
    bestOf: (id) => knownRef(refs.table, id)?.entry.best?.record,
    isWorth(id, isOne) {
      const mirrors = mirrorsOf(mirrorTold, id, nowMs)
      return isWorthMirroring(heat, { ref: id, self, mirrors, isOne }, nowMs)
    }
  }
}

/** Who holds what, and who lives, for audits. */
export function viewOf({ holders, membership }: Core, nowMs: number) {
  const lives = (id: PeerId): boolean => {
    const member = membership.table.known.get(id)?.member
    return member !== undefined && isLiving(member.state)
  }
  return { holders, lives, nowMs }
}

/** How safe is what we hold; as if some members were gone, on demand. */
export function ownTally(core: Core, nowMs: number, without: readonly PeerId[] = []): Tally {
  return tally(core, { nowMs, without: new Set(without) })
}

/** Where that would be no copy at all, as far as holders go. */
export function ownDoomed(core: Core, without: readonly PeerId[]): Place[] {
  return doomedPlaces(core, new Set(without))
}
