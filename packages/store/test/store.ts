import { PART_BYTES_MAX } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { memoryStore } from '../src/memory.ts'
import { CLAIMANT_BYTES_MAX, CLAIMS_PER_BLOCK_MAX, PROOF_BYTES_MAX } from '../src/store.ts'

const limits = suite('limits')

limits('the largest claim that core makes fits, and as many as one block may have', async () => {
  assert.is(PROOF_BYTES_MAX, PART_BYTES_MAX)
  const store = memoryStore({ capacity: 2 ** 30 })
  const claims = Array.from({ length: CLAIMS_PER_BLOCK_MAX }, (_, i) =>
    sampleClaim(i.toString(16).padStart(2 * CLAIMANT_BYTES_MAX, '0'), {
      proof: new Uint8Array(PROOF_BYTES_MAX)
    })
  )
  const block = sampleBlock(1)
  await store.put([{ ...block, claims }])
  assert.is((await store.stat(block.key))?.claims.length, CLAIMS_PER_BLOCK_MAX)
})

limits.run()
