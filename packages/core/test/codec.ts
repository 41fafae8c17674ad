import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hex,
  list,
  oneOf,
  optional,
  struct,
  text,
  u8,
  u16,
  u32,
  union,
  varint
} from '../src/codec.ts'
import { CairnError } from '../src/errors.ts'

function refused<T>(codec: Codec<T>, raw: readonly number[]): void {
  assert.throws(
    () => decode(codec, Uint8Array.from(raw)),
    (error: unknown) => error instanceof CairnError && error.code === 'BAD_MESSAGE',
    `${raw} is refused`
  )
}

function isRangeError(error: unknown): boolean {
  return error instanceof RangeError
}

const codec = suite('codec')

codec('bytes on the wire are fixed', () => {
  const table: [Uint8Array, readonly number[]][] = [
    [encode(u8, 255), [255]],
    [encode(u16, 0x0102), [1, 2]],
    [encode(u32, 0xfffefdfc), [255, 254, 253, 252]],
    [encode(varint, 0), [0]],
    [encode(varint, 127), [127]],
    [encode(varint, 300), [0xac, 0x02]],
    [encode(varint, Number.MAX_SAFE_INTEGER), [255, 255, 255, 255, 255, 255, 255, 15]],
    [encode(bool, true), [1]],
    [encode(hex(2), 'a0ff'), [0xa0, 0xff]],
    [encode(text(8), 'hé'), [3, 0x68, 0xc3, 0xa9]],
    [encode(list(u8, 9), [7, 8]), [2, 7, 8]],
    [encode(optional(u8), undefined), [0]],
    [encode(optional(u8), 5), [1, 5]],
    [encode(oneOf(['a', 'b']), 'b'), [1]],
    [encode(struct({ a: u8, b: u16 }), { a: 1, b: 2 }), [1, 0, 2]],
    [encode(union({ x: struct({ a: u8 }) }, { x: 9 }), { type: 'x', a: 3 }), [9, 3]]
  ]
  for (const [written, expected] of table) assert.equal([...written], expected)
})

codec('what was written is read back', () => {
  const all = struct({
    ...{ a: u8, b: u16, c: u32, d: varint, e: bool, f: bytes(64), g: text(256), h: list(varint, 32) },
    i: optional(hex(4))
  })
  const value = fc.record(
    {
      a: fc.nat(255),
      b: fc.nat(65_535),
      c: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      d: fc.maxSafeNat(),
      e: fc.boolean(),
      f: fc.uint8Array({ maxLength: 64 }),
      g: fc.string({ maxLength: 64 }),
      h: fc.array(fc.maxSafeNat(), { maxLength: 32 }),
      i: fc.option(fc.constant('deadbeef'), { nil: undefined })
    },
    { noNullPrototype: true }
  )
  fc.assert(fc.property(value, (some) => assert.equal(decode(all, encode(all, some)), some)))
})

codec('there is one way to write a value: every other is refused', () => {
  refused(varint, [0x80, 0x00])
  refused(varint, [0xac, 0x82, 0x00])
  refused(varint, [255, 255, 255, 255, 255, 255, 255, 16])
  refused(varint, [255, 255, 255, 255, 255, 255, 255, 255, 255, 1])
  refused(bool, [2])
  refused(optional(u8), [2, 0])
  refused(oneOf(['a', 'b']), [2])
  refused(union({ x: struct({}) }, { x: 9 }), [8])
  refused(text(8), [1, 0xff])
  refused(u8, [1, 2])
  refused(u8, [])
  refused(fixed(3), [1, 2])
})

codec('a length or count over its limit, or over what is there, is refused before room is made', () => {
  refused(bytes(4), [5, 1, 2, 3, 4, 5])
  refused(text(2), [3, 65, 65, 65])
  refused(list(u8, 2), [3, 1, 2, 3])
  refused(list(u8, 2 ** 40), [0xff, 0xff, 0xff, 0xff, 0x0f, 1])
  refused(bytes(2 ** 40), [0xff, 0xff, 0xff, 0xff, 0x0f, 1])
})

codec('a value that its own codec may not write is a bug of the caller', () => {
  const bad: (() => Uint8Array)[] = [
    () => encode(varint, -1),
    () => encode(varint, 1.5),
    () => encode(varint, 2 ** 53),
    () => encode(fixed(2), Uint8Array.of(1)),
    () => encode(bytes(1), Uint8Array.of(1, 2)),
    () => encode(text(1), 'ab'),
    () => encode(list(u8, 1), [1, 2])
  ]
  for (const write of bad) assert.throws(write, isRangeError)
  assert.throws(() => union({ x: u8, y: u8 }, { x: 1, y: 1 }), isRangeError)
})

codec('what was read does not change with the buffer that it came in', () => {
  const buffer = Uint8Array.of(2, 7, 8)
  const value = decode(bytes(9), buffer)
  buffer.fill(0)
  assert.equal([...value], [7, 8])
})

codec.run()
