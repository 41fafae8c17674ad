import { slotOf } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { inScratch, withStore } from './scratch.ts'

const MIRROR = '02'.repeat(33)
const OTHER = `02${'ab'.repeat(32)}`
const MANY = Array.from({ length: 3_000 }, (_, seed) => sampleBlock(seed, 16))

const mirrored = suite('mirroredPage')

mirrored('every block of a mirror is met once, page after page, and none of another', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      const claims = [sampleClaim('01'), sampleClaim(MIRROR), sampleClaim(OTHER)]
      await store.put(MANY.map((block, i) => ({ ...block, claims: [claims[i % 3] as (typeof claims)[0]] })))
      const met: string[] = []
      let pages = 0
      for (let fromSlot: number | undefined = 0; fromSlot !== undefined; pages++) {
        const { keys, next } = await store.listMirrored({ claimant: MIRROR, fromSlot, limit: 100 })
        for (const key of keys) assert.ok(slotOf(key) >= fromSlot)
        met.push(...keys)
        fromSlot = next
      }
      assert.equal(
        met.sort(),
        MANY.filter((_, i) => i % 3 === 1)
          .map(({ key }) => key)
          .sort()
      )
      assert.ok(pages >= 3, `${pages} pages`)
    })
  )
)

mirrored.run()
