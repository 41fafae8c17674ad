import { hash } from 'node:crypto'
import { cidOf, keyOf } from '@cairn/blocks'
import { type BlockKey, CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ASIDE_BYTES_MIN, matches, matchesAside, misnamed, verifyAside, verifyBytes } from '../src/verify.ts'

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

verify('long blocks are checked aside, to the same end', async () => {
  const bytes = new Uint8Array(ASIDE_BYTES_MIN + 1).fill(7)
  for (const name of ['sha2-256', 'sha2-512', 'blake3'] as const) {
    const key = keyOf(cidOf(bytes, { hash: name }))
    const wrong = bytes.slice()
    wrong[ASIDE_BYTES_MIN] = 8
    await verifyAside(key, bytes)
    assert.equal([await matchesAside(key, bytes), await matchesAside(key, wrong)], [true, false])
    const error = await verifyAside(key, wrong).catch((cause) => cause)
    assert.ok(CairnError.is(error, 'BLOCK_CORRUPT'), String(error))
  }
  const large = new Uint8Array(2 * 1024 * 1024 + 1)
  const tooLarge = await verifyAside(`1220${hash('sha256', large)}` as BlockKey, large).catch(
    (cause) => cause
  )
  assert.ok(CairnError.is(tooLarge, 'BLOCK_TOO_LARGE'))
})

verify(
  'of many short blocks those are found that are misnamed, and the event loop turns meanwhile',
  async () => {
    const blocks = Array.from({ length: 60 }, (_, i) => {
      const bytes = new Uint8Array(30_000).fill(i)
      const named = i % 9 === 4 ? bytes.subarray(1) : bytes
      return { key: keyOf(cidOf(named, { hash: i % 2 === 0 ? 'sha2-256' : 'blake3' })), bytes }
    })
    let turns = 0
    setImmediate(() => turns++) // comes before the one that it waits for
    const wrong = await misnamed(blocks)
    assert.equal(
      [...wrong].map((block) => blocks.indexOf(block)),
      [4, 13, 22, 31, 40, 49, 58]
    )
    assert.ok(turns > 0)
  }
)

verify('a block too large is refused even if it is right', () => {
  const large = new Uint8Array(2 * 1024 * 1024 + 1)
  const key = `1220${hash('sha256', large)}` as BlockKey
  assert.throws(
    () => verifyBytes(key, large),
    (error: unknown) => CairnError.is(error, 'BLOCK_TOO_LARGE')
  )
})

verify.run()
