/**
 * The digests that people check files by: MD5, SHA-1, SHA-256, SHA-512. They are kept beside the data and
 * never name a block: the first two can be forged, so they tell damage from none, and nothing about intent.
 */
import { CairnError } from '@cairn/core'
import { openDigester } from '#digests'

/** Each with its length in bytes, in the order in which they are written everywhere. */
export const DIGESTS = { md5: 16, sha1: 20, sha256: 32, sha512: 64 } as const
export type DigestName = keyof typeof DIGESTS
export const DIGEST_NAMES = Object.keys(DIGESTS) as readonly DigestName[]

/** Of one content, in lower-case hexadecimal. */
export type Digests = { readonly [Name in DigestName]?: string }

/**
 * Digests of contents, one after the other: all pieces of one, `end`, and the next. The next may begin
 * before what `end` promised is there.
 */
export interface Digester {
  /** Done with the piece when it resolves; waits while the hashing is behind. */
  update(bytes: Uint8Array): Promise<void>
  end(): Promise<Digests>
  /** Lets go of its threads. What was promised and is not there is rejected. */
  close(): Promise<void>
}

/** On Node the hashing is done by other threads; elsewhere here, at some 20 MB/s for all four. */
export function createDigester(names: readonly DigestName[]): Digester {
  if (names.length === 0) throw new RangeError('a digester of nothing')
  return openDigester(inOrder(names))
}

export function inOrder(names: Iterable<DigestName>): DigestName[] {
  const wanted = new Set(names)
  return DIGEST_NAMES.filter((name) => wanted.has(name))
}

/** All digests of a whole content. */
export async function digestsOf(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  names: readonly DigestName[] = DIGEST_NAMES
): Promise<Digests> {
  const digester = createDigester(names)
  try {
    for await (const piece of source) await digester.update(piece)
    return await digester.end()
  } finally {
    await digester.close()
  }
}

export interface NamedDigest {
  name: DigestName
  hex: string
}

/** `sha256:e3b0…`. @throws CairnError BAD_REQUEST */
export function parseDigest(text: string): NamedDigest {
  const [, word = '', hex = ''] = /^([a-z0-9-]+):([0-9a-f]+)$/i.exec(text.trim()) ?? []
  const name = digestNamed(word)
  if (name !== undefined && hex.length === 2 * DIGESTS[name]) return { name, hex: hex.toLowerCase() }
  const [shown, digits] = [JSON.stringify(text.slice(0, 40)), name && 2 * DIGESTS[name]]
  throw new CairnError(
    'BAD_REQUEST',
    name === undefined
      ? `${shown} is not a digest`
      : `${name} has ${digits} hexadecimal digits, not ${hex.length}`,
    { hint: `write it as md5:…, sha1:…, sha256:… or sha512:… with hexadecimal digits` }
  )
}

/** `SHA-256`, `sha256`. */
export function digestNamed(word: string): DigestName | undefined {
  const plain = word.toLowerCase().replace('-', '')
  return DIGEST_NAMES.find((name) => name === plain)
}

/** `all`, `none`, or names with commas between them. @throws CairnError BAD_REQUEST */
export function parseDigestNames(text: string): DigestName[] {
  if (text === 'all') return [...DIGEST_NAMES]
  if (text === 'none') return []
  return inOrder(
    text.split(',').map((word) => {
      const name = digestNamed(word.trim())
      if (name !== undefined) return name
      throw new CairnError('BAD_REQUEST', `"${word}" is not a digest`, {
        hint: `all, none, or some of ${DIGEST_NAMES.join(',')}`
      })
    })
  )
}

/** The names of those in which the two differ, of all that both have. */
export function differing(a: Digests, b: Digests): DigestName[] {
  return DIGEST_NAMES.filter((name) => a[name] !== undefined && b[name] !== undefined && a[name] !== b[name])
}
