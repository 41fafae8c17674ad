import { type Member, type MemberState, type PeerId, pick, seeded, shuffle } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  createTable,
  digestOf,
  draw,
  drawSome,
  enterKnown,
  membersOf,
  PART_BITS,
  partDigests,
  put,
  quieten,
  remove,
  type Table,
  usefulBits
} from '../src/table.ts'

function member(i: number, incarnation = 0, state: MemberState = 'alive'): Member {
  const none = { zone: undefined, name: undefined, http: undefined }
  return {
    id: `peer-${i}` as PeerId,
    incarnation,
    state,
    addresses: [],
    capacity: 1,
    full: false,
    version: '',
    ...none
  }
}

function tableOf(members: Member[]): Table {
  const table = createTable()
  for (const one of members) put(table, one, 0)
  return table
}

const table = suite('table')

table('has one digest for one content, however it came about', () => {
  const random = seeded(1)
  const states: MemberState[] = ['alive', 'suspect', 'leaving', 'dead', 'left']
  for (let run = 0; run < 50; run++) {
    const history = createTable()
    const last = new Map<string, Member>()
    for (let i = 0; i < 200; i++) {
      const one = member(
        pick(random, 40),
        pick(random, 5),
        states[pick(random, states.length)] as MemberState
      )
      if (random() < 0.2) {
        remove(history, one.id)
        last.delete(one.id)
      } else {
        put(history, one, i)
        last.set(one.id, one)
      }
    }
    const fresh = tableOf(shuffle(random, [...last.values()]))
    assert.equal(digestOf(history), digestOf(fresh))
    assert.equal(partDigests(history, PART_BITS), partDigests(fresh, PART_BITS))
    assert.equal([...history.living].sort(), [...fresh.living].sort())
    assert.equal([...history.dead].sort(), [...fresh.dead].sort())
  }
})

table('has another digest for another incarnation or state, but not for a suspicion', () => {
  const seen = new Set<string>()
  const variants = [member(1), member(1, 1), member(1, 2 ** 32), member(1, 2 ** 40), member(2)]
  for (const state of ['leaving', 'dead', 'left'] as const) variants.push(member(1, 0, state))
  for (const one of variants) seen.add(JSON.stringify(digestOf(tableOf([one]))))
  assert.is(seen.size, variants.length)
  assert.equal(digestOf(tableOf([member(1)])), digestOf(tableOf([member(1, 0, 'suspect')])))
})

table('differs in one part of any fineness when one member does', () => {
  const a = tableOf(Array.from({ length: 500 }, (_, i) => member(i)))
  const b = tableOf(Array.from({ length: 500 }, (_, i) => member(i, i === 77 ? 1 : 0)))
  for (let bits = 0; bits <= PART_BITS; bits++) {
    const [x, y] = [partDigests(a, bits), partDigests(b, bits)]
    assert.is(x.length, 2 << bits)
    const differing = x.flatMap((value, i) => (i % 2 === 0 && value !== y[i] ? [i / 2] : []))
    assert.is(differing.length, 1)
    assert.ok([...membersOf(a, differing[0] as number, bits)].some((known) => known.member.id === 'peer-77'))
  }
})

table('leaves the quiet ones out, until there is news of them', () => {
  const one = tableOf([member(1)])
  const two = tableOf([member(1), member(2, 0, 'dead')])
  const gone = two.known.get('peer-2' as PeerId)
  assert.ok(gone)
  quieten(two, gone)
  assert.equal(digestOf(two), digestOf(one))
  put(two, member(2, 1), 0)
  assert.equal(digestOf(two), digestOf(tableOf([member(1), member(2, 1)])))
})

table('what two tables share changes in neither when it changes in the other', () => {
  const [one, two] = [tableOf([member(1), member(2)]), createTable()]
  for (const known of one.known.values()) enterKnown(two, known)
  assert.equal([digestOf(two), [...two.living]], [digestOf(one), [...one.living]])
  const before = digestOf(one)
  put(two, member(2, 0, 'dead'), 1)
  quieten(two, two.known.get('peer-1' as PeerId) as never)
  assert.equal(digestOf(one), before)
  assert.equal([one.living.length, one.dead.length, two.dead.length], [2, 0, 1])
  assert.equal(digestOf(two), digestOf(tableOf([member(2, 0, 'dead')])))
})

table('spreads members evenly over its parts', () => {
  const parts = tableOf(Array.from({ length: 10_240 }, (_, i) => member(i))).parts.map(({ length }) => length)
  const chi = parts.reduce((sum, size) => sum + (size - 40) ** 2 / 40, 0)
  assert.ok(chi < 330, `chi-square ${chi} with 255 degrees of freedom: above 330 once in a thousand`)
  assert.is(usefulBits(tableOf([member(1)])), 0)
  assert.is(usefulBits(tableOf(Array.from({ length: 10_000 }, (_, i) => member(i)))), PART_BITS)
})

table('draws every living member, and only those', () => {
  const random = seeded(2)
  const { living } = tableOf([...Array(20).keys()].map((i) => member(i, 0, i < 5 ? 'dead' : 'alive')))
  const drawn = new Set(Array.from({ length: 1_000 }, () => draw(living, random)))
  assert.is(drawn.size, 15)
  assert.is(new Set(drawSome(living, 10, random, (id) => id !== 'peer-9')).size, 10)
  assert.is(draw(createTable().living, random), undefined)
})

table.run()
