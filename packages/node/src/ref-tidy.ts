/**
 * Ends the claims of what a ref keeps no longer. Of each root the blocks that no kept root needs end, the
 * leaves first and the root last: whoever goes on where another stopped still finds the way, and a root that
 * has ended is done with.
 */
import { join } from 'node:path'
import { cidOfKey, dagBlocks, keyOf } from '@cairn/blocks'
import {
  actingHolders,
  type BlockKey,
  CairnError,
  claimantOf,
  claimSequence,
  type HeldClaim,
  keptRoots,
  type RefRecord,
  slotOf,
  toEnd
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import { type CidSet, cidSet } from './cid-set.ts'
import { checkedClaims } from './reads.ts'
import type { Shell } from './shell.ts'
import { openSpool, type Spool } from './spool.ts'

/** Blocks that a ref may keep for its earlier roots to be let go of: some 80 MB of memory. */
const KEPT_MAX = 2_000_000
const UPLOAD_ID_BYTES = 16
const CODE_RAW = 0x55
const NOTHING = new Uint8Array()
/** Stands for a node that has ended: a directory with nothing in it (UnixFS in dag-pb). */
const EMPTY_NODE = Uint8Array.of(0x0a, 0x02, 0x08, 0x01)

export interface RefTidy {
  /** Ends what an acknowledged record does not keep. @throws NO_PROVIDER while members are away */
  tidy(record: RefRecord, expired: boolean): Promise<void>
  /** The same of these roots alone. */
  end(record: RefRecord, roots: readonly CID[]): Promise<void>
}

export function createRefTidy(shell: () => Shell, home: string): RefTidy {
  let spools = 0
  const end = async (record: RefRecord, roots: readonly CID[], kept: readonly CID[]): Promise<void> => {
    const open: CID[] = []
    for (const root of roots) if (!(await hasEnded(shell(), record, root))) open.push(root)
    if (open.length === 0) return
    const keep = cidSet()
    for (const root of kept) await addKept(shell(), root, keep)
    for (const root of open) {
      const spool = openSpool(join(home, 'refs', `${record.id}.${spools++}.ending`))
      try {
        await endBelow(shell(), record, { root, keep, spool })
      } finally {
        await spool.close()
      }
    }
  }
  return {
    async tidy(record, expired) {
      const { roots, kept } = toEnd(record, expired)
      const digests = digestRoots(record, expired)
      const decoded = (all: readonly Uint8Array[]) => all.map((root) => CID.decode(root))
      await end(record, [...decoded(roots), ...digests.rest], [...decoded(kept), ...digests.kept])
    },
    end: (record, roots) => end(record, roots, rootsOf(record))
  }
}

/**
 * The records of digests that a ref's metadata names, the latest first: kept as long as the roots that they
 * were put with.
 */
export function digestRoots(record: RefRecord, expired = false): { kept: CID[]; rest: CID[] } {
  const value = record.metadata.find(({ key }) => key === 'digests')?.value ?? ''
  const all = value.split(' ').flatMap((text) => parsed(text) ?? [])
  const count = record.root === undefined || expired ? 0 : record.keep + 1
  return { kept: all.slice(0, count), rest: all.slice(count) }
}

function parsed(text: string): CID | undefined {
  try {
    return CID.parse(text)
  } catch {
    return undefined // whoever signs a ref may write what it likes
  }
}

/** All that a record keeps, what it points to first. */
export function rootsOf(record: RefRecord): CID[] {
  return [...keptRoots(record).map((one) => CID.decode(one)), ...digestRoots(record).kept]
}

/** The blocks below a root that are not in `shared`. Leaves are not read: their CIDs are enough. */
export async function* blocksBelow(
  shell: Shell,
  root: CID,
  shared: CidSet,
  get: (cid: CID) => Promise<Uint8Array> = (cid) => shell.reads.get(cid)
): AsyncGenerator<CID, void> {
  if (shared.has(root)) return
  const read = async (cid: CID) => (cid.code === CODE_RAW ? NOTHING : await get(cid))
  const blocks = dagBlocks(root, read, { skip: (cid) => shared.has(cid) })
  for await (const { cid } of blocks) yield cid
}

/** All of it must be known: what is missing here would be let go of. */
async function addKept(shell: Shell, root: CID, keep: CidSet): Promise<void> {
  for await (const cid of blocksBelow(shell, root, keep)) {
    keep.add(cid)
    if (keep.size <= KEPT_MAX) continue
    throw new CairnError('TOO_LARGE', `${root} has over ${KEPT_MAX} blocks: nothing before it is let go of`)
  }
}

async function endBelow(
  shell: Shell,
  record: RefRecord,
  { root, keep, spool }: { root: CID; keep: CidSet; spool: Spool }
): Promise<void> {
  const get = async (cid: CID): Promise<Uint8Array> => {
    try {
      return await shell.reads.get(cid)
    } catch (error) {
      if (!CairnError.is(error, 'NO_PROVIDER') || !(await hasEnded(shell, record, cid))) throw error
      return EMPTY_NODE // all below it ended before it did
    }
  }
  for await (const cid of blocksBelow(shell, root, keep, get)) await spool.add(cid)
  const { id, replicas } = record
  const claim = { kind: 'ref', id, sequence: claimSequence(record), live: false, by: shell.claimer } as const
  for await (const keys of spool.backwards()) {
    if (keys.length === 0) continue
    const blocks = keys.map((key) => ({ cid: cidOfKey(key, 'raw') }))
    await shell.uploads.put(id.slice(0, 2 * UPLOAD_ID_BYTES), blocks, { replicas, ack: 'quorum', claim })
  }
}

/** Whether one of the block's holders knows that the ref's claim on it has ended. */
async function hasEnded(shell: Shell, record: RefRecord, cid: CID): Promise<boolean> {
  const { id, replicas } = record
  const key = keyOf(cid)
  const claimant = claimantOf({ kind: 'ref', owner: shell.claimer.id, id }, shell.crypto.sha256)
  let last: HeldClaim | undefined
  const note = (claims: readonly HeldClaim[]): void => {
    for (const claim of claims) {
      if (claim.claimant === claimant && claim.sequence >= (last?.sequence ?? 0)) last = claim
    }
  }
  for (const holder of actingHolders(shell.core.holders, slotOf(key), replicas)) {
    note(
      holder === shell.id
        ? ((await shell.store.known(key))?.claims ?? [])
        : await claimsAt(shell, holder, key)
    )
    if (last !== undefined) break
  }
  return last?.live === false
}

/** What another member knows of a block's claims; nothing, when it can't be asked. */
async function claimsAt(
  shell: Shell,
  holder: Parameters<Shell['transport']['fetchBlocks']>[0],
  key: BlockKey
): Promise<HeldClaim[]> {
  const found: HeldClaim[] = []
  try {
    await shell.transport.fetchBlocks(holder, [key], {
      claimsOnly: true,
      onBlock: async (got) => void found.push(...checkedClaims(shell, got, holder))
    })
  } catch (error) {
    if (!CairnError.is(error)) throw error
  }
  return found
}
