/** Refs as an application sees them. */
import type { PeerId, RefTerms } from '@cairn/core'
import type { CID } from 'multiformats/cid'

export interface RefReceiptInfo {
  peer: PeerId
  name: string
  timeMs: number
  /** As the voter signed it. */
  receipt: Uint8Array
}

export interface Ref extends RefTerms {
  /** Absent once the ref is removed. */
  root: CID | undefined
  electorate: { peer: PeerId; name: string }[]
  history: { sequence: number; root: CID | undefined }[]
  metadata: Record<string, string>
  record: Uint8Array
}

export interface RefWithReceipts extends Ref {
  receipts: RefReceiptInfo[]
}

export interface RefState extends RefWithReceipts {
  /** Begun after it, and acknowledged by no majority. */
  rivals: Ref[]
  /** Acknowledged too, and not on its line. */
  forks: Ref[]
}

export interface RefOptions {
  /** Whose ref: by default the key's of this client, else the first node's. */
  owner?: string
  signal?: AbortSignal
}

export interface RefSetOptions {
  replicas?: number
  lifetimeMs?: number
  /** Earlier roots that are kept. */
  keep?: number
  metadata?: Record<string, string>
  /** Only if the ref points to this now. */
  ifMatch?: CID | string
  /** Only if it is at this sequence; 0: only if there is none. */
  ifSequence?: number
  /** Take the place of rivals that none acknowledged. */
  settle?: boolean
  /** Name new voters though too few of the old ones can be asked. May fork. */
  recover?: boolean
  /** Of a ref that stands alone: from now on the members vote on it, not one of them. */
  share?: boolean
  signal?: AbortSignal
}

/** What `name/path` leads to, and whose name it is. */
export interface Resolved {
  root: CID
  path: string[]
  ref: { owner: PeerId; name: string }
}

export interface Refs {
  /** What is acknowledged; `latest` asks a majority of the voters. @throws NOT_FOUND, TOO_FEW_REPLICAS */
  get(name: string, options?: RefOptions & { latest?: boolean }): Promise<RefState>
  /** Points the ref to a root; `same` leaves that. @throws TOO_FEW_REPLICAS, REF_CONFLICT, REF_STALE */
  set(name: string, root: CID | string, options?: RefSetOptions): Promise<RefWithReceipts>
  rm(name: string, options?: RefSetOptions): Promise<RefWithReceipts>
  list(options?: RefOptions & { all?: boolean }): Promise<Ref[]>
  /** The ref now, and again with each change, until the signal. */
  watch(name: string, options?: RefOptions): AsyncGenerator<RefState, void>
  /** The root of `name`, `name@sequence` or `owner/name`, with the path after it. */
  resolve(where: string, signal?: AbortSignal): Promise<Resolved>
  /** Whose refs `name` means. */
  owner(signal?: AbortSignal): Promise<PeerId>
}
