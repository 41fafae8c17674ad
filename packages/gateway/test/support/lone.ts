/**
 * A whole CairnNode in one Map: what the gateway and the client are tested against where a network of
 * real ones would only be slower. It verifies what it is given and keeps it; it has no other members.
 */
import { type Block, keyOf, verifyBlock } from '@cairn/blocks'
import { type BlockKey, CairnError, type PeerId, type Random, seeded } from '@cairn/core'
import type { CairnNode, NodeEvent, Pin, PutOptions, PutOutcome, Safety, Upload } from '@cairn/node'
import type { CID } from 'multiformats/cid'

export interface Lone extends CairnNode {
  readonly blocks: Map<BlockKey, Uint8Array>
  /** What was called, in order, with how many blocks: `put 3`, `keep 12`, `finish`. */
  readonly calls: string[]
  /** Thrown by the next calls of `upload.put`, first one first. */
  readonly putErrors: Error[]
  stopped: boolean
  tell(event: NodeEvent): void
}

let nodes = 0

export function loneNode({
  name = 'amber-fox',
  replicas = 1
}: {
  name?: string
  replicas?: number
} = {}): Lone {
  const random = seeded(++nodes)
  const id = `12D3KooW${hex(random, 8)}` as PeerId
  const blocks = new Map<BlockKey, Uint8Array>()
  const pins = new Map<string, Pin>()
  const calls: string[] = []
  const putErrors: Error[] = []
  const listeners = new Set<(event: NodeEvent | undefined) => void>()
  const bytesOf = (): number => [...blocks.values()].reduce((sum, { length }) => sum + length, 0)
  const usage = () => {
    const bytes = bytesOf()
    return { blocks: blocks.size, bytes, diskBytes: bytes, capacity: 2 ** 40, full: false, readOnly: false }
  }
  const safety = (): Safety => ({
    verdict: 'healthy',
    reason: 'everything is here',
    wanted: replicas,
    blocks: blocks.size,
    bytes: bytesOf(),
    byCopies: [0, blocks.size],
    bytesByCopies: [0, bytesOf()],
    repairing: { blocks: 0, bytes: 0 },
    etaSeconds: 0
  })
  const outcome = (count: number, bytes: number, options: PutOptions, absent: CID[] = []): PutOutcome => {
    const wanted = options.replicas ?? replicas
    const short = wanted > 1 ? 'there is no other member' : undefined
    return {
      blocks: count,
      bytes,
      replicas: absent.length > 0 ? 0 : 1,
      wanted,
      needed: options.ack === 'one' ? 1 : wanted,
      holders: [{ peer: id, name, blocks: count - absent.length }],
      short: short === undefined ? [] : absent.map((cid) => ({ cid, replicas: 1, reason: short })),
      absent
    }
  }
  const upload = (uploadId: string): Upload => ({
    id: uploadId,
    async put(given, options = {}) {
      calls.push(`put ${given.length}`)
      const error = putErrors.shift()
      if (error !== undefined) throw error
      let bytes = 0
      for (const block of given) {
        keep(blocks, block)
        bytes += block.bytes.length
      }
      return outcome(given.length, bytes, options)
    },
    async keep(cids, options = {}) {
      calls.push(`keep ${cids.length}`)
      return outcome(
        cids.length,
        0,
        options,
        cids.filter((cid) => !blocks.has(keyOf(cid)))
      )
    },
    async finish(root, about) {
      calls.push('finish')
      if (!blocks.has(keyOf(root))) throw new CairnError('NOT_FOUND', 'the root was not uploaded')
      const pin: Pin = {
        root,
        upload: uploadId,
        name: about.name,
        replicas,
        blocks: about.blocks,
        bytes: about.bytes,
        ...(about.digests === undefined ? {} : { digests: about.digests }),
        createdMs: 0,
        lifetimeMs: 0
      }
      pins.set(root.toString(), pin)
      return pin
    },
    async end() {
      calls.push('end')
    }
  })

  const damage = { found: 0, healed: 0, latest: [] }
  const scrubStatus = { bytesPerSecond: 1, oldestMs: 0, verified: 0, total: 0, lost: 0 }
  const closed = Promise.withResolvers<{ error: CairnError | undefined }>()
  const lone: Lone = {
    id,
    name,
    version: '0.1.0',
    network: { id: hex(random, 16), open: false, replicas },
    home: '(memory)',
    token: hex(random, 32),
    blocks,
    calls,
    putErrors,
    stopped: false,
    closed: closed.promise,
    notes: [],
    tell: (event) => {
      for (const listener of listeners) listener(event)
    },
    addresses: () => ['/ip4/127.0.0.1/tcp/1'],
    invite: () => `/ip4/127.0.0.1/tcp/1#${hex(seeded(1), 16)}`,
    announceHttp: () => {},
    upload,
    pins: async () => [...pins.values()],
    refs: {
      get: async () => undefined,
      set: async () => Promise.reject(new CairnError('TOO_FEW_REPLICAS', 'a node of one has no voters')),
      draft: async () => ({ type: 'unknown' }),
      propose: async () => ({ type: 'refused' }),
      list: async () => [],
      carried: () => 0
    },
    mirrors: {
      add: async (ref) => ({ ...ref, phase: 'following', lag: { wantedMs: 1, ms: 0 } }),
      list: async () => [],
      remove: async () => Promise.reject(new CairnError('NOT_FOUND', 'it mirrors nothing')),
      promote: async () => Promise.reject(new CairnError('NOT_FOUND', 'it mirrors nothing'))
    },
    usage: async () => ({ names: [], blocks: blocks.size, bytes: bytesOf() }),
    async pin(root, { name, replicas: wanted = replicas, lifetimeMs = 0 } = {}) {
      const facts = { root, upload: '', name, replicas: wanted, blocks: 1, bytes: 1, createdMs: 0 }
      const pin = { ...facts, lifetimeMs }
      pins.set(root.toString(), pin)
      return pin
    },
    async unpin(root) {
      if (!pins.delete(root.toString())) throw new CairnError('NOT_FOUND', 'there is no such pin')
    },
    async get(cid, { signal } = {}) {
      signal?.throwIfAborted()
      const bytes = blocks.get(keyOf(cid))
      if (bytes === undefined) throw new CairnError('NO_PROVIDER', `no member holds ${cid}`, { hint: 'wait' })
      return bytes
    },
    status: async () => ({
      ...safety(),
      id,
      name,
      alive: 1,
      members: 1,
      usage: usage(),
      scrub: scrubStatus,
      damage,
      forecast: undefined
    }),
    statusOf: async (root) => ({
      ...safety(),
      root,
      lost: [],
      holders: [{ peer: id, name, state: 'alive', blocks: 1 }]
    }),
    peers: () => [
      {
        id,
        name,
        addresses: [],
        capacity: 2 ** 40,
        zone: undefined,
        full: false,
        http: undefined,
        version: '0.1.0',
        incarnation: 0,
        state: 'alive',
        rttMs: undefined,
        audit: undefined,
        connected: true,
        self: true
      }
    ],
    stored: usage,
    flow: () => ({
      ...{ puttingBytes: 0, receivingBytes: 0, readingBytes: 0, servedBytes: 0, pushedBytes: 0 },
      ...{ receivedBytes: 0, fetchedBytes: 0, transfers: 0, repaired: { blocks: 0, bytes: 0 } },
      asked: { first: 0, hedged: 0, again: 0 }
    }),
    events: (signal) => listen(listeners, signal),
    async proofOf(root) {
      const count = { asked: 1, proven: 1, absent: 0, wrong: 0, silent: 0 }
      const holders = [{ peer: id, name, state: 'alive' as const, ...count }]
      return { root, wanted: 1, blocks: 1, bytes: 1, unread: 0, byProofs: [0, 1], holders }
    },
    gc: async () => ({ blocks: 0, bytes: 0, collected: 0 }),
    async scrubNetwork(options = {}) {
      const sum = await lone.scrub(options)
      return { ...sum, members: [{ peer: id, name, state: 'done', ...sum }] }
    },
    async scrub({ onProgress } = {}) {
      const result = { blocks: blocks.size, bytes: bytesOf(), damaged: 0, refetched: 0, besides: 0 }
      onProgress?.({ ...result, total: result.bytes })
      return result
    },
    async leave({ onProgress } = {}) {
      onProgress?.({ blocks: blocks.size, bytes: bytesOf() })
      await lone.stop()
    },
    async stop() {
      lone.stopped = true
      closed.resolve({ error: undefined })
      for (const listener of listeners) listener(undefined)
    }
  }
  return lone
}

function keep(blocks: Map<BlockKey, Uint8Array>, { cid, bytes }: Block): void {
  verifyBlock(cid, bytes) // the gateway should have: a test that sends a bad block must not pass here
  blocks.set(keyOf(cid), bytes.slice())
}

/** Listens from the call on, not from the first `next`. */
function listen(
  listeners: Set<(event: NodeEvent | undefined) => void>,
  signal?: AbortSignal
): AsyncIterable<NodeEvent> {
  const queue: (NodeEvent | undefined)[] = []
  let wake = (): void => {}
  const push = (event: NodeEvent | undefined): void => {
    queue.push(event)
    wake()
  }
  listeners.add(push)
  signal?.addEventListener('abort', () => push(undefined), { once: true })
  return (async function* () {
    try {
      for (;;) {
        while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        const event = queue.shift()
        if (event === undefined) return
        yield event
      }
    } finally {
      listeners.delete(push)
    }
  })()
}

function hex(random: Random, bytes: number): string {
  return Array.from({ length: bytes }, () =>
    Math.floor(random() * 256)
      .toString(16)
      .padStart(2, '0')
  ).join('')
}
