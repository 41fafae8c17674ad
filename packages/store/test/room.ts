import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CAPACITY_MIN, Room } from '../src/room.ts'
import { inScratch } from './scratch.ts'

const rooms = suite('Room')

async function withRoom(
  capacity: number,
  work: (room: Room, directory: string) => Promise<void>
): Promise<void> {
  await inScratch(async (directory) => {
    const room = new Room(directory, capacity)
    await room.ballast(0)
    await work(room, directory)
  })
}

rooms('a put is refused before the reserve is touched, a delete only at the cap', () =>
  withRoom(CAPACITY_MIN, async (room) => {
    const { free } = room
    assert.ok(free > CAPACITY_MIN / 2, `${free} bytes`)
    assert.is(room.admits(free, false), true)
    assert.is(room.full, false)
    assert.is(room.admits(free + 1, false), false)
    assert.is(room.full, true)
    assert.is(room.admits(free + 1, true), true)
    assert.is(room.admits(CAPACITY_MIN, true), false)
  })
)

rooms('it is full until there is room for the least that was refused', () =>
  withRoom(CAPACITY_MIN, async (room) => {
    room.segments = room.free
    assert.is(room.admits(1000, false), false)
    room.segments -= 999
    assert.is(room.full, true)
    room.segments -= 1
    assert.is(room.full, false)
    assert.is(room.admits(1000, false), true)
  })
)

rooms('what the index is told to have grown by counts until it is measured', () =>
  withRoom(CAPACITY_MIN, async (room) => {
    const before = room.used
    assert.is(room.indexGrew(1000), false)
    assert.is(room.used, before + 1000)
    assert.is(room.indexGrew(1024 * 1024), true)
    room.indexMeasured(5000)
    assert.is(room.used, before + 5000)
  })
)

rooms('the ballast is there until it is released, and comes back', () =>
  withRoom(CAPACITY_MIN, async (room, directory) => {
    const before = room.used
    assert.ok(statSync(join(directory, 'ballast', '7')).size > 0)
    assert.is(await room.release(directory), true)
    assert.is(await room.release(directory), false)
    assert.ok(room.used < before)
    assert.is(room.full, true, 'without it nothing may be put')
    assert.is(room.free, 0)
    assert.is(await room.ballast(500), false, 'not at once again')
    assert.is(await room.ballast(5000), true)
    assert.is(room.used, before)
  })
)

rooms('a ballast that can not be made leaves the store full, not broken', () =>
  inScratch(async (directory) => {
    mkdirSync(join(directory, 'gone'))
    const room = new Room(join(directory, 'gone'), CAPACITY_MIN)
    assert.is(room.full, true)
  })
)

rooms('a capacity too small is refused', () => {
  assert.throws(() => new Room('/', CAPACITY_MIN - 1), /too little/)
  assert.throws(() => new Room('/', Number.NaN), /too little/)
})

rooms.run()
