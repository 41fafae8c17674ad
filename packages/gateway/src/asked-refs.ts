/** What a request about refs asks for, checked. */
import { parseCid } from '@cairn/blocks'
import { CairnError, fromHex, HISTORY_MAX, type PeerId, REF_BYTES_MAX, REPLICAS_MAX } from '@cairn/core'

import type { MirrorAsked, PinAsked, PromoteAsked, RefAsked } from '@cairn/node'

import { z } from 'zod'
import { check } from './asked.ts'

/** A record as hex, and what is around it. */
export const PROPOSE_BODY_BYTES_MAX = 2 * REF_BYTES_MAX + 1_024
const PEER_ID = /^12D3[1-9A-HJ-NP-Za-km-z]{48}$/
const CID_TEXT = z.string().max(160)
const METADATA_MAX = 16

const ASKED = z.strictObject({
  /** null removes it, `same` leaves it as it is. */
  root: z.union([CID_TEXT, z.null()]),
  replicas: z.int().min(1).max(REPLICAS_MAX).optional(),
  lifetimeMs: z.int().nonnegative().optional(),
  keep: z.int().min(0).max(HISTORY_MAX).optional(),
  metadata: z
    .record(z.string().max(32), z.string().max(512))
    .refine((all) => Object.keys(all).length <= METADATA_MAX, `at most ${METADATA_MAX} entries`)
    .optional(),
  ifSequence: z.int().nonnegative().optional(),
  ifRoot: CID_TEXT.optional(),
  settle: z.boolean().optional(),
  recover: z.boolean().optional(),
  share: z.boolean().optional()
})
const PIN = z.strictObject({
  /** As long as a path may be (PATH_MAX). */
  name: z.string().max(4_096).optional(),
  replicas: z.int().min(1).max(REPLICAS_MAX).optional(),
  lifetimeMs: z.int().nonnegative().optional()
})
const PROPOSED = z.strictObject({
  record: z
    .string()
    .regex(/^([0-9a-f]{2})+$/)
    .max(2 * REF_BYTES_MAX)
})

export function askedRefUpdate(body: unknown): RefAsked {
  const { root, ifRoot, ...rest } = check(ASKED, body)
  const asked = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  return {
    ...asked,
    root: root === null ? undefined : root === 'same' ? 'same' : parseCid(root),
    ...(ifRoot === undefined ? {} : { ifRoot: parseCid(ifRoot) })
  }
}

export function askedPin(body: unknown): PinAsked {
  const asked = check(PIN, body)
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
}

export function askedRecord(body: unknown): Uint8Array {
  return fromHex(check(PROPOSED, body).record)
}

const MIRROR = z.strictObject({
  lagMs: z.int().positive().optional(),
  leaseMs: z.int().positive().optional()
})

export function askedMirror(body: unknown): MirrorAsked {
  const { lagMs, leaseMs } = check(MIRROR, body)
  return { ...(lagMs === undefined ? {} : { lagMs }), ...(leaseMs === undefined ? {} : { leaseMs }) }
}

const PROMOTION = z.strictObject({ name: z.string().max(255).optional(), owner: z.string().optional() })

export function askedPromotion(body: unknown, self: PeerId): PromoteAsked {
  const { name, owner } = check(PROMOTION, body)
  return {
    ...(name === undefined ? {} : { name }),
    ...(owner === undefined ? {} : { owner: askedOwner(owner, self) })
  }
}

/** `self` is the node's own key. @throws BAD_REQUEST */
export function askedOwner(text: string | undefined, self: PeerId): PeerId {
  if (text === 'self') return self
  if (text !== undefined && PEER_ID.test(text)) return text as PeerId
  throw new CairnError('BAD_REQUEST', 'not the id of an Ed25519 key', {
    hint: 'self for the key of the node, or 12D3KooW…'
  })
}
