/** How many bytes a path holds, for a progress bar: a guess that nothing else rests on. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes of the files below `path`. What can't be read counts nothing here: the put itself will say so. */
export async function measure(
  path: string,
  options: { hidden: boolean; signal: AbortSignal }
): Promise<number> {
  options.signal.throwIfAborted()
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined)
  if (entries === undefined) return sizeOf(path)
  let bytes = 0
  for (const entry of entries) {
    if (!options.hidden && entry.name.startsWith('.')) continue
    const below = join(path, entry.name)
    if (entry.isDirectory()) bytes += await measure(below, options)
    else if (entry.isFile()) bytes += await sizeOf(below)
  }
  return bytes
}

async function sizeOf(path: string): Promise<number> {
  const stats = await lstat(path).catch(() => undefined)
  return stats?.isFile() === true ? stats.size : 0
}
