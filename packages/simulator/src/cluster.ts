/**
 * Simulated nodes with the whole core: members, a disk each, and the bulk transfers between them. What
 * the shell does with libp2p and a store, this does in virtual time, action for action.
 */
import { createHash } from 'node:crypto'
import {
  type Ack,
  append,
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
  type FetchOutcome,
  type HeldClaim,
  MESSAGE_BYTES_MAX,
  type Message,
  type Core as NodeCore,
  type PeerId,
  type SendOutcome,
  type SettledBlock,
  type Tally,
  toUtf8,
  type Writer
} from '@cairn/core'
import { createDisk, erase, hasRoom, listSlot, type SimulatedDisk, store, summaries } from './disk.ts'
import { factsOf, seals } from './members.ts'
import { delayMs, type Link, reaches } from './network.ts'
import { enqueue } from './queue.ts'
import { createSimulation, feed, nodeOf, peerOf, type Simulation } from './run.ts'

/** Of a write with its sync, and of a read. Of an SSD, roughly. */
const DISK_MS = 2
/** Between a change on disk and the core hearing of it: the shell gathers changes for as long. */
const SUMMARY_MS = 100
/** Per block on a link, ms: 1 MiB at some 100 MB/s. */
const BLOCK_MS = 10
/** A transfer that moves nothing for this long is broken off, as the shell does. */
const STALL_MS = 10_000

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
  /** The node that took it, in which of its lives, and when. */
  readonly by: { node: number; life: number }
  readonly startedMs: number
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
}

export interface Cluster extends Simulation<Message, CoreEvent, CoreAction> {
  readonly cores: NodeCore[]
  readonly disks: SimulatedDisk[]
  readonly puts: Map<number, Put & { claims: Map<BlockKey, HeldClaim>; bytes: boolean }>
  readonly surveys: Map<number, { tally: Tally; silent: PeerId[] }>
  readonly reads: Read[]
  /** Blocks moved by repair, in all. */
  repaired: number
  nextId: number
}

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(createHash('sha256').update(bytes).digest())

const messages = {
  write: (out: Writer, message: Message) => append(out, encodeMessage(message)),
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
  const maps = { puts: new Map(), surveys: new Map(), reads: [] }
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
  const by = { node, life: cluster.nodes[node]?.life ?? 0 }
  const record = { by, startedMs: cluster.nowMs, settled: undefined, settlements: 0, overs: 0, claims, bytes }
  cluster.puts.set(id, record)
  feed(cluster, node, { type: 'put', put: id, ack, entries: keys.map((key) => ({ key, replicas, bytes })) })
  return record
}

/** A client reads a block through a node that does not have it. */
export function read(cluster: Cluster, node: number, key: BlockKey, replicas = 3): Read {
  const record: Read = { node, life: cluster.nodes[node]?.life ?? 0, key, found: undefined }
  cluster.reads.push(record)
  feed(cluster, node, { type: 'want', key, replicas })
  return record
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
    case 'check-copy':
      later(cluster, node, DISK_MS, () => {
        if (disk.blocks.get(action.key)?.corrupt === true) quarantine(cluster, node, action.key)
      })
      return
    case 'read-over':
      for (const read of cluster.reads) {
        if (read.node !== node || read.key !== action.key) continue
        if (read.life === cluster.nodes[node]?.life) read.found ??= action.found
      }
      return
  }
}

/**
 * Runs `arrive` after so long if the bytes get from one node to the other, else tells `fail` at the node
 * that began the transfer: soon when the other is known to be gone, late when it is only silent.
 */
function across(
  cluster: Cluster,
  { from, to, owner, ms }: { from: number; to: number; owner: number; ms: number },
  arrive: () => void,
  fail: (reason: string) => void
): void {
  const [source, target] = [cluster.nodes[from], cluster.nodes[to]]
  const life = target?.life
  const lost = (reason: string, afterMs: number) => later(cluster, owner, afterMs, () => fail(reason))
  if (!source?.up) return
  if (from === to) {
    later(cluster, to, ms, arrive)
    return
  }
  enqueue(cluster.queue, cluster.nowMs + ms, () => {
    if (!target?.up || cluster.nodes[to]?.life !== life) lost('closed', delayMs(cluster.network))
    else if (!reaches(cluster.network, from, to) || !reaches(cluster.network, to, from)) {
      lost('stalled', STALL_MS)
    } else if (target.heldUntilMs > cluster.nowMs) {
      lost('stalled', STALL_MS)
      const heldMs = target.heldUntilMs - cluster.nowMs
      if (heldMs < Number.POSITIVE_INFINITY) later(cluster, to, heldMs + 1, arrive)
    } else arrive()
  })
}

function sendBlocks(cluster: Cluster, node: number, action: CoreAction & { type: 'send-blocks' }): void {
  const { transfer, keys } = action
  const to = nodeOf(action.to)
  const fail = (reason: string) => feed(cluster, node, { type: 'send-ended', transfer, reason })
  const record = cluster.puts.get(action.put)
  const wayMs = to === node ? 0 : delayMs(cluster.network) + keys.length * BLOCK_MS
  const way = { from: node, to, owner: node, ms: wayMs + DISK_MS }
  const answer = () => {
    const items = keys.map((key) => {
      const claim = record?.claims.get(key)
      const outcome = keep(cluster, to, key, { bytes: record?.bytes === true, claims: claim ? [claim] : [] })
      return { key, outcome }
    })
    const kept = items.filter(({ outcome }) => outcome === 'held').map(({ key }) => key)
    feed(cluster, to, { type: 'stored', keys: kept })
    const back = { from: to, to: node, owner: node, ms: to === node ? 0 : delayMs(cluster.network) }
    across(cluster, back, () => feed(cluster, node, { type: 'answered', transfer, items }), fail)
  }
  across(cluster, way, answer, fail)
}

/** Stores a block, or claims on one that is held, as far as there is room; a full node says so. */
function keep(
  cluster: Cluster,
  node: number,
  key: BlockKey,
  { bytes, claims, size = 2 ** 20 }: { bytes: boolean; claims: readonly HeldClaim[]; size?: number }
): SendOutcome {
  const disk = diskOf(cluster, node)
  const known = disk.blocks.has(key)
  if (!known && !bytes) return 'absent'
  if (!known && !hasRoom(disk)) {
    feed(cluster, node, { type: 'describe', facts: { full: true } })
    return 'full'
  }
  store(disk, key, size, claims)
  tellChanges(cluster, node)
  return 'held'
}

function fetchBlocks(cluster: Cluster, node: number, action: CoreAction & { type: 'fetch-blocks' }): void {
  const { transfer, keys, purpose } = action
  const from = nodeOf(action.from)
  const fail = (reason: string) => feed(cluster, node, { type: 'fetch-ended', transfer, reason })
  keys.forEach((key, i) => {
    const askMs = delayMs(cluster.network) + DISK_MS + (i + 1) * BLOCK_MS
    const give = () => {
      const block = diskOf(cluster, from).blocks.get(key)
      const take = () => {
        let outcome: FetchOutcome = block === undefined ? 'absent' : block.corrupt ? 'corrupt' : 'held'
        if (outcome === 'held' && purpose === 'repair' && block !== undefined) {
          const { claims, size } = block
          if (keep(cluster, node, key, { bytes: true, claims, size }) !== 'held') outcome = 'failed'
          else cluster.repaired++
        }
        feed(cluster, node, { type: 'fetched', transfer, key, outcome })
      }
      across(cluster, { from, to: node, owner: node, ms: delayMs(cluster.network) }, take, fail)
    }
    across(cluster, { from: node, to: from, owner: node, ms: askMs }, give, fail)
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
