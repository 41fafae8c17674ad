/**
 * The blocks that are wanted, kept so that the next to ask for is found without looking at all of them:
 * reads by themselves, repairs that may start by the number of known copies (fewest first), and repairs that
 * wait for their time in a heap. With thousands missing, looking at each was most of a joiner's work.
 */
import type { BlockKey, PeerId } from './block.ts'
import type { Transfer, Tried } from './fetch.ts'

export interface Want {
  key: BlockKey
  /** A caller waits for its bytes. */
  read: boolean
  /** It belongs on this disk. What is fetched for both is asked for as a repair: it is kept and handed up. */
  repair: boolean
  /** N, by which its holders are known; for a read, the network's. */
  replicas: number
  /** Bytes, as whoever told of it said; what it takes of the window until then. */
  size: number
  /** Members that said that they have it; as many copies are known. */
  sources: Set<PeerId>
  /** When it was first wanted. */
  readonly sinceMs: number
  /** Who told of it first, in whose quota it is. */
  toldBy: PeerId | undefined
  asked: Set<PeerId>
  pending: Map<PeerId, Transfer>
  tried: Tried[]
  /** Not before this: it may be on its way, or its last holder may come back. */
  notBeforeMs: number
  /** Everyone was asked in vain: those will be asked again only after the wait. */
  resting: boolean
  deadlineMs: number
  attempts: number
  /** Copies known when it became ready; undefined while it is not. */
  rank: number | undefined
  /** When it is looked at again, as the heap has it. */
  dueMs: number | undefined
}

export interface Wants {
  readonly byKey: Map<BlockKey, Want>
  readonly reads: Set<Want>
  /** Repairs that may start, by known copies; those alike in the order in which they became ready. */
  readonly ready: Set<Want>[]
  /** A binary heap by time. An entry whose want was rescheduled or dropped means nothing. */
  readonly later: { atMs: number; known: Want }[]
}

export function createWants(): Wants {
  return { byKey: new Map(), reads: new Set(), ready: [], later: [] }
}

/** Puts a want where it is found next: after any change of what it waits for. */
export function queueWant(wants: Wants, known: Want, nowMs: number): void {
  unready(wants, known)
  if (known.read) wants.reads.add(known)
  else wants.reads.delete(known)
  if (known.read || isUnderWay(known)) return
  if (known.notBeforeMs > nowMs) {
    if (known.dueMs === known.notBeforeMs) return
    known.dueMs = known.notBeforeMs
    push(wants.later, { atMs: known.dueMs, known })
    return
  }
  if (known.resting) {
    known.resting = false
    known.asked.clear()
  }
  const rank = known.sources.size
  for (let i = wants.ready.length; i <= rank; i++) wants.ready[i] = new Set()
  known.rank = rank
  wants.ready[rank]?.add(known)
}

/** Somebody was asked for it, and is not late with it. */
export function isUnderWay({ pending }: Want): boolean {
  for (const { late } of pending.values()) if (!late) return true
  return false
}

/** It is asked for, or was dropped. */
export function unready(wants: Wants, known: Want): void {
  if (known.rank === undefined) return
  wants.ready[known.rank]?.delete(known)
  known.rank = undefined
}

export function dropWant(wants: Wants, known: Want): void {
  unready(wants, known)
  wants.reads.delete(known)
  wants.byKey.delete(known.key)
}

/** Makes ready what has waited long enough. */
export function wakeWants(wants: Wants, nowMs: number): void {
  for (let next = wants.later[0]; next !== undefined && next.atMs <= nowMs; next = wants.later[0]) {
    const { known, atMs } = pop(wants.later)
    if (known.dueMs !== atMs) continue
    known.dueMs = undefined
    if (wants.byKey.get(known.key) === known && known.rank === undefined) queueWant(wants, known, nowMs)
  }
}

/** When the first is to be made ready. */
export function wantsDeadline({ later }: Wants): number {
  return later[0]?.atMs ?? Number.POSITIVE_INFINITY
}

type Heap = Wants['later']
type Entry = Heap[number]

function push(heap: Heap, entry: Entry): void {
  let at = heap.push(entry) - 1
  while (at > 0) {
    const above = (at - 1) >> 1
    if ((heap[above] as Entry).atMs <= entry.atMs) break
    heap[at] = heap[above] as Entry
    at = above
  }
  heap[at] = entry
}

/** @throws RangeError from an empty heap: a bug of the caller's */
function pop(heap: Heap): Entry {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined) throw new RangeError('the heap is empty')
  if (heap.length === 0) return first
  let at = 0
  for (;;) {
    let below = 2 * at + 1
    if (below >= heap.length) break
    if (below + 1 < heap.length && (heap[below + 1] as Entry).atMs < (heap[below] as Entry).atMs) below++
    if ((heap[below] as Entry).atMs >= last.atMs) break
    heap[at] = heap[below] as Entry
    at = below
  }
  heap[at] = last
  return first
}
