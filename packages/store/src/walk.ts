/**
 * Reads a segment group by group, by records alone. Where a record is damaged the next one is looked for
 * at page boundaries: only a record with this store's nonce, naming its own place, counts as one.
 */
import type { Files } from './files.ts'
import { ALIGN_BYTES } from './format.ts'
import { type GroupRecord, readRecord, recordSectionBytes } from './record.ts'

/** Read at once: the record of a group of a few large blocks, and 16 pages when looking for the next. */
const WINDOW_BYTES = 64 * 1024

export interface WalkedGroup {
  record: GroupRecord
  /** The record's section: proofs lie in it at the record's offsets. */
  section: Buffer
}

export interface Walk {
  files: Files
  nonce: Buffer
  segment: number
  from: number
  /** Of the segment. */
  size: number
}

/** Every group that is whole, as far as its length goes: bytes of blocks are not looked at. */
export async function* walk({ files, nonce, segment, from, size }: Walk): AsyncGenerator<WalkedGroup> {
  let window: Buffer = Buffer.alloc(0)
  let start = 0
  for (let at = from; at + ALIGN_BYTES <= size; ) {
    if (at < start || at + ALIGN_BYTES > start + window.length) {
      window = await files.read(segment, at, Math.min(WINDOW_BYTES, size - at))
      start = at
    }
    const bytes = recordSectionBytes(window.subarray(at - start))
    if (bytes === undefined || at + bytes > size) {
      at += ALIGN_BYTES
      continue
    }
    const inWindow = at + bytes <= start + window.length
    const section = inWindow
      ? window.subarray(at - start, at - start + bytes)
      : await files.read(segment, at, bytes)
    const record = readRecord(section, nonce, { segment, offset: at })
    if (record === undefined || at + record.length > size || record.length < bytes) {
      at += ALIGN_BYTES
      continue
    }
    yield { record, section }
    at += record.length
  }
}
