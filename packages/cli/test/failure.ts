import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeFailure, failureText } from '../src/failure.ts'

const failure = suite('failure')
const plain = { prose: (_style: string, text: string) => text }

failure('an error says what, a code and what to try', () => {
  const error = new CairnError('NO_PROVIDER', 'no member holds bafy…q4e', { hint: 'cairn status bafy…q4e' })
  assert.is(
    failureText(describeFailure(error), plain),
    `error: no member holds bafy…q4e${' '.repeat(33)}NO_PROVIDER\n  try: cairn status bafy…q4e`
  )
})

failure('the code stays apart from a long message, and further lines are indented', () => {
  const error = new CairnError('INTERNAL', `${'x'.repeat(80)}\nthe log`)
  assert.is(failureText(describeFailure(error), plain), `error: ${'x'.repeat(80)}  INTERNAL\n  the log`)
})

failure('nothing that a stranger wrote into an error reaches the terminal raw', () => {
  const text = failureText(
    describeFailure(new CairnError('BAD_NAME', 'a\u001b[2Jb', { hint: 'c\u009bd' })),
    plain
  )
  assert.not.match(text, /[^\P{Cc}\n]/u)
})

failure('errors of the system keep their code and get an exit code that fits', () => {
  const missing = Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT', syscall: 'stat' })
  assert.equal(
    [describeFailure(missing).code, describeFailure(missing).exit, describeFailure(missing).hint],
    ['ENOENT', 4, 'check the path']
  )
  const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' })
  assert.is(describeFailure(full).exit, 9)
  const other = Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'read' })
  assert.is(describeFailure(other).exit, 1)
})

failure('a timeout exits with 5, a defect with 1 and says that it is one', () => {
  assert.is(describeFailure(new DOMException('t', 'TimeoutError')).exit, 5)
  const defect = describeFailure(new TypeError('x is not a function'))
  assert.equal([defect.code, defect.exit], ['INTERNAL', 1])
  assert.match(String(defect.hint), /report it/)
  assert.is(describeFailure('a string').message, 'a string')
})

failure('an error of another copy of the package is known too', () => {
  const foreign = Object.assign(new Error('gone'), { name: 'CairnError', code: 'NOT_FOUND', hint: 'h' })
  const described = describeFailure(foreign)
  assert.equal([described.code, described.exit, described.hint], ['NOT_FOUND', 4, 'h'])
})

failure.run()
