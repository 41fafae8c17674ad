import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { forgetLoad, type Loads, loadOf, nearness, nowKnownSlow, timed } from '../src/load.ts'
import { peer } from './support/data.ts'

const loads = suite('load')

loads('the first answer says how far a member is; later ones are smoothed', () => {
  const known: Loads = new Map()
  timed(known, peer(1), 80)
  assert.is(nearness(known, peer(1)), 80)
  timed(known, peer(1), 160)
  assert.is(nearness(known, peer(1)), 90)
})

loads('one never asked is nearest, one with much under way farther', () => {
  const known: Loads = new Map()
  timed(known, peer(1), 10)
  assert.ok(nearness(known, peer(2)) < nearness(known, peer(1)))
  loadOf(known, peer(1)).pending = 16
  assert.is(nearness(known, peer(1)), 20)
})

loads('silence only ever makes a member farther', () => {
  const known: Loads = new Map()
  nowKnownSlow(known, peer(1), 400)
  nowKnownSlow(known, peer(1), 100)
  assert.is(nearness(known, peer(1)), 400)
  forgetLoad(known, peer(1))
  assert.is(nearness(known, peer(1)), 0)
})

loads.run()
