/**
 * A Cairn store as the blockstore that Helia and other IPFS libraries expect (interface-blockstore 7), by
 * shape alone: nothing of theirs is imported. Keyed by multihash, so a CID of any codec finds its bytes.
 */
import { cidOfKey, keyOf } from '@cairn/blocks'
import { type BlockKey, concat, type HeldClaim, SLOTS } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { Store } from './store.ts'

type Bytes = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>
type Many<T> = Iterable<T> | AsyncIterable<T>

interface Abortable {
  signal?: AbortSignal
}

export interface BlockstorePair {
  cid: CID
  bytes: AsyncGenerator<Uint8Array>
}

export interface Blockstore {
  has(cid: CID, options?: Abortable): Promise<boolean>
  put(cid: CID, bytes: Bytes, options?: Abortable): Promise<CID>
  putMany(pairs: Many<{ cid: CID; bytes: Bytes }>, options?: Abortable): AsyncGenerator<CID>
  get(cid: CID, options?: Abortable): AsyncGenerator<Uint8Array>
  getMany(cids: Many<CID>, options?: Abortable): AsyncGenerator<BlockstorePair>
  /** CIDs come back with the codec raw: the store does not keep codecs. */
  getAll(options?: Abortable): AsyncGenerator<BlockstorePair>
  delete(cid: CID, options?: Abortable): Promise<void>
  deleteMany(cids: Many<CID>, options?: Abortable): AsyncGenerator<CID>
}

/** What those libraries look for, by name. */
class NotFoundError extends Error {
  override readonly name = 'NotFoundError'
  readonly code = 'ERR_NOT_FOUND'
}

/** Blocks of a slot listed at once. */
const PAGE = 256
/** Blocks of `putMany` under way: enough to share a sync, and 64 MiB at most. */
const PUTS_AT_ONCE = 32

export interface BlockstoreOptions {
  /** Why blocks that come this way are kept. Without any, a node would let them go. */
  claims?: readonly HeldClaim[]
}

/** @param store with `keys` (a disk store has it), `getAll` need not look into every slot. */
export function blockstoreOf(
  store: Store & { keys?: () => AsyncIterable<BlockKey> },
  { claims = [] }: BlockstoreOptions = {}
): Blockstore {
  async function put(cid: CID, bytes: Bytes, { signal }: Abortable = {}): Promise<CID> {
    signal?.throwIfAborted()
    await store.put([{ key: keyOf(cid), bytes: await whole(bytes), claims }])
    return cid
  }

  async function* get(cid: CID, { signal }: Abortable = {}): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted()
    const bytes = await store.get(keyOf(cid))
    if (bytes === undefined) throw new NotFoundError(`not held: ${cid}`)
    yield bytes
  }

  async function remove(cid: CID, { signal }: Abortable = {}): Promise<void> {
    signal?.throwIfAborted()
    await store.delete([keyOf(cid)])
  }

  return {
    put,
    get,
    delete: remove,

    async has(cid, { signal } = {}) {
      signal?.throwIfAborted()
      return (await store.stat(keyOf(cid))) !== undefined
    },

    async *putMany(pairs, options) {
      const under: Promise<CID>[] = []
      for await (const { cid, bytes } of pairs) {
        under.push(settled(put(cid, bytes, options)))
        if (under.length >= PUTS_AT_ONCE) yield (await under.shift()) as CID
      }
      for (const done of under) yield await done
    },

    async *getMany(cids, options) {
      for await (const cid of cids) yield { cid, bytes: get(cid, options) }
    },

    async *getAll({ signal } = {}) {
      signal?.throwIfAborted()
      for await (const key of store.keys?.() ?? keysBySlot(store)) {
        const cid = cidOfKey(key, 'raw')
        yield { cid, bytes: get(cid, signal === undefined ? {} : { signal }) }
      }
    },

    async *deleteMany(cids, options) {
      for await (const cid of cids) {
        await remove(cid, options)
        yield cid
      }
    }
  }
}

/** Its failure is seen when its turn comes, not before. */
function settled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  return work
}

async function whole(bytes: Bytes): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(part)
  return parts.length === 1 ? (parts[0] as Uint8Array) : concat(parts)
}

async function* keysBySlot(store: Store): AsyncGenerator<BlockKey> {
  for (let slot = 0; slot < SLOTS; slot++) {
    let page = await store.list(slot, { limit: PAGE })
    while (page.length > 0) {
      for (const { key } of page) yield key
      const after = page.at(-1)?.key as BlockKey
      page = page.length < PAGE ? [] : await store.list(slot, { after, limit: PAGE })
    }
  }
}
