// limit: 240 s
/** What is computed, expected, kept and found again by digest; known collisions among it. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Digests, digestsOf, encodeDigested, RECORD_HEADER } from '@cairn/blocks'
import type { Client, PutOptions } from '@cairn/client'
import { CairnError, fromHex } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Lone } from '../../packages/gateway/test/support/lone.ts'
import { clientOf, randomBytes, withWorld } from './support/world.ts'

const digests = suite('digests')
const run = promisify(execFile)
const MIB = 1024 * 1024

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

async function failureOf(work: PromiseLike<unknown>): Promise<CairnError> {
  try {
    await work
  } catch (error) {
    assert.ok(CairnError.is(error), String(error))
    return error
  }
  return assert.unreachable('it succeeded') as never
}

const withClient = (body: (cairn: Client, node: Lone) => Promise<void>) =>
  withWorld(async (world) => {
    const { node, url } = await world.node()
    await body(clientOf([[url, node]]), node)
  })

const bytes = (text: string) => new TextEncoder().encode(text)
const FILES = [
  { path: 'a.txt', content: bytes('a') },
  { path: 'sub/big', content: randomBytes(3 * MIB + 5) },
  { path: 'sub/empty', content: new Uint8Array() },
  { path: 'sub/two\nlines', content: bytes('b') }
]

/** Two messages of one MD5, by Wang et al. (2004): they differ in six bits. */
const MD5_PAIR = [
  'd131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a' +
    '085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0' +
    'e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70',
  'd131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a' +
    '085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0' +
    'e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70'
].map(fromHex)
/** The first 320 bytes of the two PDFs of Stevens et al., "The first collision for full SHA-1" (2017). */
const SHA1_HEAD =
  '255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033' +
  '203020522f547970652034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f72' +
  '53706163652037203020522f4c656e6774682038203020522f42697473506572436f6d706f6e656e7420383e3e0a7374' +
  '7265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01'
const SHA1_PAIR = [
  '7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb7' +
    '6038e972722fe7ad728f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514' +
    'e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1',
  '7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3' +
    'dc38e96ac22fe7bd728f0e45bce046d23c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500' +
    'eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1'
].map((tail) => fromHex(SHA1_HEAD + tail))

digests(
  'every file put has its four, kept beside the data: no CID and no count is another for it',
  withClient(async (cairn) => {
    const plain = await cairn.putDir(FILES, { digests: [] })
    assert.is(plain.digests, undefined)
    assert.equal(
      (await all(cairn.digests(plain.cid))).map(({ digests }) => digests),
      FILES.map(() => ({}))
    )
    const put = await cairn.putDir(FILES)
    assert.equal([`${put.cid}`, put.blocks, put.size], [`${plain.cid}`, plain.blocks, plain.size])
    const found = await all(cairn.digests(put.cid))
    assert.equal(
      found.map(({ path, size }) => [path.join('/'), size]),
      FILES.map(({ path, content }) => [path, content.length])
    )
    for (const [i, { digests }] of found.entries()) {
      assert.equal(digests, await digestsOf([FILES[i]?.content as Uint8Array]))
    }
    const big = await cairn.stat(`${put.cid}/sub/big`)
    assert.equal([big.type, big.size, big.digests], ['file', 3 * MIB + 5, found[1]?.digests])
    assert.equal((await cairn.stat(`${put.cid}/sub`)).digests, {})
    assert.is((await cairn.stat(big.cid)).digests.md5, found[1]?.digests.md5) // by its own CID too
  })
)

digests(
  'only those chosen are computed and kept; a single file and a stream have them too',
  withClient(async (cairn) => {
    const one = await cairn.put(bytes('one'), { digests: ['sha1'] })
    assert.equal((await cairn.stat(one.cid)).digests, await digestsOf([bytes('one')], ['sha1']))
    const big = randomBytes(2 * MIB)
    const stream = await cairn.put(new Blob([big as Uint8Array<ArrayBuffer>]).stream())
    assert.equal((await cairn.stat(stream.cid)).digests, await digestsOf([big]))
    const none = await cairn.putDir([])
    assert.is(none.digests, undefined)
  })
)

digests(
  'the record is a file of checksums that cksum checks the files by',
  withClient(async (cairn) => {
    const put = await cairn.putDir(FILES)
    const directory = await mkdtemp(join(tmpdir(), 'cairn-digests-'))
    try {
      for (const { path, content } of FILES) {
        await mkdir(dirname(join(directory, path)), { recursive: true })
        await writeFile(join(directory, path), content)
      }
      const record = await (await cairn.get(put.digests ?? '')).bytes()
      await writeFile(join(directory, 'RECORD'), record)
      const { stdout } = await run('cksum', ['-c', '--strict', 'RECORD'], { cwd: directory })
      assert.is(stdout.match(/: OK$/gm)?.length, 4 * FILES.length)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
)

digests(
  'a record of many blocks goes out as it grows, and says every file',
  withClient(async (cairn, node) => {
    async function* many() {
      for (let i = 0; i < 5_000; i++) yield { path: `${'x'.repeat(60)}${i}`, content: bytes(`${i}`) }
    }
    const { cid, blocks, pin } = await cairn.putDir(many())
    const found = await all(cairn.digests(cid))
    assert.is(found.length, 5_000)
    assert.ok(found.every(({ digests }) => digests.sha512?.length === 128))
    const record = await cairn.get(pin?.digests ?? '')
    assert.ok(record.size > 2 * MIB, `${record.size}`)
    assert.ok(node.blocks.size > blocks + 2)
  })
)

digests(
  'content is found by any digest, and what nobody has is not',
  withClient(async (cairn) => {
    const dir = await cairn.putDir(FILES, { name: 'dir/' })
    await cairn.put(FILES[1]?.content as Uint8Array, { name: 'alone', digests: ['md5'] })
    const wanted = await digestsOf([FILES[1]?.content as Uint8Array])
    const places = async (digest: string) =>
      (await all(cairn.find(digest))).map(({ path, pin }) => `${pin.name} ${path}`).sort()
    assert.equal(await places(`md5:${wanted.md5}`), ['alone alone', 'dir/ sub/big'])
    for (const name of ['sha1', 'sha256', 'sha512'] as const) {
      assert.equal(await places(`${name}:${wanted[name]}`), ['dir/ sub/big'])
    }
    assert.equal(await places(`md5:${'0'.repeat(32)}`), [])
    await cairn.pins.rm(dir.cid)
    assert.equal(await places(`sha1:${wanted.sha1}`), []) // in what is pinned, and no more
  })
)

digests(
  'a file of one block is found by the digest that its CID holds, though none were kept',
  withClient(async (cairn) => {
    const { cid } = await cairn.put(bytes('x'), { digests: [] })
    const { sha256, md5 } = await digestsOf([bytes('x')])
    assert.equal(
      (await all(cairn.find(`sha256:${sha256}`))).map((found) => `${found.cid}`),
      [`${cid}`]
    )
    assert.equal(await all(cairn.find(`md5:${md5}`)), [])
  })
)

digests(
  'contents that collide in MD5 or SHA-1 are two contents everywhere',
  withClient(async (cairn) => {
    const pairs = [...MD5_PAIR.map((content, i) => ({ path: `md5-${i}`, content }))]
    pairs.push(...SHA1_PAIR.map((content, i) => ({ path: `sha1-${i}`, content })))
    const { cid } = await cairn.putDir(pairs)
    const found = await all(cairn.digests(cid))
    const of = (i: number): Digests => found[i]?.digests ?? {}
    assert.is(of(0).md5, '79054025255fb1a26e4bc422aef54eb4')
    assert.is(of(0).md5, of(1).md5)
    assert.is(of(2).sha1, 'f92d74e3874587aaf443d1db961d4e26dde13e9c')
    assert.is(of(2).sha1, of(3).sha1)
    assert.is(new Set(found.map((file) => `${file.cid}`)).size, 4)
    for (const { path, content } of pairs) {
      assert.equal(await (await cairn.get(`${cid}/${path}`)).bytes(), content)
    }
    for (const [digest, paths] of [
      [`md5:${of(0).md5}`, ['md5-0', 'md5-1']],
      [`sha1:${of(2).sha1}`, ['sha1-0', 'sha1-1']],
      [`sha256:${of(3).sha256}`, ['sha1-1']]
    ] as const) {
      assert.equal(
        (await all(cairn.find(digest))).map(({ path }) => path),
        [...paths]
      )
    }
    // the one is refused where the other is expected, if only a digest that holds was asked for
    const expect = `sha256:${of(0).sha256}`
    assert.is((await failureOf(cairn.put(MD5_PAIR[1] as Uint8Array, { expect }))).code, 'DIGEST_MISMATCH')
  })
)

digests(
  'MD5, SHA-1 and identity name no block: each is refused with a reason',
  withClient(async (cairn) => {
    const refused: [string, RegExp][] = [
      ['bafk5kaiqtxkoiyjgrsadj5oikzhbkxdhuy', /md5: two contents with one MD5/],
      ['bafkrcfar62wy5rjkfgckxkx5pq5vczidpboca4q', /sha1: two contents with one SHA-1/],
      ['bafkqaaik', /identity: it carries the bytes themselves/]
    ]
    for (const [cid, message] of refused) {
      const calls = [
        () => cairn.get(cid),
        () => cairn.stat(cid),
        () => cairn.getBlock(cid),
        () => cairn.pins.rm(cid),
        () => all(cairn.digests(cid))
      ]
      for (const call of calls) {
        const error = await failureOf(call())
        assert.is(error.code, 'BAD_CID')
        assert.match(error.message, message)
      }
    }
  })
)

async function expecting(cairn: Client, node: Lone, expect: PutOptions['expect']): Promise<CairnError> {
  node.calls.length = 0
  const error = await failureOf(cairn.putDir(FILES, { name: 'dir/', expect: expect as string }))
  assert.not.ok(node.calls.includes('finish')) // nothing was acknowledged
  assert.equal(await node.pins(), [])
  return error
}

async function sumsOf(prefix = ''): Promise<string[]> {
  const lines: string[] = []
  for (const { path, content } of FILES) {
    const { sha256 } = await digestsOf([content], ['sha256'])
    const escaped = path.replace('\n', '\\n')
    lines.push(`${escaped === path ? '' : '\\'}${sha256}  ${prefix}${escaped}`)
  }
  return lines
}

digests(
  'what was expected is put; listed from inside or from beside, with or without digests kept',
  withClient(async (cairn) => {
    for (const prefix of ['', './', 'dir/']) {
      const sums = (await sumsOf(prefix)).join('\n')
      await cairn.putDir(FILES, { name: 'dir/', expect: { sums } })
      const { cid } = await cairn.putDir(FILES, { name: 'dir/', expect: { sums }, digests: ['md5'] })
      assert.equal(Object.keys((await all(cairn.digests(cid)))[1]?.digests ?? {}).sort(), ['md5'])
    }
    const { md5, sha512 } = await digestsOf([bytes('one')])
    await cairn.put(bytes('one'), { expect: `md5:${md5}` })
    await cairn.put(bytes('one'), { expect: `sha512:${sha512}`, digests: [] })
    await cairn.put(bytes('one'), {
      name: 'n',
      expect: { sums: `MD5 (n) = ${md5}\n${'0'.repeat(32)}  other` }
    })
    await cairn.put(bytes('one'), { expect: { sums: `${md5}  -` } }) // as md5sum says of stdin
  })
)

digests(
  'what was not expected is refused before anything is acknowledged, and every file is named',
  withClient(async (cairn, node) => {
    const good = await sumsOf()
    const zeros = '0'.repeat(64)
    const bad = [
      `${zeros}  a.txt`,
      ...good.slice(2), // sub/big is not listed
      `${zeros}  nowhere`
    ].join('\n')
    const error = await expecting(cairn, node, { sums: bad })
    assert.equal([error.code, error.exit], ['DIGEST_MISMATCH', 7])
    assert.match(error.message, /^3 files/)
    assert.match(error.message, new RegExp(`a.txt: sha256 is ca978112.*, expected ${zeros}`))
    assert.match(error.message, /sub\/big: not listed/)
    assert.match(error.message, /nowhere: listed, and not there/)
    const { code, message } = await expecting(cairn, node, `sha256:${zeros}`)
    assert.equal([code, message], ['BAD_REQUEST', 'one digest is expected, and this is a directory'])
    assert.is((await expecting(cairn, node, { sums: 'nonsense' })).code, 'BAD_REQUEST')
    await cairn.putDir(FILES, { expect: { sums: good.slice(1).join('\n'), except: 'a.txt' } })
  })
)

digests(
  'a record that contradicts a CID is not believed, and one that can not be read is an error',
  withClient(async (cairn, node) => {
    const liar = bytes('liar')
    const put = await cairn.put(liar, { digests: [] })
    const wrong = {
      path: '-',
      cid: put.cid,
      size: 4,
      digests: { md5: '0'.repeat(32), sha256: '0'.repeat(64) }
    }
    const record = await cairn.put(bytes(RECORD_HEADER + encodeDigested(wrong)), { digests: [] })
    const finish = async (digests: typeof record.cid) =>
      node.upload('0'.repeat(32)).finish(put.cid, { bytes: 4, blocks: 1, digests })
    await finish(record.cid)
    assert.equal((await cairn.stat(put.cid)).digests, {})
    assert.equal(await all(cairn.find(`md5:${'0'.repeat(32)}`)), [])
    await finish(put.cid) // no record at all
    assert.is((await failureOf(cairn.stat(put.cid))).code, 'BAD_DAG')
  })
)

digests.run()
