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
import type { RefRecordView } from './api-refs.ts'
import { type CidSet, cidSet } from './cid-set.ts'
import { checkedClaims } from './reads.ts'
import type { Shell } from './shell.ts'
import { openSpool, type Spool } from './spool.ts'
import { ENDED } from './uploads.ts'

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
  /** Ends claims that a pin once took over and has no longer. */
  endPast(record: RefRecord): Promise<void>
}

export function createRefTidy(shell: () => Shell, home: string): RefTidy {
  let spools = 0
  const end = async (about: Ending, roots: readonly CID[], kept: readonly CID[]): Promise<void> => {
    const open: CID[] = []
    for (const root of roots) if (!(await hasEnded(shell(), about, root))) open.push(root)
    if (open.length === 0) return
    const keep = cidSet()
    for (const root of kept) await addKept(shell(), root, keep)
    for (const root of open) {
      const spool = openSpool(join(home, 'refs', `${about.id.slice(0, 32)}.${spools++}.ending`))
      try {
        await endBelow(shell(), about, { root, keep, spool })
      } finally {
        await spool.close()
      }
    }
  }
  const endAdopted = async (record: RefRecord, adopted: readonly string[], roots: readonly CID[]) => {
    const { replicas } = record
    for (const id of adopted) await end({ kind: 'upload', id, sequence: ENDED, replicas }, roots, [])
  }
  return {
    async tidy(record, expired) {
      const { roots, kept } = toEnd(record, expired)
      const digests = digestRoots(record, expired)
      const decoded = (all: readonly Uint8Array[]) => all.map((root) => CID.decode(root))
      const going = [...decoded(roots), ...digests.rest]
      const { uploads, past, held } = adoptedBy(shell(), record)
      if (record.root === undefined || expired) await endAdopted(record, [...uploads, ...past], going)
      if (held) await end(ofRef(record), going, [...decoded(kept), ...digests.kept])
    },
    end: (record, roots) => end(ofRef(record), roots, rootsOf(record)),
    async endPast(record) {
      await endAdopted(record, adoptedBy(shell(), record).past, rootsOf(record))
    }
  }
}

/** Claims that end: a ref's, or an upload's that a pin took over. */
interface Ending {
  kind: 'ref' | 'upload'
  id: string
  sequence: number
  replicas: number
}

function ofRef(record: RefRecord): Ending {
  const { id, replicas } = record
  return { kind: 'ref', id, sequence: claimSequence(record), replicas }
}

/** Keys of a pin's metadata: uploads whose claims it has, those that it had, and that it has its own too. */
export const ADOPTS = 'uploads'
export const ADOPTED = 'past'
export const HOLDS = 'holds'

/** Only the key that signs claims of refs may hand some of them over. */
export function adoptedBy(
  { claimer }: Pick<Shell, 'claimer'>,
  { owner, metadata }: Pick<RefRecord, 'owner' | 'metadata'>
): { uploads: string[]; past: string[]; held: boolean } {
  const told = (name: string) => metadata.find(({ key }) => key === name)?.value ?? ''
  const uploads = owner === claimer.id ? parseAdopted(told(ADOPTS)) : []
  const past = owner === claimer.id ? parseAdopted(told(ADOPTED)) : []
  return { uploads, past, held: uploads.length === 0 || told(HOLDS) === '1' }
}

export function parseAdopted(text: string): string[] {
  return text.split(' ').filter((id) => /^[0-9a-f]{64}$/.test(id))
}

/**
 * The records of digests that a ref's metadata names, the latest first: kept as long as the roots that they
 * were put with.
 */
export function digestRoots(
  record: Pick<RefRecord, 'root' | 'keep' | 'metadata'>,
  expired = false
): { kept: CID[]; rest: CID[] } {
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

/** The same of a record as it is shown. */
export function keptOf({ root, history, keep, metadata }: RefRecordView): CID[] {
  const past = history.map((one) => ({ sequence: one.sequence, root: one.root?.bytes }))
  const entries = Object.entries(metadata).map(([key, value]) => ({ key, value }))
  const about = { root: root?.bytes, history: past, keep, metadata: entries }
  return [...keptRoots(about).map((one) => CID.decode(one)), ...digestRoots(about).kept]
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
  about: Ending,
  { root, keep, spool }: { root: CID; keep: CidSet; spool: Spool }
): Promise<void> {
  const get = async (cid: CID): Promise<Uint8Array> => {
    try {
      return await shell.reads.get(cid)
    } catch (error) {
      if (!CairnError.is(error, 'NO_PROVIDER') || !(await hasEnded(shell, about, cid))) throw error
      return EMPTY_NODE // all below it ended before it did
    }
  }
  for await (const cid of blocksBelow(shell, root, keep, get)) await spool.add(cid)
  const { id, replicas, kind, sequence } = about
  const claim = { kind, id, sequence, live: false, by: shell.claimer } as const
  for await (const keys of spool.backwards()) {
    if (keys.length === 0) continue
    const blocks = keys.map((key) => ({ cid: cidOfKey(key, 'raw') }))
    await shell.uploads.put(id.slice(0, 2 * UPLOAD_ID_BYTES), blocks, { replicas, ack: 'quorum', claim })
  }
}

/** Whether one of the block's holders knows that the ref's claim on it has ended. */
async function hasEnded(shell: Shell, { kind, id, replicas }: Ending, cid: CID): Promise<boolean> {
  const key = keyOf(cid)
  const claimant = claimantOf({ kind, owner: shell.claimer.id, id }, shell.crypto.sha256)
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
