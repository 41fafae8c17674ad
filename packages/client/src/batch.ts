/**
 * One batch of an upload: blocks written as they come into one buffer that is the CAR to send. The buffers
 * are few and used again: touching fresh memory costs more than the copy.
 */
import { type Block, carOf } from '@cairn/blocks'
import { BLOCK_BYTES_MAX } from '@cairn/core'
import { varint } from 'multiformats'
import type { CID } from 'multiformats/cid'

/** Blocks' bytes of one batch: what the node turns into one group of receipts. A guess. */
export const BATCH_BYTES = 6 * 1024 * 1024
export const BATCH_BLOCKS = 1_024
/** A CID and the length before it: sha2-512 with the longest codec takes 77 + 5 bytes. */
const PREFIX_BYTES = 96
const BUFFER_BYTES = BATCH_BYTES + BLOCK_BYTES_MAX + BATCH_BLOCKS * PREFIX_BYTES

export interface Batch {
  readonly cids: CID[]
  /** Where each block's section ends in the buffer. */
  readonly ends: number[]
  /** Of the blocks alone. */
  bytes: number
  /** Of those, bytes of files: what progress is counted in. */
  fileBytes: number
  /** Blocks that are not of what is put but go with it, and their bytes. */
  beside: number
  besideBytes: number
  readonly buffer: Uint8Array
  readonly headerBytes: number
}

export interface Buffers {
  take(): Uint8Array
  give(buffer: Uint8Array): void
}

export function createBuffers(): Buffers {
  const free: Uint8Array[] = []
  return {
    take: () => free.pop() ?? new Uint8Array(BUFFER_BYTES),
    give: (buffer) => void free.push(buffer)
  }
}

const HEADER = emptyCar()

/** The bytes of a CAR without roots and blocks. */
async function emptyCar(): Promise<Uint8Array> {
  for await (const bytes of carOf([], [])) return bytes
  throw new RangeError('a CAR without a header')
}

export async function newBatch(buffers: Buffers): Promise<Batch> {
  const header = await HEADER
  const buffer = buffers.take()
  buffer.set(header)
  return {
    cids: [],
    ends: [],
    bytes: 0,
    fileBytes: 0,
    beside: 0,
    besideBytes: 0,
    buffer,
    headerBytes: header.length
  }
}

export function isFull(batch: Batch): boolean {
  return batch.bytes >= BATCH_BYTES || batch.cids.length >= BATCH_BLOCKS
}

/** Copies the block in. Its bytes may change afterwards. */
export function addBlock(batch: Batch, { cid, bytes }: Block): void {
  const { buffer } = batch
  const length = cid.bytes.length + bytes.length
  let at = batch.ends.at(-1) ?? batch.headerBytes
  varint.encodeTo(length, buffer, at)
  at += varint.encodingLength(length)
  buffer.set(cid.bytes, at)
  buffer.set(bytes, at + cid.bytes.length)
  batch.cids.push(cid)
  batch.ends.push(at + length)
  batch.bytes += bytes.length
}

/** The CAR of the blocks in `only`, or of all. Valid until the buffer is given back. */
export function carBody(batch: Batch, only?: ReadonlySet<string>): Uint8Array {
  const end = batch.ends.at(-1) ?? batch.headerBytes
  if (only === undefined || only.size === batch.cids.length) return batch.buffer.subarray(0, end)
  const body = new Uint8Array(end)
  body.set(batch.buffer.subarray(0, batch.headerBytes))
  let at = batch.headerBytes
  for (const [i, cid] of batch.cids.entries()) {
    if (!only.has(cid.toString())) continue
    const section = batch.buffer.subarray(batch.ends[i - 1] ?? batch.headerBytes, batch.ends[i])
    body.set(section, at)
    at += section.length
  }
  return body.subarray(0, at)
}
