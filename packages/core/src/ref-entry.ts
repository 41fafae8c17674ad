/**
 * What is known of one ref: the highest record that was acknowledged, records above it that may yet be, and
 * acknowledged ones that it did not follow (forks). Two such entries merge into one whatever the order.
 */
import type { PeerId } from './block.ts'
import { toHex, toUtf8 } from './bytes.ts'
import { bytes, type Decoded, list, struct } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { compareRefs, isAcknowledged, REF_BYTES_MAX, type RefRecord, readRef } from './ref.ts'
import { type RefReceipt, readVote, refReceiptBytes } from './ref-receipt.ts'

/** Records above the acknowledged one that are kept: a key on as many devices, all at once. */
export const RIVALS_MAX = 6
/** Acknowledged records off the line that are kept as evidence, and shown. */
export const FORKS_MAX = 3
/** Receipts of one record: two electorates of the largest size. */
const RECEIPTS_MAX = 64
/** Of an entry in one message, with room for the rest of the message. */
export const ENTRY_BYTES_MAX = 56 * 1024

const recordsCodec = list(
  struct({ record: bytes(REF_BYTES_MAX), receipts: list(refReceiptBytes, RECEIPTS_MAX) }),
  1 + RIVALS_MAX + FORKS_MAX
)
/** An entry on the wire and on disk: its records, each with its receipts. */
export const refEntryCodec = struct({ records: recordsCodec })
export type RefEntryBytes = Decoded<typeof refEntryCodec>

/** A record and who has acknowledged it, as far as is known here. */
export interface KnownRef {
  readonly record: RefRecord
  readonly receipts: Map<PeerId, RefReceipt>
}

export interface RefEntry {
  readonly id: string
  /** Acknowledged, and the highest of those. */
  best: KnownRef | undefined
  /** Not acknowledged as far as is known, and above `best`; in the order of rank, then hash. */
  rivals: KnownRef[]
  /** Acknowledged, and not on the line that leads to `best`. */
  forks: KnownRef[]
}

export function emptyEntry(id: string): RefEntry {
  return { id, best: undefined, rivals: [], forks: [] }
}

export function recordsOf({ best, rivals, forks }: RefEntry): KnownRef[] {
  return [...(best === undefined ? [] : [best]), ...rivals, ...forks]
}

export function knownAcknowledged({ record, receipts }: KnownRef): boolean {
  return isAcknowledged(record, receipts)
}

/**
 * Reads what a peer or a disk says of a ref. Bytes that are known already are not verified again.
 * @throws CairnError BAD_MESSAGE, WRONG_NETWORK
 */
export function readEntry(
  from: RefEntryBytes,
  network: string,
  crypto: Pick<Crypto, 'sha256' | 'verify'>,
  known?: RefEntry
): KnownRef[] {
  const before = new Map((known === undefined ? [] : recordsOf(known)).map((one) => [one.record.hash, one]))
  return from.records.map(({ record: raw, receipts: votes }) => {
    const same = before.get(toHex(crypto.sha256(raw)))
    const record = same?.record ?? readRef(raw, network, crypto)
    const receipts = new Map<PeerId, RefReceipt>()
    for (const bytes of votes) {
      const seen = same && [...same.receipts.values()].find((one) => toHex(one.bytes) === toHex(bytes))
      const vote = seen ?? readVote(bytes, network, crypto)
      if (vote.hash === record.hash) receipts.set(vote.voter, vote)
    }
    return { record, receipts }
  })
}

/** The entry's bytes, within a message: what matters least is left out first. */
export function writeEntry(entry: RefEntry): RefEntryBytes {
  const records: RefEntryBytes['records'] = []
  let size = 0
  for (const { record, receipts } of recordsOf(entry)) {
    const votes = [...receipts.values()].map((vote) => vote.bytes).slice(0, RECEIPTS_MAX)
    size += record.bytes.length + votes.reduce((sum, vote) => sum + vote.length + 2, 8)
    if (size > ENTRY_BYTES_MAX) break
    records.push({ record: record.bytes, receipts: votes })
  }
  return { records }
}

/** Takes what another knows of the ref. Returns whether anything here changed by it. */
export function mergeEntry(entry: RefEntry, more: readonly KnownRef[], sha256: Crypto['sha256']): boolean {
  const before = entryDigest(entry, sha256)
  const byHash = new Map(recordsOf(entry).map((one) => [one.record.hash, one]))
  for (const { record, receipts } of more) {
    if (record.id !== entry.id) continue
    const known = byHash.get(record.hash)
    if (known === undefined) byHash.set(record.hash, { record, receipts: new Map(receipts) })
    else for (const [voter, vote] of receipts) if (!known.receipts.has(voter)) known.receipts.set(voter, vote)
  }
  arrange(entry, [...byHash.values()])
  return entryDigest(entry, sha256) !== before
}

function arrange(entry: RefEntry, all: readonly KnownRef[]): void {
  const ranked = [...all].sort((a, b) => compareRefs(b.record, a.record) || byHash(a, b))
  const acknowledged = ranked.filter(knownAcknowledged)
  const best = acknowledged[0]
  entry.best = best
  const open = ranked.filter(
    (one) => !knownAcknowledged(one) && (best === undefined || compareRefs(one.record, best.record) > 0)
  )
  const bySupport = (a: KnownRef, b: KnownRef) => b.receipts.size - a.receipts.size || byHash(a, b)
  entry.rivals = [...open].sort(bySupport).slice(0, RIVALS_MAX).reverse()
  entry.rivals.sort((a, b) => compareRefs(a.record, b.record) || byHash(a, b))
  entry.forks = acknowledged.filter((one) => best !== undefined && isFork(one, best)).slice(0, FORKS_MAX)
}

/** Acknowledged at the same rank as `best`, or by those whom a recovery gave up, past what it built on. */
function isFork({ record }: KnownRef, { record: best }: KnownRef): boolean {
  if (record.hash === best.hash) return false
  if (record.epoch === best.epoch) return record.sequence === best.sequence
  return record.sequence >= best.since
}

function byHash(a: KnownRef, b: KnownRef): number {
  return a.record.hash < b.record.hash ? -1 : a.record.hash > b.record.hash ? 1 : 0
}

/** The same for the same records and receipts: 8 bytes as hex. */
export function entryDigest(entry: RefEntry, sha256: Crypto['sha256']): string {
  const lines = recordsOf(entry).map(
    ({ record, receipts }) => `${record.hash} ${[...receipts.keys()].sort()}`
  )
  return toHex(sha256(toUtf8(lines.sort().join('\n'))).subarray(0, 8))
}
