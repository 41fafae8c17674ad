import { CairnError, checkRefState } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  carriersOf,
  createRefTable,
  electorateOf,
  holdRef,
  knownRef,
  learn,
  livingCarriers,
  loadRef,
  slotCarriers,
  stateBytes
} from '../src/ref-table.ts'
import { become, holdersOf, peer } from './support/data.ts'
import { cryptoOf, ids, NETWORK, record, voted } from './support/refs.ts'

const tables = suite('the table of refs')
const table = () =>
  createRefTable({ self: peer(0), network: NETWORK, crypto: cryptoOf(peer(0)), replicas: 3 })
const first = record([])

tables('what a disk kept is known again, votes and all', () => {
  const one = table()
  const held = holdRef(one, first.id, true)
  learn(one, held, [voted(first, 'a', 'b')])
  held.ballot.vote = { epoch: 0, sequence: 4, hash: 'a'.repeat(64) }
  held.ballot.floor = 3
  held.ballot.boots.set(peer(1), 9)
  const bytes = stateBytes(held)
  const other = table()
  loadRef(other, bytes)
  const again = other.carried.get(first.id)
  assert.is(again?.entry.best?.record.hash, first.hash)
  assert.equal(again?.ballot, { ...held.ballot, proven: false })
  assert.ok(checkRefState(bytes, NETWORK, cryptoOf('anybody')))
  assert.not(checkRefState(bytes.slice(1), NETWORK, cryptoOf('anybody')))
  assert.not(checkRefState(bytes, '8'.repeat(32), cryptoOf('anybody')))
})

tables('a ref that was only read moves to the disk when it is to be carried', () => {
  const one = table()
  const read = holdRef(one, first.id, false)
  assert.is(one.version, 0)
  assert.is(holdRef(one, first.id, true), read)
  assert.ok(one.carried.has(first.id) && !one.read.has(first.id))
  assert.is(knownRef(one, first.id), read)
  for (let i = 0; i < 2_000; i++) holdRef(one, `${i}`, false)
  assert.is(one.read.size, 1_024)
})

tables('the electorate is the first living members of the slot, fewer only where fewer live', () => {
  const holders = holdersOf(6)
  const all = electorateOf(holders, first.id, 3)
  assert.is(all.length, 3)
  assert.is(electorateOf(holders, first.id, 1).length, 3)
  assert.is(electorateOf(holders, first.id, 5).length, 5)
  become(holders, Number(all[0]?.slice(5)), { state: 'dead' })
  const next = electorateOf(holders, first.id, 3)
  assert.equal(next.slice(0, 2), all.slice(1))
  assert.is(next.length, 3)
  assert.is(electorateOf(holdersOf(2), first.id, 3).length, 2)
})

tables('holders of the slot and voters carry it', () => {
  const one = table()
  const holders = holdersOf(6)
  const slot = slotCarriers(one, holders, first.id)
  assert.is(slot.length, 3)
  learn(one, holdRef(one, first.id, true), [voted(record([], { electorate: ids('x', 'y') }), 'x')])
  assert.equal(new Set(carriersOf(one, holders, first.id)), new Set([...slot, ...ids('x', 'y')]))
  assert.not(livingCarriers(one, holders, first.id).some((id) => id === peer(0) || id === 'x'))
})

tables('there is a limit to what one member carries', () => {
  const one = table()
  for (let i = 0; i < 100_000; i++) holdRef(one, `${i}`, true)
  assert.throws(
    () => holdRef(one, 'more', true),
    (error: unknown) => CairnError.is(error, 'FULL')
  )
})

tables.run()
