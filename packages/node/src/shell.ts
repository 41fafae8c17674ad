/** What the parts of a running node share: the core, its loop, the disk, the network, and who listens. */
import type { CairnError, Core, CoreEvent, Crypto, PeerId, TrustedHeaders } from '@cairn/core'
import type { Store } from '@cairn/store'
import type { NodeEvent } from './api.ts'
import type { Broadcast } from './broadcast.ts'
import type { Claimer } from './claimer.ts'
import type { Damage } from './damage.ts'
import type { Home } from './home.ts'
import type { NodeMirrors } from './mirrors.ts'
import type { Network } from './network.ts'
import type { Reads } from './reads.ts'
import type { NodeRefs } from './refs.ts'
import type { RoundTrips } from './round-trips.ts'
import type { NetworkScrubs } from './scrub-network.ts'
import type { Transport } from './transport.ts'
import type { Uploads } from './uploads.ts'

export interface Shell {
  readonly id: PeerId
  readonly home: Home
  readonly network: Network
  readonly crypto: Crypto
  /** Signs the claims of refs. */
  readonly claimer: Claimer
  readonly core: Core
  readonly store: Store
  readonly transport: Transport
  readonly uploads: Uploads
  readonly reads: Reads
  readonly damage: Damage
  readonly scrubs: NetworkScrubs
  readonly refs: NodeRefs
  readonly mirrors: NodeMirrors
  readonly events: Broadcast<NodeEvent>
  readonly roundTrips: RoundTrips
  /** Headers of claims whose signature was seen to be good. */
  readonly trusted: TrustedHeaders
  /** Questions put to the members, by request number: who waits for the answer. */
  readonly asked: Map<number, Asking>
  dispatch(event: CoreEvent): void
  /** Somebody's read or write is being served here: repair leaves it room. */
  served(): void
  /** The store has changed: the core hears what, soon. */
  changed(): void
  /** Resolves when the core knows all that changed on disk before the call. */
  told(): Promise<void>
  /** Work that touches the disk: a stop waits for it. */
  during<T>(work: Promise<T>): Promise<T>
  /** Resolves when the work that is under way now has ended. */
  settled(): Promise<void>
  /** @throws CairnError UNREACHABLE once the node was told to stop */
  usable(): void
  /** A member's name, as people know it. */
  nameOf(peer: PeerId): string
  log(level: 'info' | 'warn' | 'error', text: string): void
  /** Something broke that must not: the node stops. */
  fail(error: CairnError): void
}

export interface Asking {
  resolve(answer: Answered): void
  reject(error: CairnError): void
}

export type Answered = Extract<
  import('@cairn/core').CoreAction,
  { type: 'surveyed' } | { type: 'inquired' } | { type: 'doomed' } | { type: 'challenged' }
>
