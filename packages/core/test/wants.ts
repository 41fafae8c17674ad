import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createWants, dropWant, queueWant, type Want, wakeWants, wantsDeadline } from '../src/wants.ts'
import { keyIn, peer } from './support/data.ts'

function wantOf(i: number, notBeforeMs: number): Want {
  return {
    ...{
      key: keyIn(i),
      read: false,
      repair: true,
      replicas: 3,
      size: 1,
      sources: new Set([peer(1)]),
      sinceMs: 0
    },
    ...{ toldBy: undefined, asked: new Set([peer(1)]), pending: new Map(), tried: [], notBeforeMs },
    ...{
      resting: false,
      deadlineMs: Number.POSITIVE_INFINITY,
      attempts: 0,
      rank: undefined,
      dueMs: undefined
    }
  }
}

const wants = suite('wants')

wants('what waits becomes ready in its time, whatever the order in which it came', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 80 }), fc.array(fc.nat(60)), (times, looks) => {
      const all = createWants()
      const each = times.map((ms, i) => wantOf(i, ms))
      for (const known of each) {
        all.byKey.set(known.key, known)
        queueWant(all, known, -1)
      }
      for (const nowMs of [...looks].sort((a, b) => a - b)) {
        wakeWants(all, nowMs)
        for (const known of each) assert.is(known.rank !== undefined, known.notBeforeMs <= nowMs)
        const left = each.filter(({ notBeforeMs }) => notBeforeMs > nowMs).map((known) => known.notBeforeMs)
        assert.is(wantsDeadline(all), Math.min(Number.POSITIVE_INFINITY, ...left))
      }
    })
  )
})

wants('one brought forward or dropped is not made ready by its former time', () => {
  const all = createWants()
  const [sooner, gone] = [wantOf(1, 100), wantOf(2, 100)]
  for (const known of [sooner, gone]) {
    all.byKey.set(known.key, known)
    queueWant(all, known, 0)
  }
  sooner.notBeforeMs = 50
  queueWant(all, sooner, 0)
  dropWant(all, gone)
  wakeWants(all, 60)
  assert.equal([sooner.rank, all.ready[1]?.size], [1, 1])
  sooner.notBeforeMs = 200
  queueWant(all, sooner, 60)
  wakeWants(all, 100)
  assert.equal([sooner.rank, gone.rank], [undefined, undefined])
  wakeWants(all, 200)
  assert.is(sooner.rank, 1)
})

wants(
  'with one more copy known it stands behind those with fewer; after a rest all may be asked again',
  () => {
    const all = createWants()
    const known = wantOf(1, 0)
    all.byKey.set(known.key, known)
    queueWant(all, known, 0)
    known.sources.add(peer(2))
    queueWant(all, known, 0)
    assert.equal([all.ready[1]?.size, all.ready[2]?.size], [0, 1])
    known.resting = true
    known.notBeforeMs = 10
    queueWant(all, known, 0)
    assert.equal([known.rank, known.asked.size], [undefined, 1])
    wakeWants(all, 10)
    assert.equal([known.rank, known.asked.size, known.resting], [2, 0, false])
  }
)

wants.run()
