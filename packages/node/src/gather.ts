/**
 * Many calls, one piece of work: what is asked for one by one in one turn of the event loop (a key to read, a
 * slot to list, a block to store) is done together, since reading and syncing together is far cheaper.
 */

export interface Gathering {
  /** So many do not wait for more. */
  most: number
  /** When to begin: after what runs now, or after what else came in with it. */
  soon(run: () => void): void
}

export function gathered<T>(work: (all: T[]) => void, { most, soon }: Gathering): (one: T) => void {
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

/** As `gathered`, with an answer for each: `work` gives them in the order asked; what it throws, all get. */
export function together<K, V>(
  work: (all: K[]) => Promise<readonly V[]>,
  gathering: Gathering
): (one: K) => Promise<V> {
  interface Asked {
    one: K
    resolve(answer: V): void
    reject(error: unknown): void
  }
  const answer = async (all: readonly Asked[]): Promise<void> => {
    try {
      const answers = await work(all.map(({ one }) => one))
      all.forEach(({ resolve }, i) => {
        resolve(answers[i] as V)
      })
    } catch (error) {
      for (const { reject } of all) reject(error)
    }
  }
  const ask = gathered<Asked>((all) => void answer(all), gathering)
  return (one) => new Promise((resolve, reject) => ask({ one, resolve, reject }))
}
