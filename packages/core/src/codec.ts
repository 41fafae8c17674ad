/**
 * How messages, claims and receipts become bytes: a codec is one value that both writes and reads, so
 * the two can't drift apart, and every length has a limit that is checked before anything is allocated.
 *
 * Integers are big-endian or LEB128 varints; lengths and counts are varints. `decode` accepts exactly
 * what `encode` writes: no trailing bytes, no longer form of a number.
 */
import { fromUtf8, putHex, toHex, toUtf8 } from './bytes.ts'
import { CairnError } from './errors.ts'

export interface Codec<T> {
  write(out: Writer, value: T): void
  read(from: Reader): T
}

/** Where a value is written: bytes in a buffer that grows when it is full. */
export interface Writer {
  bytes: Uint8Array
  length: number
}

export type Decoded<C> = C extends Codec<infer T> ? T : never

/** A cursor over a peer's bytes. Every read past the end is a BAD_MESSAGE. */
export interface Reader {
  readonly bytes: Uint8Array
  offset: number
}

function bad(what: string): never {
  throw new CairnError('BAD_MESSAGE', `malformed message: ${what}`)
}

function take(from: Reader, length: number): Uint8Array {
  const end = from.offset + length
  if (end > from.bytes.length) bad('cut short')
  const slice = from.bytes.slice(from.offset, end)
  from.offset = end
  return slice
}

/** One byte, without a view of its own: most of what is read are these. */
function octet(from: Reader): number {
  const byte = from.bytes[from.offset]
  if (byte === undefined) return bad('cut short')
  from.offset++
  return byte
}

function unsigned(width: 1 | 2 | 4): Codec<number> {
  return {
    write(out, value) {
      for (let shift = 8 * (width - 1); shift >= 0; shift -= 8) put(out, (value >>> shift) & 255)
    },
    read(from) {
      let value = 0
      for (let i = 0; i < width; i++) value = value * 256 + octet(from)
      return value
    }
  }
}

export const u8 = unsigned(1)
export const u16 = unsigned(2)
export const u32 = unsigned(4)

/** An unsigned integer up to 2^53 - 1 as a LEB128 varint. */
export const varint: Codec<number> = {
  write(out, value) {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`)
    let rest = value
    while (rest >= 128) {
      put(out, (rest % 128) | 128)
      rest = Math.floor(rest / 128)
    }
    put(out, rest)
  },
  read(from) {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = octet(from)
      value += (byte & 127) * scale
      if (byte < 128) {
        if (byte === 0 && i > 0) bad('a number in a longer form than needed')
        return Number.isSafeInteger(value) ? value : bad('a number above 2^53')
      }
      scale *= 128
    }
    return bad('a number above 2^53')
  }
}

export const bool: Codec<boolean> = {
  write: (out, value) => void put(out, value ? 1 : 0),
  read(from) {
    const byte = octet(from)
    return byte > 1 ? bad('neither true nor false') : byte === 1
  }
}

/** Exactly `length` bytes. */
export function fixed(length: number): Codec<Uint8Array> {
  return {
    write(out, value) {
      if (value.length !== length) throw new RangeError(`${value.length} bytes where ${length} belong`)
      append(out, value)
    },
    read: (from) => take(from, length)
  }
}

/** Exactly `length` bytes, kept in memory as lower-case hexadecimal. */
export function hex(length: number): Codec<string> {
  return {
    write(out, value) {
      if (value.length !== 2 * length)
        throw new RangeError(`${value.length} digits where ${2 * length} belong`)
      roomFor(out, length)
      putHex(out.bytes, out.length, value)
      out.length += length
    },
    read(from) {
      const end = from.offset + length
      if (end > from.bytes.length) bad('cut short')
      const value = toHex(from.bytes.subarray(from.offset, end))
      from.offset = end
      return value
    }
  }
}

/** Up to `max` bytes, length first. */
export function bytes(max: number): Codec<Uint8Array> {
  return {
    write(out, value) {
      if (value.length > max) throw new RangeError(`${value.length} bytes where ${max} are the limit`)
      varint.write(out, value.length)
      append(out, value)
    },
    read(from) {
      const length = varint.read(from)
      return length > max ? bad(`${length} bytes where ${max} are the limit`) : take(from, length)
    }
  }
}

/** Up to `max` bytes of UTF-8, length first. */
export function text(max: number): Codec<string> {
  const raw = bytes(max)
  return {
    write: (out, value) => raw.write(out, toUtf8(value)),
    read: (from) => fromUtf8(raw.read(from)) ?? bad('text that is not UTF-8')
  }
}

/** Up to `max` items, count first. */
export function list<T>(item: Codec<T>, max: number): Codec<T[]> {
  return {
    write(out, values) {
      if (values.length > max) throw new RangeError(`${values.length} items where ${max} are the limit`)
      varint.write(out, values.length)
      for (const value of values) item.write(out, value)
    },
    read(from) {
      const count = varint.read(from)
      if (count > max || count > from.bytes.length - from.offset) bad(`${count} items`)
      const values: T[] = []
      for (let i = 0; i < count; i++) values.push(item.read(from))
      return values
    }
  }
}

export function optional<T>(item: Codec<T>): Codec<T | undefined> {
  return {
    write(out, value) {
      bool.write(out, value !== undefined)
      if (value !== undefined) item.write(out, value)
    },
    read: (from) => (bool.read(from) ? item.read(from) : undefined)
  }
}

/** One of a few words, as its position in the list. Append only: positions are on the wire. */
export function oneOf<const W extends readonly string[]>(words: W): Codec<W[number]> {
  return {
    write: (out, value) => void put(out, words.indexOf(value)),
    read: (from) => words[octet(from)] ?? bad('an unknown word')
  }
}

type Shape<F> = { [K in keyof F]: Decoded<F[K]> }

/** The fields in the order given. */
export function struct<F extends { [K in keyof F]: Codec<unknown> }>(fields: F): Codec<Shape<F>> {
  const entries = Object.entries(fields) as [keyof F, Codec<unknown>][]
  return {
    write(out, value) {
      for (const [name, codec] of entries) codec.write(out, value[name])
    },
    read(from) {
      const value = {} as Record<keyof F, unknown>
      for (const [name, codec] of entries) value[name] = codec.read(from)
      return value as Shape<F>
    }
  }
}

type Tagged<C> = { [K in keyof C]: { type: K } & Decoded<C[K]> }[keyof C]

/** A closed union on `type`: the tag's number first. Numbers are on the wire: never reuse one. */
export function union<C extends { [K in keyof C]: Codec<unknown> }>(
  cases: C,
  tags: { [K in keyof C]: number }
): Codec<Tagged<C>> {
  const byTag = new Map(Object.keys(cases).map((type) => [tags[type as keyof C], type as keyof C]))
  if (byTag.size !== Object.keys(cases).length) throw new RangeError('two cases share a tag')
  return {
    write(out, value) {
      put(out, tags[value.type])
      ;(cases[value.type] as Codec<unknown>).write(out, value)
    },
    read(from) {
      const type = byTag.get(octet(from)) ?? bad('an unknown type')
      return { type, ...((cases[type] as Codec<unknown>).read(from) as object) } as Tagged<C>
    }
  }
}

/**
 * Room for most messages, and as much as an engine allocates like any small object; a claim's part or a page
 * of keys makes it larger a few times.
 */
const WRITER_BYTES = 64
const WRITER_GROWTH = 4

function roomFor(out: Writer, more: number): void {
  const needed = out.length + more
  if (needed <= out.bytes.length) return
  const larger = new Uint8Array(Math.max(needed, WRITER_GROWTH * out.bytes.length))
  larger.set(out.bytes.subarray(0, out.length))
  out.bytes = larger
}

function put(out: Writer, byte: number): void {
  if (out.length === out.bytes.length) roomFor(out, 1)
  out.bytes[out.length++] = byte
}

/** Writes bytes as they are. */
export function append(out: Writer, value: Uint8Array): void {
  roomFor(out, value.length)
  out.bytes.set(value, out.length)
  out.length += value.length
}

export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const out = { bytes: new Uint8Array(WRITER_BYTES), length: 0 }
  codec.write(out, value)
  return out.bytes.slice(0, out.length)
}

/** @throws CairnError BAD_MESSAGE when `bytes` is not exactly one encoded value. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const from = { bytes, offset: 0 }
  const value = codec.read(from)
  return from.offset === bytes.length ? value : bad('bytes after its end')
}
