import { BLOCK_BYTES_MAX, blockKey, slotOf } from '@cairn/core'
import fc from 'fast-check'
import { base16 } from 'multiformats/bases/base16'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { digest as digestHere } from '../src/hash.node.ts'
import { digest as digestOfBrowsers } from '../src/hash.web.ts'
import { cidOf, cidOfKey, HASHES, type HashName, hashOf, keyOf, parseCid, verifyBlock } from '../src/index.ts'
import { rejects } from './support/dag.ts'

const cid = suite('cid')
const HELLO = new TextEncoder().encode('hello IPFS\n')
const GOLDEN = 'bafkreicouv3sksjuzxb3rbb6rziy6duakk2aikegsmtqtz5rsuppjorxsa'
const names = Object.keys(HASHES) as HashName[]

cid('the golden file has the golden CID', () => {
  assert.is(String(cidOf(HELLO)), GOLDEN)
})

cid('the published digests of nothing and of "abc" come out of every hash', () => {
  const abc = new TextEncoder().encode('abc')
  const hex = (hash: HashName, bytes: Uint8Array) => Buffer.from(digestHere(hash, bytes)).toString('hex')
  assert.is(hex('sha2-256', abc), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  assert.match(hex('sha2-512', abc), /^ddaf35a193617abacc417349ae204131/)
  assert.is(
    hex('blake3', new Uint8Array(0)),
    'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
  )
})

cid('Node and browsers compute the same digests', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.constantFrom(...names), (bytes, hash) => {
      assert.equal(Uint8Array.from(digestHere(hash, bytes)), Uint8Array.from(digestOfBrowsers(hash, bytes)))
    })
  )
})

cid('the node condition chooses native digests', () => {
  assert.ok(import.meta.resolve('#hash').endsWith('hash.node.ts'))
})

cid('a name leads to its key and back, for every hash and codec', () => {
  for (const hash of names) {
    for (const codec of ['raw', 'dag-pb'] as const) {
      const name = cidOf(HELLO, { hash, codec })
      assert.ok(cidOfKey(keyOf(name), codec).equals(name))
      assert.ok(parseCid(String(name)).equals(name))
      assert.is(hashOf(name), hash)
      const { digest } = name.multihash
      assert.is(slotOf(keyOf(name)), (digest[0] as number) * 256 + (digest[1] as number))
    }
  }
})

cid('the codec is no part of the key', () => {
  assert.is(keyOf(cidOf(HELLO, { codec: 'raw' })), keyOf(cidOf(HELLO, { codec: 'dag-pb' })))
})

cid('version 0, base58btc and base36 are read', () => {
  const name = cidOf(HELLO, { codec: 'dag-pb' })
  assert.is(keyOf(parseCid(String(name.toV0()))), keyOf(name))
  assert.ok(parseCid(name.toString(base58btc)).equals(name))
  assert.ok(parseCid(name.toString(base36)).equals(name))
  assert.ok(parseCid(name).equals(name))
})

cid('what is no CID is refused with a hint', async () => {
  const others = ['', 'hello', GOLDEN.slice(0, -3), `${GOLDEN}a`, 'Q'.repeat(100_000), GOLDEN.toUpperCase()]
  for (const text of [...others, parseCid(GOLDEN).toString(base16)]) {
    const error = await rejects(() => parseCid(text), 'BAD_CID')
    assert.ok(error.hint, text)
  }
})

cid('md5, sha1, identity and unknown hashes may not name a block, and the error says why', async () => {
  const of = (code: number, length: number) => CID.createV1(0x55, Digest.create(code, new Uint8Array(length)))
  await rejects(() => parseCid(String(of(0xd5, 16))), 'BAD_CID', /md5: two contents/)
  await rejects(() => parseCid(String(of(0x11, 20))), 'BAD_CID', /sha1: two contents/)
  await rejects(() => parseCid(String(of(0x00, 4))), 'BAD_CID', /identity: it carries the bytes/)
  await rejects(() => parseCid(of(0x1b, 32)), 'BAD_CID', /0x1b, which Cairn does not know/)
})

cid('a digest cut short may not name a block', async () => {
  for (const [hash, code] of Object.entries(HASHES)) {
    for (const length of [0, 1, 20, 31, 33, 63, 65]) {
      const name = CID.createV1(0x55, Digest.create(code, new Uint8Array(length)))
      await rejects(() => keyOf(name), 'BAD_CID', /not the hash/)
      assert.ok(hash)
    }
  }
})

cid('one changed bit is found, whatever the hash', async () => {
  for (const hash of names) {
    const name = cidOf(HELLO, { hash })
    verifyBlock(name, HELLO)
    verifyBlock(keyOf(name), HELLO)
    const other = HELLO.slice()
    other[3] = (other[3] as number) ^ 1
    await rejects(() => verifyBlock(name, other), 'BLOCK_CORRUPT')
    await rejects(() => verifyBlock(keyOf(name), other), 'BLOCK_CORRUPT')
    await rejects(() => verifyBlock(name, HELLO.subarray(1)), 'BLOCK_CORRUPT')
  }
})

cid('a block of 2 MiB is accepted, one byte more is not', async () => {
  const most = new Uint8Array(BLOCK_BYTES_MAX)
  verifyBlock(cidOf(most), most)
  const more = new Uint8Array(BLOCK_BYTES_MAX + 1)
  await rejects(() => verifyBlock(cidOf(more), more), 'BLOCK_TOO_LARGE')
})

cid('any text gives a CID whose key is a key, or BAD_CID', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc
      .tuple(fc.nat(GOLDEN.length - 1), fc.string({ minLength: 1, maxLength: 2 }))
      .map(([at, by]) => GOLDEN.slice(0, at) + by + GOLDEN.slice(at + 1)),
    fc.uint8Array({ maxLength: 80 }).map((bytes) => base58btc.encode(bytes))
  )
  fc.assert(
    fc.property(text, (text) => {
      let parsed: CID
      try {
        parsed = parseCid(text)
      } catch (error) {
        assert.is((error as { code?: string }).code, 'BAD_CID')
        return
      }
      assert.is(blockKey(parsed.multihash.bytes), keyOf(parsed))
      assert.ok(parseCid(String(parsed)).equals(parsed))
    }),
    { numRuns: 5_000 }
  )
})

cid.run()
