/**
 * A simulated disk: which blocks a node has, their claims, and which slots changed since it was last
 * asked. Blocks have no bytes here: a key stands for its bytes, and a damaged copy is one marked so.
 *
 * What is written is seen, and outlives the process, only once it is synced. A lying disk says that it has
 * synced long before it has: until then a power cut takes back what was written.
 */
import {
  type BlockKey,
  type Copy,
  type Crypto,
  claimsDigest,
  fingerprintOf,
  type HeldClaim,
  isEnded,
  isMirrored,
  isMirrorsOnly,
  type Listed,
  mergeClaims,
  replicasOf,
  SLOTS,
  type SlotSummary,
  sharedClaims,
  slotOf
} from '@cairn/core'

export interface SimulatedBlock {
  size: number
  claims: HeldClaim[]
  corrupt: boolean
  /** On a lying disk: from when on a power cut does not take it, and what the cut leaves in its place. */
  firmAtMs: number
  before: SimulatedBlock | undefined
}

/** What waits for the next sync. */
interface Written {
  key: BlockKey
  size: number
  claims: readonly HeldClaim[]
  corrupt: boolean
}

export interface SimulatedDisk {
  readonly blocks: Map<BlockKey, SimulatedBlock>
  readonly slots: Map<number, Set<BlockKey>>
  readonly changed: Set<number>
  /** Places last told of, so that an emptied one is told once. */
  readonly told: Set<number>
  readonly written: Written[]
  /** Ended claims of blocks that were collected. */
  readonly collected: Map<BlockKey, HeldClaim[]>
  /** Copies that rotted, for the scrubber. */
  readonly rotten: Set<BlockKey>
  /** Rises with each change of blocks, of their claims, or of what was collected. */
  version: number
  /** What `listEnded` said last, and of which version. */
  readonly endedKnown: { version: number; held: Copy[]; collected: Copy[] }
  /** Blocks that it may hold. */
  limit: number
  /** Of a sync: what is written meanwhile shares the next. */
  syncMs: number
  /** A sync is told this long before it is true. 0 of an honest disk. */
  lieMs: number
  /** Of a node that lies: blocks whose bytes it has thrown away, while it says that it holds them. */
  readonly dropped: Set<BlockKey>
  readonly sha256: Crypto['sha256']
}

export function createDisk(sha256: Crypto['sha256']): SimulatedDisk {
  return {
    blocks: new Map(),
    slots: new Map(),
    changed: new Set(),
    told: new Set(),
    written: [],
    collected: new Map(),
    rotten: new Set(),
    version: 0,
    endedKnown: { version: -1, held: [], collected: [] },
    limit: Number.POSITIVE_INFINITY,
    syncMs: SYNC_MS,
    lieMs: 0,
    dropped: new Set(),
    sha256
  }
}

/** Of an SSD, roughly. */
export const SYNC_MS = 2

export function write(
  disk: SimulatedDisk,
  key: BlockKey,
  { size, claims, corrupt = false }: { size: number; claims: readonly HeldClaim[]; corrupt?: boolean }
): void {
  disk.written.push({ key, size, claims, corrupt })
}

/** All that was written is on disk, or said to be. */
export function sync(disk: SimulatedDisk, nowMs: number): void {
  for (const { key, size, claims, corrupt } of disk.written.splice(0)) {
    const known = disk.blocks.get(key)
    const isBad = known?.corrupt ?? corrupt // one that is there gets its claims, and is not written again
    store(disk, key, size, claims)
    const block = disk.blocks.get(key) as SimulatedBlock
    block.firmAtMs = nowMs + disk.lieMs
    block.before = disk.lieMs > 0 ? known : undefined
    if (isBad) rot(disk, key)
  }
}

/** The process ends: what was not synced is torn, and dropped when the disk is next opened. */
export function tear(disk: SimulatedDisk): void {
  disk.written.length = 0
}

/** The power fails: what a lying disk had not yet synced goes too. Returns the blocks that are gone. */
export function cutPower(disk: SimulatedDisk, nowMs: number): BlockKey[] {
  tear(disk)
  const gone: BlockKey[] = []
  for (const [key, block] of disk.blocks) {
    if (block.firmAtMs <= nowMs) continue
    disk.version++
    if (block.before !== undefined) disk.blocks.set(key, block.before)
    else {
      erase(disk, key)
      gone.push(key)
    }
  }
  return gone
}

/** A disk as it was, to be put back later: an old backup. */
export function copyOf(disk: SimulatedDisk): SimulatedDisk {
  const copy = createDisk(disk.sha256)
  for (const [key, claims] of disk.collected) copy.collected.set(key, claims)
  for (const [key, block] of disk.blocks) {
    const { size, claims, corrupt } = block
    store(copy, key, size, claims)
    Object.assign(copy.blocks.get(key) as SimulatedBlock, { corrupt })
    if (corrupt) copy.rotten.add(key)
  }
  return Object.assign(copy, { limit: disk.limit, syncMs: disk.syncMs, lieMs: disk.lieMs })
}

export function rot(disk: SimulatedDisk, key: BlockKey): void {
  const block = disk.blocks.get(key)
  if (block === undefined) return
  block.corrupt = true
  disk.rotten.add(key)
  disk.version++
}

export function store(disk: SimulatedDisk, key: BlockKey, size: number, claims: readonly HeldClaim[]): void {
  const known = disk.blocks.get(key)
  const merged = mergeClaims(known?.claims ?? disk.collected.get(key) ?? [], claims)
  disk.version++
  disk.collected.delete(key)
  disk.blocks.set(key, { size, claims: merged, corrupt: false, firmAtMs: 0, before: undefined })
  disk.rotten.delete(key)
  const slot = slotOf(key)
  const keys = disk.slots.get(slot) ?? new Set()
  disk.slots.set(slot, keys.add(key))
  disk.changed.add(slot)
}

/** Claims on a block that is held. */
export function addClaims(disk: SimulatedDisk, key: BlockKey, claims: readonly HeldClaim[]): void {
  const block = disk.blocks.get(key)
  if (block === undefined) return
  block.claims = mergeClaims(block.claims, claims)
  disk.version++
  disk.changed.add(slotOf(key))
}

export function hasRoom({ blocks, written, limit }: SimulatedDisk): boolean {
  return blocks.size + written.length < limit
}

export function erase(disk: SimulatedDisk, key: BlockKey): void {
  disk.version++
  disk.blocks.delete(key)
  disk.rotten.delete(key)
  disk.slots.get(slotOf(key))?.delete(key)
  disk.changed.add(slotOf(key))
}

/** What `list-copies` asks for: the blocks of these slots that want this N. */
export function listCopies(
  { slots, blocks }: SimulatedDisk,
  places: readonly { slot: number; replicas: number }[],
  limit: number
): Copy[] {
  const copies: Copy[] = []
  for (const { slot, replicas } of places) {
    for (const key of [...(slots.get(slot) ?? [])].sort()) {
      const { claims: all } = blocks.get(key) as SimulatedBlock
      const claims = sharedClaims(all)
      if (isMirrored(all) || isMirrorsOnly(all)) continue
      if (!isEnded(claims) && replicasOf(claims) === replicas) copies.push({ key, replicas, claims })
    }
  }
  return copies.slice(0, limit)
}

/** Claims on a block that is not held any more. */
export function collect(disk: SimulatedDisk, key: BlockKey, claims: HeldClaim[]): void {
  disk.version++
  disk.collected.set(key, claims)
}

/** The blocks whose claims have all ended: those that are held, and those that were collected. */
export function listEnded(disk: SimulatedDisk): { held: readonly Copy[]; collected: readonly Copy[] } {
  const { version, blocks, collected, endedKnown } = disk
  if (endedKnown.version === version) return endedKnown // it is asked every second, and seldom changes
  const held = [...blocks].flatMap(([key, { claims }]) => endedOf(key, claims))
  const gone = [...collected].flatMap(([key, claims]) => endedOf(key, claims))
  return Object.assign(endedKnown, { version, held, collected: gone })
}

function endedOf(key: BlockKey, claims: readonly HeldClaim[]): Copy[] {
  if (!isEnded(claims) || isMirrorsOnly(claims)) return []
  return [{ key, claims: sharedClaims(claims), replicas: replicasOf(claims) }]
}

/** The blocks of a slot after a key, in the order of keys. */
export function listSlot(
  disk: SimulatedDisk,
  slot: number,
  after: BlockKey | undefined,
  limit: number
): (Listed & { replicas: number })[] {
  const held = [...(disk.slots.get(slot) ?? [])].filter(
    (key) => !isMirrorsOnly(disk.blocks.get(key)?.claims ?? [])
  )
  const keys = held.sort().filter((key) => after === undefined || key > after)
  return keys.slice(0, limit).map((key) => {
    const { size, claims: all } = disk.blocks.get(key) as SimulatedBlock
    const claims = sharedClaims(all)
    const replicas = isEnded(claims) ? 0 : replicasOf(claims)
    return { key, size, replicas, claims: claimsDigest(claims, disk.sha256) }
  })
}

/** Summaries of the slots that changed since the last call. */
export function summaries(disk: SimulatedDisk): SlotSummary[] {
  const found: SlotSummary[] = []
  for (const slot of disk.changed) {
    const byReplicas = new Map<number, BlockKey[]>()
    for (const key of [...(disk.slots.get(slot) ?? [])].sort()) {
      const all = disk.blocks.get(key)?.claims ?? []
      const claims = sharedClaims(all)
      if (isMirrorsOnly(all) || isEnded(claims)) continue
      const replicas = replicasOf(claims)
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
  const items = keys.map((key) => ({ key, claims: sharedClaims(disk.blocks.get(key)?.claims ?? []) }))
  const bytes = keys.reduce((sum, key) => sum + (disk.blocks.get(key)?.size ?? 0), 0)
  return { slot, replicas, blocks: keys.length, bytes, fingerprint: fingerprintOf(items, disk.sha256) }
}
