/** Files on disk against the digests that were kept when they were put: the whole way out, disk included. */
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createDigester, DIGEST_NAMES, type Digester, type Digests, differing } from '@cairn/blocks'
import type { Client } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { plural, safe } from './format.ts'
import type { Session } from './session.ts'

const READ_BYTES = 1024 * 1024
/** Files named when they differ; of further ones only the number. */
const NAMED_MAX = 20

export interface Checked {
  /** Files whose digests were kept, and agree. */
  checked: number
  /** Files that nobody kept a digest of. */
  unchecked: number
}

/** @throws CairnError DIGEST_MISMATCH naming the files that are not what was put */
export async function checkFiles(
  { out, signal }: Session,
  client: Client,
  { what, target }: { what: string; target: string }
): Promise<Checked> {
  const hashing = digesters()
  const wrong: string[] = []
  const count = { checked: 0, unchecked: 0 }
  try {
    for await (const { path, digests } of client.digests(what, { signal })) {
      if (Object.keys(digests).length === 0) {
        count.unchecked++
        continue
      }
      count.checked++
      out.live.show(() => `checking: ${plural(count.checked, 'file')}`)
      const found = await hashing.of(join(target, ...path), digests)
      const names = differing(digests, found)
      if (names.length > 0) wrong.push(`${path.join('/') || target}: ${names.join(', ')}`)
    }
  } finally {
    await hashing.close()
  }
  if (wrong.length > 0) throw mismatch(wrong)
  const all = count.checked + count.unchecked
  if (count.unchecked > 0) {
    out.warn(`${plural(count.unchecked, 'file')} of ${all} had no digests kept; the CIDs agree`)
  }
  if (count.checked > 0) out.note(`${plural(count.checked, 'file')} read again: the digests agree`)
  return count
}

function mismatch(wrong: readonly string[]): CairnError {
  const more = wrong.length - NAMED_MAX
  const named = wrong.slice(0, NAMED_MAX).map(safe)
  const lines = more > 0 ? [...named, `and ${more} more`] : named
  return new CairnError(
    'DIGEST_MISMATCH',
    `not what was put, by the digests kept with it:\n${lines.join('\n')}`,
    {
      hint: 'get it again with --force; if that changes nothing, the digests or the disk are wrong'
    }
  )
}

/** One digester for as long as the same digests are wanted: each has threads of its own. */
function digesters() {
  let names = ''
  let digester: Digester | undefined
  return {
    async of(path: string, wanted: Digests): Promise<Digests> {
      const asked = DIGEST_NAMES.filter((name) => wanted[name] !== undefined)
      if (digester === undefined || names !== asked.join()) {
        await digester?.close()
        digester = createDigester(asked)
        names = asked.join()
      }
      for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES }))
        await digester.update(piece)
      return await digester.end()
    },
    close: async () => digester?.close()
  }
}
