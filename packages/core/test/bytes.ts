import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { concat, equalBytes, fromHex, fromUtf8, toHex, toUtf8 } from '../src/bytes.ts'

const bytes = suite('bytes')

bytes('hexadecimal is what everybody else writes, and back', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (value) => {
      assert.is(toHex(value), Buffer.from(value).toString('hex'))
      assert.ok(equalBytes(fromHex(toHex(value)), value))
    })
  )
  for (const bad of ['0', 'AB', 'zz', ' 00']) {
    assert.throws(
      () => fromHex(bad),
      (error: unknown) => error instanceof RangeError
    )
  }
})

bytes('text becomes the UTF-8 that TextEncoder writes, lone surrogates too', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.ok(equalBytes(toUtf8(text), new TextEncoder().encode(text)))
    })
  )
  assert.equal([...toUtf8('\ud800x')], [0xef, 0xbf, 0xbd, 0x78])
})

bytes('bytes are text exactly when a strict decoder says so', () => {
  const strict = (value: Uint8Array): string | undefined => {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
    } catch {
      return undefined
    }
  }
  const near = fc.array(
    fc.constantFrom(0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xa0, 0xed, 0x9f, 0xf0, 0x90, 0xf4, 0x8f, 0xf5)
  )
  for (const value of [fc.uint8Array(), near.map((list) => Uint8Array.from(list))]) {
    fc.assert(
      fc.property(value, (some) => assert.is(fromUtf8(some), strict(some))),
      { numRuns: 3_000 }
    )
  }
})

bytes('joined parts are all of them in order', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (parts) => {
      assert.ok(equalBytes(concat(parts), Uint8Array.from(parts.flatMap((part) => [...part]))))
    })
  )
})

bytes('equal means as long and alike', () => {
  assert.ok(equalBytes(Uint8Array.of(), Uint8Array.of()))
  assert.not.ok(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 2)))
  assert.not.ok(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)))
})

bytes.run()
