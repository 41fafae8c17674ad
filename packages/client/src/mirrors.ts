/**
 * Read replicas of names on the first node: added, looked at and removed. A name of somebody else's is found
 * by its owner, or by itself where only one has it.
 */
import { parseCid } from '@cairn/blocks'
import {
  CairnError,
  checkRefName,
  decodeRefBody,
  fromHex,
  MIRROR_LEASE_MS,
  type MirrorPhase,
  type PeerId,
  standsAlone,
  toHex
} from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { RefKey } from './keys.ts'
import type { NodeAt, Nodes } from './nodes.ts'

import { toReceipts, toRef } from './ref-read.ts'
import type { RefReceiptInfo, Refs, RefWithReceipts } from './ref-types.ts'
import { signBody } from './ref-write.ts'
import { wait } from './wait.ts'

/** Between two looks of `waitFor`, ms. */
const LOOK_MS = 250
const OWNER = /^12D3[1-9A-HJ-NP-Za-km-z]{48}$/

/** A read replica of a ref on a node. */
export interface Mirror {
  owner: PeerId
  name: string
  /** The root that is there whole; absent until there is one. */
  whole?: { sequence: number; epoch: number; root: CID; blocks: number; bytes: number }
  /** What the ref is at, as far as the node knows; without a root it was removed. */
  primary?: { sequence: number; epoch: number; root?: CID }
  lag: {
    wantedMs: number
    /** Since the first update that is not there was seen; 0 with none. */
    ms: number
    updates?: number
    /** Since a majority of those who vote on the ref told of it; absent when none has since the start. */
    heardMs?: number
  }
  phase: MirrorPhase
  /** It mirrors only while the ref is read much, and for so long after; of that is left. */
  lease?: { ms: number; leftMs: number }
  /** Why it rests. */
  reason?: string
  /** Of the root that is being fetched, how much is there. */
  fetching?: { sequence: number; blocks: number; bytes: number }
}

export interface MirrorOptions {
  signal?: AbortSignal | undefined
}

/** Of what a promoted ref came, and what the node knew to lie beyond it. */
export interface Promoted {
  owner: PeerId
  name: string
  epoch: number
  sequence: number
  root: CID
  /** The hash of the record that it stands on. */
  record: string
  behind: {
    /** Acknowledged updates beyond it, as far as the node knew. */
    updates: number
    ms: number
    /** Since a majority of the old voters told of the old ref: what came after that is not known. */
    heardMs?: number
    /** Those whose roots are known. */
    beyond: { sequence: number; root?: CID }[]
    /** Begun, and not known to be acknowledged. */
    begun: number
  }
}

export interface Mirrors {
  /**
   * Begins to mirror `name` or `owner/name` on the first node, or takes another lag for it; with `auto` while
   * it is read much, and for `leaseMs` after (10 min).
   */
  add(
    ref: string,
    options?: MirrorOptions & { lagMs?: number; auto?: boolean; leaseMs?: number }
  ): Promise<Mirror>
  list(options?: MirrorOptions): Promise<Mirror[]>
  /** @throws NOT_FOUND, BAD_REQUEST when it is the name of several */
  get(ref: string, options?: MirrorOptions): Promise<Mirror>
  /** @throws NOT_FOUND */
  rm(ref: string, options?: MirrorOptions): Promise<Mirror>
  /**
   * Makes of its last whole root a ref that stands alone: with the key of this client, else of the node. The
   * mirror ends. @throws NOT_FOUND, BAD_REQUEST
   */
  promote(
    ref: string,
    options?: MirrorOptions & { name?: string }
  ): Promise<{ ref: RefWithReceipts; from: Promoted }>
  /** Resolves once the mirror has the newest root that its node knows of, whole. */
  waitFor(
    ref: { owner: string; name: string },
    options?: MirrorOptions & { onProgress?: (mirror: Mirror) => void }
  ): Promise<Mirror>
}

type Json = Record<string, unknown>

export function createMirrors(
  nodes: Nodes,
  refs: Pick<Refs, 'list' | 'owner'>,
  key: RefKey | undefined
): Mirrors {
  const first = nodes.all[0] as NodeAt
  const pathOf = ({ owner, name }: { owner: string; name: string }) =>
    `/v1/mirrors/${owner}/${encodeURIComponent(name)}`
  const list: Mirrors['list'] = async ({ signal } = {}) => {
    const { mirrors } = (await nodes.json(first, { path: '/v1/mirrors', signal })) as { mirrors: Json[] }
    return mirrors.map(toMirror)
  }
  const find = async (ref: string, signal: AbortSignal | undefined): Promise<Mirror> => {
    const { owner, name } = splitRef(ref)
    const found = (await list({ signal })).filter(
      (one) => one.name === name && (owner ?? one.owner) === one.owner
    )
    return only(ref, found)
  }
  return {
    async add(ref, { lagMs, auto = false, leaseMs = MIRROR_LEASE_MS, signal } = {}) {
      const where = await ownerOf(refs, ref, signal)
      const body = JSON.stringify({ lagMs, leaseMs: auto ? leaseMs : undefined })
      const asked = { method: 'POST', path: pathOf(where), type: 'application/json', body, signal } as const
      return toMirror((await nodes.json(first, asked)) as Json)
    },
    list,
    get: (ref, { signal } = {}) => find(ref, signal),
    async rm(ref, { signal } = {}) {
      const found = await find(ref, signal)
      await nodes.json(first, { method: 'DELETE', path: pathOf(found), signal })
      return found
    },
    async promote(ref, { name, signal } = {}) {
      const old = await find(ref, signal)
      const post = async (path: string, body: Json) => {
        const asked = { method: 'POST', path, type: 'application/json', signal } as const
        return (await nodes.json(first, { ...asked, body: JSON.stringify(body) })) as Json
      }
      const about = name === undefined ? {} : { name: checkRefName(name) }
      const owned = key === undefined ? about : { ...about, owner: key.id }
      const json = await post(`${pathOf(old)}/promote`, owned)
      const from = toPromoted(json.from as Json)
      if (key === undefined) {
        const made = json.ref as Json
        return { ref: { ...toRef(made), receipts: toReceipts(made.receipts) }, from }
      }
      const record = await signBody(key, checked(json, { owner: key.id, name: name ?? old.name, from }))
      const refPath = `/v1/refs/${key.id}/${encodeURIComponent(record.name)}`
      const outcome = await post(`${refPath}/propose`, { record: toHex(record.bytes) })
      if (outcome.type !== 'acknowledged') {
        throw new CairnError('REF_CONFLICT', `${record.name} was not promoted: ${outcome.type}`)
      }
      await nodes.json(first, { method: 'DELETE', path: pathOf(old), signal })
      const made = ((await nodes.json(first, { path: refPath, signal })) as Json).ref as Json
      const receipts: RefReceiptInfo[] = toReceipts(outcome.receipts)
      return { ref: { ...toRef(made), receipts }, from }
    },
    async waitFor({ owner, name }, { signal, onProgress } = {}) {
      for (;;) {
        signal?.throwIfAborted()
        const now = await find(`${owner}/${name}`, signal)
        onProgress?.(now)
        if (now.whole !== undefined && now.lag.updates === 0 && now.lag.heardMs !== undefined) return now
        await wait(LOOK_MS, signal)
      }
    }
  }
}

function splitRef(ref: string): { owner: string | undefined; name: string } {
  const slash = ref.indexOf('/')
  const owner = slash < 0 ? undefined : ref.slice(0, slash)
  if (owner === undefined || !OWNER.test(owner)) return { owner: undefined, name: checkRefName(ref) }
  return { owner, name: checkRefName(ref.slice(slash + 1)) }
}

/** One's own name goes before somebody else's. */
async function ownerOf(
  refs: Pick<Refs, 'list' | 'owner'>,
  ref: string,
  signal: AbortSignal | undefined
): Promise<{ owner: string; name: string }> {
  const { owner, name } = splitRef(ref)
  if (owner !== undefined) return { owner, name }
  const options = signal === undefined ? {} : { signal }
  const found = (await refs.list({ all: true, ...options })).filter((one) => one.name === name)
  const own = await refs.owner(signal)
  return found.find((one) => one.owner === own) ?? only(ref, found)
}

function only<T extends { owner: string; name: string }>(ref: string, found: readonly T[]): T {
  const [one, another] = found
  if (one === undefined) {
    throw new CairnError('NOT_FOUND', `there is no ${ref}`, {
      hint: 'cairn mirror ls shows what the node mirrors, cairn ref ls --all what there is'
    })
  }
  if (another === undefined) return one
  const owners = found.map(({ owner, name }) => `${owner}/${name}`)
  throw new CairnError('BAD_REQUEST', `${ref} is the name of several: ${owners.join(', ')}`, {
    hint: 'name the owner too: OWNER/NAME'
  })
}

/** What the node would have signed, if it is what was asked for. @throws BAD_MESSAGE */
function checked(json: Json, { owner, name, from }: { owner: PeerId; name: string; from: Promoted }) {
  const body = decodeRefBody(fromHex(String(json.body)))
  const same = body.owner === owner && body.name === name && body.root?.join() === from.root.bytes.join()
  if (same && body.sequence === 1 && standsAlone(body) !== undefined) return body
  throw new CairnError('BAD_MESSAGE', 'the node drafted another ref than was asked for')
}

function toPromoted(json: Json): Promoted {
  const behind = json.behind as Json & { beyond: Json[] }
  return {
    ...(json as unknown as Promoted),
    root: parseCid(String(json.root)),
    behind: { ...behind, beyond: behind.beyond.map(rooted) } as unknown as Promoted['behind']
  }
}

function toMirror(json: Json): Mirror {
  const { whole, primary, ...rest } = json as Json & { whole?: Json; primary?: Json }
  return {
    ...rest,
    ...(whole === undefined ? {} : { whole: { ...whole, root: parseCid(String(whole.root)) } }),
    ...(primary === undefined ? {} : { primary: rooted(primary) })
  } as unknown as Mirror
}

function rooted({ root, ...rest }: Json): Json {
  return root === undefined ? rest : { ...rest, root: parseCid(String(root)) }
}
