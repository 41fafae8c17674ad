/** A path on disk against what a CID stands for, name by name; of the network's side only nodes are read. */
import { lstat, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { fileBlocks, type GetBlock, hashOf, type TreeEntry, type WalkEntry, walk } from '@cairn/blocks'
import { sameContent, walkPath } from '@cairn/blocks/fs'

type Cid = WalkEntry['cid']

export interface Difference {
  path: string
  what: 'differs' | 'missing here' | 'only here' | 'of another type'
}

export interface CompareOptions {
  getBlock: GetBlock
  signal: AbortSignal
  /** Hidden files that are only on disk count too. */
  hidden: boolean
  onFile: (files: number) => void
}

/** Every difference, in the order of the disk, then what is missing there. Returns how many files agree. */
export async function* compare(
  path: string,
  cid: Cid,
  { getBlock, signal, hidden, onFile }: CompareOptions
): AsyncGenerator<Difference, number> {
  const there = new Map<string, WalkEntry>()
  for await (const entry of walk(cid, getBlock)) there.set(entry.path.join('/'), entry)
  const real = await realpath(path) // whoever names a symlink means what it leads to
  let same = 0
  let files = 0
  for await (const entry of walkPath(real, { hidden: true })) {
    signal.throwIfAborted()
    const name = entry.path.join('/')
    const other = there.get(name)
    there.delete(name)
    if (other === undefined) {
      if (hidden || !entry.path.some((part) => part.startsWith('.'))) yield { path: name, what: 'only here' }
    } else if (other.type !== entry.type) yield { path: name, what: 'of another type' }
    else if (await isSame(join(real, ...entry.path), entry, { other, getBlock }))
      same += entry.type === 'file' ? 1 : 0
    else yield { path: name, what: 'differs' }
    if (entry.type === 'file') onFile(++files)
  }
  for (const name of there.keys()) yield { path: name, what: 'missing here' }
  return same
}

async function isSame(
  path: string,
  entry: TreeEntry,
  { other, getBlock }: { other: WalkEntry; getBlock: GetBlock }
): Promise<boolean> {
  if (entry.type === 'symlink' && other.type === 'symlink') {
    return (await readlink(path, 'buffer')).equals(other.target)
  }
  if (entry.type !== 'file' || other.type !== 'file') return true
  const { size } = await lstat(path)
  if (size !== other.size) return false
  const blocks = fileBlocks(entry.content, { hash: hashOf(other.cid) })
  let next = await blocks.next()
  while (next.done !== true) next = await blocks.next()
  if (next.value.cid.equals(other.cid)) return true
  // cut in another way, perhaps: by its nodes, leaf for leaf
  return await sameContent({ getBlock }, path, other.cid, size)
}
