/**
 * The index: a row for each block, a row for each segment, and how far the segments have been taken in.
 * Everything in it can be made again from the segments, so it is written without syncing, one batch a
 * group, and synced when a segment is full. LevelDB behind an interface of our own words.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockKey, CairnError, SLOTS, slotOf, toHex } from '@cairn/core'
import { ClassicLevel } from 'classic-level'
import { fault } from './fault.ts'
import type { Position } from './record.ts'
import { decodeRow, encodeRow, type Row } from './row.ts'

export interface SegmentRow {
  size: number
  /** Bytes in use for blocks, claims and deletions that count. */
  live: number
  sealed: boolean
  /** When all of it was last read and verified; 0 if never. */
  scrubbedAtMs: number
  /** Nothing in it is needed any more: its file is being removed. */
  doomed?: true
}

export interface CatalogState {
  /** Of the store that the index belongs to, hex. */
  nonce: string
  /** Everything before it is in the index. */
  applied: Position
  blocks: number
  bytes: number
}

export interface CatalogBatch {
  rows: Iterable<readonly [BlockKey, Row | undefined]>
  segments: Iterable<readonly [number, SegmentRow | undefined]>
  state: CatalogState
}

/** Multihash prefixes of the hashes that name blocks, in order. */
const HASH_PREFIXES = ['1220', '1340', '1e20']
const ROW = 'k'.charCodeAt(0)
/** Where a row's key has the slot: after its letter and the multihash's prefix. */
const SLOT_AT = 1 + 2
const STATE_KEY = Buffer.from('mstate')
const SCRUB_KEY = Buffer.from('mscrub')
/** Rows fetched at once when scanning. */
const SCAN_ROWS = 256
/** When looking for some slots: at first, and while they lie close together. */
const SEEK_ROWS_MIN = 32
const SCAN_ROWS_MAX = 1024
/** Of rows and keys, read at once. */
const SCAN_BYTES = 256 * 1024
/** Rows of other slots that are read over rather than jumped over. A guess. */
const JUMP_ROWS = 256
/** Rows of one hash that a run reads at most: some 60 slots of a million blocks. */
const RUN_ROWS = 1024
const CACHE_BYTES = 8 * 1024 * 1024

const BINARY = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const
interface Range {
  gt?: Buffer
  gte?: Buffer
  lte?: Buffer
  lt?: Buffer
}

type Level = ClassicLevel<Buffer, Buffer>
type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

export class Catalog {
  readonly directory: string
  readonly #writeBufferBytes: number
  #level: Level

  private constructor(directory: string, writeBufferBytes: number) {
    this.directory = directory
    this.#writeBufferBytes = writeBufferBytes
    this.#level = this.#make()
  }

  /** @throws CairnError LOCKED, STORE_DAMAGED (destroy it and rebuild), or a typed fault */
  static async open(directory: string, writeBufferBytes: number): Promise<Catalog> {
    const catalog = new Catalog(directory, writeBufferBytes)
    await catalog.#openLevel()
    return catalog
  }

  static async destroy(directory: string): Promise<void> {
    await ClassicLevel.destroy(directory)
  }

  #make(): Level {
    return new ClassicLevel(this.directory, {
      ...BINARY,
      compression: false, // digests do not compress
      cacheSize: CACHE_BYTES,
      writeBufferSize: this.#writeBufferBytes
    })
  }

  async #openLevel(): Promise<void> {
    try {
      await this.#level.open()
    } catch (cause) {
      throw openError(cause, this.directory)
    }
  }

  /** Closes and opens LevelDB, which takes no writes after one that failed. */
  async reopen(): Promise<void> {
    await this.#level.close()
    this.#level = this.#make()
    await this.#openLevel()
  }

  async close(): Promise<void> {
    await this.#level.close()
  }

  async row(key: BlockKey): Promise<Row | undefined> {
    return decoded(await reading(this.#level.get(rowKey(key))))
  }

  async rows(keys: readonly BlockKey[]): Promise<(Row | undefined)[]> {
    if (keys.length === 0) return []
    return (await reading(this.#level.getMany(keys.map(rowKey)))).map(decoded)
  }

  /** All or nothing; durable at once only with `sync`. */
  async apply({ rows, segments, state }: CatalogBatch, sync: boolean): Promise<number> {
    const operations: Operation[] = [
      { type: 'put', key: STATE_KEY, value: Buffer.from(JSON.stringify(state)) }
    ]
    let bytes = 200
    for (const [key, row] of rows) {
      const value = row && encodeRow(row)
      bytes += 50 + (value?.length ?? 0)
      operations.push(value ? { type: 'put', key: rowKey(key), value } : { type: 'del', key: rowKey(key) })
    }
    for (const [segment, row] of segments) {
      const key = segmentKey(segment)
      if (row) operations.push({ type: 'put', key, value: Buffer.from(JSON.stringify(row)) })
      else operations.push({ type: 'del', key })
    }
    try {
      await this.#level.batch(operations, { sync })
    } catch (cause) {
      throw fault(cause, 'cannot write the index')
    }
    return bytes
  }

  async state(): Promise<CatalogState | undefined> {
    const value = await reading(this.#level.get(STATE_KEY))
    return value && (JSON.parse(value.toString()) as CatalogState)
  }

  async segments(): Promise<Map<number, SegmentRow>> {
    const segments = new Map<number, SegmentRow>()
    for await (const [key, value] of this.#level.iterator({
      gte: segmentKey(0),
      lte: segmentKey(0xffffffff)
    })) {
      segments.set(key.readUInt32BE(1), JSON.parse(value.toString()) as SegmentRow)
    }
    return segments
  }

  /** Where the scrub is. */
  async scrubbed(): Promise<Position | undefined> {
    const value = await reading(this.#level.get(SCRUB_KEY))
    return value && (JSON.parse(value.toString()) as Position)
  }

  async setScrubbed(position: Position): Promise<void> {
    await this.#level.put(SCRUB_KEY, Buffer.from(JSON.stringify(position)))
  }

  /** The rows of a slot in order of key, from after `after` on. */
  async *slot(slot: number, after?: BlockKey): AsyncGenerator<[BlockKey, Row]> {
    const hex = slot.toString(16).padStart(4, '0')
    for (const prefix of HASH_PREFIXES) {
      const end = `${prefix}${hex}${'ff'.repeat(62)}` as BlockKey
      if (after !== undefined && after >= end) continue
      const start = `${prefix}${hex}` as BlockKey
      const from = after !== undefined && after >= start ? { gt: rowKey(after) } : { gte: rowKey(start) }
      yield* this.#scan({ ...from, lte: rowKey(end) })
    }
  }

  /**
   * The rows of many slots, given in ascending order: by hash, then by key. `take` says whether it wants more
   * of that slot. One walk over the index, which jumps over what lies between: 5,000 slots of one row each
   * cost as much as 20 calls of `slot`.
   */
  async slots(
    slots: readonly number[],
    take: (slot: number, key: BlockKey, row: Row) => boolean
  ): Promise<void> {
    if (slots.length === 0) return
    for (const prefix of HASH_PREFIXES) await this.#slotsOf(prefix, slots, take)
  }

  async #slotsOf(
    prefix: string,
    slots: readonly number[],
    take: (slot: number, key: BlockKey, row: Row) => boolean
  ): Promise<void> {
    const startOf = (slot: number) => rowKey(`${prefix}${slot.toString(16).padStart(4, '0')}` as BlockKey)
    const first = startOf(slots[0] as number)
    const last = Buffer.concat([startOf(slots.at(-1) as number), Buffer.alloc(62, 0xff)])
    const iterator = this.#level.iterator({ gte: first, lte: last, highWaterMarkBytes: SCAN_BYTES })
    try {
      let next = 0
      let atOnce = SEEK_ROWS_MIN
      for (;;) {
        const entries = await reading(iterator.nextv(atOnce))
        const first = entries[0]?.[0].readUInt16BE(SLOT_AT) ?? SLOTS
        let slot = -1
        for (const [key, value] of entries) {
          slot = key.readUInt16BE(SLOT_AT)
          while ((slots[next] ?? SLOTS) < slot) next++
          if (slots[next] !== slot) continue
          if (!take(slot, toHex(key.subarray(1)) as BlockKey, decodeRow(value))) next++
        }
        const wanted = slots[next]
        // LevelDB gives fewer than asked for whenever that is enough bytes: only none is the end.
        if (entries.length === 0 || wanted === undefined) return
        // A jump costs a call of its own, as much as reading some hundred rows.
        const rowsBetween = ((wanted - slot - 1) * entries.length) / (slot - first + 1)
        const isFar = rowsBetween > JUMP_ROWS
        if (isFar) iterator.seek(startOf(wanted))
        atOnce = isFar ? SEEK_ROWS_MIN : Math.min(SCAN_ROWS_MAX, atOnce * 2)
      }
    } finally {
      await iterator.close()
    }
  }

  /** Every row, by hash and then by key. */
  all(): AsyncGenerator<[BlockKey, Row]> {
    return this.#scan({ gte: Buffer.of(ROW), lt: Buffer.of(ROW + 1) })
  }

  async *#scan(range: Range, atOnce = SCAN_ROWS): AsyncGenerator<[BlockKey, Row]> {
    const iterator = this.#level.iterator(range)
    try {
      for (;;) {
        const entries = await reading(iterator.nextv(atOnce))
        if (entries.length === 0) return
        for (const [key, value] of entries) {
          yield [toHex(key.subarray(1)) as BlockKey, decodeRow(value)]
        }
      }
    } finally {
      await iterator.close()
    }
  }

  /**
   * The rows of all slots from `slot` on and before `end`, which is beyond it; some hundreds. `undefined`
   * for a slot that has too many.
   */
  async run(slot: number): Promise<{ slots: Map<number, [BlockKey, Row][] | undefined>; end: number }> {
    const hex = slot.toString(16).padStart(4, '0')
    const reads = HASH_PREFIXES.map(async (prefix) => {
      const gte = rowKey(`${prefix}${hex}` as BlockKey)
      const lte = rowKey(`${prefix}${'ff'.repeat(64)}` as BlockKey)
      const rows: [BlockKey, Row][] = []
      for await (const row of this.#scan({ gte, lte }, RUN_ROWS)) if (rows.push(row) === RUN_ROWS) break
      return rows
    })
    const all = await Promise.all(reads)
    // A read that stopped at its limit may have left some of its last slot: that slot is the next run's.
    const ends = all.map((rows) => (rows.length < RUN_ROWS ? SLOTS : slotOf(rows.at(-1)?.[0] as BlockKey)))
    const end = Math.max(slot + 1, Math.min(...ends))
    const slots = new Map<number, [BlockKey, Row][] | undefined>()
    for (const row of all.flat().filter(([key]) => slotOf(key) < end)) {
      slots.set(slotOf(row[0]), [...(slots.get(slotOf(row[0])) ?? []), row])
    }
    if (Math.min(...ends) <= slot) slots.set(slot, undefined)
    return { slots: new Map([...slots].sort(([a], [b]) => a - b)), end }
  }

  /** What the index takes on disk now, bytes. Files that vanish while being counted count nothing. */
  async diskBytes(): Promise<number> {
    let bytes = 0
    for (const name of await readdir(this.directory)) {
      bytes += await stat(join(this.directory, name)).then(
        ({ size }) => size,
        () => 0
      )
    }
    return bytes
  }
}

function decoded(value: Buffer | undefined): Row | undefined {
  return value && decodeRow(value)
}

function rowKey(key: BlockKey): Buffer {
  const out = Buffer.allocUnsafe(1 + key.length / 2)
  out[0] = ROW
  out.write(key, 1, 'hex')
  return out
}

function segmentKey(segment: number): Buffer {
  const out = Buffer.from('s0000')
  out.writeUInt32BE(segment, 1)
  return out
}

/** What LevelDB can't read for want of files is typed; anything else means that it is damaged. */
async function reading<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'LEVEL_DATABASE_NOT_OPEN') {
      throw new CairnError('BUSY', 'the index is being opened again', {
        cause,
        hint: 'Try again in a moment.'
      })
    }
    const typed = fault(cause, 'cannot read the index')
    if (typed.code !== 'DISK_FAILED') throw typed
    const hint = 'Restart the node: it makes the index again from the segments.'
    throw new CairnError('STORE_DAMAGED', typed.message, { cause, hint })
  }
}

function openError(cause: unknown, directory: string): CairnError {
  const codes: string[] = []
  const messages: string[] = []
  for (let error = cause; error instanceof Error; error = error.cause) {
    codes.push(String((error as NodeJS.ErrnoException).code))
    messages.push(error.message)
  }
  if (codes.includes('LEVEL_LOCKED')) {
    return new CairnError('LOCKED', `${directory} is in use by another process`, {
      cause,
      hint: 'Stop the other node first: one directory is one node.'
    })
  }
  const typed = fault(cause, `cannot open the index: ${messages.join(': ')}`)
  if (typed.code !== 'DISK_FAILED') return typed
  return new CairnError('STORE_DAMAGED', typed.message, { cause, hint: 'Run `cairn store rebuild`.' })
}
