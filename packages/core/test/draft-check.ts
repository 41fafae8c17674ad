import { type PeerId, type RefBody, type RefRecord, refId, refSlot, signRef } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { draftRef, type RefWant } from '../src/draft.ts'
import { doubtOf, isPlaced } from '../src/draft-check.ts'
import { holders } from '../src/placement.ts'
import { emptyEntry, type KnownRef, mergeEntry } from '../src/ref-entry.ts'
import { cryptoOf, ids, NETWORK, OWNER, record, sha256, voted } from './support/refs.ts'

const checks = suite('drafts that others made')
const want: RefWant = { owner: OWNER, name: 'photos', root: Uint8Array.of(9) }
const liars = ids('x', 'y', 'z')

/** An honest draft after these. */
function drafted(chain: readonly KnownRef[], more: Partial<RefWant> = {}): RefBody {
  const entry = emptyEntry(refId(want, sha256))
  mergeEntry(entry, chain, sha256)
  const facts = { network: NETWORK, replicas: 3, electorate: () => ids('a', 'b', 'c') }
  const draft = draftRef(entry, { ...want, ...more }, facts)
  if (draft.type !== 'draft') throw new Error(draft.type)
  return draft.body
}

const doubt = (body: RefBody, chain: readonly KnownRef[], more: Partial<RefWant> = {}) =>
  doubtOf(body, { want: { ...want, ...more }, chain, network: NETWORK, sha256 })
const known = (one: RefRecord) => voted(one, ...one.electorate)

checks('an honest draft is signed: a first one, a next, a settlement, a recovery', () => {
  assert.is(doubt(drafted([]), []), undefined)
  const first = known(record([]))
  assert.is(doubt(drafted([first]), [first]), undefined)
  assert.is(doubt(drafted([first], { keep: 5 }), [first], { keep: 5 }), undefined)
  assert.is(doubt(drafted([first], { root: 'same' }), [first], { root: 'same' }), undefined)
  const rivals = [first, voted(record([first.record])), voted(record([first.record], { keep: 2 }))]
  assert.is(doubt(drafted(rivals, { settle: true }), rivals, { settle: true }), undefined)
  assert.is(doubt(drafted([first], { recover: true }), [first], { recover: true }), undefined)
})

checks(
  'no voters of the liar’s own, no past that nobody acknowledged, nothing that was not asked for',
  () => {
    const first = known(record([]))
    const honest = drafted([first])
    const lie = (more: Partial<RefBody>, chain = [first]) => doubt({ ...honest, ...more }, chain)
    assert.is(lie({ voters: [liars] }), 'voters that nothing names')
    assert.is(lie({ sequence: 9 }), 'voters that nothing names')
    assert.is(lie({}, []), 'voters that nothing names')
    assert.is(lie({}, [voted(first.record, 'a')]), 'voters that nothing names')
    const fake = signRef({ ...first.record, electorate: liars, voters: [liars] }, cryptoOf('liar'))
    const after = drafted([voted(fake, ...liars)])
    assert.is(doubt(after, [first]), 'voters that nothing names')
    assert.is(
      lie({ epoch: 1, since: 2, voters: [liars], electorate: liars }),
      'a recovery that was not asked for'
    )
    assert.is(lie({ predecessors: [] }), 'it follows nothing')
    assert.is(lie({ root: Uint8Array.of(1) }), 'another root')
    assert.is(lie({ replicas: 1 }), 'another replicas')
    assert.is(lie({ name: 'other' }), 'another ref')
    assert.is(lie({ lifetimeMs: 1 }), 'another lifetimeMs')
    assert.is(lie({ keep: 0 }), 'another keep')
    assert.is(lie({ since: 2 }), 'voters that nothing names')
    assert.is(lie({ history: [{ sequence: 1, root: Uint8Array.of(7) }] }), 'another history')
    assert.is(lie({ history: [] }), 'another history')
    assert.is(lie({ metadata: [{ key: 'alone', value: 'x' }] }), 'another metadata')
    assert.is(doubt(honest, [first], { metadata: [{ key: 'a', value: 'b' }] }), 'another metadata')
    assert.is(doubt({ ...drafted([]), lifetimeMs: 1 }, []), 'another lifetimeMs')
    assert.is(
      doubt(honest, [first], { ifSequence: 7 }),
      'a next record where it should tell: moved',
      'the condition does not hold'
    )
    const recovered = drafted([first], { recover: true })
    assert.is(
      doubt({ ...recovered, keep: 9 }, [first], { recover: true }),
      'another keep',
      'no more of a recovery than was asked for'
    )
  }
)

checks('an electorate is of the first members of its slot, give or take those that came or went', () => {
  const members = Array.from({ length: 40 }, (_, i) => ({
    id: `peer-${i}` as PeerId,
    weight: 1,
    zone: undefined
  }))
  const slot = refSlot(refId(want, sha256))
  const all = holders(slot, members, 40)
  const placed = (electorate: PeerId[]) => isPlaced({ ...drafted([]), electorate }, members, sha256)
  assert.ok(placed(all.slice(0, 3)))
  assert.ok(placed([...all.slice(1, 3), liars[0] as PeerId]), 'a member that is new to us')
  assert.not(placed(liars))
  assert.not(placed([all[0] as PeerId, ...liars.slice(1)]))
  assert.not(placed(all.slice(30, 33)))
  assert.not(placed(all.slice(0, 1)), 'fewer than there could be')
})

checks.run()
