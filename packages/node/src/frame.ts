/**
 * The frames of `/cairn/bulk/1`: four bytes of length, a header in the core's codec, and, where the header
 * lists entries, their proofs and bytes, raw and in its order. Lengths are in the header, so every limit
 * is checked before anything is allocated, and a block is read straight into a buffer of its own.
 */
import {
  BLOCK_BYTES_MAX,
  type BlockKey,
  blockKeyCodec,
  bytes,
  CairnError,
  type Decoded,
  decode,
  encode,
  list,
  oneOf,
  optional,
  RECEIPT_BYTES_MAX,
  struct,
  text,
  union,
  varint
} from '@cairn/core'
import { blockBuffers } from './buffers.ts'
import type { ByteChannel } from './channel.ts'

/** Entries of one frame, and what they may carry. One block with all its proofs always fits. */
export const FRAME_ENTRIES_MAX = 1_024
export const FRAME_BYTES_MAX = 4 * 1024 * 1024
/** Keys of one request. */
export const WANT_KEYS_MAX = 256
/** Proofs of one entry, and the length of each: a claim's part. */
export const PROOFS_MAX = 8
export const PROOF_BYTES_MAX = 4_096
/** A header of 1,024 entries with 66-byte keys and 8 proofs takes 90 KiB, an answer with reasons 205. */
const HEADER_BYTES_MAX = 256 * 1024
const REASON_BYTES_MAX = 200
const LENGTH_BYTES = 4

/** A block to send: its bytes, or only claims on it. */
export interface OutEntry {
  key: BlockKey
  /** Absent: claims only. Must not change until the call settles. */
  bytes?: Uint8Array
  /** Claim parts, at most 8, at most 4 KiB each. */
  proofs: readonly Uint8Array[]
}

export const OUTCOMES = ['held', 'absent', 'full', 'refused', 'failed'] as const
export type Outcome = (typeof OUTCOMES)[number]

const listing = list(
  struct({ key: blockKeyCodec, size: optional(varint), proofs: list(varint, PROOFS_MAX) }),
  FRAME_ENTRIES_MAX
)
export type Listing = Decoded<typeof listing>

const outcome = struct({ outcome: oneOf(OUTCOMES), reason: optional(text(REASON_BYTES_MAX)) })

const message = union(
  {
    /** Here are blocks: store them, answer when they are durable. */
    push: struct({ id: varint, entries: listing }),
    /** What became of a push, in its entries' order. */
    answer: struct({
      id: varint,
      outcomes: list(outcome, FRAME_ENTRIES_MAX),
      receipt: optional(bytes(RECEIPT_BYTES_MAX))
    }),
    /** Send these blocks, within the credit of one request. */
    want: struct({ id: varint, keys: list(blockKeyCodec, WANT_KEYS_MAX) }),
    /** Blocks of a request; an entry without size is not held. */
    blocks: struct({ id: varint, entries: listing }),
    /** So many bytes of a request were used up: send on. */
    credit: struct({ id: varint, bytes: varint }),
    /** Not wanted any more. */
    cancel: struct({ id: varint }),
    /** The request can't be served. */
    failed: struct({ id: varint, reason: text(REASON_BYTES_MAX) }),
    /** Send the claims on these, as entries without size, within the credit of one request. */
    ask: struct({ id: varint, keys: list(blockKeyCodec, WANT_KEYS_MAX) }),
    /** As `want`, for a repair: after those who read. */
    pull: struct({ id: varint, keys: list(blockKeyCodec, WANT_KEYS_MAX) })
  },
  { push: 1, answer: 2, want: 3, blocks: 4, credit: 5, cancel: 6, failed: 7, ask: 8, pull: 9 }
)
export type Message = Decoded<typeof message>

export function malformed(what: string): CairnError {
  return new CairnError('BAD_MESSAGE', `malformed bulk message: ${what}`)
}

/** A reason cut to what fits the wire. */
export function reasonOf(cause: unknown): string {
  const words = cause instanceof Error ? cause.message : String(cause)
  return words.replace(/[^\x20-\x7e]/g, '?').slice(0, REASON_BYTES_MAX)
}

export function encodeHeader(value: Message): Uint8Array {
  const header = encode(message, value)
  const framed = new Uint8Array(LENGTH_BYTES + header.length)
  new DataView(framed.buffer).setUint32(0, header.length)
  framed.set(header, LENGTH_BYTES)
  return framed
}

/** A frame with entries, as parts to send: the blocks' bytes are not copied. */
export function encodeEntries(
  type: 'push' | 'blocks',
  id: number,
  entries: readonly OutEntry[]
): Uint8Array[] {
  const said = entries.map(({ key, bytes: block, proofs }) => ({
    key,
    size: block?.length,
    proofs: proofs.map((proof) => proof.length)
  }))
  const parts = [encodeHeader({ type, id, entries: said })]
  for (const { bytes: block, proofs } of entries) {
    parts.push(...proofs)
    if (block !== undefined) parts.push(block)
  }
  return parts
}

/** The next header, or undefined at the end. @throws CairnError BAD_MESSAGE */
export async function readMessage(channel: ByteChannel): Promise<Message | undefined> {
  const length = new Uint8Array(LENGTH_BYTES)
  if (!(await channel.fill(length, true))) return undefined
  const bytesToCome = new DataView(length.buffer).getUint32(0)
  if (bytesToCome > HEADER_BYTES_MAX) throw malformed(`a header of ${bytesToCome} bytes`)
  const header = new Uint8Array(bytesToCome)
  await channel.fill(header)
  const value = decode(message, header)
  if (value.type === 'push' || value.type === 'blocks') checkListing(value.entries)
  return value
}

function checkListing(entries: Listing): void {
  for (const { size, proofs } of entries) {
    if (size !== undefined && size > BLOCK_BYTES_MAX) throw malformed(`a block of ${size} bytes`)
    const long = proofs.find((length) => length > PROOF_BYTES_MAX)
    if (long !== undefined) throw malformed(`a proof of ${long} bytes`)
  }
  const total = bytesOf(entries)
  if (total > FRAME_BYTES_MAX) throw malformed(`a frame of ${total} bytes`)
}

/** What follows the header of a listing. */
export function bytesOf(entries: Listing): number {
  let total = 0
  for (const { size, proofs } of entries) {
    total += size ?? 0
    for (const length of proofs) total += length
  }
  return total
}

/** Reads what follows a checked header. Blocks may be given back to `blockBuffers` when they are on disk. */
export async function readEntries(channel: ByteChannel, entries: Listing): Promise<OutEntry[]> {
  const read: OutEntry[] = []
  for (const { key, size, proofs: lengths } of entries) {
    const proofs: Uint8Array[] = []
    for (const length of lengths) proofs.push(await filled(channel, length))
    read.push(size === undefined ? { key, proofs } : { key, bytes: await filled(channel, size), proofs })
  }
  return read
}

async function filled(channel: ByteChannel, length: number): Promise<Uint8Array> {
  const buffer = blockBuffers.take(length)
  await channel.fill(buffer)
  return buffer
}

/** A bug of the caller's, found before it becomes the other side's BAD_MESSAGE. */
export function checkEntry({ bytes: block, proofs }: OutEntry): void {
  if (block !== undefined && block.length > BLOCK_BYTES_MAX) throw new RangeError('a block above 2 MiB')
  if (proofs.length > PROOFS_MAX) throw new RangeError(`more than ${PROOFS_MAX} proofs for one block`)
  if (proofs.some((proof) => proof.length > PROOF_BYTES_MAX)) throw new RangeError('a proof above 4 KiB')
}

/** Bytes that an entry adds to a frame. */
export function entryBytes({ bytes: block, proofs }: OutEntry): number {
  return proofs.reduce((sum, proof) => sum + proof.length, block?.length ?? 0)
}
