/**
 * dag-pb, the format of every block that links to others: protobuf with two fields, written with links
 * first and read in either order. Own code, since a stranger's block must cost little memory: links stay
 * views of the block, and nothing is allocated for a link before its CID is there.
 *
 * Spec: https://ipld.io/specs/codecs/dag-pb/spec/
 */
import { CairnError, concat } from '@cairn/core'

/** A named link. `cid` is a CID's bytes; `size` counts all bytes below it as its writer claims. */
export interface Link {
  readonly name: string
  readonly cid: Uint8Array
  readonly size: number
}

export interface PbNode {
  readonly links: readonly Link[]
  readonly data: Uint8Array
}

/** The shortest CID of a link, sha2-256 as version 0, and the four bytes around it. */
const LINK_BYTES_MIN = 38

export const utf8 = new TextEncoder()
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function badDag(what: string, cause?: unknown): never {
  throw new CairnError('BAD_DAG', what, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'the data was built wrongly; no other copy will differ'
  })
}

/** Writes protobuf fields one after the other. */
export class Fields {
  readonly #parts: Uint8Array[] = []

  varint(field: number, value: number): this {
    this.#parts.push(Uint8Array.of(field << 3), varintBytes(value))
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(Uint8Array.of((field << 3) | 2), varintBytes(value.length), value)
    return this
  }

  end(): Uint8Array {
    return concat(this.#parts)
  }
}

export function varintBytes(value: number): Uint8Array {
  const out: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128)
  out.push(rest)
  return Uint8Array.from(out)
}

export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

/** @param links in the order of their names' bytes, which the caller keeps. */
export function encodeNode(links: readonly Link[], data: Uint8Array): Uint8Array {
  const names = links.map(({ name }) => utf8.encode(name))
  let length = framed(data.length)
  for (const [i, link] of links.entries()) length += framed(innerLength(link, names[i] as Uint8Array))
  const out = new Uint8Array(length)
  let at = 0
  for (const [i, link] of links.entries()) {
    const name = names[i] as Uint8Array
    at = putVarint(out, at, 0x12, innerLength(link, name))
    at = putBytes(out, at, 0x0a, link.cid)
    at = putBytes(out, at, 0x12, name)
    at = putVarint(out, at, 0x18, link.size)
  }
  putBytes(out, at, 0x0a, data)
  return out
}

function putVarint(out: Uint8Array, at: number, tag: number, value: number): number {
  let to = at
  out[to++] = tag
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) out[to++] = (rest % 128) | 128
  out[to++] = rest
  return to
}

function putBytes(out: Uint8Array, at: number, tag: number, bytes: Uint8Array): number {
  const to = putVarint(out, at, tag, bytes.length)
  out.set(bytes, to)
  return to + bytes.length
}

/** Of a tag, a length and so many bytes. */
function framed(length: number): number {
  return 1 + varintLength(length) + length
}

function innerLength({ cid, size }: Link, name: Uint8Array): number {
  return framed(cid.length) + framed(name.length) + 1 + varintLength(size)
}

/** How many bytes a link takes in its block. */
export function linkLength(link: Link): number {
  return framed(innerLength(link, utf8.encode(link.name)))
}

/** @throws CairnError BAD_DAG */
export function decodeNode(bytes: Uint8Array): PbNode {
  const links: Link[] = []
  let data: Uint8Array | undefined
  eachField(bytes, (field, value) => {
    if (typeof value === 'number') badDag('not dag-pb: a number where links or data belong')
    if (field === 1 && data === undefined) data = value
    else if (field === 2) links.push(decodeLink(value))
    else badDag(field === 1 ? 'not dag-pb: data twice' : `not dag-pb: field ${field}`)
  })
  return { links, data: data ?? badDag('a dag-pb block that is no UnixFS: it has no data') }
}

function decodeLink(bytes: Uint8Array): Link {
  if (bytes.length < LINK_BYTES_MIN - 2) badDag('not dag-pb: a link without a CID')
  let cid: Uint8Array | undefined
  let name: string | undefined
  let size: number | undefined
  eachField(bytes, (field, value) => {
    if (field === 1 && cid === undefined && typeof value !== 'number') cid = value
    else if (field === 2 && name === undefined && typeof value !== 'number') name = textOf(value)
    else if (field === 3 && size === undefined && typeof value === 'number') size = value
    else badDag(`not dag-pb: field ${field} of a link`)
  })
  return { name: name ?? '', cid: cid ?? badDag('not dag-pb: a link without a CID'), size: size ?? 0 }
}

function textOf(bytes: Uint8Array): string {
  if (bytes.length === 0) return ''
  try {
    return strictUtf8.decode(bytes)
  } catch (cause) {
    return badDag('a name that is not UTF-8', cause)
  }
}

/**
 * The fields of a protobuf message: varints as numbers, byte strings as views. No other wire type. (Not a
 * generator: a block may hold 50,000 links, and each field would cost an object more.)
 */
export function eachField(
  bytes: Uint8Array,
  take: (field: number, value: number | Uint8Array) => void
): void {
  const at = { offset: 0 }
  while (at.offset < bytes.length) {
    const key = readVarint(bytes, at)
    const value = readVarint(bytes, at)
    if ((key & 7) === 0) {
      take(key >>> 3, value)
    } else if ((key & 7) === 2) {
      const end = at.offset + value
      if (end > bytes.length) badDag('not protobuf: cut short')
      take(key >>> 3, bytes.subarray(at.offset, end))
      at.offset = end
    } else badDag(`not protobuf of this kind: wire type ${key & 7}`)
  }
}

/** An unsigned varint up to 2^53 - 1, moving `at` past it. @throws CairnError BAD_DAG */
export function readVarint(bytes: Uint8Array, at: { offset: number }): number {
  let value = 0
  let scale = 1
  for (let i = 0; i < 8; i++) {
    const byte = bytes[at.offset++]
    if (byte === undefined) badDag('not protobuf: cut short')
    value += (byte & 127) * scale
    if (byte < 128) return Number.isSafeInteger(value) ? value : badDag('a number above 2^53')
    scale *= 128
  }
  return badDag('a number above 2^53')
}
