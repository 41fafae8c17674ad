/**
 * The owner's next record of a ref, from what is known of it: it follows the acknowledged one, finishes what
 * was begun, or settles rivals. It is signed by whoever has the key; nothing here does.
 */
import type { PeerId } from './block.ts'
import { metadataAfter, standsAlone } from './promotion.ts'
import {
  compareRefs,
  HISTORY_MAX,
  PREDECESSORS_MAX,
  type RefBody,
  type RefPast,
  type RefRecord,
  votersAfter
} from './ref.ts'
import type { KnownRef, RefEntry } from './ref-entry.ts'

/** What the owner wants of a ref. What is left out stays as it was. */
export interface RefWant {
  owner: PeerId
  name: string
  /** A CID's bytes; 'same' for what it is now, undefined to remove it. */
  root: Uint8Array | 'same' | undefined
  replicas?: number | undefined
  lifetimeMs?: number | undefined
  keep?: number | undefined
  metadata?: RefBody['metadata'] | undefined
  /** Only if this is the sequence now; 0 for a ref that does not exist. */
  ifSequence?: number | undefined
  /** Only if it points to this now. */
  ifRoot?: Uint8Array | undefined
  /** Rivals are known, and this is to take the place of them all. */
  settle?: boolean | undefined
  /** A second first record of the name would do no harm: it need not be known that there is none. */
  anew?: boolean | undefined
  /** Give up the electorate as it is. What it may still acknowledge becomes a fork. */
  recover?: boolean | undefined
  /** Of a ref that stands alone: from now on the members of its slot vote on it. */
  share?: boolean | undefined
}

export type Draft =
  | { type: 'draft'; body: RefBody; chain: KnownRef[] }
  /** This was begun, by this device or another with the key: it must be finished first. */
  | { type: 'finish'; record: RefRecord; chain: KnownRef[] }
  /** Several were begun, and none has a majority. */
  | { type: 'split'; rivals: RefRecord[] }
  /** The condition does not hold. */
  | { type: 'moved'; best: KnownRef | undefined }
  | { type: 'absent' }

export interface DraftFacts {
  network: string
  /** N where the want names none and there is no record yet. */
  replicas: number
  /** Who votes on what follows, for an N. */
  electorate(replicas: number): PeerId[]
}

export function draftRef(entry: RefEntry, want: RefWant, facts: DraftFacts): Draft {
  const { best } = entry
  const before = best?.record
  if (want.recover === true) return recovery(entry, want, facts)
  const begun = headsOf(entry)
  const [first, second] = begun
  // A first record alone has nothing to be settled with: who voted for another tells of that when asked.
  const isAlone = best === undefined && second === undefined
  if (first !== undefined && (want.settle !== true || isAlone)) {
    if (second !== undefined) return { type: 'split', rivals: begun.map(({ record }) => record) }
    return { type: 'finish', record: first.record, chain: chainOf(entry, first.record) }
  }
  if (moved(before, want)) return { type: 'moved', best }
  if (want.root === 'same' && before?.root === undefined) return { type: 'absent' }
  // One alone that can't be finished is settled together with what it should have followed.
  const settled = begun.length === 1 && best !== undefined ? [best, ...begun] : begun
  const follows = begun.length > 0 ? settled.slice(0, PREDECESSORS_MAX) : best === undefined ? [] : [best]
  const records = follows.map(({ record }) => record)
  const last = records.reduce((most, { sequence }) => Math.max(most, sequence), 0)
  const body = bodyOf(want, facts, { before, follows: records, sequence: last + 1 })
  const draft = { ...body, voters: records.length === 0 ? [body.electorate] : votersAfter(records) }
  return { type: 'draft', body: draft, chain: chainOf(entry, draft) }
}

/** What was begun and not acknowledged, without what others of these already settle. */
export function headsOf({ rivals }: RefEntry): KnownRef[] {
  const followed = new Set(rivals.flatMap(({ record }) => record.predecessors))
  return rivals.filter(({ record }) => !followed.has(record.hash))
}

function moved(before: RefRecord | undefined, { ifSequence, ifRoot }: RefWant): boolean {
  if (ifSequence !== undefined && (before?.sequence ?? 0) !== ifSequence) return true
  return ifRoot !== undefined && before?.root?.join() !== ifRoot.join()
}

function bodyOf(
  want: RefWant,
  facts: DraftFacts,
  line: { before: RefRecord | undefined; follows: readonly RefRecord[]; sequence: number }
): RefBody {
  const { before, follows, sequence } = line
  const replicas = want.replicas ?? before?.replicas ?? facts.replicas
  const root = want.root === 'same' ? before?.root : want.root
  const keep = want.keep ?? before?.keep ?? 1
  const metadata = metadataAfter(before?.metadata ?? [], {
    metadata: want.metadata,
    share: want.share === true || want.recover === true
  })
  const alone = standsAlone({ metadata })
  return {
    network: facts.network,
    owner: want.owner,
    name: want.name,
    epoch: before?.epoch ?? 0,
    since: before?.since ?? 1,
    sequence,
    root,
    predecessors: follows.map(({ hash }) => hash),
    replicas,
    lifetimeMs: want.lifetimeMs ?? before?.lifetimeMs ?? 0,
    electorate: alone === undefined ? facts.electorate(replicas) : [alone],
    voters: [],
    keep,
    history: historyOf(before, follows),
    metadata
  }
}

/** What it pointed to, the latest first: the rivals that it settles, then the line that they came from. */
function historyOf(before: RefRecord | undefined, follows: readonly RefRecord[]): RefPast[] {
  const line = before === undefined || follows.includes(before) ? follows : [...follows, before]
  const latest = [...line].sort((a, b) => compareRefs(b, a))
  const past = latest.map(({ sequence, root }) => ({ sequence, root }))
  const all = [...past, ...(before?.history ?? [])]
  // What only repeats the root after it, as a renewal does, is left out first: it must push out no other.
  for (let i = all.length - 1; i > 0 && all.length > HISTORY_MAX; i--) {
    if (all[i]?.root?.join() === all[i - 1]?.root?.join()) all.splice(i - 1, 1)
  }
  return all.slice(0, HISTORY_MAX)
}

function recovery(entry: RefEntry, want: RefWant, facts: DraftFacts): Draft {
  const known = [...entry.rivals, ...(entry.best === undefined ? [] : [entry.best])]
  const before = entry.best?.record ?? entry.rivals.at(-1)?.record
  if (before === undefined) return { type: 'absent' }
  const epoch = known.reduce((most, { record }) => Math.max(most, record.epoch), 0) + 1
  const sequence = before.sequence + 1
  const body = bodyOf(want, facts, { before, follows: [before], sequence })
  // What it builds on is `before`: whatever else is acknowledged from here on is a fork.
  return { type: 'draft', body: { ...body, epoch, since: sequence, voters: [body.electorate] }, chain: known }
}

/** What a voter needs to see of the past: the records that this one follows, down to one acknowledged. */
export function chainOf(entry: RefEntry, { predecessors }: Pick<RefRecord, 'predecessors'>): KnownRef[] {
  const { best, rivals } = entry
  if (predecessors.length === 0) return []
  if (best !== undefined && predecessors.length === 1 && best.record.hash === predecessors[0]) return [best]
  return [...rivals.slice(0, PREDECESSORS_MAX), ...(best === undefined ? [] : [best])]
}
