import { seeded } from '@cairn/core'
import {
  allSee,
  gather,
  heal,
  kill,
  LOSSY,
  partition,
  restart,
  runTo,
  simulateMembers,
  stall
} from '@cairn/simulator'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createQueue, dequeue, enqueue, nextMs } from '../src/queue.ts'

function eventful(seed: number) {
  const sim = simulateMembers({ seed, nodes: 6, link: LOSSY })
  gather(sim)
  kill(sim, 1)
  runTo(sim, sim.nowMs + 5_000)
  partition(sim.network, [[2, 3]])
  stall(sim, 4, 3_000)
  runTo(sim, sim.nowMs + 20_000)
  heal(sim.network)
  restart(sim, 1)
  runTo(sim, sim.nowMs + 20_000)
  return sim
}

const run = suite('run')

run('the same seed gives the same run, another seed another', () => {
  const [first, second, other] = [eventful(7), eventful(7), eventful(8)]
  assert.is(first.hash, second.hash)
  assert.equal(first.verdicts, second.verdicts)
  assert.is(first.bytes, second.bytes)
  assert.is.not(first.hash, other.hash)
})

run('what is due first comes first, and at one time in the order it was put', () => {
  const random = seeded(3)
  const queue = createQueue<{ atMs: number; order: number }>()
  const all = Array.from({ length: 2_000 }, (_, order) => ({ atMs: Math.floor(random() * 50), order }))
  const got: typeof all = []
  for (const item of all.slice(0, 1_000)) enqueue(queue, item.atMs, item)
  for (let i = 0; i < 500; i++) got.push(dequeue(queue) as (typeof all)[number])
  assert.equal(
    got,
    all
      .slice(0, 1_000)
      .sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      .slice(0, 500)
  )
  const rest = [...all.slice(0, 1_000).filter((item) => !got.includes(item)), ...all.slice(1_000)]
  for (const item of all.slice(1_000)) enqueue(queue, item.atMs, item)
  const drained = Array.from(rest, () => dequeue(queue))
  assert.equal(
    drained,
    rest.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
  )
  assert.is(dequeue(queue), undefined)
  assert.is(nextMs(queue), Number.POSITIVE_INFINITY)
})

run('a node that is down hears nothing and says nothing', () => {
  const sim = simulateMembers({ seed: 1, nodes: 3, link: LOSSY })
  gather(sim)
  kill(sim, 2)
  const before = sim.states[2]?.table.known.size
  runTo(sim, sim.nowMs + 20_000)
  assert.is(sim.states[2]?.table.known.size, before)
  assert.ok(allSee(sim, 2, 'dead'))
})

run.run()
