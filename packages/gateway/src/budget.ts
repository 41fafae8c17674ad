/**
 * A shared amount (of memory, of blocks) that callers take a part of and give back, first come first
 * served: what bounds a node's memory whatever the number of requests.
 */

export interface Budget {
  /** Waits for `amount`, and returns what gives a part of it back, or the rest; again is harmless. */
  take(amount: number, signal?: AbortSignal): Promise<(part?: number) => void>
  /** What is taken now. */
  used(): number
  /** How many wait for some. */
  waiting(): number
}

export function createBudget(total: number): Budget {
  let left = total
  const waiting: { amount: number; go: () => void }[] = []

  const serve = (): void => {
    for (let next = waiting[0]; next !== undefined && next.amount <= left; next = waiting[0]) {
      waiting.shift()
      left -= next.amount
      next.go()
    }
  }
  const give = (amount: number): ((part?: number) => void) => {
    let taken = amount
    return (part = taken) => {
      const back = Math.min(part, taken)
      taken -= back
      left += back
      serve()
    }
  }
  return {
    used: () => total - left,
    waiting: () => waiting.length,
    async take(asked, signal) {
      const amount = Math.min(asked, total) // more than there is would wait for ever
      signal?.throwIfAborted()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const entry = { amount, go: resolve }
      waiting.push(entry)
      const abort = (): void => {
        const at = waiting.indexOf(entry)
        if (at < 0) return // served already: the caller sees its signal by itself
        waiting.splice(at, 1)
        reject(signal?.reason)
        serve()
      }
      signal?.addEventListener('abort', abort, { once: true })
      serve()
      try {
        await promise
      } finally {
        signal?.removeEventListener('abort', abort)
      }
      return give(amount)
    }
  }
}
