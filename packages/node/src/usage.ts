/**
 * What names and pins take, by walking what each keeps: of a block that several keep, each has a share in it,
 * and nobody has it alone. Leaves are not read: their sizes are in the nodes that link to them.
 */
import { readNode } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import { CID } from 'multiformats/cid'
import type { NameUsage, UsageReport } from './api.ts'
import type { RefRecordView } from './api-refs.ts'
import { cidSet } from './cid-set.ts'
import { pinOf } from './pins.ts'
import { blocksBelow, keptOf } from './ref-tidy.ts'
import type { Shell } from './shell.ts'

/** Blocks of all names that are told apart: some 100 MB of memory. */
const BLOCKS_MAX = 1_500_000
/** In the place of the name that has a block alone. */
const SHARED = -1
const CODE_RAW = 0x55

export async function usageOf(shell: Shell, signal?: AbortSignal): Promise<UsageReport> {
  const refs = await shell.refs.list()
  const names = refs.map((ref) => newUsage(ref))
  const blocks = cidSet()
  /** By a block's number. */
  const sizes: number[] = []
  const owners: number[] = []
  const count = (name: number, cid: CID, size: number): void => {
    const mine = names[name] as NameUsage
    mine.blocks++
    mine.bytes += size
    const known = blocks.indexOf(cid)
    if (known < 0) {
      blocks.add(cid)
      sizes.push(size)
      owners.push(name)
      mine.own.blocks++
      mine.own.bytes += size
      return
    }
    const other = owners[known] as number
    if (other === SHARED || other === name) return
    owners[known] = SHARED
    const alone = names[other]?.own ?? { blocks: 0, bytes: 0 }
    alone.blocks--
    alone.bytes -= sizes[known] as number
  }
  for (const [name, ref] of refs.entries()) {
    for await (const { cid, size } of below(shell, ref, names[name] as NameUsage, signal)) {
      if (blocks.size >= BLOCKS_MAX) {
        throw new CairnError('TOO_LARGE', `all names together keep over ${BLOCKS_MAX} blocks`, {
          hint: 'cairn status tells what all of it takes'
        })
      }
      count(name, cid, size)
    }
  }
  return { names, blocks: blocks.size, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

function newUsage(ref: RefRecordView): NameUsage {
  const pin = pinOf(ref)
  const { owner, name, sequence, replicas, root } = ref
  const title = pin === undefined ? name : (pin.name ?? '-')
  const none = { roots: 0, blocks: 0, bytes: 0, own: { blocks: 0, bytes: 0 }, unread: 0 }
  const about = { owner, name: title, kind: pin === undefined ? 'ref' : 'pin', sequence, replicas } as const
  return { ...about, ...(root === undefined ? {} : { root }), ...none }
}

/** Each block that a name keeps, once. What can't be read is counted, and the rest goes on beside it. */
async function* below(
  shell: Shell,
  ref: RefRecordView,
  usage: NameUsage,
  signal: AbortSignal | undefined
): AsyncGenerator<{ cid: CID; size: number }, void> {
  const seen = cidSet()
  const sizes = new Map<string, number>()
  const get = async (cid: CID): Promise<Uint8Array> => {
    const bytes = await shell.reads.get(cid, signal)
    sizes.set(`${cid}`, bytes.length)
    const { links = [] } = readNode(cid, bytes) as { links?: readonly { cid: Uint8Array; size: number }[] }
    for (const link of links) {
      const to = CID.decode(link.cid)
      if (to.code === CODE_RAW) sizes.set(`${to}`, link.size)
    }
    return bytes
  }
  for (const root of keptOf(ref)) {
    signal?.throwIfAborted()
    usage.roots++
    try {
      if (root.code === CODE_RAW) sizes.set(`${root}`, (await shell.reads.get(root, signal)).length)
      for await (const cid of blocksBelow(shell, root, seen, get)) {
        seen.add(cid)
        const size = sizes.get(`${cid}`) ?? 0
        sizes.delete(`${cid}`)
        yield { cid, size }
      }
    } catch (error) {
      if (!CairnError.is(error, 'NO_PROVIDER') && !CairnError.is(error, 'BAD_DAG')) throw error
      usage.unread++
    }
  }
}
