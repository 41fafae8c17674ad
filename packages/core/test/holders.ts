import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  actingHolders,
  distrust,
  livingMembers,
  mayFetch,
  readOrder,
  vacancyDeadline,
  vacatePlaces,
  writeOrder
} from '../src/holders.ts'
import { become, holdersOf, peer } from './support/data.ts'

const SLOT = 4_711

/** The numbers of the members in a slot's order. */
function orderOf(holders: ReturnType<typeof holdersOf>, slot = SLOT): number[] {
  return holders.placement.order(slot, holders.placement.size).map((id) => Number(id.slice(5)))
}

const holding = suite('holders')

holding('the first N of the order act', () => {
  const six = holdersOf(6)
  for (const n of [1, 2, 3, 6, 32]) {
    assert.equal(
      actingHolders(six, SLOT, n),
      orderOf(six)
        .slice(0, n)
        .map((i) => peer(i))
    )
  }
})

holding('with two living copies the place of a dead member waits, then goes to the next', () => {
  const six = holdersOf(6, 15_000)
  const [a, b, c, d] = orderOf(six) as [number, number, number, number]
  become(six, b, { state: 'dead' }, 1_000)
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(c)])
  assert.is(vacancyDeadline(six), 16_000)
  vacatePlaces(six, 15_999)
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(c)])
  vacatePlaces(six, 16_000)
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(c), peer(d)])
  assert.is(vacancyDeadline(six), Number.POSITIVE_INFINITY)
})

holding('with one living copy left the next in the order act at once', () => {
  const six = holdersOf(6)
  const [a, b, c, d, e] = orderOf(six) as [number, number, number, number, number]
  become(six, a, { state: 'dead' })
  become(six, c, { state: 'dead' })
  assert.equal(actingHolders(six, SLOT, 3), [peer(b), peer(d), peer(e)])
})

holding('a member that returns within the delay has its place back', () => {
  const six = holdersOf(6)
  const before = actingHolders(six, SLOT, 3)
  const [a] = orderOf(six) as [number]
  become(six, a, { state: 'dead' }, 1_000)
  become(six, a, { incarnation: 1 }, 2_000)
  vacatePlaces(six, 100_000)
  assert.equal(actingHolders(six, SLOT, 3), before)
})

holding('a full member keeps its place, and the next in the order acts beside it', () => {
  const six = holdersOf(6)
  const [a, b, c, d] = orderOf(six) as [number, number, number, number]
  become(six, a, { full: true })
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(b), peer(c), peer(d)])
  assert.not.ok(writeOrder(six, SLOT, 3).includes(peer(a)))
  assert.ok(readOrder(six, SLOT).includes(peer(a)))
  assert.not.ok(mayFetch(six, peer(a), SLOT, 3))
  assert.ok(mayFetch(six, peer(d), SLOT, 3))
  become(six, a, { full: false })
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(b), peer(c)])
})

holding('leaving and left members have no place, and leaving needs no delay', () => {
  const six = holdersOf(6)
  const [a, b, c, d] = orderOf(six) as [number, number, number, number]
  become(six, a, { state: 'leaving' })
  assert.equal(actingHolders(six, SLOT, 3), [peer(b), peer(c), peer(d)])
  become(six, b, { state: 'left' })
  assert.not.ok(livingMembers(six).includes(peer(b)))
})

holding('a suspect acts: suspicion moves nothing', () => {
  const six = holdersOf(6)
  const before = actingHolders(six, SLOT, 3)
  const [a] = orderOf(six) as [number]
  const { version } = six
  become(six, a, { state: 'suspect' })
  assert.equal(actingHolders(six, SLOT, 3), before)
  assert.is(six.version, version, 'and makes nobody look again')
})

holding('one of N dead in three zones leaves the places of the others', () => {
  const six = holdersOf(0)
  for (let n = 0; n < 6; n++) become(six, n, { zone: `z${n % 3}` })
  const zones = actingHolders(six, SLOT, 3).map((id) => Number(id.slice(5)) % 3)
  assert.equal(zones.sort(), [0, 1, 2])
})

holding('nobody acts where there is nobody', () => {
  const none = holdersOf(0)
  assert.equal(actingHolders(none, SLOT, 3), [])
  assert.equal(writeOrder(none, SLOT, 3), [])
  assert.equal(readOrder(none, SLOT), [])
})

holding('news of one that was dead when first heard of changes nothing', () => {
  const two = holdersOf(2)
  const { version } = two
  become(two, 7, { state: 'dead' }, 5)
  assert.is(two.version, version)
  assert.is(vacancyDeadline(two), Number.POSITIVE_INFINITY)
})

holding('a member that is not trusted keeps its place, and the next acts beside it', () => {
  const six = holdersOf(6)
  const [a, b, c, d] = orderOf(six) as [number, number, number, number]
  distrust(six, peer(b), true)
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(b), peer(c), peer(d)])
  assert.not.ok(writeOrder(six, SLOT, 3).includes(peer(b)), 'nothing new is sent to it')
  assert.ok(readOrder(six, SLOT).includes(peer(b)), 'what it gives is verified anyway')
  const { version } = six
  distrust(six, peer(b), true)
  assert.is(six.version, version, 'nothing changed')
  distrust(six, peer(b), false)
  assert.equal(actingHolders(six, SLOT, 3), [peer(a), peer(b), peer(c)])
})

holding.run()
