/** From `CID/path` as typed to the CID of what it names, and blocks as @cairn/blocks asks for them. */
import { type GetBlock, parseCid, resolvePath } from '@cairn/blocks'
import type { Client } from '@cairn/client'
import { parseDagPath } from './parse.ts'

type Cid = ReturnType<typeof parseCid>

export interface Found {
  /** Of what the path leads to. */
  cid: Cid
  root: Cid
  path: string[]
}

/** @throws CairnError BAD_CID, NOT_FOUND when nothing has that name */
export async function find(text: string, getBlock: GetBlock): Promise<Found> {
  const { cid: word, path } = parseDagPath(text)
  const root = parseCid(word)
  if (path.length === 0) return { cid: root, root, path }
  return { cid: await resolvePath(root, path, getBlock), root, path }
}

export function blocksOf(client: Client, signal: AbortSignal): GetBlock {
  return (cid) => client.getBlock(cid, { signal })
}
