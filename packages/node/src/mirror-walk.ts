/**
 * What a mirror asks of the disk and of others: every block below a root is held under the mirror's claim,
 * fetched where it is not here; and what its last root does not need is let go of. Leaves that are here are
 * not read: the index knows them.
 */
import { cidOfKey, dagBlocks, keyOf } from '@cairn/blocks'
import { type BlockKey, CairnError, type Change, claimantOf, type HeldClaim, signChange } from '@cairn/core'
import type { Entry } from '@cairn/store'
import { CID } from 'multiformats/cid'
import { gathered } from './gather.ts'
import type { Shell } from './shell.ts'

/** Blocks asked for ahead: as many as a client reads ahead. Their bytes are in memory. */
const READ_AHEAD_BLOCKS = 16
/** Looked up, or put, together. */
const TOGETHER_MAX = 256
/** Keys that one look at the index returns, and whose claims end together. */
const PAGE = 512
/** A mirror takes no more than this of a disk: the rest is for what the member must hold. A guess. */
const FILL_MAX = 0.9
/** Keys of one root that are remembered, at 8 bytes: with more, nothing is freed, and it is said. */
const MARKS_MAX = 8_000_000
const CODE_RAW = 0x55
const NOTHING = new Uint8Array()

/** Which blocks a root has: 52 bits of each hash. Two alike keep one block too many, never one too few. */
export interface Marks {
  add(key: BlockKey): void
  has(key: BlockKey): boolean
  readonly isFull: boolean
}

/** Of the digest: 13 digits, which a double holds exactly. */
const bitsOf = (key: BlockKey): number => Number.parseInt(key.slice(4, 17), 16)

export function createMarks(): Marks {
  let bits = new Float64Array(1_024)
  let size = 0
  let sorted = true
  return {
    add(key) {
      if (size === MARKS_MAX) return
      if (size === bits.length) {
        const more = new Float64Array(Math.min(MARKS_MAX, 2 * size))
        more.set(bits)
        bits = more
      }
      bits[size++] = bitsOf(key)
      sorted = false
    },
    has(key) {
      if (!sorted) bits.subarray(0, size).sort()
      sorted = true
      const wanted = bitsOf(key)
      let [low, high] = [0, size]
      while (low < high) {
        const middle = (low + high) >> 1
        if ((bits[middle] as number) < wanted) low = middle + 1
        else high = middle
      }
      return low < size && bits[low] === wanted
    },
    get isFull() {
      return size === MARKS_MAX
    }
  }
}

export interface Walked {
  blocks: number
  bytes: number
}

export interface Walk {
  /** The ref's id, and how often a root was fetched for it. */
  id: string
  generation: number
  root: Uint8Array
  signal: AbortSignal
  marks: Marks
  onProgress(walked: Walked): void
}

export function mirrorClaimant({ id: owner, crypto }: Shell, id: string): string {
  return claimantOf({ kind: 'mirror', owner, id }, crypto.sha256)
}

/** @throws NO_PROVIDER, BLOCK_CORRUPT, FULL, BAD_DAG, or the signal's reason */
export async function holdAll(shell: Shell, walk: Walk): Promise<Walked> {
  const { marks, signal } = walk
  const walked: Walked = { blocks: 0, bytes: 0 }
  const sizes = new Map<BlockKey, number>()
  const claimant = mirrorClaimant(shell, walk.id)
  const lookUp = asked<BlockKey, number | undefined>((keys) => shell.store.mirroredSizes(keys, claimant))
  const keep = asked<{ key: BlockKey; bytes: Uint8Array }, undefined>(async (blocks) => {
    await keepAll(shell, walk, blocks)
    return blocks.map(() => undefined)
  })
  const getBlock = async (cid: CID): Promise<Uint8Array> => {
    signal.throwIfAborted()
    const key = keyOf(cid)
    const size = await lookUp(key)
    const leaf = cid.code === CODE_RAW
    if (size !== undefined) {
      sizes.set(key, size)
      if (leaf) return NOTHING
    }
    const bytes = await shell.reads.get(cid, signal)
    sizes.set(key, bytes.length)
    if (size === undefined) await keep({ key, bytes })
    return leaf ? NOTHING : bytes
  }
  for await (const { cid } of dagBlocks(CID.decode(walk.root), getBlock, { readAhead: READ_AHEAD_BLOCKS })) {
    signal.throwIfAborted()
    const key = keyOf(cid)
    marks.add(key)
    walked.blocks++
    walked.bytes += sizes.get(key) ?? 0
    sizes.delete(key)
    walk.onProgress(walked)
  }
  return walked
}

/** Calls of one turn become one question: an answer for each, in their order. */
function asked<Q, A>(ask: (all: Q[]) => Promise<readonly A[]>): (one: Q) => Promise<A> {
  interface Waiting {
    one: Q
    resolve(answer: A): void
    reject(error: unknown): void
  }
  const run = async (all: Waiting[]): Promise<void> => {
    try {
      const answers = await ask(all.map(({ one }) => one))
      all.forEach(({ resolve }, i) => {
        resolve(answers[i] as A)
      })
    } catch (error) {
      for (const { reject } of all) reject(error)
    }
  }
  const gather = gathered<Waiting>((all) => void run(all), { most: TOGETHER_MAX, soon: setImmediate })
  return (one) => new Promise((resolve, reject) => gather({ one, resolve, reject }))
}

async function keepAll(
  shell: Shell,
  { id, generation }: Walk,
  blocks: readonly { key: BlockKey; bytes: Uint8Array }[]
): Promise<void> {
  const { diskBytes, capacity } = shell.store.usage()
  const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0)
  if (diskBytes + bytes > FILL_MAX * capacity) {
    throw new CairnError('FULL', `a mirror takes no more than ${100 * FILL_MAX}% of ${capacity} bytes`, {
      hint: 'give this node more capacity, or remove a mirror: cairn mirror rm'
    })
  }
  const claims = claimsOf(
    shell,
    { id, generation, live: true },
    blocks.map(({ key }) => key)
  )
  const entries = blocks.map(({ key, bytes: held }): Entry => {
    return { key, bytes: held, claims: [claims.get(key) as HeldClaim], verified: true }
  })
  await shell.during(shell.store.put(entries))
}

function claimsOf(
  { network, id: owner, crypto }: Shell,
  { id, generation, live }: { id: string; generation: number; live: boolean },
  keys: readonly BlockKey[]
): Map<BlockKey, HeldClaim> {
  const about = { network: network.id, owner, kind: 'mirror', id } as const
  const change: Change = { ...about, sequence: generation, live, replicas: 1, lifetimeMs: 0 }
  return signChange(change, [...new Set(keys)], crypto)
}

/**
 * Ends the mirror's claims on all that `keeps` does not ask for. Returns how many blocks that were.
 * @throws the signal's reason
 */
export async function freeRest(
  shell: Shell,
  { id, generation, signal }: Pick<Walk, 'id' | 'generation' | 'signal'>,
  keeps: (key: BlockKey) => boolean
): Promise<number> {
  const claimant = mirrorClaimant(shell, id)
  let freed = 0
  for (let fromSlot: number | undefined = 0; fromSlot !== undefined; ) {
    signal.throwIfAborted()
    const page = await shell.store.listMirrored({ claimant, fromSlot, limit: PAGE })
    const keys = page.keys.filter((key) => !keeps(key))
    if (keys.length > 0) {
      const claims = claimsOf(shell, { id, generation, live: false }, keys)
      const entries = keys.map((key) => ({ key, claim: claims.get(key) as HeldClaim }))
      await shell.during(shell.store.unmirror(entries))
      freed += keys.length
    }
    fromSlot = page.next
  }
  if (freed > 0) shell.changed()
  return freed
}

/** Every block below a root that is here, as the mirror holds it. @throws NO_PROVIDER, BAD_DAG */
export async function* mirroredBlocks(shell: Shell, root: CID): AsyncGenerator<CID, void> {
  const getBlock = async (cid: CID): Promise<Uint8Array> => {
    if (cid.code === CODE_RAW) return NOTHING
    const bytes = await shell.store.get(keyOf(cid))
    if (bytes !== undefined) return bytes
    throw new CairnError('NO_PROVIDER', `${cidOfKey(keyOf(cid), 'raw')} is not on this disk any more`)
  }
  for await (const { cid } of dagBlocks(root, getBlock)) yield cid
}
