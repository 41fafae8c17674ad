/**
 * A recorded churn as a scenario: who was up and down when, from a file of `seconds,node,event` lines, so
 * that N can be chosen for machines as they are.
 */
import { CairnError } from '@cairn/core'
import { LAN } from './network.ts'
import { type Act, GATHER_MS, type Scenario, type Step } from './scenario.ts'

/** Longest trace that is taken, lines; and nodes in it. */
const LINES_MAX = 100_000
const NODES_MAX = 1_000
/** What is kept through the churn: put at the start, this many blocks of this size. */
const BLOCKS = 200
const BLOCK_BYTES = 1_048_576

const EVENTS: Readonly<Record<string, Act['type']>> = {
  up: 'start',
  down: 'crash',
  lost: 'replace-disk',
  join: 'join',
  leave: 'leave'
}

function bad(line: number, why: string): CairnError {
  return new CairnError('BAD_REQUEST', `line ${line} of the trace: ${why}`, {
    hint: 'each line is seconds,node,event with an event of up, down, lost, join or leave'
  })
}

function stepOf(text: string, line: number): Step {
  const [seconds, node, event = ''] = text.split(',').map((part) => part.trim())
  const [atS, id] = [Number(seconds), Number(node)]
  if (!(atS >= 0) || seconds === '') throw bad(line, `${seconds} is no time`)
  if (!Number.isInteger(id) || id < 0 || id >= NODES_MAX || node === '') throw bad(line, `${node} is no node`)
  const type = Object.hasOwn(EVENTS, event) ? EVENTS[event] : undefined
  if (type === undefined) throw bad(line, `${event} is no event`)
  return { type, node: id, atMs: GATHER_MS + 60_000 + atS * 1_000 } as Step
}

/** @throws CairnError BAD_REQUEST naming the line that is wrong */
export function readTrace(text: string): Step[] {
  const lines = text.split('\n')
  if (lines.length > LINES_MAX) throw bad(LINES_MAX, 'there are too many')
  const steps: Step[] = []
  lines.forEach((line, i) => {
    if (line.trim() !== '' && !line.startsWith('#') && !(i === 0 && line.startsWith('seconds')))
      steps.push(stepOf(line, i + 1))
  })
  return steps.sort((a, b) => a.atMs - b.atMs)
}

export interface TraceOptions {
  seed: number
  replicas: number
  nodes: number
  minutes: number
}

/** Nodes that first join by the trace are not there before. */
export function traceScenario(trace: readonly Step[], options: TraceOptions): Scenario {
  const { seed, replicas, minutes } = options
  const named = trace.map((step) => ('node' in step ? step.node + 1 : 0))
  const nodes = Math.max(options.nodes, ...named)
  const firsts = new Map<number, Act['type']>()
  for (const step of trace) if ('node' in step && !firsts.has(step.node)) firsts.set(step.node, step.type)
  const outside = [...firsts].filter(([, type]) => type === 'join').map(([node]) => node)
  const from = Array.from({ length: nodes }, (_, node) => node).find((node) => !outside.includes(node)) ?? 0
  const size = { count: BLOCKS / 10, size: BLOCK_BYTES, ack: 'all', replicas } as const
  const puts: Step[] = Array.from({ length: 10 }, (_, i) => {
    return { type: 'put', node: from, ...size, atMs: GATHER_MS + i * 1_000 }
  })
  const untilMs = Math.max(GATHER_MS + minutes * 60_000, (trace.at(-1)?.atMs ?? 0) + 1_000)
  return {
    ...{ seed, nodes, replicas, outside, skewed: [], untilMs, cutOff: undefined },
    zones: new Array<undefined>(nodes).fill(undefined),
    config: { replicas },
    link: LAN,
    steps: [...puts, ...trace].filter(({ atMs }) => atMs < untilMs)
  }
}
