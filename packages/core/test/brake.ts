import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Brake, createBrake, noteBack, noteGone } from '../src/brake.ts'
import { actingHolders, vacancyDeadline, vacatePlaces } from '../src/holders.ts'
import { become, holdersOf, peer } from './support/data.ts'

const TEN_MINUTES_MS = 600_000

/** So many members of one byte each die, `gapMs` apart, of so many in all. */
function lose(brake: Brake, count: number, all: number, gapMs = 1): number {
  let nowMs = 0
  for (let n = 0; n < count; n++) {
    nowMs += gapMs
    noteGone(brake, { id: peer(n), capacity: 1 }, all - n - 1, nowMs)
  }
  return nowMs
}

const braking = suite('brake')

braking('ten members with over a third of the capacity, within ten minutes', () => {
  for (const [count, all, gapMs, isOn] of [
    [10, 29, 1, true],
    [10, 30, 1, false], // a third, and not more
    [9, 12, 1, false],
    [10, 29, 60_000, true],
    [10, 29, 70_000, false], // the first is out of the window
    [400, 1_000, 1, true]
  ] as const) {
    const brake = createBrake()
    const nowMs = lose(brake, count, all, gapMs)
    const untilMs = isOn ? nowMs + TEN_MINUTES_MS : Number.NEGATIVE_INFINITY
    assert.is(brake.untilMs, untilMs, `${count} of ${all}, ${gapMs} ms apart`)
  }
})

braking('is off as soon as enough are back', () => {
  const brake = createBrake()
  lose(brake, 12, 29)
  noteBack(brake, peer(0), 18)
  assert.ok(brake.untilMs > 0, 'eleven are gone')
  noteBack(brake, peer(999), 18)
  noteBack(brake, peer(1), 19)
  noteBack(brake, peer(2), 20)
  assert.is(brake.untilMs, Number.NEGATIVE_INFINITY)
})

braking('places are kept meanwhile, but for what is down to its last copy', () => {
  const holders = holdersOf(30, 15_000)
  const slots = Array.from({ length: 2_000 }, (_, i) => i * 31)
  const before = new Map(slots.map((slot) => [slot, actingHolders(holders, slot, 3)]))
  for (let n = 0; n < 12; n++) become(holders, n, { state: 'dead' }, 1_000 + n)
  const isDead = (id: string) => Number(id.slice(5)) < 12
  const nowMs = 500_000
  vacatePlaces(holders, nowMs)
  const seen = new Set<number>()
  for (const slot of slots) {
    const left = (before.get(slot) ?? []).filter((id) => !isDead(id))
    const acting = actingHolders(holders, slot, 3)
    seen.add(left.length)
    if (left.length >= 2) assert.equal(acting, left)
    if (left.length === 1) assert.is(acting.length, 3)
  }
  assert.ok(seen.has(1) && seen.has(2) && seen.has(3))
  const endMs = vacancyDeadline(holders)
  assert.ok(endMs > TEN_MINUTES_MS && endMs < TEN_MINUTES_MS + 2_000)
  vacatePlaces(holders, endMs)
  for (const slot of slots) assert.is(actingHolders(holders, slot, 3).filter((id) => !isDead(id)).length, 3)
})

braking('those that come back have their places, and the rest is repaired then', () => {
  const holders = holdersOf(30, 15_000)
  for (let n = 0; n < 12; n++) become(holders, n, { state: 'dead' }, 1_000)
  for (let n = 0; n < 8; n++) become(holders, n, { state: 'alive' }, 60_000)
  assert.is(vacancyDeadline(holders), 16_000)
  vacatePlaces(holders, 60_000)
  assert.is(holders.placement.size, 26)
})

braking.run()
