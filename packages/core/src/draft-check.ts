/**
 * What whoever has a ref's key looks at before it signs what a member drafted: a record that follows what it
 * says, voted on by whom its predecessors named, that changes what was asked and nothing else, and whose own
 * electorate is one that placement gives. A member that lies can delay an update, and not take the ref over.
 */
import { isFounded, newBallot } from './ballot.ts'
import type { PeerId } from './block.ts'
import { equalBytes } from './bytes.ts'
import { draftRef, type RefWant } from './draft.ts'
import { DATA_LIMITS as LIMITS } from './limits.ts'
import { holders } from './placement.ts'
import { ELECTORATE_MAX, ELECTORATE_MIN, majorityOf, type RefBody, refId, refSigned, refSlot } from './ref.ts'
import { emptyEntry, type KnownRef, mergeEntry } from './ref-entry.ts'
import type { PlacedMember } from './score.ts'

/**
 * Why a draft must not be signed; undefined for one that may be. `chain` is of checked signatures. All but
 * the next voters, and N of a first record, follows from that and from what is wanted: it is drafted anew.
 */
export function doubtOf(body: RefBody, { want, chain, network, sha256 }: Grounds): string | undefined {
  if (body.owner !== want.owner || body.name !== want.name || body.network !== network) return 'another ref'
  if (chain.some(({ record }) => record.owner !== want.owner || record.name !== want.name))
    return 'a past of another ref'
  const recovers = body.epoch > 0 && body.since === body.sequence
  if (recovers && want.recover !== true) return 'a recovery that was not asked for'
  if (body.predecessors.length === 0 && (body.sequence !== 1 || body.epoch !== 0)) return 'it follows nothing'
  const record = { ...body, id: '', hash: '', bytes: new Uint8Array() }
  if (!isFounded(newBallot(), emptyEntry(''), { record, chain })) return 'voters that nothing names'
  const entry = emptyEntry(refId(want, sha256))
  mergeEntry(entry, chain, sha256)
  const { replicas, electorate } = body
  const draft = draftRef(entry, want, { network, replicas, electorate: () => electorate })
  return draft.type === 'draft'
    ? differing(body, draft.body)
    : `a next record where it should tell: ${draft.type}`
}

interface Grounds {
  want: RefWant
  chain: readonly KnownRef[]
  network: string
  sha256: Sha256
}

function differing(body: RefBody, right: RefBody): string | undefined {
  const same = (other: RefBody): boolean => equalBytes(refSigned(other), refSigned(right))
  if (same(body)) return undefined
  const fields = Object.keys(right) as (keyof RefBody)[]
  return `another ${fields.find((field) => !same({ ...right, [field]: body[field] }))}`
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
