/** The routes whose answer is one JSON value, by hono. The guard has run before any of them. */
import { parseCid } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CairnNode } from '@cairn/node'
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { errorHeaders, readJson, toCairnError } from './answer.ts'
import {
  askedLosses,
  askedPut,
  askedReplicas,
  askedToFinish,
  askedToKeep,
  askedUpload,
  KEEP_BODY_BYTES_MAX,
  SMALL_BODY_BYTES_MAX
} from './asked.ts'
import {
  askedMirror,
  askedOwner,
  askedPin,
  askedPromotion,
  askedRecord,
  askedRefUpdate,
  PROPOSE_BODY_BYTES_MAX
} from './asked-refs.ts'

import { toJson } from './json.ts'
import { type JsonRouteName, ROUTES } from './routes.ts'

/** The API's version; a client refuses another. */
export const API_VERSION = 1

type Env = { Bindings: HttpBindings }
type App = Hono<Env>
type Asking = Context<Env>
type Answers = Record<JsonRouteName, (c: Asking) => Promise<unknown> | unknown>

export function jsonApi(node: CairnNode, onBug: (error: unknown) => void): App {
  const app: App = new Hono()
  const answers = answersOf(node)
  for (const route of ROUTES) {
    if (route.kind !== 'json') continue
    app.on(route.method, route.path, async (c) => {
      const body = toJson(await answers[route.name](c))
      return c.body(body, 200, { 'content-type': 'application/json' })
    })
  }
  app.onError((cause, c) => {
    const error = toCairnError(cause, onBug)
    const headers = { 'content-type': 'application/json', ...errorHeaders(error) }
    return c.body(toJson({ error }), error.status as ContentfulStatusCode, headers)
  })
  return app
}

function answersOf(node: CairnNode): Answers {
  const upload = (c: Asking) => node.upload(askedUpload(c.req.param('id')))
  const query = (c: Asking): URLSearchParams => new URL(c.req.url).searchParams
  // from node:http's own stream: hono's limit on bodies makes a second Request of each
  const body = (c: Asking, bytesMax: number): Promise<unknown> => readJson(c.env.incoming, bytesMax)
  const cid = (c: Asking) => parseCid(c.req.param('cid') ?? '')
  const signal = (c: Asking): { signal: AbortSignal } => ({ signal: c.req.raw.signal })

  const named = (c: Asking) => ({
    owner: askedOwner(c.req.param('owner'), node.id),
    name: c.req.param('name') ?? ''
  })

  return {
    hint: () => ({
      cairn: node.version,
      name: node.name,
      api: '/v1/node',
      hint: 'this is the HTTP API of a Cairn node; the command `cairn status` shows how it is'
    }),
    healthz: () => ({ ok: true }),
    // asked for by every client before anything else: nobody else is asked for it
    node: () => ({
      id: node.id,
      name: node.name,
      version: node.version,
      api: API_VERSION,
      network: node.network,
      addresses: node.addresses(),
      home: node.home,
      usage: node.stored()
    }),
    status: (c) => node.status(askedLosses(query(c))),
    'status-of': (c) =>
      node.statusOf(cid(c), { ...signal(c), ...askedLosses(query(c)), ...askedReplicas(query(c)) }),
    peers: () => ({ peers: node.peers() }),
    invite: () => ({ invite: node.invite() }),
    pins: async () => ({ pins: await node.pins() }),
    pin: async (c) => node.pin(cid(c), askedPin(await body(c, SMALL_BODY_BYTES_MAX))),
    unpin: async (c) => {
      await node.unpin(cid(c))
      return {}
    },
    usage: (c) => node.usage(signal(c)),
    garbage: (c) => node.gc(signal(c)),
    collect: (c) => node.gc({ ...signal(c), now: true }),
    refs: async (c) => {
      const owner = query(c).get('owner')
      const refs = await node.refs.list(owner === null ? undefined : askedOwner(owner, node.id))
      return { self: node.id, refs }
    },
    ref: async (c) => {
      const found = await node.refs.get(named(c), { latest: query(c).get('latest') === '1' })
      return found === undefined ? {} : { ref: found }
    },
    'set-ref': async (c) => {
      const { owner, name } = named(c)
      if (owner !== node.id) throw notOwn(owner)
      return node.refs.set(name, askedRefUpdate(await body(c, SMALL_BODY_BYTES_MAX)))
    },
    'draft-ref': async (c) =>
      node.refs.draft({ ...askedRefUpdate(await body(c, SMALL_BODY_BYTES_MAX)), ...named(c) }),
    'propose-ref': async (c) => node.refs.propose(askedRecord(await body(c, PROPOSE_BODY_BYTES_MAX))),
    mirrors: async () => ({ mirrors: await node.mirrors.list() }),
    'add-mirror': async (c) => node.mirrors.add(named(c), askedMirror(await body(c, SMALL_BODY_BYTES_MAX))),
    'promote-mirror': async (c) =>
      node.mirrors.promote(named(c), askedPromotion(await body(c, SMALL_BODY_BYTES_MAX), node.id)),
    'remove-mirror': async (c) => {
      await node.mirrors.remove(named(c))
      return {}
    },
    keep: async (c) =>
      upload(c).keep(askedToKeep(await body(c, KEEP_BODY_BYTES_MAX)), {
        ...askedPut(query(c)),
        ...signal(c)
      }),
    finish: async (c) => {
      const { root, about } = askedToFinish(await body(c, SMALL_BODY_BYTES_MAX))
      return upload(c).finish(root, about)
    },
    end: async (c) => {
      await upload(c).end()
      return {}
    }
  }
}

function notOwn(owner: string): CairnError {
  return new CairnError('FORBIDDEN', `this node has not the key of ${owner}`, {
    hint: 'sign with that key: cairn ref --key NAME'
  })
}
