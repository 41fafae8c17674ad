/** What audits ask of the shell. */
import type { AuditMessage } from './audit-messages.ts'
import type { BlockKey, PeerId } from './block.ts'
import type { FaultKind, Range } from './possession.ts'

/** Something that a member did and no honest one does. */
export interface Fault {
  kind: FaultKind
  key: BlockKey
  /** Who found it. */
  accuser: PeerId
  /** What the accused signed, and the accuser's signed accusation around it. */
  accusation: Uint8Array
}

/** What a member answered to one range. */
export type Proven = 'proven' | 'absent' | 'wrong' | 'silent'

export type AuditAction =
  | { type: 'send'; to: PeerId; message: AuditMessage }
  | {
      type: 'list-slots'
      token: number
      slots: readonly { slot: number; after: BlockKey | undefined }[]
      limit: number
    }
  | { type: 'look-up'; token: number; keys: BlockKey[] }
  /**
   * Draw a nonce and a range of each block, and work out what the holder must answer from our own verified
   * copies; answer with `challenge-made`.
   */
  | { type: 'make-challenge'; token: number; holder: PeerId; items: { key: BlockKey; size: number }[] }
  /** Work out these; from any verified copy if `anywhere`, else from our own. Answer with `proved`. */
  | {
      type: 'prove'
      token: number
      holder: PeerId
      nonce: Uint8Array
      items: readonly Range[]
      anywhere: boolean
    }
  /** The end of a challenge that a caller asked for, an answer for each item. */
  | { type: 'challenged'; request: number; to: PeerId; answers: Proven[] }
  /** It is now known what this member did: its copies are no longer counted. */
  | { type: 'fault'; peer: PeerId; fault: Fault }
