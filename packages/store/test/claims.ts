import { decode, encode } from '@cairn/core'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { claimsCodec, claimsDigest, mergeClaims, newClaims, replicasOf } from '../src/claims.ts'
import { sampleClaim } from '../src/contract.ts'

const claims = suite('claims')

const claim = fc
  .record({ claimant: fc.constantFrom('01', '02', '03'), sequence: fc.nat(3), live: fc.boolean() })
  .map(({ claimant, ...rest }) => sampleClaim(claimant, rest))
const some = fc.array(claim, { maxLength: 6 })

claims('merging is commutative, associative and idempotent', () => {
  fc.assert(
    fc.property(some, some, some, (a, b, c) => {
      assert.equal(mergeClaims(mergeClaims([], a), b), mergeClaims(mergeClaims([], b), a))
      assert.equal(
        mergeClaims(mergeClaims(mergeClaims([], a), b), c),
        mergeClaims(mergeClaims([], a), [...b, ...c])
      )
      const merged = mergeClaims([], a)
      assert.equal(newClaims(merged, a), [])
    })
  )
})

claims('a block takes no more claimants than its limit', () => {
  const many = Array.from({ length: 1025 }, (_, i) => sampleClaim(i.toString(16).padStart(4, '0')))
  assert.is(mergeClaims([], many.slice(1)).length, 1024)
  assert.throws(() => mergeClaims([], many), /1024 claimants/)
})

claims('no claims want one replica', () => {
  assert.is(replicasOf([]), 1)
})

claims('what is written is read again', () => {
  fc.assert(
    fc.property(some, (value) => assert.equal(decode(claimsCodec, encode(claimsCodec, value)), value))
  )
})

claims('the digest tells sequences and ends apart, not proofs', () => {
  const digest = (change: object): string =>
    Buffer.from(claimsDigest([sampleClaim('01', change)])).toString('hex')
  assert.is(digest({ proof: new Uint8Array(3) }), digest({}))
  assert.is.not(digest({ sequence: 2 }), digest({}))
  assert.is.not(digest({ live: false }), digest({}))
})

claims.run()
