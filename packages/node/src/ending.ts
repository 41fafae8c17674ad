/**
 * How a node ends: what was opened is closed, the last first, once, each within a limit where it could
 * hang. One part that fails to close does not keep the others open.
 */
import type { CairnError } from '@cairn/core'
import type { CairnNode } from './api.ts'

/** What has not closed by then is left to the process: a peer may hold a socket for ever. A guess. */
const PART_LIMIT_MS = 5_000

export interface Ending {
  /** To be closed at the end, before everything that was added earlier. */
  add(close: () => Promise<unknown>): void
  /** Closes everything. Every call is the same end. @throws whatever failed to close first */
  end(): Promise<void>
  /** Ends because of an error. */
  fail(error: CairnError): void
  begun(): boolean
  readonly closed: CairnNode['closed']
}

export function endingOf(): Ending {
  const parts: (() => Promise<unknown>)[] = []
  const { promise: closed, resolve } = Promise.withResolvers<{ error: CairnError | undefined }>()
  let ending: Promise<void> | undefined
  let why: CairnError | undefined
  const end = (): Promise<void> => {
    ending ??= closeAll(parts).finally(() => resolve({ error: why }))
    return ending
  }
  return {
    add: (close) => void parts.push(close),
    end,
    fail(error) {
      if (ending !== undefined) return
      why = error
      end().catch(() => undefined) // `closed` tells the error that this began with
    },
    begun: () => ending !== undefined,
    closed
  }
}

async function closeAll(parts: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const close of parts.toReversed()) {
    try {
      await close()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}

/** Waits for something, but not for ever. */
export async function withinLimit(work: Promise<unknown>, limitMs = PART_LIMIT_MS): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, limitMs)
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
