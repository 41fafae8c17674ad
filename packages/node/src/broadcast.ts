/** One source, any number of listeners, each with a queue of its own that is bounded: the slow lose the oldest. */

/** Events that wait for one listener. */
export const WAITING_MAX = 1_000

export interface Broadcast<T> {
  emit(event: T): void
  /** From now until the signal or `end`. `lost(n)` makes the event that says how many were dropped. */
  listen(signal?: AbortSignal): AsyncIterable<T>
  end(): void
}

interface Listener<T> {
  waiting: T[]
  lost: number
  wake: () => void
}

export function broadcast<T>(lost: (count: number) => T): Broadcast<T> {
  const listeners = new Set<Listener<T>>()
  let ended = false

  async function* listen(listener: Listener<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const wake = () => listener.wake()
    signal?.addEventListener('abort', wake)
    try {
      while (!signal?.aborted) {
        if (listener.lost > 0) {
          const count = listener.lost
          listener.lost = 0
          yield lost(count)
        }
        const next = listener.waiting.shift()
        if (next !== undefined) yield next
        else if (ended) return
        else await new Promise<void>((resolve) => (listener.wake = resolve))
      }
    } finally {
      listeners.delete(listener)
      signal?.removeEventListener('abort', wake)
    }
  }
  return {
    emit(event) {
      for (const listener of listeners) {
        listener.waiting.push(event)
        if (listener.waiting.length > WAITING_MAX) {
          listener.waiting.shift()
          listener.lost++
        }
        listener.wake()
      }
    },
    listen(signal) {
      const listener: Listener<T> = { waiting: [], lost: 0, wake: () => undefined }
      listeners.add(listener)
      return listen(listener, signal)
    },
    end() {
      ended = true
      for (const listener of listeners) listener.wake()
    }
  }
}
