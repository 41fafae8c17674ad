/**
 * Names that live, for applications: read from any node and verified here (the owner's signature, and the
 * receipts of a majority of the voters), never older than what was seen before; set with the key of a node,
 * or with one of the application's own, by way of whichever node answers.
 */
import { cidOf } from '@cairn/blocks'
import {
  CairnError,
  checkRefName,
  compareRefs,
  type Draft,
  decodeRefBody,
  doubtOf,
  fromHex,
  isAcknowledged,
  isPlaced,
  isRefName,
  newRefWriter,
  onRefWriter,
  type PeerId,
  type RefBody,
  type RefReceipt,
  type RefRecord,
  type RefStep,
  type RefWant,
  type RefWriter,
  readEntry,
  readRef,
  readVote,
  refFailure,
  refSigned,
  SIGNATURE_BYTES,
  sealRef,
  toHex,
  type UpdateOutcome,
  weightOf
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import { toPeers } from './json.ts'
import { type RefKey, verifies } from './keys.ts'
import { allFailed, askAny, elsewhere, type NodeAt, type Nodes } from './nodes.ts'
import { wait } from './wait.ts'

/** Between two looks of `watch`, ms. */
const WATCH_MS = 500
/** Refs of which the highest record seen is remembered. */
const SEEN_MAX = 10_000
/** What was meant as a CID, whatever is wrong with it. */
const LIKE_A_CID = /^(b[a-z2-7]{30,}|Qm\w{30,}|z\w{40,}|f01[0-9a-f]{30,})$/
/** Times that an update goes to another node, since the one before was lost. */
const CHANGES_MAX = 8
const CHANGE_MS = 250

export interface RefReceiptInfo {
  peer: PeerId
  name: string
  timeMs: number
  /** As the voter signed it. */
  receipt: Uint8Array
}

export interface Ref {
  owner: PeerId
  name: string
  /** Absent once the ref is removed. */
  root: CID | undefined
  epoch: number
  sequence: number
  hash: string
  predecessors: string[]
  replicas: number
  lifetimeMs: number
  keep: number
  electorate: { peer: PeerId; name: string }[]
  history: { sequence: number; root: CID | undefined }[]
  metadata: Record<string, string>
  record: Uint8Array
}

export interface RefWithReceipts extends Ref {
  receipts: RefReceiptInfo[]
}

export interface RefState extends RefWithReceipts {
  /** Begun after it, and acknowledged by no majority. */
  rivals: Ref[]
  /** Acknowledged too, and not on its line. */
  forks: Ref[]
}

export interface RefOptions {
  /** Whose ref: by default the key's of this client, else the first node's. */
  owner?: string
  signal?: AbortSignal
}

export interface RefSetOptions {
  replicas?: number
  lifetimeMs?: number
  /** Earlier roots that are kept. */
  keep?: number
  metadata?: Record<string, string>
  /** Only if the ref points to this now. */
  ifMatch?: CID | string
  /** Only if it is at this sequence; 0: only if there is none. */
  ifSequence?: number
  /** Take the place of rivals that none acknowledged. */
  settle?: boolean
  /** Name new voters though too few of the old ones can be asked. May fork. */
  recover?: boolean
  /** Of a ref that stands alone: from now on the members vote on it, not one of them. */
  share?: boolean
  signal?: AbortSignal
}

/** What `name/path` leads to, and whose name it is. */
export interface Resolved {
  root: CID
  path: string[]
  ref: { owner: PeerId; name: string }
}

export interface Refs {
  /** What is acknowledged; `latest` asks a majority of the voters. @throws NOT_FOUND, TOO_FEW_REPLICAS */
  get(name: string, options?: RefOptions & { latest?: boolean }): Promise<RefState>
  /** Points the ref to a root; `same` leaves that. @throws TOO_FEW_REPLICAS, REF_CONFLICT, REF_STALE */
  set(name: string, root: CID | string, options?: RefSetOptions): Promise<RefWithReceipts>
  rm(name: string, options?: RefSetOptions): Promise<RefWithReceipts>
  list(options?: RefOptions & { all?: boolean }): Promise<Ref[]>
  /** The ref now, and again with each change, until the signal. */
  watch(name: string, options?: RefOptions): AsyncGenerator<RefState, void>
  /** The root of `name`, `name@sequence` or `owner/name`, with the path after it. */
  resolve(where: string, signal?: AbortSignal): Promise<Resolved>
  /** Whose refs `name` means. */
  owner(signal?: AbortSignal): Promise<PeerId>
}

interface Scene {
  nodes: Nodes
  key: RefKey | undefined
  /** The highest of each ref that was given to the caller. */
  seen: Map<string, { epoch: number; sequence: number }>
  about: Promise<{ id: PeerId; network: string }> | undefined
}

export function createRefs(nodes: Nodes, key: RefKey | undefined): Refs {
  const scene: Scene = { nodes, key, seen: new Map(), about: undefined }
  const owner = async (signal?: AbortSignal): Promise<PeerId> => key?.id ?? (await about(scene, signal)).id
  const ownerOf = async ({ owner: given, signal }: RefOptions): Promise<PeerId> =>
    given === undefined ? owner(signal) : (given as PeerId)
  const get: Refs['get'] = async (name, options = {}) => {
    const ref = { owner: await ownerOf(options), name: checkRefName(name) }
    return read(scene, ref, options)
  }
  const set = (name: string, root: CID | string | undefined, options: RefSetOptions) =>
    key === undefined ? setByNode(scene, name, root, options) : setByKey(scene, key, { name, root, options })

  return {
    get,
    set: (name, root, options = {}) => set(checkRefName(name), root, options),
    rm: (name, options = {}) => set(checkRefName(name), undefined, options),
    async list({ all = false, ...options } = {}) {
      const query = all ? '' : `?owner=${await ownerOf(options)}`
      const { signal } = options
      const json = (await nodes.anyJson({ path: `/v1/refs${query}`, signal })) as { refs: Json[] }
      return json.refs.map(toRef).filter(({ metadata }) => metadata.pin !== '1')
    },
    async *watch(name, options = {}) {
      for (let last: string | undefined; ; ) {
        options.signal?.throwIfAborted()
        const now = await get(name, options).catch((error) => {
          if (CairnError.is(error, 'NOT_FOUND')) return undefined
          throw error
        })
        if (now !== undefined && now.hash !== last) yield now
        last = now?.hash ?? last
        await wait(WATCH_MS, options.signal)
      }
    },
    resolve: (where, signal) => resolveWhere(where, signal, get),
    owner
  }
}

type Json = Record<string, unknown>

async function about(scene: Scene, signal: AbortSignal | undefined) {
  scene.about ??= scene.nodes
    .json(scene.nodes.all[0] as NodeAt, { path: '/v1/node', signal })
    .then((json) => {
      const { id, network } = json as { id: PeerId; network: { id: string } }
      return { id, network: network.id }
    })
  try {
    return await scene.about
  } catch (error) {
    scene.about = undefined
    throw error
  }
}

async function networkOf({ nodes, about }: Scene, signal: AbortSignal | undefined): Promise<string> {
  const known = await about?.catch(() => undefined)
  if (known !== undefined) return known.network
  return ((await nodes.anyJson({ path: '/v1/node', signal })) as { network: { id: string } }).network.id
}

// Reading

async function read(
  scene: Scene,
  { owner, name }: { owner: PeerId; name: string },
  { latest = false, signal }: { latest?: boolean; signal?: AbortSignal }
): Promise<RefState> {
  const path = `/v1/refs/${owner}/${encodeURIComponent(name)}`
  const network = await networkOf(scene, signal)
  const key = `${owner} ${name}`
  const ask = (strict: boolean) =>
    askAny(scene.nodes, async (node) => {
      const json = (await scene.nodes.json(node, {
        path: strict ? `${path}?latest=1` : path,
        signal
      })) as Json
      if (json.ref === undefined) return undefined
      const found = toState(json.ref as Json)
      await verify(found, network, node)
      if (found.owner !== owner || found.name !== name) throw other(node, name)
      return found
    })
  let found = await ask(latest)
  const seen = scene.seen.get(key)
  // A node that lags behind what this client saw is asked to ask the others.
  if (seen !== undefined && (found === undefined || compareRefs(found, seen) < 0)) found = await ask(true)
  if (found === undefined) throw noRef(name)
  if (seen !== undefined && compareRefs(found, seen) < 0) {
    throw new CairnError(
      'TOO_FEW_REPLICAS',
      `${name} was seen at ${seen.sequence}, and is told as ${found.sequence}`,
      {
        hint: 'the members that have the later one are away: try again'
      }
    )
  }
  note(scene, key, found)
  return found
}

function note({ seen }: Scene, key: string, { epoch, sequence }: Ref): void {
  seen.delete(key)
  seen.set(key, { epoch, sequence })
  if (seen.size > SEEN_MAX) seen.delete(seen.keys().next().value as string)
}

const sha256 = (bytes: Uint8Array): Uint8Array => cidOf(bytes).multihash.digest

/** The record as its owner signed it, and the receipts of a majority. @throws BAD_MESSAGE */
async function verify(found: RefState, network: string, node: NodeAt): Promise<void> {
  const checks: [PeerId, Uint8Array, Uint8Array][] = []
  const later = (peer: PeerId, bytes: Uint8Array, signature: Uint8Array): boolean => {
    checks.push([peer, bytes, signature])
    return true
  }
  const record = readRef(found.record, network, { sha256, verify: later })
  const votes = found.receipts.map(({ receipt }) => readVote(receipt, network, { verify: later }))
  const voters = new Set(votes.filter(({ hash }) => hash === record.hash).map(({ voter }) => voter))
  const good = (await Promise.all(checks.map((check) => verifies(...check)))).every((one) => one)
  const { root } = record
  const same =
    record.hash === found.hash &&
    toHex(root ?? new Uint8Array()) === toHex(found.root?.bytes ?? new Uint8Array())
  if (good && same && isAcknowledged(record, voters)) return
  throw new CairnError('BAD_MESSAGE', `${node.url} gave a ref that its signatures do not bear out`)
}

function other(node: NodeAt, name: string): CairnError {
  return new CairnError('BAD_MESSAGE', `${node.url} gave another ref than ${name}`)
}

function noRef(name: string): CairnError {
  return new CairnError('NOT_FOUND', `there is no ref ${name}`, {
    hint: 'cairn ref ls shows those there are'
  })
}

/** Whether text may begin with the name of a ref: what is neither that nor a CID is told as no CID. */
export function isRefWhere(where: string): boolean {
  const [first = ''] = where.split('/')
  if (LIKE_A_CID.test(first) || isCid(first)) return false
  return !/^(ipfs:|\/)/.test(where) && isRefName(first.replace(/@\d+$/, ''))
}

/** Even one whose hash names no block. */
function isCid(text: string): boolean {
  try {
    CID.parse(text)
    return true
  } catch {
    return false // then it may be a name
  }
}

async function resolveWhere(
  where: string,
  signal: AbortSignal | undefined,
  get: Refs['get']
): Promise<Resolved> {
  const [first = '', ...rest] = where.split('/').filter((part) => part !== '')
  const isOwner = /^12D3[1-9A-HJ-NP-Za-km-z]{48}$/.test(first) && rest.length > 0
  const [word = '', ...path] = isOwner ? rest : [first, ...rest]
  const [, name = '', wanted] = /^(.*?)(?:@(\d+))?$/.exec(word) ?? []
  if (!isRefName(name)) throw new CairnError('BAD_CID', `neither a CID nor the name of a ref: ${where}`)
  const options = { ...(isOwner ? { owner: first } : {}), ...(signal === undefined ? {} : { signal }) }
  const ref = await get(name, options)
  const sequence = wanted === undefined ? ref.sequence : Number(wanted)
  const at = sequence === ref.sequence ? ref : ref.history.find((past) => past.sequence === sequence)
  if (at?.root !== undefined) return { root: at.root, path, ref: { owner: ref.owner, name } }
  const known = [ref, ...ref.history].map((past) => past.sequence).join(', ')
  throw new CairnError('NOT_FOUND', `${name} has no root at ${sequence}`, {
    hint: `its record tells of ${known}`
  })
}

// Updating

/** The first node's key, by that node and no other: the ref is its. */
async function setByNode(
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
async function setByKey(scene: Scene, key: RefKey, { name, root, options }: Own): Promise<RefWithReceipts> {
  const { signal, ...asked } = options
  const network = await networkOf(scene, signal)
  const want = wantOf(key.id, name, root, asked)
  const { writer, step } = newRefWriter(want)
  const by: By = { scene, key, network, writer, signal, failures: [] }
  let next: RefStep = step
  while (next.type !== 'end') {
    signal?.throwIfAborted()
    next = await take(by, next, asked)
  }
  if (next.result.type !== 'acknowledged') {
    throw refFailure(name, next.result, (bytes) => `${CID.decode(bytes)}`)
  }
  const { record, receipts } = next.result
  const ref = { ...refOf(record), receipts: receipts.map((one) => receiptInfo(one)) }
  note(scene, `${key.id} ${name}`, ref)
  return ref
}

interface By {
  scene: Scene
  key: RefKey
  network: string
  writer: RefWriter
  signal: AbortSignal | undefined
  failures: { node: NodeAt; error: CairnError }[]
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
      const draft = toDraft((await post(`${path}/draft`, body)) as Json, { network, want: step.want })
      if (draft.type === 'draft') await checkDraft(by, node, draft, step.want)
      return onRefWriter(writer, { type: 'drafted', draft })
    }
    const json = (await post(`${path}/propose`, { record: toHex(step.record.bytes) })) as Json
    return onRefWriter(writer, { type: 'updated', outcome: toOutcome(json, step.record, network) })
  } catch (error) {
    signal?.throwIfAborted()
    if (!CairnError.is(error) || !elsewhere(error)) throw error
    by.failures.push({ node, error })
    if (by.failures.length >= Math.min(CHANGES_MAX, 2 * scene.nodes.all.length)) throw allFailed(by.failures)
    scene.nodes.avoid(node)
    // The first other node is asked at once: the one before is most likely gone.
    if (by.failures.length > 1) await wait(CHANGE_MS, signal)
    return onRefWriter(writer, { type: 'lost' })
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

/** What a node drafted is signed only if it says what was asked. @throws BAD_MESSAGE */
function toDraft(json: Json, { network }: { network: string; want: RefWant }): Draft | { type: 'unknown' } {
  const record = (hex: unknown): RefRecord =>
    readRef(fromHex(String(hex)), network, { sha256, verify: () => true })
  switch (json.type) {
    case 'draft': {
      const records = ((json.chain ?? []) as Json[]).map((one) => ({
        record: fromHex(String(one.record)),
        receipts: (one.receipts as unknown[]).map((receipt) => fromHex(String(receipt)))
      }))
      // Signatures are looked at once it is known what they are to bear out: `checkDraft`.
      const chain = readEntry({ records }, network, { sha256, verify: () => true })
      return { type: 'draft', body: decodeRefBody(fromHex(String(json.body))), chain }
    }
    case 'finish':
      return { type: 'finish', record: record(json.record), chain: [] }
    case 'split':
      return { type: 'split', rivals: (json.rivals as unknown[]).map(record) }
    case 'moved':
      return { type: 'moved', best: json.best === undefined ? undefined : record(json.best) }
    case 'absent':
      return { type: 'absent' }
    default:
      return { type: 'unknown' }
  }
}

/** What is signed is what was asked for, after what was acknowledged, voted on by whom that names. */
async function checkDraft(
  { scene, network, signal }: By,
  from: NodeAt,
  { body, chain }: Draft & { type: 'draft' },
  want: RefWant
): Promise<void> {
  const refused = (why: string): CairnError =>
    new CairnError('BAD_MESSAGE', `${from.url} drafted what must not be signed: ${why}`, {
      hint: 'it lies, or is broken: use another node'
    })
  const checks = chain.flatMap(({ record, receipts }) => [
    verifies(record.owner, refSigned(record), record.bytes.subarray(-SIGNATURE_BYTES)),
    ...[...receipts.values()].map((one) => isVote(one, network))
  ])
  if (!(await Promise.all(checks)).every((good) => good)) throw refused('a signature that is not its own')
  const why = doubtOf(body, { want, chain, network })
  if (why !== undefined) throw refused(why)
  const seen = scene.seen.get(`${want.owner} ${want.name}`)
  if (seen !== undefined && compareRefs(body, seen) <= 0) throw refused(`${seen.sequence} was seen already`)
  // Whom it names as the next voters, another node must know for members in their place.
  const other = scene.nodes.ranked().find((node) => node !== from)
  const peers = other && (await scene.nodes.json(other, { path: '/v1/peers', signal }).catch(() => undefined))
  if (peers === undefined) return
  const members = toPeers(peers).filter(({ state }) => state === 'alive' || state === 'suspect')
  const placed = members.map(({ id, capacity, zone }) => ({ id, weight: weightOf(capacity), zone }))
  if (!isPlaced(body, placed, sha256)) throw refused('voters that are not in their place')
}

async function isVote(receipt: RefReceipt, network: string): Promise<boolean> {
  let check: Promise<boolean> = Promise.resolve(false)
  readVote(receipt.bytes, network, {
    verify: (peer, bytes, signature) => {
      check = verifies(peer, bytes, signature)
      return true
    }
  })
  return check
}

function toOutcome(
  json: Json,
  record: RefRecord,
  network: string
): UpdateOutcome | { type: 'failed'; reason: string } {
  switch (json.type) {
    case 'acknowledged': {
      const receipts = toReceipts(json.receipts).map((one): RefReceipt & { name: string } => {
        return { ...readVote(one.receipt, network, { verify: () => true }), name: one.name }
      })
      if (!isAcknowledged(record, new Set(receipts.map(({ voter }) => voter)))) {
        return { type: 'failed', reason: 'acknowledged by fewer than a majority' }
      }
      return { type: 'acknowledged', record, receipts }
    }
    case 'refused':
      return { type: 'refused', record, receipts: [], refusals: [] }
    case 'too-few':
      return { type: 'too-few', record, receipts: [], silent: json.silent as PeerId[] }
    default:
      return { type: 'failed', reason: String(json.reason) }
  }
}

function receiptInfo(receipt: RefReceipt): RefReceiptInfo {
  const { voter, timeMs, bytes } = receipt
  const { name = voter } = receipt as RefReceipt & { name?: string }
  return { peer: voter, name, timeMs, receipt: bytes }
}

function refOf(record: RefRecord): Ref {
  const { root, electorate, history, metadata, bytes, ...rest } = record
  const cid = (at: Uint8Array | undefined) => (at === undefined ? undefined : CID.decode(at))
  const { owner, name, epoch, sequence, hash, predecessors, replicas, lifetimeMs, keep } = rest
  return {
    ...{ owner, name, epoch, sequence, hash, predecessors, replicas, lifetimeMs, keep },
    root: cid(root),
    electorate: electorate.map((peer) => ({ peer, name: peer })),
    history: history.map((past) => ({ sequence: past.sequence, root: cid(past.root) })),
    metadata: Object.fromEntries(metadata.map(({ key, value }) => [key, value])),
    record: bytes
  }
}

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

function toState(json: Json): RefState {
  const refs = (value: unknown) => ((value ?? []) as Json[]).map(toRef)
  return {
    ...toRef(json),
    receipts: toReceipts(json.receipts),
    rivals: refs(json.rivals),
    forks: refs(json.forks)
  }
}
