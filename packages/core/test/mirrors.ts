import type { RefRecord } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  createMirrors,
  doubtMirrors,
  isLook,
  lookOf,
  MIRROR_LAG_MS,
  MIRRORS_MAX,
  type Mirror,
  type MirrorAction,
  type MirrorEvent,
  type Mirrors,
  mirrorLag,
  mirrorsDeadline,
  mirrorsTick,
  onMirrorEvent,
  onMirrorLooked
} from '../src/mirrors.ts'
import { PHOTOS_ID as id, keptMirror, record } from './support/refs.ts'

const mirrorsSuite = suite('mirrors of a member')
const one = record([])
const two = record([one])
const three = record([two])

interface World {
  mirrors: Mirrors
  best: RefRecord | undefined
  nowMs: number
  /** It is read so much. */
  isWorth: boolean
}

function world(best?: RefRecord, kept = keptMirror()): World {
  const at: World = { mirrors: createMirrors(), best, nowMs: 0, isWorth: false }
  onMirrorEvent(at.mirrors, { type: 'mirror', id, kept }, 0)
  return at
}

const mirrorOf = ({ mirrors }: World): Mirror => mirrors.byId.get(id) as Mirror

function tick(at: World, nowMs = at.nowMs): MirrorAction[] {
  at.nowMs = nowMs
  const scene = { bestOf: () => at.best, isWorth: () => at.isWorth }
  return mirrorsTick(at.mirrors, scene, nowMs).filter(({ type }) => type !== 'mirror-look')
}

function tell(at: World, event: MirrorEvent): MirrorAction[] {
  return [...onMirrorEvent(at.mirrors, event, at.nowMs), ...tick(at)]
}

const fetched = (generation: number): MirrorEvent => {
  return { type: 'mirror-fetched', id, generation, outcome: { type: 'whole', blocks: 4, bytes: 40 } }
}
const lost = (generation: number): MirrorEvent => {
  return { type: 'mirror-fetched', id, generation, outcome: { type: 'lost', reason: 'nobody has it' } }
}
const kept = (generation: number): MirrorEvent => ({ type: 'mirror-kept', id, generation })
const freed = (generation: number): MirrorEvent => ({ type: 'mirror-freed', id, generation })
const types = (actions: readonly MirrorAction[]) => actions.map(({ type }) => type)

/** Has a root whole, and nothing left to free. */
function complete(at: World): void {
  const { generation } = mirrorOf(at)
  assert.equal(types(tell(at, fetched(generation))), ['mirror-keep'])
  assert.equal(types(tell(at, kept(generation))), ['mirror-free'])
  tell(at, freed(generation))
}

mirrorsSuite('what was whole before is freed only once the next is whole, and on disk as such', () => {
  const at = world(one)
  assert.equal(tick(at), [{ type: 'mirror-fetch', id, generation: 1, record: one }])
  assert.is(mirrorOf(at).whole, undefined)
  const [keep] = tell(at, fetched(1))
  assert.ok(keep?.type === 'mirror-keep')
  assert.is(keep.kept.whole?.record.hash, one.hash)
  assert.equal(tell(at, kept(1)), [{ type: 'mirror-free', id, generation: 1 }])
  at.best = two
  assert.equal(tick(at), [], 'not while something is being freed')
  assert.equal(tell(at, freed(1)), [{ type: 'mirror-fetch', id, generation: 2, record: two }])
  assert.is(mirrorOf(at).whole?.record.hash, one.hash)
  assert.equal(tell(at, kept(1)), [], 'what is told of an earlier one counts for nothing')
  assert.equal(tell(at, freed(1)), [])
  complete(at)
  assert.is(mirrorOf(at).whole?.record.hash, two.hash)
  assert.equal([mirrorOf(at).whole?.blocks, mirrorOf(at).whole?.bytes], [4, 40])
})

mirrorsSuite('what was begun is finished, and the newest is next', () => {
  const at = world(one)
  tick(at)
  at.best = two
  assert.equal(tick(at), [])
  at.best = three
  tick(at)
  complete(at)
  assert.is(mirrorOf(at).target?.hash, three.hash)
})

mirrorsSuite('a root that is gone is left for a newer one, and else tried again, later each time', () => {
  const at = world(one)
  tick(at)
  assert.equal(tell(at, lost(1)), [])
  assert.is(mirrorOf(at).phase, 'resting')
  const waits: number[] = []
  for (let generation = 2; generation < 5; generation++) {
    const dueMs = mirrorOf(at).retryAtMs
    waits.push(dueMs - at.nowMs)
    assert.ok(mirrorsDeadline(at.mirrors) <= dueMs)
    assert.equal(types(tick(at, dueMs - 1)), [])
    assert.equal(types(tick(at, dueMs)), ['mirror-fetch'])
    tell(at, lost(generation))
  }
  assert.equal(waits, [1_000, 2_000, 4_000])
  tick(at, mirrorOf(at).retryAtMs)
  at.best = two
  tick(at)
  const [next] = tell(at, lost(mirrorOf(at).generation))
  assert.ok(next?.type === 'mirror-fetch')
  assert.is(next.record.hash, two.hash)
})

mirrorsSuite('a newer record of the same root needs no fetch; a removed ref keeps what was whole', () => {
  const at = world(one)
  tick(at)
  complete(at)
  at.best = record([one], { root: one.root })
  const generation = 2
  assert.equal(types(tick(at)), ['mirror-keep'])
  assert.equal(tell(at, kept(generation)), [])
  assert.is(mirrorOf(at).whole?.record.sequence, 2)
  assert.is(mirrorLag(mirrorOf(at), at.nowMs).updates, 0)
  at.best = record([at.best], { root: undefined })
  assert.equal(tick(at), [])
  assert.is(mirrorOf(at).whole?.record.sequence, 2)
})

mirrorsSuite('what the disk says was whole is gone through at the start, and after a loss', () => {
  const whole = { record: two, blocks: 4, bytes: 40 }
  const at = world(undefined, keptMirror({ lagMs: 1_000, generation: 7, whole }))
  assert.equal(tick(at), [{ type: 'mirror-fetch', id, generation: 8, record: two }])
  complete(at)
  assert.equal(tick(at), [])
  doubtMirrors(at.mirrors)
  assert.equal(types(tick(at)), ['mirror-fetch'])
  doubtMirrors(at.mirrors)
  assert.equal(tell(at, fetched(9)), [], 'lost while it was gone through: not whole')
  assert.equal(types(tick(at, mirrorOf(at).retryAtMs)), ['mirror-fetch'])
  complete(at)
  assert.is(mirrorOf(at).phase, 'following')
})

mirrorsSuite('while it is being promoted nothing is begun, and what is whole stays', () => {
  const at = world(one)
  tick(at)
  complete(at)
  at.best = two
  tick(at)
  const { generation } = mirrorOf(at)
  tell(at, { type: 'mirror-hold', id, held: true })
  assert.equal(tell(at, fetched(generation)), [], 'also if the next has just become whole')
  assert.is(mirrorOf(at).whole?.record.hash, one.hash)
  at.nowMs = mirrorOf(at).retryAtMs
  assert.equal(tick(at), [])
  assert.equal(types(tell(at, { type: 'mirror-hold', id, held: false })), ['mirror-fetch'])
})

mirrorsSuite('a disk that does not take it keeps what was there', () => {
  const at = world(one)
  tick(at)
  tell(at, fetched(1))
  assert.equal(tell(at, { type: 'mirror-kept', id, generation: 1, failed: 'no room' }), [])
  assert.is(mirrorOf(at).phase, 'resting')
  assert.is(mirrorOf(at).reason, 'no room')
  assert.equal(types(tick(at, mirrorOf(at).retryAtMs)), ['mirror-fetch'])
})

mirrorsSuite('the lag is counted in updates, and in time from the first that is not here', () => {
  const at = world(one)
  tick(at)
  assert.equal(mirrorLag(mirrorOf(at), 0), { updates: undefined, ms: 0, heardMs: undefined })
  complete(at)
  assert.equal(mirrorLag(mirrorOf(at), 500), { updates: 0, ms: 0, heardMs: undefined })
  at.best = two
  tick(at, 1_000)
  at.best = three
  tick(at, 3_000)
  assert.equal(mirrorLag(mirrorOf(at), 4_000), { updates: 2, ms: 3_000, heardMs: undefined })
  complete(at) // two, which was begun first
  assert.equal(mirrorLag(mirrorOf(at), 5_000), { updates: 1, ms: 2_000, heardMs: undefined })
})

mirrorsSuite('the ref is looked at some times a lag, and what a majority told is remembered', () => {
  const at = world()
  const looks = () => mirrorsTick(at.mirrors, { bestOf: () => undefined, isWorth: () => false }, at.nowMs)
  assert.equal(looks(), [{ type: 'mirror-look', id }])
  assert.equal(looks(), [], 'one at a time')
  const { request } = lookOf(at.mirrors, id)
  assert.ok(isLook(request))
  onMirrorLooked(at.mirrors, { request, quorum: true }, 100)
  assert.is(mirrorsDeadline(at.mirrors), 100 + MIRROR_LAG_MS / 4)
  assert.is(mirrorLag(mirrorOf(at), 350).heardMs, 250)
  at.nowMs = mirrorsDeadline(at.mirrors)
  assert.equal(looks(), [{ type: 'mirror-look', id }])
  onMirrorLooked(at.mirrors, { request: lookOf(at.mirrors, id).request, quorum: false }, at.nowMs)
  assert.is(mirrorOf(at).heardMs, 100)
})

mirrorsSuite('a mirror with a lease has nothing until its ref is read much, and for a while after', () => {
  const at = world(one, keptMirror({ leaseMs: 10_000 }))
  assert.equal(types(tick(at)), ['mirror-keep'], 'what a life before may have left goes first')
  assert.equal(tell(at, kept(1)), [{ type: 'mirror-free', id, generation: 1, all: true }])
  assert.equal(tell(at, freed(1)), [])
  assert.is(mirrorOf(at).phase, 'waiting')
  assert.equal(tick(at, 50_000), [])
  assert.equal(mirrorLag(mirrorOf(at), 50_000).ms, 0)
  at.isWorth = true
  assert.equal(tick(at), [{ type: 'mirror-fetch', id, generation: 2, record: one }])
  complete(at)
  at.isWorth = false
  assert.is(mirrorsDeadline(at.mirrors), 60_000)
  assert.equal(tick(at, 59_999), [])
  at.isWorth = true
  tick(at)
  at.isWorth = false
  assert.equal(tick(at, 69_998), [], 'renewed')
  const [gone] = tick(at, 69_999)
  assert.is(gone?.type === 'mirror-keep' && gone.kept.whole, undefined, 'known on disk to be gone')
  assert.equal(tell(at, kept(3)), [{ type: 'mirror-free', id, generation: 3, all: true }])
  at.isWorth = true
  assert.equal(tick(at), [], 'not while it goes')
  assert.equal(types(tell(at, freed(3))), ['mirror-fetch'])
})

mirrorsSuite(
  'a lease goes on after a restart with what is whole, and is nothing once the mirror is to stay',
  () => {
    const whole = { record: one, blocks: 4, bytes: 40 }
    const at = world(one, keptMirror({ leaseMs: 10_000, generation: 3, whole }))
    assert.equal(types(tick(at)), ['mirror-fetch'])
    complete(at)
    tell(at, { type: 'mirror', id, kept: keptMirror({ generation: 4, whole }) })
    assert.equal(tick(at, 100_000), [])
    assert.is(mirrorOf(at).phase, 'following')
  }
)

mirrorsSuite('added again it only takes another lag; removed, all of it goes; there are so many', () => {
  const at = world(one)
  tick(at)
  const again = keptMirror({ lagMs: 60_000 })
  onMirrorEvent(at.mirrors, { type: 'mirror', id, kept: again }, 0)
  assert.equal([mirrorOf(at).generation, mirrorOf(at).lagMs], [1, 60_000])
  assert.equal(types(tell(at, { type: 'unmirror', id })), ['mirror-drop'])
  assert.equal(tell(at, { type: 'unmirror', id }), [])
  assert.equal(tell(at, fetched(1)), [], 'a fetch that ends after it')
  for (let n = 0; n <= MIRRORS_MAX; n++) {
    onMirrorEvent(at.mirrors, { type: 'mirror', id: `${n}`, kept: again }, 0)
  }
  assert.is(at.mirrors.byId.size, MIRRORS_MAX)
})

mirrorsSuite.run()
