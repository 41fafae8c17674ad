/**
 * Verified blocks from any of several nodes. Those asked for at about the same time travel together; each
 * is compared with the CID that was asked for; what is wrong, missing, cut off or late is asked of the next
 * node. Nothing is believed: not the order, not the length, not the end.
 */
import { type Block, readCar } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { allFailed, type NodeAt, type Nodes, reasonOf, waitAfter } from './nodes.ts'

/** Blocks of one request: of small ones many must share it, as a request costs a millisecond of both ends. */
const BATCH_BLOCKS = 64
/** Requests at once, of one client. */
const REQUESTS_MAX = 4
/** Without progress for so long, the next node is asked, ms. */
export const STALL_MS = 5_000
/** What counts as progress, bytes: a node that drips is as good as silent. */
const PROGRESS_BYTES = 16 * 1024
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
  readonly ref: string | undefined
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: unknown) => void
  /** What was wrong at each node that can't give it. */
  readonly failures: Map<NodeAt, CairnError>
  busy: number
  settled: boolean
  /** Called once nobody waits any more: by an answer, an error or an abort. */
  onSettled: () => void
}

interface Queue {
  readonly nodes: Nodes
  readonly stallMs: number
  readonly waiting: Wanted[]
  /** Until when a busy node is left alone. */
  readonly restUntilMs: Map<NodeAt, number>
  requests: number
  scheduled: boolean
}

export function createFetchBlock(nodes: Nodes, stallMs = STALL_MS): FetchBlock {
  const queue: Queue = { nodes, stallMs, waiting: [], restUntilMs: new Map(), requests: 0, scheduled: false }
  return (cid, { signal, ref } = {}) => {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const wanted: Wanted = {
      cid,
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
  while (queue.requests < REQUESTS_MAX) {
    const batch = takeBatch(queue)
    if (batch === undefined) return
    queue.requests++
    void request(queue, batch).finally(() => {
      queue.requests--
      schedule(queue)
    })
  }
}

interface Batch {
  readonly node: NodeAt
  readonly wanted: Wanted[]
  /** No other node is left for some of it. */
  readonly last: boolean
}

/** The first that wait and may be asked of one node, shared out over the requests that may go now. */
function takeBatch(queue: Queue): Batch | undefined {
  drop(queue)
  const { waiting } = queue
  const ranked = queue.nodes.ranked()
  const now = performance.now()
  const rests = (node: NodeAt): boolean => (queue.restUntilMs.get(node) ?? 0) > now
  const nodeFor = (wanted: Wanted): NodeAt | undefined =>
    ranked.find((node) => !wanted.failures.has(node) && !rests(node))

  const at = waiting.findIndex((wanted) => nodeFor(wanted) !== undefined)
  if (at < 0) {
    wakeAfterRest(queue, now)
    return undefined
  }
  const node = nodeFor(waiting[at] as Wanted) as NodeAt
  const size = Math.min(BATCH_BLOCKS, Math.ceil(waiting.length / (REQUESTS_MAX - queue.requests)))
  const wanted: Wanted[] = []
  const { ref } = waiting[at] as Wanted
  for (let i = at; i < waiting.length && wanted.length < size; ) {
    const next = waiting[i] as Wanted
    if (next.ref === ref && nodeFor(next) === node) wanted.push(...waiting.splice(i, 1))
    else i++
  }
  const last = wanted.some(({ failures }) => failures.size === queue.nodes.all.length - 1)
  return { node, wanted, last }
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
  if (queue.waiting.length === 0 || queue.requests > 0) return // the end of a request looks again
  const next = Math.min(...[...queue.restUntilMs.values()].filter((until) => until > now))
  if (Number.isFinite(next)) setTimeout(() => schedule(queue), next - now)
}

/** One request to one node: gives what arrives to those who want it, and puts back what doesn't. */
async function request(queue: Queue, { node, wanted, last }: Batch): Promise<void> {
  const guard = guardProgress(node, last ? LAST_NODE_PATIENCE * queue.stallMs : queue.stallMs)
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
    }
    if (got < wanted.length) throw new Error(`it ended after ${got} of ${wanted.length} blocks`)
  } catch (cause) {
    const left = wanted.slice(got)
    if (left.length > 0 && left.every(({ settled }) => settled)) return
    blame(queue, {
      node,
      failure: failureOf(node, cause, { begun, stalled: guard.signal.aborted }),
      left,
      got
    })
  } finally {
    guard.stop()
  }
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

interface ProgressGuard {
  readonly signal: AbortSignal
  progress(): void
  over(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>
  stop(): void
}

/** Aborts when there was no progress for `ms`. One timer that looks back, not one that is reset a piece. */
function guardProgress(node: NodeAt, ms: number): ProgressGuard {
  const controller = new AbortController()
  let atMs = performance.now()
  let bytes = 0
  let timer: ReturnType<typeof setTimeout>
  const look = (): void => {
    const leftMs = atMs + ms - performance.now()
    if (leftMs > 0) timer = setTimeout(look, leftMs)
    else controller.abort(new CairnError('TIMEOUT', `${node.url} made no progress for ${ms / 1_000} s`))
  }
  timer = setTimeout(look, ms)
  const progress = (): void => {
    atMs = performance.now()
    bytes = 0
  }
  return {
    signal: controller.signal,
    progress,
    async *over(pieces) {
      const { signal } = controller
      const { promise: aborted, reject } = Promise.withResolvers<never>()
      aborted.catch(() => {}) // whoever reads is told
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      const iterator = pieces[Symbol.asyncIterator]()
      try {
        for (;;) {
          // not left to the body: one that stands still does not always end with its signal
          const next = await Promise.race([iterator.next(), aborted])
          if (next.done === true) return
          bytes += next.value.length
          if (bytes >= PROGRESS_BYTES) progress()
          yield next.value
        }
      } finally {
        iterator.return?.(undefined).catch(() => {}) // not awaited, for the same reason
      }
    },
    stop() {
      clearTimeout(timer)
      controller.abort() // what is left of the answer is of no use
    }
  }
}
