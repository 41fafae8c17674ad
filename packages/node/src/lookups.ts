/**
 * What comparing asks of the store: the keys of slots, and which of others' keys are here. All slots of a
 * question are read in one walk over the index; slot by slot, that was most of a repair's work.
 */
import { type BlockKey, type CoreAction, claimsDigest, isEnded } from '@cairn/core'
import type { BlockHead } from '@cairn/store'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

type ListSlots = CoreAction & { type: 'list-slots' }
type LookUp = CoreAction & { type: 'look-up' }

export async function listSlots(shell: Shell, action: ListSlots): Promise<void> {
  const { token, slots, limit } = action
  try {
    const first = slots.filter(({ after }) => after === undefined).map(({ slot }) => slot)
    const lists = await shell.store.lists(first, limit)
    const told: ReturnType<typeof entriesOf>[] = []
    for (const { slot, after } of slots) {
      const heads = after === undefined ? lists.get(slot) : await shell.store.list(slot, { after, limit })
      told.push(entriesOf(shell, heads ?? []))
    }
    shell.dispatch({ type: 'listed', token, lists: told })
  } catch (error) {
    // Not an empty page: the asker would take what it was offered for held, and a leaving member go.
    shell.dispatch({ type: 'list-failed', token })
    shell.log('error', `slots can't be listed: ${asCairnError(error).message}`)
  }
}

function entriesOf({ crypto }: Shell, heads: readonly BlockHead[]) {
  return heads.map(({ key, size, replicas, claims }) => {
    // What nobody claims any more is in no place: of N = 0.
    return {
      key,
      size,
      replicas: isEnded(claims) ? 0 : replicas,
      claims: claimsDigest(claims, crypto.sha256)
    }
  })
}

export async function lookUp(shell: Shell, { token, keys }: LookUp): Promise<void> {
  const found = new Map<BlockKey, { claims: string; held: boolean }>()
  try {
    for (const head of await shell.store.knownHeads(keys)) {
      if (head === undefined) continue
      const { key, claims, held } = head
      found.set(key, { claims: claimsDigest(claims, shell.crypto.sha256), held })
    }
  } catch (error) {
    // Unknown is told as absent: what is fetched needlessly is found to be held, and costs one transfer.
    shell.log('error', `blocks can't be looked up: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'looked-up', token, found })
}
