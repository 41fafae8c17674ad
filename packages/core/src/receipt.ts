/**
 * Receipts: what a member signs once blocks are durable on its disk: "held, verified, then". One
 * signature over a Merkle root stands for a whole group commit; the asker, who knows which blocks it
 * sent and in which order, can cut from it a receipt for any one block that anybody can check offline.
 *
 * The encoding is fixed: version 1 below stays readable for ever, another gets another version byte.
 */
import { type BlockKey, blockKeyCodec, type PeerId } from './block.ts'
import { concat, toUtf8 } from './bytes.ts'
import { NETWORK_ID_BYTES } from './claim.ts'
import {
  type Codec,
  type Decoded,
  decode,
  encode,
  fixed,
  hex,
  list,
  struct,
  text,
  u8,
  varint
} from './codec.ts'
import { type Crypto, SHA256_BYTES, SIGNATURE_BYTES } from './crypto.ts'
import { CairnError } from './errors.ts'
import { merklePath, merkleRoot, merkleTree, merkleVerify, PATH_STEPS_MAX } from './merkle.ts'

const VERSION = 1
/** Blocks under one receipt. A group commit holds at most this many of one sender's. */
export const RECEIPT_BLOCKS_MAX = 8_192
export const RECEIPT_BYTES_MAX = 256

const statement = struct({
  version: u8,
  network: hex(NETWORK_ID_BYTES),
  holder: text(64) as Codec<string> as Codec<PeerId>,
  /** By the holder's clock, ms since 1970: for people, not for decisions. */
  timeMs: varint,
  blocks: varint,
  root: fixed(SHA256_BYTES)
})

const receipt = struct({ statement, signature: fixed(SIGNATURE_BYTES) })

/** "These blocks are durable here", over all blocks of one answer. */
export type Receipt = Decoded<typeof receipt>

/** A block and the claim for which it is held: a receipt names both. */
export interface ReceiptItem {
  key: BlockKey
  /** SHA-256 of the claim's proof, 32 bytes. */
  claim: Uint8Array
}

export const receiptItemCodec = struct({ key: blockKeyCodec, claim: fixed(SHA256_BYTES) })
const item = receiptItemCodec
const itemList = list(item, RECEIPT_BLOCKS_MAX)

const blockReceipt = struct({
  statement,
  signature: fixed(SIGNATURE_BYTES),
  item,
  index: varint,
  path: list(fixed(SHA256_BYTES), PATH_STEPS_MAX)
})

/** A receipt for one block, checkable by anybody who knows the holder's peer id. */
export type BlockReceipt = Decoded<typeof blockReceipt>

const DOMAIN = toUtf8('cairn-receipt/1\0')

function signedBytes(value: Receipt['statement']): Uint8Array {
  return concat([DOMAIN, encode(statement, value)])
}

function treeOf(items: readonly ReceiptItem[], sha256: Crypto['sha256']) {
  return merkleTree(
    items.map((one) => encode(item, one)),
    sha256
  )
}

export function signReceipt(
  facts: { network: string; holder: PeerId; timeMs: number },
  items: readonly ReceiptItem[],
  crypto: Pick<Crypto, 'sha256' | 'sign'>
): Receipt {
  const root = merkleRoot(treeOf(items, crypto.sha256))
  const value = { version: VERSION, ...facts, blocks: items.length, root }
  return { statement: value, signature: crypto.sign(signedBytes(value)) }
}

export function encodeReceipt(value: Receipt): Uint8Array {
  return encode(receipt, value)
}

/**
 * Reads a receipt that a holder sent and checks that it is this holder's, for these blocks in this order.
 * @throws CairnError BAD_MESSAGE
 */
export function readReceipt(
  bytes: Uint8Array,
  expect: { network: string; holder: PeerId; items: readonly ReceiptItem[] },
  crypto: Pick<Crypto, 'sha256' | 'verify'>
): Receipt {
  const value = decode(receipt, bytes)
  const { network, holder, items } = expect
  const root = merkleRoot(treeOf(items, crypto.sha256))
  const said = value.statement
  const same = said.version === VERSION && said.network === network && said.holder === holder
  if (!same || said.blocks !== items.length || !root.every((byte, i) => byte === said.root[i])) {
    throw new CairnError('BAD_MESSAGE', `refused receipt: not ${holder}'s for these ${items.length} blocks`)
  }
  if (!crypto.verify(holder, signedBytes(said), value.signature)) {
    throw new CairnError('BAD_MESSAGE', `refused receipt: not signed by ${holder}`)
  }
  return value
}

/**
 * Reads a receipt and the list of blocks that it is over, as kept by who asked for it, and checks them with
 * nothing but their bytes. @throws CairnError BAD_MESSAGE
 */
export function openReceipt(
  { receipt: signed, items }: { receipt: Uint8Array; items: Uint8Array },
  crypto: Pick<Crypto, 'sha256' | 'verify'>
): { receipt: Receipt; items: ReceiptItem[] } {
  const { network, holder } = decode(receipt, signed).statement
  const listed = decode(itemList, items)
  if (listed.length === 0) throw new CairnError('BAD_MESSAGE', 'refused receipt: over nothing')
  return { receipt: readReceipt(signed, { network, holder, items: listed }, crypto), items: listed }
}

/** Cuts the receipt of block number `index` out of one for many. */
export function cutReceipt(
  whole: Receipt,
  items: readonly ReceiptItem[],
  index: number,
  sha256: Crypto['sha256']
): BlockReceipt {
  const path = merklePath(treeOf(items, sha256), index)
  return { ...whole, item: items[index] as ReceiptItem, index, path }
}

export function encodeBlockReceipt(value: BlockReceipt): Uint8Array {
  return encode(blockReceipt, value)
}

/** Reads and checks one block's receipt with nothing but its bytes. @throws CairnError BAD_MESSAGE */
export function readBlockReceipt(bytes: Uint8Array, crypto: Pick<Crypto, 'sha256' | 'verify'>): BlockReceipt {
  const value = decode(blockReceipt, bytes)
  const { statement: said, index, path } = value
  const proved = { leaf: encode(item, value.item), index, count: said.blocks, path, root: said.root }
  const good = said.version === VERSION && merkleVerify(proved, crypto.sha256)
  if (!good || !crypto.verify(said.holder, signedBytes(said), value.signature)) {
    throw new CairnError('BAD_MESSAGE', 'refused receipt: it proves nothing')
  }
  return value
}
