/**
 * How bytes move between nodes: `sendBlocks` and `fetchBlocks`, the one seam behind which another
 * transport can stand. Many blocks share a frame; frames are answered in groups as they become durable;
 * credit bounds what is under way. Each peer has up to three long-lived streams: one that pushes, one that
 * fetches for readers and one for repair, so that no request queues behind megabytes that are less urgent.
 */
import { type BlockKey, CairnError, type PeerId } from '@cairn/core'
import { type Budget, budget } from './budget.ts'
import type { ByteChannel } from './channel.ts'
import {
  bytesOf,
  checkEntry,
  encodeEntries,
  encodeHeader,
  entryBytes,
  FRAME_ENTRIES_MAX,
  type Message,
  malformed,
  type OutEntry,
  readEntries,
  readMessage,
  WANT_KEYS_MAX
} from './frame.ts'
import { type Answer, frameCost, PUSH_CREDIT_BYTES, WANT_CREDIT_BYTES, WANTS_MAX } from './serve.ts'

/** A pushed frame is cut from this size on: eight within the credit keep disk and wire busy. */
const PUSH_FRAME_BYTES = 2 * 1024 * 1024
/** Used up before it is given back: a quarter of a request's credit, so that few frames carry only credit. */
const CREDIT_BACK_BYTES = WANT_CREDIT_BYTES / 4
/** A transfer without a frame of its own for so many stall times fails, though others move. A guess. */
const QUIET_STALLS_MAX = 30
/** Streams unused for so long are closed. A guess. */
const IDLE_MS = 60_000

/** A block that was asked for. */
export interface Got {
  key: BlockKey
  /** Absent: not held there. Not verified: that is the asker's. */
  bytes?: Uint8Array
  proofs: readonly Uint8Array[]
}

export interface SendOptions {
  signal?: AbortSignal
  /** Once for each frame, with its own items and receipt, as they become durable. */
  onAnswer(answer: Answer): void
}

export interface FetchOptions {
  signal?: AbortSignal
  /** Fetch the claims alone. */
  claimsOnly?: boolean
  /** For a repair: over a stream of its own, and served after readers. */
  yields?: boolean
  /** Once for each key, in any order. A promise slows the sender down until it settles. */
  onBlock(got: Got): void | Promise<void>
}

export interface Bulk {
  /** Once it settles the entries' bytes are not looked at any more. */
  sendBlocks(to: PeerId, entries: readonly OutEntry[], options: SendOptions): Promise<void>
  fetchBlocks(from: PeerId, keys: readonly BlockKey[], options: FetchOptions): Promise<void>
  /** Calls of both under way, and bytes of blocks that they sent and brought since the start. */
  moved(): Moved
  close(): void
}

interface Moved {
  transfers: number
  pushedBytes: number
  fetchedBytes: number
}

export interface BulkOptions {
  /** A stream to that peer which carries bulk and nothing else. */
  open(peer: PeerId, signal: AbortSignal): Promise<ByteChannel>
  /** A peer broke the protocol. */
  rejected(peer: PeerId, error: CairnError): void
  stallMs: number
}

type Purpose = 'push' | 'fetch' | 'repair'

/** One frame pushed, or one request, until its end. */
interface Pending {
  /** Whether it waits for this node's own consumer, which is no stall of the peer. */
  busy: boolean
  heardMs: number
  hear(message: Message): void | Promise<void>
  fail(error: Error): void
}

interface Lane {
  peer: PeerId
  channel: ByteChannel
  pending: Map<number, Pending>
  nextId: number
  pushCredit: Budget
  wants: Budget
  watch: NodeJS.Timeout
}

export function createBulk(options: BulkOptions): Bulk {
  const lanes = new Map<string, Promise<Lane>>()
  const closing = new AbortController()
  const moved: Moved = { transfers: 0, pushedBytes: 0, fetchedBytes: 0 }
  const counted = (transfer: Promise<void>): Promise<void> => {
    moved.transfers++
    return transfer.finally(() => moved.transfers--)
  }

  const laneOf = (peer: PeerId, purpose: Purpose): Promise<Lane> => {
    const name = `${purpose} ${peer}`
    const known = lanes.get(name)
    if (known !== undefined) return known
    const opening = openLane(peer, options, closing.signal)
    const forget = (): void => {
      if (lanes.get(name) === opening) lanes.delete(name)
    }
    lanes.set(name, opening)
    opening.then((lane) => {
      if (lane.channel.gone.aborted) forget()
      else lane.channel.gone.addEventListener('abort', forget)
    }, forget)
    return opening
  }

  return {
    async sendBlocks(to, entries, { signal, onAnswer }) {
      for (const entry of entries) checkEntry(entry)
      signal?.throwIfAborted()
      if (entries.length === 0) return
      const lane = await orAbort(laneOf(to, 'push'), signal)
      const stop = new AbortController()
      const until = AbortSignal.any([lane.channel.gone, stop.signal, ...(signal ? [signal] : [])])
      const pushing = all(stop, async (start) => {
        for (const frame of framesOf(entries)) {
          await lane.pushCredit.take(frame.cost, until)
          if (until.aborted) lane.pushCredit.give(frame.cost) // in the instant between
          until.throwIfAborted()
          const pushed = pushFrame(lane, frame, { until, onAnswer }).then(() => {
            moved.pushedBytes += frame.bytes
          })
          start(pushed)
        }
      })
      await counted(pushing)
    },
    async fetchBlocks(from, keys, { signal, claimsOnly = false, yields = false, onBlock }) {
      signal?.throwIfAborted()
      if (keys.length === 0) return
      const lane = await orAbort(laneOf(from, yields ? 'repair' : 'fetch'), signal)
      const stop = new AbortController()
      const until = AbortSignal.any([lane.channel.gone, stop.signal, ...(signal ? [signal] : [])])
      const type = claimsOnly ? 'ask' : yields ? 'pull' : 'want'
      const taken = (got: Got): void | Promise<void> => {
        moved.fetchedBytes += got.bytes?.length ?? 0
        return onBlock(got)
      }
      const fetching = all(stop, async (start) => {
        for (let at = 0; at < keys.length; at += WANT_KEYS_MAX) {
          await lane.wants.take(1, until)
          start(wantKeys(lane, keys.slice(at, at + WANT_KEYS_MAX), { until, type, onBlock: taken }))
        }
      })
      await counted(fetching)
    },
    moved: () => ({ ...moved }),
    close() {
      const end = new CairnError('UNREACHABLE', 'this node is stopping')
      closing.abort(end)
      for (const lane of lanes.values()) {
        lane.then(
          ({ channel }) => channel.abort(end),
          () => {} // it never opened; whoever waits for it is told
        )
      }
    }
  }
}

/** Runs parts side by side; the first failure stops the rest and is the result. */
async function all(
  stop: AbortController,
  run: (start: (part: Promise<void>) => void) => Promise<void>
): Promise<void> {
  const parts: Promise<void>[] = []
  let failure: unknown
  const note = (cause: unknown): void => {
    failure ??= cause
    stop.abort(cause)
  }
  await run((part) => parts.push(part.catch(note))).catch(note)
  await Promise.all(parts)
  if (failure !== undefined) throw failure
}

function orAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

async function openLane(peer: PeerId, options: BulkOptions, signal: AbortSignal): Promise<Lane> {
  const channel = await options.open(peer, signal)
  const lane: Lane = {
    peer,
    channel,
    pending: new Map(),
    nextId: 1,
    pushCredit: budget(PUSH_CREDIT_BYTES),
    wants: budget(WANTS_MAX),
    watch: setInterval(
      watchStalls(() => lane, options.stallMs),
      options.stallMs / 4
    )
  }
  void listen(lane).catch((cause: Error) => {
    if (CairnError.is(cause, 'BAD_MESSAGE')) options.rejected(peer, cause)
    channel.abort(cause)
  })
  const end = (): void => {
    clearInterval(lane.watch)
    for (const pending of [...lane.pending.values()]) pending.fail(channel.gone.reason)
  }
  if (channel.gone.aborted) end()
  else channel.gone.addEventListener('abort', end)
  return lane
}

/** Fails what waits for a peer that moves nothing, and closes a lane that nobody uses. */
function watchStalls(laneOf: () => Lane, stallMs: number): () => void {
  let moved = -1
  let movedMs = Date.now()
  let usedMs = Date.now()
  return () => {
    const lane = laneOf()
    const now = Date.now()
    const bytes = lane.channel.sentBytes + lane.channel.receivedBytes
    if (bytes !== moved) movedMs = now
    moved = bytes
    if (lane.pending.size > 0) usedMs = now
    else if (now - usedMs > IDLE_MS) lane.channel.abort(new CairnError('UNREACHABLE', 'closed when idle'))
    for (const pending of [...lane.pending.values()]) {
      const quietMs = pending.busy ? 0 : now - pending.heardMs
      const stuck = quietMs > stallMs && now - movedMs > stallMs
      if (!stuck && quietMs <= stallMs * QUIET_STALLS_MAX) continue
      const late = new CairnError(
        'TIMEOUT',
        `${lane.peer} made no progress for ${Math.round(quietMs / 1000)} s`
      )
      if (stuck) lane.channel.abort(late)
      else pending.fail(late)
    }
  }
}

/** What only the side that asks may say. */
const ASKING: readonly Message['type'][] = ['push', 'want', 'pull', 'ask', 'credit', 'cancel']

/** Reads the lane's stream and hands each frame to the transfer that it is about. */
async function listen(lane: Lane): Promise<void> {
  const { channel, pending } = lane
  for (let next = await readMessage(channel); next !== undefined; next = await readMessage(channel)) {
    if (ASKING.includes(next.type)) {
      throw malformed(`"${next.type}" to the side that asks`)
    }
    if (next.id >= lane.nextId) throw malformed('an answer to nothing')
    const asked = pending.get(next.id)
    // Of a transfer that was given up: its blocks are dropped unread.
    if (asked === undefined && next.type === 'blocks') await channel.skip(bytesOf(next.entries))
    if (asked === undefined) continue
    asked.heardMs = Date.now()
    await asked.hear(next)
  }
  throw new CairnError('UNREACHABLE', `${lane.peer} closed the stream`)
}

interface Frame {
  entries: OutEntry[]
  bytes: number
  cost: number
}

function* framesOf(entries: readonly OutEntry[]): Generator<Frame> {
  let frame: OutEntry[] = []
  let size = 0
  for (const entry of entries) {
    const bytes = entryBytes(entry)
    if (frame.length === FRAME_ENTRIES_MAX || (frame.length > 0 && size + bytes > PUSH_FRAME_BYTES)) {
      yield { entries: frame, bytes: size, cost: frameCost(size) }
      frame = []
      size = 0
    }
    frame.push(entry)
    size += bytes
  }
  yield { entries: frame, bytes: size, cost: frameCost(size) }
}

/**
 * Sends one frame and waits for its answer. Its credit returns with that, even if nobody waits any more.
 * Given up, it settles once the frame is out of here: until then its bytes are on their way.
 */
function pushFrame(
  lane: Lane,
  frame: Frame,
  { until, onAnswer }: { until: AbortSignal; onAnswer: SendOptions['onAnswer'] }
): Promise<void> {
  const id = lane.nextId++
  return new Promise((resolve, reject) => {
    const giveUp = (error: unknown): void => void sending.then(() => reject(error))
    const quit = (): void => giveUp(until.reason)
    until.addEventListener('abort', quit, { once: true })
    const settle = (act: () => void): void => {
      until.removeEventListener('abort', quit)
      lane.pending.delete(id)
      lane.pushCredit.give(frame.cost)
      act()
    }
    const pending: Pending = {
      busy: true, // while it waits for its turn on the wire
      heardMs: Date.now(),
      hear(message) {
        if (message.type !== 'answer' || message.outcomes.length !== frame.entries.length) {
          throw malformed('an answer that fits no push')
        }
        const answer = answerOf(frame, message)
        settle(() => {
          if (!until.aborted) attempt(() => onAnswer(answer), resolve, reject)
        })
      },
      fail: (error) => settle(() => giveUp(error))
    }
    const sent = (): void => {
      pending.busy = false
      pending.heardMs = Date.now()
    }
    lane.pending.set(id, pending)
    const sending = lane.channel
      .send(encodeEntries('push', id, frame.entries))
      .then(sent, (cause) => lane.pending.get(id)?.fail(cause))
  })
}

function attempt(act: () => void, resolve: () => void, reject: (cause: unknown) => void): void {
  try {
    act()
    resolve()
  } catch (cause) {
    reject(cause)
  }
}

function answerOf(frame: Frame, { outcomes, receipt }: Extract<Message, { type: 'answer' }>): Answer {
  const items = outcomes.map(({ outcome, reason }, i) => {
    const { key } = frame.entries[i] as OutEntry
    return { key, outcome, ...(reason === undefined ? {} : { reason }) }
  })
  return { items, ...(receipt === undefined ? {} : { receipt }) }
}

/** Asks for keys and hands on what comes, within one request's credit. */
async function wantKeys(
  lane: Lane,
  keys: readonly BlockKey[],
  {
    until,
    type,
    onBlock
  }: { until: AbortSignal; type: 'want' | 'pull' | 'ask'; onBlock: FetchOptions['onBlock'] }
): Promise<void> {
  const id = lane.nextId++
  const missing = new Set(keys)
  let under = 0
  let used = 0
  let consuming: Promise<void> = Promise.resolve()
  try {
    await new Promise<void>((resolve, reject) => {
      const pending: Pending = {
        busy: false,
        heardMs: Date.now(),
        async hear(message) {
          if (message.type === 'failed') {
            return reject(
              new CairnError('NO_PROVIDER', `${lane.peer} can't serve the blocks: ${message.reason}`)
            )
          }
          if (message.type !== 'blocks') throw malformed('an answer that fits no request')
          const bytes = bytesOf(message.entries)
          under += bytes
          if (under > WANT_CREDIT_BYTES) throw malformed('more than the credit allows')
          for (const { key } of message.entries) {
            if (!missing.delete(key)) throw malformed('a block that was not asked for')
          }
          const entries = await readEntries(lane.channel, message.entries)
          consuming = consuming.then(async () => {
            pending.busy = true
            for (const entry of entries) if (!until.aborted) await onBlock(entry)
            pending.busy = false
            pending.heardMs = Date.now()
            under -= bytes
            used += bytes
            if (missing.size === 0) return
            if (used < CREDIT_BACK_BYTES) return
            const back = used
            used = 0
            await lane.channel.send([encodeHeader({ type: 'credit', id, bytes: back })])
          })
          consuming.catch(reject)
          if (missing.size === 0) consuming.then(resolve, reject)
        },
        fail: reject
      }
      if (until.aborted) return reject(until.reason)
      until.addEventListener('abort', () => reject(until.reason), { once: true })
      lane.pending.set(id, pending)
      lane.channel.send([encodeHeader({ type, id, keys: [...missing] })]).catch(reject)
    })
  } catch (cause) {
    if (!lane.channel.gone.aborted)
      void lane.channel.send([encodeHeader({ type: 'cancel', id })]).catch(() => {})
    throw cause
  } finally {
    lane.pending.delete(id)
    lane.wants.give(1)
  }
}
