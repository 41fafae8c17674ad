/** Some reconcilers with a store in memory each, and every message between them by hand. */
import type { BlockKey, PeerId } from '../../src/block.ts'
import { slotOf } from '../../src/block.ts'
import type { Claimed, ClaimingMessage } from '../../src/claiming.ts'
import { type CompareAction, type CompareMessage, type Listed, placeOf } from '../../src/compare.ts'
import { fingerprintOf, type SlotSummary } from '../../src/fingerprint.ts'
import type { Holders } from '../../src/holders.ts'
import { onListed, onLookedUp } from '../../src/listing.ts'
import {
  createReconciler,
  onCompareMessage,
  onSummaries,
  type Reconciler,
  reconcileTick
} from '../../src/reconcile.ts'
import { encodeMessage, MESSAGE_BYTES_MAX } from '../../src/wire.ts'
import { CONFIG, peer, sha256 } from './data.ts'

/** A block as these stores keep it: N, and a digest of its claims. */
export interface Kept {
  replicas: number
  claims: string
}

export interface Node {
  id: PeerId
  state: Reconciler
  holders: Holders
  store: Map<BlockKey, Kept>
}

export const CLAIMS = '00'.repeat(8)

export function node(n: number, holders: Holders): Node {
  return { id: peer(n), state: createReconciler(peer(n), CONFIG, sha256, 0), holders, store: new Map() }
}

/** Stores blocks and tells the reconciler. */
export function keep(
  to: Node,
  blocks: readonly { key: BlockKey; replicas?: number; claims?: string }[]
): void {
  for (const { key, replicas = 3, claims = CLAIMS } of blocks) to.store.set(key, { replicas, claims })
  tell(to, new Set(blocks.map(({ key, replicas = 3 }) => placeOf({ slot: slotOf(key), replicas }))))
}

export function drop(from: Node, key: BlockKey): void {
  const { replicas } = from.store.get(key) as Kept
  from.store.delete(key)
  tell(from, new Set([placeOf({ slot: slotOf(key), replicas })]))
}

function tell(node: Node, places: ReadonlySet<number>): void {
  const byPlace = new Map<number, BlockKey[]>([...places].map((place) => [place, []]))
  for (const [key, { replicas }] of node.store)
    byPlace.get(placeOf({ slot: slotOf(key), replicas }))?.push(key)
  const summaries = [...byPlace].map(([place, keys]) => summaryOf(node, place, keys.sort()))
  onSummaries(node.state, node.holders, summaries)
}

function summaryOf({ store }: Node, place: number, keys: readonly BlockKey[]): SlotSummary {
  const items = keys.map((key) => ({
    key,
    claims: [{ claimant: store.get(key)?.claims ?? '', sequence: 1, live: true }]
  }))
  const sizes = { blocks: keys.length, bytes: keys.length * 1_000 }
  return {
    slot: place % 65_536,
    replicas: Math.floor(place / 65_536),
    ...sizes,
    fingerprint: fingerprintOf(items, sha256)
  }
}

export interface Traffic {
  messages: CompareMessage[]
  /** What was told of claims. */
  told?: ClaimingMessage[]
  bytes: number
  /** Actions `missing`, and whether blocks that are missing are fetched at once. */
  missing: Extract<CompareAction, { type: 'missing' }>[]
  /** Actions `differing`: of two digests the greater stands for the claims of both. */
  differing: Extract<CompareAction, { type: 'differing' }>[]
}

/** Performs actions of one node and all that follows from them. */
export function settle(
  nodes: readonly Node[],
  from: Node,
  actions: readonly CompareAction[],
  options: { nowMs: number; traffic: Traffic; fetch?: boolean; lost?: (message: CompareMessage) => boolean }
): void {
  const { nowMs, traffic, fetch = true, lost = () => false } = options
  const queue = actions.map((action) => ({ node: from, action }))
  const push = (node: Node, more: readonly CompareAction[]) => {
    for (const action of more) queue.push({ node, action })
  }
  for (let steps = 0; queue.length > 0; steps++) {
    if (steps > 200_000) throw new Error('they never come to an end')
    const { node, action } = queue.shift() as (typeof queue)[0]
    switch (action.type) {
      case 'send': {
        const bytes = encodeMessage(action.message).length
        if (bytes > MESSAGE_BYTES_MAX) throw new Error(`${action.message.type} of ${bytes} bytes`)
        traffic.bytes += bytes
        const to = nodes.find(({ id }) => id === action.to)
        const { message } = action
        if (to === undefined) break
        if (message.type === 'more-claims') {
          traffic.told?.push(message)
          if (fetch) takeGreater(to, message.blocks)
          break
        }
        traffic.messages.push(message)
        if (lost(message)) break
        const said = { from: node.id, mayAsk: true }
        push(to, onCompareMessage(to.state, to.holders, said, message, nowMs))
        break
      }
      case 'list-slots': {
        const lists = action.slots.map(({ slot, after }) => {
          const keys = [...node.store.keys()].filter((key) => slotOf(key) === slot).sort()
          const page = keys.filter((key) => after === undefined || key > after).slice(0, action.limit)
          return page.map((key) => ({ key, size: 1, ...(node.store.get(key) as Kept) }))
        })
        push(node, onListed(node.state, { token: action.token, lists }))
        break
      }
      case 'look-up': {
        const found = new Map<BlockKey, { claims: string }>()
        for (const key of action.keys) {
          const known = node.store.get(key)
          if (known !== undefined) found.set(key, known)
        }
        const { listings, peers } = node.state
        push(
          node,
          onLookedUp(listings, (id) => peers.get(id), { token: action.token, found }, nowMs)
        )
        break
      }
      case 'differing':
        traffic.differing.push(action)
        if (fetch) takeGreater(node, action.blocks)
        break
      case 'missing':
        traffic.missing.push(action)
        if (fetch)
          keep(
            node,
            action.entries.map((entry) => took(action.replicas, entry))
          )
    }
  }
}

function takeGreater(node: Node, blocks: readonly Claimed[]): void {
  for (const { key, claims } of blocks) {
    const own = node.store.get(key)
    if (own !== undefined && claims > own.claims) keep(node, [{ key, claims, replicas: own.replicas }])
  }
}

function took(replicas: number, { key, claims }: Listed) {
  return { key, claims, replicas }
}

/** Lets all nodes take their turns for so long. Returns when none differs from another any more. */
export function compareFor(
  nodes: readonly Node[],
  forMs: number,
  options: Partial<Parameters<typeof settle>[3]> & { fromMs?: number } = {}
): { traffic: Traffic; nowMs: number } {
  const traffic: Traffic = options.traffic ?? { messages: [], bytes: 0, missing: [], differing: [] }
  let nowMs = options.fromMs ?? 0
  for (const untilMs = nowMs + forMs; nowMs < untilMs; nowMs += 50) {
    for (const one of nodes) {
      const actions = reconcileTick(one.state, one.holders, () => true, nowMs)
      settle(nodes, one, actions, { ...options, nowMs, traffic })
    }
  }
  return { traffic, nowMs }
}
