import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Place, placeOf } from '../src/compare.ts'
import type { SlotSummary } from '../src/fingerprint.ts'
import { DATA_LIMITS } from '../src/limits.ts'
import {
  createHeld,
  createPeer,
  cursorAfter,
  differingSpans,
  digestsWith,
  isSameGroup,
  isSound,
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
  look()
  assert.is(hashes, 2, 'the group and the root')
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
  const places = Array.from({ length: 256 * 11 }, (_, i) => ({
    slot: i % 256,
    replicas: 2 + Math.floor(i / 256)
  }))
  const asked = { self: peer(0), peer: peer(1), spans: [{ from: 0, to: 255 }] }
  const { spans, summaries } = summariesIn(held(places), TWO, asked)
  const cut = Math.floor(DATA_LIMITS.slotsPerMessage / 11)
  assert.equal(spans, [{ from: 0, to: cut - 1 }])
  assert.is(summaries.length, 11 * cut)
  assert.is(cursorAfter(spans, 0), cut)
  const rest = summariesIn(held(places), TWO, { ...asked, spans: [{ from: cut, to: 255 }] })
  assert.is(rest.summaries.length, 11 * (256 - cut))
})

shared('spans that no honest member writes are unsound', () => {
  assert.ok(isSound([]))
  assert.ok(isSound([{ from: 0, to: 255 }]))
  assert.not.ok(isSound([{ from: 0, to: 256 }]), 'over two groups')
  assert.not.ok(isSound([{ from: 9, to: 8 }]), 'backwards')
  assert.not.ok(
    isSound([
      { from: 0, to: 1 },
      { from: 2, to: 3 }
    ]),
    'a group twice'
  )
})

shared.run()
