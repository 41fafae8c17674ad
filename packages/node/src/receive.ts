/**
 * What this node does with blocks that others push and want: claims are checked, blocks verified and
 * made durable, and one receipt signed over all that a frame brought.
 */
import {
  type BlockKey,
  encodeReceipt,
  type HeldClaim,
  type PeerId,
  readClaim,
  signReceipt
} from '@cairn/core'
import type { Entry } from '@cairn/store'
import { type OutEntry, PROOFS_MAX } from './frame.ts'
import type { Answer, BulkServer } from './serve.ts'
import type { Shell } from './shell.ts'
import { asCairnError, keepEntries, receiptItem } from './uploads.ts'

export function bulkServer(shell: () => Shell): BulkServer {
  return {
    receive: (from, entries) => receive(shell(), from, entries),
    async read(_from, key) {
      const [bytes, stat] = await Promise.all([shell().store.get(key), shell().store.stat(key)])
      if (bytes === undefined || stat === undefined) return undefined
      return { bytes, proofs: stat.claims.slice(0, PROOFS_MAX).map(({ proof }) => proof) }
    }
  }
}

async function receive(shell: Shell, from: PeerId, pushed: readonly OutEntry[]): Promise<Answer> {
  const entries: Entry[] = []
  const refused = new Map<BlockKey, string>()
  for (const { key, bytes, proofs } of pushed) {
    try {
      const claims = proofs.map((proof) => claimOf(shell, key, proof))
      if (claims.length === 0) throw new Error('a block without a claim')
      entries.push(bytes === undefined ? { key, claims } : { key, bytes, claims })
    } catch (error) {
      refused.set(key, asCairnError(error).message)
    }
  }
  if (refused.size > 0)
    shell.log('warn', `${shell.nameOf(from)} sent ${refused.size} blocks without a good claim`)
  const kept = entries.length === 0 ? { items: [] } : await keepEntries(shell, entries)
  shell.changed()
  const outcome = new Map(kept.items.map((item) => [item.key, item]))
  const items = pushed.map(({ key }) => {
    return outcome.get(key) ?? { key, outcome: 'refused' as const, reason: refused.get(key) ?? 'refused' }
  })
  const held = entries.filter(({ key }) => outcome.get(key)?.outcome === 'held')
  return held.length === 0 ? { items } : { items, receipt: receiptFor(shell, held) }
}

function claimOf({ network, crypto, trusted }: Shell, key: BlockKey, proof: Uint8Array): HeldClaim {
  return readClaim(proof, { network: network.id, key }, crypto, trusted)
}

function receiptFor(shell: Shell, held: readonly Entry[]): Uint8Array {
  const facts = { network: shell.network.id, holder: shell.id, timeMs: Date.now() }
  return encodeReceipt(
    signReceipt(
      facts,
      held.map((entry) => receiptItem(shell, entry)),
      shell.crypto
    )
  )
}
