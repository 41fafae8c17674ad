/**
 * The time of day as a test wants a node to see it: libfaketime, where there is one, reads it from a file.
 * The monotonic clock stays true, as on a machine whose time is set.
 */
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface FakeClock {
  /** Before the command of the node that is to see it. */
  before: string[]
  /** So many hours ahead of the true time. */
  set(hours: number): Promise<void>
}

/** Undefined where there is no libfaketime. */
export async function fakeClock(folder: string, name: string, hours: number): Promise<FakeClock | undefined> {
  const library = await findLibrary()
  if (library === undefined) return undefined
  const file = join(folder, `${name}.clock`)
  const clock = [`LD_PRELOAD=${library}`, `FAKETIME_TIMESTAMP_FILE=${file}`, 'FAKETIME_NO_CACHE=1']
  // its name in versions of the library, older and newer
  const monotonic = ['DONT_FAKE_MONOTONIC=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1']
  const set = (ahead: number) => writeFile(file, `${ahead < 0 ? '' : '+'}${ahead}h\n`)
  await set(hours)
  return { before: ['env', ...clock, ...monotonic], set }
}

/** Of Debian and its kin, for any processor. */
async function findLibrary(): Promise<string | undefined> {
  const folders = await readdir('/usr/lib').catch(() => [])
  const paths = folders.map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  return paths.find((path) => existsSync(path))
}
