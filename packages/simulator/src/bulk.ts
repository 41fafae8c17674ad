/**
 * The bulk transfers between simulated nodes, as the shell makes them: bytes take their time on links that
 * others use too, are verified where they arrive, and are answered for once they are synced.
 */
import {
  type BlockKey,
  type CoreAction,
  type FetchOutcome,
  type HeldClaim,
  isLettingGo,
  type SendOutcome,
  sharedClaims
} from '@cairn/core'
import { noteRequest } from './audits.ts'
import { type Cluster, diskOf, later, quarantine, tellChanges } from './cluster.ts'
import { addClaims, hasRoom, sync, write } from './disk.ts'
import { delayMs, occupy, reaches } from './network.ts'
import { enqueue } from './queue.ts'
import { feed, nodeOf } from './run.ts'

/** A transfer that moves nothing for this long is broken off, as the shell does. */
const STALL_MS = 10_000
/** Of a block that claims alone are sent for. */
const CLAIM_BYTES = 300

interface Way {
  from: number
  to: number
  /** The node that began the transfer. */
  owner: number
  ms: number
}

/**
 * Runs `arrive` after so long if the bytes get from one node to the other, else tells `fail` at the node
 * that began the transfer: soon when the other is known to be gone, late when it is only silent.
 */
export function across(
  cluster: Cluster,
  { from, to, owner, ms }: Way,
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

/** How long a block takes from one node to another: what is on its way already goes first. */
function wayMs(cluster: Cluster, from: number, to: number, bytes: number): number {
  if (from === to) return 0
  return (
    delayMs(cluster.network) + occupy(cluster.network, { from, to, bytes }, cluster.nowMs) - cluster.nowMs
  )
}

/** Blocks that are sent and answered for together: what one group commit takes. */
const FRAME_KEYS = 8

/** Sends frame after frame, so that what goes to others has its turn in between. */
export function sendBlocks(
  cluster: Cluster,
  node: number,
  action: CoreAction & { type: 'send-blocks' },
  first = 0
): void {
  const { transfer } = action
  const to = nodeOf(action.to)
  const keys = action.keys.slice(first, first + FRAME_KEYS)
  const fail = (reason: string) => feed(cluster, node, { type: 'send-ended', transfer, reason })
  const record = cluster.puts.get(action.put)
  const bytes = record?.bytes === true
  const size = record?.size ?? 0
  const ms = wayMs(cluster, node, to, keys.length * (bytes ? size : CLAIM_BYTES))
  const isGood = !cluster.garbling.has(node)
  const answer = (items: { key: BlockKey; outcome: SendOutcome }[]) => {
    const kept = items.filter(({ outcome }) => outcome === 'held').map(({ key }) => key)
    feed(cluster, to, { type: 'stored', keys: kept })
    const back = { from: to, to: node, owner: node, ms: to === node ? 0 : delayMs(cluster.network) }
    across(cluster, back, () => feed(cluster, node, { type: 'answered', transfer, items }), fail)
    for (const key of kept) record?.signedMs.set(`${to} ${key}`, cluster.nowMs)
    cluster.receipted(to, kept)
  }
  const take = () => {
    const items = keys.map((key) => {
      const claim = record?.claims.get(key)
      return { key, outcome: keep(cluster, to, key, { bytes, isGood, claims: claim ? [claim] : [], size }) }
    })
    synced(cluster, to, () => answer(items))
  }
  across(cluster, { from: node, to, owner: node, ms }, take, fail)
  const next = first + FRAME_KEYS
  if (next < action.keys.length) later(cluster, node, ms, () => sendBlocks(cluster, node, action, next))
}

interface Sent {
  bytes: boolean
  /** They are what the key says. */
  isGood: boolean
  claims: readonly HeldClaim[]
  size: number
}

/** Writes a block, or claims on one that is held, as far as there is room; a full node says so. */
function keep(cluster: Cluster, node: number, key: BlockKey, sent: Sent): SendOutcome {
  const { bytes, isGood, claims, size } = sent
  const disk = diskOf(cluster, node)
  const known = disk.blocks.has(key)
  const core = cluster.cores[node]
  if (core !== undefined && isLettingGo(core, key)) return 'failed'
  if (!known && !bytes) return 'absent'
  if (bytes && !isGood) return 'refused'
  if (!known && !hasRoom(disk)) {
    feed(cluster, node, { type: 'describe', facts: { full: true } })
    return 'full'
  }
  if (!bytes)
    addClaims(disk, key, claims) // at once: it may be collected before the next sync
  else write(disk, key, { size, claims, corrupt: !isGood })
  return 'held'
}

/** Runs once all that was written is on disk. */
function synced(cluster: Cluster, node: number, then: () => void): void {
  const disk = diskOf(cluster, node)
  later(cluster, node, disk.syncMs, () => {
    sync(disk, cluster.nowMs)
    tellChanges(cluster, node)
    then()
  })
}

export function fetchBlocks(
  cluster: Cluster,
  node: number,
  action: CoreAction & { type: 'fetch-blocks' }
): void {
  const { transfer, keys, purpose } = action
  const from = nodeOf(action.from)
  const fail = (reason: string) => feed(cluster, node, { type: 'fetch-ended', transfer, reason })
  const id = `${node} ${cluster.nodes[node]?.life} ${transfer}`
  const isGood = !cluster.garbling.has(from)
  const life = cluster.nodes[from]?.life
  const told = (key: BlockKey, outcome: FetchOutcome) => {
    if (outcome === 'held') cluster.delivered(node, key, isGood)
    feed(cluster, node, { type: 'fetched', transfer, key, outcome })
  }
  const take = (key: BlockKey, block: { size: number; claims: readonly HeldClaim[] }) => {
    if (!isGood) return told(key, 'corrupt')
    if (purpose === 'read') return told(key, 'held')
    const claims = sharedClaims(block.claims)
    if (claims.length === 0) return told(key, 'failed') // a mirror's copy proves nothing to a holder
    const outcome = keep(cluster, node, key, { ...block, claims, bytes: true, isGood })
    if (outcome !== 'held') return told(key, 'failed')
    cluster.repaired++
    cluster.repairedBytes += block.size
    synced(cluster, node, () => told(key, 'held'))
  }
  const give = (at: number) => {
    const key = keys[at]
    if (key === undefined || cluster.cancelled.has(id)) return
    noteRequest(cluster, { from: node, at: from, key })
    const block = readBlock(cluster, from, key)
    const ms = wayMs(cluster, from, node, block?.size ?? 0)
    const back = { from, to: node, owner: node, ms }
    across(cluster, back, () => (block === undefined ? told(key, 'absent') : take(key, block)), fail)
    // The next block follows this one, unless its sender is gone: then the connection is closed.
    const sentMs = Math.max(cluster.nowMs, Math.ceil(cluster.network.upMs[from] ?? 0))
    enqueue(cluster.queue, sentMs, () => {
      if (cluster.nodes[from]?.up && cluster.nodes[from]?.life === life) give(at + 1)
      else later(cluster, node, delayMs(cluster.network), () => fail('closed'))
    })
  }
  across(
    cluster,
    { from: node, to: from, owner: node, ms: delayMs(cluster.network) + 1 },
    () => give(0),
    fail
  )
}

/** A copy as a node gives it away: verified, and put aside when it is damaged. */
function readBlock(cluster: Cluster, node: number, key: BlockKey) {
  const { blocks, dropped } = diskOf(cluster, node)
  const block = dropped.has(key) ? undefined : blocks.get(key)
  if (block?.corrupt !== true) return block
  quarantine(cluster, node, key)
  return undefined
}
