/**
 * All that frees room, as one part of the core: copies held besides are let go of (`strays.ts`,
 * `release.ts`), claims that differ are exchanged so that an end reaches everybody (`claiming.ts`), and what
 * nobody claims any more is collected (`collect.ts`).
 */
import { type BlockKey, type PeerId, slotOf } from './block.ts'
import {
  type Claimed,
  type Claiming,
  type ClaimingAction,
  type ClaimingMessage,
  claimingForget,
  claimingTick,
  claimsDiffer,
  createClaiming,
  type KnownClaims,
  onClaimsTaken,
  onMoreClaims,
  onToldKnown,
  type TakeOutcome
} from './claiming.ts'
import {
  type CollectAction,
  type Collecting,
  type CollectMessage,
  collectDeadline,
  collectTick,
  createCollecting,
  hurry,
  onCollected,
  onCollectMessage,
  onEnded,
  onQuestionKnown,
  spare
} from './collect.ts'
import { actingHolders } from './holders.ts'
import type { DataConfig } from './limits.ts'
import {
  type Copy,
  cancel,
  isGoing,
  onGone,
  type ReleaseMessage,
  releasesForget,
  unverify
} from './release.ts'
import {
  type Around,
  createStrays,
  onCopies,
  onCopiesVerified,
  onReleaseMessage,
  type StrayAction,
  type Strays,
  straysDeadline,
  straysTick
} from './strays.ts'

/** What the disk answers, and what a person asks for. */
export type FreeingEvent =
  /** What `list-copies`, `verify-copies` and `let-go` asked for. */
  | { type: 'copies'; token: number; copies: readonly Copy[] }
  | { type: 'verified'; token: number; known: ReadonlyMap<BlockKey, KnownClaims> }
  | { type: 'gone'; keys: readonly BlockKey[] }
  /** What `take-claims`, `know-claims`, `list-ended` and `collect` asked for. */
  | {
      type: 'claims-taken'
      transfer: number
      outcomes: ReadonlyMap<BlockKey, { outcome: TakeOutcome; replicas: number }>
    }
  | { type: 'claims-known'; token: number; known: ReadonlyMap<BlockKey, KnownClaims> }
  | { type: 'ended'; token: number; copies: readonly Copy[]; next: number | undefined }
  | { type: 'collected'; keys: readonly BlockKey[] }
  /** What nobody claims is to be collected without a grace. */
  | { type: 'collect-now' }

export type FreeingAction = StrayAction | ClaimingAction | CollectAction
export type FreeingMessage = ReleaseMessage | ClaimingMessage | CollectMessage

export interface Freeing {
  readonly strays: Strays
  readonly claiming: Claiming
  readonly collecting: Collecting
}

/** @param life 16 hexadecimal digits that no two runs share: attempts are numbered in it. */
export function createFreeing(self: PeerId, life: string, config: DataConfig): Freeing {
  return {
    strays: createStrays(self, life, config),
    claiming: createClaiming(),
    collecting: createCollecting(self, life, config)
  }
}

export function freeingTick(state: Freeing, around: Around, nowMs: number): FreeingAction[] {
  return [
    ...straysTick(state.strays, around, nowMs),
    ...claimingTick(state.claiming),
    ...collected(state, collectTick(state.collecting, around.holders, nowMs))
  ]
}

export function freeingDeadline({ strays, collecting }: Freeing, { reconciler }: Around): number {
  return Math.min(straysDeadline(strays, reconciler), collectDeadline(collecting))
}

export function onFreeingEvent(
  state: Freeing,
  around: Around,
  event: FreeingEvent,
  nowMs: number
): FreeingAction[] {
  const { strays, claiming, collecting } = state
  switch (event.type) {
    case 'copies':
      return onCopies(strays, around, event, nowMs)
    case 'verified':
      return onCopiesVerified(strays, claiming, around, event, nowMs)
    case 'gone':
      onGone(strays.releases, event.keys)
      return []
    case 'claims-taken':
      onClaimsTaken(claiming, around, event, nowMs)
      return []
    case 'claims-known': {
      const { reconciler, holders } = around
      const { self, sha256 } = reconciler
      const isHolder = ({ key, replicas }: Pick<Copy, 'key' | 'replicas'>): boolean =>
        actingHolders(holders, slotOf(key), replicas).includes(self)
      if (event.token < 0) return onQuestionKnown(collecting, claiming, event, { sha256, isHolder })
      onToldKnown(claiming, reconciler, event)
      return []
    }
    case 'ended':
      return onEnded(collecting, around.holders, event, nowMs)
    case 'collected':
      onCollected(collecting, event.keys)
      return []
    case 'collect-now':
      hurry(collecting)
      return []
  }
}

export function onFreeingMessage(
  state: Freeing,
  around: Around,
  from: PeerId,
  message: FreeingMessage
): FreeingAction[] {
  switch (message.type) {
    case 'release':
    case 'promise':
      return onReleaseMessage(state.strays, around, from, message)
    case 'more-claims':
      return onMoreClaims(state.claiming, from, message)
    case 'ended':
    case 'ended-too':
      return collected(state, onCollectMessage(state.collecting, from, message))
  }
}

/** What is about to be deleted is promised to nobody, whatever was read of it before. */
function collected({ strays }: Freeing, actions: CollectAction[]): CollectAction[] {
  for (const action of actions) {
    if (action.type === 'collect') for (const { key } of action.copies) unverify(strays.releases, key)
  }
  return actions
}

/** Comparing found claims that are not here. */
export function onDiffering({ claiming }: Freeing, from: PeerId, blocks: readonly Claimed[]): void {
  claimsDiffer(claiming, from, blocks)
}

/** Something is being done about these blocks: they are neither let go of nor collected now. */
export function calledFor({ strays, collecting }: Freeing, keys: readonly BlockKey[]): void {
  for (const key of keys) {
    cancel(strays.releases, key)
    spare(collecting, key)
  }
}

/** A copy was damaged and put aside. */
export function onLost({ strays }: Freeing, key: BlockKey): void {
  unverify(strays.releases, key)
}

export function freeingForget({ strays, claiming }: Freeing, peer: PeerId): void {
  releasesForget(strays.releases, peer)
  claimingForget(claiming, peer)
}

export function isBeingLetGo({ strays }: Freeing, key: BlockKey): boolean {
  return isGoing(strays.releases, key)
}

const EVENTS: readonly string[] = [
  'copies',
  'verified',
  'gone',
  'claims-taken',
  'claims-known',
  'ended',
  'collected',
  'collect-now'
] satisfies FreeingEvent['type'][]

export function isFreeingEvent(event: { type: string }): event is FreeingEvent {
  return EVENTS.includes(event.type)
}
