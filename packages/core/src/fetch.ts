/**
 * Fetching: which member each wanted block is asked of, and who is asked next. Reads and repair share
 * it: a read goes to the nearest holder that answers, to the next one too when that is late (`hedge.ts`), and
 * when it falls silent; a repair
 * goes to a member known to have the block, fewest known copies first, within a budget.
 */
import { BLOCK_BYTES_MAX, type BlockKey, type PeerId, slotOf } from './block.ts'
import { count, createMeter, type Meter } from './eta.ts'
import { answeredAfter, askedOnce, askedTwice, createHedge, type Hedge } from './hedge.ts'
import { actingHolders, type Holders, mayFetch, readOrder } from './holders.ts'
import { failedAtMs, givenUpAtMs, lateAtMs, latenessNow, quietSinceMs, silentAtMs } from './lateness.ts'
import { type DataConfig, DATA_LIMITS as LIMITS } from './limits.ts'
import { forgetLoad, type Loads, loadOf, nearness, nowKnownSlow, timed } from './load.ts'
import { createPace, type Pace, paced } from './pace.ts'
import { createRation, paceOut, type Ration, windowFor } from './ration.ts'
import {
  createWants,
  dropWant,
  isUnderWay,
  queueWant,
  unready,
  type Want,
  type Wants,
  wakeWants,
  wantsDeadline
} from './wants.ts'
import { windowed } from './window.ts'

export type FetchPurpose = 'read' | 'repair'

/** What came of one block asked of one member. `corrupt`: bytes that are not the block's. */
export type FetchOutcome = 'held' | 'absent' | 'corrupt' | 'failed'

/** Taken of the window by a block whose size nobody said. */
const SIZE_UNKNOWN_BYTES = BLOCK_BYTES_MAX / 2

export type FetchAction =
  /**
   * Fetch these blocks; answer each with `fetched`, and the end of the transfer with `fetch-ended`. `yields`:
   * whoever gives them may serve people first.
   */
  | {
      type: 'fetch-blocks'
      transfer: number
      from: PeerId
      keys: BlockKey[]
      purpose: FetchPurpose
      yields: boolean
    }
  | { type: 'cancel-fetch'; transfer: number }
  /** A read is over: the bytes were handed up already, or nobody had them. */
  | { type: 'read-over'; key: BlockKey; found: boolean; tried: Tried[] }

/** Who was asked for a block, and what was wrong. */
export interface Tried {
  peer: PeerId
  outcome: FetchOutcome | 'silent'
  reason: string | undefined
}

export interface Transfer {
  id: number
  from: PeerId
  /** Not yet answered, with the bytes that each takes of the window. */
  keys: Map<BlockKey, number>
  purpose: FetchPurpose
  startedMs: number
  /** When it last answered anything; undefined until it does. */
  heardMs: number | undefined
  /** It fell silent once: its reads were asked of others too. */
  silent: boolean
  /** It was only late: that was a hedge. */
  hedged: boolean
  /** So was what it was to bring for repair, and it takes nothing of the window any more. */
  late: boolean
}

export interface Fetches {
  readonly config: DataConfig
  readonly self: PeerId
  readonly wants: Wants
  readonly transfers: Map<number, Transfer>
  readonly loads: Loads
  /** Keys under way in transfers for repair, and their bytes. */
  repairing: number
  repairingBytes: number
  /** What repair brought. */
  readonly repaired: Meter
  readonly pace: Pace
  readonly hedge: Hedge
  /** How long a member is silent between answers to reads. */
  readonly readPace: Pace
  /** Blocks asked of members for readers, since the start. */
  readonly asked: { first: number; hedged: number; again: number }
  readonly ration: Ration
  nextTransfer: number
  /** When some want may start, at the earliest. */
  wakeMs: number
}

export function createFetches(self: PeerId, config: DataConfig): Fetches {
  const maps = { wants: createWants(), transfers: new Map(), loads: new Map() }
  const none = { repairing: 0, repairingBytes: 0, repaired: createMeter() }
  const rates = { pace: createPace(), ration: createRation() }
  const late = { hedge: createHedge(), readPace: createPace(), asked: { first: 0, hedged: 0, again: 0 } }
  const start = { nextTransfer: 1, wakeMs: Number.POSITIVE_INFINITY }
  return { config, self, ...maps, ...none, ...rates, ...late, ...start }
}

export interface WantRequest {
  key: BlockKey
  purpose: FetchPurpose
  replicas: number
  /** Somebody who said that it has the block; and how many bytes it says it has. */
  source?: PeerId
  size?: number
  notBeforeMs: number
}

/** Wants a block, or adds to what is known of one already wanted. */
export function want(fetches: Fetches, request: WantRequest, nowMs: number): void {
  const { key, purpose, source, replicas } = request
  const known = fetches.wants.byKey.get(key) ?? newWant(fetches, request, nowMs)
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
  queueWant(fetches.wants, known, nowMs)
  fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
}

function newWant(fetches: Fetches, request: WantRequest, nowMs: number): Want | undefined {
  const { key, purpose, replicas, source, size = SIZE_UNKNOWN_BYTES } = request
  if (purpose === 'repair' && !hasRepairRoom(fetches, source)) return undefined // comparing finds it again
  const none = { asked: new Set<PeerId>(), pending: new Map<PeerId, Transfer>(), tried: [] }
  const never = { notBeforeMs: Number.POSITIVE_INFINITY, deadlineMs: Number.POSITIVE_INFINITY }
  const flags = { read: false, repair: false, resting: false, attempts: 0 }
  const places = { rank: undefined, dueMs: undefined }
  const about = { key, replicas, size: Math.min(size, BLOCK_BYTES_MAX), sources: new Set<PeerId>() }
  const known: Want = { ...about, sinceMs: nowMs, toldBy: source, ...none, ...never, ...flags, ...places }
  fetches.wants.byKey.set(key, known)
  if (source !== undefined) loadOf(fetches.loads, source).told++
  return known
}

/** Whether more missing blocks may be noted, as told by this member. */
export function hasRepairRoom({ wants, loads }: Fetches, source: PeerId | undefined): boolean {
  if (wants.byKey.size >= LIMITS.repairQueue) return false
  return source === undefined || (loads.get(source)?.told ?? 0) < LIMITS.repairQueuePerSource
}

/** The block is here: nobody needs to fetch it any more. */
export function unwant(fetches: Fetches, key: BlockKey): FetchAction[] {
  const known = fetches.wants.byKey.get(key)
  return known === undefined ? [] : forget(fetches, known, true)
}

/** No caller waits for it any more; a repair goes on. */
export function unread(fetches: Fetches, key: BlockKey, nowMs: number): FetchAction[] {
  const known = fetches.wants.byKey.get(key)
  if (known === undefined || !known.read) return []
  known.read = false
  known.deadlineMs = Number.POSITIVE_INFINITY
  if (!known.repair) return forget(fetches, known, false)
  queueWant(fetches.wants, known, nowMs)
  fetches.wakeMs = Math.min(fetches.wakeMs, known.notBeforeMs)
  return []
}

export function onFetched(
  fetches: Fetches,
  got: { transfer: number; key: BlockKey; outcome: FetchOutcome; reason?: string },
  nowMs: number
): FetchAction[] {
  const transfer = fetches.transfers.get(got.transfer)
  if (transfer === undefined || !transfer.keys.has(got.key)) return []
  const load = loadOf(fetches.loads, transfer.from)
  const tookMs = nowMs - transfer.startedMs
  if (transfer.heardMs === undefined) timed(fetches.loads, transfer.from, tookMs)
  if (transfer.purpose === 'read') {
    const quietMs = nowMs - quietSinceMs(fetches.loads, transfer)
    if (transfer.heardMs === undefined) answeredAfter(fetches.hedge, quietMs)
    paced(fetches.readPace, quietMs)
    windowed(load.window, { tookMs, underWay: load.reading }, LIMITS.fetchWindow, nowMs)
  }
  if (transfer.purpose === 'repair') paced(fetches.pace, nowMs - (transfer.heardMs ?? transfer.startedMs))
  transfer.heardMs = nowMs
  load.heardMs = nowMs
  const known = release(fetches, transfer, got.key, nowMs)
  if (known === undefined) return []
  if (got.outcome === 'held') return arrived(fetches, known, transfer, nowMs)
  known.tried.push({ peer: transfer.from, outcome: got.outcome, reason: got.reason })
  known.sources.delete(transfer.from)
  queueWant(fetches.wants, known, nowMs)
  fetches.wakeMs = nowMs
  return []
}

/** Bytes that were asked for by a read alone went to the reader and not to the disk. */
function arrived(fetches: Fetches, known: Want, transfer: Transfer, nowMs: number): FetchAction[] {
  if (transfer.purpose === 'repair') count(fetches.repaired, known.size, nowMs)
  if (transfer.purpose === 'repair' || !known.repair) return forget(fetches, known, true)
  if (known.read) return endRead(fetches, known, true, nowMs)
  queueWant(fetches.wants, known, nowMs) // the slower of two that were asked for a read: that is over
  return []
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
  for (const key of [...transfer.keys.keys()]) {
    const known = release(fetches, transfer, key, nowMs)
    if (known === undefined) continue
    known.tried.push({ peer: transfer.from, ...why })
    queueWant(fetches.wants, known, nowMs)
  }
  fetches.wakeMs = nowMs
}

/** Starts what may start, hedges what fell silent, gives up what took too long. */
export function fetchTick(fetches: Fetches, holders: Holders, nowMs: number): FetchAction[] {
  const actions: FetchAction[] = []
  paceOut(fetches.ration, fetches.repairing > 0, nowMs)
  const lateness = latenessNow(fetches)
  for (const transfer of fetches.transfers.values()) {
    if (nowMs >= givenUpAtMs(lateness, transfer)) {
      breakOff(fetches, transfer, { outcome: 'silent', reason: 'no answer in time' }, nowMs)
      actions.push({ type: 'cancel-fetch', transfer: transfer.id })
    } else if (!transfer.silent && nowMs >= silentAtMs(lateness, transfer)) {
      transfer.silent = true
      transfer.hedged = nowMs < failedAtMs(lateness, transfer)
      nowKnownSlow(fetches.loads, transfer.from, nowMs - transfer.startedMs)
      fetches.wakeMs = nowMs
    }
    if (!transfer.late && nowMs >= lateAtMs(lateness, transfer)) passBy(fetches, transfer, nowMs)
  }
  if (Math.min(fetches.wakeMs, wantsDeadline(fetches.wants)) > nowMs) return actions
  fetches.wakeMs = Number.POSITIVE_INFINITY
  const { wants } = fetches
  wakeWants(wants, nowMs)
  const pass: Pass = { batches: new Map(), actions, nowMs }
  for (const known of [...wants.reads]) {
    if (nowMs >= known.deadlineMs) actions.push(...giveUp(fetches, known, nowMs))
    else assign(fetches, holders, known, pass)
    if (known.read) fetches.wakeMs = Math.min(fetches.wakeMs, known.deadlineMs)
  }
  assignRepairs(fetches, holders, pass)
  for (const { wants: batch, ...how } of pass.batches.values()) {
    for (let i = 0; i < batch.length; i += LIMITS.fetchKeys) {
      actions.push(begin(fetches, how, batch.slice(i, i + LIMITS.fetchKeys), nowMs))
    }
  }
  paceOut(fetches.ration, fetches.repairing > 0, nowMs)
  return actions
}

/** What a member is late with is asked of another too; whoever is first with a block has brought it. */
function passBy(fetches: Fetches, transfer: Transfer, nowMs: number): void {
  leaveWindow(fetches, transfer)
  transfer.late = true
  nowKnownSlow(fetches.loads, transfer.from, nowMs - (transfer.heardMs ?? transfer.startedMs))
  for (const key of transfer.keys.keys()) {
    const known = fetches.wants.byKey.get(key)
    if (known?.pending.get(transfer.from) === transfer) queueWant(fetches.wants, known, nowMs)
  }
  fetches.wakeMs = nowMs
}

/** Nothing of it counts as under way any more. */
function leaveWindow(fetches: Fetches, { purpose, late, keys }: Transfer): void {
  if (purpose === 'read' || late) return
  fetches.repairing -= keys.size
  for (const bytes of keys.values()) fetches.repairingBytes -= bytes
}

/** Fewest known copies first, as far as the window goes. */
function assignRepairs(fetches: Fetches, holders: Holders, pass: Pass): void {
  // Room is given out in pieces: one block at a time would be one request each.
  if (fetches.repairing > LIMITS.repairWindow - LIMITS.fetchKeys) return
  if (fetches.repairingBytes > (LIMITS.repairWindowBytes * 3) / 4) return
  const { ration } = fetches
  let passed = 0
  for (const alike of fetches.wants.ready) {
    for (const known of alike) {
      if (fetches.repairing >= LIMITS.repairWindow) return
      const copies = copiesOf(fetches, holders, known, pass.nowMs)
      if (fetches.repairingBytes >= windowFor(ration, copies, pass.nowMs)) {
        if (pass.nowMs < ration.restUntilMs) fetches.wakeMs = Math.min(fetches.wakeMs, ration.restUntilMs)
        return
      }
      if (fetches.repairing === 0) ration.copies = copies
      assign(fetches, holders, known, pass)
      // Whoever could give it is busy: with many like it, the next answer is waited for.
      if (known.rank !== undefined && ++passed === LIMITS.repairsPassed) return
    }
  }
}

/**
 * Copies that are known, so far as it matters. A block of which one member told is a last copy where no other
 * lives that should have it, or had its time to be compared with.
 */
function copiesOf({ config, self }: Fetches, holders: Holders, known: Want, nowMs: number): number {
  const { sources, sinceMs, key, replicas } = known
  if (sources.size !== 1) return Math.max(2, sources.size)
  const isLiving = (id: PeerId) => id !== self && holders.standing.get(id)?.living === true
  const others = holders.placement.order(slotOf(key), replicas).filter(isLiving).length
  return others <= 1 || nowMs >= sinceMs + config.settleMs + config.compareIdleMs ? 1 : 2
}

interface How {
  from: PeerId
  purpose: FetchPurpose
  yields: boolean
}

function begin(
  fetches: Fetches,
  { from, purpose, yields }: How,
  wants: readonly Want[],
  nowMs: number
): FetchAction {
  const keys = wants.map(({ key }) => key)
  const id = fetches.nextTransfer++
  const times = { startedMs: nowMs, heardMs: undefined, silent: false, hedged: false, late: false }
  const transfer: Transfer = { id, from, keys: new Map(), purpose, ...times }
  fetches.transfers.set(id, transfer)
  for (const known of wants) {
    known.pending.set(from, transfer)
    transfer.keys.set(known.key, known.size)
  }
  return { type: 'fetch-blocks', transfer: id, from, keys, purpose, yields }
}

export function fetchDeadline(fetches: Fetches): number {
  let next = Math.min(fetches.wakeMs, wantsDeadline(fetches.wants))
  const lateness = latenessNow(fetches)
  for (const transfer of fetches.transfers.values()) {
    next = Math.min(next, transfer.silent ? givenUpAtMs(lateness, transfer) : silentAtMs(lateness, transfer))
    if (!transfer.late) next = Math.min(next, lateAtMs(lateness, transfer))
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
  for (const known of fetches.wants.byKey.values()) {
    if (known.toldBy === peer) known.toldBy = undefined
    if (known.sources.delete(peer) && known.rank !== undefined) queueWant(fetches.wants, known, nowMs)
  }
  forgetLoad(fetches.loads, peer)
  return actions
}

/** A key of a transfer is answered, or never will be. Returns the want that waited for this answer. */
function release(fetches: Fetches, transfer: Transfer, key: BlockKey, nowMs: number): Want | undefined {
  const bytes = transfer.keys.get(key) ?? 0
  transfer.keys.delete(key)
  const load = loadOf(fetches.loads, transfer.from)
  load.pending--
  if (transfer.purpose === 'read') load.reading--
  else if (!transfer.late) {
    fetches.repairing--
    fetches.repairingBytes -= bytes
  }
  fetches.wakeMs = nowMs // there is room
  if (transfer.keys.size === 0) fetches.transfers.delete(transfer.id)
  const known = fetches.wants.byKey.get(key)
  if (known?.pending.get(transfer.from) !== transfer) return undefined
  known.pending.delete(transfer.from)
  return known
}

/** Drops a want, and the transfers that nobody needs without it: hedges that lost, mostly. */
function forget(fetches: Fetches, known: Want, found: boolean): FetchAction[] {
  const { key, pending, toldBy, read, tried } = known
  dropWant(fetches.wants, known)
  if (toldBy !== undefined) loadOf(fetches.loads, toldBy).told--
  const actions: FetchAction[] = []
  for (const transfer of pending.values()) {
    if (isNeeded(fetches, transfer)) continue
    const load = loadOf(fetches.loads, transfer.from)
    load.pending -= transfer.keys.size
    if (transfer.purpose === 'read') load.reading -= transfer.keys.size
    leaveWindow(fetches, transfer)
    fetches.transfers.delete(transfer.id)
    fetches.wakeMs = 0 // there is room: see at once, whatever the time
    actions.push({ type: 'cancel-fetch', transfer: transfer.id })
  }
  if (read) actions.push({ type: 'read-over', key, found, tried })
  return actions
}

/** Whether some want waits for this transfer. */
function isNeeded({ wants }: Fetches, transfer: Transfer): boolean {
  for (const key of transfer.keys.keys()) {
    if (wants.byKey.get(key)?.pending.get(transfer.from) === transfer) return true
  }
  return false
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
  queueWant(fetches.wants, known, nowMs)
  return [{ type: 'read-over', key, found, tried }]
}

function giveUp(fetches: Fetches, known: Want, nowMs: number): FetchAction[] {
  for (const peer of known.pending.keys())
    known.tried.push({ peer, outcome: 'silent', reason: 'no answer in time' })
  return endRead(fetches, known, false, nowMs)
}

interface Pass {
  batches: Map<string, How & { wants: Want[] }>
  actions: FetchAction[]
  nowMs: number
}

function assign(fetches: Fetches, holders: Holders, known: Want, pass: Pass): void {
  const { key, read, repair, replicas, pending, asked } = known
  if (pending.size > 0 && (read ? !allSilent(known) : isUnderWay(known))) return
  if (!read && !mayFetch(holders, fetches.self, slotOf(key), replicas)) {
    pass.actions.push(...forget(fetches, known, false)) // another holder came back, or we are full
    return
  }
  const { sources, acting } = candidatesFor(fetches, holders, known)
  const first = [...sources, ...acting]
  // Who should have it is waited for, while it answers: those past N are asked when there is nobody else.
  const busyUntilMs = Math.max(0, ...first.map((peer) => answersUntilMs(fetches, peer)))
  const busy = busyUntilMs > pass.nowMs
  const past = read && !busy ? pastHolders(fetches, holders, known, first) : []
  const near = (peers: readonly PeerId[]) => nearestFree(fetches, known, peers)
  const from =
    (read ? near(first) : (near(sources) ?? near(acting))) ??
    past.find((peer) => hasRoom(fetches, peer, known))
  if (from === undefined) {
    if (busy) fetches.wakeMs = Math.min(fetches.wakeMs, busyUntilMs)
    if (first.length + past.length === 0) {
      if (pending.size === 0) exhausted(fetches, known, pass)
      else unready(fetches.wants, known) // whoever is late with it is waited for
    }
    return // everyone who may have it is busy: the next answer wakes us
  }
  if (read) countAsked(fetches, known)
  asked.add(from)
  unready(fetches.wants, known)
  const load = loadOf(fetches.loads, from)
  if (load.pending === 0) load.heardMs = pass.nowMs
  load.pending++
  const purpose = repair ? 'repair' : 'read'
  if (repair) {
    fetches.repairing++
    fetches.repairingBytes += known.size
  } else load.reading++
  const yields = repair && !read && copiesOf(fetches, holders, known, pass.nowMs) > 1
  const id = `${purpose} ${yields} ${from}`
  const batch = pass.batches.get(id)
  if (batch === undefined) pass.batches.set(id, { from, purpose, yields, wants: [known] })
  else batch.wants.push(known)
}

function countAsked({ hedge, asked }: Fetches, { pending }: Want): void {
  const [first] = pending.values()
  if (first === undefined) {
    asked.first++
    askedOnce(hedge, 1)
  } else if (first.hedged) {
    asked.hedged++
    askedTwice(hedge, 1)
  } else asked.again++
}

/** Until when a member that has all it may be asked for is taken to be at work on it. */
function answersUntilMs({ loads, config }: Fetches, peer: PeerId): number {
  return (loads.get(peer)?.heardMs ?? 0) + config.hedgeAfterMs
}

/** Reads and repair have a window each, so that neither can starve the other. */
function hasRoom({ loads }: Fetches, peer: PeerId, { read, repair }: Want): boolean {
  const load = loads.get(peer)
  if (load === undefined) return true
  if (!repair) return load.reading < load.window.blocks
  return load.pending < LIMITS.fetchWindow + (read ? 0 : LIMITS.repairWindow)
}

function allSilent({ pending }: Want): boolean {
  for (const { silent } of pending.values()) if (!silent) return false
  return true
}

/** Whom to ask next: who said it has the block, and its other holders. */
function candidatesFor(
  { self }: Fetches,
  holders: Holders,
  known: Want
): { sources: PeerId[]; acting: PeerId[] } {
  const fresh = (peer: PeerId) => peer !== self && !known.asked.has(peer)
  const acting = actingHolders(holders, slotOf(known.key), known.replicas)
  return {
    sources: [...known.sources].filter(fresh),
    acting: acting.filter((peer) => fresh(peer) && !known.sources.has(peer))
  }
}

/** Of readers' blocks, those to ask past N. */
function pastHolders({ self }: Fetches, holders: Holders, known: Want, first: readonly PeerId[]): PeerId[] {
  const fresh = (peer: PeerId) => peer !== self && !known.asked.has(peer) && !first.includes(peer)
  return readOrder(holders, slotOf(known.key)).filter(fresh)
}

/** The first of the nearest that have room. Not sorted: most looks, while all are busy, find none. */
function nearestFree(fetches: Fetches, known: Want, peers: readonly PeerId[]): PeerId | undefined {
  let nearest: PeerId | undefined
  let atMs = Number.POSITIVE_INFINITY
  for (const peer of peers) {
    if (!hasRoom(fetches, peer, known)) continue
    const awayMs = nearness(fetches.loads, peer)
    if (nearest !== undefined && awayMs >= atMs) continue
    nearest = peer
    atMs = awayMs
  }
  return nearest
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
  queueWant(fetches.wants, known, nowMs)
}
