/** What receipts say of several batches together. */
import type { Holding, Outcome } from './types.ts'

/** Blocks that are named when short of copies. */
const SHORT_MAX = 100

export interface Tally {
  blocks: number
  bytes: number
  /** The least that any batch has. */
  replicas: number
  wanted: number
  holders: Holding[]
  short: Outcome['short']
}

export function newTally(): Tally {
  return { blocks: 0, bytes: 0, replicas: Number.POSITIVE_INFINITY, wanted: 0, holders: [], short: [] }
}

/** @param outcomes of one batch: of what was there, of what was sent, or of both */
export function addOutcomes(tally: Tally, outcomes: readonly Outcome[]): void {
  for (const outcome of outcomes) {
    tally.replicas = Math.min(tally.replicas, outcome.replicas)
    tally.wanted = Math.max(tally.wanted, outcome.wanted)
    for (const holder of outcome.holders) addHolder(tally.holders, holder)
    addShort(tally, outcome.short)
  }
}

/** Names blocks that are short, as far as there is room. */
export function addShort({ short }: Tally, more: Tally['short']): void {
  const room = SHORT_MAX - short.length
  if (room > 0) short.push(...more.slice(0, room))
}

function addHolder(holders: Holding[], more: Holding): void {
  const known = holders.find(({ peer }) => peer === more.peer)
  if (known === undefined) holders.push({ ...more })
  else known.blocks += more.blocks
}
