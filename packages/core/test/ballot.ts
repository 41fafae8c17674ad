import type { PeerId, RefRecord } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Ballot, judge, newBallot } from '../src/ballot.ts'
import { emptyEntry, type KnownRef, mergeEntry } from '../src/ref-entry.ts'
import { ids, record, sha256, voted } from './support/refs.ts'

const ballots = suite('ballots')
const first = record([])
const second = record([first])
const rival = record([first], { root: Uint8Array.of(9) })

function judged(
  one: RefRecord,
  chain: KnownRef[],
  ballot: Partial<Ballot> = {},
  known: KnownRef[] = []
): string {
  const entry = emptyEntry(first.id)
  mergeEntry(entry, known, sha256)
  const told = judge({ ...newBallot(), ...ballot }, entry, { record: one, chain }, 'a' as PeerId)
  return told.type === 'refuse' ? told.why : told.type
}

function votedFor({ epoch, sequence, hash }: RefRecord): Partial<Ballot> {
  return { vote: { epoch, sequence, hash } }
}

ballots('a first record, and one that follows what was acknowledged, get the vote', () => {
  assert.is(judged(first, []), 'vote')
  assert.is(judged(second, [voted(first, 'b', 'c')]), 'vote')
  assert.is(judged(second, [], {}, [voted(first, 'b', 'c')]), 'vote', 'known here already')
})

ballots('one vote a sequence: the same bytes again, and no rival', () => {
  const chain = [voted(first, 'a', 'b')]
  assert.is(judged(second, chain, votedFor(second)), 'again')
  assert.is(judged(rival, chain, votedFor(second)), 'rival')
  assert.is(judged(second, chain, votedFor(record([second]))), 'stale')
})

ballots('what follows nothing that was acknowledged gets none', () => {
  assert.is(judged(second, [voted(first, 'b')]), 'unfounded')
  assert.is(judged(second, []), 'unfounded')
  const skipping = record([first], { sequence: 5 })
  assert.is(judged(skipping, [voted(first, 'b', 'c')]), 'unfounded')
})

ballots('the electorate of the one before votes, nobody of the own choice', () => {
  const chosen = record([first], { voters: [ids('a', 'x', 'y')] })
  assert.is(judged(chosen, [voted(first, 'b', 'c')]), 'unfounded')
  const elsewhere = record([record([], { electorate: ids('x', 'y', 'z') })])
  assert.is(judged(elsewhere, []), 'not-asked')
  const packed = record([], { voters: [ids('a')], electorate: ids('a', 'b', 'c') })
  assert.is(judged(packed, []), 'unfounded')
})

ballots('what is acknowledged already leaves no vote for less', () => {
  const known = [voted(second, 'b', 'c')]
  assert.is(judged(rival, [voted(first, 'b', 'c')], {}, known), 'stale')
  assert.is(judged(first, [], {}, known), 'stale')
})

ballots('what settles rivals must name the one that was voted for', () => {
  const third = record([first], { root: Uint8Array.of(7) })
  const settling = record([second, rival])
  const chain = [voted(second, 'a'), voted(rival, 'b'), voted(first, 'a', 'b')]
  assert.is(judged(settling, chain, votedFor(second)), 'vote')
  assert.is(judged(settling, chain, votedFor(third)), 'unfounded')
  assert.is(judged(settling, chain, votedFor(first)), 'vote')
  assert.is(judged(settling, chain), 'vote')
})

ballots('of two that settle the same, what settles both follows the vote for either', () => {
  const [one, other] = [record([second, rival]), record([second, rival], { root: Uint8Array.of(3) })]
  const last = record([one, other])
  const chain = [one, other, second, rival].map((each) => voted(each)).concat(voted(first, 'a', 'b'))
  assert.is(judged(last, chain, votedFor(one)), 'vote')
  assert.is(judged(last, chain, votedFor(second)), 'vote', 'the settled are behind both')
  assert.is(judged(last, chain, votedFor(record([first], { root: Uint8Array.of(8) }))), 'unfounded')
})

ballots('below its floor a member abstains', () => {
  const chain = [voted(first, 'b', 'c')]
  assert.is(judged(second, chain, { floor: 3 }), 'unproven')
  assert.is(judged(second, chain, { floor: 2 }), 'vote')
  const backed = [voted(second, 'b', 'c'), voted(first, 'b', 'c')]
  assert.is(judged(second, chain, { floor: 3 }, backed), 'vote', 'enough others voted for the same')
  assert.is(judged(second, chain, { floor: 3 }, [voted(second, 'b')]), 'unproven')
})

ballots('a recovery gets the vote of those that it names, over any vote of an older epoch', () => {
  const recovered = record([first], { epoch: 1, since: 2, voters: [ids('a', 'b', 'c')] })
  assert.is(judged(recovered, [], votedFor(record([second]))), 'vote')
  assert.is(judged(second, [voted(first, 'b', 'c')], votedFor(recovered)), 'stale')
})

ballots.run()
