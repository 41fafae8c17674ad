/**
 * How much each ref is read, as its readers tell: each sums up what it asked of other members, and tells
 * those that carry the ref; they add it up, and tell whoever asks them for the ref. A lease of an extra copy
 * rests on it (`mirrors.ts`). It proves nothing: who believes too much spends disk that it offered.
 */
import type { PeerId } from './block.ts'
import { type Decoded, hex, list, struct, varint } from './codec.ts'
import { SHA256_BYTES } from './crypto.ts'

/** What is told is of so long, and tells of as much. */
export const HEAT_MS = 5_000
/** A statement counts for so long: one that is lost makes no ref cold. */
const TOLD_MS = 15_000
/** Blocks read in `HEAT_MS` that are worth a mirror: ten files, or 10 MiB, a second. A guess. */
export const HOT_BLOCKS = 50
/** Mirrors of one ref that come by themselves. */
const MIRRORS_MOST = 16
/** Of one reader no more is believed than so many mirrors' worth. */
const BELIEVED_BLOCKS = 4 * HOT_BLOCKS
/** Refs and readers of each that are remembered; refs told of in one message. Guesses. */
const REFS_MAX = 1_024
const READERS_MAX = 64
const TOLD_MAX = 256

const id = hex(SHA256_BYTES)

export const HEAT_MESSAGES = {
  /** "So many blocks of these refs I asked of others in the last `HEAT_MS`." */
  'ref-heat': struct({ refs: list(struct({ id, blocks: varint }), TOLD_MAX) }),
  /** "So many did all that told me." */
  'ref-warm': struct({ id, blocks: varint })
}
/** On the wire: never reuse one. */
export const HEAT_TAGS = { 'ref-heat': 132, 'ref-warm': 133 } as const

export type HeatMessage = {
  [K in keyof typeof HEAT_MESSAGES]: { type: K } & Decoded<(typeof HEAT_MESSAGES)[K]>
}[keyof typeof HEAT_MESSAGES]

interface Told {
  blocks: number
  untilMs: number
}

export interface Heat {
  /** Blocks that were read here since the last telling, by ref. */
  readonly own: Map<string, number>
  /** By ref, what each of its readers told us. */
  readonly byRef: Map<string, Map<PeerId, Told>>
  /** By ref, what a carrier told us that it knows. */
  readonly warm: Map<string, Told>
  tellAtMs: number
}

export function createHeat(): Heat {
  return { own: new Map(), byRef: new Map(), warm: new Map(), tellAtMs: Number.POSITIVE_INFINITY }
}

/** Blocks of a ref are asked of others. */
export function heatRead(heat: Heat, ref: string, blocks: number, nowMs: number): void {
  if (heat.own.size >= REFS_MAX && !heat.own.has(ref)) return
  heat.own.set(ref, (heat.own.get(ref) ?? 0) + blocks)
  if (heat.tellAtMs === Number.POSITIVE_INFINITY) heat.tellAtMs = nowMs + HEAT_MS
}

/** What was read here is told to each member that carries it; what is hardly read is not worth a word. */
export function tellHeat(
  heat: Heat,
  self: PeerId,
  carriersOf: (id: string) => readonly PeerId[],
  nowMs: number
): { type: 'send'; to: PeerId; message: HeatMessage }[] {
  if (nowMs < heat.tellAtMs) return []
  heat.tellAtMs = Number.POSITIVE_INFINITY
  const byCarrier = new Map<PeerId, { id: string; blocks: number }[]>()
  for (const [ref, blocks] of heat.own) {
    if (blocks < HOT_BLOCKS / READERS_MAX) continue
    note(heat, { ref, from: self, blocks }, nowMs)
    for (const peer of carriersOf(ref)) {
      const told = byCarrier.get(peer) ?? []
      if (told.length < TOLD_MAX) told.push({ id: ref, blocks })
      byCarrier.set(peer, told)
    }
  }
  heat.own.clear()
  return [...byCarrier].map(([to, refs]) => ({ type: 'send', to, message: { type: 'ref-heat', refs } }))
}

export function onHeatMessage(heat: Heat, from: PeerId, message: HeatMessage, nowMs: number): void {
  if (message.type === 'ref-heat') {
    for (const { id: ref, blocks } of message.refs) note(heat, { ref, from, blocks }, nowMs)
    return
  }
  const blocks = Math.min(message.blocks, MIRRORS_MOST * HOT_BLOCKS)
  const known = heat.warm.get(message.id)
  // Carriers are told the same; one that was started of late knows less.
  if (known !== undefined && known.untilMs > nowMs && known.blocks > blocks) return
  remember(heat.warm, message.id, { blocks, untilMs: nowMs + TOLD_MS })
}

function note(
  { byRef }: Heat,
  { ref, from, blocks }: { ref: string; from: PeerId; blocks: number },
  nowMs: number
): void {
  const readers = byRef.get(ref) ?? new Map<PeerId, Told>()
  remember(byRef, ref, readers)
  for (const [peer, { untilMs }] of readers) if (untilMs <= nowMs) readers.delete(peer)
  if (readers.size >= READERS_MAX && !readers.has(from)) return
  readers.set(from, { blocks: Math.min(blocks, BELIEVED_BLOCKS), untilMs: nowMs + TOLD_MS })
}

/** The latest last: the oldest makes room. */
function remember<T>(map: Map<string, T>, ref: string, value: T): void {
  map.delete(ref)
  map.set(ref, value)
  if (map.size > REFS_MAX) map.delete(map.keys().next().value as string)
}

/** Blocks of a ref that its readers told us of. */
function told({ byRef }: Heat, ref: string, nowMs: number): number {
  let sum = 0
  for (const { blocks, untilMs } of byRef.get(ref)?.values() ?? []) if (untilMs > nowMs) sum += blocks
  return sum
}

/** What whoever asks for a ref is told. */
export function heatTold(
  heat: Heat,
  { ref, to }: { ref: string; to: PeerId },
  nowMs: number
): { type: 'send'; to: PeerId; message: HeatMessage }[] {
  const blocks = told(heat, ref, nowMs)
  return blocks === 0 ? [] : [{ type: 'send', to, message: { type: 'ref-warm', id: ref, blocks } }]
}

/**
 * Whether a member that is willing is to mirror a ref: the more it is read the more do. Those that do are in
 * the order of their ids, so that all know which of them are too many; one that does not yet comes last.
 */
export function isWorthMirroring(
  heat: Heat,
  { ref, self, mirrors, isOne }: { ref: string; self: PeerId; mirrors: readonly PeerId[]; isOne: boolean },
  nowMs: number
): boolean {
  const warm = heat.warm.get(ref)
  const heard = warm !== undefined && warm.untilMs > nowMs ? warm.blocks : 0
  const worth = Math.min(MIRRORS_MOST, Math.floor(Math.max(heard, told(heat, ref, nowMs)) / HOT_BLOCKS))
  const before = mirrors.filter((peer) => peer !== self && (!isOne || peer < self))
  return before.length < worth
}
