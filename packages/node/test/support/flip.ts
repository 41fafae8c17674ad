/** Bits turned on the disk of a node, as a bad disk turns them. */
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlockKey, Random } from '@cairn/core'
import { pick } from '@cairn/core'

async function turnBit(path: string, at: number, bit: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
    await file.write(Uint8Array.of((buffer[0] as number) ^ (1 << bit)), 0, 1, at)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function segmentsOf(home: string): Promise<string[]> {
  const directory = join(home, 'store')
  const names = await readdir(directory)
  return names.filter((name) => name.endsWith('.car')).map((name) => join(directory, name))
}

/** One bit of a block's bytes, whether or not the node runs. False when it does not lie there. */
export async function flipBlock(home: string, key: BlockKey): Promise<boolean> {
  const cid = Buffer.from(`0155${key}`, 'hex')
  for (const path of await segmentsOf(home)) {
    const at = (await readFile(path)).indexOf(cid)
    if (at < 0) continue
    await turnBit(path, at + cid.length, 4)
    return true
  }
  return false
}

/** So many bits, anywhere in the segments and the index of a stopped node. */
export async function flipAnywhere(home: string, flips: number, random: Random): Promise<void> {
  const index = join(home, 'store', 'index')
  const names = (await readdir(index)).filter((name) => /\.(ldb|log|sst)$/.test(name))
  const paths = [...(await segmentsOf(home)), ...names.map((name) => join(index, name))]
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size))
  const files = paths.filter((_, i) => (sizes[i] as number) > 0)
  for (let i = 0; i < flips; i++) {
    const path = files[pick(random, files.length)] as string
    await turnBit(path, pick(random, sizes[paths.indexOf(path)] as number), pick(random, 8))
  }
}
