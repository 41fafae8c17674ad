/** Routes that answer with lines of JSON while something goes on: events, a scrub, proofs, leaving. */
import type { ServerResponse } from 'node:http'
import { CairnError } from '@cairn/core'
import type { CairnNode } from '@cairn/node'
import type { CID } from 'multiformats/cid'
import { goneSignal, sendJson, toCairnError, write } from './answer.ts'
import { askedTypes } from './asked.ts'
import { toJson } from './json.ts'

/** Between heartbeats, that tell a quiet stream from a dead one, ms. Below usual proxies' 30-60 s. */
const HEARTBEAT_MS = 15_000
const HEARTBEAT = '{"type":"heartbeat"}\n'
/** Streams of events at once. A dashboard has one. */
const EVENT_STREAMS_MAX = 64
/** Between two lines of progress of a scrub, ms: it tells of every group, thousands a second. */
const PROGRESS_MS = 200

export interface Lines {
  events(res: ServerResponse, query: URLSearchParams): Promise<void>
  prove(res: ServerResponse, root: CID): Promise<void>
  scrub(res: ServerResponse, query: URLSearchParams): Promise<void>
  /** `force`: with nothing handed over. */
  leave(res: ServerResponse, query: URLSearchParams): Promise<void>
  stop(res: ServerResponse): void
}

export function createLines(
  node: CairnNode,
  {
    onStop,
    onBug
  }: {
    /** Called once the answer to `stop`, or to `leave`, is on its way. */
    onStop: () => void
    onBug: (error: unknown) => void
  }
): Lines {
  let streams = 0
  return {
    async events(res, query) {
      if (streams >= EVENT_STREAMS_MAX) {
        throw new CairnError('BUSY', `${EVENT_STREAMS_MAX} streams of events are open`, {
          hint: 'close one of them'
        })
      }
      streams++
      try {
        await streamEvents(node, res, askedTypes(query))
      } finally {
        streams--
      }
    },
    scrub: (res, query) =>
      answer(
        res,
        (options) => (query.has('network') ? node.scrubNetwork(options) : node.scrub(options)),
        onBug
      ),
    prove: (res, root) => answer(res, (options) => node.proofOf(root, options), onBug),
    async leave(res, query) {
      const signal = goneSignal(res)
      begin(res)
      // lines are dropped, not awaited, once the asker has gone: leaving goes on without it
      const line = (value: unknown): void => {
        if (!signal.aborted) res.write(`${toJson(value)}\n`)
      }
      try {
        await node.leave({ onProgress: line, force: query.has('force') })
      } catch (cause) {
        line({ error: toCairnError(cause, onBug) })
        res.end()
        return
      }
      line({ left: true })
      end(res, onStop)
    },
    stop(res) {
      sendJson(res, {})
      end(res, onStop)
    }
  }
}

/** Lines of progress, then the result, or the error. */
async function answer(
  res: ServerResponse,
  work: (options: { onProgress: (progress: object) => void; signal: AbortSignal }) => Promise<object>,
  onBug: (error: unknown) => void
): Promise<void> {
  const signal = goneSignal(res)
  begin(res)
  const heartbeat = setInterval(() => res.write(HEARTBEAT), HEARTBEAT_MS)
  let toldMs = Number.NEGATIVE_INFINITY
  const onProgress = (progress: object): void => {
    if (performance.now() - toldMs < PROGRESS_MS) return
    toldMs = performance.now()
    res.write(`${toJson(progress)}\n`)
  }
  try {
    const result = await work({ onProgress, signal })
    res.end(`${toJson({ ...result, done: true })}\n`)
  } catch (cause) {
    // who asked may have gone: then the work ended for that, and nobody is told
    if (!signal.aborted) res.end(`${toJson({ error: toCairnError(cause, onBug) })}\n`)
  } finally {
    clearInterval(heartbeat)
  }
}

async function streamEvents(
  node: CairnNode,
  res: ServerResponse,
  types: ReadonlySet<string> | undefined
): Promise<void> {
  const gone = goneSignal(res)
  const events = node.events(gone) // before the head: whoever has seen that misses nothing after it
  begin(res)
  const heartbeat = setInterval(() => res.write(HEARTBEAT), HEARTBEAT_MS)
  try {
    for await (const event of events) {
      if (types === undefined || types.has(event.type))
        await write(res, `${toJson(event)}\n`, { signal: gone })
    }
    res.end() // the node has stopped
  } catch (error) {
    if (!gone.aborted) throw error // gone is how this stream usually ends
  } finally {
    clearInterval(heartbeat)
  }
}

function begin(res: ServerResponse): void {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' })
  res.flushHeaders()
}

function end(res: ServerResponse, then: () => void): void {
  if (res.closed || res.destroyed) then()
  else {
    res.once('close', then) // after the last byte, or when the asker went without it
    res.shouldKeepAlive = false
    res.end()
  }
}
