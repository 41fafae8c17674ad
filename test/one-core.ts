/**
 * The shell and the core are one: what happened to a node in the simulator, given again at the same times
 * to the loop that real nodes run, leads to the same actions at the same times, to the last bit.
 */
import { type CoreAction, type CoreEvent, createCore, seeded } from '@cairn/core'
import { startLoop, type Timing } from '@cairn/node'
import {
  type Cluster,
  createRefWorld,
  factsOf,
  feed,
  freshKeys,
  hash256,
  kill,
  lifeOf,
  peerOf,
  put,
  read,
  refsOf,
  restart,
  runTo,
  seals,
  simulateCluster
} from '@cairn/simulator'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const one = suite('one core')

/** Some of what people do, in the first minute of a network. */
const END_MS = 60_000
const NODES = 5
const WATCHED = 0
const LINK = { delayMsMin: 1, delayMsMax: 1, loss: 0.05, duplication: 0.02 }
const CONFIG = { repairDelayMs: 3_000 }

interface Told<T> {
  atMs: number
  what: T
}

interface Lived {
  events: Told<CoreEvent>[]
  actions: Told<string>[]
}

const text = (action: CoreAction): string =>
  JSON.stringify(action, (_, value) => {
    if (value instanceof Map || value instanceof Set) return [...value]
    return value instanceof Uint8Array ? [...value] : value
  })

/** Writes down what one node of a cluster is told, ticks among it, and what it decides. */
function watch(cluster: Cluster): Lived {
  const lived: Lived = { events: [], actions: [] }
  const node = cluster.nodes[WATCHED]
  if (node === undefined) throw new RangeError('no such node')
  const { step, deadline } = node.core
  node.core = {
    deadline,
    step(event, atMs) {
      lived.events.push({ atMs, what: event as CoreEvent })
      const actions = step(event, atMs)
      for (const action of actions) lived.actions.push({ atMs, what: text(action as CoreAction) })
      return actions
    }
  }
  return lived
}

function live(seed: number): Lived {
  const cluster = simulateCluster({ seed, nodes: NODES, link: LINK, config: CONFIG })
  const lived = watch(cluster)
  for (const node of [1, 2, 3, 4]) feed(cluster, node, { type: 'join', addresses: [peerOf(0)] })
  runTo(cluster, 5_000)
  const keys = freshKeys(cluster, 40)
  put(cluster, WATCHED, keys)
  runTo(cluster, 10_000)
  kill(cluster, 3)
  put(cluster, WATCHED, freshKeys(cluster, 20), { ack: 'quorum' })
  runTo(cluster, 30_000)
  for (const key of keys) read(cluster, WATCHED, key)
  restart(cluster, 3)
  feed(cluster, 3, { type: 'join', addresses: [peerOf(1)] })
  feed(cluster, WATCHED, { type: 'survey', request: 1 })
  runTo(cluster, 45_000)
  feed(cluster, WATCHED, { type: 'leave' })
  runTo(cluster, END_MS)
  return lived
}

/** The same events through the shell's loop. Its own timer, not the script, must bring each tick. */
function liveAgain(seed: number, events: readonly Told<CoreEvent>[]): Told<string>[] {
  const clock = { nowMs: 0 }
  let timer: { atMs: number; run: () => void } | undefined
  const timing: Timing = {
    nowMs: () => clock.nowMs,
    after(ms, run) {
      timer = { atMs: clock.nowMs + ms, run }
      return () => {
        timer = undefined
      }
    },
    soon() {
      throw new Error('time stands still within an event: nothing is put off')
    }
  }
  const id = peerOf(WATCHED)
  const facts = { ...factsOf(WATCHED), capacity: 2 ** 40, zone: undefined }
  const crypto = { sha256: hash256, ...seals(id) }
  const random = seeded((seed * 1_000_003 + WATCHED * 8_191) | 0)
  const refs = refsOf(createRefWorld(NODES), WATCHED)
  const about = { id, facts, incarnation: 0, life: lifeOf(0), config: CONFIG, random, crypto, refs }
  const core = createCore(about, 0)
  const actions: Told<string>[] = []
  const loop = startLoop(core, {
    timing,
    perform: (action) => void actions.push({ atMs: clock.nowMs, what: text(action) }),
    failed(error) {
      throw error
    }
  })
  let lastMs = -1
  for (const { atMs, what } of events) {
    assert.ok(
      timer !== undefined && timer.atMs >= atMs,
      `a tick at ${timer?.atMs} that the simulator had not`
    )
    clock.nowMs = atMs
    if (what.type === 'tick') {
      // The shell sets its timer anew after each event, a millisecond away at least: one that was due in the
      // very millisecond of an event comes in the next, and the simulator has it at once.
      const isDelayed = timer.atMs === atMs + 1 && lastMs === atMs
      if (!isDelayed) assert.is(timer.atMs, atMs, 'the tick is due when the simulator had it')
      timer.run()
    } else loop.dispatch(what)
    lastMs = atMs
  }
  loop.stop()
  return actions
}

for (const seed of [1, 2, 3]) {
  one(`the same script gives the same actions in both, seed ${seed}`, () => {
    const { events, actions } = live(seed)
    const again = liveAgain(seed, events)
    const kinds = new Set(actions.map(({ what }) => (JSON.parse(what) as CoreAction).type))
    for (const kind of ['send', 'member', 'send-blocks', 'put-settled', 'surveyed', 'look-up'] as const) {
      assert.ok(kinds.has(kind), `the script leads to ${kind}`)
    }
    assert.ok(events.filter(({ what }) => what.type === 'tick').length > 100)
    const first = actions.findIndex((action, i) => JSON.stringify(action) !== JSON.stringify(again[i]))
    assert.is(first, -1, `action ${first}: ${JSON.stringify([actions[first], again[first]]).slice(0, 500)}`)
    assert.is(again.length, actions.length)
  })
}

one.run()
