/**
 * Blocks on their way to their holders: keeps the bytes of a put until its last transfer is over, sends
 * what the core says to whom it says, checks the receipts that come back. The core counts them.
 */
import { createHash } from 'node:crypto'
import { cidOfKey, keyOf } from '@cairn/blocks'
import {
  type BlockKey,
  CairnError,
  type Change,
  CLAIMANT_ID_BYTES,
  type CoreAction,
  type HeldClaim,
  isLettingGo,
  type PeerId,
  REPLICAS_MAX,
  type ReceiptItem,
  readReceipt,
  type SettledBlock,
  signChange
} from '@cairn/core'
import type { Entry } from '@cairn/store'
import type { CID } from 'multiformats/cid'
import type { HeldReceipt, PutOptions, PutOutcome } from './api.ts'
import type { Claimer } from './claimer.ts'
import type { OutEntry } from './frame.ts'
import { heldReceipt, receiptFor, receiptItem } from './receipts.ts'
import type { Answer } from './serve.ts'
import type { Shell } from './shell.ts'
import { openUploadJournal } from './upload-journal.ts'

type Settled = CoreAction & { type: 'put-settled' }

export interface Uploads {
  /** Puts blocks, or claims those given without bytes. */
  put(
    upload: string,
    blocks: readonly Pending[],
    options?: PutOptions & { end?: boolean; claim?: Claimant }
  ): Promise<PutOutcome>
  /** A pin is about to take over an upload's claims: those of this id. Undefined where there are none. */
  adopt(upload: string): Promise<string | undefined>
  /** An upload is over: its blocks are kept by something else, or not at all. Its claims end by `sweep`. */
  finish(upload: string): Promise<void>
  /** Ends the claims of uploads that are over. @throws TOO_FEW_REPLICAS while their holders are away */
  sweep(): Promise<void>
  /** Uploads that nobody has gone on with for so long are over. */
  abandon(idleMs: number): Promise<string[]>
  send(action: CoreAction & { type: 'send-blocks' }): void
  settled(action: Settled): void
  over(action: CoreAction & { type: 'put-over' }): void
  /** Fails all puts under way, and those to come. */
  close(error: CairnError): void
  /** Puts whose bytes are still held, and those bytes. */
  held(): { puts: number; bytes: number }
}

/** Whose claim it is, where it is not the upload's own, and who signs it. */
export type Claimant = Pick<Change, 'kind' | 'id' | 'sequence' | 'live'> & {
  by: Pick<Claimer, 'id' | 'crypto'>
}

/** A block to be kept; without bytes its holders are to have it already. */
export interface Pending {
  cid: CID
  bytes?: Uint8Array
  /** The bytes were checked against the CID just now. */
  verified?: true
}

interface Put {
  entries: Map<BlockKey, Entry>
  /** Of its blocks. */
  bytes: number
  resolve(blocks: SettledBlock[]): void
  reject(error: unknown): void
  settled: boolean
  abort: AbortController
  /** Those that came, for who asked for them. */
  receipts: HeldReceipt[] | undefined
  /** Transfers that look at its bytes, and whether the core may ask for more; then who lent them is told. */
  users: number
  over: boolean
  onReleased: (() => void) | undefined
}

/**
 * Bytes kept for transfers that go on after their put was answered: to a slow member that was stood in
 * for. Beyond it the oldest are given up, and that member finds what it lacks by comparing. A guess.
 */
const LINGERING_BYTES_MAX = 32 * 1024 * 1024
/** Named of the blocks that are short of N. */
const SHORT_NAMED_MAX = 100
/** What a reason for want of room begins with: the core passes reasons on as text. */
const FULL_MARK = 'full: '
const PEER_ID = /\b12D3[1-9A-HJ-NP-Za-km-z]{48}\b/g
/** Sequences of an upload's claims. */
export const [LIVE, ENDED] = [1, 2]
const UPLOAD_ID = /^[0-9a-f]{32}$/

export function createUploads(shell: () => Shell, home: string): Uploads {
  const puts = new Map<number, Put>()
  const journal = openUploadJournal(home)
  let nextPut = 1

  const uploads: Uploads = {
    async adopt(upload) {
      const begun = await journal.adopt(upload)
      return begun === undefined ? undefined : idOf(shell(), upload, begun)
    },
    finish: journal.finish,
    abandon: (idleMs) => journal.abandon(idleMs, Date.now()),
    sweep: () =>
      journal.sweep(async (upload, keys, { begun, replicas }) => {
        const claim = { ...claimOf(shell(), idOf(shell(), upload, begun)), sequence: ENDED, live: false }
        const blocks = keys.map((key) => ({ cid: cidOfKey(key, 'raw') }))
        await uploads.put(upload, blocks, { replicas, ack: 'quorum', claim })
      }),
    async put(upload, blocks, options = {}) {
      if (!UPLOAD_ID.test(upload)) throw new CairnError('BAD_REQUEST', `not an upload's id: ${upload}`)
      if (blocks.length === 0) throw new RangeError('a put needs a block')
      const { signal, ack = 'all', end = false, claim } = options
      signal?.throwIfAborted()
      shell().usable()
      const replicas = options.replicas ?? shell().network.replicas
      if (!Number.isInteger(replicas) || replicas < 1 || replicas > REPLICAS_MAX) {
        throw new CairnError('BAD_REQUEST', `a block has 1 to ${REPLICAS_MAX} replicas, not ${replicas}`)
      }
      const keys = blocks.map(({ cid }) => keyOf(cid))
      const own = async (): Promise<Claimant> => {
        const begun = await journal.note(upload, keys, replicas)
        return { ...claimOf(shell(), idOf(shell(), upload, begun)), sequence: LIVE, live: true }
      }
      const by = end ? endOfOld(shell(), upload) : (claim ?? (await own()))
      signal?.throwIfAborted() // meanwhile: an event that was before its listener never comes
      shell().usable() // nor is anybody there to settle a put that came after the end
      const entries = claimed(shell(), blocks, { replicas, claim: by })
      const cids = new Map(blocks.map(({ cid }) => [keyOf(cid), cid]))
      const bytes = bytesOf(entries)
      const { promise, resolve, reject } = Promise.withResolvers<SettledBlock[]>()
      const abort = new AbortController()
      const put = nextPut++
      const receipts: HeldReceipt[] | undefined = options.receipts === true ? [] : undefined
      const { onReleased } = options
      const fresh = { settled: false, over: false, users: 0 }
      puts.set(put, { entries, bytes, resolve, reject, abort, receipts, onReleased, ...fresh })
      const stop = (): void => {
        reject(signal?.reason)
        abort.abort(signal?.reason)
        shell().dispatch({ type: 'cancel-put', put })
      }
      signal?.addEventListener('abort', stop)
      try {
        const wanted = [...entries.values()].map((entry) => {
          return { key: entry.key, replicas, bytes: entry.bytes !== undefined }
        })
        shell().dispatch({ type: 'put', put, ack, entries: wanted })
        const outcome = outcomeOf(shell(), await promise, { cids, replicas, bytes })
        return receipts === undefined ? outcome : { ...outcome, receipts: [...receipts] }
      } finally {
        signal?.removeEventListener('abort', stop)
      }
    },
    send(action) {
      const put = puts.get(action.put)
      if (put === undefined) return
      const { transfer } = action
      put.users++
      const entries = action.keys.map((key) => put.entries.get(key) as Entry)
      const sending =
        action.to === shell().id
          ? shell().during(keepOwn(shell(), entries, put))
          : sendTo(shell(), action, entries, put)
      const ended = (): void => {
        put.users--
        release(put)
      }
      sending.finally(ended).then(
        (answer) => {
          if (answer !== undefined) shell().dispatch({ type: 'answered', transfer, items: answer.items })
          shell().dispatch({ type: 'send-ended', transfer, reason: 'not answered' })
        },
        (error: unknown) => {
          shell().dispatch({ type: 'send-ended', transfer, reason: asCairnError(error).message })
        }
      )
    },
    settled(action) {
      const put = puts.get(action.put)
      if (put === undefined) return
      put.settled = true
      put.resolve(action.blocks)
      let lingering = 0
      for (const one of puts.values()) if (one.settled) lingering += one.bytes
      for (const one of puts.values()) {
        if (lingering <= LINGERING_BYTES_MAX) break
        if (!one.settled) continue
        lingering -= one.bytes
        one.abort.abort(new CairnError('TIMEOUT', 'others have the blocks, and this member is slow'))
      }
    },
    over(action) {
      const put = puts.get(action.put)
      puts.delete(action.put)
      if (put === undefined) return
      if (action.late.length > 0) put.abort.abort(new CairnError('TIMEOUT', 'the put took too long'))
      put.over = true
      release(put)
    },
    close(error) {
      for (const put of puts.values()) {
        put.reject(error)
        put.abort.abort(error)
      }
      puts.clear()
    },
    held() {
      let bytes = 0
      for (const put of puts.values()) bytes += put.bytes
      return { puts: puts.size, bytes }
    }
  }
  return uploads
}

/**
 * Of each node that takes part in an upload, and each time that one begins it, another: what a pin takes over
 * is nobody else's to end.
 */
function idOf({ id }: Pick<Shell, 'id'>, upload: string, begun: number): string {
  return createHash('sha256').update(`${upload} ${id} ${begun}`).digest('hex')
}

function claimOf({ claimer }: Pick<Shell, 'claimer'>, id: string) {
  return { kind: 'upload', id, by: claimer } as const
}

/** Claims that uploads made when pins were files. */
function endOfOld(shell: Shell, upload: string): Claimant {
  const id = upload.padEnd(2 * CLAIMANT_ID_BYTES, '0')
  return { kind: 'upload', id, sequence: ENDED, live: false, by: shell }
}

function release({ users, over, onReleased }: Put): void {
  if (over && users === 0) onReleased?.()
}

function bytesOf(entries: ReadonlyMap<BlockKey, Entry>): number {
  let sum = 0
  for (const { bytes } of entries.values()) sum += bytes?.length ?? 0
  return sum
}

/** The entries of a put, each under the claim. */
function claimed(
  { network }: Shell,
  blocks: readonly Pending[],
  { replicas, claim: { by, ...register } }: { replicas: number; claim: Claimant }
): Map<BlockKey, Entry> {
  const change: Change = { ...register, network: network.id, owner: by.id, replicas, lifetimeMs: 0 }
  const given = new Map(blocks.map(({ cid, ...block }) => [keyOf(cid), block]))
  const claims = signChange(change, [...given.keys()], by.crypto)
  const entries = new Map<BlockKey, Entry>()
  for (const [key, block] of given)
    entries.set(key, { key, claims: [claims.get(key) as HeldClaim], ...block })
  return entries
}

/** This node is one of the holders. */
async function keepOwn(shell: Shell, entries: readonly Entry[], put: Put): Promise<Answer> {
  const answer = await keepEntries(shell, entries)
  shell.changed()
  if (put.receipts === undefined) return answer // who counts on itself needs no signature
  const items = heldItems(shell, answer, put)
  if (items.length > 0) put.receipts.push(heldReceipt(receiptFor(shell, items), items))
  return answer
}

/** What the answer says is held, as a receipt names it. */
function heldItems(shell: Shell, answer: Answer, put: Put): ReceiptItem[] {
  return answer.items
    .filter(({ outcome }) => outcome === 'held')
    .map(({ key }) => receiptItem(shell, put.entries.get(key) as Entry))
}

/**
 * Puts entries, one a key, into the store and says what became of each. Nothing is said of them before it
 * is durable.
 */
export async function storeEntries(shell: Shell, entries: readonly Entry[]): Promise<Answer> {
  const outcome = new Map<BlockKey, Answer['items'][number]>()
  const known: Entry[] = []
  try {
    const bare = entries.filter(({ bytes }) => bytes === undefined).map(({ key }) => key)
    const heads = bare.length === 0 ? [] : await shell.store.heads(bare)
    const absent = new Set(bare.filter((_, i) => heads[i] === undefined))
    for (const entry of entries) {
      if (absent.has(entry.key)) outcome.set(entry.key, { key: entry.key, outcome: 'absent' })
      else known.push(entry)
    }
    if (known.length > 0) await shell.store.put(known)
    for (const { key } of known) outcome.set(key, { key, outcome: 'held' })
  } catch (error) {
    const { code, message } = asCairnError(error)
    if (code === 'DISK_FAILED' || code === 'READ_ONLY') shell.log('error', message)
    const refused = code === 'BLOCK_CORRUPT' || code === 'BLOCK_TOO_LARGE' || code === 'BAD_CID'
    const said = code === 'FULL' ? 'full' : refused ? 'refused' : 'failed'
    const reason = said === 'full' ? `${FULL_MARK}${message}` : message
    for (const { key } of entries) if (!outcome.has(key)) outcome.set(key, { key, outcome: said, reason })
  }
  return { items: entries.map(({ key }) => outcome.get(key) as Answer['items'][number]) }
}

/** The same for what others or this node put: what repair wanted of it is here by another way. */
export async function keepEntries(shell: Shell, entries: readonly Entry[]): Promise<Answer> {
  // No receipt for what is being deleted: the sender asks the next in the order.
  const staying = entries.filter(({ key }) => !isLettingGo(shell.core, key))
  const answer = await storeEntries(shell, staying)
  const held = answer.items.filter(({ outcome }) => outcome === 'held')
  shell.dispatch({ type: 'stored', keys: held.map(({ key }) => key) })
  if (staying.length === entries.length) return answer
  const kept = new Map(answer.items.map((item) => [item.key, item]))
  const going = { outcome: 'failed' as const, reason: 'this copy is being let go of' }
  return { items: entries.map(({ key }) => kept.get(key) ?? { key, ...going }) }
}

async function sendTo(
  shell: Shell,
  { transfer, to }: CoreAction & { type: 'send-blocks' },
  entries: readonly Entry[],
  put: Put
): Promise<undefined> {
  const out: OutEntry[] = entries.map(({ key, bytes, claims }) => {
    const entry = { key, proofs: claims.map(({ proof }) => proof) }
    return bytes === undefined ? entry : { ...entry, bytes }
  })
  const onAnswer = (answer: Answer): void => {
    const items = checkAnswer(shell, to, answer, put)
    shell.dispatch({ type: 'answered', transfer, items })
  }
  await shell.transport.sendBlocks(to, out, { signal: put.abort.signal, onAnswer })
}

/** What a holder answered, where its receipt bears it out: "held" without a receipt is a failure. */
function checkAnswer(shell: Shell, holder: PeerId, answer: Answer, put: Put): Answer['items'] {
  const items = heldItems(shell, answer, put)
  if (items.length === 0) return answer.items
  try {
    const receipt = answer.receipt ?? new Uint8Array()
    readReceipt(receipt, { network: shell.network.id, holder, items }, shell.crypto)
    put.receipts?.push(heldReceipt(receipt, items))
    return answer.items
  } catch (error) {
    const reason = asCairnError(error).message
    shell.log('warn', `${shell.nameOf(holder)} gave a bad receipt: ${reason}`)
    return answer.items.map((item) => {
      return item.outcome === 'held' ? { key: item.key, outcome: 'failed' as const, reason } : item
    })
  }
}

function outcomeOf(
  shell: Shell,
  settled: readonly SettledBlock[],
  put: { cids: Map<BlockKey, CID>; replicas: number; bytes: number }
): PutOutcome {
  const cidOf = (key: BlockKey) => put.cids.get(key) ?? cidOfKey(key, 'raw')
  const byHolder = new Map<PeerId, number>()
  for (const { receipts } of settled) {
    for (const peer of receipts) byHolder.set(peer, (byHolder.get(peer) ?? 0) + 1)
  }
  const absent = settled.filter((block) => block.absent && block.receipts.length < block.wanted)
  const rest = settled.filter((block) => !absent.includes(block))
  const failed = rest.filter(({ receipts, needed }) => receipts.length < needed)
  if (failed.length > 0) throw tooFew(shell, failed, cidOf)
  const short = rest.filter(({ receipts, wanted }) => receipts.length < wanted)
  return {
    blocks: settled.length,
    bytes: put.bytes,
    replicas: rest.reduce((least, { receipts }) => Math.min(least, receipts.length), put.replicas),
    wanted: put.replicas,
    needed: Math.max(1, ...rest.map(({ needed }) => needed)),
    holders: [...byHolder].map(([peer, blocks]) => ({ peer, name: shell.nameOf(peer), blocks })),
    short: short.slice(0, SHORT_NAMED_MAX).map(({ key, receipts, reason }) => {
      return { cid: cidOf(key), replicas: receipts.length, reason: said(shell, reason) }
    }),
    absent: absent.map(({ key }) => cidOf(key))
  }
}

/** A reason of the core's, with members by name. */
function said(shell: Shell, reason = 'waiting for a member'): string {
  return reason.replace(PEER_ID, (id) => shell.nameOf(id as PeerId))
}

function tooFew(shell: Shell, failed: readonly SettledBlock[], cidOf: (key: BlockKey) => CID): CairnError {
  const [first] = failed as [SettledBlock]
  const named = failed
    .slice(0, 3)
    .map(({ key, receipts, needed }) => `${cidOf(key)} (${receipts.length} of ${needed})`)
  const more = failed.length > named.length ? ` and ${failed.length - named.length} more` : ''
  const full = failed.every(({ reason }) => reason?.includes(FULL_MARK))
  return new CairnError(
    full ? 'FULL' : 'TOO_FEW_REPLICAS',
    `blocks short of receipts: ${named.join(', ')}${more}: ${said(shell, first.reason)}`,
    {
      hint: full ? 'add a member, or give one more capacity' : 'put again: what was stored is not sent twice'
    }
  )
}

export function asCairnError(error: unknown): CairnError {
  if (CairnError.is(error)) return error
  const text = error instanceof Error ? error.message : String(error)
  return new CairnError('INTERNAL', text, { cause: error })
}
