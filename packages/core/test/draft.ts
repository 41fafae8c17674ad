import type { RefRecord } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { chainOf, type Draft, draftRef, headsOf, type RefWant } from '../src/draft.ts'
import { emptyEntry, type KnownRef, mergeEntry } from '../src/ref-entry.ts'
import { ids, NETWORK, OWNER, record, sha256, voted } from './support/refs.ts'

const drafts = suite('drafts of refs')
const facts = { network: NETWORK, replicas: 3, electorate: () => ids('d', 'e', 'f') }
const first = record([])
const second = record([first])
const rival = record([first], { root: Uint8Array.of(9) })

function entryOf(...known: KnownRef[]) {
  const entry = emptyEntry(first.id)
  mergeEntry(entry, known, sha256)
  return entry
}

function drafted(known: KnownRef[], more: Partial<RefWant> = {}): Draft {
  return draftRef(entryOf(...known), { owner: OWNER, name: 'photos', root: Uint8Array.of(5), ...more }, facts)
}

function bodyOf(draft: Draft) {
  if (draft.type !== 'draft') throw new Error(draft.type)
  return draft.body
}

drafts('the first record is voted on by its own electorate', () => {
  const body = bodyOf(drafted([]))
  assert.is(body.sequence, 1)
  assert.equal(body.voters, [body.electorate])
  assert.equal(body.electorate, ids('d', 'e', 'f'))
})

drafts('the next is voted on by the electorate of the one before, and names a new one', () => {
  const body = bodyOf(drafted([voted(first, 'a', 'b')], { lifetimeMs: 5 }))
  assert.is(body.sequence, 2)
  assert.equal(body.voters, [ids('a', 'b', 'c')])
  assert.equal(body.electorate, ids('d', 'e', 'f'))
  assert.equal(body.predecessors, [first.hash])
  assert.equal(body.history, [{ sequence: 1, root: first.root }])
  assert.is(body.lifetimeMs, 5)
})

drafts('what was begun is finished first', () => {
  const draft = drafted([voted(first, 'a', 'b'), voted(second, 'a')])
  assert.is(draft.type === 'finish' && draft.record.hash, second.hash)
})

drafts('rivals are told, and settled only when asked', () => {
  const known = [voted(first, 'a', 'b'), voted(second, 'a'), voted(rival, 'b')]
  const split = drafted(known)
  assert.is(split.type === 'split' && split.rivals.length, 2)
  const body = bodyOf(drafted(known, { settle: true }))
  assert.is(body.sequence, 3)
  assert.equal([...body.predecessors].sort(), [second.hash, rival.hash].sort())
  assert.equal(
    body.history.map(({ sequence }) => sequence),
    [2, 2, 1]
  )
})

drafts('a first record that is alone is finished, for there is nothing to settle it with', () => {
  const other = record([], { root: Uint8Array.of(9) })
  for (const settle of [false, true]) {
    const draft = drafted([voted(first, 'a')], { settle })
    assert.is(draft.type === 'finish' && draft.record.hash, first.hash, `settle ${settle}`)
  }
  const settling = bodyOf(drafted([voted(first, 'a'), voted(other, 'b')], { settle: true }))
  assert.equal([...settling.predecessors].sort(), [first.hash, other.hash].sort())
})

drafts('a settlement that was begun stands for the rivals that it names', () => {
  const settling = record([second, rival])
  const entry = entryOf(voted(first, 'a', 'b'), voted(second, 'a'), voted(rival, 'b'), voted(settling, 'c'))
  assert.equal(
    headsOf(entry).map((one) => one.record.hash),
    [settling.hash]
  )
  assert.is(chainOf(entry, settling).length, 4)
})

drafts('conditions hold or nothing is drafted', () => {
  const known = [voted(first, 'a', 'b')]
  assert.is(drafted(known, { ifSequence: 1 }).type, 'draft')
  assert.is(drafted(known, { ifSequence: 0 }).type, 'moved')
  assert.is(drafted([], { ifSequence: 0 }).type, 'draft')
  assert.is(drafted(known, { ifRoot: first.root as Uint8Array }).type, 'draft')
  assert.is(drafted(known, { ifRoot: Uint8Array.of(8) }).type, 'moved')
  assert.is(drafted([], { root: 'same' }).type, 'absent')
  assert.equal(bodyOf(drafted(known, { root: 'same', replicas: 5 })).root, first.root)
})

drafts('a recovery begins an epoch with voters of its own', () => {
  const body = bodyOf(drafted([voted(first, 'a', 'b'), voted(second, 'a')], { recover: true, root: 'same' }))
  assert.equal([body.epoch, body.since, body.sequence], [1, 2, 2])
  assert.equal(body.voters, [ids('d', 'e', 'f')])
  assert.is(drafted([], { recover: true }).type, 'absent')
})

drafts('the past does not grow without end', () => {
  let last: RefRecord = first
  for (let i = 0; i < 30; i++) {
    const { history } = bodyOf(drafted([voted(last, 'a', 'b', 'c', 'd', 'e', 'f')]))
    last = record([last], { history })
  }
  assert.is(last.history.length, 16)
})

drafts.run()
