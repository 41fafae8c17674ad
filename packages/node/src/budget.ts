/**
 * A number of bytes (or of anything) that several may use at once, first come, first served: credit on a
 * stream, memory for blocks on their way.
 */

export interface Budget {
  /** Resolves when `amount` is the caller's; rejects with the signal's reason. Above all, it gets all. */
  take(amount: number, signal?: AbortSignal): Promise<void>
  give(amount: number): void
  readonly free: number
  /** What several have of it now. */
  readonly used: number
}

interface Waiter {
  amount: number
  go(): void
}

export function budget(total: number): Budget {
  const waiters: Waiter[] = []
  let free = total

  const serve = (): void => {
    for (let first = waiters[0]; first !== undefined && first.amount <= free; first = waiters[0]) {
      waiters.shift()
      free -= first.amount
      first.go()
    }
  }
  return {
    get free() {
      return free
    },
    get used() {
      return total - free
    },
    take(wanted, signal) {
      const amount = Math.min(wanted, total)
      if (signal?.aborted) return Promise.reject(signal.reason)
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          waiters.splice(waiters.indexOf(waiter), 1)
          reject(signal?.reason)
          serve()
        }
        const waiter = {
          amount,
          go() {
            signal?.removeEventListener('abort', leave)
            resolve()
          }
        }
        signal?.addEventListener('abort', leave, { once: true })
        waiters.push(waiter)
        serve()
      })
    },
    give(amount) {
      free = Math.min(total, free + Math.min(amount, total))
      serve()
    }
  }
}
