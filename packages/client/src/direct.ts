/**
 * Who holds a block and can be asked for it straight: members as a node tells them, placed as they place
 * themselves. What a member says of where its API is, is a hint: it is asked who it is before any block, and
 * no token of ours goes to it. Of its blocks nothing is believed anyway.
 */
import { keyOf } from '@cairn/blocks'
import { CairnError, createPlacement, type PeerId, type Placement, slotOf } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { toNodeInfo, toPeers } from './json.ts'
import { AVOID_MS, type NodeAt, type Nodes } from './nodes.ts'
import { hasPlace, placedOf } from './placed.ts'

/** Blocks asked for before it is worth asking who is there: for a small file it costs more than it saves. */
const WORTH_BLOCKS = 16
/** Members come and go: between two looks at who is there, while blocks are asked for, ms. */
const LOOK_MS = 60_000
/** Blocks wait so long for the first look, ms: they could all go through a node that has to ask as well. */
const SOON_MS = 200
/** For the node that tells who is there, and for a member to say who it is, ms. */
const LOOK_LIMIT_MS = 5_000
const CHECK_MS = 1_000
/** Members asked at once who they are. */
const CHECKS_MAX = 8
/** Kept of each slot's order at the least; a network with more copies keeps so many. */
const DEPTH = 4

/** A holder counts as late after four times what holders usually make one wait, and not before, ms. */
const LATE_TIMES = 4
const LATE_MS = 500

/** A member that answers to its name, and what was seen of it. */
export interface Source {
  readonly node: NodeAt
  /** Requests under way, and blocks of them that are not here yet. */
  requests: number
  blocks: number
  /** What a block took lately, ms. */
  msPerBlock: number
  /** Left alone until then. */
  restUntilMs: number
}

export interface Direct {
  /** Rises whenever `holdersOf` may give others. */
  readonly version: number
  /** Those of a slot's holders that can be asked straight, best first, whether they rest or not. */
  holdersOf(slot: number): readonly Source[]
  /** Called for each block that is wanted: from time to time it looks who is there. */
  wanted(): void
  /** How many sources there are. */
  readonly size: number
  /** For the first time it is being found out who can be asked, and that may be known in a moment. */
  readonly soon: boolean
  /** A holder that gives nothing for so long is passed over: the next one has the block too, ms. */
  readonly lateMs: number
  /** How long the answer of one that gave all made us wait at a time. */
  noteGap(ms: number): void
}

interface View {
  /** Who told it. */
  readonly by: NodeAt
  readonly self: PeerId
  readonly api: number
  readonly copies: number
  readonly placement: Placement
  /** Where members say that they can be asked, as far as that may be tried. */
  readonly urls: Map<PeerId, string>
}

/** @param onChange others may be asked than before, or will not be after all */
export function createDirect(nodes: Nodes, onChange: () => void): Direct {
  const sources = new Map<PeerId, Source>()
  /** Members that are asked who they are, and those that did not say it: until when that is left so. */
  const doubted = new Map<PeerId, number>()
  let view: View | undefined
  let wanted = 0
  let lookAtMs = Number.NEGATIVE_INFINITY
  let looking = false
  let soonUntilMs = Number.NEGATIVE_INFINITY
  let soonTimer: ReturnType<typeof setTimeout> | undefined
  let checks = 0
  let gapMs = 0
  let version = 0

  const look = async (): Promise<void> => {
    if (view === undefined) {
      soonUntilMs = performance.now() + SOON_MS
      soonTimer = setTimeout(onChange, SOON_MS)
    }
    looking = true
    view = (await viewOf(nodes.ranked()[0] as NodeAt, nodes)) ?? view
    for (const [id, { node }] of sources) {
      const url = view?.self === id ? view.by.url : view?.urls.get(id)
      if (url !== node.url) sources.delete(id) // gone, or elsewhere
    }
    if (view !== undefined && !sources.has(view.self)) sources.set(view.self, newSource(view.by))
    looking = false
    version++
    if (view === undefined || view.urls.size === 0) clearTimeout(soonTimer)
    onChange()
    for (const id of doubted.keys()) if (view?.urls.has(id) !== true) doubted.delete(id)
  }
  const check = async (id: PeerId, url: string, { api }: View): Promise<void> => {
    doubted.set(id, Number.POSITIVE_INFINITY)
    checks++
    const node = nodes.all.find((given) => given.url === url) ?? { url, token: undefined, avoidUntilMs: 0 }
    const signal = AbortSignal.timeout(CHECK_MS)
    const said = await nodes
      .json(node, { path: '/v1/node', signal, unwatched: true })
      .then(toNodeInfo)
      .catch(() => undefined) // then others are asked for its blocks
    checks--
    if (said?.id === id && said.api === api) {
      doubted.delete(id)
      sources.set(id, newSource(node))
      version++
    } else doubted.set(id, performance.now() + AVOID_MS)
    if (checks === 0) clearTimeout(soonTimer)
    onChange()
  }
  const sourceOf = (id: PeerId, now: number): Source | undefined => {
    const known = sources.get(id)
    if (known !== undefined || view === undefined) return known
    const url = view.urls.get(id)
    const may = checks < CHECKS_MAX && (doubted.get(id) ?? 0) < now
    if (url !== undefined && may) void check(id, url, view)
    return undefined
  }
  return {
    get size() {
      return sources.size
    },
    get soon() {
      return (looking || checks > 0) && performance.now() < soonUntilMs
    },
    get lateMs() {
      return Math.max(LATE_MS, LATE_TIMES * gapMs)
    },
    noteGap(ms) {
      gapMs += (ms - gapMs) / 8
    },
    wanted() {
      const now = performance.now()
      if (++wanted < WORTH_BLOCKS || now < lookAtMs + LOOK_MS) return
      lookAtMs = now
      void look()
    },
    get version() {
      return version
    },
    holdersOf(slot) {
      if (view === undefined) return []
      const now = performance.now()
      const holders = view.placement.order(slot, view.copies).map((id) => sourceOf(id, now))
      return holders.filter((source) => source !== undefined)
    }
  }
}

function newSource(node: NodeAt): Source {
  return { node, requests: 0, blocks: 0, msPerBlock: 1, restUntilMs: 0 }
}

/** Undefined when it can't be had: blocks come through the nodes that are known then. */
async function viewOf(by: NodeAt, nodes: Nodes): Promise<View | undefined> {
  try {
    const signal = AbortSignal.timeout(LOOK_LIMIT_MS)
    const [info, peers] = await Promise.all([
      nodes.json(by, { path: '/v1/node', signal, unwatched: true }).then(toNodeInfo),
      nodes.json(by, { path: '/v1/peers', signal, unwatched: true }).then(toPeers)
    ])
    const copies = info.network.replicas
    const placement = createPlacement({ depth: Math.max(DEPTH, copies) })
    const urls = new Map<PeerId, string>()
    const near = isLoopback(new URL(by.url))
    for (const peer of peers.filter(hasPlace)) {
      placement.add(placedOf(peer))
      const url = urlOf(peer.http, near)
      if (url !== undefined) urls.set(peer.id, url)
    }
    return { by, self: info.id, api: info.api, copies, placement, urls }
  } catch {
    return undefined
  }
}

/** Of loopback only where the node that told it is there too: else it is another machine's. */
function urlOf(http: string | null | undefined, near: boolean): string | undefined {
  const url = URL.parse(http ?? '')
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== '/') return undefined
  return isLoopback(url) && !near ? undefined : url.origin
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** Undefined for what no block may be named by: nodes say what is wrong with it. */
export function slotFor(cid: CID): number | undefined {
  try {
    return slotOf(keyOf(cid))
  } catch (error) {
    if (CairnError.is(error, 'BAD_CID')) return undefined
    throw error
  }
}
