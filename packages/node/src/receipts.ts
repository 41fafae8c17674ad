/** Receipts as a node makes them and passes them on: what they name, and the lists that prove them later. */
import {
  encode,
  encodeReceipt,
  list,
  RECEIPT_BLOCKS_MAX,
  type ReceiptItem,
  receiptItemCodec,
  signReceipt
} from '@cairn/core'
import type { Entry } from '@cairn/store'
import type { HeldReceipt } from './api.ts'
import type { Shell } from './shell.ts'

/** A block and the first of its claims, as receipts name them. */
export function receiptItem({ crypto }: Shell, entry: Pick<Entry, 'key' | 'claims'>): ReceiptItem {
  return { key: entry.key, claim: crypto.sha256(entry.claims[0]?.proof ?? new Uint8Array()) }
}

/** This node's own, over blocks that are durable here. */
export function receiptFor(shell: Shell, items: readonly ReceiptItem[]): Uint8Array {
  const facts = { network: shell.network.id, holder: shell.id, timeMs: Date.now() }
  return encodeReceipt(signReceipt(facts, items, shell.crypto))
}

/** With the blocks that it is over, so that anybody can check it without having asked. */
export function heldReceipt(receipt: Uint8Array, items: readonly ReceiptItem[]): HeldReceipt {
  return { receipt, items: encode(list(receiptItemCodec, RECEIPT_BLOCKS_MAX), [...items]) }
}
