import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type BlockKey,
  blockKey,
  CairnError,
  type Change,
  type Crypto,
  type HeldClaim,
  isMirrorClaim,
  isMirrored,
  isMirrorsOnly,
  mergeClaims,
  PART_BYTES_MAX,
  type PeerId,
  readClaim,
  replicasOf,
  sharedClaims,
  signChange,
  slotOf,
  trustedHeaders
} from '../src/index.ts'

const sha256 = (bytes: Uint8Array) => Uint8Array.from(createHash('sha256').update(bytes).digest())
const OWNER = '12D3KooWowner' as PeerId
const NETWORK = '00112233445566778899aabbccddeeff'

function owner(): Crypto & { verifications: () => number } {
  const pair = generateKeyPairSync('ed25519')
  let count = 0
  return {
    sha256,
    sign: (bytes) => Uint8Array.from(sign(null, bytes, pair.privateKey)),
    verify(peer, bytes, signature) {
      count++
      return peer === OWNER && verify(null, bytes, pair.publicKey, signature)
    },
    verifications: () => count
  }
}

function keys(count: number): BlockKey[] {
  return Array.from({ length: count }, (_, i) =>
    blockKey(Uint8Array.of(0x12, 32, ...sha256(Uint8Array.of(i, i >> 8))))
  )
}

const CHANGE: Change = {
  network: NETWORK,
  owner: OWNER,
  kind: 'upload',
  id: 'ab'.repeat(32),
  sequence: 7,
  live: true,
  replicas: 3,
  lifetimeMs: 0
}

const claims = suite('claims')

claims('each of 300 blocks carries a part that its owner signed, with one signature for all', () => {
  const crypto = owner()
  const all = keys(300)
  const signed = signChange(CHANGE, all, crypto)
  assert.is(signed.size, 300)
  const trusted = trustedHeaders(10)
  for (const key of all) {
    const claim = signed.get(key)
    if (claim === undefined) throw new Error('no claim')
    assert.ok(claim.proof.length <= PART_BYTES_MAX)
    const read = readClaim(claim.proof, { network: NETWORK, key }, crypto, trusted)
    assert.equal(read, claim)
    assert.is(read.sequence, 7)
    assert.is(read.replicas, 3)
  }
  assert.is(crypto.verifications(), 1)
})

claims('more blocks of one slot than a part takes are split, and each part holds', () => {
  const crypto = owner()
  const many = Array.from({ length: 70 }, (_, i) => {
    const digest = new Uint8Array(32).fill(i)
    digest.set([0xab, 0xcd])
    return blockKey(Uint8Array.of(0x12, 32, ...digest))
  })
  assert.is(new Set(many.map(slotOf)).size, 1)
  const signed = signChange(CHANGE, many, crypto)
  for (const key of many) {
    const proof = signed.get(key)?.proof ?? new Uint8Array()
    assert.ok(proof.length <= PART_BYTES_MAX)
    assert.is(readClaim(proof, { network: NETWORK, key }, crypto).sequence, 7)
  }
})

claims('a part is refused with any byte changed, for another block, for another network', () => {
  const crypto = owner()
  const [key, other] = keys(2) as [BlockKey, BlockKey]
  const proof = signChange(CHANGE, [key], crypto).get(key)?.proof ?? new Uint8Array()
  const refused = (bytes: Uint8Array, expect = { network: NETWORK, key }) =>
    assert.throws(
      () => readClaim(bytes, expect, crypto),
      (error: unknown) => CairnError.is(error)
    )
  for (let i = 0; i < proof.length; i++) {
    const bad = proof.slice()
    bad[i] = (bad[i] as number) ^ 1
    refused(bad)
    refused(proof.subarray(0, i))
  }
  refused(proof, { network: NETWORK, key: other })
  refused(proof, { network: 'ff'.repeat(16), key })
})

claims('whose header was seen to be good is checked to the last byte all the same', () => {
  const crypto = owner()
  const all = keys(40)
  const trusted = trustedHeaders(10)
  const changes = [7, 8, 9].map((sequence) => signChange({ ...CHANGE, sequence }, all, crypto))
  for (const key of all) {
    // of several changes in turn, as when several members send
    for (const [i, change] of changes.entries()) {
      const claim = change.get(key) as HeldClaim
      assert.equal(readClaim(claim.proof, { network: NETWORK, key }, crypto, trusted), claim)
      assert.is(claim.sequence, 7 + i)
    }
  }
  assert.is(crypto.verifications(), 3)
  const [key] = all as [BlockKey]
  const { proof } = (changes[0] as Map<BlockKey, HeldClaim>).get(key) as HeldClaim
  for (let i = 0; i < proof.length; i++) {
    const bad = proof.slice()
    bad[i] = (bad[i] as number) ^ 1
    for (const bytes of [bad, proof.subarray(0, i)]) {
      assert.throws(
        () => readClaim(bytes, { network: NETWORK, key }, crypto, trusted),
        (error: unknown) => CairnError.is(error)
      )
    }
  }
})

claims('of one claimant the highest sequence wins, and of two alike the end', () => {
  const claim = (claimant: string, sequence: number, live: boolean, replicas = 3) => {
    return { claimant, sequence, live, replicas, proof: new Uint8Array() }
  }
  const merged = mergeClaims(
    [claim('b', 2, true), claim('a', 1, true)],
    [claim('b', 1, false), claim('a', 1, false), claim('c', 1, true, 5)]
  )
  assert.equal(
    merged.map(({ claimant, sequence, live }) => [claimant, sequence, live]),
    [
      ['a', 1, false],
      ['b', 2, true],
      ['c', 1, true]
    ]
  )
  assert.is(replicasOf(merged), 5)
  assert.is(replicasOf([claim('a', 1, false, 4)]), 4)
})

claims("a mirror's claim is refused from others, and told apart from what holders share", () => {
  const crypto = owner()
  const [key] = keys(1) as [BlockKey]
  const own = signChange({ ...CHANGE, kind: 'mirror', replicas: 1 }, [key], crypto).get(key) as HeldClaim
  const shared = signChange(CHANGE, [key], crypto).get(key) as HeldClaim
  let refused: unknown
  try {
    readClaim(own.proof, { network: NETWORK, key }, crypto)
  } catch (error) {
    refused = error
  }
  assert.ok(CairnError.is(refused, 'BAD_MESSAGE'))
  assert.equal([isMirrorClaim(own), isMirrorClaim(shared)], [true, false])
  assert.equal(sharedClaims([own, shared]), [shared])
  assert.equal([isMirrored([own, shared]), isMirrored([{ ...own, live: false }])], [true, false])
  assert.equal([isMirrorsOnly([own]), isMirrorsOnly([own, shared]), isMirrorsOnly([])], [true, false, false])
})

claims.run()
