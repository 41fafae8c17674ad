import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { claimsBytes, Ledger, unite } from '../src/ledger.ts'

const ledger = suite('Ledger')

const { key, bytes } = sampleBlock(1)

ledger('entries of one key are united: bytes once, all claims', () => {
  const [one, two] = [sampleClaim('01'), sampleClaim('02')]
  assert.equal(
    unite([
      { key, claims: [one] },
      { key, bytes, claims: [two] }
    ]),
    [{ key, claims: [one, two], bytes }]
  )
})

ledger('what is planned is not held until it is set', () => {
  const held = new Ledger()
  const plan = held.plan([{ key, bytes, claims: [sampleClaim('01')] }])
  assert.is(plan.length, 1)
  assert.is(held.stat(key), undefined)
  held.set(key, bytes.length, plan[0]?.claims ?? [])
  assert.is(held.stat(key)?.size, bytes.length)
  assert.equal(held.plan([{ key, bytes, claims: [sampleClaim('01')] }]), [])
})

ledger('blocks and bytes are counted both ways', () => {
  const held = new Ledger()
  held.set(key, 100, [])
  held.set(key, 100, [sampleClaim('01')])
  assert.equal([held.blocks, held.bytes], [1, 100])
  held.remove(key)
  held.remove(key)
  assert.equal([held.blocks, held.bytes], [0, 0])
})

ledger('claims weigh what they take when written', () => {
  assert.ok(claimsBytes([sampleClaim('01', { proof: new Uint8Array(1000) })]) > 1000)
})

ledger.run()
