/**
 * Audits as the core sees them: what this member says that it holds (`holding.ts`), its rounds with others
 * (`audit.ts`) and what it found of them (`faults.ts`), behind one door for events, messages and time.
 */
import {
  type Asked,
  type Audits,
  auditsDeadline,
  auditsForget,
  auditsTick,
  createAudits,
  onAuditListed,
  onChallengeMade,
  onHold,
  onProof,
  startChallenge
} from './audit.ts'
import type { AuditAction } from './audit-action.ts'
import { AUDIT_TOKENS_FROM, type AuditMessage } from './audit-messages.ts'
import type { BlockKey, PeerId } from './block.ts'
import type { Listed } from './compare.ts'
import type { Crypto } from './crypto.ts'
import { CairnError } from './errors.ts'
import {
  createFaults,
  type Faults,
  faultsDeadline,
  faultsForget,
  faultsHeard,
  faultsTick,
  onAccuse,
  onChecked,
  onRequested,
  onRetract,
  onWitness,
  remind,
  type View
} from './faults.ts'
import {
  createHolding,
  type Holding,
  holdingTick,
  noteAsked,
  noteGone,
  noteStored,
  onAskHold,
  onChallenge,
  onHoldLookedUp,
  onOwnProved,
  onRetracted
} from './holding.ts'
import type { Range } from './possession.ts'
import type { Random } from './random.ts'
import type { Held } from './shared.ts'

export interface Auditing {
  readonly self: PeerId
  readonly holding: Holding
  readonly audits: Audits
  readonly faults: Faults
}

export type AuditEvent =
  /** A caller wants a member to prove these ranges now; answered with `challenged`. */
  | { type: 'challenge'; request: number; to: PeerId; nonce: Uint8Array; items: readonly Asked[] }
  | {
      type: 'challenge-made'
      token: number
      nonce: Uint8Array
      items: readonly (Range & { digest: Uint8Array | undefined })[]
    }
  /** In the order of a `prove`'s items; undefined for what there is no good copy of. */
  | { type: 'proved'; token: number; digests: readonly (Uint8Array | undefined)[] }
  /** A member asked for a block that it says it holds (`isWatched`). */
  | { type: 'requested'; from: PeerId; key: BlockKey }

export function createAuditing(
  options: { self: PeerId; network: string; crypto: Crypto; random: Random; intervalMs: number },
  nowMs: number
): Auditing {
  const { self, network, crypto } = options
  return {
    self,
    holding: createHolding(options, nowMs),
    audits: createAudits(options, nowMs),
    faults: createFaults(self, network, crypto)
  }
}

export function onAuditEvent(auditing: Auditing, event: AuditEvent, view: View): AuditAction[] {
  const { audits, holding, faults } = auditing
  switch (event.type) {
    case 'challenge':
      return startChallenge(audits, event, view.nowMs)
    case 'challenge-made':
      return onChallengeMade(audits, event, view.nowMs)
    case 'proved':
      return event.token >= 2 * AUDIT_TOKENS_FROM
        ? onChecked(faults, event, view)
        : onOwnProved(holding, event)
    case 'requested':
      onRequested(faults, event.from, event.key, view.nowMs)
      return []
  }
}

/** A message of audits. One that is not what it says counts for nothing: only what is signed does. */
export function onAuditMessage(
  auditing: Auditing,
  { from, message }: { from: PeerId; message: AuditMessage },
  view: View
): AuditAction[] {
  try {
    return receive(auditing, from, message, view)
  } catch (cause) {
    if (CairnError.is(cause, 'BAD_MESSAGE')) return []
    throw cause
  }
}

function receive(auditing: Auditing, from: PeerId, message: AuditMessage, view: View): AuditAction[] {
  const { audits, holding, faults } = auditing
  switch (message.type) {
    case 'ask-hold':
      return onAskHold(holding, from, message)
    case 'hold':
      return onHold(audits, faults, { from, message }, view)
    case 'witness':
      onWitness(faults, message.signed, view.nowMs)
      return []
    case 'challenge':
      return onChallenge(holding, from, message)
    case 'proof':
      return onProof(audits, faults, { from, message }, view)
    case 'retract': {
      onRetract(faults, from, message, view.nowMs)
      return [{ type: 'send', to: from, message: { type: 'retracted', token: message.token } }]
    }
    case 'retracted':
      onRetracted(holding, from, message.token)
      return []
    case 'accuse':
      return onAccuse(faults, message.signed, view)
  }
}

/** Anything at all came from a member. */
export function auditHeard({ faults }: Auditing, from: PeerId, nowMs: number): void {
  if (faults.cases.length > 0) faultsHeard(faults, from, nowMs)
}

export function onAuditLookedUp(
  { holding }: Auditing,
  { token, found }: { token: number; found: ReadonlyMap<BlockKey, { held: boolean }> },
  nowMs: number
): AuditAction[] {
  const held = new Map([...found].filter(([, known]) => known.held))
  return onHoldLookedUp(holding, { token, found: held }, nowMs)
}

export function onAuditSlot(
  { audits }: Auditing,
  listed: { token: number; lists: readonly (readonly (Listed & { replicas: number })[])[] },
  nowMs: number
): AuditAction[] {
  return onAuditListed(audits, listed, nowMs)
}

/** Blocks are about to be asked of a member: what must be said before comes back. */
export function auditAsking(
  { holding }: Auditing,
  asked: { from: PeerId; keys: readonly BlockKey[] },
  nowMs: number
): AuditAction[] {
  return noteAsked(holding, asked, nowMs)
}

/** These are not here any more: lost, or let go of. */
export function auditGone({ holding }: Auditing, keys: readonly BlockKey[], nowMs: number): void {
  noteGone(holding, keys, nowMs)
}

export function auditStored({ holding }: Auditing, keys: readonly BlockKey[]): void {
  noteStored(holding, keys)
}

export function auditTick(auditing: Auditing, held: Held, view: View): AuditAction[] {
  const { audits, holding, faults } = auditing
  return [
    ...holdingTick(holding, view.nowMs),
    ...auditsTick(audits, held, view.holders, view.nowMs),
    ...faultsTick(faults, view)
  ]
}

export function auditDeadline({ audits, holding, faults }: Auditing): number {
  return Math.min(auditsDeadline(audits), holding.retractMs, faultsDeadline(faults))
}

/** A member came: it is told what is known. Or it is gone. */
export function auditMember(auditing: Auditing, peer: PeerId, living: boolean): AuditAction[] {
  if (living) return remind(auditing.faults, peer)
  faultsForget(auditing.faults, peer)
  return auditsForget(auditing.audits, peer)
}
