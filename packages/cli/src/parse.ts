/**
 * What a person types, as numbers: sizes, durations, ranges, counts, addresses. Each refuses what it
 * does not understand with BAD_REQUEST and an example of what it would take.
 */
import { isIP } from 'node:net'
import { CairnError } from '@cairn/core'

function refuse(what: string, text: string, hint: string): CairnError {
  return new CairnError('BAD_REQUEST', `"${text}" is not ${what}`, { hint })
}

const SIZE_UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  m: 1e6,
  mb: 1e6,
  g: 1e9,
  gb: 1e9,
  t: 1e12,
  tb: 1e12,
  p: 1e15,
  pb: 1e15,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  pib: 2 ** 50
}

/** `200GB`, `1.5 TiB`, `4096` -> bytes. */
export function parseSize(text: string, what = 'a size'): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? []
  const factor = unit === undefined ? undefined : SIZE_UNITS[unit.toLowerCase()]
  const bytes = Math.floor(Number(number) * (factor ?? Number.NaN))
  if (!Number.isSafeInteger(bytes)) throw refuse(what, text, 'write it as 200GB, 1.5TB or 64MiB')
  return bytes
}

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1e3, m: 6e4, min: 6e4, h: 36e5, d: 864e5 }
/** Node's timers hold 31 bits; a longer wait would end at once. */
const DURATION_MAX_MS = 2 ** 31 - 1

/** `500ms`, `30s`, `5m`, `2h` -> milliseconds. A bare number would be a guess, so it is refused. */
export function parseDuration(text: string, what = 'a duration', mostMs = DURATION_MAX_MS): number {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text) ?? []
  const factor = unit === undefined ? undefined : DURATION_UNITS[unit.toLowerCase()]
  const ms = Math.round(Number(number) * (factor ?? Number.NaN))
  if (!(ms >= 0 && ms <= mostMs)) {
    const most = Math.floor(mostMs / 864e5)
    throw refuse(what, text, `write it with its unit: 500ms, 30s, 5m, 2h (${most}d at most)`)
  }
  return ms
}

export function parseCount(text: string, what: string, range: { least: number; most: number }): number {
  const n = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(n >= range.least && n <= range.most)) {
    throw refuse(what, text, `a whole number from ${range.least} to ${range.most}`)
  }
  return n
}

/** The most copies that can be asked for: what a store can count. */
export const REPLICAS_MAX = 32

export function parseReplicas(text: string): number {
  return parseCount(text, 'a number of replicas', { least: 1, most: REPLICAS_MAX })
}

export function parsePort(text: string): number {
  return parseCount(text, 'a port', { least: 0, most: 65_535 })
}

export interface ByteRange {
  start: number
  /** Included, as in HTTP; open when absent. */
  end?: number
}

/** `1000-1999`, `1000-`. */
export function parseRange(text: string): ByteRange {
  const [, from, to] = /^(\d+)-(\d*)$/.exec(text) ?? []
  const start = Number(from ?? Number.NaN)
  const end = to === undefined || to === '' ? undefined : Number(to)
  if (!Number.isSafeInteger(start) || (end !== undefined && !(end >= start && Number.isSafeInteger(end)))) {
    throw refuse('a range of bytes', text, 'write it as 1000-1999 (both included) or 1000- (to the end)')
  }
  return end === undefined ? { start } : { start, end }
}

const ACKS = ['all', 'quorum', 'one'] as const

export function parseAck(text: string): (typeof ACKS)[number] {
  const ack = ACKS.find((known) => known === text)
  if (ack === undefined) throw refuse('an acknowledgement', text, `one of ${ACKS.join(', ')}`)
  return ack
}

const HASHES = ['sha2-256', 'sha2-512', 'blake3'] as const

export function parseHash(text: string): (typeof HASHES)[number] {
  const hash = HASHES.find((known) => known === text)
  if (hash === undefined) throw refuse('a hash', text, `one of ${HASHES.join(', ')}`)
  return hash
}

/** A multiaddr as it is, or `0.0.0.0:4001`, `[::1]:4001` as one. */
export function parseListen(text: string): string {
  if (text.startsWith('/')) return text
  const [, v6, v4, port] = /^(?:\[([0-9a-f:]+)\]|(\d+\.\d+\.\d+\.\d+)):(\d+)$/i.exec(text) ?? []
  if (port === undefined) {
    throw refuse('an address to listen on', text, 'write it as 0.0.0.0:4001 or /ip4/0.0.0.0/tcp/4001')
  }
  return v6 === undefined ? `/ip4/${v4}/tcp/${parsePort(port)}` : `/ip6/${v6}/tcp/${parsePort(port)}`
}

/** An address that others can be told: not 0.0.0.0, which is none of theirs. */
export function parseHost(text: string): string {
  if (isIP(text) === 0 || text === '0.0.0.0' || text === '::') {
    throw refuse('the address of an interface', text, 'one of this machine that others reach, as 192.168.1.7')
  }
  return text
}

export interface DagPath {
  cid: string
  /** Names below the root; empty for the root itself. */
  path: string[]
}

/** `CID`, `CID/a/b`, `/ipfs/CID/a`, `ipfs://CID/a`. What the CID is worth is judged where it is parsed. */
export function parseDagPath(text: string): DagPath {
  const bare = text.replace(/^ipfs:\/\//, '').replace(/^\/ipfs\//, '')
  const [cid = '', ...path] = bare.split('/')
  if (cid === '') throw refuse('a CID', text, 'write it as CID or CID/path/in/it')
  return { cid, path: path.filter((name) => name !== '') }
}

/** Edits that turn one word into the other (Levenshtein 1966), to suggest what was meant. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(same, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}

/** The known word that a mistyped one most likely was, if any is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const best = ranked[0]
  return best !== undefined && best.edits <= Math.max(1, Math.floor(word.length / 3))
    ? best.candidate
    : undefined
}
