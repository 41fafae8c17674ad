/** Plays one scenario to its end, judged all along, and says what came of it. Same scenario, same hash. */
import { act, endFaults } from './acts.ts'
import { alwaysHolds, Broken, finallyHolds } from './check.ts'
import { cut } from './network.ts'
import { runTo } from './run.ts'
import type { Scenario } from './scenario.ts'
import { createWorld, heldKeys, note, type World } from './world.ts'

/** Between looks at what must always hold, ms of virtual time; and after how many steps at the latest. */
const LOOK_MS = 5_000

export interface Outcome {
  seed: number
  hash: string
  /** What was broken; undefined when nothing was. */
  broken: string | undefined
  atMs: number
  blocks: number
  acknowledged: number
  /** Of the acknowledged, those that nobody has any more: more copies were taken than there were. */
  lost: number
  repaired: number
  messages: number
  log: readonly string[]
}

export function play(scenario: Scenario, inspect?: (world: World) => void): Outcome {
  const world = createWorld(scenario)
  let broken: string | undefined
  try {
    run(world)
  } catch (error) {
    broken = error instanceof Broken ? error.message : `${(error as Error).stack}`
  }
  inspect?.(world)
  const { cluster, log, puts } = world
  const held = heldKeys(world)
  const settled = puts
    .filter(({ record }) => !world.ends.has(record))
    .flatMap(({ record }) => record.settled ?? [])
    .filter((block) => block.receipts.length > 0)
  return {
    seed: scenario.seed,
    hash: cluster.hash.toString(16).padStart(8, '0'),
    broken,
    atMs: cluster.nowMs,
    blocks: held.size,
    acknowledged: settled.length,
    lost: settled.filter(({ key }) => !held.has(key)).length,
    repaired: cluster.repaired,
    messages: cluster.messages,
    log
  }
}

function run(world: World): void {
  const { cluster, scenario } = world
  let lookedMs = 0
  const to = (atMs: number) => {
    while (cluster.nowMs < atMs) {
      runTo(cluster, Math.min(atMs, Math.max(lookedMs + LOOK_MS, cluster.nowMs + 1)))
      if (cluster.nowMs < lookedMs + LOOK_MS) continue
      lookedMs = cluster.nowMs
      alwaysHolds(world)
    }
  }
  for (const { atMs, ...step } of scenario.steps) {
    to(atMs)
    act(world, step)
  }
  to(scenario.untilMs)
  endFaults(world)
  cutOff(world)
  finallyHolds(world)
}

/** A minority that can only hear, or only be heard, for good. */
function cutOff(world: World): void {
  const { cluster, scenario } = world
  if (scenario.cutOff === undefined) return
  const { nodes, how } = scenario.cutOff
  const isCut = new Set(nodes)
  for (const node of nodes) {
    for (const other of cluster.nodes.keys()) {
      if (isCut.has(other)) continue
      if (how === 'mute') cut(cluster.network, node, other)
      else cut(cluster.network, other, node)
    }
  }
  note(world, `${how}: ${nodes.join()}`)
}
