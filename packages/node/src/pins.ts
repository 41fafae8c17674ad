/**
 * Pins: what is kept under no name but its own. A pin is a ref that is called by its CID and points to it,
 * held by the network like any other, so that every member knows it. In a private network its key is the one
 * that every member has, and any of them can remove it; in an open one it is that of the node that made it.
 */
import { parseCid, stat } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { Pin, PinAsked } from './api.ts'
import type { RefRecordView } from './api-refs.ts'
import { cidSet } from './cid-set.ts'
import { reachable } from './dag.ts'
import type { OldPins } from './old-pins.ts'
import { blocksBelow } from './ref-tidy.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

/** In a ref's metadata: it is a pin. */
const MARK = 'pin'
/** A value of a ref's metadata, and how many digest records one names. */
const VALUE_BYTES_MAX = 512
const DIGESTS_MAX = 7
/** Claims of an old pin that end at a time. */
const END_BLOCKS = 512
/** Between tries at making refs of pins that were files, and looks at uploads that are over. */
const LOOK_MS = 20_000

export interface Pins {
  /** Of all members; with those of this node that are files still. */
  list(): Promise<Pin[]>
  find(root: CID): Promise<Pin | undefined>
  /** Adds it, or what is new of it. Its upload is over. @throws TOO_FEW_REPLICAS */
  add(pin: Pin): Promise<Pin>
  /** Pins what is stored already, or changes its pin. @throws NO_PROVIDER, TOO_FEW_REPLICAS */
  keep(root: CID, asked: PinAsked): Promise<Pin>
  /** @throws NOT_FOUND */
  remove(root: CID): Promise<void>
  /** Ends what is over, and makes refs of what was kept in files. Once now, then from time to time. */
  start(): void
  stop(): void
}

export function createPins(shell: Shell, old: OldPins): Pins {
  const { claimer, refs, uploads, log } = shell
  const refOf = (root: CID) => ({ owner: claimer.id, name: `${root.toV1()}` })
  const find = async (root: CID): Promise<Pin | undefined> => {
    const found = await refs.get(refOf(root))
    return (found && pinOf(found)) ?? (await old.find(root))?.pin
  }
  const sweep = (): Promise<void> => uploads.sweep()
  let timer: NodeJS.Timeout | undefined

  const add = async (pin: Pin): Promise<Pin> => {
    const { root } = pin
    const now = await refs.get(refOf(root))
    const before = now && pinOf(now)
    const digests = digestsOf(pin, before && now)
    const replicas = Math.max(pin.replicas, before?.replicas ?? 1)
    const lifetimeMs = before?.lifetimeMs ?? 0
    const merged = { ...pin, replicas, lifetimeMs, createdMs: before?.createdMs ?? pin.createdMs }
    const same = before?.replicas === replicas && before.name === short(pin.name) && lifetimeMs === 0
    if (same && now?.metadata.digests === digests) return merged
    await set(merged, digests)
    return merged
  }
  /** Whatever else was begun or acknowledged of it points to the same: nothing can be lost of it. */
  const set = async (pin: Pin, digests: string | undefined): Promise<void> => {
    const { root, replicas, lifetimeMs } = pin
    const about = { root, replicas, lifetimeMs, keep: DIGESTS_MAX, metadata: metadataOf(pin, digests) }
    const freely = { ...about, settle: true, anew: true }
    const { name } = refOf(root)
    try {
      await refs.set(name, freely, claimer)
    } catch (error) {
      if (!CairnError.is(error, 'TOO_FEW_REPLICAS') && !CairnError.is(error, 'REF_CONFLICT')) throw error
      await refs.set(name, { ...freely, recover: true }, claimer)
    }
  }
  const keep = async (root: CID, { name, replicas, lifetimeMs }: PinAsked): Promise<Pin> => {
    const now = await refs.get(refOf(root))
    const before = (now && pinOf(now)) ?? (await newPin(shell, root))
    const pin = {
      ...before,
      name: name ?? before.name,
      replicas: replicas ?? before.replicas,
      lifetimeMs: lifetimeMs ?? before.lifetimeMs
    }
    await set(pin, now && pinOf(now) && now.metadata.digests)
    return pin
  }
  const remove = async (root: CID): Promise<void> => {
    const kept = await old.find(root)
    if (kept !== undefined) await makeRef(kept)
    const found = await refs.get(refOf(root), {})
    if (found === undefined || pinOf(found) === undefined) throw noPin(root, claimer.shared)
    await sweep() // what is unpinned a moment after it was put is claimed by nothing else
    await refs.set(refOf(root).name, { root: undefined, settle: true }, claimer)
  }
  const makeRef = async ({ pin, uploads: ids, digests }: OldPin): Promise<void> => {
    for (const record of digests.length === 0 ? [undefined] : digests) {
      await add(record === undefined ? pin : { ...pin, digests: record })
    }
    for (const id of ids) await endOld(shell, id, [pin.root, ...digests], pin.replicas)
    await old.remove(pin.root, ids)
  }
  const look = async (): Promise<void> => {
    for (const id of await uploads.abandon(shell.core.config.uploadIdleMs)) {
      log('warn', `the upload ${id} was begun and not finished: what it claimed is let go of`)
    }
    await sweep()
    for (const { root } of await old.list()) {
      const kept = await old.find(root)
      if (kept !== undefined) await makeRef(kept)
    }
  }
  const background = (work: Promise<unknown>): void => {
    void shell.during(work).catch((error: unknown) => log('warn', asCairnError(error).message))
  }
  return {
    async list() {
      const found = (await refs.list()).flatMap((ref) => pinOf(ref) ?? [])
      const roots = new Set(found.map(({ root }) => `${root}`))
      return [...found, ...(await old.list()).filter(({ root }) => !roots.has(`${root}`))]
    },
    find,
    async add(pin) {
      const added = await add(pin)
      await uploads.finish(pin.upload)
      background(sweep())
      return added
    },
    keep,
    remove,
    start() {
      timer = setInterval(() => background(look()), Math.min(LOOK_MS, shell.core.config.uploadIdleMs))
      timer.unref()
    },
    stop: () => clearInterval(timer)
  }
}

type OldPin = NonNullable<Awaited<ReturnType<OldPins['find']>>>

/** Of what was stored before, by anyone: as many blocks and bytes as its nodes say. */
async function newPin(shell: Shell, root: CID): Promise<Pin> {
  let blocks = 0
  for await (const _ of blocksBelow(shell, root, cidSet())) blocks++
  const { size } = await stat(root, (cid) => shell.reads.get(cid))
  const { replicas } = shell.network
  const about = { root, upload: '', name: undefined, replicas, blocks, bytes: size ?? 0, lifetimeMs: 0 }
  return { ...about, createdMs: Date.now() }
}

function noPin(root: CID, shared: boolean): CairnError {
  const where = shared ? '' : '; in an open network a pin is removed where it was put'
  return new CairnError('NOT_FOUND', `there is no pin ${root}`, {
    hint: `cairn pin ls lists those there are${where}`
  })
}

/** The pin that a ref is; undefined for other refs, and for one that was removed. */
export function pinOf({ name, root, replicas, lifetimeMs, metadata }: RefRecordView): Pin | undefined {
  if (root === undefined || metadata[MARK] !== '1' || name !== `${root.toV1()}`) return undefined
  const [latest = ''] = (metadata.digests ?? '').split(' ')
  const pin = {
    root,
    upload: metadata.upload ?? '',
    name: metadata.title,
    replicas,
    blocks: Number(metadata.blocks ?? 0),
    bytes: Number(metadata.bytes ?? 0),
    createdMs: Number(metadata.created ?? 0),
    lifetimeMs
  }
  return latest === '' ? pin : { ...pin, digests: parseCid(latest) }
}

function metadataOf(pin: Pin, digests: string | undefined): Record<string, string> {
  const { upload, name, blocks, bytes, createdMs } = pin
  return {
    [MARK]: '1',
    upload,
    blocks: `${blocks}`,
    bytes: `${bytes}`,
    created: `${createdMs}`,
    ...(name === undefined ? {} : { title: short(name) as string }),
    ...(digests === undefined ? {} : { digests })
  }
}

/** Records of its files' digests, that of the latest put first. */
function digestsOf({ digests }: Pin, before: RefRecordView | undefined): string | undefined {
  const known = (before?.metadata.digests ?? '')
    .split(' ')
    .filter((cid) => cid !== '' && cid !== `${digests}`)
  const all = [...(digests === undefined ? [] : [`${digests}`]), ...known].slice(0, DIGESTS_MAX)
  while (all.join(' ').length > VALUE_BYTES_MAX) all.pop()
  return all.length === 0 ? undefined : all.join(' ')
}

/** A name that is longer than a ref can say ends earlier. */
function short(name: string | undefined): string | undefined {
  if (name === undefined || Buffer.byteLength(name) <= VALUE_BYTES_MAX) return name
  const cut = Buffer.from(name)
    .subarray(0, VALUE_BYTES_MAX - 3)
    .toString()
  return `${cut.replace(/\uFFFD+$/, '')}…`
}

/** Ends the claims that uploads made when pins were files: the pin's ref has its own in their place. */
async function endOld(shell: Shell, upload: string, tops: readonly CID[], replicas: number): Promise<void> {
  const end = async (cids: readonly CID[]): Promise<void> => {
    const blocks = cids.map((cid) => ({ cid }))
    await shell.uploads.put(upload, blocks, { replicas, ack: 'quorum', end: true })
  }
  let batch: CID[] = []
  for (const top of tops) {
    for await (const { cid, size } of reachable(shell, top)) {
      if (size === undefined)
        throw new CairnError('NO_PROVIDER', `${cid} of the pin ${top} can't be read now`)
      batch.push(cid)
      if (batch.length < END_BLOCKS) continue
      await end(batch)
      batch = []
    }
  }
  if (batch.length > 0) await end(batch)
}
