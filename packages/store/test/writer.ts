import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, CairnError } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleClaim } from '../src/contract.ts'
import { entry, inScratch, segmentNames, withStore } from './scratch.ts'

const writer = suite('Writer')

writer('calls at once share groups', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      const path = join(directory, (await segmentNames(directory))[0] as string)
      const before = (await stat(path)).size
      await Promise.all(Array.from({ length: 100 }, (_, i) => store.put([entry(i, 100)])))
      const pages = ((await stat(path)).size - before) / 4096
      assert.ok(pages < 50, `${pages} pages for 100 blocks of 100 bytes`)
    })
  )
)

writer('a delete and a put of one block, at once and over again, end as the last of them says', () =>
  inScratch(async (directory) => {
    await withStore({ directory }, async (store) => {
      for (let round = 0; round < 20; round++) {
        const block = entry(1, round % 4 < 2 ? 500 : 100_000) // a long one is hashed aside meanwhile
        const calls = [store.put([block]), store.delete([block.key]), store.put([block])]
        if (round % 2 === 0) calls.push(store.delete([block.key]))
        await Promise.all(calls)
        assert.equal(await store.get(block.key), round % 2 === 0 ? undefined : block.bytes)
      }
    })
    await withStore({ directory, rebuild: true }, async (store) => assert.is(store.usage().blocks, 2))
  })
)

writer('of calls at once only those are refused whose bytes are not what they are named', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      // more than is hashed in one turn of the event loop
      const calls = Array.from({ length: 50 }, (_, i) => {
        const block = entry(i, 30_000)
        return i % 7 === 3 ? { ...block, bytes: block.bytes.toReversed() } : block
      })
      const unknown = { ...entry(50), key: `1122${'00'.repeat(34)}` as BlockKey }
      const odd = store.put([unknown]).catch((cause) => cause)
      const outcomes = await Promise.allSettled(calls.map((block) => store.put([block])))
      assert.ok((await odd) instanceof Error, 'a name that nobody knows')
      assert.not(store.usage().readOnly)
      for (const [i, { key, bytes }] of calls.entries()) {
        const outcome = outcomes[i] as PromiseSettledResult<void>
        assert.equal(await store.get(key), i % 7 === 3 ? undefined : bytes)
        assert.is(
          outcome.status === 'rejected' && CairnError.is(outcome.reason, 'BLOCK_CORRUPT'),
          i % 7 === 3
        )
      }
    })
  )
)

writer('claims that come while their block is being written join it', () =>
  inScratch((directory) =>
    withStore({ directory }, async (store) => {
      for (const block of [entry(1, 500), entry(2, 100_000)]) {
        await Promise.all([
          store.put([block]),
          store.put([{ key: block.key, claims: [sampleClaim('02')] }]),
          store.put([{ ...block, claims: [sampleClaim('03')] }])
        ])
        assert.equal(
          (await store.stat(block.key))?.claims.map(({ claimant }) => claimant),
          ['01', '02', '03']
        )
      }
    })
  )
)

writer('one call with more than a segment holds fills several, all kept', () =>
  inScratch(async (directory) => {
    const entries = Array.from({ length: 70 }, (_, i) => entry(i, 200_000))
    await withStore({ directory }, (store) => store.put(entries))
    assert.ok((await segmentNames(directory)).length >= 3)
    await withStore({ directory }, async (store) => {
      for (const { key, bytes } of entries) assert.equal(await store.get(key), bytes)
    })
  })
)

writer('a close lets what was submitted finish', () =>
  inScratch(async (directory) => {
    let puts: Promise<unknown> = Promise.resolve()
    await withStore({ directory }, async (store) => {
      puts = Promise.all(
        Array.from({ length: 50 }, (_, i) => store.put([entry(i, i % 2 === 0 ? 10_000 : 70_000)]))
      )
    })
    await puts
    await withStore({ directory }, async (store) => assert.is(store.usage().blocks, 50))
  })
)

writer.run()
