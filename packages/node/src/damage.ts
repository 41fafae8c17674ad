/**
 * What was found damaged on this disk, and when it was whole again: kept over restarts, the newest first to
 * be shown and the oldest first to go. Which copy is bad is the store's to say, who brings a good one the
 * core's; this only remembers.
 */
import { join } from 'node:path'
import { cidOfKey } from '@cairn/blocks'
import type { BlockKey } from '@cairn/core'
import type { Store } from '@cairn/store'
import type { DamageStatus } from './api.ts'
import { readIfThere, writeWhole } from './files.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

const FILE = 'damage.json'
const VERSION = 1
/** Remembered by name; all are counted. */
const ENTRIES_MAX = 1_000
const SHOWN_MAX = 20
/** Between looks whether what was lost is here again, and how many are looked up in one. */
const LOOK_MS = 1_000
const LOOKED_UP_MAX = 256

interface Entry {
  key: BlockKey
  /** Milliseconds since 1970. */
  foundMs: number
  healedMs?: number
  /** Of the block, when it was found. */
  replicas?: number
  /** Nothing brings it back: it was held besides, and N others have theirs. */
  besides?: boolean
}

/** Which of these this node need not hold, and N others have. */
export type Besides = (some: readonly { key: BlockKey; replicas: number }[]) => Promise<ReadonlySet<BlockKey>>

interface Kept {
  v: number
  found: number
  healed: number
  entries: Entry[]
}

export interface Damage {
  /** A copy was found damaged and put aside. */
  found(key: BlockKey, replicas: number): void
  /** Whether a copy here was found damaged, and is not known to be whole again. */
  isDamaged(key: BlockKey): boolean
  /** Whether it was held besides what this node must hold, so that nothing replaces it. */
  isBesides(key: BlockKey): boolean
  status(): DamageStatus
  close(): Promise<void>
}

export async function openDamage(
  home: string,
  { store, log, besides }: { store: Pick<Store, 'heads'>; log: Shell['log']; besides: Besides }
): Promise<Damage> {
  const path = join(home, FILE)
  const kept = await read(path, log)
  const missing = new Set(kept.entries.flatMap(({ key, healedMs }) => (healedMs === undefined ? [key] : [])))
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()
  let isNew = false

  const write = (): void => {
    isNew = false
    const text = `${JSON.stringify(kept)}\n`
    const failed = (error: unknown): void => log('warn', `${path}: ${asCairnError(error).message}`)
    writing = writing.then(() => writeWhole(path, text)).catch(failed)
  }
  const look = async (): Promise<void> => {
    const some = [...missing].slice(0, LOOKED_UP_MAX)
    const heads = await store.heads(some)
    const absent = some.filter((_, i) => heads[i] === undefined)
    const wanted = new Map(kept.entries.flatMap(({ key, replicas }) => (replicas ? [[key, replicas]] : [])))
    const spared = await besides(absent.flatMap((key) => ({ key, replicas: wanted.get(key) ?? 0 })))
    some.forEach((key, i) => {
      missing.delete(key)
      if (heads[i] === undefined && !spared.has(key))
        missing.add(key) // at the end: the others have their turn
      else heal(kept, key, spared.has(key))
    })
  }
  const arm = (): void => {
    timer ??= setTimeout(() => {
      const healed = kept.healed
      look()
        .catch((error: unknown) => log('warn', `what was damaged: ${asCairnError(error).message}`))
        .finally(() => {
          timer = undefined
          if (isNew || kept.healed > healed) write()
          if (missing.size > 0 && !closed) arm()
        })
    }, LOOK_MS)
  }
  let closed = false
  if (missing.size > 0) arm()
  return {
    found(key, replicas) {
      kept.found++
      kept.entries.push({ key, foundMs: Date.now(), replicas })
      for (const { key: old } of kept.entries.splice(0, kept.entries.length - ENTRIES_MAX))
        missing.delete(old)
      missing.add(key)
      isNew = true
      if (!closed) arm()
    },
    isDamaged: (key) => missing.has(key),
    isBesides: (key) =>
      !missing.has(key) && kept.entries.findLast((one) => one.key === key)?.besides === true,
    status() {
      const { found, healed, entries } = kept
      const latest = entries.slice(-SHOWN_MAX).reverse()
      return {
        found,
        healed,
        latest: latest.map(({ key, replicas: _, ...one }) => ({ cid: cidOfKey(key, 'raw'), ...one }))
      }
    },
    async close() {
      closed = true
      clearTimeout(timer)
      if (isNew) write()
      await writing
    }
  }
}

function heal(kept: Kept, key: BlockKey, besides: boolean): void {
  const healedMs = Date.now()
  for (const entry of kept.entries) {
    if (entry.key !== key || entry.healedMs !== undefined) continue
    entry.healedMs = healedMs
    if (besides) entry.besides = true
    kept.healed++
  }
}

/** A history that can't be read is no reason not to start: it is begun anew. */
async function read(path: string, log: Shell['log']): Promise<Kept> {
  const none: Kept = { v: VERSION, found: 0, healed: 0, entries: [] }
  try {
    const bytes = await readIfThere(path)
    if (bytes === undefined) return none
    const kept = JSON.parse(bytes.toString()) as Partial<Kept>
    const isSound =
      kept.v === VERSION &&
      Array.isArray(kept.entries) &&
      kept.entries.every(({ key }) => typeof key === 'string')
    if (isSound) return { ...none, ...kept }
    log('warn', `${path} is not what this version writes: the history of damage begins anew`)
  } catch (error) {
    log('warn', `${path}: ${asCairnError(error).message}: the history of damage begins anew`)
  }
  return none
}
