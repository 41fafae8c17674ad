/**
 * CAR: blocks one after the other in a stream. Written as version 1; read as 1, or as 2 by way of the
 * version 1 inside it, whose index is never believed. Every block is verified while it is read, and what is
 * held is one section and the piece of the source that it ended in.
 *
 * Spec: https://ipld.io/specs/transport/car/
 */
import { BLOCK_BYTES_MAX, CairnError, concat, equalBytes } from '@cairn/core'
import { CID } from 'multiformats/cid'
import { type Block, verifyBlock } from './cid.ts'
import { utf8, varintBytes } from './dag-pb.ts'
import type { ByteSource } from './file.ts'

/** A thousand roots take about 40 KiB. */
const HEADER_BYTES_MAX = 64 * 1024
export const CAR_ROOTS_MAX = 1024
/** sha2-512 with the longest codec takes 77 bytes. */
const CID_BYTES_MAX = 128
const SECTION_BYTES_MAX = BLOCK_BYTES_MAX + CID_BYTES_MAX
/** Smaller blocks are gathered up to this size, so that no consumer handles crumbs; larger are not copied. */
const GATHER_BYTES = 64 * 1024

/** The first section of a version 2 file: a header that says 2 and nothing else. */
const V2_PRAGMA = Uint8Array.of(0xa1, 0x67, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x02)
const V2_HEADER_BYTES = 40
const V2_PRAGMA_BYTES = 1 + V2_PRAGMA.length

/** A CAR of version 1: its header, then every block as it comes. */
export async function* carOf(
  roots: readonly CID[],
  blocks: AsyncIterable<Block> | Iterable<Block>
): AsyncGenerator<Uint8Array> {
  if (roots.length > CAR_ROOTS_MAX) throw new RangeError(`${roots.length} roots`)
  const header = encodeHeader(roots)
  let parts: Uint8Array[] = [varintBytes(header.length), header]
  let gathered = header.length
  for await (const { cid, bytes } of blocks) {
    const prefix = [varintBytes(cid.bytes.length + bytes.length), cid.bytes]
    parts.push(...prefix)
    gathered += cid.bytes.length
    if (bytes.length < GATHER_BYTES) {
      parts.push(bytes)
      gathered += bytes.length
      if (gathered < GATHER_BYTES) continue
    }
    yield concat(parts)
    parts = []
    gathered = 0
    if (bytes.length >= GATHER_BYTES) yield bytes
  }
  if (parts.length > 0) yield concat(parts)
}

export interface ReadCarOptions {
  /** Memory for a section that is not small, with whatever in it; fresh by default. */
  memory?: (length: number) => Uint8Array
  /** A piece of the source may be overwritten once the next is asked for: blocks are no views of them. */
  reused?: boolean
  /** In the place of `verifyBlock`. Who verifies elsewhere gets blocks before they are known to be good. */
  verify?: (cid: CID, bytes: Uint8Array) => void
}

export interface Car {
  readonly version: 1 | 2
  readonly roots: readonly CID[]
  /** Once, in the order of the file; each went through `verify`. */
  readonly blocks: AsyncGenerator<Block, void>
}

/**
 * Reads the header, and then the blocks as they are asked for. A block's bytes are a view of the source's
 * pieces where they can be, or in `memory`: copy what outlives the loop.
 *
 * @throws CairnError BAD_CAR; while blocks are read also BLOCK_CORRUPT, BAD_CID
 */
export async function readCar(source: ByteSource, options: ReadCarOptions = {}): Promise<Car> {
  const input = new Input(source, options)
  const { verify = verifyBlock } = options
  try {
    const first = await input.header()
    if (!equalBytes(first, V2_PRAGMA))
      return { version: 1, roots: decodeHeader(first), blocks: sections(input, verify) }
    const header = await input.take(V2_HEADER_BYTES)
    const view = new DataView(header.buffer, header.byteOffset, header.length)
    const offset = view.getBigUint64(16, true)
    const size = view.getBigUint64(24, true)
    const skip = offset - BigInt(V2_PRAGMA_BYTES + V2_HEADER_BYTES)
    if (skip < 0n || size < 1n || offset + size > BigInt(Number.MAX_SAFE_INTEGER))
      badCar('its header points nowhere')
    await input.skip(Number(skip))
    input.left = Number(size)
    return { version: 2, roots: decodeHeader(await input.header()), blocks: sections(input, verify) }
  } catch (error) {
    await input.close()
    throw error
  }
}

async function* sections(
  input: Input,
  verify: (cid: CID, bytes: Uint8Array) => void
): AsyncGenerator<Block, void> {
  try {
    while (!(await input.ended())) {
      const length = await input.varint()
      if (length > SECTION_BYTES_MAX)
        badCar(`a section of ${length} bytes; ${SECTION_BYTES_MAX} are the limit`)
      const section = await input.take(length)
      const block = blockIn(section)
      verify(block.cid, block.bytes)
      yield block
    }
  } finally {
    await input.close()
  }
}

function blockIn(section: Uint8Array): Block {
  try {
    const [cid, bytes] = CID.decodeFirst(section)
    // A CID is written anew when it is parsed: the lengths differ if it was not in its shortest form.
    if (cid.bytes.length + bytes.length === section.length) return { cid, bytes }
  } catch (cause) {
    return badCar('a section that begins with no CID', cause)
  }
  return badCar('a CID in a longer form than needed')
}

function badCar(what: string, cause?: unknown): never {
  throw new CairnError('BAD_CAR', `not a usable CAR: ${what}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'the file is damaged or cut short: get it again'
  })
}

/** Exact reads from a source of pieces of any size. */
class Input {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  readonly #memory: ((length: number) => Uint8Array) | undefined
  /** From which length on what is taken is copied out of the pieces. */
  readonly #copied: number
  /** How many bytes may still be read. */
  left = Number.POSITIVE_INFINITY

  constructor(source: ByteSource, { memory, reused = false }: ReadCarOptions) {
    this.#memory = memory
    this.#copied = reused ? 0 : memory === undefined ? Number.POSITIVE_INFINITY : GATHER_BYTES
    this.#pieces = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  }

  /** Makes the current piece a non-empty one; false when there is no more. */
  async #more(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next()
      if (next.done === true) return false
      this.#piece = next.value
    }
    return true
  }

  async ended(): Promise<boolean> {
    if (this.left === 0) return true
    if (await this.#more()) return false
    return this.left === Number.POSITIVE_INFINITY || badCar('it is cut short')
  }

  async take(length: number): Promise<Uint8Array> {
    if (length > this.left) badCar('it is cut short')
    this.left -= length
    if (length >= this.#copied) return this.#into(this.#memoryFor(length))
    if (this.#piece.length >= length) return this.#cut(length)
    const parts: Uint8Array[] = []
    for (let missing = length; missing > 0; ) {
      if (!(await this.#more())) badCar('it is cut short')
      const part = this.#cut(Math.min(missing, this.#piece.length))
      parts.push(part)
      missing -= part.length
    }
    return concat(parts)
  }

  #memoryFor(length: number): Uint8Array {
    return length < GATHER_BYTES ? new Uint8Array(length) : (this.#memory?.(length) ?? new Uint8Array(length))
  }

  async #into(whole: Uint8Array): Promise<Uint8Array> {
    for (let at = 0; at < whole.length; ) {
      if (!(await this.#more())) badCar('it is cut short')
      const part = this.#cut(Math.min(whole.length - at, this.#piece.length))
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  #cut(length: number): Uint8Array {
    const part = this.#piece.subarray(0, length)
    this.#piece = this.#piece.subarray(length)
    return part
  }

  async skip(length: number): Promise<void> {
    for (let missing = length; missing > 0; ) {
      if (!(await this.#more())) badCar('it is cut short')
      missing -= this.#cut(Math.min(missing, this.#piece.length)).length
    }
  }

  async varint(): Promise<number> {
    let value = 0
    let scale = 1
    for (let i = 0; i < 5; i++) {
      // Or one await a byte would cost more than the hash.
      const inPiece = this.left > 0 && this.#piece.length > 0
      if (inPiece) this.left--
      const byte = (inPiece ? this.#cut(1) : await this.take(1))[0] as number
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    return badCar('a length that no section has')
  }

  async header(): Promise<Uint8Array> {
    const length = await this.varint()
    if (length < 1 || length > HEADER_BYTES_MAX) badCar(`a header of ${length} bytes`)
    return await this.take(length)
  }

  async close(): Promise<void> {
    await this.#pieces.return?.()
  }
}

// The header is DAG-CBOR: {"roots": [CID, …], "version": 1}, keys in this order. That is all of CBOR we need.

const ROOTS = Uint8Array.of(0xa2, 0x65, ...utf8.encode('roots'))
const VERSION_1 = Uint8Array.of(0x67, ...utf8.encode('version'), 0x01)
/** Tag 42, a byte string, whose first byte 0 says that a binary CID follows. */
const CID_TAG = [0xd8, 0x2a]

function encodeHeader(roots: readonly CID[]): Uint8Array {
  const parts = [ROOTS, cborHead(4, roots.length)]
  for (const { bytes } of roots) {
    parts.push(Uint8Array.of(...CID_TAG), cborHead(2, bytes.length + 1), Uint8Array.of(0), bytes)
  }
  return concat([...parts, VERSION_1])
}

function cborHead(major: number, value: number): Uint8Array {
  if (value < 24) return Uint8Array.of((major << 5) | value)
  if (value < 256) return Uint8Array.of((major << 5) | 24, value)
  return Uint8Array.of((major << 5) | 25, value >> 8, value & 255)
}

function decodeHeader(header: Uint8Array): CID[] {
  const at = { offset: 0 }
  if (!startsWith(header, at, ROOTS)) badCar('its header is not {roots, version}')
  const count = readHead(header, at, 4)
  if (count > CAR_ROOTS_MAX) badCar(`${count} roots; ${CAR_ROOTS_MAX} are the limit`)
  const roots: CID[] = []
  for (let i = 0; i < count; i++) roots.push(readRoot(header, at))
  if (!startsWith(header, at, VERSION_1) || at.offset !== header.length)
    badCar('a version that is neither 1 nor 2')
  return roots
}

function readRoot(header: Uint8Array, at: { offset: number }): CID {
  if (!startsWith(header, at, Uint8Array.of(...CID_TAG))) badCar('a root that is not a CID')
  const length = readHead(header, at, 2)
  const bytes = header.subarray(at.offset, at.offset + length)
  at.offset += length
  if (bytes.length !== length || bytes[0] !== 0) badCar('a root that is not a CID')
  try {
    return CID.decode(bytes.slice(1))
  } catch (cause) {
    return badCar('a root that is not a CID', cause)
  }
}

function startsWith(bytes: Uint8Array, at: { offset: number }, expected: Uint8Array): boolean {
  const found = equalBytes(bytes.subarray(at.offset, at.offset + expected.length), expected)
  at.offset += expected.length
  return found
}

function readHead(bytes: Uint8Array, at: { offset: number }, major: number): number {
  const first = bytes[at.offset++] ?? 0
  if (first >> 5 !== major) badCar('a header that is not DAG-CBOR')
  const short = first & 31
  if (short < 24) return short
  let value = 0
  const width = short === 24 ? 1 : short === 25 ? 2 : badCar('a header that is not DAG-CBOR')
  for (let i = 0; i < width; i++) value = value * 256 + (bytes[at.offset++] ?? badCar('it is cut short'))
  return value
}
