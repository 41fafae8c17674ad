/** Tells the core which slots changed on disk: gathered for a moment, then in bounded pieces. */
import type { CoreEvent } from '@cairn/core'
import type { Store } from '@cairn/store'
import type { Shell } from './shell.ts'

/** A put changes many slots many times: they are summed up once per this. */
const GATHER_MS = 100
/** Slots in one event. */
const PIECE = 1_024

export interface Summaries {
  changed(): void
  /** Resolves when nothing is being read any more. */
  stop(): Promise<void>
}

export function startSummaries(
  store: Store,
  dispatch: (event: CoreEvent) => void,
  log: Shell['log']
): Summaries {
  let timer: NodeJS.Timeout | undefined
  let reading: Promise<void> | undefined
  let again = false
  let stopped = false
  let full = store.usage().full

  const read = async (): Promise<void> => {
    do {
      again = false
      for (let more = true; more && !stopped; ) {
        const summaries = await store.changes(PIECE)
        if (summaries.length > 0) dispatch({ type: 'summaries', summaries })
        more = summaries.length === PIECE
      }
      const usage = store.usage()
      if (usage.full !== full) {
        full = usage.full
        dispatch({ type: 'describe', facts: { full } })
      }
    } while (again && !stopped)
  }
  const run = (): void => {
    timer = undefined
    reading = read()
      .catch((error: unknown) => log('error', `changes on disk can't be read: ${String(error)}`))
      .finally(() => {
        reading = undefined
      })
  }
  return {
    changed() {
      if (stopped) return
      if (reading !== undefined) again = true
      else timer ??= setTimeout(run, GATHER_MS)
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await reading
    }
  }
}
