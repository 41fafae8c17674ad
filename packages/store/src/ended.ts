/**
 * Blocks of which every claim has ended, from the index alone: proofs are read when a block goes.
 * Those held are
 * in slots that are known to have some; those collected are looked for row by row, a stretch at a time.
 */
import { isEnded, isMirrorsOnly, SLOTS, sharedClaims } from '@cairn/core'
import type { Catalog } from './catalog.ts'
import { replicasOf } from './claims.ts'
import type { Row } from './row.ts'
import type { EndedOptions, EndedPage } from './store.ts'

type Rows = AsyncIterable<readonly [EndedPage['blocks'][number]['key'], Row]>

/** @param heldIn slots that may have blocks held of which every claim has ended, ascending. */
export async function endedPage(
  catalog: Catalog,
  heldIn: readonly number[],
  { collected, fromSlot, limit }: EndedOptions
): Promise<EndedPage> {
  const { slots, end } = collected ? await collectedIn(catalog, fromSlot) : { slots: heldIn, end: SLOTS }
  const blocks: EndedPage['blocks'] = []
  for (const slot of slots) {
    if (blocks.length >= limit) return { blocks, next: slot }
    await take(catalog.slot(slot), collected, blocks)
  }
  return { blocks, next: end < SLOTS ? end : undefined }
}

async function take(rows: Rows, collected: boolean, blocks: EndedPage['blocks']): Promise<void> {
  for await (const [key, { block, claims: all }] of rows) {
    // what ended for mirrors alone is gone as soon as they have seen to it
    if (!isEnded(all) || isMirrorsOnly(all) || (block === undefined) !== collected) continue
    const claims = sharedClaims(all)
    blocks.push({ key, replicas: replicasOf(claims), size: block?.size ?? 0, claims })
  }
}

/**
 * Slots with collected blocks among the next some hundred rows; one with too many rows is looked at
 * anyway.
 */
async function collectedIn(catalog: Catalog, fromSlot: number): Promise<{ slots: number[]; end: number }> {
  const { slots, end } = await catalog.run(fromSlot)
  const has = [...slots].filter(([, rows]) => rows?.some(([, { block }]) => block === undefined) ?? true)
  return { slots: has.map(([slot]) => slot), end }
}
