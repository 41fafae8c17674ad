/**
 * A voter's rules: one vote a sequence, and only for a record that follows what was acknowledged, or that
 * names as rivals all that this voter may have helped. So of the records that could follow one, at most one
 * is ever acknowledged, and it stays on the line of all that come later.
 */
import type { PeerId } from './block.ts'
import { type Decoded, hex, list, optional, struct, text, u8, varint } from './codec.ts'
import { SHA256_BYTES } from './crypto.ts'
import { compareRefs, majorityOf, type RefRecord, votersAfter } from './ref.ts'
import { type KnownRef, knownAcknowledged, type RefEntry, recordsOf, refEntryCodec } from './ref-entry.ts'

/** Fellow voters of one ref whose starts are remembered: those of two electorates. */
export const BOOTS_MAX = 64

/** The floor of a voter whose ballot was damaged on disk: no vote until its fellows have told. */
export const LOST_FLOOR = Number.MAX_SAFE_INTEGER

/** What a voter must never forget about one ref. */
export interface Ballot {
  /** Its highest vote. */
  vote: { epoch: number; sequence: number; hash: string } | undefined
  /** It abstains below: before its disk was put back to an older state it may have voted there. */
  floor: number
  /** How often each fellow voter had started when it last asked. */
  boots: Map<PeerId, number>
  /** The fellow voters were asked in this life whether they know of a later one. Not kept on disk. */
  proven: boolean
}

/** Entry and ballot of one ref as they lie on a member's disk. */
export const refStateCodec = struct({
  version: u8,
  entry: refEntryCodec,
  vote: optional(struct({ epoch: varint, sequence: varint, hash: hex(SHA256_BYTES) })),
  floor: varint,
  boots: list(struct({ peer: text(64), boot: varint }), BOOTS_MAX)
})
export const REF_STATE_VERSION = 1
export type RefState = Decoded<typeof refStateCodec>

export function newBallot(): Ballot {
  return { vote: undefined, floor: 0, boots: new Map(), proven: false }
}

/** Why there is no vote: `unproven` may change by itself, the others tell of other records. */
export type Refusal = 'not-asked' | 'stale' | 'rival' | 'unfounded' | 'unproven'
export type Judgement = { type: 'vote' } | { type: 'again' } | { type: 'refuse'; why: Refusal }

const refuse = (why: Refusal): Judgement => ({ type: 'refuse', why })

/** A record put to the vote, with the records that it follows and their receipts. */
export interface Proposal {
  record: RefRecord
  chain: readonly KnownRef[]
}

export function judge(ballot: Ballot, entry: RefEntry, proposal: Proposal, self: PeerId): Judgement {
  const { record } = proposal
  if (!record.voters.some((group) => group.includes(self))) return refuse('not-asked')
  const { vote } = ballot
  if (vote?.hash === record.hash) return { type: 'again' }
  if (vote !== undefined) {
    const order = compareRefs(record, vote)
    if (order === 0) return refuse('rival')
    if (order < 0) return refuse('stale')
  }
  const best = entry.best?.record
  if (best !== undefined && best.hash !== record.hash && compareRefs(record, best) <= 0)
    return refuse('stale')
  if (!isFounded(ballot, entry, proposal)) return refuse('unfounded')
  if (record.sequence < ballot.floor && !isBacked(entry, record, self)) return refuse('unproven')
  return { type: 'vote' }
}

/** Whether so many others voted for it that whatever this voter forgot can have no majority beside it. */
function isBacked(entry: RefEntry, record: RefRecord, self: PeerId): boolean {
  const receipts = recordsOf(entry).find((one) => one.record.hash === record.hash)?.receipts
  if (receipts === undefined) return false
  return record.voters.every((group) => {
    if (!group.includes(self)) return true
    const others = group.filter((peer) => peer !== self && receipts.has(peer)).length
    return others >= group.length - majorityOf(group) + 1
  })
}

/** A recovery begins an epoch: whoever it names votes for it, whatever came before. */
export function isRecovery({ epoch, sequence, since }: RefRecord): boolean {
  return epoch > 0 && sequence === since
}

/** Whether it follows what a majority acknowledged, or settles what this voter may have helped. */
export function isFounded(ballot: Ballot, entry: RefEntry, { record, chain }: Proposal): boolean {
  const first = record.predecessors.length === 0
  if (first || isRecovery(record)) return sameGroups(record.voters, [record.electorate])
  const known = new Map([...recordsOf(entry), ...chain].map((one) => [one.record.hash, one]))
  const followed = record.predecessors.map((hash) => known.get(hash))
  if (!followed.every((one) => one !== undefined)) return false
  const before = followed.map((one) => (one as KnownRef).record)
  const last = Math.max(...before.map(({ sequence }) => sequence))
  if (record.sequence !== last + 1 || before.some(({ epoch }) => epoch !== record.epoch)) return false
  if (before.some(({ since }) => since !== record.since)) return false
  if (!sameGroups(record.voters, votersAfter(before))) return false
  if (followed.length === 1) return knownAcknowledged(followed[0] as KnownRef)
  return vouched(ballot, known, record)
}

/** Whether what this voter voted for is among what the record settles, or is older than all of it. */
function vouched({ vote }: Ballot, known: ReadonlyMap<string, KnownRef>, record: RefRecord): boolean {
  if (vote === undefined) return true
  const seen = new Set<string>()
  const look = [...record.predecessors]
  for (let hash = look.pop(); hash !== undefined; hash = look.pop()) {
    if (hash === vote.hash) return true
    const one = known.get(hash)
    if (one === undefined || seen.has(hash)) continue
    seen.add(hash)
    if (knownAcknowledged(one) && compareRefs(vote, one.record) <= 0) return true
    look.push(...one.record.predecessors)
  }
  return false
}

function sameGroups(a: readonly (readonly PeerId[])[], b: readonly (readonly PeerId[])[]): boolean {
  const names = (groups: readonly (readonly PeerId[])[]) =>
    [...new Set(groups.map((group) => [...group].sort().join(' ')))].sort().join('\n')
  return names(a) === names(b)
}
