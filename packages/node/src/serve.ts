/**
 * The serving side of `/cairn/bulk/1`: takes pushed frames and answers each once it is durable, and sends
 * wanted blocks under the asker's credit. What one peer, and all of them together, can make this node
 * hold in memory is bounded here; a peer beyond its share is malformed, not slow.
 */
import { type BlockKey, CairnError, type PeerId } from '@cairn/core'
import { type Budget, budget } from './budget.ts'
import { blockBuffers } from './buffers.ts'
import type { ByteChannel } from './channel.ts'
import { type Courtesy, courtesy } from './courtesy.ts'
import {
  bytesOf,
  encodeEntries,
  encodeHeader,
  entryBytes,
  type Listing,
  type Message,
  malformed,
  type Outcome,
  type OutEntry,
  PROOF_BYTES_MAX,
  PROOFS_MAX,
  readEntries,
  readMessage,
  reasonOf
} from './frame.ts'

/** Pushed and unanswered on one stream, bytes. */
export const PUSH_CREDIT_BYTES = 16 * 1024 * 1024
/** What any frame costs of it, so that a flood of empty ones ends too: 64 unanswered frames. */
const FRAME_COST_MIN = 256 * 1024
/** Sent and not yet used up of one request, bytes; and requests under way on one stream. */
export const WANT_CREDIT_BYTES = 4 * 1024 * 1024
export const WANTS_MAX = 4
/** A frame of wanted blocks goes out from this size on. */
const BLOCKS_FRAME_BYTES = 1024 * 1024
/** Pushed blocks in memory for all peers, and blocks being read for them. Guesses within 300 MB a node. */
const RECEIVING_BYTES_MAX = 64 * 1024 * 1024
const READING_BYTES_MAX = 32 * 1024 * 1024
/** Of repairs, beside: what they have read waits for no reader, and no reader for it. */
const PULLING_BYTES_MAX = 16 * 1024 * 1024
/** Reads of one request under way: small blocks share what reading costs. */
const READS_AT_ONCE = 64
/** An asker that uses up nothing of what it was sent for so long is given up. A guess. */
const CREDIT_WAIT_MS = 60_000

/** Of one block's claims, as far as they go with it. */
const CLAIMS_BYTES_MAX = PROOFS_MAX * PROOF_BYTES_MAX

/** What became of the entries of one frame. */
export interface Answer {
  items: { key: BlockKey; outcome: Outcome; reason?: string }[]
  /** Over the held ones, in order. */
  receipt?: Uint8Array
}

/** What a node does with blocks that others push and want. */
export interface BulkServer {
  /**
   * Resolves once all is durable, with an item for each entry in the same order. The entries' bytes are used
   * again after that: what is to be kept must be copied.
   */
  receive(from: PeerId, entries: OutEntry[]): Promise<Answer>
  /** Of the blocks that are held, bytes: what reading them takes. */
  sizes(from: PeerId, keys: readonly BlockKey[]): Promise<(number | undefined)[]>
  /**
   * A block that is held and good, with its claims; else why it is not given, if that can be said. Its bytes
   * are the caller's alone, who gives them back. `forRepair`: nobody waits to see it.
   */
  read(
    from: PeerId,
    key: BlockKey,
    forRepair: boolean
  ): Promise<{ bytes: Uint8Array; proofs: readonly Uint8Array[] } | { reason: string } | undefined>
  /** Claims on a block that is held, or was collected; none when it is not known. */
  claims(from: PeerId, key: BlockKey): Promise<readonly Uint8Array[]>
}

export interface ServerBudgets {
  receiving: Budget
  reading: Budget
  pulling: Budget
  courtesy: Courtesy
  /** Bytes of blocks sent to those who asked, since the start. */
  servedBytes: number
  /** Bytes of blocks that were pushed here, since the start. */
  receivedBytes: number
}

export function serverBudgets(): ServerBudgets {
  return {
    receiving: budget(RECEIVING_BYTES_MAX),
    reading: budget(READING_BYTES_MAX),
    pulling: budget(PULLING_BYTES_MAX),
    courtesy: courtesy(),
    servedBytes: 0,
    receivedBytes: 0
  }
}

export function frameCost(bytes: number): number {
  return Math.max(bytes, FRAME_COST_MIN)
}

interface Read {
  entry: OutEntry
  /** Held of the budget for it. */
  bytes: number
}

interface Want {
  id: number
  /** `ask`: only the claims; `pull`: for a repair. */
  type: 'want' | 'pull' | 'ask'
  keys: BlockKey[]
  /** Of each key, bytes; 0 for what is not held. */
  sizes: number[]
  asked: number
  /** Under way, in the order asked; and what they will bring, bytes. */
  reads: Promise<Read>[]
  reading: number
  /** Read, to go out as one frame; and their bytes. */
  frame: Read[]
  frameBytes: number
  /** Sent and not given back. */
  outstanding: number
  wake: (() => void) | undefined
  cancelled: boolean
}

interface Session {
  channel: ByteChannel
  from: PeerId
  server: BulkServer
  budgets: ServerBudgets
  wants: Map<number, Want>
  unanswered: number
}

/** Serves one stream until its end. @throws CairnError BAD_MESSAGE, or UNREACHABLE when it was lost */
export async function serveBulk(
  channel: ByteChannel,
  from: PeerId,
  at: { server: BulkServer; budgets: ServerBudgets }
): Promise<void> {
  const session: Session = { channel, from, ...at, wants: new Map(), unanswered: 0 }
  try {
    for (let next = await readMessage(channel); next !== undefined; next = await readMessage(channel)) {
      if (next.type === 'push') await takePush(session, next.id, next.entries)
      else if (next.type === 'want' || next.type === 'pull' || next.type === 'ask') startWant(session, next)
      else if (next.type === 'credit') addCredit(session, next.id, next.bytes)
      else if (next.type === 'cancel') cancelWant(session, next.id)
      else throw malformed(`"${next.type}" to the side that serves`)
    }
  } finally {
    for (const id of [...session.wants.keys()]) cancelWant(session, id)
  }
}

async function takePush(session: Session, id: number, listing: Listing): Promise<void> {
  const { channel, budgets } = session
  const bytes = bytesOf(listing)
  session.unanswered += frameCost(bytes)
  if (session.unanswered > PUSH_CREDIT_BYTES) throw malformed('more than the credit allows')
  await budgets.receiving.take(bytes, channel.gone)
  try {
    const entries = await readEntries(channel, listing)
    budgets.receivedBytes += bytes
    void answerPush(session, id, entries).finally(() => budgets.receiving.give(bytes))
  } catch (cause) {
    budgets.receiving.give(bytes)
    throw cause
  }
}

async function answerPush(session: Session, id: number, entries: OutEntry[]): Promise<void> {
  const cost = frameCost(entries.reduce((sum, entry) => sum + entryBytes(entry), 0))
  const { items, receipt } = await receive(session, entries)
  for (const { bytes } of entries) if (bytes !== undefined) blockBuffers.give(bytes)
  const outcomes = items.map(({ outcome, reason }) => ({
    outcome,
    reason: reason === undefined ? undefined : reasonOf(reason)
  }))
  session.unanswered -= cost // before the answer leaves: the peer may use the credit at once
  try {
    await session.channel.send([encodeHeader({ type: 'answer', id, outcomes, receipt })])
  } catch {
    // The stream is gone, and with it who asked: what was stored stays stored, the asker will ask again.
  }
}

async function receive(session: Session, entries: OutEntry[]): Promise<Answer> {
  try {
    const answer = await session.server.receive(session.from, entries)
    if (answer.items.length === entries.length) return answer
    throw new RangeError(`${answer.items.length} outcomes for ${entries.length} entries`)
  } catch (cause) {
    return { items: entries.map(({ key }) => ({ key, outcome: 'failed', reason: reasonOf(cause) })) }
  }
}

function startWant(session: Session, { type, id, keys }: Message & { type: Want['type'] }): void {
  if (session.wants.has(id)) throw malformed('a request number twice')
  if (session.wants.size >= WANTS_MAX) throw malformed(`more than ${WANTS_MAX} requests at once`)
  const fresh = { sizes: [], asked: 0, reads: [], reading: 0, frame: [], frameBytes: 0, outstanding: 0 }
  const want: Want = { id, keys, type, ...fresh, wake: undefined, cancelled: false }
  session.wants.set(id, want)
  void serveWant(session, want)
}

function addCredit(session: Session, id: number, bytes: number): void {
  const want = session.wants.get(id)
  if (want === undefined) return // for a request that ended while the credit was on its way
  if (bytes > want.outstanding) throw malformed('credit for more than was sent')
  want.outstanding -= bytes
  want.wake?.()
}

function cancelWant(session: Session, id: number): void {
  const want = session.wants.get(id)
  if (want === undefined) return
  session.wants.delete(id)
  want.cancelled = true
  want.wake?.()
}

/** Reads ahead only as far as credit goes, so that a slow asker holds none of the budget that others need. */
async function serveWant(session: Session, want: Want): Promise<void> {
  const { budgets, wants, server, from } = session
  const { type } = want
  const over = type === 'want' ? budgets.courtesy.reading() : undefined
  try {
    want.sizes =
      type === 'ask'
        ? want.keys.map(() => CLAIMS_BYTES_MAX)
        : (await server.sizes(from, want.keys)).map((size) => size ?? 0)
    while (!want.cancelled && (want.asked < want.keys.length || want.reads.length > 0)) {
      if (type === 'pull') await budgets.courtesy.giveWay()
      while (hasRoom(want)) startRead(session, want)
      if (want.reads.length > 0) await takeRead(session, want)
      else if (want.frame.length > 0) await flush(session, want)
      else await changed(session, want)
    }
    if (!want.cancelled) await flush(session, want, true)
  } catch (cause) {
    await fail(session, want, cause)
  } finally {
    over?.()
    const memory = memoryFor(session, want)
    for (const read of [...want.frame, ...(await settled(want.reads))]) memory.give(read.bytes)
    if (wants.get(want.id) === want) wants.delete(want.id)
  }
}

function hasRoom(want: Want): boolean {
  if (want.asked === want.keys.length || want.reads.length === READS_AT_ONCE) return false
  const under = want.outstanding + want.frameBytes + want.reading
  return under === 0 || under + (want.sizes[want.asked] as number) <= WANT_CREDIT_BYTES
}

function startRead(session: Session, want: Want): void {
  const size = want.sizes[want.asked] as number
  const read = readOne(session, want, { key: want.keys[want.asked++] as BlockKey, bytes: size })
  read.catch(() => {}) // awaited in its turn, by takeRead
  want.reads.push(read)
  want.reading += size
}

async function takeRead(session: Session, want: Want): Promise<void> {
  const read = await (want.reads[0] as Promise<Read>)
  want.reads.shift()
  want.reading -= read.bytes
  const bytes = entryBytes(read.entry)
  if (want.frame.length > 0 && want.frameBytes + bytes > BLOCKS_FRAME_BYTES) await flush(session, want)
  want.frame.push(read)
  want.frameBytes += bytes
}

async function flush(session: Session, want: Want, last = false): Promise<void> {
  const { frame, frameBytes } = want
  if (frame.length === 0) return
  while (!want.cancelled && want.outstanding + frameBytes > WANT_CREDIT_BYTES) await changed(session, want)
  if (want.cancelled) return
  want.frame = []
  want.frameBytes = 0
  want.outstanding += frameBytes
  if (last) session.wants.delete(want.id) // before it is sent: the asker may use the place at once
  try {
    const entries = frame.map(({ entry }) => entry)
    await session.channel.send(encodeEntries('blocks', want.id, entries))
    session.budgets.servedBytes += frameBytes
    for (const { bytes } of entries) if (bytes !== undefined) blockBuffers.give(bytes)
  } finally {
    for (const read of frame) memoryFor(session, want).give(read.bytes)
  }
}

function memoryFor({ budgets }: Session, { type }: Want): Budget {
  return type === 'pull' ? budgets.pulling : budgets.reading
}

/** Resolves at the next credit or cancel. @throws CairnError TIMEOUT when neither comes */
function changed(session: Session, want: Want): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const late = new CairnError('TIMEOUT', `${session.from} took nothing for ${CREDIT_WAIT_MS / 1000} s`)
      reject(late)
      session.channel.abort(late)
    }, CREDIT_WAIT_MS)
    want.wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}

async function fail(session: Session, want: Want, cause: unknown): Promise<void> {
  if (session.channel.gone.aborted) return
  session.wants.delete(want.id)
  try {
    await session.channel.send([encodeHeader({ type: 'failed', id: want.id, reason: reasonOf(cause) })])
  } catch {
    // The stream went while saying so: who asked learns the same from that.
  }
}

async function settled(reads: Promise<Read>[]): Promise<Read[]> {
  const results = await Promise.allSettled(reads)
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
}

async function readOne(
  session: Session,
  want: Want,
  { key, bytes }: { key: BlockKey; bytes: number }
): Promise<Read> {
  const { channel, server, from } = session
  const memory = memoryFor(session, want)
  await memory.take(bytes, channel.gone)
  try {
    if (want.type === 'ask') return { entry: { key, proofs: await server.claims(from, key) }, bytes }
    const block = await server.read(from, key, want.type === 'pull')
    return { entry: entryOf(key, block), bytes }
  } catch (cause) {
    memory.give(bytes)
    throw cause
  }
}

/** What is not given has the reason in the place of a proof. */
function entryOf(key: BlockKey, block: Awaited<ReturnType<BulkServer['read']>>): OutEntry {
  if (block === undefined) return { key, proofs: [] }
  if ('reason' in block) return { key, proofs: [Buffer.from(reasonOf(new Error(block.reason)))] }
  return { key, ...block }
}
