import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CairnError, type ErrorCode } from '../src/errors.ts'

const errors = suite('errors')

errors('an error carries its code, its hint, its cause, and what HTTP and a shell make of it', () => {
  const cause = new Error('below')
  const error = new CairnError('NOT_FOUND', 'no such block', { hint: 'look elsewhere', cause })
  assert.ok(error instanceof Error)
  assert.equal([error.name, error.code, error.message], ['CairnError', 'NOT_FOUND', 'no such block'])
  assert.equal([error.hint, error.cause], ['look elsewhere', cause])
  assert.equal([error.status, error.exit, error.retryable], [404, 4, false])
})

errors('without a cause there is none, not an undefined one', () => {
  assert.not.ok('cause' in new CairnError('FULL', 'x'))
  assert.is(new CairnError('FULL', 'x').hint, undefined)
})

errors('the exit codes and statuses that others rely on stay', () => {
  const fixed: [ErrorCode, number, number, boolean][] = [
    ['BAD_REQUEST', 400, 2, false],
    ['UNAUTHORIZED', 401, 8, false],
    ['NOT_FOUND', 404, 4, false],
    ['TOO_FEW_REPLICAS', 503, 6, true],
    ['BLOCK_CORRUPT', 502, 7, true],
    ['UNREACHABLE', 503, 3, true],
    ['TIMEOUT', 504, 5, true],
    ['FULL', 507, 9, true],
    ['INTERNAL', 500, 1, false]
  ]
  for (const [code, status, exit, retryable] of fixed) {
    const error = new CairnError(code, 'x')
    assert.equal([error.status, error.exit, error.retryable], [status, exit, retryable], code)
  }
})

errors.run()
