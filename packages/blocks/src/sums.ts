/**
 * Files of checksums as coreutils and the BSDs write them: `HEX  NAME` and `SHA256 (NAME) = HEX`. Read in
 * either form, also mixed; written so that `sha256sum -c`, `md5sum -c` and `cksum -c` accept them.
 */
import { CairnError } from '@cairn/core'
import { DIGESTS, type DigestName, digestNamed, type NamedDigest } from './digests.ts'

export interface Sum extends NamedDigest {
  path: string
}

/** BSD's words for them. */
const TAGS: Record<DigestName, string> = { md5: 'MD5', sha1: 'SHA1', sha256: 'SHA256', sha512: 'SHA512' }

export interface FormatSumOptions {
  /** `SHA256 (NAME) = HEX` rather than `HEX  NAME`. */
  tag?: boolean
}

/** One line, without its end. A name with a line break or a backslash is escaped as coreutils does. */
export function formatSum({ path, name, hex }: Sum, { tag = false }: FormatSumOptions = {}): string {
  const escaped = path.replace(/[\\\n\r]/g, (char) => ESCAPES[char] as string)
  const mark = escaped === path ? '' : '\\'
  return tag ? `${mark}${TAGS[name]} (${escaped}) = ${hex}` : `${mark}${hex}  ${escaped}`
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' }
const MEANT: Record<string, string> = { '\\': '\\', n: '\n', r: '\r' }

/** A line of either form; undefined when it is neither. @throws CairnError BAD_REQUEST for another digest */
export function parseSum(text: string): Sum | undefined {
  const escaped = text.startsWith('\\')
  const line = escaped ? text.slice(1) : text
  const tagged = /^([A-Za-z0-9-]+) ?\(([\s\S]+)\) ?= ([0-9a-f]+)$/i.exec(line)
  const plain = tagged === null ? /^([0-9a-f]+) [ *]([\s\S]+)$/i.exec(line) : null
  const [word, written, hex] = tagged === null ? [undefined, plain?.[2], plain?.[1]] : tagged.slice(1)
  if (written === undefined || hex === undefined) return undefined
  const name = word === undefined ? nameOfLength(hex.length) : digestNamed(word.replace('SHA2-', 'SHA'))
  if (name === undefined || hex.length !== 2 * DIGESTS[name]) throw unknown(word ?? `${hex.length} digits`)
  const path = escaped ? unescaped(written) : written
  return path === undefined ? undefined : { path, name, hex: hex.toLowerCase() }
}

function nameOfLength(digits: number): DigestName | undefined {
  return (Object.keys(DIGESTS) as DigestName[]).find((name) => 2 * DIGESTS[name] === digits)
}

function unescaped(written: string): string | undefined {
  let bad = false
  const path = written.replace(/\\([\s\S]?)/g, (_, char: string) => {
    bad ||= MEANT[char] === undefined
    return MEANT[char] ?? ''
  })
  return bad ? undefined : path
}

function unknown(what: string): CairnError {
  return new CairnError('BAD_REQUEST', `a checksum of a kind that Cairn does not compute: ${what}`, {
    hint: 'MD5, SHA-1, SHA-256 and SHA-512 can be checked'
  })
}

/**
 * The checksums in a text. Empty lines and those that begin with # say nothing.
 *
 * @throws CairnError BAD_REQUEST for a line that is no checksum, naming it, or when there are none
 */
export function parseSums(text: string): Sum[] {
  const sums: Sum[] = []
  for (const [i, line] of text.split('\n').entries()) {
    const bare = line.replace(/\r$/, '')
    if (bare === '' || bare.startsWith('#')) continue
    const sum = parseSum(bare)
    if (sum === undefined) {
      throw new CairnError(
        'BAD_REQUEST',
        `line ${i + 1} is not a checksum: ${JSON.stringify(bare.slice(0, 60))}`,
        {
          hint: 'as sha256sum writes it: 64 hexadecimal digits, two spaces, a name'
        }
      )
    }
    sums.push(sum)
  }
  if (sums.length > 0) return sums
  throw new CairnError('BAD_REQUEST', 'a file of checksums that holds none', {
    hint: 'make one with: sha256sum FILE… > SHA256SUMS'
  })
}
