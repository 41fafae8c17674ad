import { slotOf } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { inScratch, withStore } from './scratch.ts'

const ENDED = { ...sampleClaim('01'), sequence: 2, live: false }
const MANY = Array.from({ length: 3_000 }, (_, seed) => sampleBlock(seed, 16))

const ended = suite('endedPage')

ended('every block of which all claims ended is met once, held or collected, page after page', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      await store.put(
        MANY.map((block, i) => ({ ...block, claims: [i % 3 === 0 ? sampleClaim('01') : ENDED] }))
      )
      const gone = MANY.filter((_, i) => i % 3 === 2)
      await store.collect(gone.map(({ key }) => ({ key, claims: [ENDED] })))
      while ((await store.changes(1_000)).length > 0);
      for (const collected of [false, true]) {
        const met: string[] = []
        let pages = 0
        for (let fromSlot: number | undefined = 0; fromSlot !== undefined; pages++) {
          const { blocks, next } = await store.ended({ collected, fromSlot, limit: 100 })
          for (const { key } of blocks) assert.ok(slotOf(key) >= fromSlot)
          met.push(...blocks.map(({ key }) => key))
          fromSlot = next
        }
        const wanted = MANY.filter((_, i) => i % 3 === (collected ? 2 : 1)).map(({ key }) => key)
        assert.equal(met.sort(), wanted.sort())
        assert.ok(pages >= 3, `${pages} pages`)
      }
    })
  )
)

ended.run()
