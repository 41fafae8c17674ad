/**
 * Blocks to a node, in batches, several at once, under one upload's id; and to another node when that one
 * fails. What is held already is claimed and not sent, so that a repeated put only does what is missing.
 */
import { CODECS, noteGarbage } from '@cairn/blocks'
import { CairnError, concat } from '@cairn/core'
import { CID } from 'multiformats/cid'
import { addBlock, BATCH_BLOCKS, type Batch, carBody, createBuffers, isFull, newBatch } from './batch.ts'
import type { UploadBlock, UploadBlocks, UploadRoot } from './digested.ts'
import type { FetchBlock } from './fetch-blocks.ts'
import { toOutcome, toPin } from './json.ts'
import { allFailed, elsewhere, type NodeAt, type Nodes, waitAfter } from './nodes.ts'
import { addOutcomes, addShort, newTally, type Tally } from './outcome.ts'
import type { Ref, RefSetOptions, Refs, RefWithReceipts } from './refs.ts'
import type { Ack, HeldReceipt, Outcome, Pin } from './types.ts'
import { wait } from './wait.ts'

/** Batches under way at once, besides the one being filled: with its buffers, some 50 MiB. */
const BATCHES_MAX = 3
/** A whole put below this is sent without asking whether it must be. A guess: a round trip's worth. */
const ASK_BYTES_MIN = 64 * 1024
/** Once nothing was there, only one batch in so many is asked about. */
const ASK_EVERY = 8
/** How long an upload holds out while a node that it needs can't be reached, ms: a restart, and some. */
export const HOLD_OUT_MS = 30_000
/** Between two rounds over all nodes, ms; doubled each time. */
const ROUND_MS = 250
const ROUND_MS_MAX = 4_000
/** Times that a busy node is waited for before another is taken, where there is one. */
const BUSY_WAITS_MAX = 5
/** How long a batch is held back by nodes that are busy and nothing worse, ms: they do work for others. */
const BUSY_HOLD_OUT_MS = 600_000
const UPLOAD_ID_BYTES = 16
/** Of a value in a ref's metadata. */
const VALUE_CHARS_MAX = 512

export interface UploadOptions {
  replicas?: number
  ack?: Ack
  signal?: AbortSignal
  name?: string
  /** In the place of a pin, this ref is to keep it, and to point to it. */
  ref?: RefSetOptions & { name: string }
  /** Told of each receipt as it comes: who keeps them can show later what was held then. */
  onReceipt?: (receipt: HeldReceipt) => void
}

/** What an upload works with. */
export interface Means {
  nodes: Nodes
  fetchBlock: FetchBlock
  holdOutMs?: number | undefined
  refs: Pick<Refs, 'get' | 'set'>
}

/** Told as it goes: bytes of files only, so that they add up to the size of what is put. */
export interface UploadWatcher {
  hashed(bytes: number): void
  confirmed(bytes: number, replicas: number): void
}

export interface Uploaded extends Tally {
  root: UploadRoot
  pin: Pin | undefined
  ref: RefWithReceipts | undefined
}

/** What was sent by way of a node: kept until `finish`, at 40 bytes a block, in case that node is lost. */
interface Sent {
  node: NodeAt
  readonly cids: Uint8Array
  readonly replicas: number
}

interface Upload {
  readonly nodes: Nodes
  readonly fetchBlock: FetchBlock
  readonly holdOutMs: number
  readonly id: string
  readonly query: string
  readonly signal: AbortSignal
  readonly watcher: UploadWatcher
  readonly tally: Tally
  readonly onReceipt: ((receipt: HeldReceipt) => void) | undefined
  readonly sent: Sent[]
  /** Every node that was given blocks, or tried to be. */
  readonly nodesUsed: Set<NodeAt>
  /** The node that takes the blocks now, and how often it had to be changed. */
  node: NodeAt
  changes: number
  batches: number
  /** Nothing of the batch that was last asked about was there. */
  fresh: boolean
}

export async function upload(
  { nodes, fetchBlock, refs, holdOutMs = HOLD_OUT_MS }: Means,
  blocks: UploadBlocks,
  { watcher, signal, name, ref, onReceipt, ...asked }: UploadOptions & { watcher: UploadWatcher }
): Promise<Uploaded> {
  const failed = new AbortController()
  const up: Upload = {
    nodes,
    fetchBlock,
    holdOutMs,
    id: newUploadId(),
    query: queryOf(asked, onReceipt !== undefined),
    onReceipt,
    signal: signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]),
    watcher,
    tally: newTally(),
    sent: [],
    nodesUsed: new Set(),
    node: nodes.ranked()[0] as NodeAt,
    changes: 0,
    batches: 0,
    fresh: false
  }
  try {
    const root = await sendAll(up, blocks, failed)
    if (ref !== undefined) {
      const pointed = await point(up, refs, ref, root)
      // When nothing was new, nothing was confirmed now: the ref keeps what was confirmed before.
      const n = { replicas: pointed.replicas, wanted: pointed.replicas }
      return { ...up.tally, ...(up.tally.wanted === 0 ? n : {}), root, pin: undefined, ref: pointed }
    }
    const about = {
      root: root.cid.toString(),
      ...(name === undefined ? {} : { name }),
      ...(root.digests === undefined ? {} : { digests: root.digests.toString() }),
      bytes: root.size,
      blocks: up.tally.blocks
    }
    const pin = await finish(up, about)
    return { ...up.tally, root, pin, ref: undefined }
  } finally {
    // not awaited: its source may be waiting for something that never comes
    blocks.return(undefined as never).catch(() => {})
  }
}

/** Fills batches and sends them, `BATCHES_MAX` at once; the first error ends all. */
async function sendAll(up: Upload, blocks: UploadBlocks, failed: AbortController): Promise<UploadRoot> {
  const buffers = createBuffers()
  const underWay = new Set<Promise<void>>()
  const launch = (batch: Batch): void => {
    const sending = send(up, batch)
      .catch((error) => failed.abort(error))
      .finally(() => {
        underWay.delete(sending)
        buffers.give(batch.buffer)
      })
    underWay.add(sending)
  }
  try {
    let batch = await newBatch(buffers)
    for (;;) {
      const next = await orAbort(blocks.next(), up.signal)
      if (next.done === true) {
        if (batch.cids.length > 0) launch(batch)
        await Promise.all(underWay)
        up.signal.throwIfAborted()
        return next.value
      }
      add(up, batch, next.value)
      if (!isFull(batch)) continue
      launch(batch)
      while (underWay.size >= BATCHES_MAX) await Promise.race(underWay)
      up.signal.throwIfAborted()
      batch = await newBatch(buffers)
    }
  } catch (error) {
    failed.abort(error)
    await Promise.all(underWay)
    throw error
  }
}

function add(up: Upload, batch: Batch, block: UploadBlock): void {
  addBlock(batch, block)
  if (block.beside === true) {
    batch.beside++
    batch.besideBytes += block.bytes.length
    return
  }
  if (block.cid.code !== CODECS.raw) return
  batch.fileBytes += block.bytes.length
  up.watcher.hashed(block.bytes.length)
}

async function send(up: Upload, batch: Batch): Promise<void> {
  const worthIt = batch.bytes >= ASK_BYTES_MIN || up.batches > 0
  const ask = up.fresh ? up.batches % ASK_EVERY === 0 : worthIt
  up.batches++
  const { outcomes, node } = await withNode(up, async (node) => {
    up.nodesUsed.add(node)
    return { node, outcomes: await sendTo(up, node, { batch, ask }) }
  })
  const replicas = Math.min(...outcomes.map((outcome) => outcome.replicas))
  addOutcomes(up.tally, outcomes)
  up.tally.blocks += batch.cids.length - batch.beside
  up.tally.bytes += batch.bytes - batch.besideBytes
  if (up.nodes.all.length > 1) {
    up.sent.push({ node, cids: concat(batch.cids.map(({ bytes }) => bytes)), replicas })
  }
  up.watcher.confirmed(batch.fileBytes, replicas)
}

async function sendTo(
  up: Upload,
  node: NodeAt,
  { batch, ask }: { batch: Batch; ask: boolean }
): Promise<Outcome[]> {
  if (!ask) return [await sendCar(up, node, carBody(batch))]
  const kept = await keep(up, node, batch.cids)
  const absent = new Set(kept.absent.map(String))
  up.fresh = absent.size > 0 && kept.absent.length === kept.blocks
  if (absent.size === 0) return [kept]
  const sent = await sendCar(up, node, carBody(batch, up.fresh ? undefined : absent))
  // those not absent have N copies; the numbers that `keep` gives are over all of its blocks
  return up.fresh ? [sent] : [{ ...kept, replicas: kept.wanted, short: [] }, sent]
}

async function sendCar(up: Upload, node: NodeAt, body: Uint8Array): Promise<Outcome> {
  const path = `/v1/uploads/${up.id}/blocks${up.query}`
  const { signal } = up
  const asked = { method: 'POST', path, type: 'application/vnd.ipld.car', body, signal } as const
  const outcome = toOutcome(await up.nodes.json(node, asked))
  noteGarbage(body.length) // `fetch` made a copy of it
  return told(up, outcome)
}

function told(up: Upload, outcome: Outcome): Outcome {
  for (const receipt of outcome.receipts ?? []) up.onReceipt?.(receipt)
  return outcome
}

async function keep(up: Upload, node: NodeAt, cids: readonly CID[]): Promise<Outcome> {
  const path = `/v1/uploads/${up.id}/keep${up.query}`
  const body = JSON.stringify({ cids: cids.map(String) })
  const { signal } = up
  const asked = { method: 'POST', path, type: 'application/json', body, signal } as const
  return told(up, toOutcome(await up.nodes.json(node, asked)))
}

async function finish(up: Upload, about: object): Promise<Pin> {
  const path = `/v1/uploads/${up.id}/finish`
  const body = JSON.stringify(about)
  const { signal } = up
  return withNode(up, async (node) => {
    up.nodesUsed.add(node)
    await bringTo(up, node)
    return toPin(await up.nodes.json(node, { method: 'POST', path, type: 'application/json', body, signal }))
  })
}

/** The ref claims what it points to; then the upload's own claims are not needed any more. */
async function point(
  up: Upload,
  refs: Means['refs'],
  { name, ...options }: NonNullable<UploadOptions['ref']>,
  root: UploadRoot
): Promise<RefWithReceipts> {
  const { signal } = up
  await withNode(up, (node) => bringTo(up, node))
  const before = await refs.get(name, { signal }).catch((error): undefined => {
    if (!CairnError.is(error, 'NOT_FOUND')) throw error
  })
  const metadata = { ...before?.metadata, ...options.metadata, ...digestsAfter(before, root) }
  const ref = await refs.set(name, root.cid, { ...options, metadata, signal })
  // A node that does not hear of it ends them by itself, much later.
  const path = `/v1/uploads/${up.id}/end`
  const ends = [...up.nodesUsed].map((node) => up.nodes.json(node, { method: 'POST', path, signal }))
  await Promise.allSettled(ends)
  return ref
}

/** Records of digests of what the ref keeps, the latest first: a value of its metadata. */
function digestsAfter(before: Ref | undefined, { digests }: UploadRoot): Record<string, string> {
  if (digests === undefined) return {}
  const known = (before?.metadata.digests ?? '')
    .split(' ')
    .filter((cid) => cid !== '' && cid !== `${digests}`)
  const all = [`${digests}`, ...known]
  while (all.join(' ').length > VALUE_CHARS_MAX) all.pop()
  return { digests: all.join(' ') }
}

/**
 * Makes the node keep what was sent by way of others, before it makes a pin of it. Receipts of a lost node
 * may be worth nothing: blocks that could have been on lost nodes alone are fetched from where they are, and
 * sent again; of the others a copy is left, and the network repairs.
 */
async function bringTo(up: Upload, node: NodeAt): Promise<void> {
  for (const sent of up.sent) {
    if (sent.node === node) continue
    const { absent } = await keep(up, node, cidsOf(sent.cids))
    if (absent.length > 0 && sent.replicas <= up.changes) await sendAgain(up, node, absent)
    else if (absent.length > 0) countLost(up, absent, sent.replicas - up.changes)
    sent.node = node
  }
}

/** Of blocks that were confirmed, some copies went with the nodes that were lost. */
function countLost({ tally }: Upload, cids: readonly CID[], replicas: number): void {
  tally.replicas = Math.min(tally.replicas, replicas)
  const reason = 'a node was lost during the put; the others repair it'
  addShort(
    tally,
    cids.map((cid) => ({ cid, replicas, reason }))
  )
}

async function sendAgain(up: Upload, node: NodeAt, cids: readonly CID[]): Promise<void> {
  const buffers = createBuffers()
  let batch = await newBatch(buffers)
  for (const cid of cids) {
    const bytes = await up.fetchBlock(cid, { signal: up.signal }).catch((cause) => {
      up.signal.throwIfAborted()
      throw new CairnError('TOO_FEW_REPLICAS', `a node was lost, and the block ${cid} with it`, {
        cause,
        hint: 'run the same put again: it sends what is missing'
      })
    })
    addBlock(batch, { cid, bytes })
    if (!isFull(batch)) continue
    await sendCar(up, node, carBody(batch))
    buffers.give(batch.buffer)
    batch = await newBatch(buffers)
  }
  if (batch.cids.length > 0) await sendCar(up, node, carBody(batch))
}

function cidsOf(bytes: Uint8Array): CID[] {
  const cids: CID[] = []
  for (let rest = bytes; rest.length > 0 && cids.length < BATCH_BLOCKS; ) {
    const [cid, more] = CID.decodeFirst(rest)
    cids.push(cid)
    rest = more
  }
  return cids
}

/**
 * Does `work` with the upload's node; when that fails for a reason of its own, with the next one. While one
 * of those needed can't be reached all are tried again and again, for a while; busy ones for longer.
 */
async function withNode<T>(up: Upload, work: (node: NodeAt) => Promise<T>): Promise<T> {
  const startedMs = performance.now()
  let lifeMs = startedMs // a node that says that it is busy lives
  const failures = new Map<NodeAt, CairnError>()
  let busy = 0
  for (let round = 0; ; ) {
    const { node } = up
    try {
      return await work(node)
    } catch (error) {
      up.signal.throwIfAborted()
      if (!CairnError.is(error) || !elsewhere(error)) throw error
      if (error.code === 'BUSY') {
        lifeMs = performance.now()
        if (lifeMs - startedMs > BUSY_HOLD_OUT_MS) throw error
        if (up.nodes.all.length === 1 || busy++ < BUSY_WAITS_MAX) {
          await wait(waitAfter(error), up.signal)
          continue
        }
      }
      failures.set(node, error)
      leave(up, node)
      if (failures.size < up.nodes.all.length) continue
      const all = [...failures].map(([node, error]) => ({ node, error }))
      const passing = all.some(({ error }) => error.code === 'UNREACHABLE' || error.code === 'BUSY')
      if (!passing || performance.now() - lifeMs > up.holdOutMs)
        throw allFailed(all, 'no node takes the blocks')
      failures.clear()
      busy = 0
      await wait(Math.min(ROUND_MS * 2 ** round++, ROUND_MS_MAX), up.signal)
    }
  }
}

/** Takes the next node, unless another batch has done so already. */
function leave(up: Upload, node: NodeAt): void {
  up.nodes.avoid(node)
  if (up.node !== node) return
  const next = up.nodes.ranked()[0] as NodeAt
  if (next === node) return
  up.node = next
  up.changes++
}

async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function newUploadId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(UPLOAD_ID_BYTES))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function queryOf({ replicas, ack }: { replicas?: number; ack?: Ack }, receipts: boolean): string {
  const query = new URLSearchParams()
  if (receipts) query.set('receipts', '1')
  if (replicas !== undefined) query.set('replicas', String(replicas))
  if (ack !== undefined) query.set('ack', ack)
  return query.size === 0 ? '' : `?${query}`
}
