/**
 * Every route of the HTTP API as data: who may use it, what its body is, how it is answered. The guard,
 * the dispatch and the tests of what is refused are all generated from this one table, so a route
 * that isn't in it does not exist and one that is can't be left unguarded.
 */

/** Plain JSON answers, made by hono. */
export type JsonRouteName =
  | 'hint'
  | 'healthz'
  | 'node'
  | 'status'
  | 'status-of'
  | 'peers'
  | 'invite'
  | 'pins'
  | 'pin'
  | 'unpin'
  | 'garbage'
  | 'usage'
  | 'collect'
  | 'keep'
  | 'finish'
  | 'end'
  | 'refs'
  | 'ref'
  | 'set-ref'
  | 'draft-ref'
  | 'propose-ref'
  | 'mirrors'
  | 'add-mirror'
  | 'remove-mirror'
  | 'promote-mirror'
/** Answered on raw node:http streams: no JSON, bulk bytes (web streams cost too much), endless lines. */
export type StreamRouteName = 'metrics' | 'send' | 'blocks' | 'events' | 'scrub' | 'prove' | 'leave' | 'stop'

interface RouteShape {
  method: 'GET' | 'POST' | 'DELETE'
  /** `:name` stands for one segment. */
  path: string
  /**
   * `open` needs nothing but a good Host and Origin; `token` needs the bearer token too, and so does `read`
   * where others than this machine's own programs can ask.
   */
  access: 'open' | 'read' | 'token'
  body: 'none' | 'json' | 'car'
}
export type JsonRoute = RouteShape & { kind: 'json'; name: JsonRouteName }
export type StreamRoute = RouteShape & { kind: 'stream'; name: StreamRouteName }
export type Route = JsonRoute | StreamRoute

const open = { method: 'GET', access: 'open', body: 'none' } as const
const read = { ...open, access: 'read' } as const
const act = { method: 'POST', access: 'token' } as const

export const ROUTES: readonly Route[] = [
  { kind: 'json', name: 'hint', path: '/', ...open },
  { kind: 'json', name: 'healthz', path: '/healthz', ...open },
  { kind: 'stream', name: 'metrics', path: '/metrics', ...read },
  { kind: 'json', name: 'node', path: '/v1/node', ...read },
  { kind: 'json', name: 'status', path: '/v1/status', ...read },
  { kind: 'json', name: 'status-of', path: '/v1/status/:cid', ...read },
  { kind: 'json', name: 'peers', path: '/v1/peers', ...read },
  { kind: 'json', name: 'pins', path: '/v1/pins', ...read },
  { kind: 'json', name: 'usage', path: '/v1/usage', ...read },
  { kind: 'json', name: 'garbage', path: '/v1/gc', ...read },
  { kind: 'json', name: 'collect', path: '/v1/gc', ...act, body: 'none' },
  { kind: 'json', name: 'refs', path: '/v1/refs', ...read },
  { kind: 'json', name: 'ref', path: '/v1/refs/:owner/:name', ...read },
  { kind: 'json', name: 'set-ref', path: '/v1/refs/:owner/:name', ...act, body: 'json' },
  { kind: 'json', name: 'draft-ref', path: '/v1/refs/:owner/:name/draft', ...act, body: 'json' },
  { kind: 'json', name: 'propose-ref', path: '/v1/refs/:owner/:name/propose', ...act, body: 'json' },
  { kind: 'json', name: 'mirrors', path: '/v1/mirrors', ...read },
  { kind: 'json', name: 'add-mirror', path: '/v1/mirrors/:owner/:name', ...act, body: 'json' },
  { kind: 'json', name: 'promote-mirror', path: '/v1/mirrors/:owner/:name/promote', ...act, body: 'json' },
  {
    kind: 'json',
    name: 'remove-mirror',
    path: '/v1/mirrors/:owner/:name',
    method: 'DELETE',
    access: 'token',
    body: 'none'
  },
  { kind: 'stream', name: 'events', path: '/v1/events', ...read },
  // a read in spite of its method: the list of CIDs does not fit a URL
  { kind: 'stream', name: 'blocks', path: '/v1/blocks', method: 'POST', access: 'read', body: 'json' },
  { kind: 'json', name: 'invite', path: '/v1/invite', ...read, access: 'token' },
  { kind: 'json', name: 'pin', path: '/v1/pins/:cid', ...act, body: 'json' },
  { kind: 'json', name: 'unpin', path: '/v1/pins/:cid', method: 'DELETE', access: 'token', body: 'none' },
  { kind: 'stream', name: 'send', path: '/v1/uploads/:id/blocks', ...act, body: 'car' },
  { kind: 'json', name: 'keep', path: '/v1/uploads/:id/keep', ...act, body: 'json' },
  { kind: 'json', name: 'finish', path: '/v1/uploads/:id/finish', ...act, body: 'json' },
  { kind: 'json', name: 'end', path: '/v1/uploads/:id/end', ...act, body: 'none' },
  { kind: 'stream', name: 'prove', path: '/v1/prove/:cid', ...act, body: 'none' },
  { kind: 'stream', name: 'scrub', path: '/v1/scrub', ...act, body: 'none' },
  { kind: 'stream', name: 'leave', path: '/v1/leave', ...act, body: 'none' },
  { kind: 'stream', name: 'stop', path: '/v1/stop', ...act, body: 'none' }
]

export const CONTENT_TYPES = { json: 'application/json', car: 'application/vnd.ipld.car' } as const

export interface Match {
  route: Route
  /** The segments that `:name` stood for. */
  params: Record<string, string>
}

/** The route of a request, or the methods that its path has, if any. */
export function matchRoute(method: string, path: string): Match | { methods: string[] } {
  const methods: string[] = []
  for (const route of ROUTES) {
    const params = matchPath(route.path, path)
    if (params === undefined) continue
    if (route.method === method) return { route, params }
    methods.push(route.method)
  }
  return { methods }
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const names = pattern.split('/')
  const segments = path.split('/')
  if (names.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (const [i, name] of names.entries()) {
    const segment = segments[i] as string
    if (name.startsWith(':')) params[name.slice(1)] = segment
    else if (name !== segment) return undefined
  }
  return params
}
