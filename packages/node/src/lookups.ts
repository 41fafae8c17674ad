/**
 * What comparing asks of the store: the keys of slots, and which of others' keys are here. All that the core
 * asks in one turn is read in one walk over the index; slot by slot, that reading was most of a repair.
 */
import { type BlockKey, type CoreAction, claimsDigest } from '@cairn/core'
import type { BlockHead } from '@cairn/store'
import { gathered } from './gather.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

type ListSlot = CoreAction & { type: 'list-slot' }
type LookUp = CoreAction & { type: 'look-up' }

/** Slots, or pages of keys, in one reading: up to 256 keys each, with all their claims, are in memory then. */
const TOGETHER_MAX = 64

export interface Lookups {
  list(action: ListSlot): void
  find(action: LookUp): void
}

export function createLookups(shell: () => Shell): Lookups {
  const options = { most: TOGETHER_MAX, soon: queueMicrotask }
  return {
    list: gathered((actions) => void shell().during(list(shell(), actions)), options),
    find: gathered((actions) => void shell().during(lookUp(shell(), actions)), options)
  }
}

async function list(shell: Shell, actions: readonly ListSlot[]): Promise<void> {
  const first = actions.filter(({ after }) => after === undefined)
  const limit = first.reduce((most, action) => Math.max(most, action.limit), 0)
  const rest = actions.filter(({ after }) => after !== undefined)
  await Promise.all([
    pages(shell, first, async () => {
      const slots = first.map(({ slot }) => slot)
      const lists = await shell.store.lists(slots, limit)
      return first.map(({ slot, limit: own }) => lists.get(slot)?.slice(0, own) ?? [])
    }),
    ...rest.map((action) => {
      const { slot, after = '' as BlockKey, limit: own } = action
      return pages(shell, [action], async () => [await shell.store.list(slot, { after, limit: own })])
    })
  ])
}

async function pages(
  shell: Shell,
  actions: readonly ListSlot[],
  read: () => Promise<BlockHead[][]>
): Promise<void> {
  if (actions.length === 0) return
  try {
    const lists = await read()
    actions.forEach(({ token }, i) => {
      const entries = (lists[i] ?? []).map(({ key, size, replicas, claims }) => {
        return { key, size, replicas, claims: claimsDigest(claims, shell.crypto.sha256) }
      })
      shell.dispatch({ type: 'listed', token, entries })
    })
  } catch (error) {
    // Not an empty page: the asker would take what it was offered for held, and a leaving member go.
    for (const { token } of actions) shell.dispatch({ type: 'list-failed', token })
    shell.log('error', `slots can't be listed: ${asCairnError(error).message}`)
  }
}

async function lookUp(shell: Shell, actions: readonly LookUp[]): Promise<void> {
  const keys = [...new Set(actions.flatMap((action) => action.keys))]
  const held = new Map<BlockKey, { claims: string }>()
  try {
    for (const head of await shell.store.heads(keys)) {
      if (head !== undefined) held.set(head.key, { claims: claimsDigest(head.claims, shell.crypto.sha256) })
    }
  } catch (error) {
    // Unknown is told as absent: what is fetched needlessly is found to be held, and costs one transfer.
    shell.log('error', `blocks can't be looked up: ${asCairnError(error).message}`)
  }
  for (const { token, keys: asked } of actions) {
    const found = new Map<BlockKey, { claims: string }>()
    for (const key of asked) {
      const known = held.get(key)
      if (known !== undefined) found.set(key, known)
    }
    shell.dispatch({ type: 'looked-up', token, found })
  }
}
