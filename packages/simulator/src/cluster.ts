/**
 * Simulated nodes with the whole core: members, a disk each, and the bulk transfers between them. What
 * the shell does with libp2p and a store, this does in virtual time, action for action.
 */
import {
  type Ack,
  type BlockKey,
  blockKey,
  type Config,
  type CoreAction,
  type CoreEvent,
  claimsDigest,
  coreDeadline,
  coreStep,
  createCore,
  decodeMessage,
  encodeMessage,
  type FaultKind,
  type HeldClaim,
  MESSAGE_BYTES_MAX,
  type Message,
  type Core as NodeCore,
  type PeerId,
  type SettledBlock,
  type Tally,
  toUtf8
} from '@cairn/core'
import { performAudit } from './audits.ts'
import { fetchBlocks, sendBlocks } from './bulk.ts'
import { knownTo, performCollect } from './collect.ts'
import { createDisk, erase, listSlot, type SimulatedDisk, SYNC_MS, summaries } from './disk.ts'
import { hash256 } from './hash.ts'
import { factsOf, seals } from './members.ts'
import { createMirrorWorld, type MirrorWorld, performMirror } from './mirrors.ts'
import type { Link } from './network.ts'
import { enqueue } from './queue.ts'
import { createRefWorld, performRef, type RefWorld, refsOf } from './ref-world.ts'
import { lifeOf, performRelease } from './release.ts'
import { createSimulation, feed, nodeOf, peerOf, type Simulation, type Wire } from './run.ts'

/** Between a change on disk and the core hearing of it: the shell gathers changes for as long. */
const SUMMARY_MS = 100
export interface ClusterOptions {
  seed: number
  nodes: number
  link: Link
  config?: Partial<Config>
  /** Of node i; one TiB by default. */
  capacity?: (node: number) => number
  zone?: (node: number) => string | undefined
  /** Knobs in which a node differs from the rest. */
  configOf?: (node: number) => Partial<Config>
  /** What one that starts remembers of its incarnation; by default, one for each life. */
  incarnation?: (node: number, life: number) => number
  /** What a read takes longer than usual, ms. */
  slowMs?: (node: number) => number
  /** How one that dropped a block answers for it: any digest, or what it asks another for on the quiet. */
  lie?: 'wrong' | 'asks'
}

export interface Put {
  /** The node that took it, in which of its lives, and when. */
  readonly by: { node: number; life: number }
  readonly startedMs: number
  readonly ack: Ack
  /** Of each block. */
  readonly size: number
  readonly claims: ReadonlyMap<BlockKey, HeldClaim>
  /** When each receipt was given: `node key`. */
  readonly signedMs: Map<string, number>
  settled: SettledBlock[] | undefined
  /** Times that the core said so: one each. */
  settlements: number
  overs: number
}

export interface Read {
  readonly node: number
  readonly life: number
  readonly key: BlockKey
  found: boolean | undefined
  /** What was handed up is what was asked for. */
  isGood: boolean
}

export interface LetGo {
  readonly node: number
  readonly key: BlockKey
  readonly atMs: number
  readonly replicas: number
  readonly promised: readonly number[]
}

export interface Cluster extends Simulation<Message, CoreEvent, CoreAction> {
  readonly cores: NodeCore[]
  readonly disks: SimulatedDisk[]
  readonly puts: Map<number, Put & { bytes: boolean }>
  readonly surveys: Map<number, { tally: Tally; silent: PeerId[] }>
  readonly reads: Read[]
  /** Nodes that send wrong bytes in place of blocks. */
  readonly garbling: Set<number>
  /** Nodes whose disk can't be read. */
  readonly unreadable: Set<number>
  /** Transfers that their node gave up: `node life transfer`. */
  readonly cancelled: Set<string>
  /** Called with each answer that says so: these are held here. */
  receipted(node: number, keys: readonly BlockKey[]): void
  /** Called with each copy that was put aside as damaged. */
  quarantined(node: number, key: BlockKey): void
  /** Called with each block that came whole from another. */
  delivered(node: number, key: BlockKey, isGood: boolean): void
  /** Copies let go of, and whose promises they were let go on. */
  readonly letGo: LetGo[]
  /** Refs as the nodes' disks have them, and who waits for what a core says of one. */
  readonly refs: RefWorld
  /** What the nodes' disks keep of mirrors, and the blocks of roots. */
  readonly mirrors: MirrorWorld
  /** Who was found to have lied: by whom, of whom, when. */
  readonly faults: { by: number; of: number; kind: FaultKind; atMs: number }[]
  readonly ways: Pick<ClusterOptions, 'slowMs' | 'lie'>
  /** Who took whom for dead, and when. */
  readonly deaths: { by: number; of: number; atMs: number }[]
  /** Blocks collected, by node. */
  readonly collected: { node: number; key: BlockKey; atMs: number }[]
  /** Blocks moved by repair, in all. */
  repaired: number
  repairedBytes: number
  nextId: number
}

/** As the shell writes and reads them. */
const wire: Wire<Message> = { encode: encodeMessage, decode: decodeMessage }

export function simulateCluster(options: ClusterOptions): Cluster {
  const { seed, nodes, link } = options
  const cores: NodeCore[] = []
  const disks = Array.from({ length: nodes }, () => createDisk(hash256))
  const refs = createRefWorld(nodes)
  const sim = createSimulation<Message, CoreEvent, CoreAction>({
    ...{ seed, nodes, link, wire, messageBytesMax: MESSAGE_BYTES_MAX },
    create(node, life, random, nowMs) {
      const id = peerOf(node)
      const capacity = options.capacity?.(node) ?? 2 ** 40
      const facts = { ...factsOf(node), capacity, zone: options.zone?.(node) }
      const crypto = { sha256: hash256, ...seals(id) }
      const config = { ...options.config, ...options.configOf?.(node) }
      const incarnation = options.incarnation?.(node, life) ?? life
      const about = { id, facts, incarnation, life: lifeOf(life), config, random, crypto }
      const core = createCore({ ...about, refs: refsOf(refs, node) }, nowMs)
      cores[node] = core
      return { step: (event, atMs) => coreStep(core, event, atMs), deadline: () => coreDeadline(core) }
    },
    observe: (node, action) => perform(cluster, node, action)
  })
  const lists = { reads: [] as Read[], letGo: [] as LetGo[], collected: [], deaths: [] }
  const maps = { puts: new Map(), surveys: new Map(), ...lists }
  const cancelled = new Set<string>()
  const wrongs = { garbling: new Set<number>(), unreadable: new Set<number>(), cancelled }
  const counts = { repaired: 0, repairedBytes: 0, nextId: 1 }
  const lies = { faults: [], ways: options }
  const told = { receipted: () => undefined, quarantined: () => undefined, delivered: noteRead }
  const parts = { ...maps, ...wrongs, ...counts, ...told, ...lies }
  const cluster: Cluster = Object.assign(sim, {
    cores,
    disks,
    refs,
    mirrors: createMirrorWorld(nodes),
    ...parts
  })
  return cluster
}

function noteRead(this: Cluster, node: number, key: BlockKey, isGood: boolean): void {
  for (const read of this.reads) if (read.node === node && read.key === key && !isGood) read.isGood = false
}

/** After a restart: what the disk has is told to the new core. */
export function reopenDisk(cluster: Cluster, node: number): void {
  const disk = diskOf(cluster, node)
  for (const slot of disk.slots.keys()) disk.changed.add(slot)
  tellChanges(cluster, node)
}

export function diskOf(cluster: Cluster, node: number): SimulatedDisk {
  return cluster.disks[node] as SimulatedDisk
}

/** Keys of blocks that nobody has put yet. */
export function freshKeys(cluster: Cluster, count: number): BlockKey[] {
  return Array.from({ length: count }, () => {
    const digest = hash256(toUtf8(`${cluster.options.seed} ${cluster.nextId++}`))
    return blockKey(Uint8Array.of(0x12, 32, ...digest))
  })
}

export interface PutOptions {
  replicas?: number
  ack?: Ack
  bytes?: boolean
  /** Of each block. */
  size?: number
}

/** As the chunks of a large file. */
const BLOCK_BYTES = 2 ** 20

/** A client puts blocks through a node. */
export function put(
  cluster: Cluster,
  node: number,
  keys: readonly BlockKey[],
  { replicas = 3, ack = 'all', bytes = true, size = BLOCK_BYTES }: PutOptions = {}
): Put {
  const id = cluster.nextId++
  const claim = {
    claimant: `01${'0'.repeat(56)}${id.toString(16).padStart(8, '0')}`,
    sequence: 1,
    live: true
  }
  const claims = new Map(keys.map((key) => [key, { ...claim, replicas, proof: new Uint8Array() }]))
  const by = { node, life: cluster.nodes[node]?.life ?? 0 }
  const outcome = { signedMs: new Map<string, number>(), settled: undefined, settlements: 0, overs: 0 }
  const signedMs = new Map<string, number>()
  const record = { by, startedMs: cluster.nowMs, ack, size, ...outcome, claims, bytes, signedMs }
  cluster.puts.set(id, record)
  feed(cluster, node, { type: 'put', put: id, ack, entries: keys.map((key) => ({ key, replicas, bytes })) })
  return record
}

/** The claims of an earlier put of these end, through any node. */
export function endPut(cluster: Cluster, node: number, ended: Put, keys: readonly BlockKey[]): Put {
  const id = cluster.nextId++
  const before = [...cluster.puts.values()].find((one) => one === ended)
  const claims = new Map<BlockKey, HeldClaim>()
  for (const key of keys) {
    const claim = before?.claims.get(key)
    if (claim !== undefined) claims.set(key, { ...claim, sequence: 2, live: false })
  }
  const by = { node, life: cluster.nodes[node]?.life ?? 0 }
  const signedMs = new Map<string, number>()
  const none = { signedMs, settled: undefined, settlements: 0, overs: 0, bytes: false, size: 0 }
  const record = { by, startedMs: cluster.nowMs, ack: 'all' as const, claims, ...none }
  cluster.puts.set(id, record)
  const entries = [...claims].map(([key, { replicas }]) => ({ key, replicas, bytes: false }))
  if (entries.length > 0) feed(cluster, node, { type: 'put', put: id, ack: 'all', entries })
  return record
}

/** A client reads a block through a node that does not have it. */
export function read(cluster: Cluster, node: number, key: BlockKey, replicas = 3): Read {
  const record: Read = { node, life: cluster.nodes[node]?.life ?? 0, key, found: undefined, isGood: true }
  cluster.reads.push(record)
  feed(cluster, node, { type: 'want', keys: [key], replicas })
  return record
}

/** Nodes that are up and hold an undamaged copy. */
export function copiesOf(cluster: Cluster, key: BlockKey): number[] {
  return [...cluster.nodes.keys()].filter((node) => {
    const block = diskOf(cluster, node).blocks.get(key)
    const { dropped } = diskOf(cluster, node)
    return cluster.nodes[node]?.up && block !== undefined && !block.corrupt && !dropped.has(key)
  })
}

/** Runs it after so long, unless the process ends before. */
export function later(cluster: Cluster, node: number, ms: number, run: () => void): void {
  const { life } = cluster.nodes[node] as { life: number }
  enqueue(cluster.queue, cluster.nowMs + ms, () => {
    const state = cluster.nodes[node]
    if (state?.up && state.life === life) run()
  })
}

function perform(cluster: Cluster, node: number, action: CoreAction): void {
  const disk = diskOf(cluster, node)
  switch (action.type) {
    case 'send-blocks':
      sendBlocks(cluster, node, action)
      return
    case 'fetch-blocks':
      fetchBlocks(cluster, node, action)
      return
    case 'cancel-fetch':
      cluster.cancelled.add(`${node} ${cluster.nodes[node]?.life} ${action.transfer}`)
      return
    case 'list-slots':
      later(cluster, node, SYNC_MS, () => {
        const { token, slots, limit } = action
        const lists = slots.map(({ slot, after }) => listSlot(disk, slot, after, limit))
        if (cluster.unreadable.has(node)) feed(cluster, node, { type: 'list-failed', token })
        else feed(cluster, node, { type: 'listed', token, lists })
      })
      return
    case 'look-up':
      later(cluster, node, SYNC_MS, () => {
        const found = new Map<BlockKey, { claims: string; held: boolean }>()
        for (const key of cluster.unreadable.has(node) ? [] : action.keys) {
          const known = knownTo(disk, key)
          if (known === undefined) continue
          found.set(key, { claims: claimsDigest(known.claims, hash256), held: known.held })
        }
        feed(cluster, node, { type: 'looked-up', token: action.token, found })
      })
      return
    case 'list-copies':
    case 'verify-copies':
    case 'let-go':
      performRelease(cluster, node, action)
      return
    case 'take-claims':
    case 'know-claims':
    case 'list-ended':
    case 'collect':
      performCollect(cluster, node, action)
      return
    case 'put-settled': {
      const done = cluster.puts.get(action.put) as Put
      done.settled = action.blocks
      done.settlements++
      return
    }
    case 'put-over':
      ;(cluster.puts.get(action.put) as Put).overs++
      return
    case 'surveyed':
      cluster.surveys.set(action.request, action)
      return
    case 'keep-ref':
    case 'drop-ref':
    case 'keep-boot':
    case 'ref-read-over':
    case 'ref-drafted':
    case 'ref-updated':
    case 'refs-listed':
    case 'ref-changed':
    case 'renew-ref':
    case 'tidy-ref':
      performRef(cluster, node, action)
      return
    case 'mirror-fetch':
    case 'mirror-keep':
    case 'mirror-free':
    case 'mirror-drop':
      performMirror(cluster, node, action)
      return
    case 'make-challenge':
    case 'prove':
    case 'fault':
      performAudit(cluster, node, action)
      return
    case 'member': {
      const { state, id } = action.member
      if (state !== 'dead' || action.was === state) return
      cluster.deaths.push({ by: node, of: nodeOf(id), atMs: cluster.nowMs })
      return
    }
    case 'check-copy':
      later(cluster, node, SYNC_MS, () => {
        if (disk.blocks.get(action.key)?.corrupt === true) quarantine(cluster, node, action.key)
      })
      return
    case 'read-over': {
      const mirror = `${node} ${cluster.nodes[node]?.life} ${action.key}`
      const waiting = cluster.mirrors.waiting.get(mirror)
      cluster.mirrors.waiting.delete(mirror)
      for (const read of cluster.reads) {
        if (read.node !== node || read.key !== action.key) continue
        if (read.life === cluster.nodes[node]?.life) read.found ??= action.found
      }
      waiting?.(action.found)
      return
    }
  }
}

/** The core hears of what changed on disk, a while later. */
export function tellChanges(cluster: Cluster, node: number): void {
  later(cluster, node, SUMMARY_MS, () => {
    const changed = summaries(diskOf(cluster, node))
    if (changed.length > 0) feed(cluster, node, { type: 'summaries', summaries: changed })
  })
}

/** A copy is found damaged by a read or the scrubber: put aside, and the core told. */
export function quarantine(cluster: Cluster, node: number, key: BlockKey, replicas = 3): void {
  erase(diskOf(cluster, node), key)
  cluster.quarantined(node, key)
  tellChanges(cluster, node)
  feed(cluster, node, { type: 'lost', key, replicas })
}
