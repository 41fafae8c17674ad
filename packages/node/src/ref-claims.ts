/**
 * What a ref keeps is claimed for the ref before its update is put to the vote: a name never points to what
 * nothing keeps. Of a tree that shares blocks with what the ref keeps already only the difference is claimed.
 * What was claimed here is noted until it is seen to have ended, so that an update that lost, or fell out of
 * the ref's history before anybody saw to it, leaves nothing behind.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { keyOf } from '@cairn/blocks'
import { CairnError, claimSequence, type RefRecord, signChange, standsAlone, toClaim } from '@cairn/core'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import { type CidSet, cidSet } from './cid-set.ts'
import { readIfThere, syncDirectory, writeWhole } from './files.ts'
import { adoptedBy, blocksBelow, type RefTidy, rootsOf } from './ref-tidy.ts'
import type { Shell } from './shell.ts'
import { asCairnError, type Pending } from './uploads.ts'

/** Claims made at a time. */
const CLAIM_BLOCKS = 2_048
/** Blocks of what is kept that are remembered while the next is claimed; what shares more is claimed anew. */
const SHARED_MAX = 1_000_000
/** Blocks read and sent at a time, where holders lack them: 2 MiB each at most. */
const SEND_BLOCKS = 8
const UPLOAD_ID_BYTES = 16
/** Roots of one ref that are noted; of more the oldest are left to the ref's history. A guess. */
const NOTED_MAX = 4_096

const noted = z.object({
  /** By this node, and not known to have ended. The latest last. */
  claimed: z.array(z.object({ root: z.string(), sequence: z.int(), replicas: z.int() }))
})
type Noted = z.infer<typeof noted>['claimed']

export interface RefClaims {
  /** Resolves once every block that the record keeps is claimed. @throws NO_PROVIDER, TOO_FEW_REPLICAS */
  hold(record: RefRecord, before: RefRecord | undefined): Promise<void>
  /** Ends what was claimed here and what the ref, as it is acknowledged now, does not keep. */
  check(best: RefRecord, forks: readonly RefRecord[]): Promise<void>
  /** Ids of the refs that more was claimed for here than their last update: all of them after a start. */
  due(): Promise<string[]>
}

export function createRefClaims(shell: () => Shell, home: string, tidy: RefTidy): RefClaims {
  const directory = join(home, 'refs')
  const pathOf = (id: string) => join(directory, `${id}.claimed`)
  const tails = new Map<string, Promise<unknown>>()
  const due = new Set<string>()
  let opened = false
  /** One after the other for each ref: the next counts on what the one before did. */
  const serial = async (id: string, work: () => Promise<void>): Promise<void> => {
    const before = tails.get(id) ?? Promise.resolve()
    const done = before.catch(() => undefined).then(work) // its own caller hears of it
    tails.set(id, done)
    try {
      await done
    } finally {
      if (tails.get(id) === done) tails.delete(id)
    }
  }

  const claim = async (record: RefRecord, last: RefRecord | undefined): Promise<void> => {
    if (adoptedBy(shell(), record).uploads.length > 0) return // an upload has claimed all of it
    // What an upload claimed for the record before may end with this one.
    const before = last && adoptedBy(shell(), last).uploads.length === 0 ? last : undefined
    const { id, replicas } = record
    const { roots, claimed } = toClaim(record, before)
    const held = claimed.length === 0 || before === undefined ? [] : rootsOf(before)
    const [first, ...rest] = roots.length === 0 ? [] : rootsOf(record)
    if (first === undefined || [first, ...rest].every((root) => held.some((one) => one.equals(root)))) return
    const sequence = claimSequence(record)
    const list = await notedIn(pathOf(id))
    const now = [first, ...rest].map((root) => ({ root: `${root}`, sequence, replicas }))
    const known = list.filter(({ root }) => !now.some((one) => one.root === root))
    await writeWhole(pathOf(id), JSON.stringify({ claimed: [...known, ...now].slice(-NOTED_MAX) }))
    if (known.length > 0) due.add(id)
    const shared = cidSet()
    for (const cid of held) {
      // With a key of its own, a node counts on no other's claims.
      const mine = shell().claimer.shared || list.some(({ root }) => root === `${cid}`)
      if (mine) await addBelow(shell(), cid, shared)
    }
    const put = putter(shell(), record)
    await claimBelow(shell(), first, { shared, put })
    for (const root of rest) {
      try {
        await claimBelow(shell(), root, { shared, put })
      } catch (error) {
        // One that was let go of before is kept as far as it is there.
        if (!CairnError.is(error, 'NO_PROVIDER')) throw error
      }
    }
  }

  const check = async (best: RefRecord, forks: readonly RefRecord[]): Promise<void> => {
    const path = pathOf(best.id)
    const list = await notedIn(path)
    const left: Noted = []
    for (const one of list) {
      const root = CID.parse(one.root)
      // What is acknowledged is kept, also on a line that was given up: it can be gone back to.
      const isKept = [best, ...forks].some((record) => rootsOf(record).some((kept) => kept.equals(root)))
      if (isKept || one.sequence > claimSequence(best)) left.push(one)
      else await tidy.end(best, [root])
    }
    if (left.every(({ sequence }) => sequence <= claimSequence(best))) due.delete(best.id)
    if (left.length === list.length) return
    if (left.length > 0) return await writeWhole(path, JSON.stringify({ claimed: left }))
    await rm(path, { force: true })
    await syncDirectory(directory)
  }
  return {
    hold: (record, before) => serial(record.id, () => claim(record, before)),
    check: (best, forks) => serial(best.id, () => check(best, forks)),
    async due() {
      const names = opened ? [] : await readdir(directory)
      opened = true
      for (const name of names) {
        const id = /^([0-9a-f]{64})\.claimed$/.exec(name)?.[1]
        if (id !== undefined) due.add(id)
      }
      return [...due]
    }
  }
}

/** A note that can't be read is none: the whole tree is claimed again. */
async function notedIn(path: string): Promise<Noted> {
  const content = await readIfThere(path)
  if (content === undefined) return []
  try {
    return noted.parse(JSON.parse(content.toString())).claimed
  } catch {
    return []
  }
}

type Putter = (batch: CID[]) => Promise<void>

function putter(shell: Shell, record: RefRecord): Putter {
  const { id, replicas } = record
  const upload = id.slice(0, 2 * UPLOAD_ID_BYTES)
  const claim = { kind: 'ref', id, sequence: claimSequence(record), live: true, by: shell.claimer } as const
  const alone = standsAlone(record) === shell.id
  const put = (blocks: readonly Pending[]) =>
    shell.uploads.put(upload, blocks, { replicas, ack: alone ? 'one' : 'quorum', claim })
  return async (whole) => {
    const batch = alone ? await claimHere(shell, record, whole) : whole
    if (batch.length === 0) return
    const { absent } = await put(batch.map((cid) => ({ cid })))
    // A holder that is new to its place has it not yet: as for any put, it is sent.
    for (let at = 0; at < absent.length; at += SEND_BLOCKS) {
      const next = absent.slice(at, at + SEND_BLOCKS)
      await put(await Promise.all(next.map(async (cid) => ({ cid, bytes: await shell.reads.get(cid) }))))
    }
  }
}

/**
 * What is on this disk is claimed here, whoever else can be reached: for a ref that stands alone. The holders
 * take blocks and claims as those of any copy that is held besides. Returns what is not here.
 */
async function claimHere(
  { store, network, claimer, changed, during }: Shell,
  record: RefRecord,
  cids: readonly CID[]
): Promise<CID[]> {
  const heads = await store.heads(cids.map(keyOf))
  const keys = heads.flatMap((head) => (head === undefined ? [] : [head.key]))
  if (keys.length > 0) {
    const { id, replicas } = record
    const about = { network: network.id, owner: claimer.id, kind: 'ref', id, live: true } as const
    const change = { ...about, sequence: claimSequence(record), replicas, lifetimeMs: 0 }
    const claims = signChange(change, [...new Set(keys)], claimer.crypto)
    await during(store.put([...claims].map(([key, claim]) => ({ key, claims: [claim] }))))
    changed()
  }
  return cids.filter((_, i) => heads[i] === undefined)
}

async function claimBelow(
  shell: Shell,
  root: CID,
  { shared, put }: { shared: CidSet; put: Putter }
): Promise<void> {
  let batch: CID[] = []
  for await (const cid of blocksBelow(shell, root, shared)) {
    batch.push(cid)
    if (batch.length < CLAIM_BLOCKS) continue
    await put(batch)
    batch = []
  }
  if (batch.length > 0) await put(batch)
  shared.add(root) // as part of another root it is not claimed again
}

/** What can't be read is not taken for claimed. */
async function addBelow(shell: Shell, root: CID, found: CidSet): Promise<void> {
  try {
    for await (const cid of blocksBelow(shell, root, found)) {
      if (found.size >= SHARED_MAX) return
      found.add(cid)
    }
  } catch (error) {
    if (!CairnError.is(error)) throw error
    shell.log('warn', `${root} can't be compared with what follows it: ${asCairnError(error).message}`)
  }
}
