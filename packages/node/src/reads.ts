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
import type { Entry } from '@cairn/store'
import type { CID } from 'multiformats/cid'
import { blockBuffers } from './buffers.ts'
import type { Got } from './bulk.ts'
import { reasonOf } from './frame.ts'
import { gathered, together } from './gather.ts'
import type { Answer } from './serve.ts'
import type { Shell } from './shell.ts'
import { outOfRoom } from './summaries.ts'
import { asCairnError, storeEntries } from './uploads.ts'

export interface Reads {
  /**
   * From this disk, or another member's: also from mirrors of the ref of this id.
   * @throws CairnError NO_PROVIDER, BLOCK_CORRUPT
   */
  get(cid: CID, signal?: AbortSignal, ref?: string): Promise<Uint8Array>
  fetch(action: CoreAction & { type: 'fetch-blocks' }): void
  cancel(transfer: number): void
  over(action: CoreAction & { type: 'read-over' }): void
  /** Kept by repair since the start. */
  repaired(): { blocks: number; bytes: number }
  /** Fails all reads under way, and those to come. */
  close(error: CairnError): void
}

interface Waiting {
  cid: CID
  resolve(bytes: Uint8Array): void
  reject(error: unknown): void
}

/** Blocks of one transfer that are on their way to the disk, bytes: they share its syncs. A guess. */
const KEEPING_BYTES_MAX = 8 * 1024 * 1024
/** Blocks looked for on this disk, or asked of others, together. Callers bound their bytes. */
const LOOK_MAX = 256
/** Blocks stored with one call. */
const KEEP_MAX = 256
/** What came by repair is told to those who listen once per this. */
const TELL_MS = 1_000
/** Holders named in an error. */
const TRIED_NAMED_MAX = 8

export function createReads(shell: () => Shell): Reads {
  const waiting = new Map<BlockKey, Set<Waiting>>()
  const transfers = new Map<number, AbortController>()
  const repaired = repairs(shell)
  const keep = together((entries: Entry[]) => shell().during(keepAll(shell(), entries)), {
    most: KEEP_MAX,
    soon: setImmediate
  })
  const look = together((keys: BlockKey[]) => shell().store.getMany(keys), {
    most: LOOK_MAX,
    soon: setImmediate
  })
  const want = gathered<{ key: BlockKey; ref: string | undefined }>(
    (all) => {
      const left = all.filter(({ key }) => waiting.has(key)) // some may have been given up since
      const { replicas } = shell().network
      for (const [ref, some] of Map.groupBy(left, (one) => one.ref)) {
        const event = { type: 'want', keys: some.map(({ key }) => key), replicas } as const
        shell().dispatch(ref === undefined ? event : { ...event, ref })
      }
    },
    { most: LOOK_MAX, soon: setImmediate }
  )

  /** Each reader may give the bytes back, and so is to do the caller. */
  const deliver = (key: BlockKey, bytes: Uint8Array): void => {
    const readers = waiting.get(key) ?? new Set()
    waiting.delete(key)
    for (const reader of readers) {
      blockBuffers.share(bytes)
      reader.resolve(bytes)
    }
  }

  const take = async (action: CoreAction & { type: 'fetch-blocks' }, got: Got): Promise<void> => {
    const { transfer, from, purpose } = action
    const { key, bytes } = got
    const size = bytes?.length ?? 0
    const said = (outcome: 'held' | 'absent' | 'corrupt' | 'failed', reason?: string) => {
      const fetched = { type: 'fetched', transfer, key, outcome } as const
      shell().dispatch(reason === undefined ? fetched : { ...fetched, reason })
    }
    if (bytes === undefined) return said('absent', whyAbsent(got))
    try {
      verifyBlock(key, bytes)
    } catch (error) {
      shell().log('warn', `${shell().nameOf(from)} sent a block that is not ${key}`)
      return said('corrupt', asCairnError(error).message)
    }
    deliver(key, bytes)
    if (purpose === 'read') {
      blockBuffers.give(bytes)
      return said('held')
    }
    const claims = checkedClaims(shell(), got, from)
    if (claims.length === 0) return said('failed', 'it came without a claim')
    const item = await keep({ key, bytes, claims, verified: true })
    blockBuffers.give(bytes)
    if (item.outcome !== 'held') return said('failed', item.reason)
    repaired.add(size)
    // before anything else says that it is here: the core notes of whom the claims were taken
    said('held')
    shell().dispatch({ type: 'stored', keys: [key] })
  }

  /** Fetches and resolves, never rejects, with why it ended early. Blocks go to the disk side by side. */
  const transfer = async (
    action: CoreAction & { type: 'fetch-blocks' },
    signal: AbortSignal
  ): Promise<string | undefined> => {
    const keeping = new Map<Promise<void>, number>()
    let bytes = 0
    const onBlock = async (got: Got): Promise<void> => {
      const size = got.bytes?.length ?? 0
      const done: Promise<void> = take(action, got).finally(() => {
        bytes -= size
        keeping.delete(done)
      })
      done.catch(() => undefined) // awaited below, with all others
      keeping.set(done, size)
      bytes += size
      while (bytes > KEEPING_BYTES_MAX) await Promise.race(keeping.keys())
    }
    try {
      const { from, keys, yields } = action
      await shell().transport.fetchBlocks(from, keys, { signal, yields, onBlock })
      await Promise.all(keeping.keys())
      return undefined
    } catch (error) {
      return asCairnError(error).message
    } finally {
      await Promise.allSettled(keeping.keys())
    }
  }

  return {
    async get(cid, signal, ref) {
      signal?.throwIfAborted()
      shell().usable()
      const key = keyOf(cid)
      const local = await look(key)
      if (local !== undefined) return local
      signal?.throwIfAborted() // meanwhile: an event that was before its listener never comes
      shell().usable()
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
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
      signal?.addEventListener('abort', leave)
      try {
        if (readers.size === 1) want({ key, ref })
        return await promise
      } finally {
        signal?.removeEventListener('abort', leave)
      }
    },
    fetch(action) {
      const { transfer: id, purpose } = action
      const ended = (reason: string | undefined): void => {
        transfers.delete(id)
        shell().dispatch({ type: 'fetch-ended', transfer: id, reason })
      }
      // Bytes that have no room would only be thrown away.
      if (purpose === 'repair' && outOfRoom(shell().store.usage())) return ended('no room on this disk')
      const abort = new AbortController()
      transfers.set(id, abort)
      void transfer(action, abort.signal).then(ended)
    },
    cancel(transfer) {
      transfers.get(transfer)?.abort(new CairnError('TIMEOUT', 'no longer wanted'))
    },
    over({ key, found, tried }) {
      const readers = waiting.get(key)
      if (readers === undefined) return
      waiting.delete(key)
      // Found: it came by another way and is on this disk. Not found: it may have come meanwhile.
      void shell().during(lastLook(shell(), key, { readers, tried: found ? [] : tried }))
    },
    repaired: () => ({ ...repaired.all }),
    close(error) {
      repaired.tell()
      for (const abort of transfers.values()) abort.abort(error)
      for (const readers of waiting.values()) for (const reader of readers) reader.reject(error)
      waiting.clear()
    }
  }
}

/** Stores what came in one turn with one call: they share a claim's check, a record and a sync. */
async function keepAll(shell: Shell, entries: readonly Entry[]): Promise<Answer['items']> {
  const byKey = new Map(entries.map((entry) => [entry.key, entry]))
  const { items } = await storeEntries(shell, [...byKey.values()])
  shell.changed()
  const outcome = new Map(items.map((item) => [item.key, item]))
  return entries.map(({ key }) => outcome.get(key) as Answer['items'][number])
}

async function lastLook(
  shell: Shell,
  key: BlockKey,
  { readers, tried }: { readers: ReadonlySet<Waiting>; tried: readonly Tried[] }
): Promise<void> {
  try {
    const bytes = await shell.store.get(key)
    for (const reader of readers) {
      if (bytes === undefined) reader.reject(nobodyHas(shell, reader.cid, tried))
      else {
        blockBuffers.share(bytes)
        reader.resolve(bytes)
      }
    }
    if (bytes !== undefined) blockBuffers.give(bytes)
  } catch (error) {
    for (const reader of readers) reader.reject(error)
  }
}

/** Gathers what repair brought, for one event a second. */
function repairs(shell: () => Shell) {
  const all = { blocks: 0, bytes: 0 }
  let told = { ...all }
  let timer: NodeJS.Timeout | undefined
  const tell = (): void => {
    clearTimeout(timer)
    timer = undefined
    const [blocks, bytes] = [all.blocks - told.blocks, all.bytes - told.bytes]
    if (blocks === 0) return
    const left = shell().core.fetches.wants.byKey.size
    shell().events.emit({ type: 'repair', blocks, bytes, left, atMs: Date.now() })
    told = { ...all }
  }
  return {
    all,
    tell,
    add(size: number): void {
      all.blocks++
      all.bytes += size
      timer ??= setTimeout(tell, TELL_MS)
    }
  }
}

/** The claims that came with a block, those that prove themselves. */
export function checkedClaims(shell: Shell, got: Got, from: PeerId): HeldClaim[] {
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

/** Of what is not given, the holder's word: an entry without bytes has it in the place of a proof. */
function whyAbsent({ proofs: [why] }: Got): string {
  return why === undefined || why.length === 0 ? 'it does not have it' : reasonOf(Buffer.from(why).toString())
}

function nobodyHas(shell: Shell, cid: CID, tried: readonly Tried[]): CairnError {
  const told = tried.slice(0, TRIED_NAMED_MAX).map(({ peer, outcome, reason }) => {
    return `${shell.nameOf(peer)}: ${reason ?? outcome}`
  })
  const corrupt = tried.length > 0 && tried.every(({ outcome }) => outcome === 'corrupt')
  if (shell.damage.isDamaged(keyOf(cid))) told.push(`${shell.nameOf(shell.id)}: the copy here was damaged`)
  return new CairnError(
    corrupt ? 'BLOCK_CORRUPT' : 'NO_PROVIDER',
    `no member gave ${cid}${told.length === 0 ? ': nobody to ask' : ` (${told.join('; ')})`}`,
    { hint: `cairn status ${cid} tells who should hold it; try again when they are back` }
  )
}
