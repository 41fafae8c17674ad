/**
 * What whoever has a ref's key looks at before it signs what a member drafted: a record that follows what it
 * says, voted on by whom its predecessors named, that changes what was asked and nothing else, and whose own
 * electorate is one that placement gives. A member that lies can delay an update, and not take the ref over.
 */
import { isFounded, newBallot } from './ballot.ts'
import type { PeerId } from './block.ts'
import type { RefWant } from './draft.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { holders } from './placement.ts'
import { ELECTORATE_MAX, ELECTORATE_MIN, majorityOf, type RefBody, refId, refSlot } from './ref.ts'
import { emptyEntry, type KnownRef } from './ref-entry.ts'
import type { PlacedMember } from './score.ts'

/** Why a draft must not be signed; undefined for one that may be. `chain` is of checked signatures. */
export function doubtOf(
  body: RefBody,
  { want, chain, network }: { want: RefWant; chain: readonly KnownRef[]; network: string }
): string | undefined {
  if (body.owner !== want.owner || body.name !== want.name || body.network !== network) return 'another ref'
  if (chain.some(({ record }) => record.owner !== want.owner || record.name !== want.name))
    return 'a past of another ref'
  const hash = ''
  const record = { ...body, id: '', hash, bytes: new Uint8Array() }
  const recovers = body.epoch > 0 && body.since === body.sequence
  if (recovers && want.recover !== true) return 'a recovery that was not asked for'
  if (body.predecessors.length === 0 && (body.sequence !== 1 || body.epoch !== 0)) return 'it follows nothing'
  if (!isFounded(newBallot(), emptyEntry(''), { record, chain })) return 'voters that nothing names'
  const before = chain
    .map((one) => one.record)
    .filter((one) => body.predecessors.includes(one.hash))
    .reduce<RefBody | undefined>(
      (best, one) => (best && best.sequence > one.sequence ? best : one),
      undefined
    )
  return changed(body, want, before)
}

function changed(body: RefBody, want: RefWant, before: RefBody | undefined): string | undefined {
  const root = want.root === 'same' ? before?.root : want.root
  // Of what is settled, or recovered, the latest acknowledged record is not always among what it follows.
  const isPlain = body.predecessors.length < 2 && want.recover !== true
  if ((isPlain || want.root !== 'same') && root?.join() !== body.root?.join()) return 'another root'
  for (const key of ['replicas', 'lifetimeMs', 'keep'] as const) {
    const wanted = want[key] ?? (isPlain ? before?.[key] : undefined)
    if (wanted !== undefined && wanted !== body[key]) return `another ${key}`
  }
  const { metadata } = want
  if (metadata !== undefined && JSON.stringify(metadata) !== JSON.stringify(body.metadata))
    return 'other metadata'
  return undefined
}

/**
 * Whether an electorate is what placement gives, as another member sees the network: a majority of it must be
 * among the first of the slot, or next to them, for members come and go between two looks.
 */
export function isPlaced(body: RefBody, members: readonly PlacedMember[], sha256: Sha256): boolean {
  const { electorate, replicas } = body
  const wanted = Math.min(ELECTORATE_MAX, Math.max(ELECTORATE_MIN, replicas))
  if (electorate.length < Math.min(wanted, members.length)) return false
  const near = new Set<PeerId>(holders(refSlot(refId(body, sha256)), members, wanted + LIMITS.standIns))
  return electorate.filter((peer) => near.has(peer)).length >= majorityOf(electorate)
}

type Sha256 = Parameters<typeof refId>[1]
