/**
 * Mirrors on disk: one small file each, replaced whole and synced. That of a mirror that was removed stays,
 * with its count: claims that ended then are outranked when it is added again.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CairnError,
  type Crypto,
  fromHex,
  type KeptMirror,
  type PeerId,
  readRef,
  refId,
  toHex
} from '@cairn/core'
import { z } from 'zod'
import { makeDirectory, readIfThere, writeWhole } from './files.ts'

const file = z.object({
  version: z.literal(1),
  owner: z.string(),
  name: z.string(),
  lagMs: z.int().positive(),
  leaseMs: z.int().positive().optional(),
  generation: z.int().nonnegative(),
  /** The record whose root is here whole, as its owner signed it. */
  whole: z.object({ record: z.string(), blocks: z.int(), bytes: z.int() }).optional(),
  /** Removed: its claims end, or have ended. */
  removed: z.enum(['ending', 'ended']).optional()
})

export interface MirrorFile {
  id: string
  kept: KeptMirror
  removed: 'ending' | 'ended' | undefined
}

export interface MirrorFiles {
  /** As of the start. */
  readonly found: readonly MirrorFile[]
  keep(one: MirrorFile): Promise<void>
}

interface Reading {
  network: string
  crypto: Crypto
  log: (level: 'error', text: string) => void
}

/** A file that is damaged mirrors nothing, and is told of: its blocks go when the mirror is added again. */
export async function openMirrorFiles(home: string, reading: Reading): Promise<MirrorFiles> {
  const directory = join(home, 'mirrors')
  await makeDirectory(directory)
  const found: MirrorFile[] = []
  for (const entry of (await readdir(directory)).sort()) {
    if (!/^[0-9a-f]{64}\.json$/.test(entry)) continue
    const bytes = await readIfThere(join(directory, entry))
    const one = bytes && readFile(bytes.toString(), join(directory, entry), reading)
    if (one !== undefined) found.push(one)
  }
  let tail: Promise<unknown> = Promise.resolve()
  return {
    found,
    /** One after the other: a later state never lies under an earlier one. */
    keep({ id, kept: { ref, lagMs, leaseMs, generation, whole }, removed }) {
      const root = whole && {
        record: toHex(whole.record.bytes),
        blocks: whole.blocks,
        bytes: whole.bytes
      }
      const content = { version: 1, ...ref, lagMs, leaseMs, generation, whole: root, removed }
      const done = tail.then(() => writeWhole(join(directory, `${id}.json`), `${JSON.stringify(content)}\n`))
      tail = done.catch(() => undefined) // its caller hears of it
      return done
    }
  }
}

function readFile(text: string, path: string, { network, crypto, log }: Reading): MirrorFile | undefined {
  try {
    const { owner, name, lagMs, leaseMs, generation, whole, removed } = file.parse(JSON.parse(text))
    const ref = { owner: owner as PeerId, name }
    const root = whole && { ...whole, record: readRef(fromHex(whole.record), network, crypto) }
    const kept = { ref, lagMs, leaseMs, generation, whole: root }
    return { id: refId(ref, crypto.sha256), kept, removed }
  } catch (cause) {
    const known = cause instanceof SyntaxError || cause instanceof z.ZodError || CairnError.is(cause)
    if (!known && !(cause instanceof RangeError)) throw cause
    log('error', `${path} is damaged: add the mirror again`)
    return undefined
  }
}
