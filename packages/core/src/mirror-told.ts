/**
 * Who mirrors what, as members tell: a mirror says so to those that carry its ref, and they pass it on to
 * whoever asks them for the ref. A statement expires, and proves nothing: a reader that believes a wrong one
 * asks in vain, and goes on to the holders.
 */
import type { PeerId } from './block.ts'
import { type Codec, type Decoded, hex, list, struct, text, varint } from './codec.ts'
import { SHA256_BYTES } from './crypto.ts'
import { MIRRORS_MAX, type Mirrors } from './mirrors.ts'

/** Between statements of a mirror. One that is lost is made up for before it expires. */
export const TELL_MS = 10_000
/** A statement counts for so long. */
const TOLD_MS = 35_000
/** Mirrors of one ref, and refs, that are remembered: 60 bytes each. */
const PEERS_MAX = 32
const REFS_MAX = 4_096

const id = hex(SHA256_BYTES)
const peerId = text(64) as Codec<string> as Codec<PeerId>

export const MIRROR_MESSAGES = {
  /** "I have a root of each of these whole." */
  'mirror-here': struct({ refs: list(id, MIRRORS_MAX) }),
  /** "These have told me so, so many milliseconds ago." */
  'mirror-there': struct({ id, peers: list(struct({ peer: peerId, agoMs: varint }), PEERS_MAX) })
}
/** On the wire: never reuse one. */
export const MIRROR_TAGS = { 'mirror-here': 130, 'mirror-there': 131 } as const

export type MirrorMessage = {
  [K in keyof typeof MIRROR_MESSAGES]: { type: K } & Decoded<(typeof MIRROR_MESSAGES)[K]>
}[keyof typeof MIRROR_MESSAGES]

export interface MirrorTold {
  /** Until when each counts, by ref and member. */
  readonly byRef: Map<string, Map<PeerId, number>>
  /** When our own are told of next. */
  tellAtMs: number
}

export function createMirrorTold(): MirrorTold {
  return { byRef: new Map(), tellAtMs: Number.POSITIVE_INFINITY }
}

/** What our own mirrors have is told of, to each member that carries some of their refs. */
export function tellMirrors(
  told: MirrorTold,
  { byId }: Mirrors,
  carriersOf: (id: string) => readonly PeerId[],
  nowMs: number
): { type: 'send'; to: PeerId; message: MirrorMessage }[] {
  const whole = [...byId.values()].filter((mirror) => mirror.whole !== undefined)
  if (whole.length === 0) told.tellAtMs = Number.POSITIVE_INFINITY
  else if (told.tellAtMs === Number.POSITIVE_INFINITY) told.tellAtMs = nowMs
  if (nowMs < told.tellAtMs) return []
  told.tellAtMs = nowMs + TELL_MS
  const byCarrier = new Map<PeerId, string[]>()
  for (const mirror of whole) {
    for (const peer of carriersOf(mirror.id)) {
      byCarrier.set(peer, [...(byCarrier.get(peer) ?? []), mirror.id])
    }
  }
  return [...byCarrier].map(([to, refs]) => ({ type: 'send', to, message: { type: 'mirror-here', refs } }))
}

export function onMirrorMessage(told: MirrorTold, from: PeerId, message: MirrorMessage, nowMs: number): void {
  if (message.type === 'mirror-here') {
    for (const ref of message.refs) note(told, ref, from, nowMs + TOLD_MS)
    return
  }
  for (const { peer, agoMs } of message.peers) {
    if (agoMs < TOLD_MS) note(told, message.id, peer, nowMs + TOLD_MS - agoMs)
  }
}

function note({ byRef }: MirrorTold, ref: string, peer: PeerId, untilMs: number): void {
  const peers = byRef.get(ref) ?? new Map<PeerId, number>()
  byRef.delete(ref)
  byRef.set(ref, peers)
  if (byRef.size > REFS_MAX) byRef.delete(byRef.keys().next().value as string)
  if (peers.size < PEERS_MAX || peers.has(peer)) peers.set(peer, Math.max(untilMs, peers.get(peer) ?? 0))
}

/** Members that mirror a ref, as far as was told of late. */
export function mirrorsOf({ byRef }: MirrorTold, ref: string, nowMs: number): PeerId[] {
  const peers = byRef.get(ref)
  if (peers === undefined) return []
  for (const [peer, untilMs] of peers) if (untilMs <= nowMs) peers.delete(peer)
  if (peers.size === 0) byRef.delete(ref)
  return [...peers.keys()]
}

/** What whoever asks for a ref is told of its mirrors; ourselves among them if we have a root whole. */
export function mirrorsTold(
  told: MirrorTold,
  { byId }: Mirrors,
  { ref, self, to }: { ref: string; self: PeerId; to: PeerId },
  nowMs: number
): { type: 'send'; to: PeerId; message: MirrorMessage }[] {
  const others = mirrorsOf(told, ref, nowMs).filter((peer) => peer !== to && peer !== self)
  const peers = others.map((peer) => {
    const untilMs = told.byRef.get(ref)?.get(peer) ?? nowMs
    return { peer, agoMs: Math.max(0, Math.round(nowMs + TOLD_MS - untilMs)) }
  })
  const own = byId.get(ref)?.whole === undefined ? [] : [{ peer: self, agoMs: 0 }]
  const all = [...own, ...peers].slice(0, PEERS_MAX)
  return all.length === 0
    ? []
    : [{ type: 'send', to, message: { type: 'mirror-there', id: ref, peers: all } }]
}
