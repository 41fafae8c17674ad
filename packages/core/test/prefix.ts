import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { PeerId } from '../src/block.ts'
import { order } from '../src/placement.ts'
import { fillPrefix, joinPrefix, leavePrefix, type Prefix } from '../src/prefix.ts'
import { pick, seeded } from '../src/random.ts'
import { emptyRoster, enter, indexIn, leave, type Roster } from '../src/roster.ts'
import { type PlacedMember, seedOf } from '../src/score.ts'

const SLOT = 77
const ROOM = 6
const prefixes = suite('prefix')

function member(i: number, zones: number): PlacedMember {
  return { id: `peer-${i}` as PeerId, weight: 1 + (i % 4), zone: zones ? `zone-${i % zones}` : undefined }
}

function filled(roster: Roster, seed = seedOf(SLOT)): Prefix {
  const prefix: Prefix = {
    seed,
    list: new Int32Array(ROOM),
    from: 0,
    room: ROOM,
    length: 0,
    complete: false
  }
  fillPrefix(roster, prefix)
  return prefix
}

function idsOf(roster: Roster, { list, length }: Prefix): PeerId[] {
  return [...list.subarray(0, length)].map((index) => (roster.members[index] as PlacedMember).id)
}

for (const zones of [0, 1, 2, 5, 30]) {
  prefixes(`a join keeps a full prefix full and true, ${zones} zones`, () => {
    const roster = emptyRoster()
    const members: PlacedMember[] = []
    const prefix = filled(roster)
    for (let i = 0; i < 60; i++) {
      members.push(member(i, zones))
      prefix.complete = prefix.length === i
      joinPrefix(roster, prefix, enter(roster, member(i, zones)))
      assert.equal(idsOf(roster, prefix), order(SLOT, members).slice(0, ROOM), `after ${i + 1} joins`)
    }
  })

  prefixes(`a departure leaves a true prefix, one shorter unless its zone is cut, ${zones} zones`, () => {
    const random = seeded(zones)
    for (let round = 0; round < 200; round++) {
      const roster = emptyRoster()
      let members = Array.from({ length: 3 + pick(random, 30) }, (_, i) =>
        member(pick(random, 10) * 40 + i, zones)
      )
      for (const each of members) enter(roster, each)
      const prefix = filled(roster)
      const before = prefix.length
      const place = pick(random, before)
      const id = idsOf(roster, prefix)[place] as PeerId
      leavePrefix(roster, prefix, place)
      leave(roster, indexIn(roster, id))
      members = members.filter((each) => each.id !== id)
      assert.equal(idsOf(roster, prefix), order(SLOT, members).slice(0, prefix.length))
      assert.ok(prefix.length < before)
      if (zones === 0 || before === members.length + 1) assert.is(prefix.length, before - 1)
    }
  })

  prefixes(`filling equals sorting, ${zones} zones`, () => {
    const roster = emptyRoster()
    const members = Array.from({ length: 60 }, (_, i) => member(i, zones))
    for (const each of members) enter(roster, each)
    for (let slot = 0; slot < 200; slot++) {
      assert.equal(
        idsOf(roster, filled(roster, seedOf(slot))),
        order(slot, members).slice(0, ROOM),
        `${slot}`
      )
    }
  })
}

prefixes.run()
