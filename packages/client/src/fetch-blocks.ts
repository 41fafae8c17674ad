/**
 * Verified blocks from any of several nodes. Those asked for at about the same time travel together; each
 * is compared with the CID that was asked for; what is wrong, missing, cut off or late is asked of the next
 * node. Nothing is believed: not the order, not the length, not the end.
 */
import { type Block, readCar } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { createDirect, type Direct, type Source, slotFor } from './direct.ts'
import { AVOID_MS, allFailed, type NodeAt, type Nodes, reasonOf, waitAfter } from './nodes.ts'
import { guardProgress } from './progress.ts'

/** Blocks of one request: of small ones many must share it, as a request costs a millisecond of both ends. */
const BATCH_BLOCKS = 64
/** Requests at once, of one client: through nodes that were given, and to holders straight. */
const REQUESTS_MAX = 4
const DIRECT_MAX = 16
/** To one holder at the least: one is on its way while another is answered. */
const OF_A_HOLDER = 2
/** What a holder is asked for at a time takes it so long, ms: who reads in order waits for it meanwhile. */
const BATCH_MS = 50
/** Without progress for so long, the next node is asked, ms. */
export const STALL_MS = 5_000
/** The last node that is left gets so many times as long: it may be looking for the block itself. */
const LAST_NODE_PATIENCE = 6
/** Times that a busy node is asked again for one block. */
const BUSY_RETRIES_MAX = 20

export interface FetchOptions {
  signal?: AbortSignal | undefined
  /** `OWNER/NAME` of what it is part of: a node asks the mirrors of that too. */
  ref?: string | undefined
}

export type FetchBlock = (cid: CID, options?: FetchOptions) => Promise<Uint8Array>

interface Wanted {
  readonly cid: CID
  /** Undefined: it is not asked of holders straight. */
  readonly slot: number | undefined
  readonly ref: string | undefined
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
  /** What was wrong at each node that can't give it. */
  readonly failures: Map<NodeAt, CairnError>
  /** Its holders that can be asked straight, as of that version; and those that didn't give it in time. */
  holders: { version: number; all: readonly Source[] }
  readonly passed: Set<Source>
  busy: number
  settled: boolean
  /** Called once nobody waits any more: by an answer, an error or an abort. */
  onSettled: () => void
}

interface Queue {
  readonly nodes: Nodes
  readonly direct: Direct | undefined
  readonly stallMs: number
  readonly waiting: Wanted[]
  /** Until when a busy node is left alone. */
  readonly restUntilMs: Map<NodeAt, number>
  /** Under way: through nodes that were given, and to holders straight. */
  requests: number
  straight: number
  scheduled: boolean
}

export interface FetchHow {
  stallMs?: number | undefined
  /** Holders are asked straight, where that can be. */
  direct: boolean
}

const NOBODY = { version: -1, all: [] }

export function createFetchBlock(nodes: Nodes, { stallMs = STALL_MS, direct }: FetchHow): FetchBlock {
  const queue: Queue = {
    nodes,
    direct: direct ? createDirect(nodes, () => schedule(queue)) : undefined,
    stallMs,
    waiting: [],
    restUntilMs: new Map(),
    ...{ requests: 0, straight: 0, scheduled: false }
  }
  return (cid, { signal, ref } = {}) => {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const wanted: Wanted = {
      cid,
      // what is read by a name may be at mirrors, which nodes know of, and count reads for
      slot: queue.direct === undefined || ref !== undefined ? undefined : slotFor(cid),
      ref,
      resolve(bytes) {
        settle()
        resolve(bytes)
      },
      reject(error) {
        settle()
        reject(error)
      },
      failures: new Map(),
      holders: NOBODY,
      passed: new Set(),
      busy: 0,
      settled: false,
      onSettled: () => {}
    }
    const abort = (): void => wanted.reject(signal?.reason)
    const settle = (): void => {
      wanted.settled = true
      wanted.onSettled()
      signal?.removeEventListener('abort', abort)
    }
    signal?.addEventListener('abort', abort, { once: true })
    queue.waiting.push(wanted)
    if (wanted.slot !== undefined) queue.direct?.wanted()
    schedule(queue)
    return promise
  }
}

/** Sends after the current turn, so that what it asks for goes together. */
function schedule(queue: Queue): void {
  if (queue.scheduled) return
  queue.scheduled = true
  queueMicrotask(() => {
    queue.scheduled = false
    pump(queue)
  })
}

function pump(queue: Queue): void {
  for (let batch = takeBatch(queue); batch !== undefined; batch = takeBatch(queue)) {
    const { source, wanted } = batch
    countRequest(queue, source, 1)
    if (source !== undefined) source.blocks += wanted.length
    void request(queue, batch).finally(() => {
      countRequest(queue, source, -1)
      schedule(queue)
    })
  }
}

/** One more under way, or one less. */
function countRequest(queue: Queue, source: Source | undefined, by: 1 | -1): void {
  if (source === undefined) {
    queue.requests += by
    return
  }
  queue.straight += by
  source.requests += by
}

/** Whom to ask: a node that was given, or a holder straight. */
interface Choice {
  readonly node: NodeAt
  readonly source: Source | undefined
}

interface Batch extends Choice {
  readonly wanted: Wanted[]
  /** No other node is left for some of it. */
  readonly last: boolean
}

/** Holders that it may be asked of straight, whether they have room for a question now or not. */
function sourcesFor({ direct }: Queue, wanted: Wanted, now: number): readonly Source[] {
  const { slot, passed, holders } = wanted
  if (direct === undefined || slot === undefined) return NOBODY.all
  if (holders.version !== direct.version)
    wanted.holders = { version: direct.version, all: direct.holdersOf(slot) }
  return wanted.holders.all.filter((source) => source.restUntilMs <= now && !passed.has(source))
}

/** The first that wait and may be asked of one node, shared out over the requests that may go now. */
function takeBatch(queue: Queue): Batch | undefined {
  drop(queue)
  const { waiting } = queue
  const ranked = queue.nodes.ranked()
  const now = performance.now()
  const { each, free } = roomOf(queue)
  const rests = (node: NodeAt): boolean => (queue.restUntilMs.get(node) ?? 0) > now
  const nodeFor = (wanted: Wanted): NodeAt | undefined =>
    ranked.find((node) => !wanted.failures.has(node) && !rests(node))
  const choose = (wanted: Wanted): Choice | undefined => {
    const sources = sourcesFor(queue, wanted, now)
    if (sources.length > 0) return free > 0 ? soonest(sources, each) : undefined
    // until it is known who else can be asked, a little goes through one node, and the rest waits
    const most = wanted.slot !== undefined && queue.direct?.soon ? 1 : REQUESTS_MAX
    const node = queue.requests < most ? nodeFor(wanted) : undefined
    return node === undefined ? undefined : { node, source: undefined }
  }
  let chosen: Choice | undefined
  const at = waiting.findIndex((wanted) => {
    chosen = choose(wanted)
    return chosen !== undefined
  })
  if (chosen === undefined) {
    wakeAfterRest(queue, now)
    return undefined
  }
  const { node, source } = chosen
  const goesToo = (wanted: Wanted): boolean => {
    const sources = sourcesFor(queue, wanted, now)
    return source === undefined ? sources.length === 0 && nodeFor(wanted) === node : sources.includes(source)
  }
  const requests = source === undefined ? REQUESTS_MAX - queue.requests : free
  const most = source === undefined ? BATCH_BLOCKS : Math.max(1, Math.floor(BATCH_MS / source.msPerBlock))
  const size = Math.min(BATCH_BLOCKS, most, Math.ceil(waiting.length / requests))
  const { ref } = waiting[at] as Wanted
  const wanted = waiting.splice(at, 1)
  for (let i = at; i < waiting.length && wanted.length < size; ) {
    const next = waiting[i] as Wanted
    if (next.ref === ref && goesToo(next)) wanted.push(...waiting.splice(i, 1))
    else i++
  }
  const last = wanted.some(({ failures }) => failures.size === queue.nodes.all.length - 1)
  return { node, source, wanted, last }
}

/** Requests to each holder, and how many more there may be now. */
function roomOf({ direct, straight }: Queue): { each: number; free: number } {
  if (direct === undefined || direct.size === 0) return { each: 0, free: 0 }
  const each = Math.max(OF_A_HOLDER, Math.ceil(REQUESTS_MAX / direct.size))
  return { each, free: Math.min(DIRECT_MAX, each * direct.size) - straight }
}

/** The one that will have given a block first, by what is asked of it and what it took lately. */
function soonest(sources: readonly Source[], each: number): Choice | undefined {
  const dueMs = ({ blocks, msPerBlock }: Source): number => (blocks + 1) * msPerBlock
  let best: Source | undefined
  for (const source of sources) {
    if (source.requests < each && (best === undefined || dueMs(source) < dueMs(best))) best = source
  }
  return best === undefined ? undefined : { node: best.node, source: best }
}

/** Takes out those that nobody waits for any more, and those that no node is left for. */
function drop(queue: Queue): void {
  for (let i = queue.waiting.length - 1; i >= 0; i--) {
    const wanted = queue.waiting[i] as Wanted
    const hopeless = wanted.failures.size === queue.nodes.all.length
    if (hopeless && !wanted.settled) {
      const failures = [...wanted.failures].map(([node, error]) => ({ node, error }))
      wanted.reject(allFailed(failures, `no node gave the block ${wanted.cid}`))
    }
    if (wanted.settled) queue.waiting.splice(i, 1)
  }
}

function wakeAfterRest(queue: Queue, now: number): void {
  if (queue.waiting.length === 0 || queue.requests + queue.straight > 0) return // the end of one looks again
  const next = Math.min(...[...queue.restUntilMs.values()].filter((until) => until > now))
  if (Number.isFinite(next)) setTimeout(() => schedule(queue), next - now)
}

/** One request to one node: gives what arrives to those who want it, and puts back what doesn't. */
async function request(queue: Queue, { node, source, wanted, last }: Batch): Promise<void> {
  const patienceMs = last ? LAST_NODE_PATIENCE * queue.stallMs : queue.stallMs
  const lateMs = Math.min(queue.direct?.lateMs ?? patienceMs, queue.stallMs)
  const guard = guardProgress(node, source === undefined ? patienceMs : lateMs)
  const startedMs = performance.now()
  let got = 0
  let begun = false
  // once all that are left were aborted, the rest of the answer is of no use
  const onSettled = (): void => {
    if (got < wanted.length && wanted.every(({ settled }) => settled)) guard.stop()
  }
  for (const each of wanted) each.onSettled = onSettled
  try {
    const pieces = await queue.nodes.pieces(node, {
      path: '/v1/blocks',
      body: JSON.stringify({ cids: wanted.map(({ cid }) => cid.toString()), ref: wanted[0]?.ref }),
      signal: guard.signal
    })
    begun = true
    const car = await readCar(guard.over(pieces), { reused: true })
    for await (const block of car.blocks) {
      check(node, block, wanted[got])
      const { resolve } = wanted[got++] as Wanted
      resolve(block.bytes)
      guard.progress()
      if (source !== undefined) source.blocks--
    }
    if (got < wanted.length) throw new Error(`it ended after ${got} of ${wanted.length} blocks`)
    if (source !== undefined) queue.direct?.noteGap(guard.gapMs)
  } catch (cause) {
    const left = wanted.slice(got)
    if (left.length > 0 && left.every(({ settled }) => settled)) return
    const failure = failureOf(node, cause, { begun, stalled: guard.signal.aborted })
    if (source === undefined) blame(queue, { node, failure, left, got })
    else passOver(queue, { source, failure, left })
  } finally {
    guard.stop()
    if (source !== undefined)
      noteEnd(source, { got, of: wanted.length, tookMs: performance.now() - startedMs })
  }
}

function noteEnd(source: Source, { got, of, tookMs }: { got: number; of: number; tookMs: number }): void {
  source.blocks -= of - got
  if (got > 0) source.msPerBlock += (tookMs / got - source.msPerBlock) / 4
}

/** What a holder didn't give when it was asked straight is asked of the next, or of the nodes given. */
function passOver(
  queue: Queue,
  { source, failure: { type, error }, left }: { source: Source; failure: Failure; left: Wanted[] }
): void {
  const ofOne = type === 'said' && OF_ONE_BLOCK.has(error.code)
  const restMs = type === 'said' && error.code === 'BUSY' ? waitAfter(error) : AVOID_MS
  if (!ofOne) source.restUntilMs = performance.now() + restMs
  for (const wanted of ofOne ? left.slice(0, 1) : left) wanted.passed.add(source)
  queue.waiting.unshift(...left)
}

function check(node: NodeAt, block: Block, wanted: Wanted | undefined): void {
  if (wanted !== undefined && block.cid.equals(wanted.cid)) return
  const hint = 'ask another node; this one, or what lies between, does not do what it should'
  if (wanted === undefined)
    throw new CairnError('BAD_CAR', `${node.url} gave more than was asked for`, { hint })
  throw new CairnError('BLOCK_CORRUPT', `${node.url} gave ${block.cid} where ${wanted.cid} was asked for`, {
    hint
  })
}

/**
 * What went wrong with a request: the node said so itself, it could not be reached, it made no progress, the
 * answer broke off, or what came is not what was asked for.
 */
interface Failure {
  readonly type: 'said' | 'unreachable' | 'stalled' | 'torn' | 'wrong'
  readonly error: CairnError
}

function failureOf(node: NodeAt, cause: unknown, at: { begun: boolean; stalled: boolean }): Failure {
  if (at.stalled) return { type: 'stalled', error: cause as CairnError }
  if (!CairnError.is(cause)) {
    const error = new CairnError('UNREACHABLE', `${node.url} broke off: ${reasonOf(cause)}`, { cause })
    return { type: 'torn', error }
  }
  if (!at.begun) {
    const ours = cause.code === 'UNREACHABLE' || cause.code === 'BAD_MESSAGE'
    return { type: ours ? 'unreachable' : 'said', error: cause }
  }
  const { code, message, hint } = cause
  return {
    type: 'wrong',
    error: CairnError.from({
      code,
      message: `${node.url}: ${message}`,
      ...(hint === undefined ? {} : { hint })
    })
  }
}

/** What a node may say of one block, which leaves the others of the request open. */
const OF_ONE_BLOCK: ReadonlySet<string> = new Set([
  'NO_PROVIDER',
  'NOT_FOUND',
  'TIMEOUT',
  'BLOCK_CORRUPT',
  'BAD_CID'
])

/** Decides what a failed request says of the node, and of each block that it left. */
function blame(
  queue: Queue,
  { node, failure, left, got }: { node: NodeAt; failure: Failure; left: Wanted[]; got: number }
): void {
  const { type, error } = failure
  const busy =
    type === 'said' && error.code === 'BUSY' && left.every((wanted) => wanted.busy < BUSY_RETRIES_MAX)
  if (busy) {
    for (const wanted of left) wanted.busy++
    queue.restUntilMs.set(node, performance.now() + waitAfter(error))
  } else {
    const ofOne = type === 'said' && OF_ONE_BLOCK.has(error.code)
    if (!ofOne) queue.nodes.avoid(node)
    for (const wanted of left.slice(0, blamedOf(type, ofOne, got))) wanted.failures.set(node, error)
  }
  queue.waiting.unshift(...left)
}

/** How many of those left this node is not asked for again. */
function blamedOf(type: Failure['type'], ofOne: boolean, got: number): number {
  // torn after some progress: asked again the next block comes first, and the node can say what is wrong
  if (type === 'torn' && got > 0) return 0
  return ofOne || type === 'wrong' || got > 0 ? 1 : Number.POSITIVE_INFINITY
}
