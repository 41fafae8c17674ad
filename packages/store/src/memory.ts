/** The store in memory: for tests, the simulator, nodes that keep nothing. All promises but durability. */
import { type BlockKey, isEnded, isMirrorClaim, isMirrored, isUnchanged } from '@cairn/core'
import { fullError } from './fault.ts'
import { claimsBytes, Ledger } from './ledger.ts'
import type { BlockHead, BlockStat, Store, StoreOptions } from './store.ts'
import { matches } from './verify.ts'

function headOf(stat: BlockStat): BlockHead {
  return { ...stat, claims: stat.claims.map(({ proof: _, ...head }) => head) }
}

export function memoryStore({ capacity, onLost }: StoreOptions): Store {
  const ledger = new Ledger()
  const blocks = new Map<BlockKey, Uint8Array>()
  let used = 0
  let full = false
  let closed = false

  function open(): void {
    if (closed) throw new RangeError('the store is closed')
  }

  function remove(key: BlockKey): void {
    const known = ledger.known(key)
    if (known === undefined) return
    const claims = known.held ? ledger.claims(key) : known.claims
    used -= (blocks.get(key)?.length ?? 0) + claimsBytes(claims)
    blocks.delete(key)
    ledger.remove(key)
    full = false
  }

  const head = (stat: BlockStat): BlockHead =>
    isMirrored(ledger.claims(stat.key)) ? { ...headOf(stat), mirrored: true } : headOf(stat)

  return {
    async put(entries) {
      open()
      const plan = ledger.plan(entries)
      let more = 0
      for (const { key, bytes, claims } of plan) {
        const before = blocks.has(key) ? ledger.claims(key) : (ledger.known(key)?.claims ?? [])
        more += (bytes?.length ?? 0) + claimsBytes(claims) - claimsBytes(before)
      }
      full = more > 0 && used + more > capacity
      if (full) throw fullError(capacity)
      for (const { key, bytes, claims } of plan) {
        if (bytes !== undefined) blocks.set(key, new Uint8Array(bytes)) // slice() of a Buffer is a view
        const held = blocks.get(key)
        if (held === undefined) ledger.collect(key, claims)
        else ledger.set(key, held.length, claims)
      }
      used += more
    },

    async get(key) {
      open()
      const bytes = blocks.get(key)
      if (bytes === undefined) return undefined
      if (matches(key, bytes)) return bytes.slice()
      const replicas = ledger.stat(key)?.replicas
      remove(key)
      onLost?.(key, replicas)
      return undefined
    },

    getMany(keys) {
      return Promise.all(keys.map((key) => this.get(key)))
    },

    async stat(key) {
      open()
      return ledger.stat(key)
    },

    async verified(key) {
      open()
      const bytes = blocks.get(key)
      if (bytes === undefined) return undefined
      if (matches(key, bytes)) return ledger.stat(key)
      const replicas = ledger.stat(key)?.replicas
      remove(key)
      onLost?.(key, replicas)
      return undefined
    },

    async letGo(copies) {
      open()
      for (const { key, claims } of copies) {
        const held = ledger.stat(key)
        if (held === undefined || isMirrored(ledger.claims(key))) continue
        if (isUnchanged(held.claims, claims)) remove(key)
      }
    },

    async read(keys) {
      const blocks = await Promise.all(keys.map((key) => this.get(key)))
      return blocks.map((bytes, i) => {
        const stat = ledger.stat(keys[i] as BlockKey)
        return bytes && stat && { bytes, claims: stat.claims }
      })
    },

    async heads(keys) {
      open()
      return keys.map((key) => {
        const stat = ledger.stat(key)
        return stat && head(stat)
      })
    },

    async collect(copies) {
      open()
      for (const { key, claims } of copies) {
        const held = ledger.stat(key)
        if (held === undefined || !isEnded(ledger.claims(key))) continue
        if (!isUnchanged(held.claims, claims)) continue
        used -= held.size + claimsBytes(ledger.claims(key)) - claimsBytes(held.claims)
        blocks.delete(key)
        ledger.collect(key, held.claims)
        full = false
      }
    },

    async known(key) {
      open()
      return ledger.known(key)
    },

    async knownHeads(keys) {
      open()
      return keys.map((key) => {
        const known = ledger.known(key)
        return known && { ...known, claims: known.claims.map(({ proof: _, ...head }) => head) }
      })
    },

    async ended(options) {
      open()
      return ledger.ended(options)
    },

    async list(slot, options) {
      open()
      return ledger.list(slot, options).map(head)
    },

    async lists(slots, limit) {
      open()
      return new Map(slots.map((slot) => [slot, ledger.list(slot, { limit }).map(head)]))
    },

    async delete(keys) {
      open()
      for (const key of keys) remove(key)
    },

    async mirroredSizes(keys, claimant) {
      open()
      return keys.map((key) => (ledger.isMirrored(key, claimant) ? blocks.get(key)?.length : undefined))
    },

    async listMirrored({ claimant, fromSlot }) {
      open()
      return { keys: ledger.mirrored(claimant, fromSlot), next: undefined }
    },

    async unmirror(entries) {
      open()
      for (const { key, claim } of entries) {
        const own = ledger.claims(key).find(({ claimant }) => claimant === claim.claimant)
        if (own === undefined || own.sequence > claim.sequence) continue
        const rest = ledger.claims(key).filter((one) => one !== own)
        if (rest.some((one) => one.live || !isMirrorClaim(one))) await this.put([{ key, claims: [claim] }])
        else remove(key)
      }
    },

    async changes(limit) {
      open()
      return ledger.changes(limit)
    },

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
    }
  }
}
