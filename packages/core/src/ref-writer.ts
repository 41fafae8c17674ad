/**
 * One update as its caller sees it, in rounds: ask for a draft, sign it, put it to the vote; finish first
 * what was begun, follow a rival that was faster, settle a split when asked to. Whoever has the key drives
 * it (a node, a client, the simulator); news in, the next step out.
 */
import type { Draft, RefWant } from './draft.ts'
import { CairnError } from './errors.ts'
import type { UpdateOutcome } from './primary.ts'
import type { RefBody, RefRecord } from './ref.ts'
import type { KnownRef } from './ref-entry.ts'
import type { RefReceipt } from './ref-receipt.ts'

/** Rounds of one update. Each that is not the last was lost to a rival, or finished what was begun. */
const ROUNDS_MAX = 8

export type RefStep =
  | { type: 'draft'; want: RefWant }
  | { type: 'sign'; body: RefBody }
  | { type: 'propose'; record: RefRecord }
  | { type: 'end'; result: RefResult }

export type RefNews =
  | { type: 'drafted'; draft: Draft | { type: 'unknown' } }
  | { type: 'signed'; record: RefRecord }
  | { type: 'updated'; outcome: UpdateOutcome | { type: 'failed'; reason: string } }
  /** Whom we asked is gone: begin again with another. What was signed may have been acknowledged. */
  | { type: 'lost' }

/** How an update ended. */
export type RefResult =
  | { type: 'acknowledged'; record: RefRecord; receipts: RefReceipt[] }
  /** Each has some votes, and none a majority. */
  | { type: 'conflict'; rivals: RefRecord[] }
  /** The condition does not hold. */
  | { type: 'moved'; best: RefRecord | undefined }
  /** What was signed, if anything was, may still be acknowledged: by the next who finishes it. */
  | { type: 'too-few'; record: RefRecord | undefined; silent: string[] }
  | { type: 'absent' }
  | { type: 'failed'; reason: string }

export interface RefWriter {
  readonly want: RefWant
  /** Signed for this update: if one of them is the ref's, the update was made. */
  readonly signed: RefRecord[]
  rounds: number
  /** Put to the vote now. */
  proposed: RefRecord | undefined
}

export function newRefWriter(want: RefWant): { writer: RefWriter; step: RefStep } {
  const writer: RefWriter = { want, signed: [], rounds: 1, proposed: undefined }
  return { writer, step: { type: 'draft', want: { ...want, settle: false } } }
}

export function onRefWriter(writer: RefWriter, news: RefNews): RefStep {
  switch (news.type) {
    case 'drafted':
      return drafted(writer, news.draft)
    case 'signed':
      writer.signed.push(news.record)
      return propose(writer, news.record)
    case 'updated':
      return updated(writer, news.outcome)
    case 'lost':
      return again(writer, false)
  }
}

function end(result: RefResult): RefStep {
  return { type: 'end', result }
}

function acknowledged(known: readonly KnownRef[], record: RefRecord): RefStep {
  const receipts = known.find((one) => one.record.hash === record.hash)?.receipts.values() ?? []
  return end({ type: 'acknowledged', record, receipts: [...receipts] })
}

function propose(writer: RefWriter, record: RefRecord): RefStep {
  writer.proposed = record
  return { type: 'propose', record }
}

function again(writer: RefWriter, settle: boolean): RefStep {
  writer.proposed = undefined
  if (writer.rounds++ >= ROUNDS_MAX) return end({ type: 'too-few', record: writer.signed.at(-1), silent: [] })
  return { type: 'draft', want: { ...writer.want, settle } }
}

function drafted(writer: RefWriter, draft: Draft | { type: 'unknown' }): RefStep {
  switch (draft.type) {
    case 'draft': {
      const made = writer.signed.find(({ hash }) => draft.body.predecessors.includes(hash))
      const alone = draft.body.predecessors.length === 1
      if (made !== undefined && alone) return acknowledged(draft.chain, made)
      return { type: 'sign', body: draft.body }
    }
    case 'finish':
      return propose(writer, draft.record)
    case 'split':
      return split(writer, draft.rivals)
    case 'moved': {
      const best = draft.best?.record
      const made = writer.signed.find(({ hash }) => hash === best?.hash)
      if (made !== undefined) return acknowledged(draft.best === undefined ? [] : [draft.best], made)
      return end({ type: 'moved', best })
    }
    case 'absent':
      return end({ type: 'absent' })
    case 'unknown':
      return end({ type: 'too-few', record: undefined, silent: [] })
  }
}

function updated(writer: RefWriter, outcome: UpdateOutcome | { type: 'failed'; reason: string }): RefStep {
  if (outcome.type === 'failed') return end(outcome)
  const { record } = outcome
  const own = writer.signed.some(({ hash }) => hash === record.hash)
  switch (outcome.type) {
    case 'acknowledged':
      // What another device of the owner's, or an earlier try, began to the same end is this update.
      if (own || isSame(record, writer.want)) return end(outcome)
      return again(writer, false)
    case 'refused':
      return own ? again(writer, false) : split(writer, [record])
    case 'too-few':
      return end({ type: 'too-few', record, silent: outcome.silent })
  }
}

function isSame(record: RefRecord, want: RefWant): boolean {
  const { root, replicas, lifetimeMs, keep, metadata, ifSequence, recover } = want
  if (recover === true || root === 'same' || root?.join() !== record.root?.join()) return false
  if (ifSequence !== undefined && record.sequence !== ifSequence + 1) return false
  if (metadata !== undefined && JSON.stringify(metadata) !== JSON.stringify(record.metadata)) return false
  return (
    (keep ?? record.keep) === record.keep &&
    (replicas ?? record.replicas) === record.replicas &&
    (lifetimeMs ?? record.lifetimeMs) === record.lifetimeMs
  )
}

function split(writer: RefWriter, rivals: RefRecord[]): RefStep {
  return writer.want.settle === true ? again(writer, true) : end({ type: 'conflict', rivals })
}

/** What the caller of an update that was not acknowledged is told; `said` writes a root. */
export function refFailure(
  name: string,
  result: Exclude<RefResult, { type: 'acknowledged' }>,
  said: (root: Uint8Array) => string
): CairnError {
  const told = ({ root }: RefRecord) => (root === undefined ? 'its removal' : said(root))
  switch (result.type) {
    case 'conflict': {
      const each = result.rivals.map((one) => `${told(one)} as ${one.sequence} (${one.hash.slice(0, 12)})`)
      return new CairnError(
        'REF_CONFLICT',
        `${name} has rivals that no majority acknowledged: ${each.join(', ')}`,
        {
          hint: `cairn ref get ${name} shows them; ref set with --settle takes the place of all`
        }
      )
    }
    case 'moved': {
      const { best } = result
      const now = best === undefined ? 'there is none' : `it is ${best.sequence}: ${told(best)}`
      const hint = `cairn ref get ${name}, and decide again`
      return new CairnError('REF_STALE', `${name} is not what was expected: ${now}`, { hint })
    }
    case 'too-few': {
      const begun = result.record === undefined ? '' : '; it may still be acknowledged when they are back'
      const who = result.silent.length === 0 ? '' : `: no vote from ${result.silent.join(', ')}`
      return new CairnError('TOO_FEW_REPLICAS', `no majority of those who vote on ${name}${who}${begun}`, {
        hint: `again when they are back, or, if they never will be: cairn ref recover ${name}`
      })
    }
    case 'absent':
      return new CairnError('NOT_FOUND', `there is no ref ${name}`, {
        hint: 'cairn ref ls shows those there are'
      })
    case 'failed':
      return new CairnError('BUSY', `${name} was not updated: ${result.reason}`, { hint: 'try again' })
  }
}
