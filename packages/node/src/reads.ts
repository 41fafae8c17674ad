/**
 * Blocks on their way here: a read's bytes go to whoever waits for them, a repair's into the store. Each
 * is verified before either. Who is asked, and who next, is the core's to say.
 */
import { keyOf, verifyBlock } from '@cairn/blocks'
import {
  type BlockKey,
  CairnError,
  type CoreAction,
  type HeldClaim,
  type PeerId,
  readClaim,
  type Tried
} from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { Got } from './bulk.ts'
import type { Shell } from './shell.ts'
import { asCairnError, keepEntries } from './uploads.ts'

export interface Reads {
  /** From this disk, or another member's. @throws CairnError NO_PROVIDER, BLOCK_CORRUPT */
  get(cid: CID, signal?: AbortSignal): Promise<Uint8Array>
  fetch(action: CoreAction & { type: 'fetch-blocks' }): void
  cancel(transfer: number): void
  over(action: CoreAction & { type: 'read-over' }): void
}

interface Waiting {
  cid: CID
  resolve(bytes: Uint8Array): void
  reject(error: unknown): void
}

/** Holders named in an error. */
const TRIED_NAMED_MAX = 8

export function createReads(shell: () => Shell): Reads {
  const waiting = new Map<BlockKey, Set<Waiting>>()
  const transfers = new Map<number, AbortController>()

  const deliver = (key: BlockKey, bytes: Uint8Array): void => {
    const readers = waiting.get(key)
    waiting.delete(key)
    for (const reader of readers ?? []) reader.resolve(bytes)
  }

  const take = async (action: CoreAction & { type: 'fetch-blocks' }, got: Got): Promise<void> => {
    const { transfer, from, purpose } = action
    const { key, bytes } = got
    const said = (outcome: 'held' | 'absent' | 'corrupt' | 'failed', reason?: string) => {
      const fetched = { type: 'fetched', transfer, key, outcome } as const
      shell().dispatch(reason === undefined ? fetched : { ...fetched, reason })
    }
    if (bytes === undefined) return said('absent')
    try {
      verifyBlock(key, bytes)
    } catch (error) {
      shell().log('warn', `${shell().nameOf(from)} sent a block that is not ${key}`)
      return said('corrupt', asCairnError(error).message)
    }
    deliver(key, bytes)
    if (purpose === 'read') return said('held')
    const claims = checkedClaims(shell(), got, from)
    if (claims.length === 0) return said('failed', 'it came without a claim')
    const answer = await keepEntries(shell(), [{ key, bytes, claims }])
    shell().changed()
    const [item] = answer.items
    if (item?.outcome === 'held') said('held')
    else said('failed', item?.reason)
  }

  return {
    async get(cid, signal) {
      signal?.throwIfAborted()
      const key = keyOf(cid)
      const local = await shell().store.get(key)
      if (local !== undefined) return local
      return await new Promise<Uint8Array>((resolve, reject) => {
        const reader = { cid, resolve, reject }
        const readers = waiting.get(key) ?? new Set()
        waiting.set(key, readers.add(reader))
        const leave = (): void => {
          readers.delete(reader)
          reject(signal?.reason)
          if (readers.size > 0 || waiting.get(key) !== readers) return
          waiting.delete(key)
          shell().dispatch({ type: 'unwant', key })
        }
        signal?.addEventListener('abort', leave, { once: true })
        if (readers.size === 1) shell().dispatch({ type: 'want', key, replicas: shell().network.replicas })
      })
    },
    fetch(action) {
      const { transfer, from, keys } = action
      const abort = new AbortController()
      transfers.set(transfer, abort)
      const onBlock = (got: Got) => take(action, got)
      shell()
        .transport.fetchBlocks(from, keys, { signal: abort.signal, onBlock })
        .then(
          () => undefined,
          (error: unknown) => asCairnError(error).message
        )
        .then((reason) => {
          transfers.delete(transfer)
          shell().dispatch({ type: 'fetch-ended', transfer, reason })
        })
    },
    cancel(transfer) {
      transfers.get(transfer)?.abort(new CairnError('TIMEOUT', 'no longer wanted'))
    },
    over({ key, found, tried }) {
      const readers = waiting.get(key)
      if (readers === undefined) return
      waiting.delete(key)
      for (const reader of readers) {
        if (!found) reader.reject(nobodyHas(shell(), reader.cid, tried))
        else void again(shell(), key, reader) // it came by another way: it is on this disk now
      }
    }
  }
}

async function again(shell: Shell, key: BlockKey, reader: Waiting): Promise<void> {
  try {
    const bytes = await shell.store.get(key)
    if (bytes === undefined) reader.reject(nobodyHas(shell, reader.cid, []))
    else reader.resolve(bytes)
  } catch (error) {
    reader.reject(error)
  }
}

/** The claims that came with a block, those that prove themselves. */
function checkedClaims(shell: Shell, got: Got, from: PeerId): HeldClaim[] {
  const { network, crypto, trusted } = shell
  const claims: HeldClaim[] = []
  for (const proof of got.proofs) {
    try {
      claims.push(readClaim(proof, { network: network.id, key: got.key }, crypto, trusted))
    } catch (error) {
      shell.log('warn', `${shell.nameOf(from)} sent a bad claim: ${asCairnError(error).message}`)
    }
  }
  return claims
}

function nobodyHas(shell: Shell, cid: CID, tried: readonly Tried[]): CairnError {
  const told = tried.slice(0, TRIED_NAMED_MAX).map(({ peer, outcome, reason }) => {
    return `${shell.nameOf(peer)}: ${reason ?? outcome}`
  })
  const corrupt = tried.length > 0 && tried.every(({ outcome }) => outcome === 'corrupt')
  return new CairnError(
    corrupt ? 'BLOCK_CORRUPT' : 'NO_PROVIDER',
    `no member gave ${cid}${told.length === 0 ? ': nobody to ask' : ` (${told.join('; ')})`}`,
    { hint: `cairn status ${cid} tells who should hold it; try again when they are back` }
  )
}
