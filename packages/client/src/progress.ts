/** Whether an answer makes progress: a node that stands still, or drips, is given up. */
import { CairnError } from '@cairn/core'
import type { NodeAt } from './nodes.ts'

/** What a timer gives to what has come and was not read yet, because this process itself stood still, ms. */
const GRACE_MS = 25
/** What counts as progress, bytes: a node that drips is as good as silent. */
const PROGRESS_BYTES = 16 * 1024

export interface ProgressGuard {
  readonly signal: AbortSignal
  /** The longest that there was no progress so far, ms. */
  readonly gapMs: number
  progress(): void
  over(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>
  stop(): void
}

/** Aborts when there was no progress for `ms`. One timer that looks back, not one that is reset a piece. */
export function guardProgress(node: NodeAt, ms: number): ProgressGuard {
  const controller = new AbortController()
  let atMs = performance.now()
  let bytes = 0
  let grace = true
  let timer: ReturnType<typeof setTimeout>
  const look = (): void => {
    const leftMs = atMs + ms - performance.now()
    if (leftMs > 0 || grace) {
      grace = leftMs > 0
      timer = setTimeout(look, Math.max(leftMs, GRACE_MS))
    } else
      controller.abort(
        new CairnError('TIMEOUT', `${node.url} made no progress for ${Math.round(ms / 100) / 10} s`)
      )
  }
  timer = setTimeout(look, ms)
  let gapMs = 0
  const progress = (): void => {
    const now = performance.now()
    gapMs = Math.max(gapMs, now - atMs)
    atMs = now
    bytes = 0
  }
  return {
    signal: controller.signal,
    get gapMs() {
      return gapMs
    },
    progress,
    async *over(pieces) {
      const { signal } = controller
      const { promise: aborted, reject } = Promise.withResolvers<never>()
      aborted.catch(() => {}) // whoever reads is told
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      const iterator = pieces[Symbol.asyncIterator]()
      try {
        for (;;) {
          // not left to the body: one that stands still does not always end with its signal
          const next = await Promise.race([iterator.next(), aborted])
          if (next.done === true) return
          bytes += next.value.length
          if (bytes >= PROGRESS_BYTES) progress()
          yield next.value
        }
      } finally {
        iterator.return?.(undefined).catch(() => {}) // not awaited, for the same reason
      }
    },
    stop() {
      clearTimeout(timer)
      controller.abort() // what is left of the answer is of no use
    }
  }
}
