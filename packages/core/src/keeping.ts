/**
 * Which roots a ref keeps, and so what an update has to claim before it is put to the vote, and what may end
 * once it is acknowledged. The ref's claims are one register a block: each live or ended at the sequence of a
 * record. A block that both a record and the next one need keeps its claim; one that only the next needs is
 * claimed at the next one's sequence; and an end carries the sequence of an acknowledged record, never of a
 * later one. So whoever ends by an older record than there is ends nothing that the newer one claimed, and
 * what that took over unclaimed the older record needs too.
 */
import { toHex } from './bytes.ts'
import type { RefRecord } from './ref.ts'

/** A recovery begins an epoch, whose claims outrank all that an older one still ends. */
const SEQUENCES_PER_EPOCH = 2 ** 32

type Roots = Pick<RefRecord, 'root' | 'history' | 'keep'>

/** The sequence of claims that are made, and ended, for a record. */
export function claimSequence({ epoch, sequence }: Pick<RefRecord, 'epoch' | 'sequence'>): number {
  return epoch * SEQUENCES_PER_EPOCH + sequence
}

/**
 * What a record keeps: what it points to, and the last roots before it that were other ones. Nothing, once
 * it is removed; and what was before a removal stays gone.
 */
export function keptRoots({ root, history, keep }: Roots): Uint8Array[] {
  if (root === undefined) return []
  const kept = new Map([[toHex(root), root]])
  for (const past of history) {
    if (past.root === undefined || kept.size > keep) break
    kept.set(toHex(past.root), past.root)
  }
  return [...kept.values()]
}

/** What an update claims, and below which roots all is claimed already. */
export interface ToClaim {
  /** The first must be whole; of the others, which were let go of before, what there still is. */
  readonly roots: readonly Uint8Array[]
  readonly claimed: readonly Uint8Array[]
}

/**
 * @param before the acknowledged record that is the latest, as far as is known. It counts only if the new one
 *   follows it, and it alone; if its claims ask for the same N; and if they can't lapse meanwhile.
 */
export function toClaim(record: RefRecord, before: RefRecord | undefined): ToClaim {
  const roots = keptRoots(record)
  const counts =
    before !== undefined &&
    before.epoch === record.epoch &&
    record.predecessors.length === 1 &&
    record.predecessors[0] === before.hash &&
    before.replicas === record.replicas &&
    before.lifetimeMs === 0
  return { roots, claimed: counts ? keptRoots(before) : [] }
}

/** Roots of which all that no kept one needs may end, at the record's own sequence. */
export interface ToEnd {
  readonly roots: readonly Uint8Array[]
  readonly kept: readonly Uint8Array[]
}

/** @param expired its lifetime is over, as a majority of its carriers counts: it keeps nothing any more */
export function toEnd(record: RefRecord, expired: boolean): ToEnd {
  const kept = expired ? [] : keptRoots(record)
  const names = new Set(kept.map(toHex))
  const all = [record.root, ...record.history.map((past) => past.root)]
  const roots = new Map<string, Uint8Array>()
  for (const root of all) if (root !== undefined && !names.has(toHex(root))) roots.set(toHex(root), root)
  return { roots: [...roots.values()], kept }
}
