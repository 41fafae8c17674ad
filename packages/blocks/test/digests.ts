import { createHash, hash } from 'node:crypto'
import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { groupsOf, openDigester as openOnNode } from '../src/digests.node.ts'
import { createDigester, DIGEST_NAMES, digestsOf, parseDigest, parseDigestNames } from '../src/digests.ts'
import { openDigester as openOnWeb } from '../src/digests.web.ts'

const digests = suite('digests')

/** RFC 1321, FIPS 180-4: what everybody's tools say of "abc". */
const ABC = {
  md5: '900150983cd24fb0d6963f7d28e17f72',
  sha1: 'a9993e364706816aba3e25717850c26c9cd0d89d',
  sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  sha512:
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
    '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f'
}

const nodeDigests = (bytes: Uint8Array) =>
  Object.fromEntries(DIGEST_NAMES.map((name) => [name, createHash(name).update(bytes).digest('hex')]))

/** Bytes that no two places of have alike. */
function noise(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1)
  return new Uint8Array(words.buffer, 0, length)
}

digests('are those of the standards, on Node and elsewhere', async () => {
  for (const open of [openOnNode, openOnWeb]) {
    const digester = open(DIGEST_NAMES)
    await digester.update(new TextEncoder().encode('ab'))
    await digester.update(new TextEncoder().encode('c'))
    assert.equal(await digester.end(), ABC)
    assert.equal(await digester.end(), nodeDigests(new Uint8Array())) // nothing is a content too
    await digester.close()
  }
})

digests(
  'of contents of any size and in any pieces, one after the other, are the same as of the whole',
  async () => {
    const all = noise(5 * 1024 * 1024 + 17)
    const digester = createDigester(DIGEST_NAMES)
    const promised: Promise<object>[] = []
    const expected: object[] = []
    try {
      const lengths = [0, 1, 65_536, 65_537, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, all.length]
      for (const [i, length] of lengths.entries()) {
        const bytes = all.subarray(0, length)
        expected.push(nodeDigests(bytes))
        const piece = [1024 * 1024, 700_001, 64 * 1024][i % 3] as number
        for (let at = 0; at < length; at += piece) await digester.update(bytes.subarray(at, at + piece))
        promised.push(digester.end()) // the next one begins before it is there
      }
      assert.equal(await Promise.all(promised), expected)
    } finally {
      await digester.close()
    }
  }
)

digests('a piece may change once it was taken', async () => {
  const digester = createDigester(['sha256'])
  const bytes = noise(3 * 1024 * 1024)
  const expected = createHash('sha256').update(bytes).digest('hex')
  try {
    await digester.update(bytes)
    const promised = digester.end()
    bytes.fill(0)
    assert.is((await promised).sha256, expected)
  } finally {
    await digester.close()
  }
})

digests('memory stays at the ring, however far the source is ahead of the hashing', async () => {
  const piece = noise(1024 * 1024)
  const digester = createDigester(DIGEST_NAMES)
  try {
    await digester.update(piece)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 128; i++) await digester.update(piece)
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 16 * 1024 * 1024, `${grown} bytes for 128 MiB`)
    assert.is((await digester.end()).md5?.length, 32)
  } finally {
    await digester.close()
  }
})

digests('what is promised and never comes is rejected at the close', async () => {
  const digester = createDigester(['sha512'])
  await digester.update(noise(4 * 1024 * 1024))
  const promised = digester.end()
  await digester.close()
  await promised.then(
    () => assert.unreachable('it was hashed before the thread could begin'),
    (error) => assert.ok(CairnError.is(error))
  )
})

digests('one call makes all of a content', async () => {
  assert.equal(await digestsOf([new TextEncoder().encode('abc')]), ABC)
  assert.equal(await digestsOf([new TextEncoder().encode('abc')], ['sha1']), { sha1: ABC.sha1 })
})

digests('many contents of any length, one after the other, have each their own', async () => {
  const digester = openOnNode(DIGEST_NAMES)
  try {
    const lengths = Array.from(
      { length: 150 },
      (_, i) => [0, 1, 4_096, 65_537, 100_000, 2 ** 20][i % 6] as number
    )
    const promised: Promise<unknown>[] = []
    for (const [i, length] of lengths.entries()) {
      if (length > 0) await digester.update(new Uint8Array(length).fill(i))
      promised.push(digester.end())
    }
    const got = await Promise.all(promised)
    for (const [i, length] of lengths.entries()) {
      const bytes = new Uint8Array(length).fill(i)
      const right = Object.fromEntries(DIGEST_NAMES.map((name) => [name, hash(name, bytes, 'hex')]))
      assert.equal(got[i], right, `${i}: ${length} bytes`)
    }
  } finally {
    await digester.close()
  }
})

digests('threads share the work evenly, by what it costs on this processor', () => {
  const costs = (md5: number, sha1: number, sha256: number, sha512: number) =>
    new Map(Object.entries({ md5, sha1, sha256, sha512 })) as Parameters<typeof groupsOf>[2]
  const [withSha, without] = [costs(1_466, 546, 578, 1_565), costs(1_610, 1_170, 2_670, 1_750)]
  assert.equal(groupsOf(DIGEST_NAMES, 2, withSha), [
    ['sha512', 'sha1'],
    ['md5', 'sha256']
  ])
  assert.equal(groupsOf(DIGEST_NAMES, 2, without), [
    ['sha256', 'sha1'],
    ['sha512', 'md5']
  ])
  assert.equal(groupsOf(DIGEST_NAMES, 3, without), [['sha256'], ['sha512'], ['md5', 'sha1']])
  assert.equal(groupsOf(DIGEST_NAMES, 1, without).flat().length, 4)
  assert.equal(groupsOf(['md5'], 3, withSha), [['md5']])
})

digests('are named with their hash, and names that mean nothing are refused with a next step', () => {
  assert.equal(parseDigest(`SHA-256:${ABC.sha256.toUpperCase()}`), { name: 'sha256', hex: ABC.sha256 })
  assert.equal(parseDigestNames('sha512, md5'), ['md5', 'sha512'])
  assert.equal(parseDigestNames('none'), [])
  assert.equal(parseDigestNames('all'), [...DIGEST_NAMES])
  const refused: [() => unknown, RegExp][] = [
    [() => parseDigest('sha256:abc'), /64 hexadecimal digits, not 3/],
    [() => parseDigest(`crc32:${'0'.repeat(8)}`), /not a digest/],
    [() => parseDigest(ABC.md5), /not a digest/],
    [() => parseDigestNames('md5,crc'), /"crc" is not a digest/]
  ]
  for (const [call, message] of refused) {
    assert.throws(call, (error: unknown) => {
      return CairnError.is(error, 'BAD_REQUEST') && message.test(error.message) && error.hint !== undefined
    })
  }
})

digests.run()
