/** What this node holds that nobody claims any more, and collecting it without waiting for its grace. */
import { setTimeout as wait } from 'node:timers/promises'
import type { GcOptions, GcResult } from './api.ts'
import type { Shell } from './shell.ts'

/** Listed from the index at once. */
const PAGE = 1_024
/** Between looks at what is left. */
const LOOK_MS = 200
/** With nothing collected for so long, the rest waits for other members. Above a round's limit. */
const STALL_MS = 15_000

/** Counts it; with `now`, has it collected, as far as a majority of the holders agrees. */
export async function collectGarbage(
  shell: Shell,
  { now = false, signal }: GcOptions = {}
): Promise<GcResult> {
  signal?.throwIfAborted()
  shell.usable()
  await shell.told() // or what ended a moment ago would not be counted
  const found = await ended(shell)
  if (!now) return { ...found, collected: 0 }
  let left = found.blocks
  let movedMs = performance.now()
  shell.dispatch({ type: 'collect-now' })
  while (left > 0 && performance.now() - movedMs < STALL_MS) {
    await wait(LOOK_MS)
    signal?.throwIfAborted()
    shell.usable()
    const { blocks } = await ended(shell)
    if (blocks < left) movedMs = performance.now()
    left = blocks
  }
  return { ...found, collected: Math.max(0, found.blocks - left) }
}

async function ended({ store }: Shell): Promise<{ blocks: number; bytes: number }> {
  let [blocks, bytes] = [0, 0]
  for (let fromSlot: number | undefined = 0; fromSlot !== undefined; ) {
    const page = await store.ended({ collected: false, fromSlot, limit: PAGE })
    blocks += page.blocks.length
    for (const { size } of page.blocks) bytes += size
    fromSlot = page.next
  }
  return { blocks, bytes }
}
