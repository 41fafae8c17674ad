import { CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { effectOf, split } from '../src/plan.ts'
import type { Row } from '../src/row.ts'

const plan = suite('effectOf')

const { key, bytes } = sampleBlock(1)
const HELD_CLAIM = {
  claimant: '01',
  sequence: 5,
  live: true,
  replicas: 3,
  segment: 2,
  offset: 50,
  length: 1,
  crc: 0,
  weight: 9
}
const HELD: Row = { block: { segment: 2, offset: 4096, size: bytes.length }, claims: [HELD_CLAIM] }

plan('a put of a new block writes its bytes and claims', () => {
  const effect = effectOf({ type: 'put', key, bytes, claims: [sampleClaim('02')] }, undefined)
  assert.is(effect?.bytes, bytes)
  assert.is(effect?.claims.length, 1)
  assert.is(
    effect?.after?.claims[0],
    effect?.claims[0]?.claim,
    'the row has the very claim that the layout fills in'
  )
})

plan('a put of what is held writes only claims that are new', () => {
  assert.is(
    effectOf({ type: 'put', key, bytes, claims: [sampleClaim('01', { sequence: 5 })] }, HELD),
    undefined
  )
  const effect = effectOf({ type: 'put', key, bytes, claims: [sampleClaim('01', { sequence: 6 })] }, HELD)
  assert.is(effect?.bytes, undefined)
  assert.is(effect?.after?.block, HELD.block)
  assert.is(effect?.after?.claims.length, 1)
})

plan('claims alone need a block', () => {
  const put = { type: 'put', key, claims: [sampleClaim('02')] } as const
  assert.throws(
    () => effectOf(put, undefined),
    (error: unknown) => CairnError.is(error, 'NOT_FOUND')
  )
  assert.throws(() => effectOf(put, { block: undefined, claims: [] }), /not held/)
})

plan('bytes that come to claims left from a rebuild join them', () => {
  const effect = effectOf({ type: 'put', key, bytes, claims: [] }, { block: undefined, claims: HELD.claims })
  assert.is(effect?.bytes, bytes)
  assert.equal(effect?.after?.claims, HELD.claims)
})

plan('a delete of nothing is nothing', () => {
  assert.is(effectOf({ type: 'delete', key }, undefined), undefined)
  assert.is(effectOf({ type: 'delete', key }, HELD)?.after, undefined)
})

plan('only the copy that was found damaged is lost', () => {
  assert.is(effectOf({ type: 'lose', key, at: { segment: 1, offset: 4096 } }, HELD), undefined)
  assert.ok(effectOf({ type: 'lose', key, at: { segment: 2, offset: 4096 } }, HELD))
})

plan('a move takes only what is still where it was', () => {
  const stale = { type: 'move', key, from: { segment: 1, offset: 0 }, bytes, proofs: [] } as const
  assert.is(effectOf(stale, HELD), undefined)
  assert.is(effectOf(stale, undefined), undefined)
  const proofs = [{ claimant: '01', segment: 2, offset: 50, proof: Uint8Array.of(1) }]
  const effect = effectOf({ ...stale, from: { segment: 2, offset: 4096 }, proofs }, HELD)
  assert.is(effect?.quiet, true)
  assert.is(effect?.bytes, bytes)
  assert.is.not(effect?.after?.claims[0], HELD_CLAIM)
  assert.is(HELD_CLAIM.offset, 50, 'the old row keeps its place')
})

plan('a moved deletion deletes what lies before it, and nothing else', () => {
  const quiet = effectOf({ type: 'bury', key, before: { segment: 1, offset: 0 } }, HELD)
  assert.is(quiet?.after, HELD)
  assert.is(effectOf({ type: 'bury', key, before: { segment: 3, offset: 0 } }, HELD)?.after, undefined)
})

plan('an effect with many proofs becomes several that end in the same row', () => {
  const claims = Array.from({ length: 700 }, (_, i) =>
    sampleClaim(i.toString(16).padStart(4, '0'), { proof: new Uint8Array(4096) })
  )
  const effect = effectOf({ type: 'put', key, bytes, claims }, HELD)
  assert.ok(effect)
  const parts = split(effect)
  assert.ok(parts.length > 2)
  assert.is(parts[0]?.before, HELD)
  assert.is(parts.filter((part) => part.bytes !== undefined).length, 0)
  parts.slice(1).forEach((part, i) => {
    assert.is(part.before, parts[i]?.after)
  })
  assert.equal(parts.at(-1)?.after, effect.after)
  assert.equal(parts.flatMap((part) => part.claims).length, 700)
  for (const part of parts) assert.ok(part.claims.length <= 256)
})

plan.run()
