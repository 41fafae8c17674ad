/** A DAG as far as it can be read: what no member gives is told, and the walk goes on beside it. */
import { type Block, dagBlocks } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { Shell } from './shell.ts'

/** Stands for a node that can't be read: a directory with nothing in it (UnixFS in dag-pb). */
const EMPTY_NODE = Uint8Array.of(0x0a, 0x02, 0x08, 0x01)
const CODE_RAW = 0x55

export interface Reached {
  cid: CID
  /** Bytes; undefined when nobody gave the block, and then what is below it was not reached either. */
  size: number | undefined
}

export async function* reachable(
  shell: Shell,
  root: CID,
  signal?: AbortSignal
): AsyncGenerator<Reached, void> {
  for await (const { cid, bytes } of reachableBlocks(shell, root, signal)) yield { cid, size: bytes?.length }
}

/** The same with the blocks' bytes: verified, and undefined where nobody gave them. */
export async function* reachableBlocks(
  shell: Shell,
  root: CID,
  signal?: AbortSignal
): AsyncGenerator<{ cid: CID; bytes: Uint8Array | undefined }, void> {
  const missing = new Set<string>()
  const getBlock = async (cid: CID): Promise<Uint8Array> => {
    try {
      return await shell.reads.get(cid, signal)
    } catch (error) {
      if (!CairnError.is(error, 'NO_PROVIDER') && !CairnError.is(error, 'BLOCK_CORRUPT')) throw error
      missing.add(`${cid}`)
      return cid.code === CODE_RAW ? new Uint8Array() : EMPTY_NODE
    }
  }
  for await (const { cid, bytes } of dagBlocks(root, getBlock) as AsyncIterable<Block>) {
    yield { cid, bytes: missing.has(`${cid}`) ? undefined : bytes }
  }
}
