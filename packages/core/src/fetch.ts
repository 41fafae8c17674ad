/**
 * Fetching: which member each wanted block is asked of, and who is asked next. Reads and repair share
 * it: a read goes to the nearest holder that answers and is hedged when that one falls silent; a repair
 * goes to a member known to have the block, fewest living copies first, within a budget.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import { actingHolders, type Holders, readOrder } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'

export type FetchPurpose = 'read' | 'repair'

/** What came of one block asked of one member. `corrupt`: bytes that are not the block's. */
export type FetchOutcome = 'held' | 'absent' | 'corrupt' | 'failed'

export type FetchAction =
  /** Fetch these blocks; answer each with `fetched`, and the end of the transfer with `fetch-ended`. */
  | { type: 'fetch-blocks'; transfer: number; from: PeerId; keys: BlockKey[]; purpose: FetchPurpose }
  | { type: 'cancel-fetch'; transfer: number }
  /** A read is over: the bytes were handed up already, or nobody had them. */
  | { type: 'read-over'; key: BlockKey; found: boolean; tried: Tried[] }

/** Who was asked for a block, and what was wrong. */
export interface Tried {
  peer: PeerId
  outcome: FetchOutcome | 'silent'
  reason: string | undefined
}

interface Want {
  key: BlockKey
  /** A read is waiting for it. */
  reading: boolean
  /** N, by which its holders are known; for a read, the network's. */
  replicas: number
  /** Living copies as far as known: fewest first. */
  copies: number
  /** Members that said that they have it. */
  sources: Set<PeerId>
  asked: Set<PeerId>
  pending: Set<PeerId>
  tried: Tried[]
  /** Not before this: it may be on its way, or its last holder may come back. */
  notBeforeMs: number
  deadlineMs: number
  attempts: number
}

interface Transfer {
  from: PeerId
  keys: Set<BlockKey>
  purpose: FetchPurpose
  startedMs: number
  hedged: boolean
}

export interface Fetches {
  readonly config: DataConfig
  readonly self: PeerId
  readonly wants: Map<BlockKey, Want>
  readonly transfers: Map<number, Transfer>
  readonly peers: Map<PeerId, PeerLoad>
  /** Keys of wants that only repair waits for, and that are under way. */
  repairing: number
  nextTransfer: number
  /** When some want may start, at the earliest. */
  wakeMs: number
}

interface PeerLoad {
  pending: number
  heardMs: number
  /** Smoothed time from asking to the first block, ms (RFC 6298's 1/8). */
  latencyMs: number
}

export function createFetches(self: PeerId, config: DataConfig): Fetches {
  const maps = { wants: new Map(), transfers: new Map(), peers: new Map() }
  return { config, self, ...maps, repairing: 0, nextTransfer: 1, wakeMs: Number.POSITIVE_INFINITY }
}

export interface WantRequest {
  key: BlockKey
  purpose: FetchPurpose
  replicas: number
  copies: number
  /** Somebody who said that it has the block. */
  source?: PeerId
  notBeforeMs: number
}

/** Wants a block, or adds to what is known of one already wanted. */
export function want(fetches: Fetches, request: WantRequest, nowMs: number): void {
  const { key, purpose, source } = request
  let known = fetches.wants.get(key)
  if (known === undefined) {
    if (purpose === 'repair' && fetches.wants.size >= LIMITS.repairQueue) return // found again by comparing
    known = {
      ...{ key, reading: false, replicas: request.replicas, copies: request.copies },
      ...{ sources: new Set(), asked: new Set(), pending: new Set(), tried: [], attempts: 0 },
      ...{ notBeforeMs: request.notBeforeMs, deadlineMs: Number.POSITIVE_INFINITY }
    }
    fetches.wants.set(key, known)
  }
  if (source !== undefined) {
    known.sources.add(source)
    if (!known.pending.has(source)) known.asked.delete(source)
  }
  known.copies = Math.min(known.copies, request.copies)
  known.notBeforeMs = Math.min(known.notBeforeMs, request.notBeforeMs)
  if (purpose === 'read' && !known.reading) {
    known.reading = true
    known.notBeforeMs = nowMs
    known.deadlineMs = nowMs + fetches.config.readTimeoutMs
    known.asked = new Set(known.pending)
    known.tried = []
    fetches.repairing -= known.pending.size
  }
  fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
}

/** The block is here: nobody needs to fetch it any more. */
export function unwant(fetches: Fetches, key: BlockKey): FetchAction[] {
  const known = fetches.wants.get(key)
  if (known === undefined) return []
  forget(fetches, known)
  return known.reading ? [{ type: 'read-over', key, found: true, tried: known.tried }] : []
}

/** Whether a block is wanted, and by a read. */
export function isWanted(fetches: Fetches, key: BlockKey): 'read' | 'repair' | undefined {
  const known = fetches.wants.get(key)
  return known && (known.reading ? 'read' : 'repair')
}

export function onFetched(
  fetches: Fetches,
  got: { transfer: number; key: BlockKey; outcome: FetchOutcome; reason?: string },
  nowMs: number
): FetchAction[] {
  const transfer = fetches.transfers.get(got.transfer)
  if (transfer === undefined || !transfer.keys.has(got.key)) return []
  const load = loadOf(fetches, transfer.from)
  load.heardMs = nowMs
  load.latencyMs += (nowMs - transfer.startedMs - load.latencyMs) / 8
  answered(fetches, transfer, got.key, nowMs)
  const known = fetches.wants.get(got.key)
  if (known === undefined) return []
  if (got.outcome === 'held') return unwant(fetches, got.key)
  known.tried.push({ peer: transfer.from, outcome: got.outcome, reason: got.reason })
  known.sources.delete(transfer.from)
  fetches.wakeMs = nowMs
  return []
}

export function onFetchEnded(
  fetches: Fetches,
  ended: { transfer: number; reason: string | undefined },
  nowMs: number
): void {
  const transfer = fetches.transfers.get(ended.transfer)
  if (transfer === undefined) return
  for (const key of [...transfer.keys]) {
    answered(fetches, transfer, key, nowMs)
    fetches.wants.get(key)?.tried.push({ peer: transfer.from, outcome: 'failed', reason: ended.reason })
  }
  fetches.transfers.delete(ended.transfer)
  fetches.wakeMs = nowMs
}

/** Starts what may start, hedges what fell silent, gives up what took too long. */
export function fetchTick(fetches: Fetches, holders: Holders, nowMs: number): FetchAction[] {
  const actions: FetchAction[] = []
  for (const transfer of fetches.transfers.values()) {
    if (!transfer.hedged && nowMs >= silentAtMs(fetches, transfer)) {
      transfer.hedged = true
      fetches.wakeMs = nowMs
    }
  }
  if (fetches.wakeMs > nowMs) return actions
  fetches.wakeMs = Number.POSITIVE_INFINITY
  const batches = new Map<string, { from: PeerId; purpose: FetchPurpose; keys: BlockKey[] }>()
  for (const known of inUrgency(fetches, nowMs)) {
    if (nowMs >= known.deadlineMs) actions.push(...giveUp(fetches, known))
    else assign(fetches, holders, known, batches, nowMs, actions)
  }
  for (const { from, purpose, keys } of batches.values()) {
    for (let i = 0; i < keys.length; i += LIMITS.fetchKeys) {
      const some = keys.slice(i, i + LIMITS.fetchKeys)
      const transfer = fetches.nextTransfer++
      fetches.transfers.set(transfer, { from, keys: new Set(some), purpose, startedMs: nowMs, hedged: false })
      actions.push({ type: 'fetch-blocks', transfer, from, keys: some, purpose })
    }
  }
  return actions
}

export function fetchDeadline(fetches: Fetches): number {
  let next = fetches.wakeMs
  for (const transfer of fetches.transfers.values()) {
    if (!transfer.hedged) next = Math.min(next, silentAtMs(fetches, transfer))
  }
  return next
}

/** A member died: what was asked of it is asked of others. */
export function fetchForget(fetches: Fetches, peer: PeerId, nowMs: number): FetchAction[] {
  const actions: FetchAction[] = []
  for (const [id, { from }] of [...fetches.transfers]) {
    if (from !== peer) continue
    onFetchEnded(fetches, { transfer: id, reason: 'died' }, nowMs)
    actions.push({ type: 'cancel-fetch', transfer: id })
  }
  for (const known of fetches.wants.values()) known.sources.delete(peer)
  fetches.peers.delete(peer)
  return actions
}

function silentAtMs(fetches: Fetches, { from, startedMs }: Transfer): number {
  return Math.max(startedMs, fetches.peers.get(from)?.heardMs ?? 0) + fetches.config.hedgeAfterMs
}

function loadOf(fetches: Fetches, peer: PeerId): PeerLoad {
  let load = fetches.peers.get(peer)
  if (load === undefined) {
    load = { pending: 0, heardMs: 0, latencyMs: 0 }
    fetches.peers.set(peer, load)
  }
  return load
}

function answered(fetches: Fetches, transfer: Transfer, key: BlockKey, nowMs: number): void {
  transfer.keys.delete(key)
  // Room is given out again by the transfer, not by the block: a pass over all wants has its price.
  if (transfer.keys.size === 0) fetches.wakeMs = nowMs
  loadOf(fetches, transfer.from).pending--
  const known = fetches.wants.get(key)
  if (known?.pending.delete(transfer.from) && !known.reading) fetches.repairing--
}

function forget(fetches: Fetches, known: Want): void {
  if (!known.reading) fetches.repairing -= known.pending.size
  fetches.wants.delete(known.key)
}

function giveUp(fetches: Fetches, known: Want): FetchAction[] {
  for (const peer of known.pending) known.tried.push({ peer, outcome: 'silent', reason: 'no answer in time' })
  forget(fetches, known)
  return known.reading ? [{ type: 'read-over', key: known.key, found: false, tried: known.tried }] : []
}

/** Reads first, then repairs by fewest copies; equal ones in the order in which they were wanted. */
function inUrgency(fetches: Fetches, nowMs: number): Want[] {
  const reads: Want[] = []
  const repairs: Want[][] = []
  for (const known of fetches.wants.values()) {
    if (known.reading) {
      reads.push(known)
      if (known.deadlineMs > nowMs) fetches.wakeMs = Math.min(fetches.wakeMs, known.deadlineMs)
    } else if (known.notBeforeMs > nowMs) fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
    else {
      const alike = repairs[known.copies] ?? []
      alike.push(known)
      repairs[known.copies] = alike
    }
  }
  return [...reads, ...repairs.flat()]
}

function assign(
  fetches: Fetches,
  holders: Holders,
  known: Want,
  batches: Map<string, { from: PeerId; purpose: FetchPurpose; keys: BlockKey[] }>,
  nowMs: number,
  actions: FetchAction[]
): void {
  if (known.pending.size > 0 && !(known.reading && allSilent(fetches, known))) return
  const purpose = known.reading ? 'read' : 'repair'
  if (purpose === 'repair' && fetches.repairing >= LIMITS.repairWindow) return
  const candidates = candidatesFor(fetches, holders, known)
  const from = candidates.find((peer) => loadOf(fetches, peer).pending < LIMITS.fetchWindow)
  if (from === undefined) {
    if (candidates.length === 0 && known.pending.size === 0) exhausted(fetches, known, nowMs, actions)
    return // everyone who may have it is busy: the next answer wakes us
  }
  known.asked.add(from)
  known.pending.add(from)
  loadOf(fetches, from).pending++
  if (purpose === 'repair') fetches.repairing++
  const id = `${purpose} ${from}`
  const batch = batches.get(id)
  if (batch === undefined) batches.set(id, { from, purpose, keys: [known.key] })
  else batch.keys.push(known.key)
}

function allSilent(fetches: Fetches, known: Want): boolean {
  for (const { from, keys, hedged } of fetches.transfers.values()) {
    if (!hedged && keys.has(known.key) && known.pending.has(from)) return false
  }
  return true
}

/** Whom to ask next, best first: who said it has the block, its holders by nearness, then those past N. */
function candidatesFor(fetches: Fetches, holders: Holders, known: Want): PeerId[] {
  const slot = slotOf(known.key)
  const near = (peer: PeerId) => {
    const load = fetches.peers.get(peer)
    return load === undefined ? 0 : load.latencyMs * (1 + load.pending / 16)
  }
  const fresh = (peer: PeerId) => peer !== fetches.self && !known.asked.has(peer)
  const sources = [...known.sources].filter(fresh)
  const acting = actingHolders(holders, slot, known.replicas).filter(fresh)
  const first = [...new Set([...sources, ...acting])].sort((a, b) => near(a) - near(b))
  if (!known.reading) return first
  const rest = readOrder(holders, slot).filter((peer) => fresh(peer) && !first.includes(peer))
  return [...first, ...rest]
}

/** Nobody is left to ask: a read is over; a repair waits and begins again. */
function exhausted(fetches: Fetches, known: Want, nowMs: number, actions: FetchAction[]): void {
  if (known.reading) {
    forget(fetches, known)
    actions.push({ type: 'read-over', key: known.key, found: false, tried: known.tried })
    return
  }
  const { retryMs, retryMaxMs } = fetches.config
  known.notBeforeMs = nowMs + Math.min(retryMs * 2 ** known.attempts++, retryMaxMs)
  known.asked.clear()
  known.tried = []
  fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
}
