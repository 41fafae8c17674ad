/** How answers are written on raw node:http: errors, lines of JSON, bytes with backpressure. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CairnError } from '@cairn/core'
import { toJson } from './json.ts'
import { retryAfterMs } from './places.ts'

/** A reader or a sender that moves no byte for so long is cut off, ms. A guess. */
export const STALL_MS = 30_000
/** What a reader may take in that time: how far it is with one write is not seen, only that it is through. */
const STALL_BYTES = 256 * 1024
/** A reader for which a write waits so long is slow, ms: it is asked for room as often. A guess. */
const SLOW_MS = 500

const NOTHING = new Uint8Array(0)

/** Headers of every answer: nothing that the API returns is a page, to be framed, or to be guessed at. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store'
}

/** The error as it crosses HTTP: what is not a CairnError is a bug, told to `onBug` and not to the asker. */
export function toCairnError(error: unknown, onBug: (error: unknown) => void): CairnError {
  if (CairnError.is(error)) return error
  onBug(error)
  return new CairnError('INTERNAL', 'something unexpected went wrong in the node', {
    cause: error,
    hint: "the node's own output has the details"
  })
}

/** Headers that go with an error beside its body. */
export function errorHeaders(error: CairnError): Record<string, string> {
  if (error.code === 'UNAUTHORIZED') return { 'www-authenticate': 'Bearer' }
  if (error.code === 'BUSY') return { 'retry-after': String(Math.ceil(retryAfterMs(error) / 1_000)) }
  return {}
}

export function sendJson(res: ServerResponse, value: unknown, status = 200): void {
  const body = Buffer.from(toJson(value))
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  res.end(body)
}

/** The error as the whole answer, or, when one has begun, a cut: a torn answer must not look whole. */
export function sendError(res: ServerResponse, error: CairnError): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  for (const [name, value] of Object.entries(errorHeaders(error))) res.setHeader(name, value)
  sendJson(res, { error }, error.status)
}

export interface WriteOptions {
  signal: AbortSignal
  /** The system has the bytes: they may be used for something else. */
  onTaken?: () => void
  /** The reader is slow: called again and again while it is waited for. */
  onSlow?: () => void
}

/** Writes, and waits while the reader is behind. @throws TIMEOUT when it takes too little */
export async function write(
  res: ServerResponse,
  bytes: Uint8Array | string,
  { signal, onTaken, onSlow }: WriteOptions
): Promise<void> {
  signal.throwIfAborted()
  if (res.write(bytes, (error) => error ?? onTaken?.())) return
  const slow = onSlow && setInterval(onSlow, SLOW_MS)
  try {
    await stalling(res, signal, (limit) => once(res, 'drain', { signal: limit }))
  } finally {
    clearInterval(slow)
  }
}

/** Waits until all that was written is on its way. @throws TIMEOUT as `write` does */
export async function flushed(res: ServerResponse, signal: AbortSignal): Promise<void> {
  await stalling(res, signal, (limit) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    limit.addEventListener('abort', () => reject(limit.reason), { once: true })
    // called after all before it; below the high-water mark no `drain` would come
    res.write(NOTHING, () => resolve())
    return promise
  })
}

/** The body's bytes. @throws TIMEOUT when nothing comes for STALL_MS */
export async function* readBody(req: IncomingMessage): AsyncGenerator<Uint8Array> {
  const cut = (): void => {
    req.destroy(new CairnError('TIMEOUT', `nothing was sent for ${STALL_MS / 1_000} s`))
  }
  // one timer for the whole body: it is wound up again by each piece
  const timer = setTimeout(cut, STALL_MS)
  try {
    for await (const chunk of req as AsyncIterable<Uint8Array>) {
      timer.refresh()
      yield chunk
      timer.refresh() // the time spent by who reads is not the sender's
    }
  } finally {
    clearTimeout(timer)
  }
}

/** The whole body as JSON. @throws TOO_LARGE, BAD_REQUEST */
export async function readJson(req: IncomingMessage, bytesMax: number): Promise<unknown> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of readBody(req)) {
    length += part.length
    if (length > bytesMax) throw tooLarge(bytesMax)
    parts.push(part)
  }
  return parseJson(Buffer.concat(parts).toString())
}

/** @throws BAD_REQUEST */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CairnError('BAD_REQUEST', 'the body is not JSON', { cause, hint: 'send one JSON object' })
  }
}

export function tooLarge(bytesMax: number): CairnError {
  return new CairnError('TOO_LARGE', `the body is larger than ${bytesMax} bytes`, {
    hint: 'send several smaller ones'
  })
}

/** A signal that is aborted when the connection goes away before the answer is whole. */
export function goneSignal(res: ServerResponse): AbortSignal {
  const gone = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) gone.abort(new CairnError('UNREACHABLE', 'who asked has gone'))
  })
  return gone.signal
}

async function stalling<T>(
  res: ServerResponse,
  signal: AbortSignal,
  wait: (limit: AbortSignal) => Promise<T>
): Promise<T> {
  const stall = new AbortController()
  const limitMs = STALL_MS * Math.max(1, res.writableLength / STALL_BYTES)
  const timer = setTimeout(
    () => stall.abort(new CairnError('TIMEOUT', `too little was read for ${limitMs / 1_000} s`)),
    limitMs
  )
  try {
    return await wait(AbortSignal.any([signal, stall.signal]))
  } catch (error) {
    throw stall.signal.aborted ? stall.signal.reason : error
  } finally {
    clearTimeout(timer)
  }
}
