/** What is due next, in virtual time: a binary heap; what is due at one time comes in order of arrival. */

interface Item<T> {
  atMs: number
  order: number
  value: T
}

export interface Queue<T> {
  items: Item<T>[]
  order: number
}

export function createQueue<T>(): Queue<T> {
  return { items: [], order: 0 }
}

export function nextMs<T>(queue: Queue<T>): number {
  return queue.items[0]?.atMs ?? Number.POSITIVE_INFINITY
}

export function enqueue<T>(queue: Queue<T>, atMs: number, value: T): void {
  const { items } = queue
  const item = { atMs, order: queue.order++, value }
  let at = items.length
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!precedes(item, items[parent] as Item<T>)) break
    items[at] = items[parent] as Item<T>
    at = parent
  }
  items[at] = item
}

export function dequeue<T>(queue: Queue<T>): T | undefined {
  const { items } = queue
  const first = items[0]
  const last = items.pop()
  if (first === undefined || last === undefined || items.length === 0) return first?.value
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= items.length) break
    const right = items[child + 1]
    if (right !== undefined && precedes(right, items[child] as Item<T>)) child++
    if (!precedes(items[child] as Item<T>, last)) break
    items[at] = items[child] as Item<T>
    at = child
  }
  items[at] = last
  return first.value
}

function precedes<T>(a: Item<T>, b: Item<T>): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.order < b.order
}
