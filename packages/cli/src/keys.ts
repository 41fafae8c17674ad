/** Keys of refs, a small file each: `HOME/keys/NAME.key`, mode 0600, as libp2p writes a key. */
import { chmod, mkdir, open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'

const NAME = /^[\w.-]{1,64}$/
const ENDING = '.key'

function pathOf(home: string, name: string): string {
  if (NAME.test(name) && !name.startsWith('.')) return join(home, 'keys', name + ENDING)
  throw new CairnError('BAD_NAME', `no key can be called ${JSON.stringify(name)}`, {
    hint: 'letters, digits, _ - and . make a name'
  })
}

export async function keyNames(home: string): Promise<string[]> {
  try {
    const names = await readdir(join(home, 'keys'))
    return names
      .filter((name) => name.endsWith(ENDING))
      .map((name) => name.slice(0, -ENDING.length))
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** The seed of a key. @throws CairnError NOT_FOUND, BAD_CONFIG */
export async function readSeed(home: string, name: string): Promise<Uint8Array> {
  const { importKey } = await import('@cairn/client')
  try {
    return await importKey(await readFile(pathOf(home, name)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new CairnError('NOT_FOUND', `there is no key ${name}`, {
      hint: `cairn key new ${name} makes one; cairn key ls shows those there are`
    })
  }
}

/** Never in the place of another: what a lost key signed stays as it is. @throws CairnError FILE_EXISTS */
export async function writeSeed(home: string, name: string, seed: Uint8Array): Promise<void> {
  const { exportKey } = await import('@cairn/client')
  const path = pathOf(home, name)
  await mkdir(join(home, 'keys'), { recursive: true, mode: 0o700 })
  await chmod(join(home, 'keys'), 0o700)
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(await exportKey(seed))
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new CairnError('FILE_EXISTS', `there is a key ${name} already`, { hint: 'choose another name' })
  }
}
