/**
 * One group: what is written at once and synced together. Collects effects until it is full, then lays
 * them out (record, small blocks, large blocks at page boundaries, filler to the next page) and tells
 * their rows where they lie.
 */
import { crc32 } from 'node:zlib'
import type { BlockKey } from '@cairn/core'
import {
  ALIGN_BYTES,
  LARGE_BLOCK_BYTES,
  padding,
  sectionHeadBytes,
  writeFiller,
  writeSectionHead
} from './format.ts'
import type { Effect } from './plan.ts'
import { type Draft, type Position, recordBytes, writeRecord } from './record.ts'
import { blockWeight, CLAIM_WEIGHT_BYTES } from './weigh.ts'

/** Measured in the table of group sizes that docs/on-disk-format.md cites: beyond it syncs turn bimodal. */
const GROUP_BYTES_MAX = 2.5 * 1024 * 1024
/** Bounds the time that laying out a group holds the event loop, and iovecs below their limit of 1024. */
const GROUP_EFFECTS_MAX = 512
/** Below what two bytes can count. */
const GROUP_CLAIMS_MAX = 8192
/** Of a group's record: a section must stay below a block's size, or CAR readers refuse it. */
const GROUP_PROOF_BYTES_MAX = 1.5 * 1024 * 1024
/** Proofs of the same bytes in different arrays are written once if they come this close together. */
const PROOFS_COMPARED = 4
export interface Laid {
  buffers: Buffer[]
  length: number
  at: Position
}

export class Group {
  readonly effects: Effect[] = []
  #bytes = 2 * ALIGN_BYTES
  #claims = 0
  #proofBytes = 0
  readonly #deleted = new Set<BlockKey>()
  readonly #touched = new Set<BlockKey>()

  /** What it will take at the most. */
  get bytes(): number {
    return this.#bytes
  }

  /** False when the effect must go into a later group. */
  fits(effect: Effect): boolean {
    if (this.effects.length === 0) return true
    // Position decides what a deletion deletes, so its key must not occur twice in one group.
    if (this.#deleted.has(effect.key)) return false
    if (effect.deletion !== undefined && this.#touched.has(effect.key)) return false
    if (this.effects.length >= GROUP_EFFECTS_MAX) return false
    if (this.#claims + effect.claims.length > GROUP_CLAIMS_MAX) return false
    if (this.#proofBytes + proofBytes(effect) > GROUP_PROOF_BYTES_MAX) return false
    return this.#bytes + effectBytes(effect) <= GROUP_BYTES_MAX
  }

  add(effect: Effect): void {
    this.effects.push(effect)
    this.#bytes += effectBytes(effect)
    this.#claims += effect.claims.length
    this.#proofBytes += proofBytes(effect)
    this.#touched.add(effect.key)
    if (effect.deletion !== undefined) this.#deleted.add(effect.key)
  }

  /** Fills in where everything lies. The group's bytes, in order, are the buffers'. */
  lay(at: Position, context: { nonce: Uint8Array; durable: number }): Laid {
    const withBlock = this.effects.filter((effect) => effect.bytes !== undefined)
    const inOrder = [...withBlock.filter((e) => !isLarge(e)), ...withBlock.filter(isLarge)]
    const draft = draftOf(this.effects, inOrder, at)
    const { head, body } = recordBytes(draft)
    const { blockOffsets, length, copied } = place(inOrder, head + body)
    const out = Buffer.allocUnsafe(copied)
    const proofOffsets = writeRecord(out, draft, { ...context, ...at, length, blockOffsets })
    const buffers = fill(out, head + body, inOrder)
    inOrder.forEach(({ after }, i) => {
      if (after?.block !== undefined) {
        after.block.segment = at.segment
        after.block.offset = at.offset + (blockOffsets[i] as number)
      }
    })
    placeClaims(this.effects, draft, proofOffsets, at)
    return { buffers, length, at }
  }
}

/** The most that the effect adds to a group's bytes. */
export function effectBytes({ key, bytes, claims, deletion }: Effect): number {
  let size = 1 + key.length / 2 + (deletion === undefined ? 0 : 10)
  if (bytes !== undefined) size += blockWeight(key, bytes.length) + 10
  if (bytes !== undefined && bytes.length >= LARGE_BLOCK_BYTES) size += ALIGN_BYTES + 37
  for (const { proof } of claims) size += CLAIM_WEIGHT_BYTES + proof.length
  return size
}

/** What of the effects is blocks. */
export function payloadBytes(effects: readonly Effect[]): number {
  let sum = 0
  for (const { bytes } of effects) sum += bytes?.length ?? 0
  return sum
}

function proofBytes({ claims }: Effect): number {
  let bytes = 0
  for (const { proof } of claims) bytes += proof.length
  return bytes
}

function isLarge({ bytes }: Effect): boolean {
  return bytes !== undefined && bytes.length >= LARGE_BLOCK_BYTES
}

function draftOf(effects: readonly Effect[], inOrder: readonly Effect[], at: Position): Draft {
  const draft: Draft = { keys: [], blocks: [], proofs: [], claims: [], deletions: [] }
  const indices = new Map<BlockKey, number>()
  const proofs = new Map<Uint8Array, number>()
  for (const { key, claims, deletion } of effects) {
    const index = indices.get(key) ?? draft.keys.push(key) - 1
    indices.set(key, index)
    for (const { claim, proof } of claims) {
      const known = proofs.get(proof) ?? sameProof(draft.proofs, proof) ?? draft.proofs.push(proof) - 1
      proofs.set(proof, known)
      const { claimant, sequence, live, replicas } = claim
      draft.claims.push({ key: index, claimant, sequence, live, replicas, proof: known })
    }
    if (deletion !== undefined)
      draft.deletions.push({ key: index, before: deletion === 'here' ? at : deletion })
  }
  for (const { key, bytes } of inOrder) {
    draft.blocks.push({ key: indices.get(key) as number, size: (bytes as Uint8Array).length })
  }
  return draft
}

function sameProof(proofs: readonly Uint8Array[], proof: Uint8Array): number | undefined {
  for (let i = proofs.length - 1; i >= 0 && i >= proofs.length - PROOFS_COMPARED; i--) {
    const other = proofs[i] as Uint8Array
    if (other.length === proof.length && Buffer.compare(other, proof) === 0) return i
  }
  return undefined
}

/** Where each block's bytes begin, the group's length, and how much of it is not large blocks. */
function place(
  inOrder: readonly Effect[],
  start: number
): { blockOffsets: number[]; length: number; copied: number } {
  let at = start
  let large = 0
  const blockOffsets: number[] = []
  for (const effect of inOrder) {
    const size = effect.bytes?.length ?? 0
    const head = sectionHeadBytes(effect.key.length / 2, size)
    at += (isLarge(effect) ? padding(at, head) : 0) + head
    blockOffsets.push(at)
    at += size
    if (isLarge(effect)) large += size
  }
  const length = at + padding(at)
  return { blockOffsets, length, copied: length - large }
}

/** Writes everything but the record into `out`, large blocks excepted, and returns it all in order. */
function fill(out: Buffer, start: number, inOrder: readonly Effect[]): Buffer[] {
  const buffers: Buffer[] = []
  let done = 0
  let at = start
  let skipped = 0 // bytes of large blocks so far: they are in the group but not in `out`
  for (const effect of inOrder) {
    const bytes = effect.bytes as Uint8Array
    const multihash = Buffer.from(effect.key, 'hex')
    if (isLarge(effect)) {
      const head = sectionHeadBytes(multihash.length, bytes.length)
      at = writeFiller(out, at, padding(at + skipped, head))
    }
    at = writeSectionHead(out, at, multihash, bytes.length)
    if (isLarge(effect)) {
      buffers.push(out.subarray(done, at), Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
      done = at
      skipped += bytes.length
    } else {
      out.set(bytes, at)
      at += bytes.length
    }
  }
  at = writeFiller(out, at, padding(at + skipped))
  if (at > done) buffers.push(out.subarray(done, at))
  return buffers
}

function placeClaims(
  effects: readonly Effect[],
  draft: Draft,
  proofOffsets: readonly number[],
  at: Position
): void {
  const sharers = new Array<number>(draft.proofs.length).fill(0)
  for (const { proof } of draft.claims) sharers[proof] = (sharers[proof] as number) + 1
  const crcs = draft.proofs.map((proof) => crc32(proof))
  let i = 0
  for (const { claims } of effects) {
    for (const { claim } of claims) {
      const index = (draft.claims[i++] as Draft['claims'][number]).proof
      const { length } = draft.proofs[index] as Uint8Array
      claim.segment = at.segment
      claim.offset = at.offset + (proofOffsets[index] as number)
      claim.length = length
      claim.crc = crcs[index] as number
      claim.weight = CLAIM_WEIGHT_BYTES + Math.ceil(length / (sharers[index] as number))
    }
  }
}
