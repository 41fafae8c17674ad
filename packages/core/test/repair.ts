import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createFetches } from '../src/fetch.ts'
import { actingHolders } from '../src/holders.ts'
import { repairLost, repairMissing } from '../src/repair.ts'
import { become, CONFIG, holdersOf, keyIn, peer } from './support/data.ts'

const six = () => holdersOf(6)
/** A slot that member 0 holds at N = 3, and one that it does not. */
function slotsOf0(): [number, number] {
  const holders = six()
  const held = Array.from({ length: 100 }, (_, slot) => actingHolders(holders, slot, 3).includes(peer(0)))
  return [held.indexOf(true), held.indexOf(false)]
}
const [OURS, THEIRS] = slotsOf0()

function missing(slot: number) {
  return {
    from: peer(1),
    slot,
    replicas: 3,
    entries: [{ key: keyIn(slot), size: 1, claims: '00'.repeat(8) }]
  }
}

const repair = suite('repair')

repair('what a holder lacks is wanted, after the time that direct mail may take', () => {
  const fetches = createFetches(peer(0), CONFIG)
  repairMissing(fetches, six(), missing(OURS), 100)
  assert.is(fetches.wants.byKey.get(keyIn(OURS))?.notBeforeMs, 100 + CONFIG.settleMs)
})

repair('at once when a holder of the slot is dead', () => {
  const holders = six()
  const other = actingHolders(holders, OURS, 3).find((id) => id !== peer(0))
  become(holders, Number(other?.slice(5)), { state: 'dead' }, 0)
  const fetches = createFetches(peer(0), CONFIG)
  repairMissing(fetches, holders, missing(OURS), 100)
  assert.is(fetches.wants.byKey.get(keyIn(OURS))?.notBeforeMs, 100)
})

repair('what is not ours to hold is not wanted, nor anything while full', () => {
  const fetches = createFetches(peer(0), CONFIG)
  repairMissing(fetches, six(), missing(THEIRS), 100)
  repairLost(fetches, six(), { key: keyIn(THEIRS), replicas: 3 }, 100)
  const full = six()
  become(full, 0, { full: true })
  repairMissing(fetches, full, missing(OURS), 100)
  repairLost(fetches, full, { key: keyIn(OURS), replicas: 3 }, 100)
  assert.is(fetches.wants.byKey.size, 0)
})

repair('a damaged copy is wanted from anybody, now', () => {
  const fetches = createFetches(peer(0), CONFIG)
  repairLost(fetches, six(), { key: keyIn(OURS), replicas: 3 }, 100)
  const want = fetches.wants.byKey.get(keyIn(OURS))
  assert.equal([want?.notBeforeMs, want?.sources.size], [100, 0])
})

repair.run()
