import { type PeerId, signRef } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { judge, newBallot } from '../src/ballot.ts'
import { draftRef } from '../src/draft.ts'
import { LINEAGE_PREFIX, metadataAfter, promotedBody, standsAlone } from '../src/promotion.ts'
import { METADATA_MAX, readRef } from '../src/ref.ts'
import { emptyEntry, mergeEntry } from '../src/ref-entry.ts'
import { cryptoOf, ids, NETWORK, record, sha256, voted } from './support/refs.ts'

const promotion = suite('promotion')
const SELF = 'mirror' as PeerId
const from = record([record([])], { metadata: [{ key: 'size', value: '1' }] })
const lineage = [{ key: `${LINEAGE_PREFIX}name`, value: 'photos' }]
const body = promotedBody({ owner: SELF, name: 'photos', self: SELF, from, lineage })
const promoted = signRef(body, cryptoOf(SELF))
const facts = { network: NETWORK, replicas: 3, electorate: () => ids('d', 'e', 'f') }

function next(more: object = {}) {
  const entry = emptyEntry(promoted.id)
  mergeEntry(entry, [voted(promoted, SELF)], sha256)
  const want = { owner: SELF, name: 'photos', root: Uint8Array.of(5), ...more }
  const draft = draftRef(entry, want, facts)
  if (draft.type !== 'draft') throw new Error(draft.type)
  return draft.body
}

promotion('a promoted ref is a first record of another owner, which its own node alone acknowledges', () => {
  assert.equal([body.root, body.sequence, body.replicas], [from.root, 1, from.replicas])
  assert.is.not(promoted.id, from.id)
  const read = readRef(promoted.bytes, NETWORK, cryptoOf('any'))
  const proposal = { record: read, chain: [] }
  const ballot = { ...newBallot(), proven: true }
  assert.equal(judge(ballot, emptyEntry(read.id), proposal, SELF), { type: 'vote' })
  assert.equal(judge(ballot, emptyEntry(read.id), proposal, 'a' as PeerId).type, 'refuse')
})

promotion('it stands alone until it is shared, and is never without its lineage', () => {
  assert.is(standsAlone(next()), SELF)
  assert.equal(next().electorate, [SELF])
  const retold = next({ metadata: [{ key: 'size', value: '2' }] })
  assert.equal(retold.electorate, [SELF])
  assert.equal(
    retold.metadata.map(({ key }) => key),
    ['size', 'promoted.name', 'alone']
  )
  for (const how of [{ share: true }, { recover: true }]) {
    const shared = next(how)
    assert.is(standsAlone(shared), undefined)
    assert.equal(shared.electorate, ids('d', 'e', 'f'))
    assert.ok(shared.metadata.some(({ key }) => key === 'promoted.name'))
  }
})

promotion('nobody becomes alone by metadata, and what is told of the origin has its place', () => {
  const claimed = metadataAfter([], { metadata: [{ key: 'alone', value: 'x' }, ...lineage] })
  assert.equal(claimed, [])
  const many = Array.from({ length: METADATA_MAX }, (_, i) => ({ key: `k${i}`, value: '' }))
  assert.is(metadataAfter(body.metadata, { metadata: many }).length, METADATA_MAX)
  assert.ok(metadataAfter(body.metadata, { metadata: many }).some(({ key }) => key === 'alone'))
})

promotion.run()
