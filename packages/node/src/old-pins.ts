/**
 * Pins as they were before they became refs: one small file each, in the home of the node that made it. They
 * are read, so that what they keep goes on being kept, and made refs of (`pins.ts`).
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCid } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import type { Pin } from './api.ts'
import { errnoOf, makeDirectory, readIfThere, syncDirectory, writeWhole } from './files.ts'

const record = z.object({
  version: z.literal(1),
  root: z.string(),
  /** Every upload that put it, the latest last: all their claims end with the pin. */
  uploads: z.array(z.string()).min(1),
  name: z.string().optional(),
  /** The most that any of them asked for. */
  replicas: z.int(),
  blocks: z.int(),
  bytes: z.int(),
  /** Records of its files' digests, one of each upload that had another, the latest last. */
  digests: z.array(z.string()).optional(),
  createdMs: z.number()
})
type PinRecord = z.infer<typeof record>

export interface OldPins {
  /** Those that can be read; a damaged file is told to `log`. */
  list(): Promise<Pin[]>
  /** A pin and every upload that put it. @throws CairnError BAD_CONFIG when its file is damaged */
  find(root: CID): Promise<{ pin: Pin; uploads: string[]; digests: CID[] } | undefined>
  /** Adds it, or its upload to the pin of the same root. */
  add(pin: Pin): Promise<void>
  /** These uploads of it have ended; with none left the pin is gone. */
  remove(root: CID, uploads: readonly string[]): Promise<void>
}

export function openOldPins(home: string, log: (level: 'warn', text: string) => void): OldPins {
  const directory = join(home, 'pins')
  const pathOf = (root: CID) => join(directory, `${root.toV1()}.json`)
  let tail: Promise<unknown> = Promise.resolve()
  /** One change at a time: each reads what the one before wrote. */
  const serial = <T>(work: () => Promise<T>): Promise<T> => {
    const done = tail.then(work)
    tail = done.catch(() => undefined) // its caller hears of it
    return done
  }
  const write = (kept: PinRecord) =>
    writeWhole(pathOf(parseCid(kept.root)), `${JSON.stringify(kept, undefined, 2)}\n`)

  return {
    async list() {
      const found: Pin[] = []
      for (const name of (await namesIn(directory)).filter((one) => one.endsWith('.json')).sort()) {
        const kept = await readRecord(join(directory, name)).catch((error: unknown) => told(error, log))
        if (kept !== undefined) found.push(pinOf(kept))
      }
      return found
    },
    async find(root) {
      const kept = await readRecord(pathOf(root))
      const digests = kept?.digests?.map((cid) => parseCid(cid)) ?? []
      return kept && { pin: pinOf(kept), uploads: kept.uploads, digests }
    },
    add: (pin) =>
      serial(async () => {
        await makeDirectory(directory)
        const before = await readRecord(pathOf(pin.root)).catch((error: unknown) => told(error, log))
        const { root, name, blocks, bytes, createdMs } = pin
        const replicas = Math.max(pin.replicas, before?.replicas ?? 1)
        const uploads = [...(before?.uploads ?? []).filter((one) => one !== pin.upload), pin.upload]
        const kept = { root: `${root.toV1()}`, uploads, name, replicas, blocks, bytes, createdMs }
        await write({ version: 1, ...kept, ...recordsOf(pin, before) })
      }),
    remove: (root, uploads) =>
      serial(async () => {
        const kept = await readRecord(pathOf(root))
        const left = kept?.uploads.filter((one) => !uploads.includes(one)) ?? []
        if (kept !== undefined && left.length > 0) return await write({ ...kept, uploads: left })
        await rm(pathOf(root), { force: true })
        await syncDirectory(directory)
      })
  }
}

function told(error: unknown, log: (level: 'warn', text: string) => void): undefined {
  if (!CairnError.is(error, 'BAD_CONFIG')) throw error
  log('warn', error.message)
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [] // nothing was pinned yet
    throw cause
  }
}

async function readRecord(path: string): Promise<PinRecord | undefined> {
  const content = await readIfThere(path)
  if (content === undefined) return undefined
  try {
    const kept = record.parse(JSON.parse(content.toString()))
    for (const cid of [kept.root, ...(kept.digests ?? [])]) parseCid(cid)
    return kept
  } catch (cause) {
    const hint = 'put the same content again: the pin is written anew'
    throw new CairnError('BAD_CONFIG', `${path} is damaged`, { cause, hint })
  }
}

function recordsOf({ digests }: Pin, before: PinRecord | undefined): Pick<PinRecord, 'digests'> {
  const own = digests === undefined ? [] : [`${digests}`]
  const all = [...(before?.digests ?? []).filter((cid) => !own.includes(cid)), ...own]
  return all.length === 0 ? {} : { digests: all }
}

function pinOf({ root, uploads, name, replicas, blocks, bytes, digests, createdMs }: PinRecord): Pin {
  const upload = uploads.at(-1) as string
  const pin = { root: parseCid(root), upload, name, replicas, blocks, bytes, createdMs, lifetimeMs: 0 }
  const latest = digests?.at(-1)
  return latest === undefined ? pin : { ...pin, digests: parseCid(latest) }
}
