/**
 * How many blocks a read asks of one member ahead of its answers: enough that its link is never idle, few
 * enough that they do not wait there while another member could have brought them. After TCP Vegas (Brakmo
 * and Peterson 1994): more while a block takes hardly longer than the quickest did, fewer once they queue.
 */

/** What a member whose pace is not known yet is asked for. A guess. */
const WINDOW_FIRST = 16
/** Two requests for each of two that are answered at once, whatever the delay. */
const WINDOW_LEAST = 4
/** Blocks may wait for each other so long before fewer are asked for: three of 1 MiB at 20 MB/s. A guess. */
const QUEUE_MS = 150
/** What was learned of a member that has brought nothing for so long says nothing any more. */
const FORGET_MS = 10_000

export interface Window {
  /** Blocks under way at most. */
  blocks: number
  /** What the quickest block took; undefined before the first. */
  quickestMs: number | undefined
  atMs: number
}

export function createWindow(): Window {
  return { blocks: WINDOW_FIRST, quickestMs: undefined, atMs: 0 }
}

/** A block came so long after it was asked for, of so many that were under way. */
export function windowed(
  window: Window,
  { tookMs, underWay }: { tookMs: number; underWay: number },
  mostBlocks: number,
  nowMs: number
): void {
  if (nowMs - window.atMs > FORGET_MS) {
    window.blocks = Math.max(window.blocks, WINDOW_FIRST)
    window.quickestMs = undefined
  }
  window.atMs = nowMs
  window.quickestMs = Math.min(window.quickestMs ?? tookMs, tookMs)
  if (tookMs > window.quickestMs + QUEUE_MS) window.blocks = Math.max(WINDOW_LEAST, window.blocks - 1)
  else if (underWay >= window.blocks) window.blocks = Math.min(mostBlocks, window.blocks + 1)
}
