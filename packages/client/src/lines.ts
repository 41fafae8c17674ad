/** Answers that are lines of JSON for as long as something goes on. */
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import { toEvent, toProof } from './json.ts'
import { askAny, type NodeAt, type Nodes, parseError, piecesOf, reasonOf } from './nodes.ts'
import type {
  LeaveProgress,
  NetworkScrub,
  NodeEvent,
  ProofProgress,
  ProofResult,
  ScrubProgress,
  ScrubResult
} from './types.ts'

/** Of one line, characters. */
const LINE_CHARS_MAX = 64 * 1024
/** Three heartbeats of the node's: a stream that is silent for longer is dead, ms. */
const SILENCE_MS = 45_000

export interface EventOptions {
  types?: readonly NodeEvent['type'][]
  signal?: AbortSignal
}

/**
 * Events from now on, of the first node that answers, and of the next one when its stream ends; what
 * happens in between is not told. @throws CairnError once no node can be reached; signal.reason
 */
export async function* eventsOf(
  nodes: Nodes,
  { types, signal }: EventOptions
): AsyncGenerator<NodeEvent, void> {
  const path = types === undefined ? '/v1/events' : `/v1/events?types=${types.join(',')}`
  for (;;) {
    const open = await askAny(nodes, (node) => openLines(nodes, node, { path, method: 'GET', signal }))
    try {
      for await (const line of open.lines) {
        const event = toEvent(line)
        if (event !== undefined) yield event
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (!CairnError.is(error, 'UNREACHABLE')) throw error
    }
    nodes.avoid(open.node)
  }
}

/** Asks the node to leave the network for good. @throws what kept it from leaving */
export async function leave(
  nodes: Nodes,
  node: NodeAt,
  options: { onProgress?: (left: LeaveProgress) => void; force?: boolean; signal?: AbortSignal }
): Promise<void> {
  const { onProgress, force = false, signal } = options
  const path = force ? '/v1/leave?force' : '/v1/leave'
  const { lines } = await openLines(nodes, node, { path, method: 'POST', signal })
  for await (const line of lines) {
    const { left, blocks, bytes } = line as { left?: boolean } & LeaveProgress
    const error = parseError(JSON.stringify(line))
    if (error !== undefined) throw error
    if (left === true) return
    onProgress?.({ blocks, bytes })
  }
  throw new CairnError('UNREACHABLE', `${node.url} ended before it had left`, {
    hint: 'the other members repair what it held; `cairn status` shows how far they are'
  })
}

/** Asks the node to read all of its disk again. @throws what kept it from that */
export async function scrub(
  nodes: Nodes,
  node: NodeAt,
  options: { onProgress?: (progress: ScrubProgress) => void; signal?: AbortSignal }
): Promise<ScrubResult> {
  return (await work(nodes, node, { path: '/v1/scrub', ...options })) as ScrubResult
}

/** Asks the node to have all members read their disks again. @throws what kept it from that */
export async function scrubNetwork(
  nodes: Nodes,
  node: NodeAt,
  options: { onProgress?: (progress: ScrubProgress) => void; signal?: AbortSignal }
): Promise<NetworkScrub> {
  return (await work(nodes, node, { path: '/v1/scrub?network', ...options })) as NetworkScrub
}

/** Asks a node that can be reached to challenge all holders. @throws what kept it from that */
export async function proveDag(
  nodes: Nodes,
  root: CID,
  options: { onProgress?: (progress: ProofProgress) => void; signal?: AbortSignal }
): Promise<ProofResult> {
  let failure: unknown
  for (const node of nodes.ranked()) {
    try {
      return toProof(await work(nodes, node, { path: `/v1/prove/${root}`, ...options }))
    } catch (error) {
      if (!CairnError.is(error, 'UNREACHABLE')) throw error
      nodes.avoid(node)
      failure ??= error
    }
  }
  throw failure
}

/** Lines of progress, then the result. */
async function work<P>(
  nodes: Nodes,
  node: NodeAt,
  { path, onProgress, signal }: { path: string; onProgress?: (progress: P) => void; signal?: AbortSignal }
): Promise<unknown> {
  const { lines } = await openLines(nodes, node, { path, method: 'POST', signal })
  for await (const line of lines) {
    const error = parseError(JSON.stringify(line))
    if (error !== undefined) throw error
    const { done, ...said } = line as P & { done?: true; type?: string }
    if (done === true) return said
    if (said.type !== 'heartbeat') onProgress?.(said as P)
  }
  throw new CairnError('UNREACHABLE', `${node.url} ended before it was done`, {
    hint: 'start that node again, or ask another, and try again'
  })
}

interface Asked {
  path: string
  method: 'GET' | 'POST'
  signal: AbortSignal | undefined
}

async function openLines(
  nodes: Nodes,
  node: NodeAt,
  asked: Asked
): Promise<{ node: NodeAt; lines: AsyncGenerator<unknown> }> {
  const silent = new AbortController()
  const signal = asked.signal === undefined ? silent.signal : AbortSignal.any([asked.signal, silent.signal])
  const response = await nodes.call(node, { ...asked, signal })
  return { node, lines: readLines(node, response, { silent, caller: asked.signal }) }
}

async function* readLines(
  node: NodeAt,
  response: Response,
  { silent, caller }: { silent: AbortController; caller: AbortSignal | undefined }
): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  const wind = () =>
    setTimeout(() => silent.abort(new Error(`silent for ${SILENCE_MS / 1_000} s`)), SILENCE_MS)
  let timer = wind()
  let text = ''
  try {
    for await (const bytes of piecesOf(response)) {
      clearTimeout(timer)
      timer = wind()
      text += decoder.decode(bytes, { stream: true })
      const lines = text.split('\n')
      text = lines.pop() as string
      if (text.length > LINE_CHARS_MAX)
        throw new CairnError('BAD_MESSAGE', `${node.url} sent a line without end`)
      for (const line of lines) yield JSON.parse(line)
    }
  } catch (cause) {
    caller?.throwIfAborted()
    if (CairnError.is(cause)) throw cause
    throw new CairnError('UNREACHABLE', `${node.url} broke off: ${reasonOf(cause)}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}
