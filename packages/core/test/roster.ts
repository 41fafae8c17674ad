import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ahead, before, emptyRoster, enter, indexIn, leave, NONE, scoreAll, scoreOne } from '../src/roster.ts'
import { seedOf } from '../src/score.ts'
import { peer } from './support/data.ts'

const placed = (n: number, zone?: string) => ({ id: peer(n), weight: 1 + n, zone })

const roster = suite('roster')

roster('a member has its index until it leaves, and the next newcomer takes it over', () => {
  const all = emptyRoster()
  for (let n = 0; n < 40; n++) assert.is(enter(all, placed(n)), n)
  leave(all, indexIn(all, peer(7)))
  assert.is(all.weights[7], 0)
  assert.is(enter(all, placed(50)), 7)
  assert.is(indexIn(all, peer(50)), 7)
  assert.is(all.weights[7], 51)
})

roster('twice the same member, or one that is not there, is a bug of the caller', () => {
  const all = emptyRoster()
  enter(all, placed(1))
  for (const wrong of [() => enter(all, placed(1)), () => indexIn(all, peer(2))]) {
    assert.throws(wrong, (error: unknown) => error instanceof RangeError)
  }
})

roster('a zone is there while it has members, and its index is used again', () => {
  const all = emptyRoster()
  for (const [n, zone] of ['a', 'b', 'a', undefined].entries()) enter(all, placed(n, zone))
  assert.equal([...all.zones.slice(0, 4)], [0, 1, 0, NONE])
  assert.equal(all.zoneSizes, [2, 1])
  leave(all, 1)
  assert.equal(all.zoneSizes, [2, 0])
  enter(all, placed(9, 'c'))
  assert.equal(
    [...all.zoneIndexes],
    [
      ['a', 0],
      ['c', 1]
    ]
  )
})

roster('scoring all is scoring each', () => {
  const all = emptyRoster()
  for (let n = 0; n < 20; n++) enter(all, placed(n))
  scoreAll(all, seedOf(99))
  const costs = [...all.costs.slice(0, 20)]
  for (let n = 19; n >= 0; n--) scoreOne(all, n, seedOf(99))
  assert.equal([...all.costs.slice(0, 20)], costs)
})

roster('before is a strict order, by id where scores tie; rank within the zone comes first', () => {
  const all = emptyRoster()
  for (const n of [2, 1]) enter(all, { ...placed(n), weight: 1 })
  all.costs.set([5, 5])
  assert.equal([before(all, 0, 1), before(all, 1, 0)], [false, true], 'peer-1 before peer-2')
  all.costs.set([4, 5])
  assert.equal([before(all, 0, 1), before(all, 1, 0)], [true, false])
  all.ranks.set([1, 0])
  assert.equal([ahead(all, 0, 1), ahead(all, 1, 0)], [false, true])
})

roster.run()
