/**
 * Updating refs: with a node's key by that node, or with the application's own by way of whichever node
 * answers. What a node drafts is signed only if it follows what was acknowledged and says what was asked;
 * what it says of the vote is believed only with the receipts.
 */
import {
  CairnError,
  compareRefs,
  type Draft,
  decodeRefBody,
  doubtOf,
  fromHex,
  isPlaced,
  newRefWriter,
  onRefWriter,
  type PeerId,
  type RefBody,
  type RefRecord,
  type RefStep,
  type RefWant,
  type RefWriter,
  readEntry,
  refFailure,
  refSigned,
  sealRef,
  toHex,
  type UpdateOutcome
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import { toPeers } from './json.ts'
import type { RefKey } from './keys.ts'
import { allFailed, elsewhere, type NodeAt } from './nodes.ts'
import { hasPlace, placedOf } from './placed.ts'
import {
  behind,
  type Json,
  networkOf,
  note,
  receiptInfo,
  receiptsOf,
  recordOf,
  refOf,
  type Scene,
  sha256,
  signed,
  toReceipts,
  toRef,
  understood,
  type Whose
} from './ref-read.ts'
import type { RefSetOptions, RefWithReceipts } from './ref-types.ts'
import type { NodeInfo } from './types.ts'
import { wait } from './wait.ts'

/** Times that an update goes to another node, since the one before was lost. */
const CHANGES_MAX = 8
const CHANGE_MS = 250
/** A node that has just started learns within so long who its fellows are. As a join takes, with room. */
const UNBORNE_MS = 5_000

/** The first node's key, by that node and no other: the ref is its. */
export async function setByNode(
  scene: Scene,
  name: string,
  root: CID | string | undefined,
  { signal, ...options }: RefSetOptions
): Promise<RefWithReceipts> {
  const node = scene.nodes.all[0] as NodeAt
  const path = `/v1/refs/self/${encodeURIComponent(name)}`
  const body = JSON.stringify(askedOf(root, options))
  const json = await scene.nodes.json(node, { method: 'POST', path, type: 'application/json', body, signal })
  const set = { ...toRef(json as Json), receipts: toReceipts((json as Json).receipts) }
  note(scene, `${set.owner} ${name}`, set)
  return set
}

function askedOf(
  root: CID | string | undefined,
  { ifMatch, ...options }: Omit<RefSetOptions, 'signal'>
): Json {
  const asked: Json = { ...options, root: root === undefined ? null : String(root) }
  if (ifMatch !== undefined) asked.ifRoot = String(ifMatch)
  return asked
}

interface Own {
  name: string
  root: CID | string | undefined
  options: RefSetOptions
}

/** Signed here; any node carries it, and when that one is lost another, with the same bytes. */
export async function setByKey(
  scene: Scene,
  key: RefKey,
  { name, root, options }: Own
): Promise<RefWithReceipts> {
  const { signal, ...asked } = options
  const network = await networkOf(scene, signal)
  const want = wantOf(key.id, name, root, asked)
  const { writer, step } = newRefWriter(want)
  const by: By = { scene, key, network, writer, signal, voters: [], failures: new Map(), tries: 0 }
  let next: RefStep = step
  while (next.type !== 'end') {
    signal?.throwIfAborted()
    next = await take(by, next, asked)
  }
  if (next.result.type !== 'acknowledged') {
    throw refFailure(name, next.result, (bytes) => `${CID.decode(bytes)}`)
  }
  const { record, receipts } = next.result
  const ref = { ...refOf(record), receipts: receipts.map((one) => receiptInfo(one, by.voters)) }
  note(scene, `${key.id} ${name}`, ref)
  return ref
}

interface By {
  scene: Scene
  key: RefKey
  network: string
  writer: RefWriter
  signal: AbortSignal | undefined
  /** What a node calls those who voted. */
  voters: unknown
  /** The last of each node. */
  failures: Map<NodeAt, CairnError>
  tries: number
  /** When a node first knew other members than the draft of another names. */
  unborneMs?: number
}

async function take(
  by: By,
  step: Exclude<RefStep, { type: 'end' }>,
  asked: Omit<RefSetOptions, 'signal'>
): Promise<RefStep> {
  const { scene, key, writer, signal, network } = by
  if (step.type === 'sign')
    return onRefWriter(writer, { type: 'signed', record: await signBody(key, step.body) })
  const node = scene.nodes.ranked()[0] as NodeAt
  const { owner, name } = writer.want
  const whose = { network, owner, name }
  const path = `/v1/refs/${owner}/${encodeURIComponent(name)}`
  const post = (to: string, body: Json) =>
    scene.nodes.json(node, {
      method: 'POST',
      path: to,
      type: 'application/json',
      body: JSON.stringify(body),
      signal
    })
  try {
    if (step.type === 'draft') {
      const { root } = writer.want
      const text = root === 'same' ? root : root && `${CID.decode(root)}`
      const body = { ...askedOf(text, asked), settle: step.want.settle === true }
      const json = (await post(`${path}/draft`, body)) as Json
      const draft = await understood(node, () => toDraft(json, whose))
      if (draft.type === 'draft') await checkDraft(by, node, draft, step.want)
      return onRefWriter(writer, { type: 'drafted', draft })
    }
    const json = (await post(`${path}/propose`, { record: toHex(step.record.bytes) })) as Json
    const outcome = await understood(node, () => toOutcome(json, step.record, network))
    by.voters = json.receipts
    // What voters refuse may have been drafted by one that lies, or that knows less: the next is another's.
    if (outcome.type === 'refused') scene.nodes.avoid(node)
    return onRefWriter(writer, { type: 'updated', outcome })
  } catch (error) {
    signal?.throwIfAborted()
    if (!CairnError.is(error) || !elsewhere(error)) throw error
    by.failures.set(node, error)
    const isUnborne = by.unborneMs !== undefined && performance.now() < by.unborneMs + UNBORNE_MS
    if (++by.tries >= Math.min(CHANGES_MAX, 2 * scene.nodes.all.length) && !isUnborne)
      throw allFailed([...by.failures].map(([node, error]) => ({ node, error })))
    scene.nodes.avoid(node)
    // The first other node is asked at once: the one before is most likely gone.
    if (by.tries > 1) await wait(CHANGE_MS, signal)
    // Where nothing was proposed nothing can have been acknowledged: it is asked for again, as it was.
    return step.type === 'draft' ? step : onRefWriter(writer, { type: 'lost' })
  }
}

export async function signBody(key: RefKey, body: RefBody): Promise<RefRecord> {
  return sealRef(body, await key.sign(refSigned(body)), { sha256 })
}

function wantOf(
  owner: PeerId,
  name: string,
  root: CID | string | undefined,
  { ifMatch, metadata, ...rest }: Omit<RefSetOptions, 'signal'>
): RefWant {
  const bytes = (cid: CID | string) => (typeof cid === 'string' ? CID.parse(cid) : cid).bytes
  return {
    ...rest,
    owner,
    name,
    root: root === undefined || root === 'same' ? root : bytes(root),
    ...(ifMatch === undefined ? {} : { ifRoot: bytes(ifMatch) }),
    ...(metadata === undefined
      ? {}
      : { metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })) })
  }
}

/** What a node drafted, or says of the ref, with good signatures. @throws BAD_MESSAGE, WRONG_NETWORK */
async function toDraft(json: Json, whose: Whose): Promise<Draft | { type: 'unknown' }> {
  switch (json.type) {
    case 'draft': {
      const records = (json.chain as Json[]).map(knownOf)
      const chain = await signed((crypto) => readEntry({ records }, whose.network, crypto))
      return { type: 'draft', body: decodeRefBody(fromHex(String(json.body))), chain }
    }
    case 'finish':
      return { type: 'finish', record: await recordOf(json.record, whose), chain: [] }
    case 'split': {
      const rivals = (json.rivals as unknown[]).map((one) => recordOf(one, whose))
      return { type: 'split', rivals: await Promise.all(rivals) }
    }
    case 'moved': {
      if (json.best === undefined) return { type: 'moved', best: undefined }
      const { record: hex, receipts } = json.best as { record: string; receipts: string[] }
      const record = await recordOf(hex, whose)
      const votes = await receiptsOf(receipts, record, whose.network)
      return { type: 'moved', best: { record, receipts: new Map(votes.map((vote) => [vote.voter, vote])) } }
    }
    case 'absent':
      return { type: 'absent' }
    default:
      return { type: 'unknown' }
  }
}

function knownOf({ record, receipts }: Json): { record: Uint8Array; receipts: Uint8Array[] } {
  const votes = (receipts as unknown[]).map((receipt) => fromHex(String(receipt)))
  return { record: fromHex(String(record)), receipts: votes }
}

/** What is signed is what was asked for, after what was acknowledged, voted on by whom that names. */
async function checkDraft(
  by: By,
  from: NodeAt,
  { body, chain }: Draft & { type: 'draft' },
  want: RefWant
): Promise<void> {
  const { scene, network, signal } = by
  const refused = (why: string): CairnError =>
    new CairnError('BAD_MESSAGE', `${from.url} drafted what must not be signed: ${why}`, {
      hint: 'it lies, or is broken: use another node'
    })
  const why = doubtOf(body, { want, chain, network, sha256 })
  if (why !== undefined) throw refused(why)
  const seen = scene.seen.get(`${want.owner} ${want.name}`)
  // It may be honest, and have started while those that know more were away.
  if (seen !== undefined && compareRefs(body, seen) <= 0) throw behind(from, want.name)
  // The next voters, and N of a first record, another node must know for what they are.
  const others = scene.nodes.ranked().filter((node) => node !== from)
  const ask = <T>(path: string, read: (json: unknown) => T) =>
    firstTold(others, async (node) => read(await scene.nodes.json(node, { path, signal })))
  const members = await ask('/v1/peers', (json) => toPeers(json).filter(hasPlace).map(placedOf))
  if (members !== undefined && !isPlaced(body, members, sha256)) {
    // A lie, or one of the two has just started and knows few: soon both know the same.
    by.unborneMs ??= performance.now()
    throw new CairnError('TOO_FEW_REPLICAS', `${from.url} names voters that no other node bears out`, {
      hint: 'if a node has just started: again in a moment; if it stays so one of them lies: use others'
    })
  }
  if (body.predecessors.length > 0 || want.replicas !== undefined) return
  const replicas = await ask('/v1/node', (json) => (json as NodeInfo).network.replicas)
  if (replicas !== undefined && body.replicas !== replicas) throw refused('another N than the network has')
}

/** What the first of them says that answers. */
async function firstTold<T>(
  nodes: readonly NodeAt[],
  ask: (node: NodeAt) => Promise<T>
): Promise<T | undefined> {
  for (const node of nodes) {
    const told = await ask(node).catch(() => undefined)
    if (told !== undefined) return told
  }
  return undefined
}

async function toOutcome(
  json: Json,
  record: RefRecord,
  network: string
): Promise<UpdateOutcome | { type: 'failed'; reason: string }> {
  switch (json.type) {
    case 'acknowledged': {
      const told = json.receipts as Json[]
      const hexes = told.map((one) => one.receipt)
      return { type: 'acknowledged', record, receipts: await receiptsOf(hexes, record, network) }
    }
    case 'refused':
      return { type: 'refused', record, receipts: [], refusals: [] }
    case 'too-few':
      return { type: 'too-few', record, receipts: [], silent: json.silent as PeerId[] }
    default:
      return { type: 'failed', reason: String(json.reason) }
  }
}
