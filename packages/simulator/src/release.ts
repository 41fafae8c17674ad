/** What the shell does for letting go, in virtual time: lists copies, reads them again, deletes. */
import {
  type BlockKey,
  type CoreAction,
  isMirrored,
  isUnchanged,
  type KnownClaims,
  sharedClaims
} from '@cairn/core'
import { type Cluster, diskOf, later, quarantine, tellChanges } from './cluster.ts'
import { knownTo } from './collect.ts'
import { erase, listCopies, SYNC_MS } from './disk.ts'
import { feed, nodeOf } from './run.ts'

type Action = CoreAction & { type: 'list-copies' | 'verify-copies' | 'let-go' }

/** What numbers its attempts: another in each life. */
export function lifeOf(life: number): string {
  return life.toString(16).padStart(16, '0')
}

export function performRelease(cluster: Cluster, node: number, action: Action): void {
  const disk = diskOf(cluster, node)
  switch (action.type) {
    case 'list-copies':
      later(cluster, node, SYNC_MS, () => {
        const copies = listCopies(disk, action.places, action.limit)
        feed(cluster, node, { type: 'copies', token: action.token, copies })
      })
      return
    case 'verify-copies':
      later(cluster, node, SYNC_MS, () => verify(cluster, node, action))
      return
    case 'let-go':
      later(cluster, node, SYNC_MS, () => {
        for (const copy of action.copies) letGo(cluster, node, copy)
        tellChanges(cluster, node)
        feed(cluster, node, { type: 'gone', keys: action.copies.map(({ key }) => key) })
      })
  }
}

function verify(cluster: Cluster, node: number, { token, keys }: Action & { type: 'verify-copies' }): void {
  const known = new Map<BlockKey, KnownClaims>()
  for (const key of keys) {
    const block = diskOf(cluster, node).blocks.get(key)
    if (block?.corrupt === true) quarantine(cluster, node, key)
    const one = knownTo(diskOf(cluster, node), key)
    if (one !== undefined) known.set(key, one)
  }
  feed(cluster, node, { type: 'verified', token, known })
}

function letGo(cluster: Cluster, node: number, { key, claims, replicas, promised }: Going): void {
  const disk = diskOf(cluster, node)
  const block = disk.blocks.get(key)
  if (block === undefined || isMirrored(block.claims)) return
  if (!isUnchanged(sharedClaims(block.claims), claims)) return
  erase(disk, key)
  cluster.letGo.push({ node, key, atMs: cluster.nowMs, replicas, promised: promised.map(nodeOf) })
}

type Going = (CoreAction & { type: 'let-go' })['copies'][number]
