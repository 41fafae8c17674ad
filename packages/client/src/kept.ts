/**
 * What a ref keeps already, so that an update sends and claims the difference alone: directories, symlinks
 * and the roots of files, not their leaves. A file whose root is kept is kept whole.
 */
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { UploadBlocks } from './digested.ts'
import type { FetchBlock } from './fetch-blocks.ts'
import { walkFrom } from './get.ts'
import type { Refs } from './refs.ts'

/** Entries of a tree that are remembered, at some 130 bytes each; of a larger one all is sent by name. */
const ENTRIES_MAX = 500_000

export interface Kept {
  /** Of the ref, when it was looked at. */
  readonly sequence: number
  has(cid: CID): boolean
}

/** Undefined where there is no ref, and where what it keeps may lapse before it is updated. */
export async function keptBelow(
  refs: Pick<Refs, 'get'>,
  fetchBlock: FetchBlock,
  name: string,
  signal: AbortSignal | undefined
): Promise<Kept | undefined> {
  try {
    const { root, sequence, lifetimeMs } = await refs.get(name, signal === undefined ? {} : { signal })
    if (root === undefined || lifetimeMs > 0) return undefined
    const kept = new Set<string>()
    for await (const { cid } of walkFrom(fetchBlock, root, signal)) {
      kept.add(`${cid}`)
      if (kept.size > ENTRIES_MAX) return undefined
    }
    return { sequence, has: (cid) => kept.has(`${cid}`) }
  } catch (error) {
    if (CairnError.is(error) && EXPECTED.includes(error.code)) return undefined
    throw error
  }
}

/** There is none, or not all of it can be read: then everything is looked at. */
const EXPECTED: readonly CairnError['code'][] = ['NOT_FOUND', 'NO_PROVIDER', 'BAD_DAG', 'UNSAFE_PATH']

/** The blocks that the ref does not keep yet. */
export async function* withoutKept(blocks: UploadBlocks, kept: Kept): UploadBlocks {
  try {
    let next = await blocks.next()
    for (; next.done !== true; next = await blocks.next()) {
      if (next.value.beside === true || !kept.has(next.value.cid)) yield next.value
    }
    return next.value
  } finally {
    await blocks.return(undefined as never) // who leaves early closes the source with it
  }
}
