// limit: 120 s
import { request } from 'node:http'
import { connect } from 'node:net'
import { type Block, carOf, cidOf, readCar } from '@cairn/blocks'
import { CairnError, concat } from '@cairn/core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROUTES, type Route } from '../src/routes.ts'
import { type ServeOptions, serveNode } from '../src/serve.ts'
import { type Lone, loneNode } from './support/lone.ts'

const serve = suite('serveNode')
const ID = '00112233445566778899aabbccddeeff'
const CID_TEXT = cidOf(Uint8Array.of(1)).toString()

interface Served {
  node: Lone
  url: string
  host: string
  stops: () => number
  close: () => Promise<void>
}

async function served(options: Partial<ServeOptions> = {}, node = loneNode()): Promise<Served> {
  let stops = 0
  const serving = await serveNode(node, { onStop: () => stops++, ...options })
  return {
    node,
    url: serving.url,
    host: new URL(serving.url).host,
    stops: () => stops,
    close: () => serving.close()
  }
}

/** A test's body with a server for as long as it runs. */
function during(
  body: (at: Served) => Promise<void>,
  options: Partial<ServeOptions> = {},
  node = loneNode()
): () => Promise<void> {
  return async () => {
    const at = await served(options, node)
    try {
      await body(at)
    } finally {
      await at.close()
    }
  }
}

interface Answer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

/** As `fetch` would, but with any Host and Origin. */
async function ask(
  url: string,
  {
    method = 'GET',
    headers = {},
    body = ''
  }: {
    method?: string
    headers?: Record<string, string>
    body?: string | Uint8Array
  } = {}
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const req = request(url, { method, headers, agent: false }, (res) => {
    let text = ''
    res.setEncoding('utf8').on('data', (part) => {
      text += part
      if (res.headers['content-type'] === 'application/x-ndjson') res.destroy() // endless
    })
    if (res.headers['content-type'] === 'application/x-ndjson') res.destroy()
    res.on('close', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }))
    res.on('error', () => {})
  })
  req.on('error', reject)
  req.end(body)
  return promise
}

function urlOf(base: string, route: Route): string {
  return base + route.path.replace(':cid', CID_TEXT).replace(':id', ID)
}

/** What makes a request to the route good, as far as the guard goes. */
function rightHeaders(route: Route, token: string): Record<string, string> {
  return {
    ...(route.access === 'token' ? { authorization: `Bearer ${token}` } : {}),
    ...(route.body === 'json' ? { 'content-type': 'application/json' } : {}),
    ...(route.body === 'car' ? { 'content-type': 'application/vnd.ipld.car' } : {})
  }
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return concat(await all(source))
}

function someBlocks(count: number, size: number): Block[] {
  return Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(size).fill(i + 1)
    return { cid: cidOf(bytes), bytes }
  })
}

function send(at: Served, body: Uint8Array, query = ''): Promise<Answer> {
  const headers = { authorization: `Bearer ${at.node.token}`, 'content-type': 'application/vnd.ipld.car' }
  return ask(`${at.url}/v1/uploads/${ID}/blocks${query}`, { method: 'POST', headers, body })
}

function errorOf(answer: Answer): string {
  return JSON.parse(answer.body).error.code
}

type Wrong = 'no token' | 'bad token' | 'foreign origin' | 'null origin' | 'rebinding host' | 'form post'

/** The status that each wrong gives on a route; `undefined` where it is no wrong there. */
const EXPECTED: Record<Wrong, (route: Route) => number | undefined> = {
  'no token': ({ access }) => (access === 'token' ? 401 : undefined),
  'bad token': ({ access }) => (access === 'token' ? 401 : undefined),
  'foreign origin': () => 403,
  'null origin': () => 403,
  'rebinding host': () => 403,
  'form post': ({ method }) => (method === 'GET' ? undefined : 400)
}

function withWrong(wrong: Wrong, headers: Record<string, string>, host: string): Record<string, string> {
  switch (wrong) {
    case 'no token': {
      const { authorization: _, ...rest } = headers
      return rest
    }
    case 'bad token':
      return { ...headers, authorization: 'Bearer nonsense' }
    case 'foreign origin':
      return { ...headers, origin: `http://evil.example:${host.split(':')[1]}` }
    case 'null origin':
      return { ...headers, origin: 'null' }
    case 'rebinding host':
      return { ...headers, host: host.replace('127.0.0.1', 'rebound.example') }
    case 'form post':
      return { ...headers, 'content-type': 'text/plain' }
  }
}

serve('only these routes answer without the token, and none of them changes anything', () => {
  const open = ROUTES.filter(({ access }) => access !== 'token').map(
    ({ method, path }) => `${method} ${path}`
  )
  const reads = [
    '/',
    '/healthz',
    '/metrics',
    '/v1/node',
    '/v1/status',
    '/v1/status/:cid',
    '/v1/peers',
    '/v1/pins',
    '/v1/usage',
    '/v1/gc',
    '/v1/refs',
    '/v1/refs/:owner/:name',
    '/v1/mirrors',
    '/v1/events'
  ]
  assert.equal(open, [...reads.map((path) => `GET ${path}`), 'POST /v1/blocks'])
})

serve('every route refuses every wrong request, and is not refused a right one', async () => {
  for (const route of ROUTES) {
    for (const [wrong, expected] of Object.entries(EXPECTED)) {
      await during((at) => refuses(at, route, { wrong: wrong as Wrong, status: expected(route) }))()
    }
    await during(async (at) => {
      const headers = { ...rightHeaders(route, at.node.token), origin: at.url }
      const right = await ask(urlOf(at.url, route), { method: route.method, headers })
      assert.not.ok([401, 403].includes(right.status), `${route.method} ${route.path}: ${right.body}`)
    })()
  }
})

/** One GET of each route that needs no more than being asked, and what it answers without the token. */
async function withoutToken(at: Served): Promise<Record<string, number>> {
  const asks = ['/', '/healthz', '/v1/status', `/v1/status/${CID_TEXT}`].map(async (path) => {
    return [path, (await ask(at.url + path)).status] as const
  })
  return Object.fromEntries(await Promise.all(asks))
}

serve(
  'where others can reach it, reads need the token as well',
  during(
    async (at) => {
      const answers = await withoutToken(at)
      assert.equal(answers, { '/': 200, '/healthz': 200, '/v1/status': 401, [`/v1/status/${CID_TEXT}`]: 401 })
      const blocks = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"cids":[]}' }
      assert.is((await ask(`${at.url}/v1/blocks`, blocks)).status, 401)
      const headers = { authorization: `Bearer ${at.node.token}` }
      assert.is((await ask(`${at.url}/v1/status`, { headers })).status, 200)
    },
    { host: '0.0.0.0' }
  )
)

serve(
  'unless it is told that they are for everybody',
  during(async (at) => assert.is((await withoutToken(at))['/v1/status'], 200), {
    host: '0.0.0.0',
    freeReads: true
  })
)

async function refuses(
  at: Served,
  route: Route,
  { wrong, status }: { wrong: Wrong; status: number | undefined }
): Promise<void> {
  const headers = withWrong(wrong, rightHeaders(route, at.node.token), at.host)
  const answer = await ask(urlOf(at.url, route), { method: route.method, headers })
  const what = `${route.method} ${route.path}, ${wrong}`
  if (status === undefined) assert.not.ok([401, 403].includes(answer.status), what)
  else {
    assert.is(answer.status, status, what)
    assert.ok(['UNAUTHORIZED', 'FORBIDDEN', 'BAD_REQUEST'].includes(errorOf(answer)), what)
  }
  assert.equal(at.node.calls, [], what)
  assert.is(at.stops(), 0, what)
  assert.not.ok(at.node.stopped, what)
}

serve(
  'the table holds what is served: another path or method is no route, and is guarded all the same',
  during(async (at) => {
    assert.is((await ask(`${at.url}/v1/nothing`)).status, 404)
    const wrongMethod = await ask(`${at.url}/v1/status`, { method: 'PUT' })
    assert.is(wrongMethod.status, 404)
    assert.match(wrongMethod.body, /this path takes GET/)
    assert.is((await ask(`${at.url}/v1/nothing`, { headers: { origin: 'http://evil.example' } })).status, 403)
    assert.is(
      (await ask(`${at.url}/v1/node`, { method: 'OPTIONS', headers: { origin: 'http://evil.example' } }))
        .status,
      403
    )
  })
)

serve(
  'a listed origin may ask, preflight included, and no answer goes to any other page',
  during(
    async (at) => {
      const headers = { origin: 'https://good.example' }
      const preflight = await ask(`${at.url}/v1/leave`, { method: 'OPTIONS', headers })
      assert.is(preflight.status, 204)
      assert.match(String(preflight.headers['access-control-allow-headers']), /authorization/)
      const answer = await ask(`${at.url}/v1/node`, { headers })
      assert.is(answer.status, 200)
      assert.is(answer.headers['access-control-allow-origin'], 'https://good.example')
      assert.is(answer.headers['access-control-allow-credentials'], undefined)
      assert.is((await ask(`${at.url}/v1/node`)).headers['access-control-allow-origin'], undefined)
    },
    { origins: ['https://good.example'] }
  )
)

serve(
  'a listed host is answered, whatever the port or the case',
  during(
    async (at) => {
      assert.is((await ask(`${at.url}/healthz`, { headers: { host: 'cairn.HOME.arpa:99' } })).status, 200)
      assert.is((await ask(`${at.url}/healthz`, { headers: { host: 'localhost' } })).status, 200)
      assert.is((await ask(`${at.url}/healthz`, { headers: { host: 'localhost.evil.example' } })).status, 403)
      assert.is((await ask(`${at.url}/healthz`, { headers: { host: '127.0.0.1@evil.example' } })).status, 403)
    },
    { hosts: ['Cairn.home.arpa'] }
  )
)

serve(
  'many wrong tokens lock the address out for a while, right token or not',
  during(async (at) => {
    const guess = (token: string) =>
      ask(`${at.url}/v1/invite`, { headers: { authorization: `Bearer ${token}` } })
    assert.is((await guess(at.node.token)).status, 200)
    let last = await guess('guess')
    for (let i = 0; i < 500 && last.status === 401; i++) last = await guess(`guess-${i}`)
    assert.is(last.status, 503)
    assert.is(errorOf(last), 'BUSY')
    assert.is(last.headers['retry-after'], '1')
    assert.is((await guess(at.node.token)).status, 503)
    assert.is((await ask(`${at.url}/v1/status`)).status, 200)
  })
)

serve(
  'every answer says that it is no page and no script',
  during(async (at) => {
    for (const path of ['/', '/v1/status', '/v1/nothing', '/v1/invite']) {
      const { headers } = await ask(at.url + path)
      assert.is(headers['content-type'], 'application/json', path)
      assert.is(headers['x-content-type-options'], 'nosniff', path)
      assert.match(String(headers['content-security-policy']), /default-src 'none'/, path)
    }
  })
)

serve(
  'no answer holds the token',
  during(async (at) => {
    for (const route of ROUTES.filter(({ method, kind }) => method === 'GET' && kind === 'json')) {
      const { body } = await ask(urlOf(at.url, route), { headers: rightHeaders(route, at.node.token) })
      assert.not.ok(body.includes(at.node.token), route.path)
    }
  })
)

serve(
  'the node, its status, its peers, its invite',
  during(async (at) => {
    const json = async (path: string) => {
      const headers = { authorization: `Bearer ${at.node.token}` }
      return JSON.parse((await ask(at.url + path, { headers })).body)
    }
    const node = await json('/v1/node')
    assert.is(node.id, at.node.id)
    assert.is(node.api, 1)
    assert.is(node.usage.blocks, 0)
    assert.is((await json('/v1/status')).verdict, 'healthy')
    assert.is((await json(`/v1/status/${CID_TEXT}`)).root, CID_TEXT)
    assert.is((await json('/v1/peers')).peers[0].self, true)
    assert.is((await json('/v1/invite')).invite, at.node.invite())
    assert.equal(await json('/healthz'), { ok: true })
  })
)

serve(
  'a port in use is an error that says what to do',
  during(async (at) => {
    const port = Number(new URL(at.url).port)
    try {
      await serveNode(loneNode(), { port, onStop: () => {} })
      assert.unreachable('listened twice')
    } catch (error) {
      assert.ok(CairnError.is(error, 'PORT_IN_USE'))
      assert.match(error.hint ?? '', /--port/)
    }
  })
)

serve(
  'blocks go in as a CAR and come out as a CAR, in the order asked',
  during(async (at) => {
    const blocks = someBlocks(20, 100_000)
    const sent = await send(at, await collect(carOf([], blocks)), '?replicas=1&ack=all')
    assert.is(sent.status, 200)
    const outcome = JSON.parse(sent.body)
    assert.is(outcome.blocks, 20)
    assert.is(outcome.bytes, 2_000_000)
    assert.is(outcome.replicas, 1)

    const asked = blocks.toReversed()
    const response = await fetch(`${at.url}/v1/blocks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ cids: asked.map(({ cid }) => cid.toString()) })
    })
    assert.is(response.headers.get('content-type'), 'application/vnd.ipld.car')
    const car = await readCar(response.body as ReadableStream<Uint8Array>)
    const got = await all(car.blocks)
    assert.equal(
      got.map(({ cid }) => cid.toString()),
      asked.map(({ cid }) => cid.toString())
    )
  })
)

serve(
  'a long upload reaches the node in groups, and the outcome counts all of them',
  during(async (at) => {
    const sent = await send(at, await collect(carOf([], someBlocks(40, 1_000_000))))
    assert.equal(at.node.calls, ['put 17', 'put 17', 'put 6'])
    const { blocks, bytes, holders } = JSON.parse(sent.body)
    assert.equal([blocks, bytes], [40, 40_000_000])
    assert.equal(holders, [{ peer: at.node.id, name: at.node.name, blocks: 40 }])
  })
)

serve(
  'a flipped bit, a cut, rubbish, nothing and too much are refused, and nothing of them is kept',
  during(async (at) => {
    const [block] = someBlocks(1, 1_000) as [Block]
    const good = await collect(carOf([], [block]))
    const flipped = good.slice()
    flipped[good.length - 5] = (flipped[good.length - 5] as number) ^ 1
    const refused = async (body: Uint8Array): Promise<string> => errorOf(await send(at, body))
    assert.is(await refused(flipped), 'BLOCK_CORRUPT')
    const long = await collect(carOf([], someBlocks(3, 300_000)))
    long[450_000] = (long[450_000] as number) ^ 1 // hashed on another thread
    assert.is(await refused(long), 'BLOCK_CORRUPT')
    assert.is(await refused(long.subarray(0, long.length - 1)), 'BAD_CAR', 'and nobody waits for the hashes')
    assert.is(await refused(good.subarray(0, good.length - 1)), 'BAD_CAR')
    assert.is(await refused(new Uint8Array(1_000).fill(7)), 'BAD_CAR')
    assert.is(await refused(await collect(carOf([], []))), 'BAD_REQUEST')
    assert.is(at.node.blocks.size, 0)
    const headers = {
      authorization: `Bearer ${at.node.token}`,
      'content-type': 'application/vnd.ipld.car',
      'content-length': String(10 ** 9)
    }
    const large = request(`${at.url}/v1/uploads/${ID}/blocks`, { method: 'POST', headers, agent: false })
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
    large.on('response', (res) => resolve(res.statusCode)).on('error', reject)
    large.flushHeaders()
    assert.is(await promise, 413)
    large.destroy()
  })
)

serve(
  "the node's refusal of a put crosses as it is",
  during(async (at) => {
    at.node.putErrors.push(new CairnError('TOO_FEW_REPLICAS', '2 of 3', { hint: 'wait for a member' }))
    const answer = await send(at, await collect(carOf([], someBlocks(1, 10))))
    assert.is(answer.status, 503)
    const { error } = JSON.parse(answer.body)
    assert.equal(
      [error.code, error.message, error.hint, error.retryable],
      ['TOO_FEW_REPLICAS', '2 of 3', 'wait for a member', true]
    )
  })
)

serve('a bug of the node is INTERNAL outside and told in full inside', async () => {
  const bugs: unknown[] = []
  await during(
    async (at) => {
      at.node.putErrors.push(new TypeError('secret detail'))
      const answer = await send(at, await collect(carOf([], someBlocks(1, 10))))
      assert.is(answer.status, 500)
      assert.is(errorOf(answer), 'INTERNAL')
      assert.not.match(answer.body, /secret detail/)
      assert.is((bugs[0] as Error).message, 'secret detail')
    },
    { onBug: (error) => bugs.push(error) }
  )()
})

async function askBlocks(at: Served, blocks: readonly Block[]): Promise<Response> {
  return fetch(`${at.url}/v1/blocks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ cids: blocks.map(({ cid }) => cid.toString()) })
  })
}

serve(
  'a block that is missing first is an error with its reason; later, a cut that cannot be mistaken',
  during(async (at) => {
    const [here, missing] = someBlocks(2, 1_000) as [Block, Block]
    await send(at, await collect(carOf([], [here])))
    const first = await askBlocks(at, [missing, here])
    assert.is(first.status, 504)
    assert.is(((await first.json()) as { error: { code: string } }).error.code, 'NO_PROVIDER')

    const later = await askBlocks(at, [here, missing])
    assert.is(later.status, 200)
    const got: string[] = []
    const failed = await (async () => {
      const car = await readCar(later.body as ReadableStream<Uint8Array>)
      for await (const { cid } of car.blocks) got.push(cid.toString())
    })().catch((error) => error)
    assert.instance(failed, Error, 'the torn answer looked whole')
    assert.equal(got, [here.cid.toString()])
  })
)

serve(
  'keep, finish, pins, rm',
  during(async (at) => {
    const [a, b] = someBlocks(2, 1_000) as [Block, Block]
    await send(at, await collect(carOf([], [a])))
    const headers = { authorization: `Bearer ${at.node.token}`, 'content-type': 'application/json' }
    const post = (path: string, body: unknown) =>
      ask(at.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    const kept = await post(`/v1/uploads/${ID}/keep`, { cids: [a.cid.toString(), b.cid.toString()] })
    assert.equal(JSON.parse(kept.body).absent, [b.cid.toString()])
    const root = a.cid.toString()
    const pin = await post(`/v1/uploads/${ID}/finish`, { root, name: 'a.bin', bytes: 1_000, blocks: 1 })
    assert.is(JSON.parse(pin.body).root, root)
    const pins = JSON.parse((await ask(`${at.url}/v1/pins`)).body).pins
    assert.equal([pins[0].root, pins[0].name, pins[0].upload], [root, 'a.bin', ID])
    assert.is((await ask(`${at.url}/v1/pins/${root}`, { method: 'DELETE', headers })).status, 200)
    assert.is((await ask(`${at.url}/v1/pins/${root}`, { method: 'DELETE', headers })).status, 404)
  })
)

serve(
  'a status can be asked for as if members were lost, by name, within limits',
  during(async (at) => {
    const asked: unknown[] = []
    const { status, statusOf } = at.node
    at.node.status = (options) => {
      asked.push(options)
      return status()
    }
    at.node.statusOf = (root, options) => {
      const { signal: _, ...rest } = options ?? {}
      asked.push(rest)
      return statusOf(root)
    }
    const lost = 'without=node:amber-fox&without=zone:x'
    for (const path of ['', `?${lost}`, `/${CID_TEXT}`, `/${CID_TEXT}?replicas=2&${lost}`]) {
      assert.is((await ask(`${at.url}/v1/status${path}`)).status, 200)
    }
    const without = ['node:amber-fox', 'zone:x']
    assert.equal(asked, [{}, { without }, {}, { without, replicas: 2 }])
    for (const wrong of [`without=${'x'.repeat(70)}`, Array(257).fill('without=a').join('&'), 'replicas=0']) {
      assert.is((await ask(`${at.url}/v1/status/${CID_TEXT}?${wrong}`)).status, 400, wrong.slice(0, 40))
    }
  })
)

serve(
  'what is not understood is BAD_REQUEST or BAD_CID, and says where',
  during(async (at) => {
    const headers = { authorization: `Bearer ${at.node.token}`, 'content-type': 'application/json' }
    const bad = async (path: string, body: string): Promise<string> => {
      const answer = await ask(at.url + path, { method: 'POST', headers, body })
      assert.is(answer.status, 400, `${path} ${body}: ${answer.body}`)
      return errorOf(answer)
    }
    const keep = `/v1/uploads/${ID}/keep`
    assert.is(await bad(keep, '{'), 'BAD_REQUEST')
    assert.is(await bad(keep, '{"cids":[]}'), 'BAD_REQUEST')
    assert.is(await bad(keep, '{"cids":["x"]}'), 'BAD_CID')
    assert.is(await bad(keep, `{"cids":["${CID_TEXT}"],"more":1}`), 'BAD_REQUEST')
    assert.is(await bad(`${keep}?replicas=0`, `{"cids":["${CID_TEXT}"]}`), 'BAD_REQUEST')
    assert.is(await bad(`${keep}?ack=maybe`, `{"cids":["${CID_TEXT}"]}`), 'BAD_REQUEST')
    assert.is(await bad('/v1/uploads/short/keep', `{"cids":["${CID_TEXT}"]}`), 'BAD_REQUEST')
    assert.is(await bad('/v1/blocks', `{"cids":${JSON.stringify(Array(257).fill(CID_TEXT))}}`), 'BAD_REQUEST')
    const long = await ask(at.url + keep, { method: 'POST', headers, body: `"${'x'.repeat(2_000_000)}"` })
    assert.is(long.status, 413)
  })
)

serve(
  'events come as lines, only of the types asked for',
  during(async (at) => {
    const stop = new AbortController()
    const response = await fetch(`${at.url}/v1/events?types=log`, { signal: stop.signal })
    at.node.tell({ type: 'repair', blocks: 1, bytes: 1, left: 0, atMs: 1 })
    at.node.tell({ type: 'log', level: 'info', text: 'hello', atMs: 2 })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const line = new TextDecoder().decode((await reader.read()).value)
    assert.equal(JSON.parse(line), { type: 'log', level: 'info', text: 'hello', atMs: 2 })
    stop.abort()
  })
)

serve(
  'leave tells how far it is, and both it and stop end the process that asked for it',
  during(async (at) => {
    const headers = { authorization: `Bearer ${at.node.token}` }
    const left = await fetch(`${at.url}/v1/leave`, { method: 'POST', headers })
    const lines = (await left.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(lines, [{ blocks: 0, bytes: 0 }, { left: true }])
    assert.ok(at.node.stopped)
    await until(() => at.stops() === 1)
    await fetch(`${at.url}/v1/stop`, { method: 'POST', headers })
    await until(() => at.stops() === 2)
  })
)

serve('more transfers than the bound are told BUSY, and the API answers beside them', async () => {
  const node = loneNode()
  const gate = Promise.withResolvers<void>()
  const get = node.get
  node.get = async (...args) => {
    await gate.promise
    return get(...args)
  }
  await during(
    async (at) => {
      const [block] = someBlocks(1, 1_000) as [Block]
      await send(at, await collect(carOf([], [block])))
      const waiting = Array.from({ length: 65 }, () => askBlocks(at, [block]))
      const busy = await Promise.race(waiting)
      assert.is(busy.status, 503)
      assert.is(((await busy.json()) as { error: { code: string } }).error.code, 'BUSY')
      assert.is((await ask(`${at.url}/healthz`)).status, 200)
      gate.resolve()
      const statuses = (await Promise.all(waiting)).map(({ status }) => status)
      assert.is(statuses.filter((status) => status === 200).length, 64)
      await Promise.all(
        (await Promise.all(waiting)).map((response) =>
          response.bodyUsed ? undefined : response.arrayBuffer()
        )
      )
    },
    {},
    node
  )()
})

serve('close waits for no connection that asks nothing, and for an answer under way', async () => {
  const node = loneNode()
  const gate = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const statusOf = node.statusOf
  node.statusOf = async (root) => {
    begun.resolve()
    await gate.promise
    return statusOf(root)
  }
  const at = await served({}, node)
  const { hostname, port } = new URL(at.url)
  const silent = connect(Number(port), hostname).on('error', () => {})
  await new Promise((resolve) => silent.once('connect', resolve))
  const answer = fetch(`${at.url}/v1/status/${CID_TEXT}`)
  await begun.promise
  await (await fetch(`${at.url}/healthz`)).text() // leaves a connection kept alive
  const closed = at.close()
  await new Promise((resolve) => silent.once('close', resolve))
  gate.resolve()
  assert.is((await answer).status, 200)
  await closed
})

serve(
  'a thousand connections that drip their head leave it answering',
  during(async (at) => {
    const { hostname, port } = new URL(at.url)
    const sockets = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const socket = connect(Number(port), hostname).on('error', () => {})
        await new Promise((resolve) => socket.once('connect', resolve))
        socket.write('GET /v1/status HTTP/1.1\r\nHost: loc')
        return socket
      })
    )
    try {
      assert.is((await ask(`${at.url}/healthz`)).status, 200)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })
)

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6_000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(condition(), 'waited a minute')
}

serve.run()
