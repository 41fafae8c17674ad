/** What is expected of a put's files, by digests known beforehand; what differs is refused, and named. */
import {
  type Digested,
  type DigestName,
  inOrder,
  type NamedDigest,
  parseDigest,
  parseSums,
  type Sum
} from '@cairn/blocks'
import { CairnError } from '@cairn/core'

/**
 * Of one file `sha256:HEX`, or of md5, sha1, sha512; of any number a text of checksums as coreutils or the
 * BSDs write it. `except`: the path of a file that is not listed and may be there, say the checksums' own.
 * `name`: what a file that is put by itself is called there, if not as its pin.
 */
export type Expect = string | { sums: string; except?: string; name?: string }

/** Problems that are named; of further ones only the number. */
const NAMED_MAX = 20

export interface Expectation {
  /** To be computed for it. */
  readonly names: readonly DigestName[]
  /** Told of each file. */
  see(file: Digested): void
  /** Once all were seen. @throws CairnError DIGEST_MISMATCH, BAD_REQUEST */
  end(root: 'file' | 'directory'): void
}

/** @param name of what is put, as its pin is called. @throws CairnError BAD_REQUEST */
export function expectation(expect: Expect, name: string): Expectation {
  if (typeof expect === 'string') return ofOne(parseDigest(expect))
  const listedAs = expect.name ?? name.replace(/\/$/, '')
  return ofMany(parseSums(expect.sums), { pinnedAs: name, name: listedAs, except: expect.except })
}

function ofOne(wanted: NamedDigest): Expectation {
  const problems: string[] = []
  return {
    names: [wanted.name],
    see: (file) => problems.push(...differences(file, [{ ...wanted, path: file.path }])),
    end(root) {
      if (root === 'directory') {
        throw new CairnError('BAD_REQUEST', 'one digest is expected, and this is a directory', {
          hint: 'expect a file of checksums: --expect @SHA256SUMS'
        })
      }
      refuse(problems)
    }
  }
}

function ofMany(
  sums: readonly Sum[],
  { name, pinnedAs, except }: { name: string; pinnedAs: string; except: string | undefined }
): Expectation {
  const wanted = new Map<string, Sum[]>()
  for (const sum of sums) {
    const path = sum.path.replace(/^(\.\/)+/, '')
    wanted.set(path, [...(wanted.get(path) ?? []), sum])
  }
  const seen = new Set<string>()
  const problems: string[] = []
  /** As listed: from inside the directory, or from beside it. */
  const listed = (path: string): string | undefined =>
    [path, `${name}/${path}`].find((one) => wanted.has(one)) ?? (path === pinnedAs ? alone() : undefined)
  // a file that was put by itself, and listed under its own name or from elsewhere
  const alone = () => [...wanted.keys()].find((one) => one === name || one.endsWith(`/${name}`))
  return {
    names: inOrder(sums.map((sum) => sum.name)),
    see(file) {
      const path = listed(file.path)
      if (path !== undefined) {
        seen.add(path)
        problems.push(...differences(file, wanted.get(path) as Sum[]))
      } else if (file.path !== except) problems.push(`${file.path}: not listed`)
    },
    end(root) {
      // of a list for many, a file by itself is one
      const missing = root === 'file' ? [] : [...wanted.keys()].filter((path) => !seen.has(path))
      refuse([...problems, ...missing.map((path) => `${path}: listed, and not there`)])
    }
  }
}

function differences({ path, digests }: Digested, sums: readonly Sum[]): string[] {
  return sums
    .filter(({ name, hex }) => digests[name] !== hex)
    .map(({ name, hex }) => `${path}: ${name} is ${digests[name]}, expected ${hex}`)
}

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return
  const more = problems.length - NAMED_MAX
  const named = [...problems.slice(0, NAMED_MAX), ...(more > 0 ? [`and ${more} more`] : [])]
  const what = problems.length === 1 ? '' : `${problems.length} files are not what was expected:\n`
  throw new CairnError('DIGEST_MISMATCH', what + named.join('\n'), {
    hint: 'nothing was pinned; look at these files, or at what was expected of them'
  })
}
