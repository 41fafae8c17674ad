/**
 * The store on a disk: segments, an index, one writer, and two that work in the background. This file
 * puts them together, opens, closes and counts; what each decides is in its own.
 */
import { writeFile } from 'node:fs/promises'
import { type BlockKey, CairnError, type HeldClaim, isEnded, isUnchanged } from '@cairn/core'
import { Background, COMPACT_BYTES_PER_SECOND, type ScrubOptions, type ScrubStatus } from './background.ts'
import type { Catalog, SegmentRow } from './catalog.ts'
import { endedPage } from './ended.ts'
import { fault } from './fault.ts'
import { Files } from './files.ts'
import { ALIGN_BYTES, isSegmentPage, segmentPage } from './format.ts'
import { adopt, type Identity, identify, type Known } from './identity.ts'
import { unite } from './ledger.ts'
import { mirroredPage } from './mirrored.ts'
import { orderOfCalls } from './order.ts'
import type { Op } from './plan.ts'
import { Reader } from './reader.ts'
import type { Position } from './record.ts'
import { type Recovered, type RecoveryProgress, rebuildMark, recover, segmentNonce } from './recover.ts'
import { dropBallast, Room } from './room.ts'
import { type RowStat, rowStat } from './row.ts'
import type { ScrubReport } from './scrub.ts'
import type {
  BlockHead,
  BlockStat,
  EndedOptions,
  EndedPage,
  Entry,
  HeldBlock,
  KnownBlock,
  KnownCopy,
  KnownHead,
  ListOptions,
  MirroredOptions,
  MirroredPage,
  SlotSummary,
  Store,
  StoreOptions,
  Usage
} from './store.ts'
import { Changes, type Fingerprinted, type Run } from './summary.ts'
import { isLong, verifyLong } from './verify.ts'
import type { Totals } from './weigh.ts'
import { Writer } from './writer.ts'

/** Of one call, deleted in one go. */
const DELETE_OPS = 512

export interface OpenOptions extends StoreOptions {
  directory: string
  /** While segments are taken into the index: after a crash, or in a rebuild. */
  onProgress?: (progress: RecoveryProgress) => void
  /** What failed in the background, where nobody waits for it: compaction, scrub. */
  onError?: (error: CairnError) => void
  /** Bytes a second that compaction may write while there is room enough. */
  compactBytesPerSecond?: number
  /** Makes the index anew from the segments. */
  rebuild?: boolean
  /** Where a block is read into, for who reads many and has memory to use again. Fresh memory by default. */
  memory?: (length: number) => Buffer
  /** False keeps long writes in the page cache even where the file system can do without (O_DIRECT). */
  direct?: boolean
}

/** Opens a store, or makes one. @throws CairnError LOCKED, NEWER_VERSION, BAD_CONFIG, FULL, READ_ONLY… */
export async function openStore(options: OpenOptions): Promise<DiskStore> {
  try {
    return await open(options)
  } catch (cause) {
    if (!CairnError.is(cause, 'FULL') || !(await dropBallast(options.directory))) throw cause
    return await open(options)
  }
}

async function open(options: OpenOptions): Promise<DiskStore> {
  const { directory, capacity, onProgress, rebuild = false, direct = true } = options
  const room = new Room(directory, capacity)
  const files = await Files.open(directory, { direct })
  let catalog: Catalog | undefined
  try {
    const sizes = await files.list()
    const known = await identify(directory, await segmentNonce(files, sizes))
    const nonce = Buffer.from(known.identity.nonce, 'hex')
    const { writeBufferBytes } = room
    const recovered = await recover({ files, nonce, writeBufferBytes, rebuild, onProgress })
    catalog = recovered.catalog
    const store = new DiskStore({
      options,
      room,
      files,
      known,
      recovered,
      position: await begin(files, nonce, recovered)
    })
    await store.recover(recovered)
    return store
  } catch (cause) {
    await catalog?.close()
    await files.close()
    throw fault(cause, `cannot open the store in ${directory}`)
  }
}

/** Makes the index of a store anew from its segments alone. The store must not be open. */
export async function rebuildStore(options: OpenOptions): Promise<Usage> {
  const store = await openStore({ ...options, rebuild: true })
  const usage = store.usage()
  await store.close()
  return usage
}

/** Where writing goes on: at the end of the last segment if it is clean, else in a new one. */
async function begin(files: Files, nonce: Buffer, { end, tail, segments }: Recovered): Promise<Position> {
  if (end !== undefined && tail.length === 0) {
    await files.truncate(end.segment, end.offset) // nothing after it is whole
    if (isSegmentPage(await files.read(end.segment, 0, ALIGN_BYTES), nonce, end.segment)) return end
  }
  const last = segments.get(end?.segment ?? 0)
  if (last !== undefined) last.sealed = true
  const segment = (end?.segment ?? 0) + 1
  await files.create(segment, segmentPage(nonce, segment))
  segments.set(segment, { size: ALIGN_BYTES, live: 0, sealed: false, scrubbedAtMs: 0 })
  return { segment, offset: ALIGN_BYTES }
}

interface Parts {
  options: OpenOptions
  room: Room
  files: Files
  known: Known
  recovered: Recovered
  position: Position
}

export class DiskStore implements Store {
  #identity: Identity
  #copied: boolean
  readonly #directory: string
  readonly #files: Files
  readonly #catalog: Catalog
  readonly #room: Room
  readonly #totals: Totals
  readonly #segments: ReadonlyMap<number, SegmentRow>
  readonly #changes = new Changes({ sweep: true })
  readonly #order = orderOfCalls()
  readonly #writer: Writer
  readonly #reader: Reader
  readonly #background: Background
  #closed: Promise<void> | undefined

  constructor({ options, room, files, known, recovered, position }: Parts) {
    const { catalog, segments, totals } = recovered
    const nonce = Buffer.from(known.identity.nonce, 'hex')
    this.#identity = known.identity
    this.#copied = known.copied
    this.#directory = options.directory
    this.#files = files
    this.#catalog = catalog
    this.#room = room
    this.#totals = totals
    this.#segments = segments
    const changes = this.#changes
    this.#writer = new Writer({ files, catalog, nonce, segments, totals, room, changes, position })
    const write = (ops: readonly Op[]): Promise<void> => this.#writer.submit(ops, true)
    const { onLost = () => undefined, onError = () => undefined, memory = Buffer.allocUnsafeSlow } = options
    this.#reader = new Reader({ files, catalog, write, onLost, memory })
    const [writer, reader] = [this.#writer, this.#reader]
    const { compactBytesPerSecond = COMPACT_BYTES_PER_SECOND } = options
    const parts = { files, catalog, writer, reader, room, segments, nonce, compactBytesPerSecond }
    this.#background = new Background({ ...parts, nowMs: Date.now, onError })
  }

  /** Whose directory this is. The nonce in it must not leave it. */
  get identity(): Readonly<Identity> {
    return this.#identity
  }

  /** The directory was copied or restored from elsewhere: another may be in use under the same identity. */
  get copied(): boolean {
    return this.#copied
  }

  /** Writes again what was found whole after the last certain sync, and only then cuts it off there. */
  async recover({ tail, end, orphans }: Recovered): Promise<void> {
    await this.#measure()
    await this.#room.ballast(Date.now())
    this.#room.recovering = true
    for (const op of tail) await this.#writer.submit([op], true)
    if (end !== undefined && tail.length > 0) {
      await this.#files.truncate(end.segment, end.offset)
      await this.#files.sync(end.segment)
    }
    if (orphans) await this.#deleteOrphans()
    this.#room.recovering = false
    this.#background.start()
  }

  /** Live claims whose block is lost: they go too, and come back with the block from another holder. */
  async #deleteOrphans(): Promise<void> {
    for await (const [key, { block, claims }] of this.#catalog.all()) {
      if (block === undefined && !isEnded(claims)) await this.#writer.submit([{ type: 'delete', key }], true)
    }
  }

  async #measure(): Promise<void> {
    let bytes = 0
    for (const size of (await this.#files.list()).values()) bytes += size
    this.#room.segments = bytes
    this.#room.indexMeasured(await this.#catalog.diskBytes())
  }

  async put(entries: readonly Entry[]): Promise<void> {
    this.#usable()
    const united = unite(entries)
    const keys = united.map(({ key }) => key)
    const submit = (): Promise<void> => this.#writer.submit(united.map(putOp), false)
    try {
      await this.#order.run(keys, verifyLong(united), submit)
    } catch (cause) {
      if (CairnError.is(cause, 'FULL')) this.#background.wake()
      throw this.#noticed(cause)
    }
  }

  async get(key: BlockKey): Promise<Uint8Array | undefined> {
    this.#usable()
    return this.#noting(this.#reader.get(key))
  }

  /** As `get` for each key, in their order, read in the disk's. */
  async getMany(keys: readonly BlockKey[]): Promise<(Uint8Array | undefined)[]> {
    this.#usable()
    return this.#noting(this.#reader.getMany(keys))
  }

  async stat(key: BlockKey): Promise<BlockStat | undefined> {
    this.#usable()
    return this.#noting(this.#reader.stat(key))
  }

  async verified(key: BlockKey): Promise<BlockStat | undefined> {
    this.#usable()
    return this.#noting(this.#reader.verified(key, (segment) => this.#background.isScrubbed(segment)))
  }

  async read(keys: readonly BlockKey[]): Promise<(HeldBlock | undefined)[]> {
    this.#usable()
    return this.#noting(this.#reader.read(keys))
  }

  async heads(keys: readonly BlockKey[]): Promise<(BlockHead | undefined)[]> {
    this.#usable()
    return this.#noting(this.#reader.heads(keys))
  }

  async known(key: BlockKey): Promise<KnownBlock | undefined> {
    this.#usable()
    return this.#noting(this.#reader.known(key))
  }

  async knownHeads(keys: readonly BlockKey[]): Promise<(KnownHead | undefined)[]> {
    this.#usable()
    return this.#noting(this.#reader.knownHeads(keys))
  }

  async ended(options: EndedOptions): Promise<EndedPage> {
    this.#usable()
    return this.#noting(endedPage(this.#catalog, this.#changes.ended(options.fromSlot), options))
  }

  async list(slot: number, { after, limit }: ListOptions): Promise<BlockHead[]> {
    this.#usable()
    return this.#noting(this.#reader.list(this.#catalog.slot(slot, after), limit))
  }

  async lists(slots: readonly number[], limit: number): Promise<Map<number, BlockHead[]>> {
    this.#usable()
    return this.#noting(this.#reader.lists(slots, limit))
  }

  /** Every block held, by hash and then by key. */
  async *keys(): AsyncGenerator<BlockKey> {
    this.#usable()
    for await (const [key, { block }] of this.#catalog.all()) if (block !== undefined) yield key
  }

  async delete(keys: readonly BlockKey[]): Promise<void> {
    await this.#delete([...new Set(keys)].map((key) => ({ type: 'delete', key })))
  }

  async letGo(copies: readonly KnownCopy[]): Promise<void> {
    await this.#delete(copies.map(({ key, claims }) => ({ type: 'let-go', key, claims })))
  }

  async collect(copies: readonly KnownCopy[]): Promise<void> {
    const ops: Op[] = []
    for (const { key, claims } of copies) {
      const known = await this.known(key)
      if (known?.held && isUnchanged(known.claims, claims)) {
        ops.push({ type: 'collect', key, claims: known.claims })
      }
    }
    await this.#delete(ops)
  }

  async mirroredSizes(keys: readonly BlockKey[], claimant: string): Promise<(number | undefined)[]> {
    this.#usable()
    return this.#noting(this.#reader.mirroredSizes(keys, claimant))
  }

  async listMirrored(options: MirroredOptions): Promise<MirroredPage> {
    this.#usable()
    return this.#noting(mirroredPage(this.#catalog, options))
  }

  async unmirror(entries: readonly { key: BlockKey; claim: HeldClaim }[]): Promise<void> {
    await this.#delete(entries.map(({ key, claim }) => ({ type: 'unmirror', key, claim })))
  }

  async #delete(ops: readonly Op[]): Promise<void> {
    this.#usable()
    const calls: Promise<void>[] = []
    for (let i = 0; i < ops.length; i += DELETE_OPS) {
      const some = ops.slice(i, i + DELETE_OPS)
      const keys = some.map(({ key }) => key)
      calls.push(this.#order.run(keys, undefined, () => this.#writer.submit(some, true)))
    }
    await this.#noting(Promise.all(calls))
    this.#background.wake()
  }

  async changes(limit: number): Promise<SlotSummary[]> {
    this.#usable()
    const catalog = this.#catalog
    const source = {
      slots: (slots: readonly number[], take: (slot: number, block: Fingerprinted) => void) =>
        catalog.slots(slots, (slot, key, row) => {
          const stat = rowStat(key, row)
          if (stat !== undefined) take(slot, stat)
          return true
        }),
      run: (slot: number) => runOf(catalog, slot)
    }
    return this.#noting(this.#changes.take(limit, source))
  }

  usage(): Usage {
    const { used, capacity, full } = this.#room
    const { stuck, fenced } = this.#writer
    return { ...this.#totals, diskBytes: used, capacity, full: full || stuck, readOnly: fenced }
  }

  scrubStatus(): ScrubStatus {
    return this.#background.scrubStatus()
  }

  /** Reads and compares everything now, as fast as it goes. @throws the signal's reason, UNREACHABLE */
  async scrubNow(options: ScrubOptions = {}): Promise<ScrubReport> {
    this.#usable()
    return this.#noting(this.#background.scrubNow(options))
  }

  /** Takes back all room that is worth taking back, without minding the budget. */
  async compactNow(): Promise<void> {
    this.#usable()
    await this.#noting(this.#background.compactNow())
  }

  /**
   * Takes a copied directory for one's own, under another id; the next opening finds nothing odd. What was
   * read and verified was the original's disk: here nothing counts as verified until it is read again.
   */
  async adopt(): Promise<void> {
    this.#usable()
    for (const segment of this.#segments.keys()) await this.#writer.setSegment(segment, { scrubbedAtMs: 0 })
    await this.#catalog.setScrubbed({ segment: 0, offset: 0 })
    this.#identity = await adopt(this.#directory, this.#identity)
    this.#copied = false
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#background.stop()
    await this.#order.settled()
    try {
      await this.#writer.close()
    } finally {
      await this.#catalog.close()
      await this.#files.close()
    }
  }

  #usable(): void {
    if (this.#closed !== undefined) throw new RangeError('the store is closed')
  }

  async #noting<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (cause) {
      throw this.#noticed(cause)
    }
  }

  /** A damaged index is made anew at the next opening. */
  #noticed(cause: unknown): unknown {
    if (CairnError.is(cause, 'STORE_DAMAGED')) {
      writeFile(rebuildMark(this.#directory), '').catch(() => undefined) // the next read notices it again
    }
    return cause
  }
}

function putOp({ key, bytes, claims, verified }: Entry): Op {
  if (bytes === undefined) return { type: 'put', key, claims }
  if (verified || isLong(bytes)) return { type: 'put', key, bytes, claims }
  return { type: 'put', key, bytes, claims, unverified: true }
}

async function runOf(catalog: Catalog, slot: number): Promise<Run> {
  const { slots, end } = await catalog.run(slot)
  const held = new Map<number, RowStat[] | undefined>()
  for (const [number, rows] of slots) {
    const stats = rows?.map(([key, row]) => rowStat(key, row)).filter((stat) => stat !== undefined)
    if (stats?.length !== 0) held.set(number, stats)
  }
  return { slots: held, end }
}
