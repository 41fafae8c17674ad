/**
 * A mirror's last whole root as a network of its own: a new home with an id, a secret and a key that nobody
 * else has, all blocks in it under claims of its own, and the name pointing to them. The old network is only
 * read from: it need not answer, and nothing in it changes.
 */
import { readdir, rm } from 'node:fs/promises'
import { type Client, createClient, type Mirror, type RefWithReceipts } from '@cairn/client'
import { CairnError } from '@cairn/core'

export interface Split {
  network: string
  ref: RefWithReceipts
  blocks: number
  bytes: number
}

export interface SplitPlan {
  /** Of the node that mirrors. */
  from: Client
  mirror: Mirror
  /** Empty, or not there yet. */
  home: string
  name: string
  capacity?: number
  signal: AbortSignal
  onProgress(bytes: number): void
}

/** @throws CairnError NOT_FOUND, BAD_REQUEST, FULL; nothing is left of the new home then */
export async function splitOff({ home, capacity, ...plan }: SplitPlan): Promise<Split> {
  await refuseUsed(home)
  const { whole, name } = plan.mirror
  if (whole === undefined) {
    throw new CairnError('NOT_FOUND', `nothing of ${name} is whole here yet`, {
      hint: 'cairn mirror ls shows how far it has come'
    })
  }
  const [{ createNode }, { serveNode }] = await Promise.all([import('@cairn/node'), import('@cairn/gateway')])
  try {
    const room = capacity === undefined ? {} : { capacity }
    const node = await createNode({ home, create: { open: false }, mdns: false, ...room })
    try {
      const served = await serveNode(node, { port: 0, onStop: () => {} })
      try {
        const to = createClient({ url: served.url, token: node.token })
        return { network: node.network.id, ...(await copy(to, plan, whole)) }
      } finally {
        await served.close()
      }
    } finally {
      await node.stop()
    }
  } catch (error) {
    await rm(home, { recursive: true, force: true }) // ours alone: it was empty
    throw error
  }
}

async function refuseUsed(home: string): Promise<void> {
  const entries = await readdir(home).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  if (entries.length === 0) return
  throw new CairnError('BAD_REQUEST', `${home} is not empty`, {
    hint: 'a new network needs a home of its own'
  })
}

async function copy(
  to: Client,
  { from, mirror, name, signal, onProgress }: Omit<SplitPlan, 'home'>,
  whole: NonNullable<Mirror['whole']>
): Promise<Omit<Split, 'network'>> {
  const ref = { name, ifSequence: 0, metadata: lineage(mirror, whole) }
  const put = to.car.import(await from.car.export(whole.root, { signal }), { ack: 'one', ref, signal })
  for await (const { bytes } of put.progress()) onProgress(bytes)
  const { ref: made } = await put
  if (made === undefined) throw new TypeError('a put for a name made none')
  return { ref: made, blocks: whole.blocks, bytes: whole.bytes }
}

/** As a promotion within the network keeps it; that one's words say who votes, and are its own. */
function lineage({ owner, name, lag }: Mirror, whole: NonNullable<Mirror['whole']>): Record<string, string> {
  const { updates = 0, ms, heardMs } = lag
  return {
    'split.owner': owner,
    'split.name': name,
    'split.at': `${whole.epoch}.${whole.sequence}`,
    'split.behind': JSON.stringify({ updates, ms, heardMs })
  }
}
