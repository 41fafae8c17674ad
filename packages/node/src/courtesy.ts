/**
 * Readers first: whoever gives blocks for repair waits while readers are being given theirs, but never for
 * long: a node that is read from all day must be repaired from as well.
 */

export interface Courtesy {
  /** A reader is being served until the returned function is called. */
  reading(): () => void
  /** Resolves when no reader is being served, or after a while all the same. */
  giveWay(): Promise<void>
}

/** The most that one piece of a repair waits for readers. Some reads of 1 MiB on a busy disk. A guess. */
const WAIT_MS_MAX = 100

export function courtesy(): Courtesy {
  const waiting = new Set<() => void>()
  let readers = 0
  return {
    reading() {
      let over = false
      readers++
      return () => {
        if (over) return
        over = true
        readers--
        if (readers === 0) for (const go of [...waiting]) go()
      }
    },
    giveWay() {
      if (readers === 0) return Promise.resolve()
      return new Promise((resolve) => {
        const go = (): void => {
          clearTimeout(timer)
          waiting.delete(go)
          resolve()
        }
        const timer = setTimeout(go, WAIT_MS_MAX)
        waiting.add(go)
      })
    }
  }
}
