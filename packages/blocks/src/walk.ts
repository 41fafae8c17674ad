/**
 * Walks over whole DAGs: every file, directory and symlink of a tree with its path, or every block below a
 * CID. A few blocks can make a tree of any size (a directory that holds one directory a thousand times, and
 * so on), so a tree has a limit of entries, and blocks are given once.
 */
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { type Block, CODECS, type GetBlock, keyOf } from './cid.ts'
import { badDag } from './dag-pb.ts'
import { depthFirst } from './depth-first.ts'
import { NESTING_MAX } from './names.ts'
import { FILE_DEPTH_MAX, listing, type ShardPart } from './read.ts'
import { checkCodec, cidOfLink, readNode, type UnixfsNode } from './unixfs.ts'

/** Files, directories and symlinks that a tree may have unless told. A guess: above any seen. */
export const TREE_ENTRIES_MAX = 10_000_000
/** Directories inside one another, each with a shard or two, and a file at the end. */
const DAG_DEPTH_MAX = 4 * NESTING_MAX + FILE_DEPTH_MAX
/** Leaves that are remembered as given, at some 90 bytes each; further ones may be given again. */
const LEAVES_REMEMBERED_MAX = 500_000

export interface WalkOptions {
  readAhead?: number
  entriesMax?: number
}

export type WalkEntry =
  | {
      readonly type: 'file'
      readonly path: readonly string[]
      readonly cid: CID
      /** Bytes, as the file's root claims; if that is its only block, as its directory does. */
      readonly size: number
    }
  | { readonly type: 'directory'; readonly path: readonly string[]; readonly cid: CID }
  | {
      readonly type: 'symlink'
      readonly path: readonly string[]
      readonly cid: CID
      readonly target: Uint8Array
    }

interface Step {
  readonly path: readonly string[]
  readonly part: ShardPart
  /** What the directory said of it. */
  readonly dagSize: number | undefined
}

/**
 * Every file, directory and symlink below `cid`, itself first with an empty path; a directory before what
 * it holds. Of a file only the root is read, and not even that if it is a leaf.
 *
 * @throws CairnError BAD_DAG, UNSAFE_PATH for a name that no directory may hold
 */
export async function* walk(
  cid: CID,
  getBlock: GetBlock,
  options: WalkOptions = {}
): AsyncGenerator<WalkEntry, void> {
  const entriesMax = options.entriesMax ?? TREE_ENTRIES_MAX
  const nodes = new Map<Step, UnixfsNode>()
  keyOf(cid)
  checkCodec(cid)
  const steps = depthFirst<Step, Uint8Array | undefined>(
    { path: [], part: { cid, depth: 0, bits: undefined, places: [] }, dagSize: undefined },
    {
      fetch: async ({ part, dagSize }) =>
        part.cid.code === CODECS.raw && part.depth === 0 && dagSize !== undefined
          ? undefined
          : getBlock(part.cid),
      expand(step, bytes) {
        if (bytes === undefined) return []
        const node = readNode(step.part.cid, bytes)
        nodes.set(step, node)
        return step.part.depth > 0 || node.type === 'directory' || node.type === 'shard'
          ? stepsBelow(step, node)
          : []
      },
      readAhead: options.readAhead
    }
  )
  let count = 0
  for await (const { item: step } of steps) {
    const node = nodes.get(step)
    nodes.delete(step)
    if (step.part.depth > 0) continue // a shard: its directory was given before
    if (++count > entriesMax) throw tooMany(cid, entriesMax)
    yield entryOf(step, node)
  }
}

function tooMany(cid: CID, entriesMax: number): CairnError {
  return new CairnError('BAD_DAG', `${cid} holds more than ${entriesMax} files and directories`, {
    hint: 'it may be built to exhaust whoever reads it; raise entriesMax if you trust it'
  })
}

function stepsBelow({ path, part }: Step, node: UnixfsNode): Step[] {
  const { entries, shards } = listing(part, node)
  if (entries.length > 0 && path.length === NESTING_MAX)
    badDag(`more than ${NESTING_MAX} directories in one another`)
  return [
    ...entries.map(({ name, cid, dagSize }) => ({
      path: [...path, name],
      part: { cid, depth: 0, bits: undefined, places: [] },
      dagSize
    })),
    ...shards.map((shard) => ({ path, part: shard, dagSize: undefined }))
  ]
}

function entryOf({ path, part: { cid }, dagSize }: Step, node: UnixfsNode | undefined): WalkEntry {
  switch (node?.type) {
    case undefined:
      return { type: 'file', path, cid, size: dagSize ?? 0 }
    case 'file':
      return { type: 'file', path, cid, size: node.size }
    case 'directory':
    case 'shard':
      return { type: 'directory', path, cid }
    case 'symlink':
      return { type: 'symlink', path, cid, target: node.target }
  }
}

interface Below {
  readonly cid: CID
  readonly depth: number
}

/**
 * Every block of the DAG below `cid`, itself first, depth first in the order of the links. A block comes
 * once, where it is met first; a leaf may come again after half a million different ones. What `skip` knows
 * is left out, with all that is below it.
 *
 * @throws CairnError BAD_DAG when it is not made of files and directories
 */
export async function* dagBlocks(
  cid: CID,
  getBlock: GetBlock,
  { readAhead, skip }: { readAhead?: number; skip?: (cid: CID) => boolean } = {}
): AsyncGenerator<Block, void> {
  keyOf(cid)
  checkCodec(cid)
  const seen = new Set<string>()
  let leaves = 0
  const steps = depthFirst<Below, Uint8Array>(
    { cid, depth: 0 },
    {
      fetch: (below) => getBlock(below.cid),
      expand(below, bytes) {
        const leaf = below.cid.code === CODECS.raw
        if (leaf) leaves++
        if (!leaf || leaves <= LEAVES_REMEMBERED_MAX) seen.add(seenAs(below.cid))
        return linksBelow(below, bytes)
      },
      skip: (below) => seen.has(seenAs(below.cid)) || skip?.(below.cid) === true,
      readAhead
    }
  )
  for await (const { item, value } of steps) yield { cid: item.cid, bytes: value }
}

/** Keyed by codec too: the same bytes as a leaf have nothing below them, as a node they may. */
function seenAs({ code, multihash }: CID): string {
  return `${code === CODECS.raw ? 'r' : 'p'}${String.fromCharCode(...multihash.bytes)}`
}

function linksBelow({ cid, depth }: Below, bytes: Uint8Array): Below[] {
  const node = readNode(cid, bytes)
  if (node.type === 'symlink' || node.links.length === 0) return []
  if (depth === DAG_DEPTH_MAX) badDag(`a DAG of more than ${DAG_DEPTH_MAX} levels`)
  const below = new Map<string, Below>()
  for (const link of node.links) {
    const child = cidOfLink(link)
    const key = seenAs(child)
    if (!below.has(key)) below.set(key, { cid: child, depth: depth + 1 })
  }
  return [...below.values()]
}
