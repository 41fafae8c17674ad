/**
 * What a voter signs once its vote for a record is durable: "this is my one vote for this sequence". Anybody
 * who knows the voter's peer id can check it offline; a majority of them acknowledges the record.
 */
import type { PeerId } from './block.ts'
import { concat, toUtf8 } from './bytes.ts'
import { NETWORK_ID_BYTES } from './claim.ts'
import {
  bytes,
  type Codec,
  type Decoded,
  decode,
  encode,
  fixed,
  hex,
  struct,
  text,
  u8,
  varint
} from './codec.ts'
import { type Crypto, SHA256_BYTES, SIGNATURE_BYTES } from './crypto.ts'
import { CairnError } from './errors.ts'

export const REF_RECEIPT_BYTES_MAX = 256
const VERSION = 1

const statement = struct({
  version: u8,
  network: hex(NETWORK_ID_BYTES),
  voter: text(64) as Codec<string> as Codec<PeerId>,
  /** The record's. */
  hash: hex(SHA256_BYTES),
  /** By the voter's clock, ms since 1970: for people, not for decisions. */
  timeMs: varint
})
const receipt = struct({ statement, signature: fixed(SIGNATURE_BYTES) })

export const refReceiptBytes = bytes(REF_RECEIPT_BYTES_MAX)

/** A receipt that was checked, and its bytes. */
export interface RefReceipt {
  readonly voter: PeerId
  readonly hash: string
  readonly timeMs: number
  readonly bytes: Uint8Array
}

const DOMAIN = toUtf8('cairn-ref-vote/1\0')

function signedBytes(value: Decoded<typeof statement>): Uint8Array {
  return concat([DOMAIN, encode(statement, value)])
}

export function signVote(
  vote: { network: string; voter: PeerId; hash: string; timeMs: number },
  crypto: Pick<Crypto, 'sign'>
): RefReceipt {
  const value = { version: VERSION, ...vote }
  const sealed = encode(receipt, { statement: value, signature: crypto.sign(signedBytes(value)) })
  const { voter, hash, timeMs } = vote
  return { voter, hash, timeMs, bytes: sealed }
}

/** Reads and checks a receipt. @throws CairnError BAD_MESSAGE */
export function readVote(from: Uint8Array, network: string, crypto: Pick<Crypto, 'verify'>): RefReceipt {
  const { statement: said, signature } = decode(receipt, from)
  const good = said.version === VERSION && said.network === network
  if (!good || !crypto.verify(said.voter, signedBytes(said), signature)) {
    throw new CairnError('BAD_MESSAGE', 'refused receipt of a ref: it proves nothing')
  }
  const { voter, hash, timeMs } = said
  return { voter, hash, timeMs, bytes: from.slice() }
}
