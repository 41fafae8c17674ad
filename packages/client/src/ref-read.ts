/**
 * Reading refs from nodes that may lie: what is told is made of the record as its owner signed it and of the
 * receipts of a majority of its voters, and is never older than what was seen before.
 */
import { cidOf } from '@cairn/blocks'
import {
  CairnError,
  type Crypto,
  compareRefs,
  fromHex,
  isAcknowledged,
  type PeerId,
  type RefReceipt,
  type RefRecord,
  readRef,
  readVote,
  termsOf
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import { type RefKey, verifies } from './keys.ts'
import { askAny, type NodeAt, type Nodes } from './nodes.ts'
import type { Ref, RefReceiptInfo, RefState } from './ref-types.ts'

/** Refs of which the highest record seen is remembered. */
const SEEN_MAX = 10_000

export type Json = Record<string, unknown>

/** What a client knows of nodes and refs. */
export interface Scene {
  nodes: Nodes
  key: RefKey | undefined
  /** The highest of each ref that was given to the caller. */
  seen: Map<string, { epoch: number; sequence: number }>
  /** Whom the first node says to be. */
  firstId: Promise<PeerId> | undefined
  /** Of the first node that told. */
  network: string | undefined
}

/** The first node's own id: whose refs are meant where no key says otherwise. */
export async function firstId(scene: Scene, signal: AbortSignal | undefined): Promise<PeerId> {
  scene.firstId ??= scene.nodes
    .json(scene.nodes.all[0] as NodeAt, { path: '/v1/node', signal })
    .then((json) => (json as { id: PeerId }).id)
  try {
    return await scene.firstId
  } catch (error) {
    scene.firstId = undefined
    throw error
  }
}

export async function networkOf(scene: Scene, signal: AbortSignal | undefined): Promise<string> {
  if (scene.network === undefined) {
    const told = await scene.nodes.anyJson({ path: '/v1/node', signal })
    scene.network = (told as { network: { id: string } }).network.id
  }
  return scene.network
}

export async function read(
  scene: Scene,
  { owner, name }: { owner: PeerId; name: string },
  { latest = false, signal }: { latest?: boolean; signal?: AbortSignal }
): Promise<RefState> {
  const path = `/v1/refs/${owner}/${encodeURIComponent(name)}`
  const network = await networkOf(scene, signal)
  const key = `${owner} ${name}`
  const seen = scene.seen.get(key)
  const isBehind = (found: Ref | undefined): boolean =>
    seen !== undefined && (found === undefined || compareRefs(found, seen) < 0)
  const ask = (strict: boolean) =>
    askAny(scene.nodes, async (node) => {
      const asked = { path: strict ? `${path}?latest=1` : path, signal }
      const json = (await scene.nodes.json(node, asked)) as Json
      const known = json.ref as Json | undefined
      const found = known && (await understood(node, () => stateOf(known, { network, owner, name })))
      if (strict && isBehind(found)) throw behind(node, name)
      return found
    })
  const found = await ask(latest)
  // A node that lags behind what this client saw is asked to ask the others; then others are asked.
  const now = isBehind(found) ? await ask(true) : found
  if (now === undefined) throw await noRef(scene, { owner, name }, signal)
  note(scene, key, now)
  return now
}

export function note({ seen }: Scene, key: string, { epoch, sequence }: Ref): void {
  seen.delete(key)
  seen.set(key, { epoch, sequence })
  if (seen.size > SEEN_MAX) seen.delete(seen.keys().next().value as string)
}

export const sha256 = (bytes: Uint8Array): Uint8Array => cidOf(bytes).multihash.digest

/** What a node said, if it can be read and its signatures bear it out. @throws BAD_MESSAGE */
export async function understood<T>(node: NodeAt, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CairnError('BAD_MESSAGE', `${node.url} said of a ref what is not so: ${why}`, {
      cause,
      hint: 'it lies, or is broken: use another node'
    })
  }
}

/** Reads what others signed, then looks at all signatures: here each takes a promise. @throws BAD_MESSAGE */
export async function signed<T>(read: (crypto: Pick<Crypto, 'sha256' | 'verify'>) => T): Promise<T> {
  const checks: Promise<boolean>[] = []
  const verify = (...check: Parameters<typeof verifies>): boolean => checks.push(verifies(...check)) > 0
  const value = read({ sha256, verify })
  if ((await Promise.all(checks)).every((good) => good)) return value
  throw new CairnError('BAD_MESSAGE', 'a signature that is not its own')
}

export interface Whose {
  network: string
  owner: PeerId
  name: string
}

/** A record that its owner signed, of this ref. @throws BAD_MESSAGE, WRONG_NETWORK */
export async function recordOf(hex: unknown, { network, owner, name }: Whose): Promise<RefRecord> {
  const record = await signed((crypto) => readRef(fromHex(String(hex)), network, crypto))
  if (record.owner === owner && record.name === name) return record
  throw new CairnError('BAD_MESSAGE', `a record of another ref than ${name}`)
}

/** Receipts of a majority of those who vote on the record. @throws BAD_MESSAGE */
export async function receiptsOf(
  hexes: readonly unknown[],
  record: RefRecord,
  network: string
): Promise<RefReceipt[]> {
  const votes = await signed((crypto) =>
    hexes
      .map((hex) => readVote(fromHex(String(hex)), network, crypto))
      .filter((vote) => vote.hash === record.hash)
  )
  if (isAcknowledged(record, new Set(votes.map(({ voter }) => voter)))) return votes
  throw new CairnError('BAD_MESSAGE', 'receipts of fewer than a majority')
}

async function stateOf(json: Json, whose: Whose): Promise<RefState> {
  const record = await recordOf(json.record, whose)
  const told = (json.receipts ?? []) as Json[]
  const receipts = await receiptsOf(
    told.map((one) => one.receipt),
    record,
    whose.network
  )
  const others = (value: unknown) =>
    Promise.all(((value ?? []) as Json[]).map(async (one) => refOf(await recordOf(one.record, whose), one)))
  return {
    ...refOf(record, json),
    receipts: receipts.map((vote) => receiptInfo(vote, told)),
    rivals: await others(json.rivals),
    forks: await others(json.forks)
  }
}

/** All that the members carry, of one owner or of all: each as its owner signed it. */
export async function list(
  scene: Scene,
  owner: PeerId | undefined,
  signal: AbortSignal | undefined
): Promise<Ref[]> {
  const network = await networkOf(scene, signal)
  const path = owner === undefined ? '/v1/refs' : `/v1/refs?owner=${owner}`
  const refOfOne = async (one: Json): Promise<Ref> => {
    return refOf(await signed((crypto) => readRef(fromHex(String(one.record)), network, crypto)), one)
  }
  const all = await askAny(scene.nodes, async (node) => {
    const { refs } = (await scene.nodes.json(node, { path, signal })) as { refs: Json[] }
    return understood(node, () => Promise.all(refs.map(refOfOne)))
  })
  return all.filter((ref) => owner === undefined || ref.owner === owner)
}

export function behind(node: NodeAt, name: string): CairnError {
  return new CairnError('TOO_FEW_REPLICAS', `${node.url} knows of no ${name} as late as was seen`, {
    hint: 'the members that have the later one are away: try again'
  })
}

/** With a key of one's own a name is that key's: who meant the node's is told how that is called. */
async function noRef(
  scene: Scene,
  { owner, name }: { owner: PeerId; name: string },
  signal: AbortSignal | undefined
): Promise<CairnError> {
  const isOwn = scene.key?.id === owner
  const node = isOwn ? await firstId(scene, signal).catch(() => undefined) : undefined
  const told = node === undefined || node === owner ? '' : `; the one of the node is ${node}/${name}`
  return new CairnError('NOT_FOUND', `there is no ref ${name}${isOwn ? ' of this key' : ''}`, {
    hint: `cairn ref ls shows those there are${told}`
  })
}

/** Of a record; what its members are called is the node's to say. */
export function refOf(record: RefRecord, told: Json = {}): Ref {
  const { root, electorate, history, metadata, bytes } = record
  const cid = (at: Uint8Array | undefined) => (at === undefined ? undefined : CID.decode(at))
  const names = namesIn(told.electorate)
  return {
    ...termsOf(record),
    root: cid(root),
    electorate: electorate.map((peer) => ({ peer, name: names.get(peer) ?? peer })),
    history: history.map((past) => ({ sequence: past.sequence, root: cid(past.root) })),
    metadata: Object.fromEntries(metadata.map(({ key, value }) => [key, value])),
    record: bytes
  }
}

export function receiptInfo({ voter, timeMs, bytes }: RefReceipt, told: unknown): RefReceiptInfo {
  return { peer: voter, name: namesIn(told).get(voter) ?? voter, timeMs, receipt: bytes }
}

function namesIn(told: unknown): Map<unknown, string> {
  return new Map(((told ?? []) as Json[]).map(({ peer, name }) => [peer, String(name)]))
}

/** Of the node's own ref, as it says: the key is its own. */
export function toRef(json: Json): Ref {
  const cid = (text: unknown) => (text === undefined ? undefined : CID.parse(String(text)))
  const history = (json.history ?? []) as Json[]
  return {
    ...(json as unknown as Ref),
    root: cid(json.root),
    history: history.map((past) => ({ sequence: Number(past.sequence), root: cid(past.root) })),
    record: fromHex(String(json.record))
  }
}

export function toReceipts(value: unknown): RefReceiptInfo[] {
  return ((value ?? []) as Json[]).map((one) => {
    return { ...(one as unknown as RefReceiptInfo), receipt: fromHex(String(one.receipt)) }
  })
}
