/** What each step of a scenario does to the network, and to the account of it. */
import { type BlockKey, leftToHandOver, shuffle } from '@cairn/core'
import { diskOf, endPut, freshKeys, put, quarantine, read } from './cluster.ts'
import { copyOf, rot, SYNC_MS } from './disk.ts'
import { bridge, cut, FAST, heal, LAN, partition } from './network.ts'
import { feed, kill, setClock, stall, thaw } from './run.ts'
import type { Act } from './scenario.ts'
import {
  activeNodes,
  after,
  crash,
  cutPowerOf,
  endedKeys,
  exchangeDisk,
  heldKeys,
  isActive,
  isHeld,
  isUp,
  join,
  note,
  start,
  type World
} from './world.ts'

/** A scrubber finds damage within this. */
const SCRUB_MS = 240_000
/** One that leaves looks this often whether all is handed over, so many times. */
const LEAVE_LOOK_MS = 250
const LEAVE_LOOKS = 160

export function act(world: World, step: Act): void {
  const { cluster } = world
  if (!('node' in step)) actOnAll(world, step)
  else if (isActive(world, step.node)) actOnActive(world, step)
  else if (step.type === 'start' && !cluster.nodes[step.node]?.up) {
    note(world, `start ${step.node}`)
    start(world, step.node)
  } else if (step.type === 'join' && world.outside.delete(step.node)) {
    note(world, `join ${step.node}`)
    join(world, step.node)
  }
}

function actOnAll(world: World, step: Exclude<Act, { node: number }>): void {
  const { cluster } = world
  note(world, JSON.stringify(step))
  switch (step.type) {
    case 'restart-all': {
      const nodes = activeNodes(world)
      for (const node of nodes) cutPowerOf(world, node)
      for (const node of nodes) after(world, step.downMs + 37 * node, () => startIfDown(world, node))
      return
    }
    case 'cut':
      cut(cluster.network, step.from, step.to)
      return
    case 'partition':
      if (step.over === undefined) partition(cluster.network, [step.side])
      else bridge(cluster.network, step.over, step.side)
      return
    case 'weather':
      cluster.network.link = step.link
      return
    case 'heal':
      heal(cluster.network)
      cluster.network.link = world.scenario.link
      return
    case 'calm':
      endFaults(world)
      return
  }
}

function startIfDown(world: World, node: number): void {
  if (!isUp(world, node)) start(world, node)
}

function actOnActive(world: World, step: Act & { node: number }): void {
  const { cluster } = world
  const { node } = step
  // What is frozen can't be asked for anything; it can be killed, cut off, or lose its disk.
  const asks =
    step.type === 'put' ||
    step.type === 'put-again' ||
    step.type === 'read' ||
    step.type === 'end' ||
    step.type === 'leave' ||
    step.type === 'stall'
  if (asks && isHeld(world, node)) return
  if (!['put', 'put-again', 'read', 'end'].includes(step.type)) note(world, JSON.stringify(step))
  switch (step.type) {
    case 'put': {
      const keys = freshKeys(cluster, step.count)
      world.puts.push({ keys, record: put(cluster, node, keys, step) })
      return
    }
    case 'put-again': {
      const again = world.puts[step.put % Math.max(1, world.puts.length)]
      if (again === undefined) return
      const options = { ...step, size: again.record.size }
      world.puts.push({ keys: again.keys, record: put(cluster, node, again.keys, options) })
      return
    }
    case 'read':
      readSome(world, node, step.put)
      return
    case 'end':
      end(world, node, step.put)
      return
    case 'leave':
      leave(world, node)
      return
    case 'stall':
      stall(cluster, node, step.forMs)
      return
    case 'slow-link':
      cluster.network.rates[node] = step.rate
      after(world, step.forMs, () => {
        cluster.network.rates[node] = FAST
      })
      return
    case 'clock':
      setClock(cluster, node, step)
      return
    default:
      actOnProcess(world, step)
  }
}

function actOnProcess(world: World, step: Act & { node: number }): void {
  const { node } = step
  switch (step.type) {
    case 'crash':
      crash(world, node)
      return
    case 'power-cut':
      cutPowerOf(world, node)
      return
    case 'power-cut-at-receipt':
      world.armed.add(node)
      return
    case 'restart':
      crash(world, node)
      after(world, step.downMs, () => startIfDown(world, node))
      return
    default:
      actOnDisk(world, step)
  }
}

function actOnDisk(world: World, step: Act & { node: number }): void {
  const { cluster, backups } = world
  const { node } = step
  const disk = diskOf(cluster, node)
  switch (step.type) {
    case 'replace-disk':
      exchangeDisk(world, node, undefined)
      return
    case 'back-up':
      backups.set(node, copyOf(disk))
      return
    case 'restore':
      if (backups.has(node)) exchangeDisk(world, node, backups.get(node))
      return
    case 'rot':
      rotSome(world, node, step.count)
      return
    case 'fill':
      disk.limit = disk.blocks.size + disk.written.length + step.to
      return
    case 'slow-disk':
      disk.syncMs = step.to
      return
    case 'lie':
      disk.lieMs = step.forMs
      after(world, step.forMs, () => {
        disk.lieMs = 0
      })
      return
    case 'garble':
    case 'unreadable':
      during(world, step.type === 'garble' ? cluster.garbling : cluster.unreadable, step)
      return
  }
}

function during(world: World, set: Set<number>, { node, forMs }: { node: number; forMs: number }): void {
  set.add(node)
  after(world, forMs, () => set.delete(node))
}

function readSome(world: World, node: number, nth: number): void {
  const { cluster, puts } = world
  const some = puts[nth % Math.max(1, puts.length)]
  for (const key of some?.keys ?? []) {
    if (!diskOf(cluster, node).blocks.has(key)) read(cluster, node, key, world.scenario.replicas)
  }
}

function end({ cluster, puts, ends }: World, node: number, nth: number): void {
  const some = puts[nth % Math.max(1, puts.length)]
  if (some === undefined) return
  ends.set(some.record, [...(ends.get(some.record) ?? []), endPut(cluster, node, some.record, some.keys)])
}

function rotSome(world: World, node: number, count: number): void {
  const { cluster, random } = world
  const disk = diskOf(cluster, node)
  for (const key of shuffle(random, [...disk.blocks.keys()]).slice(0, count)) {
    rot(disk, key)
    world.rotted.set(`${node} ${key}`, cluster.nowMs)
  }
  after(world, Math.floor(random() * SCRUB_MS), () => scrub(world, node))
}

/** Reads everything again and puts aside what is damaged. */
export function scrub(world: World, node: number): void {
  const { cluster } = world
  if (!isUp(world, node) || isHeld(world, node)) return
  for (const key of diskOf(cluster, node).rotten) quarantine(cluster, node, key, world.scenario.replicas)
}

/** Hands over and goes, if it gets done in time; else it stays leaving until it is started again. */
function leave(world: World, node: number): void {
  const { cluster, scenario } = world
  if (activeNodes(world).length <= scenario.replicas + 1) return
  const life = cluster.nodes[node]?.life
  const held = [...diskOf(cluster, node).blocks.keys()]
  feed(cluster, node, { type: 'leave' })
  const look = (looks: number) => {
    const core = cluster.cores[node]
    const disk = diskOf(cluster, node)
    if (!isUp(world, node) || cluster.nodes[node]?.life !== life || core === undefined) return
    const isBusy = leftToHandOver(core).blocks > 0 || disk.changed.size > 0 || disk.written.length > 0
    if (isBusy && looks > 0) after(world, LEAVE_LOOK_MS, () => look(looks - 1))
    if (isBusy || isHeld(world, node)) return
    feed(cluster, node, { type: 'left-now' })
    world.left.add(node)
    note(world, `${node} left`)
    judgeLeaving(world, node, held)
    after(world, 100, () => kill(cluster, node))
  }
  after(world, LEAVE_LOOK_MS, () => look(LEAVE_LOOKS))
}

/** One that said that all is handed over leaves nothing behind that nobody else ever had. */
function judgeLeaving(world: World, node: number, held: readonly BlockKey[]): void {
  const keys = heldKeys(world)
  const ended = endedKeys(world)
  for (const key of held) {
    if (ended.has(key)) continue
    const wasTaken = [...world.cluster.nodes.keys()].some((other) => {
      return world.taken.has(`${other} ${key}`) || world.rotted.has(`${other} ${key}`)
    })
    const has = keys.has(key)
    if (!has && !wasTaken) world.wrong.push(`${node} left with the last copy of ${key}`)
  }
}

/** Ends all faults: everyone is up, connected and running again, but for those that left. */
export function endFaults(world: World): void {
  const { cluster, scenario } = world
  const { network } = cluster
  heal(network)
  network.link = LAN
  world.armed.clear()
  for (const set of [cluster.garbling, cluster.unreadable]) set.clear()
  for (const [node, { heldUntilMs }] of cluster.nodes.entries()) {
    network.rates[node] = FAST
    network.upMs[node] = Math.min(network.upMs[node] ?? 0, cluster.nowMs)
    network.downMs[node] = Math.min(network.downMs[node] ?? 0, cluster.nowMs)
    const disk = diskOf(cluster, node)
    Object.assign(disk, { syncMs: SYNC_MS, lieMs: 0 })
    if (world.left.has(node) || world.outside.has(node)) continue
    // One that did not get done with leaving has changed its mind.
    if (!isUp(world, node) || cluster.cores[node]?.placed.state === 'leaving') start(world, node)
    else if (heldUntilMs > cluster.nowMs) thaw(cluster, node)
    setClock(cluster, node, { rate: 1 })
    makeRoom(world, node)
    after(world, 1_000, () => scrub(world, node))
  }
  note(world, `calm: ${activeNodes(world).length} of ${scenario.nodes}`)
}

/** Disks have room again, and their nodes say so. */
function makeRoom({ cluster }: World, node: number): void {
  const disk = diskOf(cluster, node)
  if (disk.limit === Number.POSITIVE_INFINITY) return
  disk.limit = Number.POSITIVE_INFINITY
  feed(cluster, node, { type: 'describe', facts: { full: false } })
}
