/**
 * Refs for callers of a node: reads, updates by the node's own key, and for those who keep their key to
 * themselves the two halves of one: a draft to sign, and a signed record to put to the vote.
 */
import {
  bestRef,
  CairnError,
  checkRefName,
  type Draft,
  encodeRefBody,
  type KnownRef,
  newRefWriter,
  onRefWriter,
  type PeerId,
  type RefAction,
  type RefEntry,
  type RefEvent,
  type RefRecord,
  type RefResult,
  type RefStep,
  type RefWant,
  readRef,
  refFailure,
  refId,
  signRef,
  termsOf,
  type UpdateOutcome
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import type { RefAsked, RefDraft, RefOutcome, RefRecordView, RefUpdate, RefView } from './api-refs.ts'
import type { Claimer } from './claimer.ts'
import { createRefClaims } from './ref-claims.ts'
import type { RefFiles } from './ref-files.ts'
import { createRefTidy } from './ref-tidy.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

/** Renewals under way at once: each is an update of its own. */
const RENEWALS_MAX = 4
/** Between looks at claims that were made here and may have to end. A guess: others have seen to most. */
const LOOK_MS = 20_000

type Told<T extends RefAction['type']> = RefAction & { type: T }
type Question =
  Extract<RefEvent, { request: number }> extends infer E
    ? E extends RefEvent
      ? Omit<E, 'request'>
      : never
    : never

export interface NodeRefs {
  get(ref: { owner: PeerId; name: string }, options?: { latest?: boolean }): Promise<RefView | undefined>
  /** With this node's own key, or that of another signer. */
  set(name: string, asked: RefAsked, by?: Pick<Claimer, 'id' | 'crypto'>): Promise<RefUpdate>
  draft(want: RefWant): Promise<RefDraft>
  propose(record: Uint8Array): Promise<RefOutcome>
  list(owner?: PeerId): Promise<RefRecordView[]>
  perform(action: Exclude<RefAction, { type: 'send' }>): void
  /** Ends claims that a pin had taken over, and has no longer. */
  tidyPast(ref: { owner: PeerId; name: string }): Promise<void>
  /** What was begun in an earlier life goes on. */
  start(): void
  close(error: CairnError): void
}

export function createNodeRefs(shell: () => Shell, files: RefFiles, home: string): NodeRefs {
  const waiting = new Map<number, { resolve(action: RefAction): void; reject(error: unknown): void }>()
  const renewing = new Set<string>()
  let nextRequest = 1

  const ask = <T extends RefAction['type']>(question: Question): Promise<Told<T>> => {
    shell().usable()
    const request = nextRequest++
    const { promise, resolve, reject } = Promise.withResolvers<RefAction>()
    waiting.set(request, { resolve, reject })
    shell().dispatch({ ...question, request } as RefEvent)
    return promise as Promise<Told<T>>
  }
  const draftOf = async (want: RefWant) => (await ask<'ref-drafted'>({ type: 'ref-draft', want })).draft
  const tidying = createRefTidy(shell, home)
  const claims = createRefClaims(shell, home, tidying)
  const vote = async (record: RefRecord) => {
    await claims.hold(record, bestRef(shell().core.refs, record.id))
    const { outcome } = await ask<'ref-updated'>({ type: 'ref-propose', record })
    if (outcome.type !== 'acknowledged') return outcome
    // What is removed can be collected at once. If it can't be let go of now, whoever sees to the ref does.
    if (record.root === undefined) await tidying.tidy(record, false).catch(toLog)
    // Claims that only this node can end it sees to itself, if no other update makes it.
    else if (!shell().claimer.shared && record.owner !== shell().id) background(tidying.tidy(record, false))
    return outcome
  }
  const toLog = (error: unknown): void => shell().log('warn', asCairnError(error).message)

  const update = async (want: RefWant, { crypto }: Pick<Claimer, 'crypto'> = shell()): Promise<RefResult> => {
    const { writer, step } = newRefWriter(want)
    let next: RefStep = step
    while (next.type !== 'end') {
      if (next.type === 'draft') {
        next = onRefWriter(writer, { type: 'drafted', draft: await draftOf(next.want) })
      } else if (next.type === 'sign') {
        next = onRefWriter(writer, {
          type: 'signed',
          record: signRef(next.body, { sha256: crypto.sha256, sign: crypto.sign })
        })
      } else next = onRefWriter(writer, { type: 'updated', outcome: await vote(next.record) })
    }
    return next.result
  }
  const renew = async ({ owner, name }: Told<'renew-ref'>): Promise<void> => {
    if (renewing.has(name) || renewing.size >= RENEWALS_MAX) return
    renewing.add(name)
    try {
      const result = await update({ owner, name, root: 'same' })
      if (result.type !== 'acknowledged') shell().log('warn', `${name} was not renewed: ${result.type}`)
    } finally {
      renewing.delete(name)
    }
  }
  const kept = async ({ token, id, bytes }: Told<'keep-ref'>): Promise<void> => {
    try {
      await files.keep(id, bytes)
      shell().dispatch({ type: 'ref-kept', token, atMs: Date.now() })
    } catch (error) {
      const failed = asCairnError(error).message
      shell().log('error', `a ref was not kept on disk: ${failed}`)
      shell().dispatch({ type: 'ref-kept', token, atMs: Date.now(), failed })
    }
  }
  const tidy = async ({ id, record, expired }: Told<'tidy-ref'>): Promise<void> => {
    const told = { type: 'ref-tidied', id, hash: record.hash, expired } as const
    try {
      await tidying.tidy(record, expired)
      shell().dispatch({ ...told, failed: false })
    } catch (error) {
      shell().dispatch({ ...told, failed: true })
      throw error
    }
  }
  /** What was claimed here for updates that came to nothing, or are long past. */
  const check = async (): Promise<void> => {
    for (const id of await claims.due()) {
      const { entry } = await ask<'ref-read-over'>({ type: 'ref-read', id, latest: false })
      const forks = entry.forks.map(({ record }) => record)
      if (entry.best !== undefined) await claims.check(entry.best.record, forks)
    }
  }
  let checking: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    shell().dispatch({ type: 'ref-clock', atMs: Date.now() })
    checking ??= check().finally(() => {
      checking = undefined
    })
    background(checking)
  }
  const background = (work: Promise<unknown>): void => {
    void shell().during(work).catch(toLog)
  }

  return {
    async get({ owner, name }, { latest = false } = {}) {
      const id = refId({ owner, name: checkRefName(name) }, shell().crypto.sha256)
      for (let tries = 0; ; tries++) {
        const { entry, quorum } = await ask<'ref-read-over'>({ type: 'ref-read', id, latest })
        if (latest && !quorum) throw unheard(name)
        const [begun, more] = entry.rivals
        // What may have been acknowledged, and is not known to be, is decided before it is told.
        const decide = latest && begun !== undefined && more === undefined && tries === 0
        if (!decide) return entry.best && viewOf(shell(), entry, quorum)
        await ask<'ref-updated'>({ type: 'ref-propose', record: begun.record })
      }
    },
    async set(name, asked, by = shell()) {
      const want = wantOf(by.id, checkRefName(name), asked)
      const result = await update(want, by)
      if (result.type === 'too-few') {
        const silent = result.silent.map((peer) => shell().nameOf(peer as PeerId))
        throw refFailure(name, { ...result, silent }, rootText)
      }
      if (result.type !== 'acknowledged') throw refFailure(name, result, rootText)
      return updateOf(shell(), result)
    },
    draft: async (want) => draftView(await draftOf(want)),
    propose: async (bytes) =>
      outcomeView(shell(), await vote(readRef(bytes, shell().network.id, shell().crypto))),
    async list(owner) {
      const { records } = await ask<'refs-listed'>({ type: 'ref-list', owner })
      return records
        .map((bytes) => recordView(shell(), readRef(bytes, shell().network.id, shell().crypto)))
        .filter(({ root }) => root !== undefined)
        .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.owner < b.owner ? -1 : 1))
    },
    perform(action) {
      switch (action.type) {
        case 'keep-ref':
          background(kept(action))
          return
        case 'drop-ref':
          background(files.drop(action.id))
          return
        case 'keep-boot':
          background(files.keepBoot(action.boot))
          return
        case 'renew-ref':
          background(renew(action))
          return
        case 'tidy-ref':
          background(tidy(action))
          return
        case 'ref-changed':
          shell().events.emit({ type: 'ref', ...changeOf(action), atMs: Date.now() })
          return
        default:
          waiting.get(action.request)?.resolve(action)
          waiting.delete(action.request)
      }
    },
    async tidyPast(ref) {
      const best = bestRef(shell().core.refs, refId(ref, shell().crypto.sha256))
      if (best !== undefined) await tidying.endPast(best)
    },
    start() {
      shell().dispatch({ type: 'ref-clock', atMs: Date.now() })
      timer = setInterval(look, LOOK_MS)
      timer.unref()
    },
    close(error) {
      clearInterval(timer)
      for (const { reject } of waiting.values()) reject(error)
      waiting.clear()
    }
  }
}

function changeOf({ record, forks }: Told<'ref-changed'>) {
  const { owner, name, sequence } = record
  const root = cidOf(record.root)
  return { owner, name, sequence, forks: forks.length, ...(root === undefined ? {} : { root }) }
}

export function wantOf(owner: PeerId, name: string, asked: RefAsked): RefWant {
  const { root, ifRoot, metadata, ...rest } = asked
  return {
    ...rest,
    owner,
    name,
    root: root === 'same' ? 'same' : root?.bytes,
    ...(ifRoot === undefined ? {} : { ifRoot: ifRoot.bytes }),
    ...(metadata === undefined
      ? {}
      : { metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })) })
  }
}

function cidOf(bytes: Uint8Array | undefined): CID | undefined {
  return bytes === undefined ? undefined : CID.decode(bytes)
}

const rootText = (root: Uint8Array): string => `${CID.decode(root)}`

function recordView(shell: Shell, record: RefRecord): RefRecordView {
  const root = cidOf(record.root)
  return {
    ...termsOf(record),
    ...(root === undefined ? {} : { root }),
    electorate: record.electorate.map((peer) => ({ peer, name: shell.nameOf(peer) })),
    history: record.history.map(({ sequence: then, root: at }) => {
      const past = cidOf(at)
      return past === undefined ? { sequence: then } : { sequence: then, root: past }
    }),
    metadata: Object.fromEntries(record.metadata.map(({ key, value }) => [key, value])),
    record: record.bytes
  }
}

function receiptsView(shell: Shell, receipts: KnownRef['receipts'] | readonly { voter: PeerId }[]) {
  const all = [...receipts.values()] as { voter: PeerId; timeMs: number; bytes: Uint8Array }[]
  return all.map(({ voter, timeMs, bytes }) => {
    return { peer: voter, name: shell.nameOf(voter), timeMs, receipt: bytes }
  })
}

function viewOf(shell: Shell, entry: RefEntry, quorum: boolean): RefView {
  const best = entry.best as KnownRef
  return {
    ...recordView(shell, best.record),
    receipts: receiptsView(shell, best.receipts),
    rivals: entry.rivals.map(({ record }) => recordView(shell, record)),
    forks: entry.forks.map(({ record }) => recordView(shell, record)),
    quorum
  }
}

function updateOf(shell: Shell, result: RefResult & { type: 'acknowledged' }): RefUpdate {
  return { ...recordView(shell, result.record), receipts: receiptsView(shell, result.receipts) }
}

/** What a client that signs for itself is told: bytes, which it checks. */
function draftView(draft: Draft | { type: 'unknown' }): RefDraft {
  switch (draft.type) {
    case 'draft':
      return { type: 'draft', body: encodeRefBody(draft.body), chain: draft.chain.map(chainView) }
    case 'finish':
      return { type: 'finish', record: draft.record.bytes }
    case 'split':
      return { type: 'split', rivals: draft.rivals.map(({ bytes }) => bytes) }
    case 'moved':
      return draft.best === undefined ? { type: 'moved' } : { type: 'moved', best: chainView(draft.best) }
    default:
      return draft
  }
}

function chainView({ record, receipts }: KnownRef): { record: Uint8Array; receipts: Uint8Array[] } {
  return { record: record.bytes, receipts: [...receipts.values()].map(({ bytes }) => bytes) }
}

function outcomeView(shell: Shell, outcome: UpdateOutcome | { type: 'failed'; reason: string }): RefOutcome {
  switch (outcome.type) {
    case 'acknowledged':
      return { type: 'acknowledged', receipts: receiptsView(shell, outcome.receipts) }
    case 'refused':
      return { type: 'refused' }
    case 'too-few':
      return { type: 'too-few', silent: outcome.silent.map(shell.nameOf) }
    case 'failed':
      return outcome
  }
}

function unheard(name: string): CairnError {
  return new CairnError('TOO_FEW_REPLICAS', `too few of those who vote on ${name} can be reached`, {
    hint: 'without --latest the last that is known is told'
  })
}
