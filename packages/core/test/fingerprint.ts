import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { claimsDigest, FINGERPRINT_BYTES, type FingerprintItem, fingerprintOf } from '../src/fingerprint.ts'
import { keyIn, sha256 } from './support/data.ts'

const claim = (claimant: string, sequence = 1, live = true) => ({ claimant, sequence, live })
const item = (i: number, ...claims: FingerprintItem['claims']): FingerprintItem => ({
  key: keyIn(1, i),
  claims
})

const fingerprint = suite('fingerprint')

fingerprint('nothing has no fingerprint', () => {
  assert.is(fingerprintOf([], sha256), '')
})

fingerprint('it says which blocks there are, and under which claims', () => {
  const all = [
    [item(1)],
    [item(2)],
    [item(1), item(2)],
    [item(1, claim('a'))],
    [item(1, claim('a', 2))],
    [item(1, claim('a', 1, false))],
    [item(1, claim('b'))],
    [item(1, claim('a'), claim('b'))],
    [item(1, claim('a')), item(2)],
    [item(1), item(2, claim('a'))]
  ].map((items) => fingerprintOf(items, sha256))
  assert.is(new Set(all).size, all.length)
  for (const one of all) assert.is(one.length, 2 * FINGERPRINT_BYTES)
})

fingerprint('the order in which claims came does not matter', () => {
  const some = [claim('a'), claim('b', 3), claim('c', 1, false)]
  assert.is(claimsDigest(some, sha256), claimsDigest([...some].reverse(), sha256))
  assert.is(claimsDigest(some, sha256).length, 16)
})

fingerprint.run()
