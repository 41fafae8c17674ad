import { readFile } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { diskError, onDisk } from '../src/disk-error.ts'

const disk = suite('disk errors')

function failed(code: string): Error {
  return Object.assign(new Error(code), { code, syscall: 'open' })
}

disk('what a filesystem says comes out typed, with the file and a next step', async () => {
  const path = join(tmpdir(), 'no-such-directory', 'file')
  const error = await onDisk(path, () => readFile(path)).catch((cause: unknown) => cause)
  assert.ok(CairnError.is(error, 'NOT_FOUND'))
  assert.ok(error.message.includes(path) && error.hint !== undefined)
})

disk('full, read-only and out of descriptors are told apart; the unknown is the disk itself', () => {
  const codes = {
    ENOSPC: 'FULL',
    [`Unknown system error -${constants.errno.EDQUOT}`]: 'FULL', // what Node calls EDQUOT
    EROFS: 'READ_ONLY',
    EMFILE: 'TOO_MANY_FILES',
    EIO: 'DISK_FAILED'
  }
  for (const [said, ours] of Object.entries(codes)) {
    const error = diskError(failed(said), 'x')
    assert.ok(CairnError.is(error) && error.code === ours, said)
  }
})

disk('a bug stays a bug, and our own error stays as it is', () => {
  const bug = new TypeError('undefined is not a function')
  assert.is(diskError(bug, 'x'), bug)
  const ours = new CairnError('FULL', 'full')
  assert.is(diskError(ours, 'x'), ours)
})

disk.run()
