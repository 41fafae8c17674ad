/**
 * What this node does with blocks that others push and want: claims are checked, blocks verified and
 * made durable, and one receipt signed over all that a frame brought.
 */
import { type BlockKey, CairnError, type HeldClaim, isWatched, type PeerId, readClaim } from '@cairn/core'
import type { Entry, HeldBlock } from '@cairn/store'
import { type OutEntry, PROOFS_MAX } from './frame.ts'
import { together } from './gather.ts'
import { receiptFor, receiptItem } from './receipts.ts'
import type { Answer, BulkServer } from './serve.ts'
import type { Shell } from './shell.ts'
import { asCairnError, keepEntries } from './uploads.ts'

/** Blocks read together. Their bytes are bounded where they are asked for. */
const READ_MAX = 256

/** What the reader of a block is told of a copy that was put aside. */
const DAMAGED = 'its copy was damaged and is put aside'

export function bulkServer(shell: () => Shell): BulkServer {
  let turn = 0
  const read = together((keys: BlockKey[]) => shell().during(shell().store.read(keys)), {
    most: READ_MAX,
    soon: queueMicrotask
  })
  return {
    receive(from, entries) {
      shell().served()
      return shell().during(receive(shell(), from, entries))
    },
    async sizes(_from, keys) {
      return (await shell().during(shell().store.heads(keys))).map((head) => head?.size)
    },
    async read(from, key, forRepair) {
      if (!forRepair) shell().served()
      // It said that it holds this: that it asks for it is for the core to judge.
      if (isWatched(shell().core.auditing.faults, from, key))
        shell().dispatch({ type: 'requested', from, key })
      const block = await read(key)
      if (block !== undefined) return { bytes: block.bytes, proofs: proofsOf(block, turn++) }
      return shell().damage.isDamaged(key) ? { reason: DAMAGED } : undefined
    },
    async claims(_from, key) {
      const known = await shell().during(shell().store.known(key))
      return known === undefined ? [] : proofsOf(known, turn++)
    }
  }
}

/** With more claims than go with a block, another window of them each time: in the end all have travelled. */
function proofsOf({ claims }: Pick<HeldBlock, 'claims'>, turn: number): Uint8Array[] {
  const windows = Math.max(1, Math.ceil(claims.length / PROOFS_MAX))
  const first = (turn % windows) * PROOFS_MAX
  return claims.slice(first, first + PROOFS_MAX).map(({ proof }) => proof)
}

async function receive(shell: Shell, from: PeerId, pushed: readonly OutEntry[]): Promise<Answer> {
  if (new Set(pushed.map(({ key }) => key)).size !== pushed.length) {
    throw new CairnError('BAD_MESSAGE', 'a block twice in one frame') // one receipt would name both claims
  }
  if (shell.core.placed.state !== 'alive') {
    const reason = 'this member is leaving' // who was sent elsewhere is told so at once
    return { items: pushed.map(({ key }) => ({ key, outcome: 'refused', reason })) }
  }
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
  if (held.length === 0) return { items }
  const named = held.map((entry) => receiptItem(shell, entry))
  return { items, receipt: receiptFor(shell, named) }
}

function claimOf({ network, crypto, trusted }: Shell, key: BlockKey, proof: Uint8Array): HeldClaim {
  return readClaim(proof, { network: network.id, key }, crypto, trusted)
}
