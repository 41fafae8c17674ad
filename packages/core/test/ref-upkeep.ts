import { type PeerId, type RefRecord, refSlot } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { actingHolders } from '../src/holders.ts'
import { createRefTable, holdRef, learn, type RefTable } from '../src/ref-table.ts'
import {
  createUpkeep,
  onTidied,
  onUpkeepMessage,
  setClock,
  type Upkeep,
  type UpkeepAction,
  upkeepDeadline,
  upkeepTick
} from '../src/ref-upkeep.ts'
import { become, holdersOf, peer } from './support/data.ts'
import { cryptoOf, NETWORK, record, voted } from './support/refs.ts'

const suiteOfUpkeep = suite('the upkeep of refs')
const past = [{ sequence: 1, root: Uint8Array.of(7) }]
const HOUR = 3_600_000

interface Member {
  id: PeerId
  state: Upkeep
  table: RefTable
}

/** Five members; those that carry the record, the first holder first. */
function carriers(one: RefRecord, shared = true) {
  const holders = holdersOf(5)
  const all = actingHolders(holders, refSlot(one.id), 3).map((id): Member => {
    const table = createRefTable({ self: id, network: NETWORK, crypto: cryptoOf(id), replicas: 3 })
    learn(table, holdRef(table, one.id, true), [voted(one, ...one.electorate)])
    return { id, table, state: createUpkeep(shared, 0) }
  })
  return { holders, all: all as [Member, Member, Member] }
}

type World = ReturnType<typeof carriers>

function tick({ holders }: World, { state, table }: Member, nowMs: number): UpkeepAction[] {
  assert.ok(upkeepDeadline(state) <= nowMs)
  return upkeepTick(state, table, { holders, nowMs })
}

const told = (actions: UpkeepAction[]) =>
  actions.map((one) => (one.type === 'tidy-ref' ? `tidy${one.expired ? ' all' : ''}` : one.message.type))

suiteOfUpkeep('the first living holder sees to a record once, and again only if it failed', () => {
  const one = record([], { history: past, keep: 0 })
  const world = carriers(one)
  const [first, second] = world.all
  assert.equal(told(tick(world, second, 2_000)), [])
  assert.equal(told(tick(world, first, 2_000)), ['tidy'])
  assert.equal(told(tick(world, first, 4_000)), [], 'under way')
  const done = { id: one.id, hash: one.hash, expired: false }
  onTidied(first.state, { ...done, failed: true }, 4_000)
  assert.equal(told(tick(world, first, 6_000)), [])
  assert.equal(told(tick(world, first, 66_000)), ['tidy'])
  onTidied(first.state, { ...done, failed: false }, 66_000)
  assert.equal(told(tick(world, first, 200_000)), [])
  become(world.holders, Number(first.id.slice(5)), { state: 'dead' })
  assert.equal(told(tick(world, second, 200_000)), ['tidy'], 'the next looks again')
})

suiteOfUpkeep('with keys of their own, each owner sees to its own', () => {
  const one = record([], { history: past, keep: 0 })
  const world = carriers(one, false)
  for (const member of world.all) assert.equal(told(tick(world, member, 2_000)), [])
  const mine = record([], { history: past, keep: 0, owner: world.all[1].id })
  learn(world.all[1].table, holdRef(world.all[1].table, mine.id, true), [voted(mine, ...mine.electorate)])
  assert.equal(told(tick(world, world.all[1], 4_000)), ['tidy'])
})

suiteOfUpkeep('a record that keeps all of its past needs nothing', () => {
  const world = carriers(record([], { history: past, keep: 1 }))
  for (const member of world.all) assert.equal(told(tick(world, member, 2_000)), [])
})

/** All have come to know it, and the first has seen to what was before. */
function lapsing(): World & { one: RefRecord } {
  const one = record([], { lifetimeMs: HOUR, history: past, keep: 0 })
  const world = carriers(one)
  for (const member of world.all) tick(world, member, 2_000)
  onTidied(world.all[0].state, { id: one.id, hash: one.hash, expired: false, failed: false }, 3_000)
  return { ...world, one }
}

const ask = { token: 1, type: 'ref-over' as const }

suiteOfUpkeep('a lifetime is over once a majority of the holders counts so', () => {
  const world = lapsing()
  const { one, holders, all } = world
  const [first, second, third] = all
  assert.equal(told(tick(world, first, HOUR)), [], 'a little is left')
  assert.equal(told(tick(world, first, 2_000 + HOUR)), ['ref-over', 'ref-over'])
  const scene = (nowMs: number) => ({ holders, nowMs })
  const asked = { ...ask, id: one.id, hash: one.hash }
  const answer = (member: Member, nowMs: number) =>
    told(onUpkeepMessage(member.state, member.table, scene(nowMs), first.id, asked))
  assert.equal(answer(second, HOUR), [], 'who counts less says nothing')
  assert.equal(answer(second, 2_000 + HOUR), ['ref-over-too'])
  const agree = (from: PeerId) =>
    told(onUpkeepMessage(first.state, first.table, scene(HOUR), from, { type: 'ref-over-too', token: 1 }))
  assert.equal(agree(peer(9)), [], 'it was not asked')
  assert.equal(agree(third.id), ['tidy all'])
  assert.equal(agree(second.id), [])
})

suiteOfUpkeep('who knows of a later record does not agree, and a clock that jumped is one voice', () => {
  const world = lapsing()
  const { one, all, holders } = world
  const [first, second] = all
  setClock(first.state, 10 * HOUR, 3_000)
  const own = voted(one, first.id)
  learn(first.table, holdRef(first.table, one.id, true), [own])
  assert.equal(told(tick(world, first, 4_000)), ['ref-over', 'ref-over'])
  const asked = { ...ask, id: one.id, hash: one.hash }
  const scene = { holders, nowMs: 10 * HOUR }
  const young = { holders, nowMs: 4_000 }
  assert.equal(onUpkeepMessage(second.state, second.table, young, first.id, asked), [])
  const next = record([one], { lifetimeMs: HOUR })
  learn(second.table, holdRef(second.table, one.id, true), [voted(next, ...next.electorate)])
  assert.equal(onUpkeepMessage(second.state, second.table, scene, first.id, asked), [])
})

suiteOfUpkeep.run()
