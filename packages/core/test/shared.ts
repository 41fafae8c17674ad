import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Place, placeOf } from '../src/compare.ts'
import type { SlotSummary } from '../src/fingerprint.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import {
  createHeld,
  createPeer,
  cursorAfter,
  differingParts,
  differingSpans,
  digestsWith,
  isSameGroup,
  isSound,
  markOf,
  partDigests,
  sharedIn,
  summariesIn
} from '../src/shared.ts'
import { holdersOf, peer, sha256 } from './support/data.ts'

const TWO = holdersOf(2)

function held(places: readonly { slot: number; replicas?: number; mark?: number }[]) {
  const all = createHeld()
  for (const { slot, replicas = 3, mark = 1 } of places) {
    const fingerprint = mark.toString(16).padStart(32, '0')
    const value: SlotSummary = { slot, replicas, fingerprint, blocks: 1, bytes: 1 }
    all.mine.set(placeOf(value), value)
    ;(all.byGroup[slot >> 8] as Set<Place>).add(placeOf(value))
  }
  return all
}

const rootOf = (all: ReturnType<typeof held>) =>
  digestsWith(all, TWO, { self: peer(0), peer: createPeer(peer(1)), sha256 })

const shared = suite('shared')

shared('the same holdings have the same hashes, whatever the order in which they came', () => {
  const places = [{ slot: 5 }, { slot: 300 }, { slot: 5, replicas: 2 }, { slot: 65_535 }]
  assert.equal(rootOf(held(places)), rootOf(held([...places].reverse())))
})

shared('another fingerprint, N or slot changes the root and its group alone', () => {
  const { root, digests } = rootOf(held([{ slot: 5 }, { slot: 300 }]))
  for (const other of [{ slot: 5, mark: 2 }, { slot: 5, replicas: 4 }, { slot: 6 }]) {
    const changed = rootOf(held([other, { slot: 300 }]))
    assert.is.not(changed.root, root)
    assert.not.ok(isSameGroup(digests, changed.digests, 0))
    assert.ok(isSameGroup(digests, changed.digests, 1))
  }
})

shared('hashes are worked out again only where a group is out of date', () => {
  const all = held([{ slot: 5 }, { slot: 300 }])
  const known = createPeer(peer(1))
  let hashes = 0
  const counting = (bytes: Uint8Array) => {
    hashes++
    return sha256(bytes)
  }
  const look = () => digestsWith(all, TWO, { self: peer(0), peer: known, sha256: counting }).root
  const before = look()
  hashes = 0
  assert.is(look(), before)
  assert.is(hashes, 0)
  known.outdated.add(1)
  assert.is(look(), before)
  assert.is(hashes, 1, 'the group, and no root while that is as it was')
  hashes = 0
  for (const [place, value] of held([{ slot: 300, mark: 2 }]).mine) all.mine.set(place, value)
  known.outdated.add(1)
  assert.is.not(look(), before)
  assert.is(hashes, 2, 'the group and the root')
})

shared('what a group no longer has is in no hash any more', () => {
  const all = held([{ slot: 5 }, { slot: 300 }])
  const known = createPeer(peer(1))
  const look = () => digestsWith(all, TWO, { self: peer(0), peer: known, sha256 }).root
  look()
  all.byGroup[1]?.clear()
  known.outdated.add(1)
  known.digested = false
  assert.is(look(), rootOf(held([{ slot: 5 }])).root)
})

shared('only what both act for is shared', () => {
  const all = held(Array.from({ length: 256 }, (_, slot) => ({ slot, replicas: 1 })))
  assert.equal(sharedIn(all, TWO, { self: peer(0), peer: peer(1), group: 0 }), [])
})

shared('differences are looked into group after group, from the cursor on and round', () => {
  const mine = new Uint8Array(2_048)
  const theirs = new Uint8Array(2_048).fill(1)
  let cursor = 0
  const seen = new Set<number>()
  let rounds = 0
  for (let done = false; !done; rounds++) {
    const { spans, round } = differingSpans(mine, theirs, cursor)
    assert.ok(spans.length <= DATA_LIMITS.groupsPerRound && isSound(spans))
    for (const { from } of spans) seen.add(from >> 8)
    const next = cursorAfter(spans, cursor)
    done = round || next <= cursor
    cursor = next
  }
  assert.is(seen.size, 256)
  assert.is(rounds, 256 / DATA_LIMITS.groupsPerRound)
})

shared('a group left in the middle is taken up there', () => {
  const mine = new Uint8Array(2_048)
  const theirs = new Uint8Array(2_048)
  theirs[8] = 1
  assert.equal(differingSpans(mine, theirs, 300), { spans: [{ from: 300, to: 511 }], round: true })
  assert.equal(differingSpans(mine, theirs, 600), { spans: [{ from: 256, to: 511 }], round: true })
})

shared('a message is cut at the end of a slot, and says where', () => {
  const places = Array.from({ length: 512 * 17 }, (_, i) => ({
    slot: i % 512,
    replicas: 2 + Math.floor(i / 512)
  }))
  const two = [
    { from: 0, to: 255 },
    { from: 256, to: 511 }
  ]
  const asked = { self: peer(0), peer: peer(1), spans: two }
  const { spans, summaries, all } = summariesIn(held(places), TWO, asked)
  const cut = Math.floor(DATA_LIMITS.marksPerMessage / 17)
  assert.equal(spans, [
    { from: 0, to: 255 },
    { from: 256, to: cut - 1 }
  ])
  assert.equal([summaries.length, all], [17 * cut, false])
  assert.is(cursorAfter(spans, 0), cut)
  const rest = summariesIn(held(places), TWO, { ...asked, spans: [{ from: cut, to: 511 }] })
  assert.equal([rest.summaries.length, rest.all], [17 * (512 - cut), true])
})

shared('spans that no honest member writes are unsound', () => {
  assert.ok(isSound([]))
  assert.ok(isSound([{ from: 0, to: 255 }]))
  assert.not.ok(isSound([{ from: 0, to: 256 }]), 'over two groups')
  assert.not.ok(isSound([{ from: 9, to: 8 }]), 'backwards')
  const [first, next] = [
    { from: 0, to: 15 },
    { from: 32, to: 47 }
  ]
  assert.ok(isSound([first, next]))
  assert.not.ok(isSound([next, first]), 'falling')
  assert.not.ok(isSound([first, { from: 15, to: 20 }]), 'a slot twice')
})

shared('of a group, the parts that differ are found, and neighbours are one span', () => {
  const digests = (places: Parameters<typeof held>[0]) =>
    partDigests(held(places), TWO, { self: peer(0), peer: peer(1), group: 1, sha256 })
  const mine = digests([{ slot: 256 }, { slot: 300 }, { slot: 511 }])
  const theirs = digests([{ slot: 257 }, { slot: 300 }, { slot: 290 }, { slot: 511, mark: 2 }])
  assert.equal(differingParts(1, { mine, theirs }, 0), [
    { from: 256, to: 271 },
    { from: 288, to: 303 },
    { from: 496, to: 511 }
  ])
  assert.equal(differingParts(1, { mine, theirs }, 290)[0], { from: 290, to: 303 })
  const all = differingParts(1, { mine: new Uint8Array(128), theirs: new Uint8Array(128).fill(1) }, 0)
  assert.equal(all, [{ from: 256, to: 511 }])
})

shared('fingerprints that share a mark are told apart in another round', () => {
  const [one, two] = ['ab'.repeat(16), `${'ab'.repeat(15)}cd`]
  const rounds = Array.from({ length: 13 }, (_, round) => markOf(one, round) === markOf(two, round))
  assert.is(rounds.filter((same) => !same).length, 1)
  assert.ok(Number.isInteger(markOf('ff'.repeat(16), 12)) && markOf('ff'.repeat(16), 12) === 2 ** 32 - 1)
})

shared.run()
