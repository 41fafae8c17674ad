/**
 * What the nodes say of the network, asked gently: who is alive is each node's own knowledge and cheap;
 * how many copies there are is a survey of all members, so one node is asked and the others only confirm.
 */
import { type ClusterNode, clientOf, targetsOf, until } from '@cairn/cli'
import type { NodeInfo, NodeStatus } from '@cairn/client'

/** Between looks, ms: the resolution of every duration told. */
export const LOOK_EVERY_MS = 250
/** A node's blocks that have not changed for so long are settled, ms. */
const STILL_MS = 1_500

/** How many members each node takes for alive or in doubt, itself among them. */
export async function aliveAt(nodes: readonly ClusterNode[]): Promise<number[]> {
  return Promise.all(
    nodes.map(async (node) => {
      const peers = await (await clientOf(targetsOf([node]))).peers()
      return peers.filter(({ state }) => state === 'alive' || state === 'suspect').length
    })
  )
}

export interface Short {
  blocks: number
  bytes: number
}

function shortOf({ byCopies, wanted, repairing }: NodeStatus): Short {
  return { blocks: byCopies.slice(0, wanted).reduce((sum, n) => sum + n, 0), bytes: repairing.bytes }
}

async function survey(node: ClusterNode): Promise<Short> {
  return shortOf(await (await clientOf(targetsOf([node]))).status())
}

/** Blocks with fewer than N copies: none only when every node says so. */
export async function shortAt(nodes: readonly ClusterNode[]): Promise<Short> {
  for (const node of nodes) {
    const short = await survey(node)
    if (short.blocks > 0) return short
  }
  return { blocks: 0, bytes: 0 }
}

/** What a node itself holds. */
export async function usageOf(node: ClusterNode): Promise<NodeInfo['usage']> {
  return (await (await clientOf(targetsOf([node]))).node()).usage
}

/** Its usage once it has not changed for a while, or at the limit. */
export async function settledUsage(
  node: ClusterNode,
  limits: { limitMs: number; signal: AbortSignal }
): Promise<NodeInfo['usage']> {
  let last = await usageOf(node)
  let sinceMs = performance.now()
  await until(
    async () => {
      const usage = await usageOf(node)
      if (usage.blocks !== last.blocks) sinceMs = performance.now()
      last = usage
      return performance.now() - sinceMs >= STILL_MS ? true : undefined
    },
    { ...limits, everyMs: LOOK_EVERY_MS }
  )
  return last
}
