/**
 * A node's HTTP server: every request passes the guard, then goes to the route that the table names.
 * Loopback unless told otherwise.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { parseCid } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CairnNode } from '@cairn/node'
import { getRequestListener } from '@hono/node-server'
import { SAFE_HEADERS, sendError, toCairnError } from './answer.ts'
import { jsonApi } from './api.ts'
import { type Bulk, createBulk } from './bulk.ts'
import { type Asked, createGuard, type Guard, LOOPBACK } from './guard.ts'
import { createLines, type Lines } from './lines.ts'
import { createMetrics, METRICS_TYPE, type Metrics } from './metrics.ts'
import { matchRoute, type StreamRoute } from './routes.ts'

/** For the head of a request to be whole, ms. A head is one packet or two; slow-loris tools drip it. */
const HEAD_MS = 10_000
/** For a whole request, ms: 64 MiB at 1 Mbit/s. A stalled body is cut off long before (STALL_MS). */
const REQUEST_MS = 600_000
/** How often node:http looks for those that are over, ms. Its default of 30 s would undo HEAD_MS. */
const CHECK_MS = 2_000
/** An idle connection is kept so long, ms: longer than a client's pause between batches. */
const KEEP_ALIVE_MS = 30_000
/** Connections at once, below the usual limit of 4,096 files or so with room for the store's. A guess. */
const CONNECTIONS_MAX = 2_000
/** What is under way may end before close cuts it, ms. */
const CLOSE_MS = 2_000
/** Fewer, larger reads of an uploaded body (measured: +30 % MB/s over the default of 64 KiB). */
const READ_BYTES = 1024 * 1024
/** How long a browser may remember that a listed origin may ask, s. */
const PREFLIGHT_MAX_AGE_S = 600

export interface ServeOptions {
  /** Address to listen on: loopback unless told. */
  host?: string
  /** Whether reads need no token: so on loopback only, unless told. */
  freeReads?: boolean
  /** 0 takes a free one. */
  port?: number
  /** Origins of other pages that may use the API, as `https://example.org`. */
  origins?: readonly string[]
  /** Names by which this server is asked, beside loopback's and `host`. */
  hosts?: readonly string[]
  /** What `stop` and `leave` do at their end: close this server and stop the node, usually. */
  onStop: () => void
  /** Told of what should never happen. Standard error by default. */
  onBug?: (error: unknown) => void
}

export interface Serving {
  url: string
  /** Bytes taken now by uploads and answers, each of a bounded amount. */
  held(): { sending: number; answering: number }
  close(): Promise<void>
}

interface Parts {
  guard: Guard
  bulk: Bulk
  lines: Lines
  metrics: Metrics
  json: (req: IncomingMessage, res: ServerResponse) => Promise<void>
  onBug: (error: unknown) => void
}

/** Serves a node over HTTP until closed. @throws PORT_IN_USE */
export async function serveNode(node: CairnNode, options: ServeOptions): Promise<Serving> {
  const { host = '127.0.0.1', port = 0, origins = [], hosts = [], onStop } = options
  const onBug = options.onBug ?? ((error: unknown) => console.error(error))
  const inBrackets = host.includes(':') ? `[${host}]` : host
  const { freeReads = LOOPBACK.includes(inBrackets) } = options
  const guardOptions = { token: node.token, freeReads, origins, hosts: [...hosts, inBrackets] }
  const parts: Parts = {
    guard: createGuard(guardOptions, () => performance.now()),
    bulk: createBulk(node),
    lines: createLines(node, { onStop, onBug }),
    metrics: createMetrics(node),
    json: getRequestListener(jsonApi(node, onBug).fetch, { overrideGlobalObjects: false }),
    onBug
  }
  const server = createServer(
    {
      headersTimeout: HEAD_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      highWaterMark: READ_BYTES
    },
    (req, res) => void answer(parts, req, res)
  )
  server.maxConnections = CONNECTIONS_MAX
  const closeServer = closer(server)
  await listen(server, host, port)
  return {
    url: `http://${inBrackets}:${(server.address() as AddressInfo).port}`,
    held: parts.bulk.held,
    async close() {
      parts.metrics.close()
      await closeServer()
    }
  }
}

async function answer(parts: Parts, req: IncomingMessage, res: ServerResponse): Promise<void> {
  // a connection that breaks is seen by whoever reads or writes it; without a listener it ends the process
  res.on('error', () => {})
  try {
    await dispatch(parts, req, res)
  } catch (cause) {
    if (res.destroyed) return // nobody is there to be told
    sendError(res, toCairnError(cause, parts.onBug))
  }
}

async function dispatch(parts: Parts, req: IncomingMessage, res: ServerResponse): Promise<void> {
  for (const [name, value] of Object.entries(SAFE_HEADERS)) res.setHeader(name, value)
  const asked = whatIsAsked(req)
  parts.guard.place(asked)
  if (parts.guard.listed(asked.origin)) {
    res.setHeader('access-control-allow-origin', asked.origin)
    res.setHeader('vary', 'origin')
    res.setHeader('cross-origin-resource-policy', 'cross-origin')
    if (req.method === 'OPTIONS') return preflight(res)
  }
  const url = URL.parse(req.url ?? '/', 'http://node')
  const match = matchRoute(req.method ?? 'GET', url?.pathname ?? '')
  if ('methods' in match) throw noRoute(req, match.methods)
  parts.guard.right(asked, match.route)
  if (match.route.kind === 'json') return parts.json(req, res)
  return stream(parts, match.route, { req, res, params: match.params, query: (url as URL).searchParams })
}

function stream(
  { bulk, lines, metrics }: Parts,
  route: StreamRoute,
  request: Parameters<Bulk['send']>[0]
): Promise<void> | void {
  switch (route.name) {
    case 'metrics':
      return tellMetrics(request.res, metrics)
    case 'send':
      return bulk.send(request)
    case 'blocks':
      return bulk.blocks(request)
    case 'events':
      return lines.events(request.res, request.query)
    case 'prove':
      return lines.prove(request.res, parseCid(request.params.cid ?? ''))
    case 'scrub':
      return lines.scrub(request.res, request.query)
    case 'leave':
      return lines.leave(request.res, request.query)
    case 'stop':
      return lines.stop(request.res)
  }
}

async function tellMetrics(res: ServerResponse, metrics: Metrics): Promise<void> {
  const body = Buffer.from(await metrics.text())
  res.writeHead(200, { 'content-type': METRICS_TYPE, 'content-length': body.length })
  res.end(body)
}

function whatIsAsked(req: IncomingMessage): Asked {
  const { host, origin, authorization } = req.headers
  const address = req.socket.remoteAddress ?? ''
  return { host, origin, authorization, contentType: req.headers['content-type'], address }
}

function preflight(res: ServerResponse): void {
  res.writeHead(204, {
    'access-control-allow-methods': 'GET, POST, DELETE',
    'access-control-allow-headers': 'authorization, content-type',
    'access-control-max-age': String(PREFLIGHT_MAX_AGE_S)
  })
  res.end()
}

function noRoute(req: IncomingMessage, methods: string[]): CairnError {
  const hint = methods.length > 0 ? `this path takes ${methods.join(', ')}` : 'GET / says what there is'
  return new CairnError('NOT_FOUND', `no route ${req.method} of this path`, { hint })
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ host, port }, resolve)
  try {
    await promise
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EADDRNOTAVAIL') {
      const hint = 'name one that it has, or leave it out'
      throw new CairnError('BAD_CONFIG', `${host} is no address of this machine`, { cause, hint })
    }
    if (code !== 'EADDRINUSE') throw cause
    throw new CairnError('PORT_IN_USE', `port ${port} of ${host} is in use`, {
      cause,
      hint: 'stop what uses it, or choose another with --port (0 takes a free one)'
    })
  }
  server.off('error', reject)
}

/** Lets what is under way end, for CLOSE_MS, and drops every other connection. */
function closer(server: Server): () => Promise<void> {
  // node:http's own closeIdleConnections spares connections that have not asked yet, and lets those that
  // were busy stay open once they are done
  const idle = new Set<Socket>()
  let closing = false
  server.on('connection', (socket: Socket) => {
    idle.add(socket)
    socket.once('close', () => idle.delete(socket))
  })
  server.on('request', (_, res: ServerResponse) => {
    const { socket } = res
    if (socket === null) return
    idle.delete(socket)
    res.once('close', () => {
      if (closing) socket.destroySoon()
      else if (!socket.destroyed) idle.add(socket)
    })
  })
  return async () => {
    closing = true
    const { promise, resolve } = Promise.withResolvers<void>()
    server.close(() => resolve())
    for (const socket of idle) socket.destroy()
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_MS)
    await promise
    clearTimeout(cut)
  }
}
