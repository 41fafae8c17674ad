/**
 * Many calls, one piece of work: what is asked for one by one in one turn of the event loop (a key to read, a
 * slot to list, a block to store) is done together, since reading and syncing together is far cheaper.
 */

/** @param soon when to begin: after what runs now, or after what else came in with it */
export function gathered<T>(
  work: (all: T[]) => void,
  { most, soon }: { most: number; soon: (run: () => void) => void }
): (one: T) => void {
  let waiting: T[] = []
  const flush = (): void => {
    const all = waiting
    waiting = []
    if (all.length > 0) work(all)
  }
  return (one) => {
    waiting.push(one)
    if (waiting.length === 1) soon(flush)
    else if (waiting.length >= most) flush()
  }
}
