/** An HTTP proxy that does one thing wrong: what lies between a client and a node in the tests. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { listening } from './listening.ts'

export type Fault =
  | { type: 'none' }
  /** One bit of the body, at this byte, towards the client or towards the node. */
  | { type: 'flip'; at: number; towards: 'client' | 'node' }
  /** The connection is cut after so many bytes of the body. */
  | { type: 'cut'; at: number }
  /** The body ends, as if whole, after so many bytes. */
  | { type: 'shorten'; at: number }
  /** Silence after so many bytes. */
  | { type: 'stall'; at: number }
  /** One byte in a while, for ever. */
  | { type: 'drip' }
  /** The body, and then more of it for as long as anyone reads. */
  | { type: 'endless' }
  /** A page instead. */
  | { type: 'page' }
  /** Every answer says BUSY, the first `times`. */
  | { type: 'busy'; times: number }

export interface BadProxy {
  url: string
  /** Which paths it does it to. */
  only: RegExp
  fault: Fault
  /** Requests that the fault was done to. */
  done: number
  /** Answers that were given up by who asked. */
  closed: number
  /** All paths that were asked for. */
  paths: string[]
  /** What was sent as `authorization`. */
  tokens: string[]
  close(): Promise<void>
}

export async function startProxy(upstream: string, fault: Fault, only = /^\/v1\/blocks/): Promise<BadProxy> {
  const proxy: BadProxy = {
    url: '',
    only,
    fault,
    done: 0,
    closed: 0,
    paths: [],
    tokens: [],
    close: async () => {}
  }
  const server = createServer((req, res) => {
    proxy.paths.push(req.url ?? '')
    if (req.headers.authorization !== undefined) proxy.tokens.push(req.headers.authorization)
    res.on('close', () => {
      if (!res.writableFinished) proxy.closed++
    })
    const faulty = proxy.only.test(req.url ?? '') && proxy.fault.type !== 'none'
    if (faulty) proxy.done++
    forward(upstream, { req, res, fault: faulty ? proxy.fault : { type: 'none' } })
  })
  return Object.assign(proxy, await listening(server))
}

function forward(
  upstream: string,
  { req, res, fault }: { req: IncomingMessage; res: ServerResponse; fault: Fault }
): void {
  if (fault.type === 'page') {
    res.writeHead(502, { 'content-type': 'text/html' })
    res.end('<h1>Bad gateway</h1>')
    return
  }
  if (fault.type === 'busy' && fault.times-- > 0) {
    res.writeHead(503, { 'retry-after': '0' })
    res.end(JSON.stringify({ error: { code: 'BUSY', message: 'later' } }))
    return
  }
  const { host: _, ...headers } = req.headers
  const up = request(upstream + req.url, { method: req.method ?? 'GET', headers, agent: false }, (answer) => {
    res.writeHead(answer.statusCode ?? 500, answer.headers)
    spoil(answer, res, fault)
  })
  up.on('error', () => res.destroy())
  res.on('close', () => up.destroy())
  let at = 0
  req.on('data', (chunk: Buffer) => {
    if (fault.type === 'flip' && fault.towards === 'node') flip(chunk, fault.at - at)
    at += chunk.length
    up.write(chunk)
  })
  req.on('end', () => up.end())
}

function flip(chunk: Buffer, at: number): void {
  if (at >= 0 && at < chunk.length) chunk[at] = (chunk[at] as number) ^ 0b100
}

function spoil(answer: IncomingMessage, res: ServerResponse, fault: Fault): void {
  let at = 0
  answer.on('data', (chunk: Buffer) => {
    const from = at
    at += chunk.length
    switch (fault.type) {
      case 'flip':
        if (fault.towards === 'client') flip(chunk, fault.at - from)
        res.write(chunk)
        return
      case 'cut':
      case 'shorten':
      case 'stall':
        res.write(chunk.subarray(0, Math.max(0, fault.at - from)))
        if (at < fault.at) return
        answer.removeAllListeners('data').removeAllListeners('end').resume()
        if (fault.type === 'shorten') res.end()
        // a turn later, so that what was written is on its way
        if (fault.type === 'cut') setTimeout(() => res.destroy(), 20)
        return
      case 'drip':
        drip(res, chunk)
        answer.removeAllListeners('data').removeAllListeners('end').resume()
        return
      default:
        res.write(chunk)
    }
  })
  answer.on('end', () => (fault.type === 'endless' ? repeat(res) : res.end()))
  answer.on('error', () => res.destroy())
}

function drip(res: ServerResponse, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => res.write(bytes.subarray(at, ++at)), 20)
  res.on('close', () => clearInterval(timer))
}

function repeat(res: ServerResponse): void {
  const more = Buffer.alloc(64 * 1024, 1)
  const go = (): void => {
    while (!res.destroyed && res.write(more)) {}
    res.once('drain', go)
  }
  go()
}
