import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { PeerId } from '../src/block.ts'
import { decode, encode } from '../src/codec.ts'
import { createFetches } from '../src/fetch.ts'
import { actingHolders } from '../src/holders.ts'
import { onView, peerOf } from '../src/reconcile.ts'
import {
  addTallies,
  doomedPlaces,
  safeInMs,
  type Tally,
  takersIn,
  tally,
  tallyCodec,
  toHandOver
} from '../src/safety.ts'
import { compareFor, keep, type Node, node } from './support/comparing.ts'
import { become, CONFIG, holdersOf, keyIn, peer } from './support/data.ts'

function group(count: number): Node[] {
  return Array.from({ length: count }, (_, n) => node(n, holdersOf(count)))
}

function tallyOf({ id, state, holders }: Node, without?: ReadonlySet<PeerId>): Tally {
  return tally({ reconciler: state, holders, fetches: createFetches(id, CONFIG) }, { nowMs: 0, without })
}

const sumOf = (nodes: readonly Node[], without?: ReadonlySet<PeerId>) =>
  addTallies(nodes.map((one) => tallyOf(one, without)))
const PLACE = 3 * 65_536 + 5

const safety = suite('safety')

safety('at rest the tallies add up to every block once, all at N', () => {
  const six = group(6)
  const keys = Array.from({ length: 120 }, (_, i) => keyIn(i * 500, i % 3))
  for (const one of six)
    keep(
      one,
      keys.filter((key) => actingHolders(one.holders, slot(key), 3).includes(one.id)).map((key) => ({ key }))
    )
  compareFor(six, 40_000)
  const { blocks, bytes, short, unconfirmed } = sumOf(six)
  assert.equal(
    { blocks, bytes, short, unconfirmed },
    { blocks: 120, bytes: 120_000, short: [], unconfirmed: { blocks: 0, bytes: 0 } }
  )
})

const slot = (key: string) => Number.parseInt(key.slice(4, 8), 16)

safety('nothing counts as safe before it was compared', () => {
  const three = group(3)
  for (const one of three) keep(one, [{ key: keyIn(5) }])
  assert.is(sumOf(three).short.length, 1, 'nobody knows of anybody')
  compareFor(three, 20_000)
  assert.equal(sumOf(three).short, [])
  keep(three[0] as Node, [{ key: keyIn(5, 1) }])
  const after = tallyOf(three[0] as Node)
  const teller = actingHolders((three[0] as Node).holders, 5, 3)[0] === peer(0)
  if (teller) assert.is(after.unconfirmed.blocks, 2, 'the slot changed')
  assert.is(peerOf((three[0] as Node).state, peer(1)).changed.size, 1)
})

safety('with fewer members than N every block is short', () => {
  const two = group(2)
  for (const one of two) keep(one, [{ key: keyIn(5) }, { key: keyIn(900) }])
  compareFor(two, 20_000)
  assert.equal(sumOf(two).short, [{ copies: 2, blocks: 2, bytes: 2_000 }])
})

safety('a holder known to lack blocks makes them short, by as many copies as there are', () => {
  const three = group(3)
  const keys = [0, 1, 2, 3].map((i) => ({ key: keyIn(5, i) }))
  keep(three[0] as Node, keys)
  keep(three[1] as Node, keys)
  keep(three[2] as Node, keys.slice(0, 1))
  compareFor(three, 20_000, { fetch: false })
  const { blocks, short } = sumOf(three)
  assert.is(blocks, 4)
  assert.equal(short, [{ copies: 2, blocks: 3, bytes: 3_000 }])
})

safety('as many blocks, but not the same ones, are never called safe', () => {
  const three = group(3)
  for (const [i, one] of three.entries()) keep(one, [{ key: keyIn(5) }, { key: keyIn(5, i + 1) }])
  compareFor(three, 20_000, { fetch: false })
  const { short } = sumOf(three)
  assert.ok((short[0]?.blocks ?? 0) >= 1)
})

safety('a full holder that lacks a block takes nothing from N others that have it', () => {
  const five = group(5)
  for (const one of five) become(one.holders, 0, { full: true })
  const slotOf0 = Array.from({ length: 100 }, (_, i) => i).find((i) => {
    return actingHolders((five[1] as Node).holders, i, 3).includes(peer(0))
  }) as number
  for (const one of five) {
    const acts = actingHolders(one.holders, slotOf0, 3).includes(one.id)
    if (acts && one.id !== peer(0)) keep(one, [{ key: keyIn(slotOf0) }])
  }
  compareFor(five, 60_000, { fetch: false })
  assert.equal([sumOf(five).blocks, sumOf(five).short], [1, []])
})

safety('what only a stranger holds is told by it, as one copy', () => {
  const four = group(4)
  const holders = actingHolders((four[0] as Node).holders, 8, 3)
  const stray = four.find(({ id }) => !holders.includes(id)) as Node
  keep(stray, [{ key: keyIn(8) }])
  compareFor(four, 20_000, { fetch: false })
  assert.equal(sumOf(four).short, [{ copies: 1, blocks: 1, bytes: 1_000 }])
  assert.is(toHandOver(stray.state, stray.holders).blocks, 1)
  compareFor(four, 60_000, { fromMs: 20_000 })
  assert.equal([sumOf(four).blocks, sumOf(four).short], [1, []])
  assert.is(toHandOver(stray.state, stray.holders).blocks, 0)
})

safety('where one copy is enough, that of a stranger is not called too few', () => {
  const four = group(4)
  const holders = actingHolders((four[0] as Node).holders, 8, 1)
  const stray = four.find(({ id }) => !holders.includes(id)) as Node
  keep(stray, [{ key: keyIn(8), replicas: 1 }])
  compareFor(four, 20_000, { fetch: false })
  const { blocks, short, unconfirmed } = sumOf(four)
  assert.equal([blocks, short, unconfirmed.blocks], [1, [], 1])
  assert.equal(sumOf(four, new Set([stray.id])).short, [{ copies: 0, blocks: 1, bytes: 1_000 }])
})

safety('places are named whose last holders would be lost, and those of whom a copy is held besides', () => {
  const four = group(4)
  const holders = actingHolders((four[0] as Node).holders, 8, 3)
  const stray = four.find(({ id }) => !holders.includes(id)) as Node
  for (const one of four) keep(one, [{ key: keyIn(8) }])
  compareFor(four, 60_000)
  const named = (...lost: PeerId[]) =>
    four.map(({ id, state, holders }) => {
      return doomedPlaces({ reconciler: state, holders, fetches: createFetches(id, CONFIG) }, new Set(lost))
    })
  assert.equal(named(...holders.slice(1)).flat(), [])
  assert.equal(named(...holders).flat(), [3 * 65_536 + 8], 'by one of them')
  assert.is(named(...holders)[four.indexOf(stray)]?.length, 0)
})

safety('handed over is what N have, or all that can take it', () => {
  const four = group(4)
  const [one] = four as [Node]
  keep(one, [{ key: keyIn(5) }])
  for (const { holders } of four) become(holders, 0, { state: 'leaving' })
  onView(one.state, one.holders)
  const stray = one.state.strays.get(PLACE)
  const left = () => toHandOver(one.state, one.holders).blocks
  assert.is(left(), 1)
  stray?.settled.set(peer(1), 0).set(peer(2), 0)
  assert.is(left(), 1, 'two of three')
  become(one.holders, 3, { full: true })
  assert.is(left(), 0, 'the third can take nothing')
  become(one.holders, 3, { full: false })
  stray?.settled.set(peer(3), 0)
  assert.is(left(), 0)
})

safety('nobody to hand over to is nothing handed over', () => {
  const [alone] = group(1) as [Node]
  keep(alone, [{ key: keyIn(5) }])
  become(alone.holders, 0, { state: 'leaving' })
  onView(alone.state, alone.holders)
  assert.is(toHandOver(alone.state, alone.holders).blocks, 1)
})

safety('tallies add up field by field and survive the wire', () => {
  const one: Tally = {
    ...{ blocks: 5, bytes: 50, wanted: 1, unconfirmed: { blocks: 2, bytes: 20 }, rate: 9, waitMs: 7 },
    short: [{ copies: 2, blocks: 1, bytes: 10 }]
  }
  const two: Tally = { ...one, short: [{ copies: 1, blocks: 3, bytes: 30 }, ...one.short] }
  const sum = addTallies([one, two])
  assert.equal(sum.short, [
    { copies: 1, blocks: 3, bytes: 30 },
    { copies: 2, blocks: 2, bytes: 20 }
  ])
  assert.equal([sum.blocks, sum.wanted, sum.unconfirmed.blocks, sum.rate], [10, 2, 4, 18])
  assert.is(sum.waitMs, 7, 'the longest wait')
  assert.equal(decode(tallyCodec, encode(tallyCodec, two)), two)
})

safety(
  'as if members were lost, each block counts the copies that the others have, and nothing twice',
  () => {
    const six = group(6)
    const keys = Array.from({ length: 120 }, (_, i) => keyIn(i * 500, i % 3))
    const holdersOfKey = (one: Node, key: string) => actingHolders(one.holders, slot(key), 3)
    for (const one of six) {
      const own = keys.filter((key) => holdersOfKey(one, key).includes(one.id))
      keep(
        one,
        own.map((key) => ({ key }))
      )
    }
    compareFor(six, 40_000)
    for (const lost of [[0], [1, 4], [0, 2, 5], [0, 1, 2, 3, 4, 5]]) {
      const without = new Set(lost.map(peer))
      const left = keys.map(
        (key) => holdersOfKey(six[0] as Node, key).filter((id) => !without.has(id)).length
      )
      const expected = [0, 1, 2].flatMap((copies) => {
        const blocks = left.filter((count) => count === copies).length
        return blocks === 0 ? [] : [{ copies, blocks, bytes: 1_000 * blocks }]
      })
      const sum = sumOf(six, without)
      assert.equal([sum.blocks, sum.short], [120, expected], `without ${lost}`)
    }
  }
)

safety('until all is safe: the wait, the comparing, and the bytes by their rate', () => {
  const four = holdersOf(4)
  const config = { replicas: 3, settleMs: 2_000, compareChangedMs: 1_000 }
  const none = {
    blocks: 9,
    bytes: 9_000,
    unconfirmed: { blocks: 0, bytes: 0 },
    wanted: 0,
    rate: 0,
    waitMs: 0
  }
  const short = [{ copies: 1, blocks: 5, bytes: 5_000_000 }]
  assert.is(safeInMs(four, config, { ...none, short: [] }), 0)
  assert.is(
    safeInMs(four, config, { ...none, short, rate: 1_000_000, waitMs: 9_000 }),
    9_000 + 2_000 + 10_000
  )
  const sooner = safeInMs(four, config, { ...none, short }) ?? 0
  assert.ok(sooner > 4_000 && sooner < 5_000, 'assumed, as long as nothing has come')
  for (const n of [0, 1]) become(four, n, { full: true })
  assert.equal(takersIn(four), [peer(2), peer(3)])
  assert.is(safeInMs(four, config, { ...none, short }), undefined, 'two can take what three must have')
})

safety('the dead are waited for until their places are given away', () => {
  const [one] = group(4) as [Node]
  become(one.holders, 3, { state: 'dead' })
  assert.is(tallyOf(one).waitMs, CONFIG.repairDelayMs)
  assert.is(tallyOf(node(1, holdersOf(4))).waitMs, 0)
})

safety.run()
