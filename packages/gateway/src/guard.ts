/**
 * Who may ask: the checks that run before any route does. A page in the user's browser is the attacker
 * to think of (DNS rebinding, as in CVE-2018-5702; cross-site forms), and so is whoever guesses at the
 * token. Pure but for the count of failures, whose clock is passed in.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { CairnError } from '@cairn/core'
import { CONTENT_TYPES, type Route } from './routes.ts'

/** Names by which a browser reaches this machine only. A name of someone's own can be rebound to it. */
export const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']
/** Types that a cross-site form or `fetch` can send without asking first (Fetch standard, 2.2.2). */
const FORM_TYPES = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']
/** Wrong tokens from one address before it has to wait; and what it regains. A guess: far above a typo. */
const FAILURES_MAX = 30
const FAILURES_REGAINED_PER_S = 5
/** Addresses whose failures are remembered; the oldest is forgotten. */
const ADDRESSES_MAX = 1_024

export interface GuardOptions {
  token: string
  /** Whether reads need no token. */
  freeReads: boolean
  /** Origins of other pages that may use the API, as `https://example.org`. */
  origins: readonly string[]
  /** Names beside loopback's by which this server is asked, without port. */
  hosts: readonly string[]
}

/** What of a request the guard looks at. Header values as node:http gives them. */
export interface Asked {
  host: string | undefined
  origin: string | undefined
  authorization: string | undefined
  contentType: string | undefined
  address: string
}

export interface Guard {
  /** Host and Origin, for every request, known route or not. @throws FORBIDDEN */
  place(asked: Asked): void
  /** Token and content type, for a route. @throws UNAUTHORIZED, BUSY, BAD_REQUEST */
  right(asked: Asked, route: Route): void
  /** Whether a page of this origin, not our own, may read answers. */
  listed(origin: string | undefined): origin is string
}

export function createGuard(options: GuardOptions, nowMs: () => number): Guard {
  const hosts = new Set([...LOOPBACK, ...options.hosts.map((host) => host.toLowerCase())])
  const origins = new Set(options.origins)
  const token = sha256(options.token)
  const failures = countFailures(nowMs)
  const listed = (origin: string | undefined): origin is string => origin !== undefined && origins.has(origin)

  return {
    listed,
    place({ host, origin }) {
      const name = hostName(host)
      if (name === undefined || !hosts.has(name)) {
        throw new CairnError('FORBIDDEN', `this node does not answer to the host ${quoted(host)}`, {
          hint: 'use http://127.0.0.1 or http://localhost, or add the name to the hosts that the node serves'
        })
      }
      // `null` (a sandboxed frame, a file) is foreign too
      if (origin === undefined || origin.toLowerCase() === `http://${host?.toLowerCase()}` || listed(origin))
        return
      throw new CairnError('FORBIDDEN', `pages of ${quoted(origin)} may not use this node`, {
        hint: 'add the origin to the origins that the node serves, if you trust that page'
      })
    },
    right(asked, route) {
      if (route.access === 'token' || (route.access === 'read' && !options.freeReads)) {
        checkToken(asked, token, failures)
      }
      checkType(asked.contentType, route)
    }
  }
}

function checkToken(asked: Asked, token: Uint8Array, failures: FailureCount): void {
  const given = /^bearer +(\S+) *$/i.exec(asked.authorization ?? '')?.[1]
  const hint = 'send "authorization: Bearer TOKEN"; the token is in the file `token` of the node\'s home'
  if (given === undefined) throw new CairnError('UNAUTHORIZED', 'this needs the token of the node', { hint })
  if (!failures.allows(asked.address)) {
    // not compared at all, or a flood of guesses would still find the right one
    throw new CairnError('BUSY', 'too many wrong tokens from this address', { hint: 'wait a few seconds' })
  }
  // hashed first, so that neither the content nor the length of the token shows in the time taken
  if (timingSafeEqual(sha256(given), token)) return
  failures.add(asked.address)
  throw new CairnError('UNAUTHORIZED', 'the token is not the one of this node', { hint })
}

function checkType(contentType: string | undefined, route: Route): void {
  if (route.method === 'GET') return
  const type = contentType?.split(';')[0]?.trim().toLowerCase()
  if (route.body === 'none') {
    if (type === undefined || !FORM_TYPES.includes(type)) return
    throw new CairnError('BAD_REQUEST', 'this route takes no form', { hint: 'send no body' })
  }
  const wanted = CONTENT_TYPES[route.body]
  if (type === wanted) return
  throw new CairnError('BAD_REQUEST', `the body must be ${wanted}, not ${type ?? 'of no type'}`, {
    hint: `send "content-type: ${wanted}"`
  })
}

interface FailureCount {
  allows(address: string): boolean
  add(address: string): void
}

/** A leaky bucket for each address: what is in it drains with time. */
function countFailures(nowMs: () => number): FailureCount {
  const buckets = new Map<string, { level: number; atMs: number }>()
  const level = (address: string): number => {
    const bucket = buckets.get(address)
    if (bucket === undefined) return 0
    return Math.max(0, bucket.level - ((nowMs() - bucket.atMs) / 1_000) * FAILURES_REGAINED_PER_S)
  }
  return {
    allows: (address) => level(address) < FAILURES_MAX,
    add(address) {
      const now = level(address) + 1
      buckets.delete(address)
      const oldest = buckets.size >= ADDRESSES_MAX ? buckets.keys().next().value : undefined
      if (oldest !== undefined) buckets.delete(oldest)
      buckets.set(address, { level: now, atMs: nowMs() })
    }
  }
}

/** The name in a Host header, without port; `undefined` when it isn't one. */
function hostName(host: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/.exec(host?.toLowerCase() ?? '')?.[1]
}

function sha256(text: string): Uint8Array {
  return createHash('sha256').update(text).digest()
}

/** A header's text for a message: short, and without control characters. */
function quoted(text: string | undefined): string {
  return text === undefined ? '(none)' : JSON.stringify(text.slice(0, 100))
}
