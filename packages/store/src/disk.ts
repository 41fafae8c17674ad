/**
 * The simplest durable store: a file for each block, its claims before its bytes. Written aside, synced,
 * renamed, the directory synced: so a file under its own name is whole.
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, CairnError, concat, decode, encode, type HeldClaim } from '@cairn/core'
import { claimsCodec } from './claims.ts'
import { type Change, Ledger } from './ledger.ts'
import { fullError } from './memory.ts'
import type { Store, StoreOptions } from './store.ts'
import { matches } from './verify.ts'

export interface OpenOptions extends StoreOptions {
  directory: string
  /** While the store is read at open: blocks seen so far. */
  onProgress?: (blocks: number) => void
}

const KEY = /^(1220|1340|1e20)[0-9a-f]{64,128}$/
const HEADER_BYTES = 4

export async function openStore({ directory, capacity, onLost, onProgress }: OpenOptions): Promise<Store> {
  const ledger = new Ledger()
  const sizes = new Map<BlockKey, number>()
  let used = 0
  let full = false
  let closed = false
  let tail: Promise<unknown> = Promise.resolve()
  await mkdir(directory, { recursive: true })

  for (const name of await readdir(directory)) {
    if (name.endsWith('.part')) await unlink(join(directory, name))
    if (!KEY.test(name)) continue
    const key = name as BlockKey
    const { claims, bytes, total } = parse(plain(await readFile(join(directory, key))))
    track(key, total)
    ledger.set(key, bytes.length, claims)
    onProgress?.(ledger.blocks)
  }

  function usable(): void {
    if (closed) throw new RangeError('the store is closed')
  }

  function track(key: BlockKey, total: number): void {
    used += total - (sizes.get(key) ?? 0)
    if (total > 0) sizes.set(key, total)
    else sizes.delete(key)
  }

  /** One writer at a time; a failure is its caller's alone. */
  function serial<T>(work: () => Promise<T>): Promise<T> {
    const done = tail.then(work)
    tail = done.catch(() => undefined)
    return done
  }

  async function write({ key, bytes, claims }: Change): Promise<void> {
    const block = bytes ?? parse(plain(await readFile(join(directory, key)))).bytes
    const head = encode(claimsCodec, [...claims])
    const length = Buffer.alloc(HEADER_BYTES)
    length.writeUInt32BE(head.length)
    const record = concat([length, head, block])
    full = used + record.length > capacity
    if (full) throw fullError(capacity)
    const part = join(directory, `${key}.part`)
    const file = await open(part, 'w')
    try {
      await file.writeFile(record)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, join(directory, key))
    track(key, record.length)
    ledger.set(key, block.length, claims)
  }

  async function remove(key: BlockKey, dispose: (path: string) => Promise<void>): Promise<void> {
    if (ledger.stat(key) === undefined) return
    await dispose(join(directory, key))
    track(key, 0)
    ledger.remove(key)
    full = false
  }

  async function syncDirectory(): Promise<void> {
    const handle = await open(directory, constants.O_RDONLY)
    await handle.sync()
    await handle.close()
  }

  return {
    put: (entries) =>
      serial(async () => {
        usable()
        const plan = ledger.plan(entries)
        for (const change of plan) await write(change)
        if (plan.length > 0) await syncDirectory()
      }),

    async get(key) {
      usable()
      if (ledger.stat(key) === undefined) return undefined
      const { bytes } = parse(plain(await readFile(join(directory, key))))
      if (matches(key, bytes)) return bytes
      await serial(() => remove(key, (path) => rename(path, `${path}.bad`)))
      onLost?.(key)
      return undefined
    },

    stat: async (key) => ledger.stat(key),
    list: async (slot, options) => ledger.list(slot, options),

    delete: (keys) =>
      serial(async () => {
        for (const key of keys) await remove(key, unlink)
        await syncDirectory()
      }),

    changes: (limit) => ledger.changes(limit),
    usage: () => ({
      blocks: ledger.blocks,
      bytes: ledger.bytes,
      diskBytes: used,
      capacity,
      full,
      readOnly: false
    }),
    async close() {
      closed = true
      await tail
    }
  }
}

/** Not a Buffer, whose `slice` does not copy. */
function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

function parse(record: Uint8Array): { claims: HeldClaim[]; bytes: Uint8Array; total: number } {
  const head = HEADER_BYTES + new DataView(record.buffer, record.byteOffset).getUint32(0)
  if (head > record.length) throw new CairnError('STORE_DAMAGED', 'a block file is cut short')
  const claims = decode(claimsCodec, record.subarray(HEADER_BYTES, head))
  return { claims, bytes: record.subarray(head), total: record.length }
}
