/**
 * The nodes that a client knows, and one call to one of them: which to prefer, what an answer means, and
 * when a silent node is given up. Every failure is a CairnError that names the node.
 */
import { CairnError, type ErrorCode } from '@cairn/core'

/** A node that failed is asked last for so long, ms. As a restart takes. */
export const AVOID_MS = 30_000
/** An answer that has not begun after so long makes the client ask the node whether it lives, ms. */
const WATCH_MS = 5_000
/** Unanswered questions after which it counts as gone; one may be lost behind bulk on a slow link. */
const WATCH_FAILURES_MAX = 2
/** Of an error's body, bytes. */
const ERROR_BYTES_MAX = 64 * 1024
/** Of any other JSON answer: `keep` names 8,192 CIDs at the most, `peers` some thousand members. */
const JSON_BYTES_MAX = 16 * 1024 * 1024
/** To wait for a busy node that doesn't say how long, and the most that it may say, ms. */
const BUSY_MS = 1_000
const BUSY_MS_MAX = 10_000

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>

/** What a node said to a POST, whatever it is. */
export interface Posted {
  readonly status: number
  readonly headers: Headers
  /** Each may be overwritten once the next is asked for. */
  readonly pieces: AsyncIterable<Uint8Array>
}

/** Asks by itself, where it can; the answer ends with the signal. @throws when no answer came */
export type Post = (
  url: string,
  asked: { headers: Record<string, string>; body: string; signal: AbortSignal }
) => Promise<Posted>

export interface NodeAt {
  readonly url: string
  readonly token: string | undefined
  /** Asked last until then. */
  avoidUntilMs: number
}

export interface Call {
  method?: 'GET' | 'POST' | 'DELETE'
  path: string
  body?: Uint8Array | string
  type?: 'application/json' | 'application/vnd.ipld.car'
  signal?: AbortSignal | undefined
  /** The caller watches over the answer itself. */
  unwatched?: boolean
}

/** A question as JSON, whose answer the asker watches over. */
export interface Asked {
  path: string
  body: string
  signal: AbortSignal
}

export interface Nodes {
  readonly all: readonly NodeAt[]
  /** The best first: those that did not fail lately, in the order given. */
  ranked(): NodeAt[]
  avoid(node: NodeAt): void
  /** The node's answer, if it is a good one. @throws what the node said, or UNREACHABLE, BAD_MESSAGE */
  call(node: NodeAt, call: Call): Promise<Response>
  /** The bytes of a good answer to a POST; each piece may be overwritten once the next is asked for. */
  pieces(node: NodeAt, asked: Asked): Promise<AsyncIterable<Uint8Array>>
  /** The JSON of a call to one node. */
  json(node: NodeAt, call: Call): Promise<unknown>
  /** The JSON of a call to the first node that can answer. */
  anyJson(call: Call): Promise<unknown>
}

/** Seconds to wait before a busy node is asked again; set on the BUSY error of its answer. */
const waits = new WeakMap<CairnError, number>()

/** How long to wait before asking again the node that gave `error`, ms. */
export function waitAfter(error: CairnError): number {
  return waits.get(error) ?? BUSY_MS
}

/** Errors that are the node's or the way's, not the request's: another node may well answer. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UNREACHABLE',
  'BUSY',
  'TIMEOUT',
  'BAD_MESSAGE',
  'INTERNAL',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'WRONG_VERSION',
  'FULL',
  'READ_ONLY',
  'TOO_MANY_FILES',
  'DISK_FAILED',
  'STORE_DAMAGED',
  'LOCKED',
  'TOO_FEW_REPLICAS',
  'NO_PROVIDER',
  'BLOCK_CORRUPT',
  'BAD_CAR'
])

export function elsewhere(error: CairnError): boolean {
  return ELSEWHERE.has(error.code)
}

/**
 * What ends each answer. A signal made of others is garbage unless somebody holds it, and with it goes
 * the last way to end an answer that stands still.
 */
const following = new WeakMap<Response, AbortSignal>()

export function createNodes(
  urls: readonly { url: string; token?: string | undefined }[],
  fetch: Fetch,
  post?: Post
): Nodes {
  const all: NodeAt[] = urls.map(({ url, token }) => ({ url: baseOf(url), token, avoidUntilMs: 0 }))
  if (all.length === 0) throw new TypeError('a client needs the url of at least one node')

  const call = async (node: NodeAt, asked: Call): Promise<Response> => {
    asked.signal?.throwIfAborted()
    const watch = asked.unwatched === true ? undefined : watchOver(node, fetch)
    const signals = [asked.signal, watch?.signal].filter((signal) => signal !== undefined)
    const signal = signals.length === 1 ? (signals[0] as AbortSignal) : AbortSignal.any(signals)
    let response: Response
    try {
      response = await fetch(node.url + asked.path, initOf(node, asked, signal))
      following.set(response, signal)
    } catch (cause) {
      asked.signal?.throwIfAborted()
      throw unreachable(node, watch?.signal.aborted === true ? watch.signal.reason : cause)
    } finally {
      watch?.stop()
    }
    if (response.ok) return response
    throw await errorOf(node, response)
  }
  const pieces = async (node: NodeAt, asked: Asked): Promise<AsyncIterable<Uint8Array>> => {
    if (post === undefined || !node.url.startsWith('http:')) {
      const how = { method: 'POST', type: 'application/json', unwatched: true } as const
      return piecesOf(await call(node, { ...asked, ...how }))
    }
    const headers = headersOf(node, 'application/json')
    const posted = await post(node.url + asked.path, { ...asked, headers }).catch((cause) => {
      asked.signal.throwIfAborted()
      throw unreachable(node, cause)
    })
    if (posted.status >= 200 && posted.status < 300) return posted.pieces
    throw await errorOf(node, posted)
  }
  const json = async (node: NodeAt, asked: Call): Promise<unknown> => {
    const response = await call(node, asked)
    const text = await textOf(response, JSON_BYTES_MAX).catch((cause) => {
      asked.signal?.throwIfAborted()
      if (CairnError.is(cause)) throw cause
      throw new CairnError('UNREACHABLE', `${node.url} broke off: ${reasonOf(cause)}`, { cause })
    })
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new CairnError('BAD_MESSAGE', `${node.url} gave an answer that is not JSON`, { cause })
    }
  }
  const nodes: Nodes = {
    all,
    ranked() {
      const now = performance.now()
      const avoided = (node: NodeAt): number => (node.avoidUntilMs > now ? node.avoidUntilMs : 0)
      return all.toSorted((a, b) => avoided(a) - avoided(b))
    },
    avoid(node) {
      node.avoidUntilMs = performance.now() + AVOID_MS
    },
    call,
    pieces,
    json,
    anyJson: (asked) => askAny(nodes, (node) => json(node, asked))
  }
  return nodes
}

/** Asks the nodes one after the other until one can answer. @throws the only error, or one that names each */
export async function askAny<T>(nodes: Nodes, ask: (node: NodeAt) => Promise<T>): Promise<T> {
  const failures: { node: NodeAt; error: CairnError }[] = []
  for (const node of nodes.ranked()) {
    try {
      return await ask(node)
    } catch (error) {
      if (!CairnError.is(error) || !elsewhere(error)) throw error
      nodes.avoid(node)
      failures.push({ node, error })
    }
  }
  throw allFailed(failures)
}

/** The codes that say most, best first, when nodes failed for different reasons. */
const TELLING: readonly ErrorCode[] = [
  'BLOCK_CORRUPT',
  'BAD_CAR',
  'TOO_FEW_REPLICAS',
  'NO_PROVIDER',
  'FULL',
  'UNAUTHORIZED',
  'TIMEOUT',
  'BUSY'
]

/** One error of those of several nodes, naming each and what was wrong with it. */
export function allFailed(
  failures: readonly { node: NodeAt; error: CairnError }[],
  what = 'no node could answer'
): CairnError {
  const [first] = failures
  if (first === undefined) throw new RangeError('no failure')
  if (failures.length === 1) return first.error
  const errors = failures.map(({ error }) => error)
  const code = TELLING.find((code) => errors.some((error) => error.code === code)) ?? first.error.code
  const each = failures.map(({ node, error }) =>
    error.message.includes(node.url) ? error.message : `${node.url}: ${error.message}`
  )
  const hint = errors.find((error) => error.code === code)?.hint
  return new CairnError(code, `${what}: ${each.join('; ')}`, {
    cause: new AggregateError(errors),
    ...(hint === undefined ? {} : { hint })
  })
}

function headersOf({ token }: NodeAt, type: Call['type']): Record<string, string> {
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(type === undefined ? {} : { 'content-type': type })
  }
}

function initOf(node: NodeAt, { method = 'GET', body, type }: Call, signal: AbortSignal): RequestInit {
  return {
    method,
    headers: headersOf(node, type),
    signal,
    redirect: 'error', // a node never redirects, and the token must not follow one
    credentials: 'omit',
    cache: 'no-store',
    ...(body === undefined ? {} : { body: body as BodyInit })
  }
}

/** Asks a node that is silent whether it lives: a stopped process keeps its sockets open. */
function watchOver(node: NodeAt, fetch: Fetch): { signal: AbortSignal; stop: () => void } {
  const gone = new AbortController()
  const stopped = new AbortController() // not `gone`: the answer's body hangs on that one
  let failures = 0
  let timer: ReturnType<typeof setTimeout>
  const look = async (): Promise<void> => {
    try {
      const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(WATCH_MS)])
      const response = await fetch(`${node.url}/healthz`, { signal, cache: 'no-store' })
      await response.body?.cancel()
      failures = 0
    } catch {
      failures++ // whatever was wrong with the question: the silence is what is judged
    }
    if (stopped.signal.aborted) return
    if (failures >= WATCH_FAILURES_MAX) {
      gone.abort(
        new CairnError(
          'TIMEOUT',
          `it has not answered, nor said that it lives, for ${(2 * WATCH_MS * failures) / 1_000} s`
        )
      )
    } else timer = setTimeout(look, WATCH_MS)
  }
  timer = setTimeout(look, WATCH_MS)
  return {
    signal: gone.signal,
    stop: () => {
      clearTimeout(timer)
      stopped.abort()
    }
  }
}

function unreachable(node: NodeAt, cause: unknown): CairnError {
  return new CairnError('UNREACHABLE', `${node.url} can't be reached: ${reasonOf(cause)}`, {
    cause,
    hint: 'is the node running? `cairn start` starts one'
  })
}

/** `fetch failed` says nothing; its cause does. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0])
  return cause instanceof Error ? reasonOf(cause) : error.message
}

async function errorOf(node: NodeAt, response: Response | Posted): Promise<CairnError> {
  const body = await textOf(response, ERROR_BYTES_MAX).catch(() => '') // its status says enough
  const error = parseError(body)
  if (error === undefined) {
    return new CairnError(
      'BAD_MESSAGE',
      `${node.url} answers ${response.status}, and not as a Cairn node does`,
      {
        hint: "is this the url of a node's HTTP API?"
      }
    )
  }
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  if (seconds >= 0) waits.set(error, Math.min(1_000 * seconds, BUSY_MS_MAX))
  return error
}

/** The error in `{"error": {…}}`, if that is what the text is. */
export function parseError(text: string): CairnError | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown; hint?: unknown } }
    if (typeof error?.code !== 'string' || typeof error.message !== 'string') return undefined
    const { code, message, hint } = error
    return CairnError.from({ code, message, ...(typeof hint === 'string' ? { hint } : {}) })
  } catch {
    return undefined // not JSON: the caller says what that means
  }
}

async function textOf(response: Response | Posted, bytesMax: number): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let length = 0
  for await (const bytes of 'pieces' in response ? response.pieces : piecesOf(response)) {
    length += bytes.length
    if (length > bytesMax) throw new CairnError('BAD_MESSAGE', `an answer of more than ${bytesMax} bytes`)
    text += decoder.decode(bytes, { stream: true })
  }
  return text + decoder.decode()
}

/** The pieces of an answer's body. (Safari's streams can't be iterated; a reader works everywhere.) */
export async function* piecesOf(response: Response): AsyncGenerator<Uint8Array, void> {
  if (response.body !== null) yield* piecesOfStream(response.body)
}

export async function* piecesOfStream(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = stream.getReader()
  let ended = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) {
        ended = true
        return
      }
      yield value
    }
  } finally {
    if (!ended) await reader.cancel().catch(() => {}) // it had failed, and its reader has been told
    reader.releaseLock()
  }
}

function baseOf(url: string): string {
  const parsed = URL.parse(url)
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new CairnError('BAD_CONFIG', `not the url of a node: ${url}`, {
      hint: 'as in http://127.0.0.1:7401'
    })
  }
  return parsed.href.replace(/\/+$/, '')
}
