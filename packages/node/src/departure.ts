/**
 * Leaving for good: what this node holds is taken over by the others first, as the one rule has it; this
 * only waits for it, says how far it is, and gives up when nothing moves. Forced, it does not wait.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { CairnError, leftToHandOver } from '@cairn/core'
import type { LeaveOptions } from './api.ts'
import type { Shell } from './shell.ts'

/** Between looks at what a leaving node has still to hand over. */
const LOOK_MS = 200
/** Above the longest wait of a repair on the other side: its retries are at most 30 s apart. */
const STALL_MS = 60_000
/** The last words of a member that left have this long to get out. */
const FAREWELL_MS = 300

/** Resolves when the others hold everything, unless it was forced, and know that this member has left. */
export async function depart(shell: Shell, options: LeaveOptions): Promise<void> {
  options.signal?.throwIfAborted()
  shell.usable()
  shell.dispatch({ type: 'leave' })
  await shell.settled() // what was being received may still get its receipt: it is handed over too
  if (options.force !== true) await handedOver(shell, options)
  shell.dispatch({ type: 'left-now' })
  await wait(FAREWELL_MS)
}

/**
 * Waits until every holder has said that it holds what this node held. Alone, there is nobody to hand
 * over to.
 */
async function handedOver(shell: Shell, { onProgress, signal, stallMs = STALL_MS }: LeaveOptions) {
  let least = Number.POSITIVE_INFINITY
  let movedMs = performance.now()
  for (;;) {
    await shell.told()
    shell.usable()
    if (shell.core.holders.placement.size === 0) return
    const left = leftToHandOver(shell.core)
    onProgress?.(left)
    if (left.blocks === 0) return
    if (left.blocks < least) {
      least = left.blocks
      movedMs = performance.now()
    } else if (performance.now() - movedMs > stallMs) throw stalled(left.blocks)
    await wait(LOOK_MS, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
      throw signal?.aborted ? signal.reason : error
    })
  }
}

function stalled(blocks: number): CairnError {
  return new CairnError(
    'TOO_FEW_REPLICAS',
    `nobody took any of the last ${blocks} blocks that this node holds`,
    {
      hint: 'the others are full or away: add room and leave again, or stop and keep the disk'
    }
  )
}
