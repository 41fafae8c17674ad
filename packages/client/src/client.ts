/**
 * The library that applications use: everything that a node offers, over HTTP to any of several nodes, with
 * every byte verified here. Runs in browsers too: `fetch` and streams, and nothing of Node.
 */
import {
  type Block,
  CODECS,
  carOf,
  dagBlocks,
  type Entry,
  fileBlocks,
  type HashName,
  parseCid,
  type Root,
  readCar,
  readDirectory,
  type TreeEntry,
  treeBlocks,
  type WalkEntry
} from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { createFetchBlock } from './fetch-blocks.ts'
import {
  type GetOptions,
  type Got,
  getFile,
  locate,
  READ_AHEAD_BLOCKS,
  streamOf,
  treeFrom,
  walkFrom
} from './get.ts'
import { toDagStatus, toNodeInfo, toNodeStatus, toPeers, toPins, toText } from './json.ts'
import { type EventOptions, eventsOf, leave } from './lines.ts'
import { createNodes, type Fetch, type NodeAt, type Nodes } from './nodes.ts'
import { type Put, startPut } from './put.ts'
import { bytesOf, type DirEntry, type Source, treeOf } from './source.ts'
import type {
  Ack,
  DagStatus,
  LeaveProgress,
  NodeEvent,
  NodeInfo,
  NodeStatus,
  PeerInfo,
  Pin
} from './types.ts'
import { type Means, type UploadOptions, wait } from './upload.ts'

/** Between two looks of `waitFor`, ms: repairs are counted in seconds. */
const LOOK_MS = 500

export interface ClientOptions {
  /** Of one node's HTTP API. */
  url?: string
  /** Of several: the first that can answer does. A node's own token goes before the common one. */
  urls?: readonly (string | { url: string; token?: string })[]
  /** Not needed to read. In a file of each node's home. */
  token?: string
  /** In place of the global one. Called with a url as text. */
  fetch?: Fetch
  /** A node that gives no byte of a block for so long is passed over, ms. */
  stallMs?: number
  /** A put tries again for so long while nodes that it needs can't be reached, ms. */
  holdOutMs?: number
}

export interface PutOptions {
  /** What the pin is called. */
  name?: string
  /** N for this. The network's by default. */
  replicas?: number
  /** Receipts to wait for. `all` by default. */
  ack?: Ack
  /** What names the blocks. Anything but sha2-256 gives other CIDs than IPFS does. */
  hash?: HashName
  signal?: AbortSignal
}

export interface Signalled {
  signal?: AbortSignal
}

export interface Client {
  /** Puts one file. */
  put(source: Source, options?: PutOptions): Put
  /** Puts a directory: an array in any order, or a depth-first walk of any size. */
  putDir(
    entries: AsyncIterable<DirEntry> | Iterable<DirEntry>,
    options?: PutOptions & { total?: number }
  ): Put
  /** A file, or a range of it, by CID or `CID/path`. @throws NO_PROVIDER, BLOCK_CORRUPT, BAD_DAG */
  get(cid: CID | string, options?: GetOptions): Promise<Got>
  /** One block, verified. */
  getBlock(cid: CID | string, options?: Signalled): Promise<Uint8Array>
  /** The files, directories and symlinks below a CID, each with its path; of a file not its bytes. */
  walk(cid: CID | string, options?: Signalled): AsyncGenerator<WalkEntry, void>
  /** The same with the files' bytes: what `putDir` takes. */
  getTree(cid: CID | string, options?: Signalled): AsyncGenerator<TreeEntry, void>
  /** The entries of one directory. */
  ls(cid: CID | string, options?: Signalled): AsyncGenerator<Entry, void>
  status(): Promise<NodeStatus>
  status(cid: CID | string, options?: Signalled): Promise<DagStatus>
  /** Resolves when every block of the DAG has as many copies. */
  waitFor(cid: CID | string, options: { replicas: number; signal?: AbortSignal }): Promise<DagStatus>
  node(): Promise<NodeInfo>
  peers(): Promise<PeerInfo[]>
  events(options?: EventOptions): AsyncGenerator<NodeEvent, void>
  readonly pins: {
    /** The pins of all nodes that this client knows and can reach. */
    list(options?: Signalled): AsyncGenerator<Pin, void>
    rm(cid: CID | string): Promise<void>
  }
  readonly car: {
    export(cid: CID | string, options?: Signalled): Promise<ReadableStream<Uint8Array>>
    /** Puts the blocks of a CAR of one root, version 1 or 2. */
    import: (source: Source, options?: Omit<PutOptions, 'hash'>) => Put
  }
  /** One string by which another machine joins. */
  invite(): Promise<string>
  /** The first node, and no other, leaves the network for good. */
  leave(options?: Signalled & { onProgress?: (left: LeaveProgress) => void }): Promise<void>
  /** The first node, and no other, stops. */
  stop(): Promise<void>
}

export function createClient(options: ClientOptions): Client {
  const { url, urls = [], token, stallMs } = options
  const listed = [...(url === undefined ? [] : [url]), ...urls].map((at) => ({
    token,
    ...(typeof at === 'string' ? { url: at } : at)
  }))
  // called through, not kept: a browser's fetch wants its window as `this`
  const nodes = createNodes(listed, options.fetch ?? ((input, init) => globalThis.fetch(input, init)))
  const fetchBlock = createFetchBlock(nodes, stallMs)
  const means: Means = { nodes, fetchBlock, holdOutMs: options.holdOutMs }
  const first = nodes.all[0] as NodeAt
  const blockOf = (signal?: AbortSignal) => (cid: CID) => fetchBlock(cid, { signal })

  function status(): Promise<NodeStatus>
  function status(cid: CID | string, options?: Signalled): Promise<DagStatus>
  async function status(cid?: CID | string, { signal }: Signalled = {}): Promise<NodeStatus | DagStatus> {
    if (cid === undefined) return toNodeStatus(await nodes.anyJson({ path: '/v1/status' }))
    return toDagStatus(await nodes.anyJson({ path: `/v1/status/${parseCid(cid)}`, signal }))
  }
  return {
    put: (source, options = {}) => putFile(means, source, options),
    putDir: (entries, options = {}) => putTree(means, entries, options),
    get: (cid, options) => getFile(fetchBlock, cid, options),
    getBlock: async (cid, { signal } = {}) => fetchBlock(parseCid(cid), { signal }),
    walk: (cid, { signal } = {}) => walkFrom(fetchBlock, cid, signal),
    getTree: (cid, { signal } = {}) => treeFrom(fetchBlock, cid, signal),
    async *ls(cid, { signal } = {}) {
      yield* readDirectory(await locate(fetchBlock, cid, signal), blockOf(signal))
    },
    status,
    async waitFor(cid, { replicas, signal }) {
      for (;;) {
        signal?.throwIfAborted()
        const now = await status(cid, signal === undefined ? {} : { signal })
        if (hasCopies(now, replicas)) return now
        await wait(LOOK_MS, signal)
      }
    },
    node: async () => toNodeInfo(await nodes.anyJson({ path: '/v1/node' })),
    peers: async () => toPeers(await nodes.anyJson({ path: '/v1/peers' })),
    events: (options = {}) => eventsOf(nodes, options),
    pins: {
      list: ({ signal } = {}) => listPins(nodes, signal),
      rm: (cid) => removePin(nodes, parseCid(cid))
    },
    car: {
      async export(cid, { signal } = {}) {
        const root = await locate(fetchBlock, cid, signal)
        const blocks = dagBlocks(root, blockOf(signal), { readAhead: READ_AHEAD_BLOCKS })
        return streamOf(carOf([root], blocks))
      },
      import: (source, options = {}) =>
        startPut(means, { blocks: blocksOfCar(source), total: undefined }, options)
    },
    invite: async () => toText(await nodes.anyJson({ path: '/v1/invite' }), 'invite'),
    leave: (options = {}) => leave(nodes, first, options),
    async stop() {
      await nodes.json(first, { method: 'POST', path: '/v1/stop' })
    }
  }
}

function putFile(means: Means, source: Source, { hash, ...options }: PutOptions): Put {
  const { pieces, total } = bytesOf(source)
  const name =
    options.name ?? (typeof File !== 'undefined' && source instanceof File ? source.name : undefined)
  const about: UploadOptions = name === undefined ? options : { ...options, name }
  return startPut(means, { blocks: fileBlocks(pieces, hash === undefined ? {} : { hash }), total }, about)
}

function putTree(
  means: Means,
  entries: AsyncIterable<DirEntry> | Iterable<DirEntry>,
  { hash, total, ...options }: PutOptions & { total?: number }
): Put {
  const blocks = treeBlocks(treeOf(entries), hash === undefined ? {} : { hash })
  return startPut(means, { blocks, total }, options)
}

function hasCopies({ byCopies, blocks, wanted }: DagStatus, replicas: number): boolean {
  if (replicas > wanted) {
    throw new CairnError('BAD_REQUEST', `${replicas} copies will not come: ${wanted} are kept`, {
      hint: 'put it again with more replicas'
    })
  }
  return blocks > 0 && byCopies.slice(0, replicas).every((count) => count === 0)
}

async function* listPins(nodes: Nodes, signal?: AbortSignal): AsyncGenerator<Pin, void> {
  const seen = new Set<string>()
  const failures: unknown[] = []
  for (const node of nodes.ranked()) {
    const pins = await nodes.json(node, { path: '/v1/pins', signal }).then(toPins, (error) => {
      if (!CairnError.is(error, 'UNREACHABLE')) throw error
      nodes.avoid(node)
      failures.push(error)
      return []
    })
    for (const pin of pins) {
      const key = `${pin.root} ${pin.upload}`
      if (seen.has(key)) continue
      seen.add(key)
      yield pin
    }
  }
  if (failures.length === nodes.all.length) throw failures[0]
}

/** Asks each node in turn: a pin is known to the node that made it. */
async function removePin(nodes: Nodes, root: CID): Promise<void> {
  let failure: unknown
  for (const node of nodes.ranked()) {
    try {
      await nodes.json(node, { method: 'DELETE', path: `/v1/pins/${root}` })
      return
    } catch (error) {
      if (!CairnError.is(error, 'NOT_FOUND') && !CairnError.is(error, 'UNREACHABLE')) throw error
      // one that can't be reached may have had the pin: that says more than that the others have not
      if (failure === undefined || CairnError.is(error, 'UNREACHABLE')) failure = error
    }
  }
  throw failure
}

async function* blocksOfCar(source: Source): AsyncGenerator<Block, Root> {
  const { roots, blocks } = await readCar(bytesOf(source).pieces)
  const [root] = roots
  if (root === undefined || roots.length > 1) {
    throw new CairnError('BAD_CAR', `a CAR of ${roots.length} roots can't become one pin`, {
      hint: 'make one of one root'
    })
  }
  let size = 0
  let dagSize = 0
  let found = false
  for await (const block of blocks) {
    found ||= block.cid.equals(root)
    dagSize += block.bytes.length
    if (block.cid.code === CODECS.raw) size += block.bytes.length
    yield block
  }
  if (!found) throw new CairnError('BAD_CAR', `a CAR without its root ${root}`, { hint: 'export it again' })
  return { cid: root, size, dagSize }
}
