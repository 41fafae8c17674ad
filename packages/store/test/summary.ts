import { SLOTS } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleBlock, sampleClaim } from '../src/contract.ts'
import { Changes, type Fingerprinted, type SlotSource } from '../src/summary.ts'

const changes = suite('Changes')

/** Blocks by slot; `slot` need not be the key's own here. */
function sourceOf(slots: Map<number, Fingerprinted[]>): SlotSource {
  return {
    async slots(wanted, take) {
      for (const slot of wanted) for (const one of slots.get(slot) ?? []) take(slot, one)
    },
    run: async (from) => {
      const end = Math.min(SLOTS, from + 20_000)
      const inRun = [...slots].filter(([slot]) => slot >= from && slot < end)
      return { slots: new Map(inRun.sort(([a], [b]) => a - b)), end }
    }
  }
}

function block(seed: number, replicas = 3): Fingerprinted {
  return { key: sampleBlock(seed).key, size: 100, replicas, claims: [sampleClaim('01')] }
}

changes('a sweep returns what is there, slot by slot, once', async () => {
  const source = sourceOf(
    new Map([
      [9, [block(1), block(2, 32)]],
      [0, [block(3, 1)]],
      [SLOTS - 1, [block(4)]]
    ])
  )
  const all = new Changes({ sweep: true })
  const seen: [number, number][] = []
  for (let some = await all.take(1, source); some.length > 0; some = await all.take(1, source)) {
    seen.push(...some.map(({ slot, replicas }): [number, number] => [slot, replicas]))
  }
  assert.equal(seen, [
    [0, 1],
    [9, 3],
    [9, 32],
    [SLOTS - 1, 3]
  ])
})

changes('a change that lands while it is read is returned again', async () => {
  const slots = new Map([[5, [block(1)]]])
  const all = new Changes({ sweep: false })
  const source = sourceOf(slots)
  const racing: SlotSource = {
    ...source,
    async slots(wanted, take) {
      await source.slots(wanted, take)
      slots.set(5, [block(1), block(2)])
      all.mark(5, 3)
    }
  }
  all.mark(5, 3)
  assert.is((await all.take(10, racing))[0]?.blocks, 1)
  assert.is((await all.take(10, source))[0]?.blocks, 2)
})

changes('a change to what was read ahead is not hidden by it', async () => {
  const slots = new Map([
    [5, [block(1)]],
    [7, [block(2)]]
  ])
  const all = new Changes({ sweep: true })
  const source = sourceOf(slots)
  const racing: SlotSource = {
    ...source,
    run: async (from) => {
      const run = await source.run(from)
      if (from === 0) {
        slots.set(5, [block(1), block(3)])
        all.mark(5, 3)
      }
      return run
    }
  }
  assert.equal(
    (await all.take(1, racing)).map(({ slot, blocks }) => [slot, blocks]),
    [[5, 2]]
  )
  slots.set(7, [])
  all.mark(7, 3)
  assert.equal(await all.take(10, racing), [])
})

changes('a failure to read loses no change', async () => {
  const all = new Changes({ sweep: false })
  all.mark(5, 32)
  const broken: SlotSource = {
    run: async () => ({ slots: new Map(), end: SLOTS }),
    async slots() {
      throw new Error('the disk')
    }
  }
  let failed = false
  await all.take(10, broken).catch(() => {
    failed = true
  })
  assert.ok(failed)
  assert.is((await all.take(10, sourceOf(new Map([[5, [block(1, 32)]]])))).length, 1)
})

changes.run()
