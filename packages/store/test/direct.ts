import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { directWriter } from '../src/direct.ts'
import { ALIGN_BYTES } from '../src/format.ts'
import { CAPACITY_BYTES, inScratch } from './scratch.ts'

const direct = suite('directWriter')

const MiB = 1024 * 1024
const group = (bytes: number): Buffer[] => {
  const all = randomBytes(bytes)
  return [all.subarray(0, 999), all.subarray(999, bytes / 2), all.subarray(bytes / 2)]
}

direct('long writes of whole pages go past the cache, and are what a reader finds; others are refused', () =>
  inScratch(async (directory) => {
    const path = join(directory, 'file')
    const page = randomBytes(ALIGN_BYTES)
    await writeFile(path, page)
    const writer = directWriter()
    const [one, two] = [group(MiB), group(2 * MiB + ALIGN_BYTES)]
    try {
      if (!(await writer.write(path, ALIGN_BYTES, one))) {
        console.log('SKIPPED: this file system has no O_DIRECT')
        return
      }
      assert.ok(await writer.write(path, ALIGN_BYTES + MiB, two))
      assert.is(await writer.write(path, 7, one), false, 'an offset within a page')
      assert.is(await writer.write(path, ALIGN_BYTES, [page]), false, 'too short to be worth it')
      assert.is(await writer.write(path, ALIGN_BYTES, group(CAPACITY_BYTES)), false, 'longer than its memory')
      assert.is(await writer.write(path, ALIGN_BYTES, [randomBytes(MiB + 1)]), false, 'half a page')
      assert.is(Buffer.concat([page, ...one, ...two]).compare(await readFile(path)), 0)
    } finally {
      await writer.close()
    }
  })
)

direct('a file that is not there is left to the plain way to complain of', () =>
  inScratch(async (directory) => {
    const writer = directWriter()
    assert.is(await writer.write(join(directory, 'none'), 0, group(MiB)), false)
    await writer.close()
  })
)

direct.run()
