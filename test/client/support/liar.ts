/** A node that lies: what it is asked goes on to an honest one, and what it answers is another thing. */
import { createServer, type IncomingMessage } from 'node:http'
import { listening } from './listening.ts'

export type Json = Record<string, unknown>

/** What it says in the place of an answer; undefined for the answer itself. */
export type Lie = (asked: { method: string; path: string; body: Json }, answer: Json) => Json | undefined

export interface Liar {
  url: string
  lie: Lie
  /** Lies told so far. */
  told: number
  close(): Promise<void>
}

export async function startLiar(upstream: string): Promise<Liar> {
  const liar: Liar = { url: '', lie: () => undefined, told: 0, close: async () => {} }
  const server = createServer(async (req, res) => {
    const { method = 'GET', url: path = '/' } = req
    const sent = await bodyOf(req)
    const { 'content-type': type, authorization } = req.headers
    const headers = { ...(type && { 'content-type': type }), ...(authorization && { authorization }) }
    const asked = await fetch(upstream + path, { method, headers, ...(sent === '' ? {} : { body: sent }) })
    const text = await asked.text()
    const body = sent.startsWith('{') ? (JSON.parse(sent) as Json) : {}
    const lie = liar.lie({ method, path, body }, JSON.parse(text) as Json)
    if (lie !== undefined) liar.told++
    res.writeHead(lie === undefined ? asked.status : 200, { 'content-type': 'application/json' })
    res.end(lie === undefined ? text : JSON.stringify(lie))
  })
  return Object.assign(liar, await listening(server))
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of req as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts).toString()
}
