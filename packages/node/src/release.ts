/**
 * What letting go asks of the disk: copies are listed, read again before they are promised, and deleted.
 * What may be deleted is the core's to say; that it is still under the same claims, the store's.
 */
import { hash } from 'node:crypto'
import {
  type BlockKey,
  type Copy,
  type CoreAction,
  isEnded,
  type KnownClaims,
  type Register
} from '@cairn/core'
import type { Identity } from '@cairn/store'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

type ActionOf<K extends CoreAction['type']> = Extract<CoreAction, { type: K }>

/** Of what numbers a run of a store, bytes: two runs of all there will ever be do not share it. */
const LIFE_BYTES = 8

/** What attempts of this run are numbered by: the store's id and how often it was opened, both durable. */
export function lifeOf({ id, openings }: Identity): string {
  return hash('sha256', `${id} ${openings}`).slice(0, 2 * LIFE_BYTES)
}

/** Of one slot, listed in one go: a stray slot holds a few. */
const LIST_LIMIT = 256

/** Every question is answered, if with nothing: the core waits for it. */
export async function listCopies(shell: Shell, action: ActionOf<'list-copies'>): Promise<void> {
  const { token, places, limit } = action
  const copies: Copy[] = []
  try {
    const slots = new Set(places.map(({ slot }) => slot))
    const lists = await shell.store.lists([...slots], LIST_LIMIT)
    for (const { slot, replicas } of places) {
      for (const head of lists.get(slot) ?? []) {
        const stays = head.mirrored === true || isEnded(head.claims)
        if (stays || head.replicas !== replicas || copies.length === limit) continue
        copies.push(copyOf(head))
      }
    }
  } catch (error) {
    shell.log('error', `copies held besides can't be listed: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'copies', token, copies })
}

/** Reads our copies of what another wants to let go of; one that can't be read is not promised. */
export async function verifyCopies(shell: Shell, action: ActionOf<'verify-copies'>): Promise<void> {
  const { token, keys } = action
  const known = new Map<BlockKey, KnownClaims>()
  try {
    for (const key of keys) {
      const good = await shell.store.verified(key)
      const one = good === undefined ? await shell.store.known(key) : { ...good, held: true }
      // A copy that was not found good is not held, whatever is known of it.
      if (one !== undefined && (good !== undefined || !one.held)) known.set(key, knownOf(one))
    }
  } catch (error) {
    shell.log('error', `copies can't be read to be promised: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'verified', token, known })
}

export async function letGo(shell: Shell, { copies }: ActionOf<'let-go'>): Promise<void> {
  try {
    await shell.store.letGo(copies)
  } catch (error) {
    shell.log('error', `copies can't be let go of: ${asCairnError(error).message}`)
  }
  shell.dispatch({ type: 'gone', keys: copies.map(({ key }) => key) })
  shell.changed()
}

export function copyOf({ key, replicas, claims }: Copy): Copy {
  return { key, replicas, claims: registersOf(claims) }
}

export function knownOf({ held, replicas, claims }: KnownClaims): KnownClaims {
  return { held, replicas, claims: registersOf(claims) }
}

function registersOf(claims: readonly Register[]): Register[] {
  return claims.map(({ claimant, sequence, live }) => ({ claimant, sequence, live }))
}
