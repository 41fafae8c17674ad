import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkName } from '../src/names.ts'

const names = suite('names')

names('any well-formed name goes, whatever a shell or a terminal makes of it', () => {
  for (const name of ['a', '...', 'a b', 'ä', '🙂', '-rf', 'a\\b', 'a\nb', ' ', 'x'.repeat(255)]) {
    checkName(name, 'BAD_NAME')
  }
})

names('what no directory may hold is refused with the code of whose mistake it is', () => {
  for (const name of ['', '.', '..', 'a/b', '/', 'a\0', '\ud800', 'x\udc00']) {
    for (const code of ['BAD_NAME', 'UNSAFE_PATH'] as const) {
      assert.throws(
        () => checkName(name, code),
        (error: unknown) => CairnError.is(error, code),
        name
      )
    }
  }
})

names.run()
