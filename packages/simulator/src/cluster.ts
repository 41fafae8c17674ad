/**
 * Simulated nodes with the whole core: members, a disk each, and the bulk transfers between them. What
 * the shell does with libp2p and a store, this does in virtual time, action for action.
 */
import { createHash } from 'node:crypto'
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
  type HeldClaim,
  MESSAGE_BYTES_MAX,
  type Message,
  type Core as NodeCore,
  type PeerId,
  type SendOutcome,
  type SettledBlock,
  type Tally,
  toUtf8
} from '@cairn/core'
import { createDisk, erase, listSlot, type SimulatedDisk, store, summaries } from './disk.ts'
import { factsOf, seals } from './members.ts'
import { delayMs, isConnected, type Link, reaches } from './network.ts'
import { enqueue } from './queue.ts'
import { createSimulation, feed, nodeOf, peerOf, type Simulation } from './run.ts'

/** Of a write with its sync, and of a read. Of an SSD, roughly. */
const DISK_MS = 2
/** Between a change on disk and the core hearing of it: the shell gathers changes for as long. */
const SUMMARY_MS = 100
/** Per block on a link, ms: 1 MiB at some 100 MB/s. */
const BLOCK_MS = 10

export interface ClusterOptions {
  seed: number
  nodes: number
  link: Link
  config?: Partial<Config>
  /** Of node i; one TiB by default. */
  capacity?: (node: number) => number
  zone?: (node: number) => string | undefined
}

export interface Put {
  settled: SettledBlock[] | undefined
  over: boolean
}

export interface Cluster extends Simulation<Message, CoreEvent, CoreAction> {
  readonly cores: NodeCore[]
  readonly disks: SimulatedDisk[]
  readonly puts: Map<number, Put & { claims: Map<BlockKey, HeldClaim>; bytes: boolean }>
  readonly surveys: Map<number, { tally: Tally; silent: PeerId[] }>
  readonly reads: Map<string, boolean>
  /** Blocks moved by repair, in all. */
  repaired: number
  nextId: number
}

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(createHash('sha256').update(bytes).digest())

const messages = {
  write: (out: number[], message: Message) => void out.push(...encodeMessage(message)),
  read: (from: { bytes: Uint8Array; offset: number }) => {
    const message = decodeMessage(from.bytes.subarray(from.offset))
    from.offset = from.bytes.length
    return message
  }
}

export function simulateCluster(options: ClusterOptions): Cluster {
  const { seed, nodes, link } = options
  const cores: NodeCore[] = []
  const disks = Array.from({ length: nodes }, () => createDisk(sha256))
  const sim = createSimulation<Message, CoreEvent, CoreAction>({
    ...{ seed, nodes, link, codec: messages, messageBytesMax: MESSAGE_BYTES_MAX },
    create(node, life, random, nowMs) {
      const id = peerOf(node)
      const capacity = options.capacity?.(node) ?? 2 ** 40
      const facts = { ...factsOf(node), capacity, zone: options.zone?.(node) }
      const crypto = { sha256, ...seals(id) }
      const config = { ...options.config }
      const core = createCore({ id, facts, incarnation: life, config, random, crypto }, nowMs)
      cores[node] = core
      return { step: (event, atMs) => coreStep(core, event, atMs), deadline: () => coreDeadline(core) }
    },
    observe: (node, action) => perform(cluster, node, action)
  })
  const maps = { puts: new Map(), surveys: new Map(), reads: new Map() }
  const cluster: Cluster = Object.assign(sim, { cores, disks, ...maps, repaired: 0, nextId: 1 })
  return cluster
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
    const digest = sha256(toUtf8(`${cluster.options.seed} ${cluster.nextId++}`))
    return blockKey(Uint8Array.of(0x12, 32, ...digest))
  })
}

/** A client puts blocks through a node. */
export function put(
  cluster: Cluster,
  node: number,
  keys: readonly BlockKey[],
  { replicas = 3, ack = 'all', bytes = true }: { replicas?: number; ack?: Ack; bytes?: boolean } = {}
): Put {
  const id = cluster.nextId++
  const claim = {
    claimant: `01${'0'.repeat(56)}${id.toString(16).padStart(8, '0')}`,
    sequence: 1,
    live: true
  }
  const claims = new Map(keys.map((key) => [key, { ...claim, replicas, proof: new Uint8Array() }]))
  const record = { settled: undefined, over: false, claims, bytes }
  cluster.puts.set(id, record)
  feed(cluster, node, { type: 'put', put: id, ack, entries: keys.map((key) => ({ key, replicas })) })
  return record
}

/** A client reads a block through a node that does not have it; `cluster.reads` says how it ended. */
export function read(cluster: Cluster, node: number, key: BlockKey, replicas = 3): void {
  feed(cluster, node, { type: 'want', key, replicas })
}

/** Nodes that are up and hold an undamaged copy. */
export function copiesOf(cluster: Cluster, key: BlockKey): number[] {
  return [...cluster.nodes.keys()].filter((node) => {
    const block = diskOf(cluster, node).blocks.get(key)
    return cluster.nodes[node]?.up && block !== undefined && !block.corrupt
  })
}

function later(cluster: Cluster, node: number, ms: number, run: () => void): void {
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
    case 'list-slot':
      later(cluster, node, DISK_MS, () => {
        const { token, slot, after, limit } = action
        feed(cluster, node, { type: 'listed', token, entries: listSlot(disk, slot, after, limit) })
      })
      return
    case 'look-up':
      later(cluster, node, DISK_MS, () => {
        const found = new Map<BlockKey, { claims: string }>()
        for (const key of action.keys) {
          const block = disk.blocks.get(key)
          if (block !== undefined) found.set(key, { claims: claimsDigest(block.claims, sha256) })
        }
        feed(cluster, node, { type: 'looked-up', token: action.token, found })
      })
      return
    case 'put-settled':
      ;(cluster.puts.get(action.put) as Put).settled = action.blocks
      return
    case 'put-over':
      ;(cluster.puts.get(action.put) as Put).over = true
      return
    case 'surveyed':
      cluster.surveys.set(action.request, action)
      return
    case 'read-over':
      cluster.reads.set(`${node} ${action.key}`, action.found)
      return
  }
}

/** Whether a transfer begun now gets through; when not, whether its sender notices. */
function linkTo(cluster: Cluster, from: number, to: number): 'open' | 'silent' | 'refused' {
  const peer = cluster.nodes[to]
  if (!peer?.up) return 'refused'
  const blocked = !reaches(cluster.network, from, to) || !reaches(cluster.network, to, from)
  if (blocked) return isConnected(cluster.network, from, to) ? 'silent' : 'refused'
  return peer.heldUntilMs > cluster.nowMs ? 'silent' : 'open'
}

function sendBlocks(cluster: Cluster, node: number, action: CoreAction & { type: 'send-blocks' }): void {
  const { transfer, keys } = action
  const to = nodeOf(action.to)
  const link = to === node ? 'open' : linkTo(cluster, node, to)
  const fail = () => feed(cluster, node, { type: 'send-ended', transfer, reason: 'unreachable' })
  if (link === 'silent') return
  if (link === 'refused') {
    later(cluster, node, delayMs(cluster.network), fail)
    return
  }
  const record = cluster.puts.get(action.put)
  const wayMs = to === node ? 0 : delayMs(cluster.network) + keys.length * BLOCK_MS
  later(cluster, to, wayMs + DISK_MS, () => {
    const items = keys.map((key) => {
      const known = diskOf(cluster, to).blocks.has(key)
      const claim = record?.claims.get(key)
      const outcome: SendOutcome = record?.bytes || known ? 'held' : 'absent'
      if (outcome === 'held') store(diskOf(cluster, to), key, 2 ** 20, claim === undefined ? [] : [claim])
      return { key, outcome }
    })
    tellChanges(cluster, to)
    feed(cluster, to, { type: 'stored', keys })
    if (linkTo(cluster, to, node) !== 'open') return
    later(cluster, node, to === node ? 0 : delayMs(cluster.network), () => {
      feed(cluster, node, { type: 'answered', transfer, items })
    })
  })
}

function fetchBlocks(cluster: Cluster, node: number, action: CoreAction & { type: 'fetch-blocks' }): void {
  const { transfer, keys, purpose } = action
  const from = nodeOf(action.from)
  const link = linkTo(cluster, node, from)
  const end = (reason?: string) => feed(cluster, node, { type: 'fetch-ended', transfer, reason })
  if (link === 'silent') return
  if (link === 'refused') {
    later(cluster, node, delayMs(cluster.network), () => end('unreachable'))
    return
  }
  keys.forEach((key, i) => {
    later(cluster, from, delayMs(cluster.network) + DISK_MS + (i + 1) * BLOCK_MS, () => {
      const block = diskOf(cluster, from).blocks.get(key)
      if (linkTo(cluster, from, node) !== 'open') return
      later(cluster, node, delayMs(cluster.network), () => {
        const outcome = block === undefined ? 'absent' : block.corrupt ? 'corrupt' : 'held'
        if (outcome === 'held' && purpose === 'repair' && block !== undefined) {
          store(diskOf(cluster, node), key, block.size, block.claims)
          tellChanges(cluster, node)
          cluster.repaired++
        }
        feed(cluster, node, { type: 'fetched', transfer, key, outcome })
      })
    })
  })
}

function tellChanges(cluster: Cluster, node: number): void {
  later(cluster, node, SUMMARY_MS, () => {
    const changed = summaries(diskOf(cluster, node))
    if (changed.length > 0) feed(cluster, node, { type: 'summaries', summaries: changed })
  })
}

/** A copy is found damaged by a read or the scrubber: put aside, and the core told. */
export function quarantine(cluster: Cluster, node: number, key: BlockKey, replicas = 3): void {
  erase(diskOf(cluster, node), key)
  tellChanges(cluster, node)
  feed(cluster, node, { type: 'lost', key, replicas })
}
