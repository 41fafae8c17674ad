/**
 * One walk for all who read a DAG: depth first, in order, with a bounded number of blocks asked for ahead
 * of the consumer. Iterative, so that depth costs no stack; what waits is bounded, so that a hostile DAG
 * can't fill memory with links.
 */
import { badDag } from './dag-pb.ts'

/** Blocks asked for ahead of the one that the consumer has: 16 MiB of a file in the profile's chunks. */
export const READ_AHEAD_BLOCKS = 16
/** Links that wait to be followed. A directory as large as a block has some 40,000. */
const PENDING_MAX = 262_144

export interface Walk<T, V> {
  /** What waits on the item, a block or nothing. Its error ends the walk when the item's turn comes. */
  fetch(item: T): Promise<V>
  /** The items below this one, in order. */
  expand(item: T, value: V): readonly T[]
  /** True for an item to leave out, asked when its turn comes. */
  skip?(item: T): boolean
  readAhead?: number | undefined
}

interface Slot<T, V> {
  readonly item: T
  value: Promise<V> | undefined
}

/** What waits, its top last. `asked` slots have a value under way, and none below `floor` has. */
interface Stack<T, V> {
  readonly slots: Slot<T, V>[]
  asked: number
  floor: number
}

export async function* depthFirst<T, V>(
  root: T,
  walk: Walk<T, V>
): AsyncGenerator<{ item: T; value: V }, void> {
  const readAhead = walk.readAhead ?? READ_AHEAD_BLOCKS
  const stack: Stack<T, V> = { slots: [], asked: 0, floor: 0 }
  push(stack, [root])
  for (let slot = pop(stack); slot !== undefined; slot = pop(stack)) {
    const { item } = slot
    if (walk.skip?.(item) === true) continue
    const value = await (slot.value ?? walk.fetch(item))
    push(stack, walk.expand(item, value))
    askAhead(stack, walk, readAhead)
    yield { item, value }
  }
}

function pop<T, V>(stack: Stack<T, V>): Slot<T, V> | undefined {
  const slot = stack.slots.pop()
  if (slot?.value !== undefined) stack.asked--
  stack.floor = Math.min(stack.floor, stack.slots.length)
  return slot
}

function push<T, V>(stack: Stack<T, V>, items: readonly T[]): void {
  if (stack.slots.length + items.length > PENDING_MAX)
    badDag(`more than ${PENDING_MAX} links wait to be followed`)
  for (let i = items.length - 1; i >= 0; i--) stack.slots.push({ item: items[i] as T, value: undefined })
}

/**
 * Asks for the next `readAhead` items. Those asked for earlier that have sunk below newly found ones stay,
 * but only as many again: the lowest are forgotten and will be asked for anew.
 */
function askAhead<T, V>(stack: Stack<T, V>, walk: Walk<T, V>, readAhead: number): void {
  const { slots } = stack
  const lowest = Math.max(0, slots.length - readAhead)
  for (let i = slots.length - 1; i >= lowest; i--) {
    const slot = slots[i] as Slot<T, V>
    if (slot.value !== undefined || walk.skip?.(slot.item) === true) continue
    slot.value = walk.fetch(slot.item)
    slot.value.catch(() => {}) // whoever awaits it in its turn gets the error; after a break nobody does
    stack.asked++
  }
  stack.floor = Math.min(stack.floor, lowest)
  for (; stack.asked > 2 * readAhead; stack.floor++) {
    const slot = slots[stack.floor] as Slot<T, V>
    if (slot.value === undefined) continue
    slot.value = undefined
    stack.asked--
  }
}
