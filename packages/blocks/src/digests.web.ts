/**
 * Digests where there is no Node: plain JavaScript on the thread that asks, a tenth of native speed or
 * less. So they are computed there only when asked for. Node's half is digests.node.ts.
 */
import { toHex } from '@cairn/core'
import { md5, sha1 } from '@noble/hashes/legacy.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import type { Digester, DigestName } from './digests.ts'

/** What a put computes unless told. */
export const DEFAULT_DIGESTS: readonly DigestName[] = []

const HASHES = { md5, sha1, sha256, sha512 } as const

export function openDigester(names: readonly DigestName[]): Digester {
  const start = () => names.map((name) => ({ name, hash: HASHES[name].create() }))
  let hashes = start()
  return {
    async update(bytes) {
      for (const { hash } of hashes) hash.update(bytes)
    },
    async end() {
      const done = hashes
      hashes = start()
      return Object.fromEntries(done.map(({ name, hash }) => [name, toHex(hash.digest())]))
    },
    async close() {}
  }
}
