/**
 * What one operation does to one block's row: pure, decided on the row as it is, before anything is
 * written. Positions are not known yet: the objects for what will be written are filled in by the layout.
 */
import {
  type BlockKey,
  CairnError,
  type HeldClaim,
  isEnded,
  isMirrorClaim,
  isMirrored,
  isUnchanged,
  type Register,
  sharedClaims
} from '@cairn/core'
import { mergeClaims, newClaims, replaceClaims } from './claims.ts'
import type { Position } from './record.ts'
import { type Row, type RowBlock, type RowClaim, without } from './row.ts'

export interface PutOp {
  type: 'put'
  key: BlockKey
  bytes?: Uint8Array
  claims: readonly HeldClaim[]
  /** In a recovery claims may be met before their block. */
  early?: true
  /** Nobody compared the bytes with their name yet: the writer does. */
  unverified?: true
}

export type Unverified = PutOp & { bytes: Uint8Array }

export function isUnverified(op: Op): op is Unverified {
  return op.type === 'put' && op.unverified === true
}

export type Op =
  | PutOp
  | { type: 'delete'; key: BlockKey }
  /** Deletes it only if its claims are these. */
  | { type: 'let-go'; key: BlockKey; claims: readonly Register[] }
  /** Ends a mirror's claim, and deletes the block if nothing else keeps it. */
  | { type: 'unmirror'; key: BlockKey; claim: HeldClaim }
  /** Deletes the block and writes its claims again, if all have ended and are these. */
  | { type: 'collect'; key: BlockKey; claims: readonly HeldClaim[] }
  /** Deletes only the copy at `at`: it was found damaged. */
  | { type: 'lose'; key: BlockKey; at: Position }
  /** Writes again what compaction found alive: the copy at `from`, and claims by where their proofs lie. */
  | { type: 'move'; key: BlockKey; from?: Position; bytes?: Uint8Array; proofs: readonly MovedProof[] }
  /** Writes a deletion again whose segment is compacted. */
  | { type: 'bury'; key: BlockKey; before: Position }

export interface MovedProof extends Position {
  claimant: string
  proof: Uint8Array
}

export interface Effect {
  key: BlockKey
  before: Row | undefined
  after: Row | undefined
  /** To be written; `after.block` is where. */
  bytes?: Uint8Array
  /** To be written; each `claim`, also in `after`, is where. */
  claims: readonly { claim: RowClaim; proof: Uint8Array }[]
  /** Only places change: nothing that slots are compared by. */
  quiet?: true
  /** A deletion to be written: of everything before the group itself, or before an older position. */
  deletion?: Position | 'here'
}

/** `undefined` when the operation changes nothing. @throws CairnError NOT_FOUND, FULL */
export function effectOf(op: Op, row: Row | undefined): Effect | undefined {
  switch (op.type) {
    case 'put':
      return put(op, row)
    case 'delete':
      return row && { key: op.key, before: row, after: undefined, claims: [], deletion: 'here' }
    case 'let-go':
      if (row === undefined || isMirrored(row.claims)) return undefined
      if (!isUnchanged(sharedClaims(row.claims), op.claims)) return undefined
      return { key: op.key, before: row, after: undefined, claims: [], deletion: 'here' }
    case 'unmirror':
      return unmirror(op, row)
    case 'collect':
      return collect(op, row)
    case 'lose':
      if (row?.block === undefined || !isAt(row.block, op.at)) return undefined
      return { key: op.key, before: row, after: undefined, claims: [], deletion: 'here' }
    case 'move':
      return move(op, row)
    case 'bury': {
      // Only after a rebuild can what it deletes be there again.
      const after = without(row, op.before)
      const quiet = after === row ? { quiet: true as const } : {}
      return { key: op.key, before: row, after, claims: [], deletion: op.before, ...quiet }
    }
  }
}

/** Proofs that one effect may bring: its record then stays far below a block's size, as CAR readers want. */
const EFFECT_PROOF_BYTES_MAX = 1024 * 1024

/**
 * An effect as several that follow each other, should it bring many claims: the block goes with the first
 * of them, and a crash in between leaves a block that lacks the others.
 */
export function split(effect: Effect): Effect[] {
  const parts: Effect[] = []
  let rest = effect
  for (let i = 0, bytes = 0; i < rest.claims.length; i++) {
    bytes += rest.claims[i]?.proof.length ?? 0
    if (bytes <= EFFECT_PROOF_BYTES_MAX || i === 0) continue
    const [now, later] = [rest.claims.slice(0, i), rest.claims.slice(i)]
    const missing = new Set(later.map(({ claim }) => claim.claimant))
    const old = rest.before?.claims.filter(({ claimant }) => missing.has(claimant)) ?? []
    const claims = rest.after?.claims.filter(({ claimant }) => !missing.has(claimant)) ?? []
    const between: Row = { block: rest.after?.block, claims: replaceClaims(claims, old) }
    parts.push({ ...rest, after: between, claims: now })
    const { bytes: _, deletion: __, ...remaining } = rest
    rest = { ...remaining, before: between, claims: later }
    i = -1
    bytes = 0
  }
  return [...parts, rest]
}

function put(op: PutOp, row: Row | undefined): Effect | undefined {
  const { key, bytes } = op
  const held = row?.claims ?? []
  const claims = newClaims(held, op.claims).map(unplaced)
  // Ended claims alone are kept: with them a block that nobody claims does not come back.
  if (row?.block === undefined && bytes === undefined && !op.early && !isEnded(op.claims)) notHeld(key)
  if (row?.block !== undefined || bytes === undefined) {
    if (claims.length === 0) return undefined
    return { key, before: row, after: { block: row?.block, claims: join(held, claims) }, claims }
  }
  const block: RowBlock = { segment: 0, offset: 0, size: bytes.length }
  return { key, before: row, after: { block, claims: join(held, claims) }, bytes, claims }
}

function notHeld(key: BlockKey): never {
  throw new CairnError('NOT_FOUND', `claims for ${key}, which is not held here`, {
    hint: 'Send the block along with its claims.'
  })
}

function unmirror({ key, claim }: Op & { type: 'unmirror' }, row: Row | undefined): Effect | undefined {
  const own = row?.claims.find(({ claimant }) => claimant === claim.claimant)
  if (row === undefined || own === undefined || own.sequence > claim.sequence) return undefined
  const rest = row.claims.filter((one) => one !== own)
  const keeps = rest.some((one) => one.live || !isMirrorClaim(one))
  if (!keeps) return { key, before: row, after: undefined, claims: [], deletion: 'here' }
  return put({ type: 'put', key, claims: [claim] }, row)
}

function collect({ key, claims }: Op & { type: 'collect' }, row: Row | undefined): Effect | undefined {
  if (row?.block === undefined || !isEnded(row.claims)) return undefined
  if (!isUnchanged(sharedClaims(row.claims), claims)) return undefined
  const kept = claims.map(unplaced)
  const after: Row = {
    block: undefined,
    claims: replaceClaims(
      [],
      kept.map(({ claim }) => claim)
    )
  }
  return { key, before: row, after, claims: kept, deletion: 'here' }
}

function join(held: readonly RowClaim[], added: readonly { claim: RowClaim }[]): RowClaim[] {
  return mergeClaims(
    held,
    added.map(({ claim }) => claim)
  )
}

function unplaced({ claimant, sequence, live, replicas, proof }: HeldClaim): {
  claim: RowClaim
  proof: Uint8Array
} {
  const nowhere = { segment: 0, offset: 0, length: proof.length, crc: 0, weight: 0 }
  return { claim: { claimant, sequence, live, replicas, ...nowhere }, proof }
}

function move(op: Op & { type: 'move' }, row: Row | undefined): Effect | undefined {
  if (row === undefined) return undefined
  const { key, from, bytes } = op
  const moves = from !== undefined && bytes !== undefined && row.block !== undefined && isAt(row.block, from)
  const claims = op.proofs.flatMap((moved) => {
    const held = row.claims.find(({ claimant }) => claimant === moved.claimant)
    return held !== undefined && isAt(held, moved) ? [{ claim: { ...held }, proof: moved.proof }] : []
  })
  if (!moves && claims.length === 0) return undefined
  const after: Row = {
    block: moves ? { segment: 0, offset: 0, size: bytes.length } : row.block,
    claims: replaceClaims(
      row.claims,
      claims.map(({ claim }) => claim)
    )
  }
  return { key, before: row, after, claims, quiet: true, ...(moves ? { bytes } : {}) }
}

function isAt(a: Position, b: Position): boolean {
  return a.segment === b.segment && a.offset === b.offset
}
