import { createCore, type PeerId, seeded } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startLoop, type Timing } from '../src/runtime.ts'

const runtime = suite('startLoop')

function loneCore() {
  const facts = { addresses: [], capacity: 1, zone: undefined, name: undefined, full: false, http: undefined }
  const crypto = { sha256: (bytes: Uint8Array) => bytes, sign: () => new Uint8Array(64), verify: () => true }
  const options = {
    facts: { ...facts, version: '0' },
    incarnation: 1,
    life: '00'.repeat(8),
    config: {},
    random: seeded(1),
    crypto
  }
  return createCore({ id: 'node-0' as PeerId, ...options }, 0)
}

/** A clock that only the test moves; each look at it may cost time. */
function testTiming(costMs = 0) {
  const soon: (() => void)[] = []
  const timers = new Set<{ atMs: number; run: () => void }>()
  const clock = { nowMs: 0 }
  const timing: Timing = {
    nowMs() {
      clock.nowMs += costMs
      return clock.nowMs
    },
    after(ms, run) {
      const timer = { atMs: clock.nowMs + ms, run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    soon: (run) => void soon.push(run)
  }
  return { timing, clock, soon, timers }
}

const fails = (error: unknown): never => {
  throw error
}

runtime('a long queue is worked off in slices, in order, and each lets others have the thread', () => {
  const { timing, soon } = testTiming(1)
  const done: number[] = []
  const loop = startLoop(loneCore(), {
    timing,
    failed: fails,
    perform(action) {
      if (action.type !== 'surveyed') return
      done.push(action.request)
      if (action.request > 1) return
      for (let request = 2; request <= 100; request++) loop.dispatch({ type: 'survey', request })
    }
  })
  loop.dispatch({ type: 'survey', request: 1 })
  assert.ok(done.length < 10, `${done.length} at one go`)
  loop.dispatch({ type: 'survey', request: 101 })
  let slices = 0
  for (let run = soon.shift(); run !== undefined; run = soon.shift()) {
    run()
    slices++
  }
  assert.equal(
    done,
    Array.from({ length: 101 }, (_, i) => i + 1)
  )
  assert.ok(slices > 10, `${slices} slices`)
  assert.is(loop.waiting(), 0)
  loop.stop()
})

runtime('what `perform` dispatches waits its turn', () => {
  const order: string[] = []
  const { timing } = testTiming()
  const loop = startLoop(loneCore(), {
    timing,
    failed: fails,
    perform(action) {
      if (action.type !== 'surveyed') return
      order.push(`begin ${action.request}`)
      if (action.request === 1) {
        loop.dispatch({ type: 'survey', request: 2 })
        loop.dispatch({ type: 'survey', request: 3 })
      }
      order.push(`end ${action.request}`)
    }
  })
  loop.dispatch({ type: 'survey', request: 1 })
  assert.equal(order, ['begin 1', 'end 1', 'begin 2', 'end 2', 'begin 3', 'end 3'])
  loop.stop()
})

runtime('an exception ends the loop, once and loudly: nothing is done after it', () => {
  const { timing, timers } = testTiming()
  const errors: unknown[] = []
  let performed = 0
  const loop = startLoop(loneCore(), {
    timing,
    perform() {
      performed++
      throw new Error('a bug')
    },
    failed: (error) => errors.push(error)
  })
  loop.dispatch({ type: 'survey', request: 1 })
  loop.dispatch({ type: 'survey', request: 2 })
  assert.equal(errors.map(String), ['Error: a bug'])
  assert.is(performed, 1)
  assert.is(timers.size, 0)
})

runtime('there is one timer, for the next deadline, and none after a stop', () => {
  const { timing, timers, clock } = testTiming()
  const loop = startLoop(loneCore(), { perform: () => undefined, failed: fails, timing })
  for (let i = 0; i < 50; i++) {
    assert.is(timers.size, 1)
    const [timer] = timers as unknown as [{ atMs: number; run: () => void }]
    timers.clear()
    assert.ok(timer.atMs > clock.nowMs)
    clock.nowMs = timer.atMs
    timer.run()
  }
  loop.stop()
  assert.is(timers.size, 0)
  loop.dispatch({ type: 'tick' })
  assert.is(timers.size, 0)
})

runtime.run()
