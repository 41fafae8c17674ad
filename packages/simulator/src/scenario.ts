/**
 * A scenario: everything that happens to a network from outside, as data, drawn from a seed. What a node does
 * follows; so a scenario that fails can be kept, replayed, and made shorter step by step.
 */
import { type Ack, type Config, pick, type Random, seeded, shuffle } from '@cairn/core'
import { LAN, type Link, LOSSY } from './network.ts'

/** What can happen. A step that does not fit the state (a start of one that is up) does nothing. */
export type Act =
  | { type: 'put'; node: number; count: number; size: number; ack: Ack; replicas: number }
  /** The blocks of an earlier put, under a claim of its own. */
  | { type: 'put-again'; node: number; put: number; ack: Ack; replicas: number }
  /** What an earlier put keeps is no longer wanted, by that put. */
  | { type: 'read' | 'end'; node: number; put: number }
  | { type: 'crash' | 'power-cut' | 'power-cut-at-receipt' | 'start' | 'join' | 'leave'; node: number }
  | { type: 'restart'; node: number; downMs: number }
  | { type: 'restart-all'; downMs: number }
  | { type: 'stall' | 'garble' | 'unreadable' | 'lie'; node: number; forMs: number }
  | { type: 'replace-disk' | 'back-up' | 'restore'; node: number }
  | { type: 'rot'; node: number; count: number }
  | { type: 'fill' | 'slow-disk'; node: number; to: number }
  | { type: 'slow-link'; node: number; rate: number; forMs: number }
  | { type: 'cut'; from: number; to: number }
  | { type: 'partition'; side: number[]; over?: number }
  | { type: 'weather'; link: Link }
  | { type: 'clock'; node: number; jumpMs: number; rate: number }
  | { type: 'heal' | 'calm' }
export type Step = Act & { atMs: number }

export interface Scenario {
  seed: number
  nodes: number
  replicas: number
  /** Nodes that take no part until they join. */
  outside: number[]
  zones: (string | undefined)[]
  /** Nodes of another version, whose knobs differ. */
  skewed: number[]
  config: Partial<Config>
  link: Link
  steps: Step[]
  /** When the faults are over. */
  untilMs: number
  /** Cut off one way for good once the faults are over: it can only speak (deaf), or only hear (mute). */
  cutOff: { nodes: number[]; how: 'deaf' | 'mute' } | undefined
}

export interface Draw {
  seed: number
  nodes: number
  minutes: number
  /** Quiet as long as it is drawn. */
  whole?: boolean
}

/** Everyone has gathered by then. */
export const GATHER_MS = 8_000
/** In a burst steps come this far apart on average, ms, … */
const STEP_GAP_MS = 1_500
/** … a burst lasts as long, … */
const BURST_MS = 40_000
/** … and quiet follows for this part of the whole time at most. */
const QUIET_PART = 0.4
/**
 * What follows of it is left out: by then the dead have been found, what they held was repaired, all have
 * compared and let go; a longer one shows only that nothing goes on happening.
 */
const QUIET_MAX_MS = 40_000

export function drawScenario({ seed, nodes, minutes, whole = false }: Draw): Scenario {
  const random = seeded(Math.imul(seed, 7_919) + 17)
  const ids = shuffle(
    random,
    Array.from({ length: nodes }, (_, node) => node)
  )
  const replicas = pick(random, 4) === 0 ? 2 : 3
  const zones = pick(random, 3) === 0 ? ids.map((node) => `z${node % 3}`) : ids.map(() => undefined)
  const outside = ids.slice(0, pick(random, Math.max(1, nodes - replicas - 2)))
  let untilMs = GATHER_MS + minutes * 60_000
  const steps: Step[] = []
  for (let atMs = GATHER_MS; atMs < untilMs; ) {
    const endMs = Math.min(untilMs, atMs + BURST_MS)
    drawBurst(random, { nodes, replicas }, { atMs, endMs, steps })
    const quietMs = pick(random, QUIET_PART * minutes * 60_000)
    const leftOutMs = whole ? 0 : Math.max(0, Math.min(quietMs, untilMs - endMs) - QUIET_MAX_MS)
    untilMs -= leftOutMs
    atMs = endMs + quietMs - leftOutMs
    if (pick(random, 2) === 0 && endMs < untilMs) steps.push({ type: 'calm', atMs: endMs })
  }
  const few = Math.floor((nodes - outside.length - 1) / 3)
  const how = pick(random, 2) === 0 ? 'deaf' : 'mute'
  const cutOff = seed % 4 === 0 && few > 0 ? { nodes: ids.slice(-1 - pick(random, few)), how } : undefined
  return {
    ...{ seed, nodes, replicas, outside, zones, steps, untilMs },
    skewed: pick(random, 4) === 0 ? ids.slice(0, Math.floor(nodes / 2)) : [],
    config: drawConfig(random, replicas),
    link: pick(random, 2) === 0 ? LAN : LOSSY,
    ...{ cutOff: cutOff as Scenario['cutOff'] }
  }
}

/** Knobs within what `configure` allows; short waits, so that a run of minutes sees them end. */
function drawConfig(random: Random, replicas: number): Partial<Config> {
  const probeIntervalMs = 1_000 * (1 + pick(random, 2))
  return {
    ...{ replicas, probeIntervalMs, suspicionMinMs: 2.5 * probeIntervalMs },
    repairDelayMs: 1_000 * (3 + pick(random, 13)),
    compareIdleMs: 5_000 * (1 + pick(random, 6)),
    ...{ releaseAfterMs: 2_000, releaseRetryMs: 5_000 },
    ...{ collectGraceMs: 3_000, collectedTellMs: 20_000 }
  }
}

interface Burst {
  atMs: number
  endMs: number
  steps: Step[]
}

function drawBurst(random: Random, size: { nodes: number; replicas: number }, burst: Burst): void {
  // Each burst has a temper of its own: few kinds of faults, often, find what all kinds, seldom, do not.
  const kinds = shuffle(random, Object.keys(FAULTS)).slice(0, 2 + pick(random, 5))
  const { endMs, steps } = burst
  let { atMs } = burst
  for (;;) {
    atMs += 1 + pick(random, 2 * STEP_GAP_MS)
    if (atMs >= endMs) return
    const kind = kinds[pick(random, kinds.length)] as string
    const draw = pick(random, 100) < 45 ? drawClient : (FAULTS[kind] as DrawAct)
    for (const act of draw(random, size)) steps.push({ ...act, atMs })
  }
}

type DrawAct = (random: Random, size: { nodes: number; replicas: number }) => Act[]

const SIZES = [4_096, 65_536, 65_536, 1_048_576]
const ACKS: readonly Ack[] = ['all', 'all', 'quorum', 'one']

function drawClient(random: Random, { nodes, replicas }: { nodes: number; replicas: number }): Act[] {
  const node = pick(random, nodes)
  if (pick(random, 3) === 0) return [{ type: 'read', node, put: pick(random, 1_000) }]
  if (pick(random, 6) === 0) return [{ type: 'end', node, put: pick(random, 1_000) }]
  const ack = ACKS[pick(random, ACKS.length)] as Ack
  if (pick(random, 6) === 0) return [{ type: 'put-again', node, put: pick(random, 1_000), ack, replicas }]
  const size = SIZES[pick(random, SIZES.length)] as number
  return [{ type: 'put', node, count: 1 + pick(random, 12), size, ack, replicas }]
}

const upTo = (random: Random, ms: number): number => 500 + pick(random, ms)

const FAULTS: Record<string, DrawAct> = {
  crash: (random, { nodes }) => [{ type: 'crash', node: pick(random, nodes) }],
  restart: (random, { nodes }) => [
    { type: 'restart', node: pick(random, nodes), downMs: upTo(random, 8_000) }
  ],
  'restart-all': (random) => [{ type: 'restart-all', downMs: upTo(random, 3_000) }],
  'power-cut': (random, { nodes }) => [
    { type: 'power-cut', node: pick(random, nodes) },
    { type: 'power-cut-at-receipt', node: pick(random, nodes) }
  ],
  start: (random, { nodes }) => [{ type: 'start', node: pick(random, nodes) }],
  stall: (random, { nodes }) => [{ type: 'stall', node: pick(random, nodes), forMs: upTo(random, 20_000) }],
  garble: (random, { nodes }) => [{ type: 'garble', node: pick(random, nodes), forMs: upTo(random, 20_000) }],
  unreadable: (random, { nodes }) => [
    { type: 'unreadable', node: pick(random, nodes), forMs: upTo(random, 20_000) }
  ],
  lie: (random, { nodes }) => [{ type: 'lie', node: pick(random, nodes), forMs: upTo(random, 40_000) }],
  'replace-disk': (random, { nodes }) => [{ type: 'replace-disk', node: pick(random, nodes) }],
  'back-up': (random, { nodes }) => {
    const node = pick(random, nodes)
    return [{ type: pick(random, 2) === 0 ? 'back-up' : 'restore', node }]
  },
  rot: (random, { nodes }) => [{ type: 'rot', node: pick(random, nodes), count: 1 + pick(random, 4) }],
  fill: (random, { nodes }) => [{ type: 'fill', node: pick(random, nodes), to: pick(random, 60) }],
  'slow-disk': (random, { nodes }) => [
    { type: 'slow-disk', node: pick(random, nodes), to: 2 + pick(random, 400) }
  ],
  'slow-link': (random, { nodes }) => [
    {
      type: 'slow-link',
      node: pick(random, nodes),
      rate: 32 + pick(random, 1_000),
      forMs: upTo(random, 40_000)
    }
  ],
  cut: (random, { nodes }) => [{ type: 'cut', from: pick(random, nodes), to: pick(random, nodes) }],
  partition: (random, { nodes }) => {
    const ids = shuffle(
      random,
      Array.from({ length: nodes }, (_, node) => node)
    )
    const side = ids.slice(0, 1 + pick(random, nodes - 1))
    return [
      pick(random, 3) === 0
        ? { type: 'partition', side, over: ids[0] as number }
        : { type: 'partition', side }
    ]
  },
  heal: () => [{ type: 'heal' }],
  weather: (random) => {
    const bad = { ...LOSSY, loss: pick(random, 40) / 100, delayMsMax: 1 + pick(random, 400) }
    return [{ type: 'weather', link: pick(random, 2) === 0 ? LAN : bad }]
  },
  clock: (random, { nodes }) => {
    const rate = 1 + (pick(random, 201) - 100) / 1_000 // a tenth fast or slow: far beyond any real clock
    return [
      { type: 'clock', node: pick(random, nodes), jumpMs: pick(random, 2) * upTo(random, 60_000), rate }
    ]
  },
  join: (random, { nodes }) => [{ type: 'join', node: pick(random, nodes) }],
  leave: (random, { nodes }) => [{ type: 'leave', node: pick(random, nodes) }]
}
