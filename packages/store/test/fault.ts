import { constants } from 'node:os'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fault, fullError, isErrno } from '../src/fault.ts'

const faults = suite('fault')

const TABLE = [
  ['ENOSPC', 'FULL'],
  ['EDQUOT', 'FULL'],
  ['EFBIG', 'FULL'],
  ['EROFS', 'READ_ONLY'],
  ['EMFILE', 'TOO_MANY_FILES'],
  ['EIO', 'DISK_FAILED']
] as const

for (const [errno, code] of TABLE) {
  faults(`${errno} is ${code}`, () => {
    const cause = Object.assign(new Error('no'), { code: errno })
    const error = fault(new Error('outer', { cause }), 'cannot write')
    assert.is(error.code, code)
    assert.ok(error.hint)
    assert.ok(isErrno(error, errno))
  })
}

faults('a quota that is used up is FULL, though Node knows its number only', () => {
  const { EDQUOT } = constants.errno
  const cause = Object.assign(new Error('no'), { errno: -EDQUOT, code: `Unknown system error -${EDQUOT}` })
  assert.is(fault(cause, 'cannot write').code, 'FULL')
  assert.ok(isErrno(cause, 'EDQUOT'))
})

faults('what LevelDB says in words means the same', () => {
  const error = fault(new Error('IO error: /x/000005.log: No space left on device'), 'cannot write the index')
  assert.is(error.code, 'FULL')
})

faults('an error that is typed already stays as it is', () => {
  const error = new CairnError('NOT_FOUND', 'no')
  assert.is(fault(error, 'cannot'), error)
})

faults('a full store says what to do', () => {
  assert.ok(fullError(5).hint?.includes('capacity'))
})

faults.run()
