import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  newUpdate,
  outcomeOf,
  PROPOSE_AGAIN_MS,
  PROPOSE_TIMEOUT_MS,
  toAsk,
  votersOf
} from '../src/primary.ts'
import { ids, record, voted } from './support/refs.ts'

const primary = suite('updates')
const first = record([])

function update(...voters: string[]) {
  const one = newUpdate(1, { record: first, receipts: new Map() }, [], 0)
  one.kept = true
  for (const voter of voters)
    one.receipts.set(voter as PeerId, [...voted(first, voter).receipts.values()][0]!)
  return one
}

primary('nobody is asked before the record is on disk, and those that are silent again', () => {
  const one = update()
  one.kept = false
  assert.equal(toAsk(one, 0), [])
  one.kept = true
  assert.equal(toAsk(one, 0), ids('a', 'b', 'c'))
  assert.equal(toAsk(one, 1), [])
  one.receipts.set('b' as PeerId, [...voted(first, 'b').receipts.values()][0]!)
  assert.equal(toAsk(one, PROPOSE_AGAIN_MS), ids('a', 'c'))
})

primary('a majority acknowledges', () => {
  assert.is(outcomeOf(update('a'), 0), undefined)
  assert.is(outcomeOf(update('a', 'c'), 0)?.type, 'acknowledged')
})

primary('it is refused once a majority is out of reach', () => {
  const one = update('a')
  one.refusals.set('b' as PeerId, 'rival')
  assert.is(outcomeOf(one, 0), undefined)
  one.refusals.set('c' as PeerId, 'unproven')
  assert.is(outcomeOf(one, 0), undefined, 'who abstains may vote later')
  one.refusals.set('c' as PeerId, 'stale')
  assert.is(outcomeOf(one, 0)?.type, 'refused')
})

primary('too few in time names the silent', () => {
  const outcome = outcomeOf(update('a'), PROPOSE_TIMEOUT_MS)
  assert.equal(outcome?.type === 'too-few' && outcome.silent, ids('b', 'c'))
})

primary('voters of two groups are asked once', () => {
  assert.equal(votersOf({ voters: [ids('a', 'b'), ids('b', 'c')] }), ids('a', 'b', 'c'))
})

primary.run()
