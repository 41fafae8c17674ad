/**
 * Fetching: which member each wanted block is asked of, and who is asked next. Reads and repair share
 * it: a read goes to the nearest holder that answers and is hedged when that one falls silent; a repair
 * goes to a member known to have the block, fewest known copies first, within a budget.
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import { actingHolders, type Holders, mayFetch, readOrder } from './holders.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'
import { forgetLoad, type Loads, loadOf, nearness, nowKnownSlow, timed } from './load.ts'

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
  /** A caller waits for its bytes. */
  read: boolean
  /** It belongs on this disk. What is fetched for both is asked for as a repair: it is kept and handed up. */
  repair: boolean
  /** N, by which its holders are known; for a read, the network's. */
  replicas: number
  /** Members that said that they have it; as many copies are known. */
  sources: Set<PeerId>
  /** Who told of it first, in whose quota it is. */
  toldBy: PeerId | undefined
  asked: Set<PeerId>
  pending: Map<PeerId, Transfer>
  tried: Tried[]
  /** Not before this: it may be on its way, or its last holder may come back. */
  notBeforeMs: number
  /** Everyone was asked in vain: those will be asked again only after the wait. */
  resting: boolean
  deadlineMs: number
  attempts: number
}

interface Transfer {
  id: number
  from: PeerId
  keys: Set<BlockKey>
  purpose: FetchPurpose
  startedMs: number
  /** When it last answered anything; undefined until it does. */
  heardMs: number | undefined
  /** It fell silent once: its reads were asked of others too. */
  silent: boolean
}

export interface Fetches {
  readonly config: DataConfig
  readonly self: PeerId
  readonly wants: Map<BlockKey, Want>
  readonly transfers: Map<number, Transfer>
  readonly loads: Loads
  /** Keys under way in transfers for repair. */
  repairing: number
  nextTransfer: number
  /** When some want may start, at the earliest. */
  wakeMs: number
}

export function createFetches(self: PeerId, config: DataConfig): Fetches {
  const maps = { wants: new Map(), transfers: new Map(), loads: new Map() }
  return { config, self, ...maps, repairing: 0, nextTransfer: 1, wakeMs: Number.POSITIVE_INFINITY }
}

export interface WantRequest {
  key: BlockKey
  purpose: FetchPurpose
  replicas: number
  /** Somebody who said that it has the block. */
  source?: PeerId
  notBeforeMs: number
}

/** Wants a block, or adds to what is known of one already wanted. */
export function want(fetches: Fetches, request: WantRequest, nowMs: number): void {
  const { key, purpose, source, replicas } = request
  const known = fetches.wants.get(key) ?? newWant(fetches, request)
  if (known === undefined) return
  if (source !== undefined && known.sources.size < LIMITS.readBreadth) known.sources.add(source)
  if (purpose === 'repair') {
    known.repair = true
    known.replicas = replicas
    // One that was asked in vain is not asked again any sooner for saying once more that it has the block.
    const isNew = source === undefined || !known.asked.has(source)
    if (isNew) known.notBeforeMs = Math.min(known.notBeforeMs, request.notBeforeMs)
  } else if (!known.read) {
    known.read = true
    known.notBeforeMs = nowMs
    known.deadlineMs = nowMs + fetches.config.readTimeoutMs
    known.asked = new Set(known.pending.keys())
    known.resting = false
    known.tried = []
  }
  fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
}

function newWant(fetches: Fetches, { key, purpose, replicas, source }: WantRequest): Want | undefined {
  if (purpose === 'repair' && !hasRepairRoom(fetches, source)) return undefined // comparing finds it again
  const none = { asked: new Set<PeerId>(), pending: new Map<PeerId, Transfer>(), tried: [] }
  const never = { notBeforeMs: Number.POSITIVE_INFINITY, deadlineMs: Number.POSITIVE_INFINITY }
  const flags = { read: false, repair: false, resting: false, attempts: 0 }
  const known: Want = { key, replicas, sources: new Set(), toldBy: source, ...none, ...never, ...flags }
  fetches.wants.set(key, known)
  if (source !== undefined) loadOf(fetches.loads, source).told++
  return known
}

/** Whether more missing blocks may be noted, as told by this member. */
export function hasRepairRoom({ wants, loads }: Fetches, source: PeerId | undefined): boolean {
  if (wants.size >= LIMITS.repairQueue) return false
  return source === undefined || (loads.get(source)?.told ?? 0) < LIMITS.repairQueuePerSource
}

/** The block is here: nobody needs to fetch it any more. */
export function unwant(fetches: Fetches, key: BlockKey): FetchAction[] {
  const known = fetches.wants.get(key)
  return known === undefined ? [] : forget(fetches, known, true)
}

/** No caller waits for it any more; a repair goes on. */
export function unread(fetches: Fetches, key: BlockKey): FetchAction[] {
  const known = fetches.wants.get(key)
  if (known === undefined || !known.read) return []
  known.read = false
  known.deadlineMs = Number.POSITIVE_INFINITY
  return known.repair ? [] : forget(fetches, known, false)
}

export function onFetched(
  fetches: Fetches,
  got: { transfer: number; key: BlockKey; outcome: FetchOutcome; reason?: string },
  nowMs: number
): FetchAction[] {
  const transfer = fetches.transfers.get(got.transfer)
  if (transfer === undefined || !transfer.keys.has(got.key)) return []
  if (transfer.heardMs === undefined) timed(fetches.loads, transfer.from, nowMs - transfer.startedMs)
  transfer.heardMs = nowMs
  loadOf(fetches.loads, transfer.from).heardMs = nowMs
  const known = release(fetches, transfer, got.key, nowMs)
  if (known === undefined) return []
  if (got.outcome === 'held') return arrived(fetches, known, transfer, nowMs)
  known.tried.push({ peer: transfer.from, outcome: got.outcome, reason: got.reason })
  known.sources.delete(transfer.from)
  fetches.wakeMs = nowMs
  return []
}

/** Bytes that were asked for by a read alone went to the reader and not to the disk. */
function arrived(fetches: Fetches, known: Want, transfer: Transfer, nowMs: number): FetchAction[] {
  if (transfer.purpose === 'repair' || !known.repair) return forget(fetches, known, true)
  return endRead(fetches, known, true, nowMs)
}

export function onFetchEnded(
  fetches: Fetches,
  ended: { transfer: number; reason: string | undefined },
  nowMs: number
): void {
  const transfer = fetches.transfers.get(ended.transfer)
  if (transfer !== undefined) breakOff(fetches, transfer, { outcome: 'failed', reason: ended.reason }, nowMs)
}

function breakOff(fetches: Fetches, transfer: Transfer, why: Omit<Tried, 'peer'>, nowMs: number): void {
  nowKnownSlow(fetches.loads, transfer.from, fetches.config.hedgeAfterMs)
  for (const key of [...transfer.keys]) {
    release(fetches, transfer, key, nowMs)?.tried.push({ peer: transfer.from, ...why })
  }
  fetches.wakeMs = nowMs
}

/** Starts what may start, hedges what fell silent, gives up what took too long. */
export function fetchTick(fetches: Fetches, holders: Holders, nowMs: number): FetchAction[] {
  const actions: FetchAction[] = []
  for (const transfer of [...fetches.transfers.values()]) {
    if (nowMs >= givenUpAtMs(fetches, transfer)) {
      breakOff(fetches, transfer, { outcome: 'silent', reason: 'no answer in time' }, nowMs)
      actions.push({ type: 'cancel-fetch', transfer: transfer.id })
    } else if (!transfer.silent && nowMs >= silentAtMs(fetches, transfer)) {
      transfer.silent = true
      nowKnownSlow(fetches.loads, transfer.from, nowMs - transfer.startedMs)
      fetches.wakeMs = nowMs
    }
  }
  if (fetches.wakeMs > nowMs) return actions
  for (const known of [...fetches.wants.values()]) {
    if (nowMs >= known.deadlineMs) actions.push(...giveUp(fetches, known, nowMs))
  }
  fetches.wakeMs = Number.POSITIVE_INFINITY
  const batches = new Map<string, { from: PeerId; purpose: FetchPurpose; wants: Want[] }>()
  for (const known of inUrgency(fetches, nowMs)) {
    assign(fetches, holders, known, { batches, actions, nowMs })
  }
  for (const { from, purpose, wants } of batches.values()) {
    for (let i = 0; i < wants.length; i += LIMITS.fetchKeys) {
      actions.push(begin(fetches, from, purpose, { wants: wants.slice(i, i + LIMITS.fetchKeys), nowMs }))
    }
  }
  return actions
}

function begin(
  fetches: Fetches,
  from: PeerId,
  purpose: FetchPurpose,
  { wants, nowMs }: { wants: readonly Want[]; nowMs: number }
): FetchAction {
  const keys = wants.map(({ key }) => key)
  const id = fetches.nextTransfer++
  const times = { startedMs: nowMs, heardMs: undefined, silent: false }
  const transfer: Transfer = { id, from, keys: new Set(keys), purpose, ...times }
  fetches.transfers.set(id, transfer)
  for (const { pending } of wants) pending.set(from, transfer)
  return { type: 'fetch-blocks', transfer: id, from, keys, purpose }
}

export function fetchDeadline(fetches: Fetches): number {
  let next = fetches.wakeMs
  for (const transfer of fetches.transfers.values()) {
    next = Math.min(next, transfer.silent ? givenUpAtMs(fetches, transfer) : silentAtMs(fetches, transfer))
  }
  return next
}

/** A member died: what was asked of it is asked of others. */
export function fetchForget(fetches: Fetches, peer: PeerId, nowMs: number): FetchAction[] {
  const actions: FetchAction[] = []
  for (const transfer of [...fetches.transfers.values()]) {
    if (transfer.from !== peer) continue
    breakOff(fetches, transfer, { outcome: 'failed', reason: 'died' }, nowMs)
    actions.push({ type: 'cancel-fetch', transfer: transfer.id })
  }
  for (const known of fetches.wants.values()) {
    known.sources.delete(peer)
    if (known.toldBy === peer) known.toldBy = undefined
  }
  forgetLoad(fetches.loads, peer)
  return actions
}

/** Slices of the time allowed: one that answers others first is hedged later, but not for ever. */
const PATIENCE = 5

function silentAtMs({ config, loads }: Fetches, { from, startedMs, heardMs }: Transfer): number {
  const peerAtMs = Math.max(startedMs, loads.get(from)?.heardMs ?? 0) + config.hedgeAfterMs
  return Math.min(peerAtMs, (heardMs ?? startedMs) + PATIENCE * config.hedgeAfterMs)
}

function givenUpAtMs({ config }: Fetches, { startedMs, heardMs }: Transfer): number {
  return (heardMs ?? startedMs) + config.fetchTimeoutMs
}

/** A key of a transfer is answered, or never will be. Returns the want that waited for this answer. */
function release(fetches: Fetches, transfer: Transfer, key: BlockKey, nowMs: number): Want | undefined {
  transfer.keys.delete(key)
  loadOf(fetches.loads, transfer.from).pending--
  if (transfer.purpose === 'repair') fetches.repairing--
  if (transfer.keys.size === 0) {
    fetches.transfers.delete(transfer.id)
    // Room is given out again by the transfer, not by the block: a pass over all wants has its price.
    fetches.wakeMs = nowMs
  }
  const known = fetches.wants.get(key)
  if (known?.pending.get(transfer.from) !== transfer) return undefined
  known.pending.delete(transfer.from)
  return known
}

/** Drops a want, and the transfers that nobody needs without it: hedges that lost, mostly. */
function forget(fetches: Fetches, known: Want, found: boolean): FetchAction[] {
  const { key, pending, toldBy, read, tried } = known
  fetches.wants.delete(key)
  if (toldBy !== undefined) loadOf(fetches.loads, toldBy).told--
  const actions: FetchAction[] = []
  for (const transfer of pending.values()) {
    if ([...transfer.keys].some((other) => fetches.wants.get(other)?.pending.get(transfer.from) === transfer))
      continue
    loadOf(fetches.loads, transfer.from).pending -= transfer.keys.size
    if (transfer.purpose === 'repair') fetches.repairing -= transfer.keys.size
    fetches.transfers.delete(transfer.id)
    fetches.wakeMs = 0 // there is room: see at once, whatever the time
    actions.push({ type: 'cancel-fetch', transfer: transfer.id })
  }
  if (read) actions.push({ type: 'read-over', key, found, tried })
  return actions
}

/** The reader is answered; if the block belongs here too, its repair goes on, after a while if it failed. */
function endRead(fetches: Fetches, known: Want, found: boolean, nowMs: number): FetchAction[] {
  if (!known.repair) return forget(fetches, known, found)
  const { key, tried } = known
  known.read = false
  known.deadlineMs = Number.POSITIVE_INFINITY
  known.tried = []
  if (found) {
    known.asked = new Set(known.pending.keys())
    fetches.wakeMs = nowMs
  } else if (known.pending.size === 0) rest(fetches, known, nowMs)
  return [{ type: 'read-over', key, found, tried }]
}

function giveUp(fetches: Fetches, known: Want, nowMs: number): FetchAction[] {
  for (const peer of known.pending.keys())
    known.tried.push({ peer, outcome: 'silent', reason: 'no answer in time' })
  return endRead(fetches, known, false, nowMs)
}

/** Reads first, then repairs by fewest known copies; equal ones in the order in which they were wanted. */
function inUrgency(fetches: Fetches, nowMs: number): Want[] {
  const reads: Want[] = []
  const repairs: Want[][] = []
  for (const known of fetches.wants.values()) {
    if (known.notBeforeMs <= nowMs && known.resting) {
      known.resting = false
      known.asked.clear()
    }
    if (known.read) {
      reads.push(known)
      fetches.wakeMs = Math.min(fetches.wakeMs, known.deadlineMs)
    } else if (known.notBeforeMs > nowMs) fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
    else {
      const alike = repairs[known.sources.size] ?? []
      alike.push(known)
      repairs[known.sources.size] = alike
    }
  }
  return [...reads, ...repairs.flat()]
}

interface Pass {
  batches: Map<string, { from: PeerId; purpose: FetchPurpose; wants: Want[] }>
  actions: FetchAction[]
  nowMs: number
}

function assign(fetches: Fetches, holders: Holders, known: Want, pass: Pass): void {
  const { key, read, repair, replicas, pending, asked } = known
  if (pending.size > 0 && !(read && allSilent(known))) return
  if (!read && fetches.repairing >= LIMITS.repairWindow) return
  if (!read && !mayFetch(holders, fetches.self, slotOf(key), replicas)) {
    pass.actions.push(...forget(fetches, known, false)) // another holder came back, or we are full
    return
  }
  const candidates = candidatesFor(fetches, holders, known)
  // Repair has a part of the window to itself, so that neither can starve the other.
  const window = read ? LIMITS.fetchWindow : LIMITS.fetchWindow + LIMITS.repairWindow
  const from = candidates.find((peer) => (fetches.loads.get(peer)?.pending ?? 0) < window)
  if (from === undefined) {
    if (candidates.length === 0 && pending.size === 0) exhausted(fetches, known, pass)
    return // everyone who may have it is busy: the next answer wakes us
  }
  asked.add(from)
  loadOf(fetches.loads, from).pending++
  const purpose = repair ? 'repair' : 'read'
  if (repair) fetches.repairing++
  const id = `${purpose} ${from}`
  const batch = pass.batches.get(id)
  if (batch === undefined) pass.batches.set(id, { from, purpose, wants: [known] })
  else batch.wants.push(known)
}

function allSilent({ pending }: Want): boolean {
  for (const { silent } of pending.values()) if (!silent) return false
  return true
}

/** Whom to ask next, best first: who said it has the block, its holders by nearness, then those past N. */
function candidatesFor({ loads, self }: Fetches, holders: Holders, known: Want): PeerId[] {
  const slot = slotOf(known.key)
  const fresh = (peer: PeerId) => peer !== self && !known.asked.has(peer)
  const byNearness = (peers: PeerId[]) => peers.sort((a, b) => nearness(loads, a) - nearness(loads, b))
  const sources = [...known.sources].filter(fresh)
  const acting = actingHolders(holders, slot, known.replicas).filter(
    (peer) => fresh(peer) && !known.sources.has(peer)
  )
  if (!known.read) return [...byNearness(sources), ...byNearness(acting)]
  const first = byNearness([...sources, ...acting])
  const rest = readOrder(holders, slot).filter((peer) => fresh(peer) && !first.includes(peer))
  return [...first, ...rest]
}

/** Nobody is left to ask: a read is over; a repair waits and begins again, some times. */
function exhausted(fetches: Fetches, known: Want, { actions, nowMs }: Pass): void {
  if (known.read) actions.push(...endRead(fetches, known, false, nowMs))
  else if (known.attempts >= LIMITS.repairAttempts) actions.push(...forget(fetches, known, false))
  else rest(fetches, known, nowMs)
}

function rest(fetches: Fetches, known: Want, nowMs: number): void {
  const { retryMs, retryMaxMs } = fetches.config
  known.notBeforeMs = nowMs + Math.min(retryMs * 2 ** known.attempts++, retryMaxMs)
  known.resting = true
  known.tried = []
  fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
}
