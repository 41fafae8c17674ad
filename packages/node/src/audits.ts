/**
 * The disk's side of audits: ranges of blocks read, verified and hashed, ours or, to judge what another
 * signed, anybody's; and what was found, told to those who listen.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { cidOfKey } from '@cairn/blocks'
import {
  type BlockKey,
  CairnError,
  type CoreAction,
  NONCE_BYTES,
  type PeerId,
  proveRange,
  type Range,
  rangeOf
} from '@cairn/core'
import type { AuditState } from './api.ts'
import { monotonicMs } from './runtime.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

type Of<T extends CoreAction['type']> = Extract<CoreAction, { type: T }>

/** A nonce, and a range of each block with what its holder must answer, from our own verified copies. */
export async function makeChallenge(shell: Shell, action: Of<'make-challenge'>): Promise<void> {
  const { token, holder } = action
  const nonce = randomBytes(NONCE_BYTES)
  const items: (Range & { digest: Uint8Array | undefined })[] = []
  for (const { key, size } of action.items) {
    const bytes = await own(shell, key)
    const range = rangeOf(key, bytes?.length ?? size, chance())
    const digest = bytes && proveRange({ nonce, holder, ...range }, bytes, shell.crypto.sha256)
    items.push({ ...range, digest })
  }
  shell.dispatch({ type: 'challenge-made', token, nonce, items })
}

/** Where a range begins: unknown to whoever is to answer for it. */
export function chance(): number {
  return randomInt(2 ** 32) / 2 ** 32
}

export async function prove(shell: Shell, action: Of<'prove'>): Promise<void> {
  const { token, holder, nonce, items, anywhere } = action
  const digests: (Uint8Array | undefined)[] = []
  for (const item of items) {
    const bytes = anywhere ? await anybodys(shell, item.key) : await own(shell, item.key)
    digests.push(bytes && proveRange({ nonce, holder, ...item }, bytes, shell.crypto.sha256))
  }
  shell.dispatch({ type: 'proved', token, digests })
}

/** Verified by the store; a disk that can't be read proves nothing, and says nothing wrong. */
async function own(shell: Shell, key: BlockKey): Promise<Uint8Array | undefined> {
  try {
    return await shell.store.get(key)
  } catch (error) {
    shell.log('error', `${key} can't be read for an audit: ${asCairnError(error).message}`)
    return undefined
  }
}

async function anybodys(shell: Shell, key: BlockKey): Promise<Uint8Array | undefined> {
  try {
    return await shell.reads.get(cidOfKey(key, 'raw'))
  } catch (error) {
    if (CairnError.is(error, 'NO_PROVIDER') || CairnError.is(error, 'BLOCK_CORRUPT')) return undefined
    shell.log('warn', `${key} can't be read to judge an accusation: ${asCairnError(error).message}`)
    return undefined
  }
}

const WHAT = {
  'wrong-answer': 'signed a wrong proof of',
  'asked-for-it': 'signed that it holds, and then asked for,'
} as const

export function tellFault(shell: Shell, { peer, fault }: Of<'fault'>): void {
  const cid = cidOfKey(fault.key, 'raw')
  const { kind, accuser } = fault
  const name = shell.nameOf(peer)
  shell.log('error', `${name} ${WHAT[kind]} ${cid}, says ${shell.nameOf(accuser)}: its copies do not count`)
  shell.events.emit({ type: 'fault', peer, name, kind, cid, by: accuser, atMs: Date.now() })
}

/** What audits showed of a member, for people; undefined before there was one. */
export function auditOf({ core }: Shell, peer: PeerId): AuditState | undefined {
  const { audits, faults } = core.auditing
  const record = audits.records.get(peer)
  const found = faults.found.get(peer)
  if (record === undefined && found === undefined) return undefined
  const { proven, absent, wrong, silent, atMs } = record ?? NONE
  const secondsAgo = atMs === undefined ? undefined : Math.round((monotonicMs() - atMs) / 1_000)
  const fault = found && { kind: found.kind, cid: cidOfKey(found.key, 'raw'), by: found.accuser }
  return { proven, absent, wrong, silent, secondsAgo, fault }
}

const NONE = { proven: 0, absent: 0, wrong: 0, silent: 0, atMs: undefined }
