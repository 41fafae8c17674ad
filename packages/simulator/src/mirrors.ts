/**
 * What the shell does for mirrors, in virtual time: walks a root, holds its blocks under the mirror's claim,
 * keeps what it is told to keep, ends claims. A root's blocks are a list here: a key stands for its bytes.
 */
import {
  type BlockKey,
  type CoreAction,
  claimantOf,
  type HeldClaim,
  type KeptMirror,
  type MirrorAction
} from '@cairn/core'
import { type Cluster, diskOf, later, tellChanges } from './cluster.ts'
import { addClaims, erase, type SimulatedDisk, store } from './disk.ts'
import { hash256 } from './hash.ts'
import { feed, peerOf } from './run.ts'

/** Of a small file with its sync. */
const KEEP_MS = 3

export interface MirrorWorld {
  /** What each node's disk keeps of its mirrors, by the ref's id. */
  readonly kept: Map<string, KeptMirror>[]
  /** The blocks below each root. */
  readonly roots: Map<string, BlockKey[]>
  /** Told of the end of a read: `node life key`. */
  readonly waiting: Map<string, (found: boolean) => void>
}

export function createMirrorWorld(nodes: number): MirrorWorld {
  const kept = Array.from({ length: nodes }, () => new Map<string, KeptMirror>())
  return { kept, roots: new Map(), waiting: new Map() }
}

/** After a restart: the new core is told of its mirrors. */
export function reopenMirrors(cluster: Cluster, node: number): void {
  const kept = cluster.mirrors.kept[node] as Map<string, KeptMirror>
  for (const [id, one] of kept) feed(cluster, node, { type: 'mirror', id, kept: one })
}

export function mirrorClaimAt(node: number, id: string, sequence: number, live = true): HeldClaim {
  const claimant = claimantOf({ kind: 'mirror', owner: peerOf(node), id }, hash256)
  return { claimant, sequence, live, replicas: 1, proof: new Uint8Array() }
}

export function isMirroredAt(cluster: Cluster, node: number, id: string, key: BlockKey): boolean {
  const { claimant } = mirrorClaimAt(node, id, 0)
  const claims = diskOf(cluster, node).blocks.get(key)?.claims ?? []
  return claims.some((claim) => claim.live && claim.claimant === claimant)
}

type Performed = Extract<CoreAction, MirrorAction>

export function performMirror(cluster: Cluster, node: number, action: Performed): void {
  const { id } = action
  const disk = diskOf(cluster, node)
  const kept = cluster.mirrors.kept[node] as Map<string, KeptMirror>
  switch (action.type) {
    case 'mirror-fetch':
      hold(cluster, node, action, [...(cluster.mirrors.roots.get(`${action.record.root}`) ?? [])])
      return
    case 'mirror-keep':
      later(cluster, node, KEEP_MS, () => {
        kept.set(id, action.kept)
        feed(cluster, node, { type: 'mirror-kept', id, generation: action.kept.generation })
      })
      return
    case 'mirror-free': {
      const { generation } = action
      const left = action.all ? undefined : kept.get(id)?.whole?.record.root
      const needed = new Set(cluster.mirrors.roots.get(`${left}`))
      later(cluster, node, disk.syncMs, () => {
        end(disk, mirrorClaimAt(node, id, generation, false), (key) => !needed.has(key))
        tellChanges(cluster, node)
        feed(cluster, node, { type: 'mirror-freed', id, generation })
      })
      return
    }
    case 'mirror-drop':
      kept.delete(id)
      later(cluster, node, disk.syncMs, () => {
        end(disk, mirrorClaimAt(node, id, Number.MAX_SAFE_INTEGER, false), () => true)
        tellChanges(cluster, node)
      })
  }
}

function end(disk: SimulatedDisk, claim: HeldClaim, goes: (key: BlockKey) => boolean): void {
  for (const [key, block] of [...disk.blocks]) {
    if (!goes(key) || !block.claims.some((one) => one.live && one.claimant === claim.claimant)) continue
    disk.version++
    block.claims = block.claims.filter((one) => one.claimant !== claim.claimant)
    if (block.claims.length === 0) erase(disk, key)
  }
}

/** One block after the other. */
function hold(
  cluster: Cluster,
  node: number,
  action: Performed & { type: 'mirror-fetch' },
  left: BlockKey[]
): void {
  const { id, generation, record } = action
  const disk = diskOf(cluster, node)
  const key = left.shift()
  if (key === undefined) {
    const all = cluster.mirrors.roots.get(`${record.root}`) ?? []
    const bytes = all.reduce((sum, one) => sum + (disk.blocks.get(one)?.size ?? 0), 0)
    const outcome = { type: 'whole', blocks: all.length, bytes } as const
    feed(cluster, node, { type: 'mirror-fetched', id, generation, outcome })
    return
  }
  const next = (): void => hold(cluster, node, action, left)
  const claim = mirrorClaimAt(node, id, generation)
  const keep = (size: number): void =>
    later(cluster, node, disk.syncMs, () => {
      if (disk.blocks.has(key)) addClaims(disk, key, [claim])
      else store(disk, key, size, [claim])
      tellChanges(cluster, node)
      next()
    })
  const known = disk.blocks.get(key)
  if (isMirroredAt(cluster, node, id, key)) {
    next()
    return
  }
  if (known !== undefined) {
    keep(known.size)
    return
  }
  const life = cluster.nodes[node]?.life
  cluster.mirrors.waiting.set(`${node} ${life} ${key}`, (found) => {
    if (found) return keep(sizeOf(cluster, key))
    const outcome = { type: 'lost', reason: `nobody has ${key}` } as const
    feed(cluster, node, { type: 'mirror-fetched', id, generation, outcome })
  })
  feed(cluster, node, { type: 'want', keys: [key], replicas: 3 })
}

function sizeOf({ disks }: Cluster, key: BlockKey): number {
  return disks.find(({ blocks }) => blocks.has(key))?.blocks.get(key)?.size ?? 0
}
