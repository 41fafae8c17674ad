import type { PeerId } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BOOTS_MAX, newBallot } from '../src/ballot.ts'
import { fellowsOf, findingOf, noteBoot, PROOF_WAIT_MS, type Told } from '../src/catch-up.ts'
import { ids } from './support/refs.ts'

const catchUp = suite('catching up')
const self = 'a' as PeerId

function finding(
  boot: number,
  told: Record<string, Told>,
  group = ids('a', 'b', 'c'),
  nowMs = PROOF_WAIT_MS
) {
  const proof = { told: new Map(Object.entries(told) as [PeerId, Told][]), untilMs: PROOF_WAIT_MS }
  return findingOf(proof, { voters: [group], sequence: 10 }, { self, boot }, nowMs)
}

catchUp('a member that nobody knows a later life of votes, once a majority with it was heard', () => {
  assert.is(finding(5, { b: { boot: 4, sequence: 9 }, c: { boot: 3, sequence: 9 } }).type, 'sound')
  assert.is(finding(5, { b: { boot: 4, sequence: 9 } }).type, 'sound')
  assert.is(finding(5, {}).type, 'unknown')
  assert.is(finding(5, { b: { boot: 4, sequence: 9 } }, ids('a', 'b', 'c'), 0).type, 'wait')
  assert.is(finding(1, {}, ids('a'), 0).type, 'sound', 'who votes alone has nobody to ask')
})

catchUp('one put back to an older state abstains past all that it may have voted for', () => {
  const told = { b: { boot: 7, sequence: 10 }, c: { boot: 2, sequence: 9 } }
  assert.equal(finding(5, told), { type: 'floor', sequence: 12, boot: 8 })
  assert.equal(finding(7, told), { type: 'floor', sequence: 12, boot: 8 })
})

catchUp('without enough of the others it does not vote at all', () => {
  assert.is(finding(5, { b: { boot: 7, sequence: 10 } }).type, 'unknown')
  const five = ids('a', 'b', 'c', 'd', 'e')
  const two = { b: { boot: 7, sequence: 9 }, c: { boot: 1, sequence: 9 } }
  assert.is(finding(5, two, five).type, 'unknown')
  assert.is(finding(5, { ...two, d: { boot: 1, sequence: 9 } }, five).type, 'floor')
  const ahead = { b: { boot: 7, sequence: 12 }, c: { boot: 1, sequence: 9 } }
  assert.is(finding(5, ahead).type, 'unknown', 'the proposal is behind what others voted on')
})

catchUp('fellow voters are those of the own groups', () => {
  assert.equal(fellowsOf({ voters: [ids('a', 'b'), ids('c', 'd'), ids('b', 'a', 'e')] }, self), ids('b', 'e'))
})

catchUp('the highest start is noted, the one before told, and the oldest note given up', () => {
  const ballot = newBallot()
  assert.is(noteBoot(ballot, 'b' as PeerId, 3), 0)
  assert.is(noteBoot(ballot, 'b' as PeerId, 2), 3)
  assert.is(noteBoot(ballot, 'b' as PeerId, 4), 3)
  for (let i = 0; i < BOOTS_MAX; i++) noteBoot(ballot, `p${i}` as PeerId, 1)
  assert.is(ballot.boots.size, BOOTS_MAX)
  assert.not(ballot.boots.has('b' as PeerId))
})

catchUp.run()
