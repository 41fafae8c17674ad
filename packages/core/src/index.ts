export type { Asked, AuditRecord } from './audit.ts'
export type { AuditAction, Fault, Proven } from './audit-action.ts'
export type { AuditEvent } from './auditing.ts'
export * from './block.ts'
export * from './bytes.ts'
export * from './claim.ts'
export type { KnownClaims, TakeOutcome } from './claiming.ts'
export * from './codec.ts'
export type { Listed } from './compare.ts'
export * from './config.ts'
export {
  brakedFor,
  coreDeadline,
  coreStep,
  createCore,
  isLettingGo,
  leftToHandOver
} from './core.ts'
export type { Core, CoreAction, CoreEvent, CoreOptions } from './core-types.ts'
export * from './crypto.ts'
export type { DoomedKey } from './doomed.ts'
export type { Draft, RefWant } from './draft.ts'
export { doubtOf, isPlaced } from './draft-check.ts'
export * from './errors.ts'
export { isWatched } from './faults.ts'
export type { FetchOutcome, FetchPurpose, Tried } from './fetch.ts'
export * from './fingerprint.ts'
export * from './gossip.ts'
export { actingHolders } from './holders.ts'
export { claimSequence, keptRoots, toClaim, toEnd } from './keeping.ts'
export { DATA_DEFAULTS, DATA_LIMITS, type DataConfig } from './limits.ts'
export * from './member.ts'
export * from './membership.ts'
export * from './merkle.ts'
export {
  type KeptMirror,
  MIRROR_LAG_MS,
  MIRROR_LEASE_MS,
  MIRRORS_MAX,
  type Mirror,
  type MirrorAction,
  type MirrorLag,
  type MirrorPhase,
  type MirrorRoot,
  mirrorLag
} from './mirrors.ts'
export * from './placement.ts'
export {
  type FaultKind,
  NONCE_BYTES,
  POSSESSION_KEYS_MAX,
  proveRange,
  type Range,
  rangeOf
} from './possession.ts'
export type { UpdateOutcome } from './primary.ts'
export { LINEAGE_PREFIX, promotedBody, standsAlone } from './promotion.ts'
export * from './random.ts'
export * from './receipt.ts'
export * from './ref.ts'
export { type KnownRef, knownAcknowledged, type RefEntry, readEntry, recordsOf } from './ref-entry.ts'
export { type RefReceipt, readVote, signVote } from './ref-receipt.ts'
export { checkRefState } from './ref-table.ts'
export {
  newRefWriter,
  onRefWriter,
  type RefNews,
  type RefResult,
  type RefStep,
  type RefWriter,
  refFailure
} from './ref-writer.ts'
export { bestRef, type RefAction, type RefEvent, type RefOptions } from './refs.ts'
export type { Copy } from './release.ts'
export { type Rumour, rumourCodec } from './rumour.ts'
export { type Count, type ShortCount, safeInMs, type Tally, takersIn } from './safety.ts'
export { type PlacedMember, WEIGHT_MAX, WEIGHT_QUANTUM_BYTES, weightOf } from './score.ts'
export { SCRUB_RUN_BYTES, type ScrubMessage } from './scrubbing.ts'
export { enterKnown, type Known } from './table.ts'
export type { KeptMember, Membership, MembershipAction } from './view.ts'
export * from './wire.ts'
export type { Ack, PutRequest, SendOutcome, SettledBlock } from './write.ts'
