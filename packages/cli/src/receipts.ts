/**
 * Receipts in a file: one JSON object a line, each a receipt as its holder signed it and the blocks that it
 * is over, both in base64. Checked with nothing but their bytes: no node, no network.
 */
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { HeldReceipt } from '@cairn/client'
import { type BlockKey, openReceipt, type PeerId } from '@cairn/core'

const VERSION = 1

export interface ReceiptFile {
  add: (receipt: HeldReceipt) => void
  /** Everything is on disk when it resolves. @throws what kept a line from being written */
  close(): Promise<void>
}

/** Adds to what is in the file: a put that resumes goes on with its receipts. */
export async function writeReceipts(path: string): Promise<ReceiptFile> {
  const file: FileHandle = await open(path, 'a')
  let written: Promise<unknown> = Promise.resolve()
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return {
    add({ receipt, items }) {
      const line = JSON.stringify({ v: VERSION, receipt: base64(receipt), items: base64(items) })
      written = written.then(() => file.write(`${line}\n`))
      written.catch(() => {}) // thrown by `close`
    },
    async close() {
      try {
        await written
        await file.sync()
      } finally {
        await file.close()
      }
    }
  }
}

/** What one holder signed, over all lines. */
export interface Holder {
  peer: PeerId
  name: string
  network: string
  blocks: number
  firstMs: number
  lastMs: number
}

export interface ReceiptReport {
  holders: Holder[]
  /** Lines that prove nothing, and why. */
  bad: { line: number; reason: string }[]
}

/** Checks every line. @param key count only receipts for this block */
export async function readReceipts(path: string, key?: BlockKey): Promise<ReceiptReport> {
  const { nameOf, verifier } = await import('@cairn/node') // not before: libp2p takes half a second to load
  const crypto = verifier()
  const found = new Map<string, Holder & { keys: Set<BlockKey> }>()
  const bad: ReceiptReport['bad'] = []
  let line = 0
  for await (const text of createInterface({
    input: createReadStream(path),
    crlfDelay: Number.POSITIVE_INFINITY
  })) {
    line++
    if (text.trim() === '') continue
    try {
      const { receipt, items } = openReceipt(parseLine(text), crypto)
      const { holder: peer, network, timeMs } = receipt.statement
      const keys = items.map((item) => item.key).filter((one) => key === undefined || one === key)
      if (keys.length === 0) continue
      const id = `${network} ${peer}`
      const holder = found.get(id) ?? {
        peer,
        name: nameOf(peer),
        network,
        blocks: 0,
        firstMs: timeMs,
        lastMs: timeMs,
        keys: new Set()
      }
      for (const one of keys) holder.keys.add(one)
      holder.firstMs = Math.min(holder.firstMs, timeMs)
      holder.lastMs = Math.max(holder.lastMs, timeMs)
      found.set(id, holder)
    } catch (error) {
      bad.push({ line, reason: (error as Error).message })
    }
  }
  const holders = [...found.values()].map(({ keys, ...holder }) => ({ ...holder, blocks: keys.size }))
  return { holders, bad }
}

/** @throws an Error that says what the line is not */
function parseLine(text: string): HeldReceipt {
  const { v, receipt, items } = JSON.parse(text) as Record<string, unknown>
  if (v !== VERSION || typeof receipt !== 'string' || typeof items !== 'string') {
    throw new TypeError(`not a receipt of version ${VERSION}`)
  }
  return { receipt: Buffer.from(receipt, 'base64'), items: Buffer.from(items, 'base64') }
}
