import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { digest } from '../src/hash.node.ts'
import { digest as digestOfBrowsers } from '../src/hash.web.ts'

const hash = suite('hash')

/** FIPS 180-4's and BLAKE3's published digests of the empty string. */
const EMPTY = {
  'sha2-256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  'sha2-512':
    'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce' +
    '47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
  blake3: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
} as const

hash('published digests come out, on Node and in browsers', () => {
  for (const [name, hex] of Object.entries(EMPTY) as [keyof typeof EMPTY, string][]) {
    for (const half of [digest, digestOfBrowsers]) {
      assert.is(Buffer.from(half(name, new Uint8Array())).toString('hex'), hex, name)
    }
  }
})

hash('both halves agree on every length around a block of the hash', () => {
  for (let length = 0; length < 300; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => i)
    for (const name of ['sha2-256', 'sha2-512', 'blake3'] as const) {
      assert.equal(Uint8Array.from(digest(name, bytes)), Uint8Array.from(digestOfBrowsers(name, bytes)))
    }
  }
})

hash.run()
