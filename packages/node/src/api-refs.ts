/** Refs as an application, the gateway and the command see them. */
import type { PeerId, RefTerms } from '@cairn/core'
import type { CID } from 'multiformats/cid'

/** What an update is to change; the rest stays as it was. */
export interface RefAsked {
  /** Undefined removes the ref; 'same' leaves its root. */
  root: CID | 'same' | undefined
  replicas?: number
  /** Milliseconds; 0 is without end. */
  lifetimeMs?: number
  /** Earlier roots whose blocks are kept. */
  keep?: number
  metadata?: Record<string, string>
  /** Only if the ref is at this sequence; 0: only if there is none. */
  ifSequence?: number
  ifRoot?: CID
  /** Take the place of rivals that none acknowledged. */
  settle?: boolean
  /** A second first record of the name would do no harm. */
  anew?: boolean
  /** Name new voters, though a majority of the old ones can't be asked. May fork. */
  recover?: boolean
  /** Of a ref that stands alone: from now on the members of its slot vote on it. */
  share?: boolean
}

export interface RefReceiptView {
  peer: PeerId
  name: string
  /** By the voter's clock, milliseconds since 1970. */
  timeMs: number
  /** As the voter signed it. */
  receipt: Uint8Array
}

export interface RefRecordView extends RefTerms {
  /** Absent once the ref is removed. */
  root?: CID
  /** Who votes on the next. */
  electorate: { peer: PeerId; name: string }[]
  history: { sequence: number; root?: CID }[]
  metadata: Record<string, string>
  /** As the owner signed it. */
  record: Uint8Array
}

/** A record and who acknowledged it. */
export interface RefUpdate extends RefRecordView {
  receipts: RefReceiptView[]
}

export interface RefView extends RefUpdate {
  /** Begun after it, and not acknowledged. */
  rivals: RefRecordView[]
  /** Acknowledged too, and not on its line: evidence of a fork. */
  forks: RefRecordView[]
  /** A majority of those who vote on it was asked. */
  quorum: boolean
}

/** For a client that signs: what to sign, or what is in the way. Records as bytes, for it to check. */
export type RefDraft =
  | { type: 'draft'; body: Uint8Array; chain: { record: Uint8Array; receipts: Uint8Array[] }[] }
  | { type: 'finish'; record: Uint8Array }
  | { type: 'split'; rivals: Uint8Array[] }
  | { type: 'moved'; best?: { record: Uint8Array; receipts: Uint8Array[] } }
  | { type: 'absent' }
  | { type: 'unknown' }

export type RefOutcome =
  | { type: 'acknowledged'; receipts: RefReceiptView[] }
  | { type: 'refused' }
  | { type: 'too-few'; silent: string[] }
  | { type: 'failed'; reason: string }
