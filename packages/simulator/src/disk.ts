/**
 * A simulated disk: which blocks a node has, their claims, and which slots changed since it was last
 * asked. Blocks have no bytes here: a key stands for its bytes, and a damaged copy is one marked so.
 */
import {
  type BlockKey,
  type Crypto,
  claimsDigest,
  fingerprintOf,
  type HeldClaim,
  type Listed,
  mergeClaims,
  replicasOf,
  SLOTS,
  type SlotSummary,
  slotOf
} from '@cairn/core'

export interface SimulatedBlock {
  size: number
  claims: HeldClaim[]
  corrupt: boolean
}

export interface SimulatedDisk {
  readonly blocks: Map<BlockKey, SimulatedBlock>
  readonly slots: Map<number, Set<BlockKey>>
  readonly changed: Set<number>
  /** Places last told of, so that an emptied one is told once. */
  readonly told: Set<number>
  /** Blocks that it may hold. */
  limit: number
  readonly sha256: Crypto['sha256']
}

export function createDisk(sha256: Crypto['sha256']): SimulatedDisk {
  return {
    blocks: new Map(),
    slots: new Map(),
    changed: new Set(),
    told: new Set(),
    limit: Number.POSITIVE_INFINITY,
    sha256
  }
}

export function store(disk: SimulatedDisk, key: BlockKey, size: number, claims: readonly HeldClaim[]): void {
  const known = disk.blocks.get(key)
  disk.blocks.set(key, { size, claims: mergeClaims(known?.claims ?? [], claims), corrupt: false })
  const slot = slotOf(key)
  const keys = disk.slots.get(slot) ?? new Set()
  disk.slots.set(slot, keys.add(key))
  disk.changed.add(slot)
}

export function hasRoom({ blocks, limit }: SimulatedDisk): boolean {
  return blocks.size < limit
}

export function erase(disk: SimulatedDisk, key: BlockKey): void {
  disk.blocks.delete(key)
  disk.slots.get(slotOf(key))?.delete(key)
  disk.changed.add(slotOf(key))
}

/** The blocks of a slot after a key, in the order of keys. */
export function listSlot(
  disk: SimulatedDisk,
  slot: number,
  after: BlockKey | undefined,
  limit: number
): (Listed & { replicas: number })[] {
  const keys = [...(disk.slots.get(slot) ?? [])].sort().filter((key) => after === undefined || key > after)
  return keys.slice(0, limit).map((key) => {
    const { size, claims } = disk.blocks.get(key) as SimulatedBlock
    return { key, size, replicas: replicasOf(claims), claims: claimsDigest(claims, disk.sha256) }
  })
}

/** Summaries of the slots that changed since the last call. */
export function summaries(disk: SimulatedDisk): SlotSummary[] {
  const found: SlotSummary[] = []
  for (const slot of disk.changed) {
    const byReplicas = new Map<number, BlockKey[]>()
    for (const key of [...(disk.slots.get(slot) ?? [])].sort()) {
      const replicas = replicasOf(disk.blocks.get(key)?.claims ?? [])
      byReplicas.set(replicas, [...(byReplicas.get(replicas) ?? []), key])
    }
    for (let replicas = 1; replicas <= 32; replicas++) {
      const keys = byReplicas.get(replicas)
      const place = replicas * SLOTS + slot
      if (keys === undefined && !disk.told.delete(place)) continue
      if (keys !== undefined) disk.told.add(place)
      found.push(summarise(disk, slot, replicas, keys ?? []))
    }
  }
  disk.changed.clear()
  return found
}

function summarise(disk: SimulatedDisk, slot: number, replicas: number, keys: BlockKey[]): SlotSummary {
  const items = keys.map((key) => ({ key, claims: disk.blocks.get(key)?.claims ?? [] }))
  const bytes = keys.reduce((sum, key) => sum + (disk.blocks.get(key)?.size ?? 0), 0)
  return { slot, replicas, blocks: keys.length, bytes, fingerprint: fingerprintOf(items, disk.sha256) }
}
