/**
 * Where a name belongs in a sharded directory: the HAMT of UnixFS, whose hash is the first 64 bits of
 * murmur3-x64-128 (Appleby, smhasher), consumed from the highest bit on.
 */
import { CairnError, concat } from '@cairn/core'
import type { Block } from './cid.ts'
import { type Link, utf8 } from './dag-pb.ts'
import { encodeShard } from './unixfs.ts'

const C1 = 0x87c37b91114253d5n
const C2 = 0x4cf5ad432745937fn

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const rotate = (value: bigint, by: bigint): bigint => u64((value << by) | (value >> (64n - by)))

function finish(value: bigint): bigint {
  let k = value
  k = u64((k ^ (k >> 33n)) * 0xff51afd7ed558ccdn)
  k = u64((k ^ (k >> 33n)) * 0xc4ceb9fe1a85ec53n)
  return k ^ (k >> 33n)
}

const mix1 = (k: bigint): bigint => u64(rotate(u64(k * C1), 31n) * C2)
const mix2 = (k: bigint): bigint => u64(rotate(u64(k * C2), 33n) * C1)

/** The hash of a name, as eight bytes, the highest first. */
export function hashName(name: string): Uint8Array {
  const bytes = utf8.encode(name)
  // Zeros up to a whole block change nothing: a missing byte mixes in as 0.
  const view = new DataView(concat([bytes, new Uint8Array(16 - (bytes.length % 16))]).buffer)
  let h1 = 0n
  let h2 = 0n
  let at = 0
  for (; at + 16 <= bytes.length; at += 16) {
    h1 = u64((rotate(h1 ^ mix1(view.getBigUint64(at, true)), 27n) + h2) * 5n + 0x52dce729n)
    h2 = u64((rotate(h2 ^ mix2(view.getBigUint64(at + 8, true)), 31n) + h1) * 5n + 0x38495ab5n)
  }
  h2 ^= mix2(view.getBigUint64(at + 8, true))
  h1 ^= mix1(view.getBigUint64(at, true))
  const length = BigInt(bytes.length)
  h1 = u64((h1 ^ length) + (h2 ^ length))
  h2 = u64((h2 ^ length) + h1)
  const hash = new DataView(new ArrayBuffer(8))
  hash.setBigUint64(0, u64(finish(h1) + finish(h2)))
  return new Uint8Array(hash.buffer)
}

/** Levels that 64 bits are enough for. */
export function levelsOf(bits: number): number {
  return Math.floor(64 / bits)
}

/** The place of a hash in a shard of `bits` at `depth`, which is below `levelsOf(bits)`. */
export function placeOf(hash: Uint8Array, bits: number, depth: number): number {
  let place = 0
  for (let bit = depth * bits; bit < (depth + 1) * bits; bit++) {
    place = (place << 1) | (((hash[bit >> 3] as number) >> (7 - (bit & 7))) & 1)
  }
  return place
}

/** How a shard spells a place: hexadecimal, as wide as the last one. */
export function labelOf(place: number, bits: number): string {
  const width = (2 ** bits - 1).toString(16).length
  return place.toString(16).toUpperCase().padStart(width, '0')
}

/** The profile's: 256 places a shard, so a byte of the hash a level. */
const BITS = 8

interface Hashed {
  readonly link: Link
  readonly hash: Uint8Array
}

/** The blocks of a sharded directory, leaves first. @returns the link to its root, without a name */
export function* shardBlocks(
  links: readonly Link[],
  block: (bytes: Uint8Array) => Block
): Generator<Block, Link> {
  const hashed = links.map((link) => ({ link, hash: hashName(link.name) }))
  hashed.sort((a, b) => compareBytes(a.hash, b.hash))
  return yield* shard(hashed, 0, block)
}

function* shard(
  entries: readonly Hashed[],
  depth: number,
  block: (bytes: Uint8Array) => Block
): Generator<Block, Link> {
  if (depth === levelsOf(BITS)) throw sameHash(entries)
  const links: Link[] = []
  const places: number[] = []
  for (let from = 0; from < entries.length; ) {
    const place = (entries[from] as Hashed).hash[depth] as number
    let to = from + 1
    while (to < entries.length && (entries[to] as Hashed).hash[depth] === place) to++
    const label = labelOf(place, BITS)
    const only = (entries[from] as Hashed).link
    if (to - from === 1) links.push({ ...only, name: label + only.name })
    else links.push({ ...(yield* shard(entries.slice(from, to), depth + 1, block)), name: label })
    places.push(place)
    from = to
  }
  const { cid, bytes } = block(encodeShard(links, places, 2 ** BITS))
  yield { cid, bytes }
  let size = bytes.length
  for (const link of links) size += link.size
  return { name: '', cid: cid.bytes, size }
}

function sameHash(entries: readonly Hashed[]): CairnError {
  const names = entries.slice(0, 2).map(({ link }) => JSON.stringify(link.name))
  return new CairnError(
    'BAD_NAME',
    `${names.join(' and ')} have one hash, so no large directory can hold both`,
    {
      hint: 'rename one of them'
    }
  )
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
