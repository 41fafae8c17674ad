/** What benchmarks put: files of bytes that nothing can make smaller. */
import { randomFillSync } from 'node:crypto'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export const MIB = 1024 * 1024

export async function writeRandom(path: string, mib: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    const bytes = Buffer.alloc(MIB)
    for (let i = 0; i < mib; i++) await file.write(randomFillSync(bytes))
  } finally {
    await file.close()
  }
}

/** A directory of so many files of 4 KiB. */
export async function writeSmall(path: string, count: number): Promise<void> {
  await mkdir(path)
  const bytes = Buffer.alloc(4_096)
  for (let i = 0; i < count; i++) await writeFile(join(path, `${i}`), randomFillSync(bytes))
}
