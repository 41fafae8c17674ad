import { hash } from 'node:crypto'
import { cidOf, keyOf } from '@cairn/blocks'
import { type BlockKey, CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { matches, verifyBytes } from '../src/verify.ts'

const verify = suite('verifyBytes')

const BYTES = new TextEncoder().encode('cairn')

for (const name of ['sha2-256', 'sha2-512', 'blake3'] as const) {
  verify(`tells right from wrong by ${name}`, () => {
    const key = keyOf(cidOf(BYTES, { hash: name }))
    assert.ok(matches(key, BYTES))
    verifyBytes(key, BYTES)
    assert.not(matches(key, BYTES.subarray(1)))
    assert.throws(
      () => verifyBytes(key, BYTES.subarray(1)),
      (error: unknown) => CairnError.is(error, 'BLOCK_CORRUPT') && error.message.includes(key)
    )
  })
}

verify('a block too large is refused even if it is right', () => {
  const large = new Uint8Array(2 * 1024 * 1024 + 1)
  const key = `1220${hash('sha256', large)}` as BlockKey
  assert.throws(
    () => verifyBytes(key, large),
    (error: unknown) => CairnError.is(error, 'BLOCK_TOO_LARGE')
  )
})

verify.run()
