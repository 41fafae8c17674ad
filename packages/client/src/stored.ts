/**
 * Digests that were kept with the data, found again: the records that the pins name, of all nodes that
 * this client knows. A record is what the one who put it said; what a CID says itself goes before it.
 */
import {
  CODECS,
  type Digested,
  type Digests,
  type NamedDigest,
  type Root,
  readFile,
  readRecord,
  type WalkEntry
} from '@cairn/blocks'
import { toHex } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { FetchBlock } from './fetch-blocks.ts'
import { READ_AHEAD_BLOCKS } from './get.ts'
import type { Pin } from './types.ts'

/** Files whose digests are looked for in one pass over the records, at some 300 bytes each. */
const LOOKED_FOR_MAX = 20_000

export interface Records {
  readonly fetchBlock: FetchBlock
  pins(): AsyncIterable<Pin>
  readonly signal: AbortSignal | undefined
}

/** A file that a record names, and the pin that the record is of. */
export interface Found extends Digested {
  readonly pin: Pin
}

/** A file of a tree with the digests that are known of it: none when nobody kept any. */
export interface WithDigests {
  readonly path: readonly string[]
  readonly cid: Root['cid']
  readonly size: number
  readonly digests: Digests
}

async function* filesOf(records: Records, pin: Pin): AsyncGenerator<Digested, void> {
  const { fetchBlock, signal } = records
  if (pin.digests === undefined) return
  const bytes = readFile(pin.digests, (cid) => fetchBlock(cid, { signal }), { readAhead: READ_AHEAD_BLOCKS })
  for await (const file of readRecord(bytes)) if (!contradicted(file)) yield file
}

/** Whether the CID itself says that a digest is another: of a file of one block it holds one. */
function contradicted({ cid, digests }: Digested): boolean {
  if (cid.code !== CODECS.raw) return false
  const name = cid.multihash.code === 0x12 ? 'sha256' : cid.multihash.code === 0x13 ? 'sha512' : undefined
  return name !== undefined && digests[name] !== undefined && digests[name] !== toHex(cid.multihash.digest)
}

/**
 * The files that have this digest, in whatever was pinned; the same one once for each path and pin.
 *
 * @throws CairnError NO_PROVIDER for a record that can't be read, once all others were
 */
export async function* findByDigest(
  records: Records,
  { name, hex }: NamedDigest
): AsyncGenerator<Found, void> {
  let failure: { error: unknown } | undefined
  for await (const pin of records.pins()) {
    try {
      let named = false
      for await (const file of filesOf(records, pin)) {
        if (file.digests[name] !== hex) continue
        named ||= file.cid.equals(pin.root)
        yield { ...file, pin }
      }
      if (named || !isNamedBy(pin.root, { name, hex })) continue
      yield { path: pin.name ?? '-', cid: pin.root, size: pin.bytes, digests: { [name]: hex }, pin }
    } catch (error) {
      records.signal?.throwIfAborted()
      failure ??= { error }
    }
  }
  if (failure !== undefined) throw failure.error
}

/** A file of one block has a digest for its name: it is found though nobody kept digests. */
function isNamedBy({ code, multihash }: CID, { name, hex }: NamedDigest): boolean {
  const hash = name === 'sha256' ? 0x12 : name === 'sha512' ? 0x13 : undefined
  return code === CODECS.raw && multihash.code === hash && toHex(multihash.digest) === hex
}

/** The digests of these contents, by CID, as far as they are known: first by the pin of `root`. */
export async function digestsByCid(
  records: Records,
  cids: readonly CID[],
  root: CID
): Promise<Map<string, Digests>> {
  const wanted = new Set(cids.map(String))
  const found = new Map<string, Digests>()
  let failure: { error: unknown } | undefined
  const first: Pin[] = []
  const others: Pin[] = []
  for await (const pin of records.pins()) (pin.root.equals(root) ? first : others).push(pin)
  for (const pin of [...first, ...others]) {
    if (wanted.size === 0) break
    try {
      for await (const { cid, digests } of filesOf(records, pin)) {
        const key = cid.toString()
        if (!wanted.delete(key)) continue
        found.set(key, digests)
        if (wanted.size === 0) break
      }
    } catch (error) {
      records.signal?.throwIfAborted()
      failure ??= { error }
    }
  }
  // what a record that can't be read might have said must not look like nothing
  if (wanted.size > 0 && failure !== undefined) throw failure.error
  return found
}

/** The files of a tree, in the order of the walk, each with what is known of it. */
export async function* withDigests(
  records: Records,
  root: CID,
  tree: AsyncIterable<WalkEntry>
): AsyncGenerator<WithDigests, void> {
  let batch: Extract<WalkEntry, { type: 'file' }>[] = []
  const looked = async (): Promise<WithDigests[]> => {
    const cids = batch.map(({ cid }) => cid)
    const found = cids.length === 0 ? new Map<string, Digests>() : await digestsByCid(records, cids, root)
    const all = batch.map(({ path, cid, size }) => ({ path, cid, size, digests: found.get(`${cid}`) ?? {} }))
    batch = []
    return all
  }
  for await (const entry of tree) {
    if (entry.type !== 'file') continue
    batch.push(entry)
    if (batch.length === LOOKED_FOR_MAX) yield* await looked()
  }
  yield* await looked()
}
