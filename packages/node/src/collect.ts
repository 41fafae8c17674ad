/**
 * What collecting asks of the disk and of others: claims are taken without their blocks, what nobody claims
 * any more is listed, and deleted when the core says so. The store keeps the claims that ended.
 */
import {
  type BlockKey,
  type Copy,
  type CoreAction,
  type HeldClaim,
  isEnded,
  type KnownClaims,
  mergeClaims,
  replicasOf,
  type TakeOutcome
} from '@cairn/core'
import type { Got } from './bulk.ts'
import { PROOFS_MAX } from './frame.ts'
import { checkedClaims } from './reads.ts'
import { copyOf, knownOf } from './release.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

type ActionOf<K extends CoreAction['type']> = Extract<CoreAction, { type: K }>
type Outcomes = Map<BlockKey, { outcome: TakeOutcome; replicas: number }>

/** Every request is answered, whatever came of it: the core waits for it. */
export async function takeClaims(shell: Shell, action: ActionOf<'take-claims'>): Promise<void> {
  const { transfer, from, keys } = action
  const outcomes: Outcomes = new Map()
  const onBlock = async (got: Got): Promise<void> => {
    outcomes.set(got.key, await keepClaims(shell, got, from))
  }
  try {
    await shell.transport.fetchBlocks(from, keys, { claimsOnly: true, onBlock })
  } catch (error) {
    shell.log('warn', `${shell.nameOf(from)} gave no claims: ${asCairnError(error).message}`)
  }
  shell.changed()
  shell.dispatch({ type: 'claims-taken', transfer, outcomes })
}

/** Keeps the claims that prove themselves; a block that is not here takes no live one without its bytes. */
async function keepClaims(shell: Shell, got: Got, from: ActionOf<'take-claims'>['from']) {
  const { key } = got
  const claims = checkedClaims(shell, got, from)
  const known = await shell.store.known(key)
  const merged: readonly HeldClaim[] = mergeClaims(known?.claims ?? [], claims)
  const replicas = replicasOf(merged)
  const said = (outcome: TakeOutcome) => ({ outcome, replicas })
  if (claims.length === 0) return said('failed')
  if (!known?.held && !isEnded(merged)) return said(known === undefined ? 'failed' : 'revived')
  const fresh = known?.held ? claims : claims.filter(({ live }) => !live)
  try {
    if (fresh.length > 0) await shell.store.put([{ key, claims: fresh }])
  } catch (error) {
    shell.log('warn', `claims can't be kept: ${asCairnError(error).message}`)
    return said('failed')
  }
  return said(got.proofs.length < PROOFS_MAX ? 'taken' : 'partly')
}

export async function knowClaims(shell: Shell, action: ActionOf<'know-claims'>): Promise<void> {
  const { token, keys } = action
  const known = new Map<BlockKey, KnownClaims>()
  try {
    for (const one of await shell.store.knownHeads(keys)) {
      if (one !== undefined) known.set(one.key, knownOf(one))
    }
  } catch (error) {
    shell.log('error', `claims can't be looked up: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'claims-known', token, known })
}

export async function listEnded(shell: Shell, action: ActionOf<'list-ended'>): Promise<void> {
  const { token, collected, fromSlot, limit } = action
  let copies: Copy[] = []
  let next: number | undefined
  try {
    const ended = await shell.store.ended({ collected, fromSlot, limit })
    copies = ended.blocks.map(copyOf)
    next = ended.next
  } catch (error) {
    shell.log('error', `what has ended can't be listed: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'ended', token, copies, next })
}

export async function collect(shell: Shell, { copies }: ActionOf<'collect'>): Promise<void> {
  try {
    await shell.store.collect(copies)
  } catch (error) {
    shell.log('error', `what has ended can't be collected: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'collected', keys: copies.map(({ key }) => key) })
  shell.changed()
}
