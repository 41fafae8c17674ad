/** Blocks under one mirror's live claim, from the index alone: a stretch of it at a time. */
import { SLOTS } from '@cairn/core'
import type { Catalog } from './catalog.ts'
import { isMirroredBy } from './reader.ts'
import type { MirroredOptions, MirroredPage } from './store.ts'

/** A page ends with a slot, so it may be longer than `limit` by the blocks of one. */
export async function mirroredPage(
  catalog: Catalog,
  { claimant, fromSlot, limit }: MirroredOptions
): Promise<MirroredPage> {
  const keys: MirroredPage['keys'] = []
  const { slots, end } = await catalog.run(fromSlot)
  for (const [slot, rows] of slots) {
    if (keys.length >= limit) return { keys, next: slot }
    for await (const [key, row] of rows ?? catalog.slot(slot)) {
      if (isMirroredBy(row, claimant)) keys.push(key)
    }
  }
  return { keys, next: end < SLOTS ? end : undefined }
}
