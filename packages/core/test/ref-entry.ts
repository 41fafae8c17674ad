import { seeded, shuffle } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  ENTRY_BYTES_MAX,
  emptyEntry,
  entryDigest,
  type KnownRef,
  mergeEntry,
  readEntry,
  writeEntry
} from '../src/ref-entry.ts'
import { cryptoOf, ids, NETWORK, record, sha256, voted } from './support/refs.ts'

const entries = suite('what is known of a ref')
const first = record([])
const second = record([first])
const rival = record([first], { root: Uint8Array.of(9) })

function entryOf(...known: KnownRef[]) {
  const entry = emptyEntry(first.id)
  mergeEntry(entry, known, sha256)
  return entry
}

entries('the highest acknowledged record is the best, and lower ones are forgotten', () => {
  const entry = entryOf(voted(first, 'a', 'b'), voted(second, 'b', 'c'))
  assert.is(entry.best?.record.hash, second.hash)
  assert.is(entry.rivals.length + entry.forks.length, 0)
})

entries('what has no majority stays a rival until one of them has', () => {
  const split = entryOf(voted(first, 'a', 'b'), voted(second, 'a'), voted(rival, 'b'))
  assert.is(split.best?.record.hash, first.hash)
  assert.is(split.rivals.length, 2)
  assert.ok(mergeEntry(split, [voted(rival, 'c')], sha256))
  assert.is(split.best?.record.hash, rival.hash)
  assert.is(split.rivals.length, 0)
})

entries('receipts from anywhere add up; what is known already changes nothing', () => {
  const entry = entryOf(voted(first, 'a'))
  assert.is(entry.best, undefined)
  assert.ok(mergeEntry(entry, [voted(first, 'b')], sha256))
  assert.is(entry.best?.record.hash, first.hash)
  assert.not(mergeEntry(entry, [voted(first, 'a', 'b')], sha256))
  assert.not(mergeEntry(entry, [voted(record([], { name: 'other' }), 'a', 'b')], sha256))
})

entries('the order in which it is learnt does not matter', () => {
  const settled = record([second, rival])
  const known = [
    voted(first, 'a', 'b'),
    voted(second, 'a'),
    voted(rival, 'b'),
    voted(rival, 'c'),
    voted(settled, 'a')
  ]
  const random = seeded(3)
  const digests = Array.from({ length: 20 }, () => {
    const entry = emptyEntry(first.id)
    for (const one of shuffle(random, [...known])) mergeEntry(entry, [one], sha256)
    for (const one of shuffle(random, [...known])) mergeEntry(entry, [one], sha256)
    return entryDigest(entry, sha256)
  })
  assert.is(new Set(digests).size, 1)
})

entries('two acknowledged alike, and what a recovery left behind, are forks', () => {
  const twice = entryOf(voted(second, 'a', 'b'), voted(rival, 'b', 'c'))
  assert.is(twice.forks.length, 1)
  const electorate = ids('x', 'y', 'z')
  const recovered = record([first], { epoch: 1, since: 2, electorate, voters: [electorate] })
  const third = record([second])
  const left = entryOf(voted(recovered, 'x', 'y'), voted(third, 'a', 'b'), voted(first, 'a', 'b'))
  assert.is(left.best?.record.hash, recovered.hash)
  assert.equal(
    left.forks.map((one) => one.record.hash),
    [third.hash]
  )
})

entries('an entry reads back from its bytes, within one message', () => {
  const entry = entryOf(voted(first, 'a', 'b'), voted(second, 'a'), voted(rival, 'b'))
  const bytes = writeEntry(entry)
  assert.is(bytes.records.length, 3)
  const again = entryOf(...readEntry(bytes, NETWORK, cryptoOf('anybody')))
  assert.is(entryDigest(again, sha256), entryDigest(entry, sha256))
  const none = { ...cryptoOf('anybody'), verify: () => false }
  assert.is(readEntry(bytes, NETWORK, none, entry).length, 3, 'known bytes are not verified again')
  const value = 'v'.repeat(512)
  const metadata = Array.from({ length: 16 }, (_, i) => ({ key: `${i}`, value }))
  const large = Array.from({ length: 6 }, (_, i) =>
    voted(record([first], { metadata, root: Uint8Array.of(i) }), 'a')
  )
  const size = writeEntry(entryOf(...large)).records.reduce((sum, one) => sum + one.record.length, 0)
  assert.ok(size > 40_000 && size <= ENTRY_BYTES_MAX)
})

entries.run()
