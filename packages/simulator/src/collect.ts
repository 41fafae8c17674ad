/** What the shell does for claims that differ and for collecting, in virtual time. */
import {
  type BlockKey,
  type CoreAction,
  type HeldClaim,
  isEnded,
  isUnchanged,
  type KnownClaims,
  mergeClaims,
  replicasOf,
  sharedClaims,
  type TakeOutcome
} from '@cairn/core'
import { across } from './bulk.ts'
import { type Cluster, diskOf, later, tellChanges } from './cluster.ts'
import { addClaims, collect, erase, listEnded, type SimulatedDisk, SYNC_MS } from './disk.ts'
import { delayMs } from './network.ts'
import { feed, nodeOf } from './run.ts'

type Action = CoreAction & { type: 'take-claims' | 'know-claims' | 'list-ended' | 'collect' }

interface Known extends KnownClaims {
  claims: readonly HeldClaim[]
}

/** A block as a disk knows it: held, or collected. */
export function knownTo(disk: SimulatedDisk, key: BlockKey): Known | undefined {
  const held = disk.blocks.get(key)
  const all = held?.claims ?? disk.collected.get(key)
  const claims = all && sharedClaims(all)
  return claims && { held: held !== undefined, replicas: replicasOf(claims), claims }
}

export function performCollect(cluster: Cluster, node: number, action: Action): void {
  const disk = diskOf(cluster, node)
  if (action.type === 'take-claims') {
    takeClaims(cluster, node, action)
    return
  }
  later(cluster, node, SYNC_MS, () => {
    if (action.type === 'know-claims') {
      const known = new Map<BlockKey, KnownClaims>()
      for (const key of action.keys) {
        const one = knownTo(disk, key)
        if (one !== undefined) known.set(key, one)
      }
      feed(cluster, node, { type: 'claims-known', token: action.token, known })
    } else if (action.type === 'list-ended') {
      const copies = listEnded(disk)[action.collected ? 'collected' : 'held']
      feed(cluster, node, { type: 'ended', token: action.token, copies, next: undefined })
    } else {
      for (const { key, claims } of action.copies) {
        const block = disk.blocks.get(key)
        if (block === undefined || !isEnded(block.claims) || !isUnchanged(sharedClaims(block.claims), claims))
          continue
        erase(disk, key)
        collect(disk, key, [...sharedClaims(block.claims)])
        cluster.collected.push({ node, key, atMs: cluster.nowMs })
      }
      tellChanges(cluster, node)
      feed(cluster, node, { type: 'collected', keys: action.copies.map(({ key }) => key) })
    }
  })
}

/** Another's claims cross, and what proves itself is kept; bytes stay where they are. */
function takeClaims(cluster: Cluster, node: number, action: Action & { type: 'take-claims' }): void {
  const { transfer, keys } = action
  const from = nodeOf(action.from)
  const outcomes = new Map<BlockKey, { outcome: TakeOutcome; replicas: number }>()
  const over = () => feed(cluster, node, { type: 'claims-taken', transfer, outcomes })
  const ms = delayMs(cluster.network)
  const take = (theirs: Map<BlockKey, readonly HeldClaim[]>) => {
    for (const [key, claims] of theirs) outcomes.set(key, keepClaims(diskOf(cluster, node), key, claims))
    tellChanges(cluster, node)
    over()
  }
  const give = () => {
    const theirs = new Map<BlockKey, readonly HeldClaim[]>()
    for (const key of keys) {
      const known = knownTo(diskOf(cluster, from), key)
      if (known !== undefined) theirs.set(key, known.claims)
    }
    across(cluster, { from, to: node, owner: node, ms: ms + SYNC_MS }, () => take(theirs), over)
  }
  across(cluster, { from: node, to: from, owner: node, ms: ms + SYNC_MS }, give, over)
}

/** A block that was collected takes no live claim: its bytes must come with that. */
function keepClaims(disk: SimulatedDisk, key: BlockKey, claims: readonly HeldClaim[]) {
  const known = knownTo(disk, key)
  const merged = mergeClaims(known?.claims ?? [], claims)
  const replicas = replicasOf(merged)
  if (known === undefined && !isEnded(merged)) return { outcome: 'failed', replicas } as const
  if (known?.held) addClaims(disk, key, claims)
  else if (!isEnded(merged)) return { outcome: 'revived', replicas } as const
  else collect(disk, key, merged)
  return { outcome: 'taken', replicas } as const
}
