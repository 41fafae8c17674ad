/**
 * The two routes that move blocks, on the raw streams: in (`send`) and out (`blocks`), both as CARs.
 * Bounded whatever is asked: requests at once, and bytes in memory over all of them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Block, carOf, keyOf, noteGarbage, readCar } from '@cairn/blocks'
import { BLOCK_BYTES_MAX, CairnError } from '@cairn/core'
import {
  blockBuffers,
  type CairnNode,
  type PutBlock,
  type PutOptions,
  type PutOutcome,
  verifySoon
} from '@cairn/node'
import type { CID } from 'multiformats/cid'
import { flushed, goneSignal, readBody, readJson, sendJson, tooLarge, write } from './answer.ts'
import { askedBlocks, askedPut, askedUpload, BLOCKS_BODY_BYTES_MAX, type Blocks } from './asked.ts'
import { type Budget, createBudget } from './budget.ts'
import { createPlaces } from './places.ts'
import { CONTENT_TYPES } from './routes.ts'

/** Bulk requests at once; more are told BUSY (`places.ts`). A client has three in flight. */
export const BULK_MAX = 64
/** The most that one upload's body may hold; the slack is for the CAR's header and CIDs. */
export const CAR_BYTES_MAX = 64 * 1024 * 1024
const CAR_SLACK_BYTES = 1024 * 1024
/** Blocks handed to the node at once: one claim and one group of receipts each. */
const GROUP_BYTES = 16 * 1024 * 1024
const GROUP_BLOCKS = 4_096
/** Of all uploads together, bytes read and not yet on the holders' disks. */
const SENDING_BYTES = 32 * 1024 * 1024
/** Of one answer, blocks asked for ahead of the one being written; and of all answers, bytes in memory. */
const AHEAD_BLOCKS = 64
export const ANSWERING_BYTES = 24 * 1024 * 1024
/**
 * Taken of them by a block that is on its way: the size of a chunk. A larger one takes no more once it is
 * here, so that with blocks of 2 MiB alone there are twice as many bytes.
 */
const COMING_BYTES = 1024 * 1024
/** Blocks that are named when short of copies; as in PutOutcome. */
const SHORT_MAX = 100

export interface BulkRequest {
  req: IncomingMessage
  res: ServerResponse
  params: Record<string, string>
  query: URLSearchParams
}

export interface Bulk {
  send(request: BulkRequest): Promise<void>
  blocks(request: BulkRequest): Promise<void>
  /** Taken now, of uploads and of answers, bytes. */
  held(): { sending: number; answering: number }
}

export function createBulk(node: CairnNode): Bulk {
  const sending = createBudget(SENDING_BYTES)
  const answering = createBudget(ANSWERING_BYTES)
  const places = createPlaces(BULK_MAX, () => performance.now())

  const bounded = async (who: string, work: () => Promise<void>): Promise<void> => {
    const leave = places.enter(who)
    try {
      await work()
    } finally {
      leave()
    }
  }
  return {
    send: (request) => bounded(request.params.id ?? '', () => receive(node, request, sending)),
    blocks: (request) => bounded(readerOf(request), () => answer(node, request, answering)),
    held: () => ({ sending: sending.used(), answering: answering.used() })
  }
}

/** A reader has no name: its connection is kept alive, as a rule, while it is told to wait. */
function readerOf({ req: { socket } }: BulkRequest): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}

/** `POST /v1/uploads/:id/blocks`: each block is checked against its CID as it comes in. */
async function receive(
  node: CairnNode,
  { req, res, params, query }: BulkRequest,
  sending: Budget
): Promise<void> {
  const upload = node.upload(askedUpload(params.id))
  const signal = goneSignal(res)
  const options: PutOptions = { ...askedPut(query), signal }
  const bytesMax = CAR_BYTES_MAX + CAR_SLACK_BYTES
  const declared = Number(req.headers['content-length'] ?? bytesMax)
  if (declared > bytesMax) throw tooLarge(bytesMax)

  // taken before the first byte is read: who waits here holds a socket's buffer and no more
  const give = await sending.take(Math.min(declared, GROUP_BYTES + BLOCK_BYTES_MAX), signal)
  try {
    const outcomes: PutOutcome[] = []
    const { verify, all } = verdicts()
    const body = limited(readBody(req), bytesMax)
    const { blocks } = await readCar(body, { memory: blockBuffers.take, verify })
    for await (const group of groups(blocks)) {
      await all()
      const onReleased = (): void => {
        for (const { bytes } of group) blockBuffers.give(bytes)
      }
      outcomes.push(await upload.put(group, { ...options, onReleased }))
    }
    if (outcomes.length === 0)
      throw new CairnError('BAD_REQUEST', 'the CAR holds no block', { hint: 'send at least one' })
    sendJson(res, outcomes.reduce(both))
  } finally {
    give()
  }
}

/** `POST /v1/blocks`: the blocks in the order asked. */
async function answer(node: CairnNode, { req, res }: BulkRequest, answering: Budget): Promise<void> {
  const signal = goneSignal(res)
  const asked = askedBlocks(await readJson(req, BLOCKS_BODY_BYTES_MAX))
  const stop = new AbortController() // what was asked for ahead is of no use once one fails
  const { blocks, stepBack } = ahead(node, asked, {
    answering,
    signal: AbortSignal.any([signal, stop.signal])
  })
  try {
    // the first block comes before the first byte: when it can't be had, the answer can still say why
    const first = await blocks.next()
    res.writeHead(200, { 'content-type': CONTENT_TYPES.car })
    const torn: { error?: unknown } = {}
    for await (const bytes of carOf([], untilTorn(first, blocks, torn))) {
      await write(res, bytes, { signal, onTaken: () => blockBuffers.give(bytes), onSlow: stepBack })
    }
    if ('error' in torn) {
      // what came before the missing block arrives, so that the asker knows which one it is
      await flushed(res, signal)
      throw torn.error
    }
    res.end()
  } finally {
    stop.abort()
    await blocks.return(undefined)
  }
}

/**
 * Blocks in order, some asked for ahead. Each takes room in the budget before it is asked for, in order, so
 * that whoever holds room holds that of the block it is to write next: no deadlock. Once a block is here it
 * gives back what it does not need: small ones go by the hundred. While its reader is slow and others wait
 * for room, it steps back: what was asked for ahead is let go of, and asked for again in its turn.
 */
function ahead(
  node: CairnNode,
  { cids, ref }: Blocks,
  { answering, signal }: { answering: Budget; signal: AbortSignal }
): { blocks: AsyncGenerator<Block, void>; stepBack: () => void } {
  let fetching: Promise<Fetched>[] = []
  let taken: Promise<unknown> = Promise.resolve()
  let next = 0
  let waiting = 0
  let most = AHEAD_BLOCKS
  let asking = new AbortController()
  let wanted = AbortSignal.any([signal, asking.signal])

  const ask = (cid: CID): void => {
    const gone = wanted
    const place = taken.then(() => {
      waiting = 1
      return answering.take(COMING_BYTES, gone).finally(() => {
        waiting = 0
      })
    })
    taken = place.catch(() => {}) // its own waiter below gets the error
    const fetched = place.then(async (give) => {
      try {
        const bytes = await node.get(cid, { signal: gone, ref })
        give(Math.max(0, COMING_BYTES - bytes.length))
        return { block: { cid, bytes }, give }
      } catch (error) {
        give()
        throw error
      }
    })
    fetched.catch(() => {}) // handled when its turn comes; until then it is no unhandled rejection
    fetching.push(fetched)
  }
  const letGo = (): void => {
    asking.abort()
    for (const rest of fetching) {
      rest.then(
        ({ block, give }) => {
          blockBuffers.give(block.bytes)
          give()
        },
        () => {}
      ) // it was given back already
    }
    fetching = []
  }
  async function* blocks(): AsyncGenerator<Block, void> {
    try {
      while (next < cids.length || fetching.length > 0) {
        while (fetching.length < most && next < cids.length) ask(cids[next++] as CID)
        const { block, give } = await (fetching.shift() as Promise<Fetched>)
        try {
          yield block
        } finally {
          give()
        }
        most = Math.min(AHEAD_BLOCKS, 2 * most)
      }
    } finally {
      letGo()
    }
  }
  return {
    blocks: blocks(),
    stepBack() {
      if (answering.waiting() <= waiting) return // nobody else needs the room
      next -= fetching.length
      letGo()
      asking = new AbortController()
      wanted = AbortSignal.any([signal, asking.signal])
      most = 1
    }
  }
}

interface Fetched {
  block: Block
  give: () => void
}

/** `first` and the rest up to an error, left in `torn`: thrown, it would drop what the writer gathers. */
async function* untilTorn(
  first: IteratorResult<Block, void>,
  rest: AsyncGenerator<Block, void>,
  torn: { error?: unknown }
): AsyncGenerator<Block> {
  if (first.done === true) return
  yield first.value
  try {
    yield* rest
  } catch (error) {
    torn.error = error
  }
}

async function* limited(body: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const part of body) {
    length += part.length
    if (length > bytesMax) throw tooLarge(bytesMax)
    noteGarbage(part.length)
    yield part
  }
}

/** Long blocks are hashed on other threads while the next are read: each would hold the loop for 3 ms. */
function verdicts(): { verify: (cid: CID, bytes: Uint8Array) => void; all: () => Promise<void> } {
  let open: Promise<void>[] = []
  return {
    verify(cid, bytes) {
      const verdict = verifySoon(keyOf(cid), bytes)
      verdict?.catch(() => {}) // it is heard below, unless the body fails before
      if (verdict !== undefined) open.push(verdict)
    },
    /** Once every block so far is known to be what it is called. */
    async all() {
      const known = open
      open = []
      await Promise.all(known)
    }
  }
}

/** What the node takes at once; it is verified by the time that it gets there. */
async function* groups(blocks: AsyncIterable<Block>): AsyncGenerator<PutBlock[]> {
  let group: PutBlock[] = []
  let bytes = 0
  for await (const block of blocks) {
    group.push({ ...block, verified: true })
    bytes += block.bytes.length
    if (bytes < GROUP_BYTES && group.length < GROUP_BLOCKS) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

/** What is known of two groups together. */
function both(a: PutOutcome, b: PutOutcome): PutOutcome {
  const holders = a.holders.map((holder) => ({ ...holder }))
  for (const more of b.holders) {
    const known = holders.find(({ peer }) => peer === more.peer)
    if (known === undefined) holders.push({ ...more })
    else known.blocks += more.blocks
  }
  return {
    blocks: a.blocks + b.blocks,
    bytes: a.bytes + b.bytes,
    replicas: Math.min(a.replicas, b.replicas),
    wanted: Math.max(a.wanted, b.wanted),
    needed: Math.max(a.needed, b.needed),
    holders,
    short: [...a.short, ...b.short].slice(0, SHORT_MAX),
    absent: [...a.absent, ...b.absent],
    ...(a.receipts === undefined ? {} : { receipts: [...a.receipts, ...(b.receipts ?? [])] })
  }
}
