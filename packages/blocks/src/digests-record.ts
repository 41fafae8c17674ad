/**
 * The digest record of a put: every file's digests, size and CID, kept as a file of its own beside the data,
 * whose CIDs stay what they are. It is a file of checksums with tags, so that `cksum -c` reads it too:
 *
 *     # cairn-digests 1
 *     # CID SIZE
 *     MD5 (NAME) = HEX
 *     SHA256 (NAME) = HEX
 *
 * Files come in the order of the walk. The encoding is fixed: what version 1 says stays readable.
 */
import type { CID } from 'multiformats/cid'
import { parseCid } from './cid.ts'
import { badDag } from './dag-pb.ts'
import { DIGEST_NAMES, type Digests } from './digests.ts'
import { formatSum, parseSum, type Sum } from './sums.ts'

/** One file of a record. */
export interface Digested {
  /** In its tree, joined by slashes; of a file that was put by itself, its name, or `-`. */
  readonly path: string
  readonly cid: CID
  readonly size: number
  readonly digests: Digests
}

export const RECORD_HEADER = '# cairn-digests 1\n'
/** Of one line, characters. A path of 4,096 bytes, each escaped, fits many times. */
const LINE_CHARS_MAX = 1024 * 1024

export function encodeDigested({ path, cid, size, digests }: Digested): string {
  const sums = DIGEST_NAMES.flatMap((name) => {
    const hex = digests[name]
    return hex === undefined ? [] : [`${formatSum({ path, name, hex }, { tag: true })}\n`]
  })
  return `# ${cid} ${size}\n${sums.join('')}`
}

/** The files of a record, read as it comes. @throws CairnError BAD_DAG when it is none */
export async function* readRecord(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
): AsyncGenerator<Digested, void> {
  let open: { cid: CID; size: number; sums: Sum[] } | undefined
  let first = true
  for await (const line of linesOf(source)) {
    if (first) {
      if (`${line}\n` !== RECORD_HEADER) badDag('not a digest record that this version can read')
      first = false
    } else if (line.startsWith('# ')) {
      if (open !== undefined) yield digestedOf(open)
      open = { ...headOf(line), sums: [] }
    } else {
      const sum = parseSum(line)
      if (open === undefined || sum === undefined)
        return badDag('a digest record with a line that says nothing')
      open.sums.push(sum)
    }
  }
  if (first) badDag('an empty digest record')
  if (open !== undefined) yield digestedOf(open)
}

function headOf(line: string): { cid: CID; size: number } {
  const [, cid = '', size = ''] = /^# (\w+) (\d{1,16})$/.exec(line) ?? []
  if (cid === '') badDag('a digest record with a file that it does not name')
  return { cid: parseCid(cid), size: Number(size) }
}

function digestedOf({ cid, size, sums }: { cid: CID; size: number; sums: readonly Sum[] }): Digested {
  const path = sums[0]?.path
  if (path === undefined || sums.some((sum) => sum.path !== path)) badDag('a digest record that mixes files')
  return { path, cid, size, digests: Object.fromEntries(sums.map(({ name, hex }) => [name, hex])) }
}

async function* linesOf(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let rest = ''
  for await (const bytes of source) {
    const lines = (rest + decoded(decoder, bytes)).split('\n')
    rest = lines.pop() as string
    if (rest.length > LINE_CHARS_MAX) badDag('a digest record with a line without end')
    yield* lines
  }
  if (rest !== '') badDag('a digest record that was cut short')
}

function decoded(decoder: TextDecoder, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: true })
  } catch {
    return badDag('a digest record that is not UTF-8')
  }
}
