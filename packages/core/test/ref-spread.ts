import type { PeerId, RefRecord } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KnownRef } from '../src/ref-entry.ts'
import {
  createSpread,
  onSpreadMessage,
  REF_COMPARE_MS,
  type SpreadAction,
  spreadDeadline,
  spreadTick,
  startListing
} from '../src/ref-spread.ts'
import { createRefTable, holdRef, learn, livingCarriers, type RefTable } from '../src/ref-table.ts'
import { holdersOf, peer } from './support/data.ts'
import { cryptoOf, NETWORK, record, voted } from './support/refs.ts'

const spreading = suite('spreading refs')
const holders = holdersOf(3)

function member(n: number, ...records: RefRecord[]) {
  const table = createRefTable({ self: peer(n), network: NETWORK, crypto: cryptoOf(peer(n)), replicas: 3 })
  for (const one of records) learn(table, holdRef(table, one.id, true), [voted(one, 'a', 'b')])
  return { table, spread: createSpread(0) }
}
type At = ReturnType<typeof member>

function sceneAt(nowMs: number, at = holders, over: readonly RefRecord[] = []) {
  return {
    holders: at,
    nowMs,
    isOver: ({ record: { hash } }: KnownRef) => over.some((one) => one.hash === hash)
  }
}

const named = (name: string) => record([], { name })
const sends = (actions: readonly SpreadAction[]) => actions.filter((one) => one.type === 'send')

/** Lets two talk until neither has anything to say; what is to be taken is taken. */
function talk(one: At, other: At, actions: readonly SpreadAction[]): number {
  let said = 0
  const queue = sends(actions).map((action) => ({ from: one, action }))
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    said++
    const { from, action } = next
    const to = from === one ? other : one
    if (action.to !== to.table.self) continue
    const { message } = action
    if (message.type === 'ref-take')
      take(
        to.table,
        message.entry.records.map(({ record: bytes }) => bytes)
      )
    else {
      const scene = sceneAt(0)
      const answers = onSpreadMessage(to.spread, to.table, scene, from.table.self, message as never)
      queue.push(...sends(answers).map((answer) => ({ from: to, action: answer })))
    }
  }
  return said
}

const known = new Map<string, RefRecord>()
function take(table: RefTable, records: readonly Uint8Array[]): void {
  for (const bytes of records) {
    const one = known.get(bytes.join()) as RefRecord
    learn(table, holdRef(table, one.id, true), [voted(one, 'a', 'b')])
  }
}
function made(...names: string[]): RefRecord[] {
  return names.map((name) => {
    const one = named(name)
    known.set(one.bytes.join(), one)
    return one
  })
}

spreading('two that have the same say it in one message', () => {
  const records = made('p', 'q', 'r')
  const [one, other] = [member(0, ...records), member(1, ...records)]
  const turn = spreadTick(one.spread, one.table, sceneAt(REF_COMPARE_MS))
  assert.is(talk(one, other, turn), 1)
  assert.is(spreadDeadline(one.spread), 2 * REF_COMPARE_MS)
})

spreading('what differs goes both ways', () => {
  const [both, here, there] = made('both', 'here', 'there') as [RefRecord, RefRecord, RefRecord]
  const [one, other] = [member(0, both, here), member(1, both, there)]
  talk(one, other, spreadTick(one.spread, one.table, sceneAt(REF_COMPARE_MS)))
  talk(other, one, spreadTick(other.spread, other.table, sceneAt(REF_COMPARE_MS)))
  assert.equal([...one.table.carried.keys()].sort(), [both, here, there].map(({ id }) => id).sort())
  assert.equal([...other.table.carried.keys()].sort(), [...one.table.carried.keys()].sort())
})

spreading('a long list goes page by page', () => {
  const records = made(...Array.from({ length: 1_100 }, (_, i) => `n${i}`))
  const [one, other] = [member(0, ...records), member(1, ...records)]
  const last = [...records].sort((a, b) => (a.id < b.id ? -1 : 1)).at(-1) as RefRecord
  other.table.carried.delete(last.id)
  other.table.version++
  talk(one, other, spreadTick(one.spread, one.table, sceneAt(REF_COMPARE_MS)))
  assert.ok(other.table.carried.has(last.id))
})

spreading('what belongs elsewhere is dropped once all that should carry it have said so', () => {
  const far = holdersOf(8)
  const [one] = made('astray') as [RefRecord]
  const carriers = livingCarriers(member(99).table, far, one.id)
  const outsider = [...Array(8).keys()].find((n) => !carriers.includes(peer(n))) as number
  const stray = member(outsider, one)
  const turn = spreadTick(stray.spread, stray.table, sceneAt(REF_COMPARE_MS, far))
  const takes = sends(turn).filter(({ message }) => message.type === 'ref-take')
  assert.equal(takes.map(({ to }) => to).sort(), [...carriers].sort())
  const token = (takes[0] as { message: { token: number } }).message.token
  const taken = (from: PeerId) =>
    onSpreadMessage(stray.spread, stray.table, sceneAt(0, far), from, { type: 'ref-taken', token })
  const dropped = carriers.flatMap(taken)
  assert.equal(dropped, [{ type: 'drop-ref', id: one.id }])
  assert.is(stray.table.carried.size, 0)
})

spreading('a vote is not forgotten, wherever the ref belongs', () => {
  const far = holdersOf(8)
  const [one] = made('astray') as [RefRecord]
  const carriers = livingCarriers(member(99).table, far, one.id)
  const stray = member([...Array(8).keys()].find((n) => !carriers.includes(peer(n))) as number, one)
  const held = holdRef(stray.table, one.id, true)
  held.ballot.vote = { epoch: 0, sequence: 1, hash: one.hash }
  const turn = spreadTick(stray.spread, stray.table, sceneAt(REF_COMPARE_MS, far))
  assert.is(sends(turn).filter(({ message }) => message.type === 'ref-take').length, 0)
})

spreading('a listing gathers what all members carry, the highest of each', () => {
  const [first, other] = made('one', 'two') as [RefRecord, RefRecord]
  const second = record([first], { name: 'one' })
  known.set(second.bytes.join(), second)
  const asker = member(0, first)
  const scene = sceneAt(0)
  const asked = startListing(asker.spread, asker.table, scene, { request: 7, owner: undefined })
  assert.is(sends(asked).length, 2)
  const answers = sends(asked).flatMap(({ to, message }) => {
    const there = to === peer(1) ? member(1, second) : member(2, other)
    return sends(onSpreadMessage(there.spread, there.table, scene, peer(0), message as never)).map((one) => ({
      to,
      ...one.message
    }))
  })
  const told = answers.flatMap(({ to, ...message }) =>
    onSpreadMessage(asker.spread, asker.table, scene, to, message as never)
  )
  const [listed] = told
  assert.is(listed?.type === 'refs-listed' && listed.request, 7)
  const records =
    listed?.type === 'refs-listed' ? listed.records.map((bytes) => known.get(bytes.join())?.sequence) : []
  assert.equal(records.sort(), [1, 2])
})

spreading('what is over by the count of each that carries it is not listed', () => {
  const [over, other] = [named('over'), named('other')]
  const list = (countedBy: readonly number[]) => {
    const scene = (n: number) => sceneAt(0, holdersOf(2), countedBy.includes(n) ? [over] : [])
    const [asker, carrier] = [member(0, over), member(1, over, other)]
    const [asked] = startListing(asker.spread, asker.table, scene(0), { request: 1, owner: undefined })
    const ask = asked?.type === 'send' && asked.message
    const [page] = sends(onSpreadMessage(carrier.spread, carrier.table, scene(1), peer(0), ask as never))
    const [listed] = onSpreadMessage(asker.spread, asker.table, scene(0), peer(1), page?.message as never)
    return listed?.type === 'refs-listed' ? listed.records.map((bytes) => bytes.join()).sort() : undefined
  }
  const both = [over.bytes.join(), other.bytes.join()].sort()
  assert.equal(list([]), both)
  assert.equal(list([0]), both, 'one is not enough')
  assert.equal(list([0, 1]), [other.bytes.join()])
})

spreading('a listing ends without the silent, and names them', () => {
  const asker = member(0)
  startListing(asker.spread, asker.table, sceneAt(0), { request: 1, owner: undefined })
  const turn = spreadTick(asker.spread, asker.table, sceneAt(5_000))
  const listed = turn.find((one) => one.type === 'refs-listed')
  assert.equal(listed?.type === 'refs-listed' && listed.silent.sort(), [peer(1), peer(2)])
})

spreading.run()
