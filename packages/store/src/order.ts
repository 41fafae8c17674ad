/**
 * Calls on one block take effect in the order in which they were made, although some of them wait for long
 * blocks to be hashed and others don't: a put and then a delete of a block must not end with the block.
 */
import type { BlockKey } from '@cairn/core'

export interface Order {
  /**
   * Calls `submit` once `ready` and every earlier call on any of the keys was submitted, or failed; at once,
   * when there is nothing to wait for. Nothing is submitted when `ready` rejects.
   */
  run<T>(keys: readonly BlockKey[], ready: Promise<void> | undefined, submit: () => Promise<T>): Promise<T>
  /** Resolves when every call until now was submitted, or failed. */
  settled(): Promise<void>
}

export function orderOfCalls(): Order {
  /** Resolves, never rejects, when the last call on the key that still waits was submitted. */
  const last = new Map<BlockKey, Promise<void>>()

  const later = async <T>(
    keys: readonly BlockKey[],
    ready: Promise<void> | undefined,
    submit: () => Promise<T>
  ): Promise<T> => {
    const before = new Set(keys.map((key) => last.get(key)))
    const { promise: submitted, resolve } = Promise.withResolvers<void>()
    for (const key of keys) last.set(key, submitted)
    ready?.catch(() => undefined) // it is looked at below, maybe after it rejected
    try {
      await Promise.all(before)
      await ready
      return submit() // which takes its place before anything else can happen
    } finally {
      resolve()
      for (const key of keys) if (last.get(key) === submitted) last.delete(key)
    }
  }
  return {
    run(keys, ready, submit) {
      const free = ready === undefined && (last.size === 0 || !keys.some((key) => last.has(key)))
      return free ? submit() : later(keys, ready, submit)
    },
    async settled() {
      await Promise.all(last.values())
    }
  }
}
