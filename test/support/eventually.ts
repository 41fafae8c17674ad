/** Waiting in tests: for a condition, with a limit, and with what was last seen in the error. */
import { setTimeout as wait } from 'node:timers/promises'

/** Between looks at a condition. */
const LOOK_MS = 50

/**
 * Looks again and again until `look` gives a value. What `look` tells is part of the error.
 * @throws Error when the limit comes first, or what `look` throws
 */
export async function eventually<T>(
  what: string,
  limitMs: number,
  look: (tell: (seen: string) => void) => Promise<T | undefined> | T | undefined
): Promise<T> {
  const startedMs = performance.now()
  let last = ''
  const tell = (seen: string): void => {
    last = seen
  }
  for (;;) {
    const seen = await look(tell)
    if (seen !== undefined) return seen
    if (performance.now() - startedMs >= limitMs) {
      throw new Error(`waited ${limitMs / 1_000} s in vain until ${what}${last === '' ? '' : ` (${last})`}`)
    }
    await wait(LOOK_MS)
  }
}
