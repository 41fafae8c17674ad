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

/** Of `CID/path`, or of a ref's name in its place. @throws CairnError BAD_CID, NOT_FOUND */
export async function find(text: string, client: Client, signal: AbortSignal): Promise<Found> {
  const getBlock = blocksOf(client, signal)
  const { cid: word, path } = parseDagPath(`${await client.place(text, { signal })}`)
  const root = parseCid(word)
  if (path.length === 0) return { cid: root, root, path }
  return { cid: await resolvePath(root, path, getBlock), root, path }
}

export function blocksOf(client: Client, signal: AbortSignal): GetBlock {
  return (cid) => client.getBlock(cid, { signal })
}
