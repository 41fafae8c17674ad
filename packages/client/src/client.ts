/**
 * The library that applications use: everything that a node offers, over HTTP to any of several nodes, with
 * every byte verified here. Runs in browsers too: `fetch` and streams; of Node only what `#post` chooses.
 */

import {
  CODECS,
  carOf,
  DEFAULT_DIGESTS,
  type DigestName,
  dagBlocks,
  type Entry,
  type HashName,
  parseCid,
  parseDigest,
  readCar,
  readDirectory,
  stat as statOf,
  type TreeEntry,
  type WalkEntry
} from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { post } from '#post'
import { type DigestedOptions, digestedBlocks, type UploadBlocks } from './digested.ts'
import { type Expect, expectation } from './expect.ts'
import { createFetchBlock, type FetchBlock } from './fetch-blocks.ts'
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
import {
  toDagStatus,
  toGcResult,
  toNodeInfo,
  toNodeStatus,
  toPeers,
  toPin,
  toPins,
  toText,
  toUsage
} from './json.ts'
import { type Kept, keptBelow, withoutKept } from './kept.ts'
import type { RefKey } from './keys.ts'
import { type EventOptions, eventsOf, leave, proveDag, scrub, scrubNetwork } from './lines.ts'
import { createMirrors, type Mirrors } from './mirrors.ts'
import { createNodes, type Fetch, type NodeAt, type Nodes } from './nodes.ts'
import { type Put, startPut } from './put.ts'
import { createRefs, isRefWhere, type RefSetOptions, type Refs } from './refs.ts'
import { bytesOf, type DirEntry, type Source, treeOf } from './source.ts'
import {
  digestsByCid,
  type Found,
  findByDigest,
  type Records,
  type WithDigests,
  withDigests
} from './stored.ts'
import type {
  Ack,
  ContentStat,
  DagStatus,
  GcResult,
  HeldReceipt,
  LeaveProgress,
  NetworkScrub,
  NodeEvent,
  NodeInfo,
  NodeStatus,
  PeerInfo,
  Pin,
  ProofProgress,
  ProofResult,
  Safety,
  ScrubProgress,
  ScrubResult,
  UsageReport,
  WhatIf
} from './types.ts'
import type { Means, UploadOptions } from './upload.ts'
import { wait } from './wait.ts'
import { safetyWithout, type WhatIfOptions, whatIf } from './what-if.ts'

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
  /** Signs this client's refs, in the place of the first node. Its secret half stays here. */
  key?: RefKey
  /**
   * Blocks are asked of their holders straight, where these say where they are, can be reached and let
   * anybody read; else of the nodes given. By default where this library has sockets of its own: on Node.
   */
  direct?: boolean
  /** A put tries again for so long while nodes that it needs can't be reached, ms. */
  holdOutMs?: number
}

export interface PutOptions {
  /** What the pin is called. */
  name?: string
  /** In the place of a pin this ref is to keep it: it points to it when the put is over. */
  ref?: RefSetOptions & { name: string }
  /** N for this. The network's by default. */
  replicas?: number
  /** Receipts to wait for. `all` by default. */
  ack?: Ack
  /** What names the blocks. Anything but sha2-256 gives other CIDs than IPFS does. */
  hash?: HashName
  /**
   * Computed of every file in the same pass, and kept beside it without changing its CID. All four by
   * default; in browsers none, because there they cost seconds for every 20 MB.
   */
  digests?: readonly DigestName[]
  /** What the files must be: else nothing is pinned, and DIGEST_MISMATCH names those that differ. */
  expect?: Expect
  /** What is kept already, by the ref that is to keep this: it is neither sent nor claimed again. */
  kept?: Kept
  /** Told of each file once its last block was used. */
  onFile?: DigestedOptions['onFile']
  /** Told of each receipt as it comes: who keeps them can show later what was held then. */
  onReceipt?: (receipt: HeldReceipt) => void
  signal?: AbortSignal
}

export interface PinOptions extends Signalled {
  name?: string
  replicas?: number
  /** Milliseconds; 0 is without end. */
  lifetimeMs?: number
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
  /** The CID of `CID/path`, or of a ref's name in the place of the CID. @throws BAD_CID, NOT_FOUND */
  locate(where: CID | string, options?: Signalled): Promise<CID>
  /** The same as `CID/path`: only the name is looked up. */
  place(where: CID | string, options?: Signalled): Promise<CID | string>
  /** One block, verified. */
  getBlock(cid: CID | string, options?: Signalled): Promise<Uint8Array>
  /** The files, directories and symlinks below a CID, each with its path; of a file not its bytes. */
  walk(cid: CID | string, options?: Signalled): AsyncGenerator<WalkEntry, void>
  /** The same with the files' bytes: what `putDir` takes. */
  getTree(cid: CID | string, options?: Signalled): AsyncGenerator<TreeEntry, void>
  /** The entries of one directory. */
  ls(cid: CID | string, options?: Signalled): AsyncGenerator<Entry, void>
  /** What a CID or `CID/path` is, its digests, and how safe it is. */
  stat(cid: CID | string, options?: Signalled): Promise<ContentStat>
  /** The files below a CID, each with the digests that were kept of it: none of those put without. */
  digests(cid: CID | string, options?: Signalled): AsyncGenerator<WithDigests, void>
  /** What has this digest (`sha256:HEX`, or md5, sha1, sha512) in all that is pinned. */
  find(digest: string, options?: Signalled): AsyncGenerator<Found, void>
  status(): Promise<NodeStatus>
  status(cid: CID | string, options?: Signalled): Promise<DagStatus>
  /**
   * What would be lost, or have too few copies, with `node:NAME`, `node:ID`, `zone:ZONE`: of all that is
   * kept, and of each pin and ref. @throws NOT_FOUND, BAD_REQUEST for members that are not known
   */
  whatIf(lose: readonly string[], options?: WhatIfOptions): Promise<WhatIf>
  /** The first part of that: in numbers. */
  safetyWithout(lose: readonly string[], options?: Signalled): Promise<Safety>
  /** Resolves when every block of the DAG has as many copies. */
  waitFor(cid: CID | string, options: { replicas: number; signal?: AbortSignal }): Promise<DagStatus>
  node(): Promise<NodeInfo>
  peers(): Promise<PeerInfo[]>
  events(options?: EventOptions): AsyncGenerator<NodeEvent, void>
  /** Names that live. Wherever a CID is taken, `name`, `name@sequence` and `owner/name` are too. */
  readonly refs: Refs
  /** Read replicas of names, on the first node. */
  readonly mirrors: Mirrors
  /** The directories and files of what a ref keeps; undefined where there is none yet. */
  kept(name: string, options?: Signalled): Promise<Kept | undefined>
  readonly pins: {
    /** All that is pinned, whoever did it. */
    list(options?: Signalled): AsyncGenerator<Pin, void>
    /** Keeps what is stored already, or changes its pin. @throws NO_PROVIDER, TOO_FEW_REPLICAS */
    add(cid: CID | string, options?: PinOptions): Promise<Pin>
    rm(cid: CID | string): Promise<void>
  }
  readonly car: {
    export(cid: CID | string, options?: Signalled): Promise<ReadableStream<Uint8Array>>
    /** Puts the blocks of a CAR of one root, version 1 or 2. */
    import: (source: Source, options?: Omit<PutOptions, 'hash' | 'digests' | 'expect'>) => Put
  }
  /** One string by which another machine joins. */
  invite(): Promise<string>
  /** Has every holder of every block prove that it holds it, now. */
  prove(
    cid: CID | string,
    options?: Signalled & { onProgress?: (progress: ProofProgress) => void }
  ): Promise<ProofResult>
  /** The first node, and no other, reads all of its disk again now. @throws BUSY while it does already */
  scrub(options?: Signalled & { onProgress?: (progress: ScrubProgress) => void }): Promise<ScrubResult>
  /** All members read their disks again, asked by the first node, which adds up. */
  scrubNetwork(
    options?: Signalled & { onProgress?: (progress: ScrubProgress) => void }
  ): Promise<NetworkScrub>
  /** What each name and pin keeps, of all owners, and what of it no other keeps. */
  usage(options?: Signalled): Promise<UsageReport>
  /** What the first node holds that nobody claims any more; with `now`, it collects it without a grace. */
  gc(options?: Signalled & { now?: boolean }): Promise<GcResult>
  /** The first node, and no other, leaves the network for good; with `force`, handing nothing over. */
  leave(options?: Signalled & { onProgress?: (left: LeaveProgress) => void; force?: boolean }): Promise<void>
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
  const fetch: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const ownPost = options.fetch === undefined ? post : undefined
  const nodes = createNodes(listed, fetch, ownPost)
  /** The name that was last read by: what is read next is most likely of it, and at its mirrors too. */
  let named: string | undefined
  const fetchAny = createFetchBlock(nodes, { stallMs, direct: options.direct ?? ownPost !== undefined })
  const fetchBlock: FetchBlock = (cid, asked) => fetchAny(cid, { ref: named, ...asked })
  const first = nodes.all[0] as NodeAt
  const blockOf = (signal?: AbortSignal) => (cid: CID) => fetchBlock(cid, { signal })

  const refs = createRefs(nodes, options.key)
  const means: Means = { nodes, fetchBlock, refs, holdOutMs: options.holdOutMs }
  /** A CID, or `CID/path`, of what may begin with the name of a ref. */
  const placeOf = async (where: CID | string, signal?: AbortSignal): Promise<CID | string> => {
    if (typeof where !== 'string' || isCidPath(where)) {
      named = undefined
      return where
    }
    const { root, path, ref } = await refs.resolve(where, signal)
    named = `${ref.owner}/${ref.name}`
    return [root, ...path].join('/')
  }
  const cidAt = async (where: CID | string, signal?: AbortSignal) =>
    locate(fetchBlock, await placeOf(where, signal), signal)

  const recordsOf = (signal: AbortSignal | undefined): Records => ({
    fetchBlock,
    signal,
    pins: () => keptBy(nodes, refs, signal)
  })

  function status(): Promise<NodeStatus>
  function status(cid: CID | string, options?: Signalled): Promise<DagStatus>
  async function status(cid?: CID | string, { signal }: Signalled = {}): Promise<NodeStatus | DagStatus> {
    if (cid === undefined) return toNodeStatus(await nodes.anyJson({ path: '/v1/status' }))
    return toDagStatus(await nodes.anyJson({ path: `/v1/status/${await cidAt(cid, signal)}`, signal }))
  }
  return {
    put: (source, options = {}) => putFile(means, source, options),
    putDir: (entries, options = {}) => putTree(means, entries, options),
    get: async (cid, options) => getFile(fetchBlock, await placeOf(cid, options?.signal), options),
    locate: (where, { signal } = {}) => cidAt(where, signal),
    place: (where, { signal } = {}) => placeOf(where, signal),
    getBlock: async (cid, { signal } = {}) => fetchBlock(parseCid(cid), { signal }),
    async *walk(cid, { signal } = {}) {
      yield* walkFrom(fetchBlock, await placeOf(cid, signal), signal)
    },
    async *getTree(cid, { signal } = {}) {
      yield* treeFrom(fetchBlock, await placeOf(cid, signal), signal)
    },
    async *ls(cid, { signal } = {}) {
      yield* readDirectory(await cidAt(cid, signal), blockOf(signal))
    },
    async stat(named, { signal } = {}) {
      const where = await placeOf(named, signal)
      const cid = await locate(fetchBlock, where, signal)
      const { type, size } = await statOf(cid, blockOf(signal))
      const status = toDagStatus(await nodes.anyJson({ path: `/v1/status/${cid}`, signal }))
      const kept = type === 'file' ? await digestsByCid(recordsOf(signal), [cid], rootOf(where)) : undefined
      return { cid, type, size, digests: kept?.get(`${cid}`) ?? {}, status }
    },
    async *digests(named, { signal } = {}) {
      const where = await placeOf(named, signal)
      yield* withDigests(recordsOf(signal), rootOf(where), walkFrom(fetchBlock, where, signal))
    },
    async *find(digest, { signal } = {}) {
      yield* findByDigest(recordsOf(signal), parseDigest(digest))
    },
    status,
    whatIf: (lose, options = {}) =>
      whatIf({ nodes, refs, pins: listPins(nodes, options.signal) }, lose, options),
    safetyWithout: (lose, { signal } = {}) => safetyWithout(nodes, lose, signal),
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
    refs,
    mirrors: createMirrors(nodes, refs, options.key),
    kept: (name, { signal } = {}) => keptBelow(refs, fetchBlock, name, signal),
    pins: {
      list: ({ signal } = {}) => listPins(nodes, signal),
      add: async (where, { signal, ...asked } = {}) => {
        const path = `/v1/pins/${await cidAt(where, signal)}`
        const body = JSON.stringify(asked)
        return toPin(await nodes.anyJson({ method: 'POST', path, type: 'application/json', body, signal }))
      },
      rm: async (cid) => removePin(nodes, parseCid(cid))
    },
    car: {
      async export(cid, { signal } = {}) {
        const root = await cidAt(cid, signal)
        const blocks = dagBlocks(root, blockOf(signal), { readAhead: READ_AHEAD_BLOCKS })
        return streamOf(carOf([root], blocks))
      },
      import: (source, options = {}) =>
        startPut(means, { blocks: blocksOfCar(source), total: undefined }, options)
    },
    invite: async () => toText(await nodes.anyJson({ path: '/v1/invite' }), 'invite'),
    prove: (cid, options = {}) => proveDag(nodes, parseCid(cid), options),
    scrub: (options = {}) => scrub(nodes, first, options),
    scrubNetwork: (options = {}) => scrubNetwork(nodes, first, options),
    usage: async ({ signal } = {}) => toUsage(await nodes.anyJson({ path: '/v1/usage', signal })),
    gc: async ({ now = false, signal } = {}) =>
      toGcResult(await nodes.json(first, { method: now ? 'POST' : 'GET', path: '/v1/gc', signal })),
    leave: (options = {}) => leave(nodes, first, options),
    async stop() {
      await nodes.json(first, { method: 'POST', path: '/v1/stop' })
    }
  }
}

function isCidPath(where: string): boolean {
  try {
    rootOf(where)
    return true
  } catch (error) {
    if (CairnError.is(error, 'BAD_CID') && isRefWhere(where)) return false
    throw error
  }
}

/** The CID before the path. */
function rootOf(where: CID | string): CID {
  return parseCid(
    typeof where === 'string' ? (where.replace(/^(ipfs:\/\/|\/ipfs\/)/, '').split('/')[0] ?? '') : where
  )
}

function putFile(means: Means, source: Source, { hash, digests, expect, ...options }: PutOptions): Put {
  const { pieces, total } = bytesOf(source)
  const name =
    options.name ?? (typeof File !== 'undefined' && source instanceof File ? source.name : undefined)
  const about: UploadOptions = name === undefined ? options : { ...options, name }
  const file: TreeEntry = { type: 'file', path: [], content: pieces }
  return startPut(means, { blocks: blocksOf([file], { hash, digests, expect, name }), total }, about)
}

function putTree(
  means: Means,
  entries: AsyncIterable<DirEntry> | Iterable<DirEntry>,
  { hash, digests, expect, total, kept, onFile, ...options }: PutOptions & { total?: number }
): Put {
  const blocks = blocksOf(treeOf(entries), { hash, digests, expect, name: options.name, onFile })
  return startPut(means, { blocks: kept === undefined ? blocks : withoutKept(blocks, kept), total }, options)
}

async function* blocksOf(
  tree: AsyncIterable<TreeEntry> | Iterable<TreeEntry>,
  about: { [K in 'hash' | 'digests' | 'expect' | 'name' | 'onFile']?: PutOptions[K] | undefined }
): UploadBlocks {
  const { hash, digests: names = DEFAULT_DIGESTS, expect, name = '-', onFile } = about
  const expected = expect === undefined ? undefined : expectation(expect, name)
  return yield* digestedBlocks(tree, {
    names,
    expected,
    rootName: name,
    onFile,
    ...(hash === undefined ? {} : { hash })
  })
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

/** What pins and refs keep: that is where digests are looked for. */
async function* keptBy(nodes: Nodes, refs: Refs, signal?: AbortSignal): AsyncGenerator<Pin, void> {
  yield* listPins(nodes, signal)
  for (const ref of await refs.list({ all: true, ...(signal === undefined ? {} : { signal }) })) {
    const { name, root, replicas, lifetimeMs, history, metadata } = ref
    const roots = [root, ...history.map((past) => past.root)]
    for (const [i, digests] of (metadata.digests ?? '')
      .split(' ')
      .slice(0, ref.keep + 1)
      .entries()) {
      const at = roots[i]
      if (digests === '' || at === undefined) continue
      const facts = { root: at, upload: '', name, replicas, lifetimeMs, blocks: 0, bytes: 0, createdMs: 0 }
      yield { ...facts, digests: parseCid(digests) }
    }
  }
}

/** Asks each node in turn: in an open network a pin is removed by the node that made it. */
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

async function* blocksOfCar(source: Source): UploadBlocks {
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
