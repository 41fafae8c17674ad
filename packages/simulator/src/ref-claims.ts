/**
 * What a name claims and lets go of, while writers race and members fail: each root stands for a tree of
 * blocks, some of which others have too, and each block has one register, as at a holder that hears of
 * everything at once. Ends come late, in parts, by what a member knew when it began; one that dies leaves
 * the rest. How registers travel between holders is judged elsewhere (`collect.ts`).
 */
import {
  bestRef,
  claimSequence,
  keptRoots,
  outranks,
  pick,
  type RefRecord,
  toClaim,
  toEnd,
  toHex
} from '@cairn/core'
import { later } from './cluster.ts'
import type { RefChaos } from './ref-chaos.ts'
import { feed } from './run.ts'

/** A walk over what roots share, and one batch of ends, ms at most. */
const WALK_MS = 2_000
const BATCH_MS = 500
const BATCHES = 4

/** Bugs to plant. */
export type ClaimBug = 'ends-ahead' | 'takes-old-for-claimed' | 'ends-what-is-kept'

interface Register {
  sequence: number
  live: boolean
}

export interface RefLedger {
  readonly registers: Map<string, Register>
  /** What was claimed for updates, whatever became of them. */
  readonly held: RefRecord[]
  /** Blocks ended in all. */
  ended: number
}

/** Some blocks that only this root has, and some that come back with others: that is what makes it hard. */
export function treeOf(root: Uint8Array): string[] {
  const n = (root[2] ?? 0) + 256 * (root[3] ?? 0)
  return [`own ${n}`, `pair ${n >> 1}`, `seven ${n % 7}`, `five ${n % 5}`, 'all']
}

const treesOf = (roots: readonly Uint8Array[]): Set<string> => new Set(roots.flatMap(treeOf))

export function keepLedger(chaos: RefChaos, bug?: ClaimBug): RefLedger {
  const ledger: RefLedger = { registers: new Map(), held: [], ended: 0 }
  const { cluster, random } = chaos
  const { onRef } = cluster.refs
  cluster.refs.onHold = (node, record) => {
    ledger.held.push(record)
    const { refs } = cluster.cores[node] as (typeof cluster.cores)[0]
    hold(ledger, record, bestRef(refs, record.id), bug)
  }
  cluster.refs.onRef = (node, action) => {
    onRef(node, action)
    if (action.type !== 'tidy-ref') return
    const { record, expired, id } = action
    const { roots, kept } = toEnd(record, expired)
    const keep = treesOf(bug === 'ends-what-is-kept' ? kept.slice(0, 1) : kept)
    const going = [...treesOf(roots)].filter((block) => !keep.has(block))
    const ahead = bug === 'ends-ahead' ? 1_000 : 0
    const sequence = claimSequence(record) + ahead
    let waitMs = pick(random, WALK_MS)
    const size = Math.ceil(going.length / BATCHES)
    for (let at = 0; at < going.length; at += size) {
      waitMs += pick(random, BATCH_MS)
      later(cluster, node, waitMs, () => end(ledger, going.slice(at, at + size), sequence))
    }
    later(cluster, node, waitMs, () => {
      feed(cluster, node, { type: 'ref-tidied', id, hash: record.hash, expired, failed: false })
    })
  }
  return ledger
}

function hold(ledger: RefLedger, record: RefRecord, before: RefRecord | undefined, bug?: ClaimBug): void {
  const { roots, claimed } = toClaim(record, before)
  const old = bug === 'takes-old-for-claimed' ? record.history.flatMap(({ root }) => root ?? []) : []
  const shared = treesOf([...claimed, ...old])
  const sequence = claimSequence(record)
  for (const block of treesOf(roots)) if (!shared.has(block)) write(ledger, block, { sequence, live: true })
}

function end(ledger: RefLedger, blocks: readonly string[], sequence: number): void {
  ledger.ended += blocks.length
  for (const block of blocks) write(ledger, block, { sequence, live: false })
}

function write({ registers }: RefLedger, block: string, next: Register): void {
  const known = registers.get(block)
  if (known === undefined || outranks(next, known)) registers.set(block, next)
}

/** What an acknowledged record keeps and is not claimed: the latest that anyone knows. */
export function unclaimed(chaos: RefChaos, ledger: RefLedger): string[] {
  const best = latest(chaos)
  if (best === undefined) return []
  const told = `${best.sequence} ${toHex(best.root ?? new Uint8Array())}`
  return [...treesOf(keptRoots(best))]
    .filter((block) => ledger.registers.get(block)?.live !== true)
    .map((block) => `${block} of ${told} is not claimed`)
}

export function latest({ signed, acknowledged }: RefChaos): RefRecord | undefined {
  const all = [...acknowledged].flatMap((hash) => signed.get(hash) ?? [])
  return all.reduce<RefRecord | undefined>(
    (best, one) => (best === undefined || claimSequence(one) > claimSequence(best) ? one : best),
    undefined
  )
}

/** What each member does for what it claimed itself, once it hears how its updates ended. */
export function checkHeld(chaos: RefChaos, ledger: RefLedger): void {
  const best = latest(chaos)
  if (best === undefined) return
  const kept = new Set(keptRoots(best).map(toHex))
  const keep = treesOf(keptRoots(best))
  for (const record of ledger.held) {
    const { root } = record
    if (root === undefined || kept.has(toHex(root)) || claimSequence(record) > claimSequence(best)) continue
    const going = treeOf(root).filter((block) => !keep.has(block))
    end(ledger, going, claimSequence(best))
  }
}

/** Blocks that are claimed, and that the latest record does not keep. */
export function garbage(chaos: RefChaos, ledger: RefLedger): string[] {
  const best = latest(chaos)
  const keep = best === undefined ? new Set<string>() : treesOf(keptRoots(best))
  return [...ledger.registers].filter(([block, { live }]) => live && !keep.has(block)).map(([block]) => block)
}
