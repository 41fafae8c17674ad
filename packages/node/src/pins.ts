/**
 * Pins: roots that this node was asked to keep, one small file each, written before the upload is said
 * to be whole. (They become refs, held by the network itself, when refs land.)
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCid } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import type { Pin } from './api.ts'
import { makeDirectory, readIfThere, syncDirectory, writeWhole } from './files.ts'

const record = z.object({
  version: z.literal(1),
  root: z.string(),
  /** Every upload that put it, the latest last: all their claims end with the pin. */
  uploads: z.array(z.string()).min(1),
  name: z.string().optional(),
  replicas: z.int(),
  blocks: z.int(),
  bytes: z.int(),
  createdMs: z.number()
})
type PinRecord = z.infer<typeof record>

export interface Pins {
  list(): Promise<Pin[]>
  uploadsOf(root: CID): Promise<string[]>
  add(pin: Pin): Promise<void>
  remove(root: CID): Promise<void>
}

export function openPins(home: string): Pins {
  const directory = join(home, 'pins')
  const pathOf = (root: CID) => join(directory, `${root.toV1()}.json`)
  const read = async (path: string): Promise<PinRecord | undefined> => {
    const content = await readIfThere(path)
    if (content === undefined) return undefined
    try {
      return record.parse(JSON.parse(content.toString()))
    } catch (cause) {
      const hint = 'put the same content again: the pin is written anew'
      throw new CairnError('BAD_CONFIG', `${path} is damaged`, { cause, hint })
    }
  }
  return {
    async list() {
      await makeDirectory(directory)
      const names = (await readdir(directory)).filter((name) => name.endsWith('.json')).sort()
      const found = await Promise.all(names.map((name) => read(join(directory, name))))
      return found.filter((pin) => pin !== undefined).map(pinOf)
    },
    async uploadsOf(root) {
      return (await read(pathOf(root)))?.uploads ?? []
    },
    async add(pin) {
      await makeDirectory(directory)
      const before = (await read(pathOf(pin.root)))?.uploads ?? []
      const uploads = [...before.filter((upload) => upload !== pin.upload), pin.upload]
      const { root, name, replicas, blocks, bytes, createdMs } = pin
      const kept: PinRecord = {
        version: 1,
        root: String(root),
        uploads,
        name,
        replicas,
        blocks,
        bytes,
        createdMs
      }
      await writeWhole(pathOf(root), `${JSON.stringify(kept, undefined, 2)}\n`)
    },
    async remove(root) {
      await rm(pathOf(root), { force: true })
      await syncDirectory(directory)
    }
  }
}

function pinOf({ root, uploads, name, replicas, blocks, bytes, createdMs }: PinRecord): Pin {
  return { root: parseCid(root), upload: uploads.at(-1) as string, name, replicas, blocks, bytes, createdMs }
}
