/**
 * A member: what a node says about itself, and what the others think of it. Whose word wins is decided
 * by `supersedes` (SWIM: Das, Gupta, Motivala 2002, §4.2), the same on every node.
 */

import type { PeerId } from './block.ts'
import { toUtf8 } from './bytes.ts'
import {
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  list,
  oneOf,
  optional,
  struct,
  text,
  varint
} from './codec.ts'
import { MEMBER_LIMITS as LIMITS } from './config.ts'
import { CairnError } from './errors.ts'

/** What a member says about itself. Changes only with its incarnation. */
export interface Facts {
  /** Multiaddrs under which it can be dialled. */
  addresses: string[]
  /** Bytes that it offers. */
  capacity: number
  /** What fails together with it; none declared is a zone of one's own. */
  zone: string | undefined
  /** For people. Not unique. */
  name: string | undefined
  /** It keeps what it has and takes nothing more. */
  full: boolean
  /** URL of its HTTP API. */
  http: string | undefined
  version: string
}

export type MemberState = 'alive' | 'suspect' | 'dead' | 'leaving' | 'left'

export interface Member extends Facts {
  id: PeerId
  /** Raised by the member itself whenever its facts change or it is suspected. */
  incarnation: number
  state: MemberState
}

/** What a state is worth against another of the same incarnation. */
export type Standing = Pick<Member, 'incarnation' | 'state'>

/** Leaving outranks suspect: it is the member's own word, and a suspicion runs beside it. */
const RANK = { alive: 0, suspect: 1, leaving: 2, dead: 3, left: 4 } as const

/** A newer incarnation wins; within one incarnation the worse news wins (SWIM §4.2). */
export function supersedes(next: Standing, known: Standing | undefined): boolean {
  if (known === undefined) return true
  if (next.incarnation !== known.incarnation) return next.incarnation > known.incarnation
  return RANK[next.state] > RANK[known.state]
}

/** Taking part: it is probed, counted and told the news. */
export function isLiving(state: MemberState): boolean {
  return state !== 'dead' && state !== 'left'
}

/** Text of at most `chars` characters and no control characters: it ends up in terminals and logs. */
function plain(chars: number): Codec<string> {
  const raw = text(4 * chars)
  return {
    write: raw.write,
    read(from) {
      const value = raw.read(from)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
      if (/[\u0000-\u001f\u007f-\u009f]/.test(value) || [...value].length > chars) {
        throw new CairnError('BAD_MESSAGE', 'malformed message: text too long or with control characters')
      }
      return value
    }
  }
}

export const peerIdCodec = plain(LIMITS.peerIdChars) as Codec<PeerId>

export const incarnationCodec: Codec<number> = {
  write: varint.write,
  read(from) {
    const value = varint.read(from)
    if (value > LIMITS.incarnation) throw new CairnError('BAD_MESSAGE', 'malformed message: incarnation')
    return value
  }
}

const FACTS = {
  addresses: list(plain(LIMITS.addressChars), LIMITS.addresses),
  capacity: varint,
  zone: optional(plain(LIMITS.zoneChars)),
  name: optional(plain(LIMITS.nameChars)),
  full: bool,
  http: optional(plain(LIMITS.httpChars)),
  version: plain(LIMITS.versionChars)
}
const factsCodec: Codec<Facts> = struct(FACTS)

const HEAD = { id: peerIdCodec, incarnation: incarnationCodec }

export type LivingMember = Facts & { id: PeerId; incarnation: number; state: 'alive' | 'leaving' }
/** A member in its own words. */
export const livingCodec: Codec<LivingMember> = struct({
  ...HEAD,
  state: oneOf(['alive', 'leaving']),
  ...FACTS
})

export type SettledMember = Facts & {
  id: PeerId
  incarnation: number
  state: Exclude<MemberState, 'suspect'>
}
/** A member as tables hold it. Suspicion is left out: it is over sooner than tables are compared. */
export const settledCodec: Codec<SettledMember> = struct({
  ...HEAD,
  state: oneOf(['alive', 'leaving', 'dead', 'left']),
  ...FACTS
})

export const signatureCodec = bytes(LIMITS.signatureBytes)

/** Its own fields of a wider object, checked as a peer would check them. @throws CairnError BAD_CONFIG */
export function checkFacts(facts: Facts): Facts {
  try {
    return decode(factsCodec, encode(factsCodec, facts))
  } catch (cause) {
    throw new CairnError('BAD_CONFIG', `no member may say this of itself: ${(cause as Error).message}`, {
      cause,
      hint:
        `At most ${LIMITS.addresses} addresses of ${LIMITS.addressChars} characters, a zone of ` +
        `${LIMITS.zoneChars}, a name of ${LIMITS.nameChars}, without control characters.`
    })
  }
}

export function sameFacts(a: Facts, b: Facts): boolean {
  const x = encode(factsCodec, a)
  const y = encode(factsCodec, b)
  return x.length === y.length && x.every((byte, i) => byte === y[i])
}

/** What a member signs to leave for good, in this incarnation. Holds in no other context. */
export function leftStatement(id: PeerId, incarnation: number): Uint8Array {
  return toUtf8(`cairn/left/1\n${id}\n${incarnation}`)
}
