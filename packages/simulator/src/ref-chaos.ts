/**
 * Concurrent writers of one name under faults, and the checker of what they were told. Every record that a
 * key signed is on the account, so that "on the line of" is a fact about hashes, not about sequences.
 */
import { type PeerId, pick, type Random, type RefRecord, refId, seeded, toHex } from '@cairn/core'
import { type Cluster, simulateCluster } from './cluster.ts'
import { hash256 } from './hash.ts'
import { cut, heal, LAN, LOSSY, partition } from './network.ts'
import { readRefAt, setRef } from './ref-world.ts'
import { feed, kill, peerOf, restart, runTo, setClock, stall } from './run.ts'

/** A caller that hears nothing for so long gives up: its update may have happened or not. */
const GIVE_UP_MS = 20_000
const PAUSE_MS = 400
const FAULT_GAP_MS = 3_000
const OWNER = 'owner' as PeerId
const NAME = 'photos'

/** Bugs to plant: a checker that finds none of them is none. */
export type RefBug = 'forgets-votes' | 'keeps-late' | 'old-disk-unnoticed'

export interface RefOp {
  readonly kind: 'set' | 'read'
  readonly startedMs: number
  endedMs: number | undefined
  /** What was acknowledged or read; undefined for nothing, or not known. */
  hash: string | undefined
  result: string
}

export interface RefChaos {
  readonly cluster: Cluster
  readonly random: Random
  readonly ops: RefOp[]
  /** Every record that was signed, by hash. */
  readonly signed: Map<string, RefRecord>
  /** Every record that any member came to know as acknowledged, in that order. */
  readonly acknowledged: Set<string>
  readonly log: string[]
  readonly bug: RefBug | undefined
  /** Disks put back to an older state: at most one, as many as a majority of three withstands. */
  restored: boolean
  /**
   * Of what that disk voted for last, one other hears nothing, and who has heard is down when it is back.
   * Beyond what is promised, where the other was not asked in that life: nobody can tell that it is old then.
   */
  readonly worst: boolean
}

export function startRefChaos(seed: number, bug?: RefBug, worst = false): RefChaos {
  const random = seeded(seed * 104_729 + 7)
  const nodes = 4 + pick(random, 4)
  const link = pick(random, 2) === 0 ? LAN : LOSSY
  const cluster = simulateCluster({ seed, nodes, link, config: { repairDelayMs: 3_000 } })
  const maps = { ops: [], signed: new Map(), acknowledged: new Set<string>(), log: [] }
  const chaos: RefChaos = { cluster, random, ...maps, bug, worst, restored: false }
  cluster.refs.keepsLate = bug === 'keeps-late'
  cluster.refs.onSigned = (record) => chaos.signed.set(record.hash, record)
  cluster.refs.onRef = (_node, action) => {
    if (action.type === 'ref-changed') for (const one of [action.record, ...action.forks]) note(chaos, one)
  }
  for (let node = 1; node < nodes; node++) join(cluster, node)
  runTo(cluster, 5_000)
  return chaos
}

function note({ acknowledged }: RefChaos, { hash }: RefRecord): void {
  acknowledged.add(hash)
}

function join(cluster: Cluster, node: number): void {
  const addresses = [...cluster.nodes.keys()].filter((other) => other !== node).map(peerOf)
  feed(cluster, node, { type: 'join', addresses })
}

/** So many writers, each with one operation at a time, for so long, with faults. */
export function runWriters(chaos: RefChaos, writers: number, forMs: number): void {
  const { cluster, random } = chaos
  const untilMs = cluster.nowMs + forMs
  const next = Array.from({ length: writers }, () => cluster.nowMs + pick(random, PAUSE_MS))
  const open: (RefOp | undefined)[] = next.map(() => undefined)
  let faultMs = cluster.nowMs + pick(random, FAULT_GAP_MS)
  while (cluster.nowMs < untilMs) {
    runTo(cluster, cluster.nowMs + 20)
    if (cluster.nowMs >= faultMs) {
      fault(chaos)
      faultMs = cluster.nowMs + pick(random, 2 * FAULT_GAP_MS)
    }
    open.forEach((op, i) => {
      const over = op === undefined || op.endedMs !== undefined || cluster.nowMs > op.startedMs + GIVE_UP_MS
      if (op !== undefined && over) {
        open[i] = undefined
        next[i] = cluster.nowMs + pick(random, PAUSE_MS)
      } else if (op === undefined && cluster.nowMs >= (next[i] as number)) open[i] = begin(chaos)
    })
  }
}

function begin(chaos: RefChaos): RefOp | undefined {
  const { cluster, random, ops } = chaos
  const up = [...cluster.nodes.keys()].filter((node) => cluster.nodes[node]?.up)
  const node = up[pick(random, Math.max(1, up.length))]
  if (node === undefined) return undefined
  const kind = pick(random, 4) === 0 ? 'read' : 'set'
  const op: RefOp = { kind, startedMs: cluster.nowMs, endedMs: undefined, hash: undefined, result: 'unknown' }
  ops.push(op)
  if (kind === 'read') readLatest(chaos, node, op)
  else setOne(chaos, node, op)
  return op
}

function setOne(chaos: RefChaos, node: number, op: RefOp): void {
  const { cluster, random, ops } = chaos
  const settle = pick(random, 3) === 0
  const root = Uint8Array.of(1, 0x55, ops.length & 255, ops.length >> 8)
  setRef(cluster, node, { owner: OWNER, name: NAME, root, settle }, (result) => {
    op.endedMs = cluster.nowMs
    op.result = result.type
    if (result.type !== 'acknowledged') return
    op.hash = result.record.hash
    note(chaos, result.record)
  })
}

function readLatest(chaos: RefChaos, node: number, op: RefOp): void {
  const { cluster } = chaos
  const id = refId({ owner: OWNER, name: NAME }, hash256)
  readRefAt(cluster, node, { id, latest: true }, ({ best, rivals }, quorum) => {
    op.endedMs = cluster.nowMs
    // As the shell: what may have been acknowledged is decided before it is told; here it is no answer.
    op.result = quorum && rivals.length === 0 ? 'read' : 'undecided'
    if (op.result === 'read') op.hash = best?.record.hash
  })
}

function fault(chaos: RefChaos): void {
  const { cluster, random, log } = chaos
  const { network, nodes } = cluster
  const node = pick(random, nodes.length)
  const { up } = nodes[node] as { up: boolean }
  const choice = pick(random, 100)
  log.push(`${cluster.nowMs} ${choice} node ${node}${up ? '' : ' (down)'}`)
  if (!up) start(chaos, node)
  else if (choice < 25) kill(cluster, node)
  else if (choice < 35) start(chaos, node)
  else if (choice < 50) partition(network, [[node], [(node + 1) % nodes.length]])
  else if (choice < 60) partition(network, [[node, (node + 1) % nodes.length, (node + 2) % nodes.length]])
  else if (choice < 68) cut(network, node, pick(random, nodes.length))
  else if (choice < 75) stall(cluster, node, 500 + pick(random, 8_000))
  else if (choice < 80) setClock(cluster, node, { jumpMs: pick(random, 3_600_000) })
  else if (choice < 84) restore(chaos, node)
  else heal(network)
}

/** Starts it again, with the disk as it is, or as the planted bug leaves it. */
function start(chaos: RefChaos, node: number): void {
  const { cluster, bug, random } = chaos
  const disk = cluster.refs.disks[node]
  if (bug === 'forgets-votes' && disk !== undefined && pick(random, 2) === 0) disk.states.clear()
  restart(cluster, node)
  join(cluster, node)
}

/** A backup of some seconds ago takes the disk's place, once in a run; the voter is to notice. */
function restore(chaos: RefChaos, node: number): void {
  const { cluster, bug, random, worst } = chaos
  const disk = cluster.refs.disks[node]
  if (chaos.restored || disk === undefined) return
  chaos.restored = true
  const others = [...cluster.nodes.keys()].filter((other) => other !== node)
  const [deaf = 0] = worst ? others.splice(pick(random, others.length), 1) : []
  const heard = worst ? others[pick(random, others.length)] : undefined
  const backup = { boot: disk.boot, states: new Map(disk.states) }
  runTo(cluster, cluster.nowMs + 4_000)
  // A life that votes and is then forgotten: only that makes the older state an older life's.
  start(chaos, node)
  if (worst) {
    keepWriting(chaos, 4_000)
    partition(cluster.network, [[deaf]])
    keepWriting(chaos, 4_000)
  } else runTo(cluster, cluster.nowMs + 4_000)
  kill(cluster, node)
  disk.states.clear()
  for (const [id, bytes] of backup.states) disk.states.set(id, bytes)
  if (bug !== 'old-disk-unnoticed') disk.boot = backup.boot
  if (heard !== undefined) {
    kill(cluster, heard)
    heal(cluster.network)
  }
  start(chaos, node)
  if (heard === undefined) return
  keepWriting(chaos, 8_000)
  start(chaos, heard)
}

/** One operation after another, for so long. */
function keepWriting(chaos: RefChaos, forMs: number): void {
  const { cluster } = chaos
  for (const untilMs = cluster.nowMs + forMs; cluster.nowMs < untilMs; ) {
    begin(chaos)
    runTo(cluster, cluster.nowMs + PAUSE_MS)
  }
}

/** Ends all faults. */
export function calmRefs(chaos: RefChaos): void {
  const { cluster } = chaos
  heal(cluster.network)
  cluster.network.link = LAN
  for (const [node, { up }] of cluster.nodes.entries()) if (!up) start(chaos, node)
  runTo(cluster, cluster.nowMs + 30_000)
}

/** Whether `older` is `newer`, or on the line that leads to it. */
export function isBehind({ signed }: RefChaos, older: string, newer: string): boolean {
  const seen = new Set<string>()
  const look = [newer]
  for (let hash = look.pop(); hash !== undefined; hash = look.pop()) {
    if (hash === older) return true
    if (seen.has(hash)) continue
    seen.add(hash)
    look.push(...(signed.get(hash)?.predecessors ?? []))
  }
  return false
}

/** What is wrong with the history; empty when nothing is. */
export function wrongs(chaos: RefChaos): string[] {
  const found: string[] = []
  const { ops, signed, acknowledged } = chaos
  const told = (hash: string) =>
    `${signed.get(hash)?.sequence} ${toHex(signed.get(hash)?.root ?? new Uint8Array())}`
  const line = [...acknowledged].sort(
    (a, b) => (signed.get(a)?.sequence ?? 0) - (signed.get(b)?.sequence ?? 0)
  )
  for (let i = 1; i < line.length; i++) {
    const [one, next] = [line[i - 1] as string, line[i] as string]
    if (!isBehind(chaos, one, next))
      found.push(`acknowledged apart from each other: ${told(one)}, ${told(next)}`)
  }
  const done = ops.filter(({ hash, endedMs }) => hash !== undefined && endedMs !== undefined)
  for (const earlier of done) {
    for (const later of done) {
      if ((earlier.endedMs as number) >= later.startedMs) continue
      const [a, b] = [earlier.hash as string, later.hash as string]
      if (!isBehind(chaos, a, b))
        found.push(`${later.kind} of ${told(b)} after ${earlier.kind} of ${told(a)}`)
      if (later.kind === 'set' && a === b) found.push(`${told(a)} set twice`)
    }
  }
  return found
}

/** After the calm: one more update, which must be acknowledged, on the line of all that were. */
export function lastWord(chaos: RefChaos): string | undefined {
  const { cluster } = chaos
  let last: string | undefined
  for (let tries = 0; tries < 6 && last === undefined; tries++) {
    const node = [...cluster.nodes.keys()].find((one) => cluster.nodes[one]?.up) ?? 0
    const root = Uint8Array.of(1, 0x55, 99, tries)
    setRef(cluster, node, { owner: OWNER, name: NAME, root, settle: true }, (result) => {
      if (result.type === 'acknowledged') last = result.record.hash
    })
    runTo(cluster, cluster.nowMs + GIVE_UP_MS)
  }
  return last
}
