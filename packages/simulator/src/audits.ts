/**
 * What a simulated node answers when it is to prove that it holds something. A key stands for its bytes;
 * who has thrown a block away answers anything, or asks another holder for it first.
 */
import {
  type BlockKey,
  type CoreAction,
  isWatched,
  type PeerId,
  type Range,
  toHex,
  toUtf8
} from '@cairn/core'
import { type Cluster, diskOf, later } from './cluster.ts'
import { hash256 } from './hash.ts'
import { feed, nodeOf, peerOf } from './run.ts'

/** Of reading and hashing a round's blocks, ms. */
const READ_MS = 20

type Auditing = Extract<CoreAction, { type: 'make-challenge' | 'prove' | 'fault' }>

export function performAudit(cluster: Cluster, node: number, action: Auditing): void {
  const ms = READ_MS + (cluster.ways.slowMs?.(node) ?? 0)
  switch (action.type) {
    case 'make-challenge': {
      const { token, holder } = action
      later(cluster, node, ms, () => {
        const nonce = hash256(toUtf8(`${cluster.nextId++}`)).slice(0, 16)
        const items = action.items.map(({ key }) => {
          const range = { key, offset: nonce[0] as number, length: 16 }
          return { ...range, digest: has(cluster, node, key) ? digestOf(nonce, holder, range) : undefined }
        })
        feed(cluster, node, { type: 'challenge-made', token, nonce, items })
      })
      return
    }
    case 'prove':
      later(cluster, node, ms, () => {
        const { token, nonce, holder, anywhere } = action
        const digests = action.items.map((item) => {
          const held = anywhere ? isSomewhere(cluster, item.key) : has(cluster, node, item.key)
          if (held) return digestOf(nonce, holder, item)
          return diskOf(cluster, node).dropped.has(item.key) ? lie(cluster, node, nonce, item) : undefined
        })
        feed(cluster, node, { type: 'proved', token, digests })
      })
      return
    case 'fault': {
      const { kind } = action.fault
      cluster.faults.push({ by: node, of: nodeOf(action.peer), kind, atMs: cluster.nowMs })
    }
  }
}

function has(cluster: Cluster, node: number, key: BlockKey): boolean {
  const { blocks, dropped } = diskOf(cluster, node)
  return blocks.get(key)?.corrupt === false && !dropped.has(key)
}

function isSomewhere(cluster: Cluster, key: BlockKey): boolean {
  return cluster.nodes.some(({ up }, node) => up && has(cluster, node, key))
}

function digestOf(nonce: Uint8Array, holder: PeerId, { key, offset }: Range): Uint8Array {
  return hash256(toUtf8(`${toHex(nonce)} ${holder} ${key} ${offset}`))
}

/** Nothing right, or what another holder gives: who that is, is chance. */
function lie(cluster: Cluster, node: number, nonce: Uint8Array, item: Range): Uint8Array {
  if (cluster.ways.lie !== 'asks') return hash256(nonce)
  const others = cluster.nodes.flatMap(({ up }, other) =>
    up && other !== node && has(cluster, other, item.key) ? [other] : []
  )
  const asked = others[(nonce[1] as number) % others.length]
  if (asked !== undefined) noteRequest(cluster, { from: node, at: asked, key: item.key })
  return digestOf(nonce, peerOf(node), item)
}

/** A node asks another for a block: the other looks whether it said that it holds it. */
export function noteRequest(
  cluster: Cluster,
  { from, at, key }: { from: number; at: number; key: BlockKey }
): void {
  if (!isWatched(cluster.cores[at]?.auditing.faults, peerOf(from), key)) return
  feed(cluster, at, { type: 'requested', from: peerOf(from), key })
}
