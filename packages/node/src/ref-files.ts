/**
 * Refs on disk: one small file a ref, replaced whole and synced before anything is said of it, and the count
 * of this node's starts. A vote that is forgotten could be given twice, so a damaged file is never taken for
 * one that was not there.
 */
import { readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError, type Crypto, checkRefState, type RefOptions } from '@cairn/core'
import { errnoOf, makeDirectory, readIfThere, syncDirectory, writeWhole } from './files.ts'

const NAME = /^([0-9a-f]{64})\.ref$/
const BOOT_FILE = 'boot'

export interface RefFiles {
  /** What was found, for the core. */
  readonly options: RefOptions
  /** Resolves once these bytes, or later ones of the same ref, are durable. */
  keep(id: string, bytes: Uint8Array): Promise<void>
  drop(id: string): Promise<void>
  /** This many starts have been. */
  keepBoot(boot: number): Promise<void>
}

interface Writing {
  next: Uint8Array | undefined
  done: Promise<void>
  /** Of the write that comes after the one under way. */
  after: PromiseWithResolvers<void> | undefined
}

export async function openRefFiles(
  home: string,
  network: string,
  crypto: Crypto,
  log: (level: 'error', text: string) => void
): Promise<RefFiles> {
  const directory = join(home, 'refs')
  await makeDirectory(directory)
  const { states, lost } = await readStates(directory, { network, crypto, log })
  const boot = (await readBoot(directory)) + 1
  await writeWhole(join(directory, BOOT_FILE), `${boot}\n`)
  const pathOf = (id: string) => join(directory, `${id}.ref`)
  const writing = new Map<string, Writing>()
  let boots = Promise.resolve()

  const write = async (id: string, bytes: Uint8Array, one: Writing): Promise<void> => {
    try {
      await writeWhole(pathOf(id), bytes)
    } finally {
      const { next, after } = one
      if (next === undefined || after === undefined) writing.delete(id)
      else {
        one.next = undefined
        one.after = undefined
        one.done = write(id, next, one)
        one.done.then(after.resolve, after.reject)
      }
    }
  }
  return {
    options: { network, boot, states, lost },
    keep(id, bytes) {
      const busy = writing.get(id)
      if (busy === undefined) {
        const one: Writing = { next: undefined, done: Promise.resolve(), after: undefined }
        writing.set(id, one)
        one.done = write(id, bytes, one)
        return one.done
      }
      busy.next = bytes // later than what waited: it has all of that
      busy.after ??= Promise.withResolvers()
      return busy.after.promise
    },
    async drop(id) {
      await writing.get(id)?.done
      await rm(pathOf(id), { force: true })
      await syncDirectory(directory)
    },
    keepBoot(next) {
      boots = boots.then(() => writeWhole(join(directory, BOOT_FILE), `${next}\n`))
      return boots
    }
  }
}

interface Reading {
  network: string
  crypto: Crypto
  log: (level: 'error', text: string) => void
}

async function readStates(directory: string, { network, crypto, log }: Reading) {
  const states: Uint8Array[] = []
  const lost: string[] = []
  for (const name of (await readdir(directory)).sort()) {
    const id = NAME.exec(name)?.[1]
    if (id === undefined) continue
    const path = join(directory, name)
    const bytes = await readIfThere(path)
    if (bytes === undefined) continue
    if (checkRefState(bytes, network, crypto)) states.push(bytes)
    else {
      lost.push(id)
      await rename(path, `${path}.damaged`)
      log('error', `${path} is damaged: set aside, and this node does not vote on that ref until others told`)
    }
  }
  for (const name of await readdir(directory)) {
    const id = /^([0-9a-f]{64})\.ref\.damaged$/.exec(name)?.[1]
    if (id !== undefined && !lost.includes(id) && !(await isThere(join(directory, `${id}.ref`))))
      lost.push(id)
  }
  return { states, lost }
}

async function isThere(path: string): Promise<boolean> {
  return (await readIfThere(path)) !== undefined
}

async function readBoot(directory: string): Promise<number> {
  const path = join(directory, BOOT_FILE)
  try {
    const boot = Number((await readIfThere(path))?.toString().trim() ?? 0)
    if (Number.isSafeInteger(boot) && boot >= 0) return boot
  } catch (cause) {
    if (errnoOf(cause) === undefined) throw cause
    throw new CairnError('BAD_CONFIG', `${path} can't be read`, {
      cause,
      hint: 'make it readable for the user that runs the node'
    })
  }
  return 0 // the other voters know better, and say so before this node votes
}
