/**
 * Copies held besides what must be held. What would be lost with some members, to the block: tallies count
 * holders; who has a copy besides, as a stand-in or a mirror, is asked for each key that would have no
 * holder left. And which damaged copy nothing need replace.
 */
import {
  actingHolders,
  type BlockKey,
  type Count,
  type DoomedKey,
  members,
  type PeerId,
  slotOf,
  type Tally
} from '@cairn/core'
import { ask, INQUIRY_KEYS, inquire } from './ask.ts'
import type { Shell } from './shell.ts'

/** Blocks that are asked for one by one; of more, those beyond are told as their holders count. */
const KEYS_MAX = 65_536
/** Of one member: as many make up that number of keys, a place of one key each. */
const PAGES_MAX = 256

interface Told {
  keys: Map<BlockKey, DoomedKey>
  /** As often as they were told: two that hold the same besides each tell of it. */
  count: Count
}

/** The tally, with the blocks that somebody keeps besides no longer among those that would be lost. */
export async function sparing(shell: Shell, tally: Tally, without: readonly PeerId[]): Promise<Tally> {
  if (!tally.short.some(({ copies, blocks }) => copies === 0 && blocks > 0)) return tally
  const told = await doomedKeys(shell, without)
  const gone = new Set(without)
  const left = new Map<BlockKey, number>()
  const keys = [...told.keys.keys()]
  for (let i = 0; i < keys.length; i += INQUIRY_KEYS) {
    const some = keys.slice(i, i + INQUIRY_KEYS)
    const { holders } = await inquire(shell, some)
    for (const key of some) left.set(key, (holders.get(key) ?? []).filter((peer) => !gone.has(peer)).length)
  }
  return counted(tally, told, left)
}

/** Of each living member, those that would be lost too among them: they know what they hold. */
async function doomedKeys(shell: Shell, without: readonly PeerId[]): Promise<Told> {
  const told: Told = { keys: new Map(), count: { blocks: 0, bytes: 0 } }
  for (const { id, state } of members(shell.core.membership)) {
    let from: number | undefined = state === 'dead' || state === 'left' ? undefined : 0
    for (let pages = 0; from !== undefined && pages < PAGES_MAX && told.keys.size < KEYS_MAX; pages++) {
      const page = await ask(shell, { type: 'ask-doomed', of: id, without, from })
      if (page.type !== 'doomed') throw new TypeError('a page of what is doomed answered as something else')
      for (const one of page.keys ?? []) {
        told.keys.set(one.key, one)
        change(told.count, one.size, 1)
      }
      from = page.next
    }
  }
  return told
}

/** Takes what was told key by key out of those without a copy, and counts each by the copies that it has. */
function counted(tally: Tally, { keys, count }: Told, left: ReadonlyMap<BlockKey, number>): Tally {
  const total = { blocks: tally.blocks - count.blocks, bytes: tally.bytes - count.bytes }
  const short = new Map(tally.short.map(({ copies, ...one }) => [copies, one]))
  const none = short.get(0) ?? { blocks: 0, bytes: 0 }
  short.set(0, {
    blocks: Math.max(0, none.blocks - count.blocks),
    bytes: Math.max(0, none.bytes - count.bytes)
  })
  for (const { key, size, replicas } of keys.values()) {
    const copies = left.get(key) ?? 0
    change(total, size, 1)
    if (copies >= replicas) continue
    const one = short.get(copies) ?? { blocks: 0, bytes: 0 }
    short.set(copies, one)
    change(one, size, 1)
  }
  const entries = [...short].filter(([, { blocks }]) => blocks > 0).sort(([a], [b]) => a - b)
  return { ...tally, ...total, short: entries.map(([copies, one]) => ({ copies, ...one })) }
}

function change(count: Count, size: number, blocks: number): void {
  count.blocks += blocks
  count.bytes += size
}

/** Of copies that are gone here, those that this node need not hold, and of which N others have one. */
export async function keptByOthers(
  shell: Shell,
  some: readonly { key: BlockKey; replicas: number }[]
): Promise<ReadonlySet<BlockKey>> {
  const { holders } = shell.core
  const stray = some.filter(({ key, replicas }) => {
    return replicas > 0 && !actingHolders(holders, slotOf(key), replicas).includes(shell.id)
  })
  if (stray.length === 0) return new Set()
  const told = await inquire(
    shell,
    stray.map(({ key }) => key)
  )
  const others = (key: BlockKey) => (told.holders.get(key) ?? []).filter((peer) => peer !== shell.id).length
  return new Set(stray.flatMap(({ key, replicas }) => (others(key) >= replicas ? [key] : [])))
}
