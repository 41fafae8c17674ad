/**
 * Tells the core which slots changed on disk, and whether there is room: gathered, then in bounded
 * pieces.
 */
import type { CoreEvent } from '@cairn/core'
import type { Store, Usage } from '@cairn/store'
import type { Shell } from './shell.ts'

/**
 * A put changes many slots many times: they are summed up once per this. What is under way by direct mail is
 * not repaired for longer anyway (`settleMs`), and each summing up reads all that changed. A guess.
 */
const GATHER_MS = 400
/** Slots in one event. */
const PIECE = 1_024
/** Room may come back without a put (blocks deleted, a disk made writable), and reading may have failed. */
const LOOK_AGAIN_MS = 5_000

export interface Summaries {
  changed(): void
  /** Resolves when the core knows all that changed before the call. */
  flush(): Promise<void>
  /** Resolves when nothing is being read any more. */
  stop(): Promise<void>
}

/** Whether a member should be known as one that takes nothing more. */
export function outOfRoom({ full, readOnly, diskBytes, capacity }: Usage): boolean {
  return full || readOnly || diskBytes >= capacity
}

export function startSummaries(
  store: Store,
  dispatch: (event: CoreEvent) => void,
  log: Shell['log']
): Summaries {
  let timer: NodeJS.Timeout | undefined
  let reading: Promise<void> | undefined
  let dirty = false
  let failed = false
  let stopped = false
  let full = outOfRoom(store.usage())

  const look = (): void => {
    const usage = store.usage()
    if (outOfRoom(usage) === full) return
    full = !full
    dispatch({ type: 'describe', facts: { full } })
    if (!full) log('info', 'there is room again: new blocks are taken')
    else if (usage.readOnly)
      log('error', 'the disk takes no writes: what is held is kept, nothing new is taken')
    else log('warn', 'full: what is held is kept, the other members take what is new')
  }
  const read = async (): Promise<void> => {
    dirty = false
    for (let more = true; more && !stopped; ) {
      const summaries = await store.changes(PIECE)
      if (summaries.length > 0) dispatch({ type: 'summaries', summaries })
      more = summaries.length === PIECE
    }
    failed = false
    look()
  }
  const run = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    reading ??= read()
      .catch((error: unknown) => {
        failed = true
        log(
          'error',
          `changes on disk can't be read: ${error instanceof Error ? error.message : String(error)}`
        )
      })
      .then(() => {
        reading = undefined
        if (dirty) later()
      })
    return reading
  }
  const later = (): void => {
    if (!stopped && reading === undefined) timer ??= setTimeout(run, GATHER_MS)
  }
  const again = setInterval(() => {
    if (failed) later()
    else look()
  }, LOOK_AGAIN_MS)
  return {
    changed() {
      dirty = true
      later()
    },
    async flush() {
      await reading // it began before the call, and may miss its latest
      if (!stopped) await run()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      clearInterval(again)
      await reading
    }
  }
}
