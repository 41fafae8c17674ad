/**
 * A long list of blocks that is written once and read once, from its end: in a file, but for the last piece.
 * It is no record of anything, and gone when it is closed.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { keyOf } from '@cairn/blocks'
import { type BlockKey, fromHex, toHex } from '@cairn/core'
import type { CID } from 'multiformats/cid'

/** Written and read at once: some 1,800 blocks. */
const PIECE_BYTES = 64 * 1024

export interface Spool {
  add(cid: CID): Promise<void>
  /** The blocks of each piece, the last that was added first. */
  backwards(): AsyncGenerator<BlockKey[], void>
  close(): Promise<void>
}

export function openSpool(path: string): Spool {
  let file: FileHandle | undefined
  const pieces: { at: number; length: number }[] = []
  const last = new Uint8Array(PIECE_BYTES)
  let used = 0
  return {
    async add(cid) {
      const key = fromHex(keyOf(cid))
      if (used + 1 + key.length > PIECE_BYTES) {
        file ??= await open(path, 'w+', 0o600)
        const at = pieces.length * PIECE_BYTES
        await file.write(last, 0, used, at)
        pieces.push({ at, length: used })
        used = 0
      }
      last[used] = key.length
      last.set(key, used + 1)
      used += 1 + key.length
    },
    async *backwards() {
      yield keysIn(last.subarray(0, used))
      for (const { at, length } of pieces.toReversed()) {
        const piece = new Uint8Array(length)
        await file?.read(piece, 0, length, at)
        yield keysIn(piece)
      }
    },
    async close() {
      if (file === undefined) return
      await file.close()
      await rm(path, { force: true })
    }
  }
}

function keysIn(piece: Uint8Array): BlockKey[] {
  const keys: BlockKey[] = []
  for (let at = 0; at < piece.length; ) {
    const length = piece[at] as number
    keys.push(toHex(piece.subarray(at + 1, at + 1 + length)) as BlockKey)
    at += 1 + length
  }
  return keys.reverse()
}
