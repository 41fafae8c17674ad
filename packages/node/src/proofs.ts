/**
 * Proof now: every holder of every block of one DAG is challenged over a range of it, with a nonce, and
 * what each signed is compared with the block as it was read and verified here.
 */
import { randomBytes } from 'node:crypto'
import { keyOf } from '@cairn/blocks'
import {
  type Asked,
  actingHolders,
  type BlockKey,
  members,
  NONCE_BYTES,
  type PeerId,
  POSSESSION_KEYS_MAX,
  type Proven,
  proveRange,
  rangeOf,
  slotOf
} from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { ProofCount, ProofOptions, ProofResult } from './api.ts'
import { ask } from './ask.ts'
import { chance } from './audits.ts'
import { reachableBlocks } from './dag.ts'
import type { Shell } from './shell.ts'

interface Batch {
  nonce: Uint8Array
  keys: BlockKey[]
  /** What each holder must answer. */
  asked: Map<PeerId, Asked[]>
}

interface Tally {
  /** Blocks by the holders that proved them. */
  byProofs: number[]
  holders: Map<PeerId, ProofCount>
  blocks: number
  bytes: number
  unread: number
}

/** Asks all who must hold a block of it, this node among them. @throws the signal's reason */
export async function proofOf(
  shell: Shell,
  root: CID,
  { wanted, onProgress, signal }: ProofOptions & { wanted: number }
): Promise<ProofResult> {
  const tally: Tally = {
    byProofs: Array(wanted + 1).fill(0),
    holders: new Map(),
    blocks: 0,
    bytes: 0,
    unread: 0
  }
  let batch = newBatch()
  const settle = async (): Promise<void> => {
    const done = batch
    batch = newBatch()
    await challenge(shell, done, tally)
    onProgress?.({ blocks: tally.blocks, bytes: tally.bytes })
  }
  for await (const { cid, bytes } of reachableBlocks(shell, root, signal)) {
    signal?.throwIfAborted()
    tally.blocks++
    if (bytes === undefined) {
      tally.unread++
      tally.byProofs[0] = (tally.byProofs[0] ?? 0) + 1
      continue
    }
    tally.bytes += bytes.length
    addBlock(shell, batch, { key: keyOf(cid), bytes, wanted })
    if (batch.keys.length === POSSESSION_KEYS_MAX) await settle()
  }
  if (batch.keys.length > 0) await settle()
  return resultOf(shell, root, wanted, tally)
}

function newBatch(): Batch {
  return { nonce: randomBytes(NONCE_BYTES), keys: [], asked: new Map() }
}

function addBlock(
  shell: Shell,
  { nonce, keys, asked }: Batch,
  { key, bytes, wanted }: { key: BlockKey; bytes: Uint8Array; wanted: number }
): void {
  keys.push(key)
  const range = rangeOf(key, bytes.length, chance())
  for (const holder of actingHolders(shell.core.holders, slotOf(key), wanted)) {
    const digest = proveRange({ nonce, holder, ...range }, bytes, shell.crypto.sha256)
    const items = asked.get(holder) ?? []
    asked.set(holder, items)
    if (digest !== undefined) items.push({ ...range, digest })
  }
}

async function challenge(shell: Shell, { nonce, keys, asked }: Batch, tally: Tally): Promise<void> {
  const proofs = new Map<BlockKey, number>(keys.map((key) => [key, 0]))
  const answers = await Promise.all(
    [...asked].map(async ([to, items]) => ({ to, items, said: await answersOf(shell, { to, nonce, items }) }))
  )
  for (const { to, items, said } of answers) {
    const count = tally.holders.get(to) ?? { asked: 0, proven: 0, absent: 0, wrong: 0, silent: 0 }
    tally.holders.set(to, count)
    items.forEach(({ key }, i) => {
      const answer = said[i] ?? 'silent'
      count.asked++
      count[answer]++
      if (answer === 'proven') proofs.set(key, (proofs.get(key) ?? 0) + 1)
    })
  }
  for (const times of proofs.values()) {
    const at = Math.min(times, tally.byProofs.length - 1)
    tally.byProofs[at] = (tally.byProofs[at] ?? 0) + 1
  }
}

async function answersOf(
  shell: Shell,
  { to, nonce, items }: { to: PeerId; nonce: Uint8Array; items: readonly Asked[] }
): Promise<Proven[]> {
  if (to === shell.id) return ownAnswers(shell, items)
  const answer = await ask(shell, { type: 'challenge', to, nonce, items })
  if (answer.type !== 'challenged') throw new TypeError('a challenge answered as something else')
  return answer.answers
}

/** Ours are read again: what the store gives is verified, what is damaged it puts aside. */
async function ownAnswers(shell: Shell, items: readonly Asked[]): Promise<Proven[]> {
  const answers: Proven[] = []
  for (const { key } of items) answers.push((await shell.store.get(key)) === undefined ? 'absent' : 'proven')
  return answers
}

function resultOf(shell: Shell, root: CID, wanted: number, tally: Tally): ProofResult {
  const states = new Map(members(shell.core.membership).map(({ id, state }) => [id, state]))
  const holders = [...tally.holders].map(([peer, count]) => {
    return { peer, name: shell.nameOf(peer), state: states.get(peer) ?? 'dead', ...count }
  })
  const { blocks, bytes, unread, byProofs } = tally
  return { root, wanted, blocks, bytes, unread, byProofs, holders }
}
