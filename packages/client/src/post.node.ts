/**
 * A POST over sockets of our own, on Node (HTTP/1.1, RFC 9112): the bytes of an answer are read into one
 * buffer a socket, again and again. `fetch` makes memory of its own for each 64 KiB and passes it through
 * three streams, which costs a client as much as hashing it. The browser's half is post.web.ts;
 * package.json's `#post` chooses.
 */
import { connect, type Socket } from 'node:net'
import type { Post, Posted } from './nodes.ts'

/** Read at a time, and the memory of a socket. Of 64 KiB to 1 MiB all do; less is more turns. */
const READ_BYTES = 256 * 1024
/** Of an answer before its body, and of one other line of its framing. */
const HEAD_BYTES_MAX = 32 * 1024
const LINE_BYTES_MAX = 1024
/** Sockets kept for the next question to the same node, and how long: less than Node's servers do (5 s). */
const IDLE_MAX = 8
const IDLE_MS = 4_000

/** Lines after the last chunk. */
const TRAILERS_MAX = 32

interface Wire {
  readonly socket: Socket
  /** Read and not used up. */
  rest: Uint8Array
  /** Nobody asks: what comes now is no answer. */
  idle: boolean
  /** The next bytes, which the call after it may overwrite; none at the end. */
  read(): Promise<Uint8Array>
}

const NOTHING = new Uint8Array(0)
const idle = new Map<string, Wire[]>()

export const post: Post = async (url, { headers, body, signal }) => {
  const to = new URL(url)
  const question = questionOf(to, headers, Buffer.from(body))
  for (;;) {
    signal.throwIfAborted()
    const known = idle.get(to.host)?.pop()
    const wire = known ?? wireTo(to)
    const before = wire.socket.bytesRead
    try {
      return await ask(wire, question, { host: to.host, signal })
    } catch (cause) {
      signal.throwIfAborted()
      // closed while nobody used it, as a rule: that says nothing of the question
      if (known === undefined || wire.socket.bytesRead > before) throw cause
    }
  }
}

function questionOf(to: URL, headers: Record<string, string>, body: Uint8Array): Uint8Array {
  const fields = new Headers(headers) // which refuses what would be read as another line
  fields.set('host', to.host)
  fields.set('content-length', `${body.length}`)
  const lines = [...fields].map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `POST ${to.pathname}${to.search} HTTP/1.1\r\n${lines.join('')}\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

async function ask(
  wire: Wire,
  question: Uint8Array,
  { host, signal }: { host: string; signal: AbortSignal }
): Promise<Posted> {
  const { socket } = wire
  const quit = (): void => void socket.destroy(signal.reason)
  signal.addEventListener('abort', quit, { once: true })
  const over = (whole: boolean): void => {
    signal.removeEventListener('abort', quit)
    if (whole) keep(host, wire)
    else socket.destroy()
  }
  try {
    wire.idle = false
    socket.setTimeout(0)
    socket.ref()
    socket.write(question)
    let answer = await readHead(wire)
    while (answer.status < 200) answer = await readHead(wire) // said before the answer
    return { ...answer, pieces: bodyOf(wire, answer.headers, over) }
  } catch (cause) {
    over(false)
    throw cause
  }
}

function keep(host: string, wire: Wire): void {
  const { socket } = wire
  const others = (idle.get(host) ?? []).filter((other) => !other.socket.destroyed)
  if (socket.destroyed || wire.rest.length > 0 || others.length >= IDLE_MAX) return void socket.destroy()
  idle.set(host, [...others, wire])
  wire.idle = true
  socket.setTimeout(IDLE_MS)
  socket.unref()
  socket.resume() // its end is to be heard
}

function wireTo({ hostname, port }: URL): Wire {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  let came: Uint8Array = NOTHING
  let wake = (): void => {}
  let problem: Error | undefined
  let ended = false
  const callback = (count: number): boolean => {
    if (wire.idle) socket.destroy()
    came = buffer.subarray(0, count)
    wake()
    return false // no more until it is asked for
  }
  const to = { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 80), noDelay: true }
  const socket = connect({ ...to, onread: { buffer, callback } })
  socket.on('timeout', () => socket.destroy())
  socket.on('error', (error) => {
    problem = error
  })
  socket.on('end', () => {
    ended = true
    wake()
  })
  socket.on('close', () => wake())
  const wire: Wire = {
    socket,
    rest: NOTHING,
    idle: false,
    async read() {
      while (came.length === 0 && !ended && !socket.destroyed) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wake = resolve
        socket.resume()
        await promise
      }
      if (problem !== undefined) throw problem
      const next = came
      came = NOTHING
      return next
    }
  }
  return wire
}

/** At most so many bytes of what comes next; none at the end. */
async function take(wire: Wire, bytesMax: number): Promise<Uint8Array> {
  if (wire.rest.length === 0) wire.rest = await wire.read()
  const part = wire.rest.subarray(0, bytesMax)
  wire.rest = wire.rest.subarray(part.length)
  return part
}

async function readLine(wire: Wire, bytesMax: number): Promise<string> {
  let line = ''
  while (line.length < bytesMax) {
    if (wire.rest.length === 0) wire.rest = await wire.read()
    if (wire.rest.length === 0) throw new Error('it ended within its answer')
    const end = wire.rest.subarray(0, bytesMax).indexOf(0x0a)
    line += Buffer.from(await take(wire, end < 0 ? bytesMax : end + 1)).toString('latin1')
    if (end >= 0) return line.replace(/\r?\n$/, '')
  }
  throw new Error(`a line of more than ${bytesMax} bytes`)
}

async function readHead(wire: Wire): Promise<{ status: number; headers: Headers }> {
  const first = await readLine(wire, LINE_BYTES_MAX)
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1]
  if (status === undefined) throw new Error('an answer that is not HTTP/1.1')
  const headers = new Headers()
  let left = HEAD_BYTES_MAX
  for (let line = await readLine(wire, left); line !== ''; line = await readLine(wire, left)) {
    left -= line.length
    const colon = line.indexOf(':')
    headers.append(line.slice(0, Math.max(0, colon)), line.slice(colon + 1).trim()) // refuses what is none
  }
  return { status: Number(status), headers }
}

/** Bytes until the end of the body, or of its first chunk. */
function lengthOf(headers: Headers): number | 'chunked' {
  const coding = headers.get('transfer-encoding')
  const length = headers.get('content-length')
  if (coding === null && length === null) return Number.POSITIVE_INFINITY // to the end of the connection
  if (coding === 'chunked' && length === null) return 'chunked'
  if (coding !== null || length === null || !/^\d{1,15}$/.test(length))
    throw new Error('a length that is none')
  return Number(length)
}

async function chunkLength(wire: Wire): Promise<number> {
  const [, digits] = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(await readLine(wire, LINE_BYTES_MAX)) ?? []
  if (digits === undefined) throw new Error('a chunk without a length')
  return Number.parseInt(digits, 16)
}

async function* bodyOf(
  wire: Wire,
  headers: Headers,
  over: (whole: boolean) => void
): AsyncGenerator<Uint8Array, void> {
  let whole = false
  try {
    const length = lengthOf(headers)
    const chunked = length === 'chunked'
    const next = async (): Promise<number> => (chunked ? await chunkLength(wire) : 0)
    for (let left = chunked ? await next() : length; left > 0; left = await next()) {
      while (left > 0) {
        const part = await take(wire, left)
        if (part.length === 0 && left === Number.POSITIVE_INFINITY) return
        if (part.length === 0) throw new Error('it ended within its answer')
        left -= part.length
        yield part
      }
      if (chunked && (await readLine(wire, LINE_BYTES_MAX)) !== '')
        throw new Error('a chunk of another length')
    }
    if (chunked) await skipTrailers(wire)
    whole = headers.get('connection')?.toLowerCase() !== 'close'
  } finally {
    over(whole)
  }
}

async function skipTrailers(wire: Wire): Promise<void> {
  for (let i = 0; i < TRAILERS_MAX; i++) if ((await readLine(wire, LINE_BYTES_MAX)) === '') return
  throw new Error(`more than ${TRAILERS_MAX} lines after the last chunk`)
}
