import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { ALIGN_BYTES, LARGE_BLOCK_BYTES } from '../src/format.ts'
import { Group } from '../src/group.ts'
import { type Effect, effectOf } from '../src/plan.ts'
import { readRecord, recordSectionBytes } from '../src/record.ts'

const groups = suite('Group')

const AT = { segment: 3, offset: 8192 }
const CONTEXT = { nonce: Buffer.alloc(16, 1), durable: 4096 }

function putOf(seed: number, size: number, proof = new Uint8Array(10)): Effect {
  const claims = [sampleClaim('01', { proof }), sampleClaim('02', { proof: Uint8Array.of(seed) })]
  return effectOf({ type: 'put', ...sampleBlock(seed, size), claims }, undefined) as Effect
}

groups('rows tell where every block and proof lies, and the record agrees', () => {
  for (const sizes of [
    [0],
    [100, 5000],
    [LARGE_BLOCK_BYTES, 3, 100_001],
    [2 * 1024 * 1024],
    [LARGE_BLOCK_BYTES - 1]
  ]) {
    const group = new Group()
    const effects = sizes.map((size, i) => putOf(i, size))
    for (const effect of effects) group.add(effect)
    const { buffers, length } = group.lay(AT, CONTEXT)
    const bytes = Buffer.concat(buffers)
    assert.is(bytes.length, length)
    assert.is(length % ALIGN_BYTES, 0)
    assert.ok(length <= group.bytes, `${length} of at most ${group.bytes}`)
    const record = readRecord(bytes.subarray(0, recordSectionBytes(bytes)), CONTEXT.nonce, AT)
    assert.is(record?.length, length)
    effects.forEach(({ key, after, claims }, i) => {
      const { block } = after ?? {}
      const start = (block?.offset ?? 0) - AT.offset
      assert.equal(
        bytes.subarray(start, start + (sizes[i] as number)),
        Buffer.from(sampleBlock(i, sizes[i]).bytes)
      )
      if ((sizes[i] as number) >= LARGE_BLOCK_BYTES) assert.is(start % ALIGN_BYTES, 0)
      const listed = record?.blocks.find((other) => record.keys[other.key] === key)
      assert.is(listed?.offset, start)
      for (const { claim, proof } of claims) {
        const from = claim.offset - AT.offset
        assert.equal(bytes.subarray(from, from + claim.length), Buffer.from(proof))
      }
    })
  }
})

groups('a proof that several blocks share is written once', () => {
  const proof = new Uint8Array(4000).fill(9)
  const [one, many] = [new Group(), new Group()]
  one.add(putOf(1, 10, proof))
  for (let i = 0; i < 5; i++) many.add(putOf(i, 10, proof.slice()))
  const [small, large] = [one.lay(AT, CONTEXT), many.lay(AT, CONTEXT)]
  assert.ok(large.length <= small.length + ALIGN_BYTES, 'four more of 4000 bytes would take four pages more')
})

groups('a deletion and what it deletes never share a group', () => {
  const group = new Group()
  const effect = putOf(1, 10)
  group.add(effect)
  const deletion = effectOf({ type: 'delete', key: effect.key }, effect.after) as Effect
  assert.not(group.fits(deletion))
  const second = new Group()
  second.add(deletion)
  assert.not(second.fits(putOf(1, 10)))
  assert.ok(second.fits(putOf(2, 10)))
})

groups('a group ends before it is too large, but takes any one effect', () => {
  const group = new Group()
  assert.ok(group.fits(putOf(1, 2 * 1024 * 1024)))
  group.add(putOf(1, 2 * 1024 * 1024))
  assert.not(group.fits(putOf(2, 1024 * 1024)))
  assert.ok(group.fits(putOf(2, 1024)))
})

groups.run()
