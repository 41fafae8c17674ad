/**
 * What a ref points to is claimed for the ref before its update is put to the vote: a name never points to
 * what nothing keeps. The claims are this node's, for its callers' refs, whoever has the key; of a tree that
 * shares blocks with the one claimed last only the difference is claimed.
 */
import { join } from 'node:path'
import { dagBlocks } from '@cairn/blocks'
import { CairnError, type RefRecord } from '@cairn/core'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import { readIfThere, writeWhole } from './files.ts'
import type { Shell } from './shell.ts'
import type { Pending } from './uploads.ts'

/** Claims made at a time. */
const CLAIM_BLOCKS = 2_048
/** Blocks of an earlier tree that are remembered while the next is claimed, at some 100 bytes each. */
const SHARED_MAX = 500_000
/** Blocks read and sent at a time, where holders lack them: 2 MiB each at most. */
const SEND_BLOCKS = 8
const UPLOAD_ID_BYTES = 16
const CODE_RAW = 0x55
const NOTHING = new Uint8Array()

const noted = z.object({ root: z.string(), replicas: z.int(), sequence: z.int() })

export interface RefClaims {
  /** Resolves once every block below the record's root is claimed. @throws NO_PROVIDER, TOO_FEW_REPLICAS */
  hold(record: RefRecord): Promise<void>
}

export function createRefClaims(shell: () => Shell, home: string): RefClaims {
  const pathOf = (id: string) => join(home, 'refs', `${id}.claimed`)
  const tails = new Map<string, Promise<void>>()

  const claim = async ({ id, root, replicas, sequence }: RefRecord): Promise<void> => {
    if (root === undefined) return
    const cid = CID.decode(root)
    const last = await lastOf(pathOf(id))
    if (last?.root === `${cid}` && last.replicas === replicas) return
    const shared =
      last?.replicas === replicas ? await below(shell(), CID.parse(last.root)) : new Set<string>()
    const about = { kind: 'ref', id, sequence, live: true } as const
    let batch: CID[] = []
    const flush = async (): Promise<void> => {
      const some = batch
      batch = []
      if (some.length === 0) return
      const upload = id.slice(0, 2 * UPLOAD_ID_BYTES)
      const put = (blocks: readonly Pending[]) =>
        shell().uploads.put(upload, blocks, { replicas, ack: 'quorum', claim: about })
      const { absent } = await put(some.map((one) => ({ cid: one })))
      // A holder that is new to its place has it not yet: as for any put, it is sent.
      for (let at = 0; at < absent.length; at += SEND_BLOCKS) {
        const next = absent.slice(at, at + SEND_BLOCKS)
        await put(
          await Promise.all(next.map(async (one) => ({ cid: one, bytes: await shell().reads.get(one) })))
        )
      }
    }
    for await (const one of blocksBelow(shell(), cid, shared)) {
      batch.push(one)
      if (batch.length === CLAIM_BLOCKS) await flush()
    }
    await flush()
    await writeWhole(pathOf(id), JSON.stringify({ root: `${cid}`, replicas, sequence }))
  }
  return {
    /** One after the other for each ref: the next counts on what the one before claimed. */
    async hold(record) {
      const before = tails.get(record.id) ?? Promise.resolve()
      const done = before.catch(() => undefined).then(() => claim(record)) // its own caller hears of it
      tails.set(record.id, done)
      try {
        await done
      } finally {
        if (tails.get(record.id) === done) tails.delete(record.id)
      }
    }
  }
}

/** A note that can't be read claims nothing: the whole tree is claimed again. */
async function lastOf(path: string): Promise<z.infer<typeof noted> | undefined> {
  const content = await readIfThere(path)
  if (content === undefined) return undefined
  try {
    return noted.parse(JSON.parse(content.toString()))
  } catch {
    return undefined
  }
}

/** The blocks below a root that are not in `shared`. Leaves are not read: their CIDs are enough. */
async function* blocksBelow(shell: Shell, root: CID, shared: ReadonlySet<string>): AsyncGenerator<CID, void> {
  if (shared.has(`${root}`)) return
  const get = async (cid: CID) => (cid.code === CODE_RAW ? NOTHING : await shell.reads.get(cid))
  const blocks = dagBlocks(root, get, { skip: (cid) => shared.has(`${cid}`) })
  for await (const { cid } of blocks) yield cid
}

async function below(shell: Shell, root: CID): Promise<Set<string>> {
  const found = new Set<string>()
  try {
    for await (const cid of blocksBelow(shell, root, found)) {
      if (found.size >= SHARED_MAX) break
      found.add(`${cid}`)
    }
  } catch (error) {
    if (!CairnError.is(error)) throw error
    return new Set() // it can't be read any more: nothing is taken for claimed
  }
  return found
}
