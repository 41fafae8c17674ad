/**
 * Writing: direct mail with receipts. Each block goes to its holders at once; one that is down, full or
 * silent is stood in for by the next in the order, so that one bad member delays nobody. Silent is who says
 * nothing for longer than answers take (`pace.ts`) while others do, or for `standInAfterMs`. What comes back
 * is counted in receipts, never in bytes sent.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import { type Holders, writeOrder } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'
import { createPace, type Pace, paced, patienceMs } from './pace.ts'

/** How many receipts a put waits for: N, a majority of N, or one. */
export type Ack = 'all' | 'quorum' | 'one'

/** What a member answered about one block that it was sent. */
export type SendOutcome = 'held' | 'absent' | 'full' | 'refused' | 'failed'

export type WriteAction =
  /** Send these blocks (or, where the put has no bytes for them, their claims). Answer with `answered`. */
  | { type: 'send-blocks'; transfer: number; put: number; to: PeerId; keys: BlockKey[] }
  /** The caller can be answered. Transfers may go on; `put-over` says when the bytes may be forgotten. */
  | { type: 'put-settled'; put: number; blocks: SettledBlock[] }
  | { type: 'put-over'; put: number; late: number[] }

/** Who was silent is asked again after so long: by then a member that has stopped is known to be dead. */
const SILENT_MS = 5_000

export interface SettledBlock {
  key: BlockKey
  receipts: PeerId[]
  wanted: number
  needed: number
  /** Somebody was asked to claim a block that it did not have. */
  absent: boolean
  /** Why it is short; undefined when it has all that were wanted. */
  reason: string | undefined
}

interface Wanting {
  key: BlockKey
  wanted: number
  receipts: Set<PeerId>
  /** Asked and not answered yet. */
  pending: Set<PeerId>
  /** Asked at all. */
  asked: Set<PeerId>
  /** Of those asked: whose transfer broke off. Asked again when nobody else is left. */
  broken: Set<PeerId>
  failures: string[]
  absent: boolean
  /** Bytes go along, so nobody can say truthfully that it lacks them. */
  bytes: boolean
}

interface Put {
  id: number
  ack: Ack
  blocks: Map<BlockKey, Wanting>
  /** Blocks that do not yet have what `ack` needs. */
  open: Set<BlockKey>
  transfers: Set<number>
  settled: boolean
  deadlineMs: number
  /** Times that broken transfers were tried again, and when the next one is. */
  resends: number
  resendAtMs: number
  /** Of the view by which its blocks were last looked at. */
  viewVersion: number
}

interface Transfer {
  put: number
  to: PeerId
  keys: Set<BlockKey>
  startedMs: number
  /** A stand-in was asked for what is left of it. */
  stoodIn: boolean
}

export interface Writes {
  readonly self: PeerId
  readonly config: Pick<DataConfig, 'standInLeastMs' | 'standInAfterMs' | 'putTimeoutMs' | 'resendAfterMs'>
  readonly puts: Map<number, Put>
  readonly transfers: Map<number, Transfer>
  /** When each member last answered anything: a long queue is not silence. */
  readonly heardMs: Map<PeerId, number>
  /** When another last did. */
  lastHeardMs: number
  /** How long answers take now. */
  readonly pace: Pace
  /** Stood in for since then, and not heard: whoever stands in is asked in its place. */
  readonly silent: Map<PeerId, number>
  nextTransfer: number
}

export function createWrites(self: PeerId, config: Writes['config']): Writes {
  const none = {
    puts: new Map(),
    transfers: new Map(),
    heardMs: new Map(),
    silent: new Map<PeerId, number>()
  }
  return { self, config, ...none, lastHeardMs: 0, pace: createPace(), nextTransfer: 1 }
}

export interface PutRequest {
  put: number
  ack: Ack
  /** `bytes`: they go along to every holder; else some may be asked to claim what they have. */
  entries: readonly { key: BlockKey; replicas: number; bytes?: boolean }[]
}

export function startPut(
  writes: Writes,
  holders: Holders,
  request: PutRequest,
  nowMs: number
): WriteAction[] {
  const blocks = new Map<BlockKey, Wanting>()
  for (const { key, replicas, bytes = false } of request.entries) {
    const wanted = Math.max(replicas, blocks.get(key)?.wanted ?? 1)
    const none = { receipts: new Set<PeerId>(), pending: new Set<PeerId>(), asked: new Set<PeerId>() }
    const nothing = { broken: new Set<PeerId>(), failures: [], absent: false }
    blocks.set(key, { key, wanted, bytes, ...none, ...nothing })
  }
  const put: Put = {
    id: request.put,
    ack: request.ack,
    blocks,
    open: new Set(blocks.keys()),
    transfers: new Set(),
    settled: false,
    deadlineMs: nowMs + writes.config.putTimeoutMs,
    resends: 0,
    resendAtMs: Number.POSITIVE_INFINITY,
    viewVersion: holders.version
  }
  writes.puts.set(put.id, put)
  return advance(writes, holders, put, [...blocks.values()], nowMs)
}

/** A member's answer for some of a transfer's blocks. */
export function onAnswered(
  writes: Writes,
  holders: Holders,
  answer: { transfer: number; items: readonly { key: BlockKey; outcome: SendOutcome; reason?: string }[] },
  nowMs: number
): WriteAction[] {
  const transfer = writes.transfers.get(answer.transfer)
  const put = transfer && writes.puts.get(transfer.put)
  if (transfer === undefined || put === undefined) return []
  if (transfer.to !== writes.self) {
    // our own disk is no measure of what others' take, behind a slow link
    paced(writes.pace, nowMs - quietSinceMs(writes, transfer))
    writes.lastHeardMs = nowMs
  }
  writes.heardMs.set(transfer.to, nowMs)
  writes.silent.delete(transfer.to)
  const touched: Wanting[] = []
  for (const { key, outcome, reason } of answer.items) {
    const block = put.blocks.get(key)
    if (block === undefined || !transfer.keys.delete(key)) continue
    block.pending.delete(transfer.to)
    if (outcome === 'held') block.receipts.add(transfer.to)
    else if (outcome === 'absent' && !block.bytes) block.absent = true
    else block.failures.push(`${transfer.to}: ${reason ?? outcome}`)
    touched.push(block)
  }
  if (transfer.keys.size === 0) dropTransfer(writes, put, answer.transfer)
  return advance(writes, holders, put, touched, nowMs)
}

/** A transfer ended; what it had not answered is asked of others. */
export function onSendEnded(
  writes: Writes,
  holders: Holders,
  ended: { transfer: number; reason: string },
  nowMs: number
): WriteAction[] {
  const transfer = writes.transfers.get(ended.transfer)
  const put = transfer && writes.puts.get(transfer.put)
  if (transfer === undefined || put === undefined) return []
  const left = [...transfer.keys].map((key) => put.blocks.get(key) as Wanting)
  for (const block of left) {
    block.pending.delete(transfer.to)
    block.broken.add(transfer.to)
    block.failures.push(`${transfer.to}: ${ended.reason}`)
  }
  dropTransfer(writes, put, ended.transfer)
  return advance(writes, holders, put, left, nowMs)
}

/** A member died: what it was sent is asked of others at once. */
export function writesForget(writes: Writes, holders: Holders, peer: PeerId, nowMs: number): WriteAction[] {
  const dead = [...writes.transfers].filter(([, { to }]) => to === peer).map(([transfer]) => transfer)
  writes.heardMs.delete(peer)
  writes.silent.delete(peer)
  return dead.flatMap((transfer) => onSendEnded(writes, holders, { transfer, reason: 'died' }, nowMs))
}

/** Nobody waits for it any more: nobody else is asked, and its bytes may be forgotten. */
export function cancelPut(writes: Writes, id: number): WriteAction[] {
  const put = writes.puts.get(id)
  if (put === undefined) return []
  const late = [...put.transfers]
  for (const transfer of late) writes.transfers.delete(transfer)
  writes.puts.delete(id)
  return [{ type: 'put-over', put: id, late }]
}

/** Stand-ins for what is silent, second tries, news of the members, and the end of what took too long. */
export function writesTick(writes: Writes, holders: Holders, nowMs: number): WriteAction[] {
  const actions: WriteAction[] = []
  for (const transfer of [...writes.transfers.values()]) {
    const put = writes.puts.get(transfer.put)
    if (put === undefined || transfer.stoodIn || nowMs < silentAtMs(writes, transfer)) continue
    transfer.stoodIn = true
    writes.silent.set(transfer.to, nowMs)
    const left = [...transfer.keys].map((key) => put.blocks.get(key) as Wanting)
    actions.push(...advance(writes, holders, put, left, nowMs))
  }
  for (const put of [...writes.puts.values()]) {
    if (nowMs >= put.deadlineMs) actions.push(...expire(writes, holders, put))
    else if (!put.settled) actions.push(...lookAgain(writes, holders, put, nowMs))
  }
  return actions
}

/** Members come, go and come back while a put waits: whoever can help now is asked. */
function lookAgain(writes: Writes, holders: Holders, put: Put, nowMs: number): WriteAction[] {
  const isDue = nowMs >= put.resendAtMs
  if (!isDue && put.viewVersion === holders.version) return []
  put.viewVersion = holders.version
  const open = [...put.open].map((key) => put.blocks.get(key) as Wanting)
  if (isDue) {
    put.resends++
    put.resendAtMs = Number.POSITIVE_INFINITY
    for (const { asked, broken } of open) {
      for (const peer of broken) asked.delete(peer)
      broken.clear()
    }
  }
  return advance(writes, holders, put, open, nowMs)
}

function expire(writes: Writes, holders: Holders, put: Put): WriteAction[] {
  const late = [...put.transfers]
  for (const id of late) writes.transfers.delete(id)
  put.transfers.clear()
  for (const block of put.blocks.values()) {
    for (const peer of block.pending) block.failures.push(`${peer}: no answer`)
    block.pending.clear()
  }
  return settle(writes, holders, put, late, true)
}

export function writesDeadline(writes: Writes): number {
  let next = Number.POSITIVE_INFINITY
  for (const transfer of writes.transfers.values()) {
    if (!transfer.stoodIn) next = Math.min(next, silentAtMs(writes, transfer))
  }
  for (const { deadlineMs, resendAtMs, settled } of writes.puts.values()) {
    next = Math.min(next, deadlineMs, settled ? deadlineMs : resendAtMs)
  }
  return next
}

function quietSinceMs({ heardMs }: Writes, { to, startedMs }: Transfer): number {
  return Math.max(startedMs, heardMs.get(to) ?? 0)
}

/** Where a link is what is slow, answers come as evenly as frames go out: one a little late is not silent. */
const TWICE = 2

/** While nobody answers, it may well be this node, or a disk that all share, that stands still. */
function silentAtMs(writes: Writes, transfer: Transfer): number {
  const { standInLeastMs, standInAfterMs } = writes.config
  const sinceMs = quietSinceMs(writes, transfer)
  if (writes.lastHeardMs <= sinceMs) return sinceMs + standInAfterMs
  return sinceMs + TWICE * patienceMs(writes.pace, standInLeastMs / TWICE, standInAfterMs / TWICE)
}

function dropTransfer(writes: Writes, put: Put, id: number): void {
  writes.transfers.delete(id)
  put.transfers.delete(id)
}

/** Asks as many more members as the blocks still need, then sees whether the put is done. */
function advance(
  writes: Writes,
  holders: Holders,
  put: Put,
  blocks: readonly Wanting[],
  nowMs: number
): WriteAction[] {
  const byPeer = new Map<PeerId, BlockKey[]>()
  for (const block of blocks) {
    for (const peer of nextTargets(writes, holders, { put, block, nowMs })) {
      block.asked.add(peer)
      block.pending.add(peer)
      const keys = byPeer.get(peer)
      if (keys === undefined) byPeer.set(peer, [block.key])
      else keys.push(block.key)
    }
  }
  const actions: WriteAction[] = []
  for (const [to, keys] of byPeer) {
    const transfer = writes.nextTransfer++
    const stoodIn = isKnownSilent(writes, to, nowMs)
    writes.transfers.set(transfer, { put: put.id, to, keys: new Set(keys), startedMs: nowMs, stoodIn })
    put.transfers.add(transfer)
    actions.push({ type: 'send-blocks', transfer, put: put.id, to, keys })
  }
  for (const block of put.settled ? [] : blocks) {
    const next = verdict(holders, put, block)
    if (next === 'done') put.open.delete(block.key)
    if (next !== 'resend' || put.resendAtMs !== Number.POSITIVE_INFINITY) continue
    put.resendAtMs = nowMs + writes.config.resendAfterMs * 2 ** put.resends
  }
  return [...actions, ...settle(writes, holders, put, [], false)]
}

function nextTargets(
  writes: Writes,
  holders: Holders,
  { put, block, nowMs }: { put: Put; block: Wanting; nowMs: number }
): PeerId[] {
  if (block.absent) return [] // a claim without bytes: whoever asked must send them
  let hopeful = block.receipts.size
  for (const peer of block.pending) if (!isSilent(writes, put, peer, block.key)) hopeful++
  const targets: PeerId[] = []
  if (hopeful >= block.wanted) return targets
  const known = (peer: PeerId) => isKnownSilent(writes, peer, nowMs)
  const order = writeOrder(holders, slotOf(block.key), block.wanted).filter((peer) => !block.asked.has(peer))
  for (const peer of order) if (!known(peer) && hopeful++ < block.wanted) targets.push(peer)
  if (hopeful < block.wanted) targets.push(...order.filter(known)) // nobody else can be asked
  return targets
}

function isKnownSilent({ silent }: Writes, peer: PeerId, nowMs: number): boolean {
  return nowMs < (silent.get(peer) ?? Number.NEGATIVE_INFINITY) + SILENT_MS
}

function isSilent(writes: Writes, put: Put, peer: PeerId, key: BlockKey): boolean {
  for (const id of put.transfers) {
    const transfer = writes.transfers.get(id) as Transfer
    if (transfer.to === peer && transfer.keys.has(key)) return transfer.stoodIn
  }
  return false
}

/** What `ack` needs, never more than there are members that could give it. */
function neededFor(holders: Holders, put: Put, block: Wanting): number {
  const { wanted } = block
  const asked = put.ack === 'all' ? wanted : put.ack === 'quorum' ? Math.floor(wanted / 2) + 1 : 1
  const living = writeOrder(holders, slotOf(block.key), wanted).length
  return Math.max(1, Math.min(asked, living))
}

/** Enough receipts or nobody left that could give one; or an answer is due; or only a second try can help. */
function verdict(holders: Holders, put: Put, block: Wanting): 'done' | 'wait' | 'resend' {
  const { receipts, wanted, pending, absent, broken, key } = block
  const needed = neededFor(holders, put, block)
  if (receipts.size >= (put.ack === 'all' ? wanted : needed)) return 'done'
  if (absent) return 'done' // whatever the others say, its bytes must be sent
  if (pending.size > 0) return 'wait'
  if (receipts.size >= needed || put.resends >= LIMITS.resends) return 'done'
  return writeOrder(holders, slotOf(key), wanted).some((peer) => broken.has(peer)) ? 'resend' : 'done'
}

function settle(writes: Writes, holders: Holders, put: Put, late: number[], expired: boolean): WriteAction[] {
  const actions: WriteAction[] = []
  if (!put.settled && (put.open.size === 0 || expired)) {
    put.settled = true
    const blocks = [...put.blocks.values()].map((block) => ({
      key: block.key,
      receipts: [...block.receipts],
      wanted: block.wanted,
      needed: neededFor(holders, put, block),
      absent: block.absent,
      reason: block.receipts.size >= block.wanted ? undefined : whyShort(block)
    }))
    actions.push({ type: 'put-settled', put: put.id, blocks })
  }
  if (put.settled && put.transfers.size === 0) {
    writes.puts.delete(put.id)
    actions.push({ type: 'put-over', put: put.id, late })
  }
  return actions
}

function whyShort({ failures, pending }: Wanting): string {
  if (failures.length > 0) return failures.slice(-3).join('; ')
  return pending.size > 0 ? 'still waiting for receipts' : 'waiting for a member'
}
