/**
 * One source, any number of listeners, each with a queue of its own that is bounded: the slow lose the
 * oldest, and are told how many.
 */

/** Events that wait for one listener. */
export const WAITING_MAX = 1_000

export interface Broadcast<T> {
  emit(event: T): void
  /** From now until the signal or `end`. `lost(n)` makes the event that says how many were dropped. */
  listen(signal?: AbortSignal): AsyncIterableIterator<T>
  end(): void
  listeners(): number
}

interface Listener<T> {
  waiting: T[]
  lost: number
  over: boolean
  wake: () => void
}

export function broadcast<T>(lost: (count: number) => T): Broadcast<T> {
  const listeners = new Set<Listener<T>>()
  let ended = false

  async function* read(listener: Listener<T>, close: () => void): AsyncGenerator<T, undefined> {
    try {
      while (!listener.over) {
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
      close()
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
      const over = signal?.aborted === true
      const listener: Listener<T> = { waiting: [], lost: 0, over, wake: () => undefined }
      const close = (): void => {
        signal?.removeEventListener('abort', close)
        listeners.delete(listener)
        listener.over = true
        listener.wake()
      }
      if (!over && !ended) {
        listeners.add(listener)
        signal?.addEventListener('abort', close)
      }
      const events = read(listener, close)
      return {
        next: () => events.next(),
        async return() {
          close() // before the generator: one that was never started runs no `finally`
          return await events.return(undefined)
        },
        [Symbol.asyncIterator]() {
          return this
        }
      }
    },
    end() {
      ended = true
      for (const listener of listeners) listener.wake()
    },
    listeners: () => listeners.size
  }
}
