/**
 * A scrub by command: everything on this disk is read again at once, and the copies that were damaged are
 * waited for until the one rule has brought them back from the other members.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type BlockKey, CairnError } from '@cairn/core'
import type { DiskStore } from '@cairn/store'
import type { CairnNode, ScrubOptions, ScrubResult } from './api.ts'

/**
 * Without a damaged copy coming back for so long, it is no longer waited for. Above the longest wait between
 * two tries at fetching it (`retryMaxMs`).
 */
const STALL_MS = 45_000
/** Between looks whether they are back. */
const LOOK_MS = 200
/** Looked up at a time: a disk may have lost more than anybody waits for in one look. */
const LOOKED_UP = 64

export type Scrubbed = Pick<DiskStore, 'heads' | 'scrubNow' | 'scrubStatus' | 'usage'>

/** @param isBesides whether a copy was held besides what is held here, so that nothing brings it back */
export function scrubOf(
  disk: Scrubbed,
  usable: () => void,
  isBesides: (key: BlockKey) => boolean
): CairnNode['scrub'] {
  let busy = false
  return async (options = {}) => {
    usable()
    if (busy) {
      throw new CairnError('BUSY', 'a scrub is under way already', {
        hint: 'cairn status shows how far it is'
      })
    }
    busy = true
    try {
      return await scrub({ disk, usable, isBesides }, options)
    } finally {
      busy = false
    }
  }
}

async function scrub(
  { disk, usable, isBesides }: { disk: Scrubbed; usable: () => void; isBesides: (key: BlockKey) => boolean },
  { onProgress, signal }: ScrubOptions
): Promise<ScrubResult> {
  const total = disk.usage().bytes
  const { blocks, bytes, lost } = await disk.scrubNow({
    signal,
    onProgress: ({ blocks, bytes, lost }) =>
      onProgress?.({ blocks, bytes, total, damaged: lost.length, refetched: 0, besides: 0 })
  })
  const damaged = new Set(lost)
  const missing = [...damaged]
  let besides = 0
  const result = (): ScrubResult => ({
    ...{ blocks, bytes },
    ...{ damaged: damaged.size, refetched: damaged.size - missing.length - besides, besides }
  })
  for (let waitedMs = 0; missing.length > 0 && waitedMs < STALL_MS; waitedMs += LOOK_MS) {
    await wait(LOOK_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
    signal?.throwIfAborted()
    usable()
    if (await takeThoseBack(disk, missing)) waitedMs = 0
    const waiting = missing.splice(0)
    missing.push(...waiting.filter((key) => !isBesides(key)))
    besides += waiting.length - missing.length
    onProgress?.({ ...result(), total })
  }
  return result()
}

/** Takes out of `missing`, of its first ones, those that are held again. False when none was. */
async function takeThoseBack(disk: Scrubbed, missing: BlockKey[]): Promise<boolean> {
  const some = missing.splice(0, LOOKED_UP)
  const held = await disk.heads(some)
  const absent = some.filter((_, i) => held[i] === undefined)
  missing.push(...absent) // at the end: those that never come must not hide those that came
  return absent.length < some.length
}
