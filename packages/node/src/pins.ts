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
import { ADOPTED, ADOPTS, blocksBelow, HOLDS, parseAdopted } from './ref-tidy.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

/** In a ref's metadata: it is a pin. */
const MARK = 'pin'
/** A value of a ref's metadata, and how many digest records one names. */
const VALUE_BYTES_MAX = 512
const DIGESTS_MAX = 7
/** Uploads whose claims a pin has, or has had: of an id of 64 letters each. */
const PAST_MAX = 7
/** Tries at a change of which another was faster. */
const TRIES_MAX = 5
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

  const tails = new Map<string, Promise<unknown>>()
  /** One change of a pin at a time here; what others change meanwhile is seen by `change`. */
  const serial = async <T>(root: CID, work: () => Promise<T>): Promise<T> => {
    const done = (tails.get(`${root}`) ?? Promise.resolve()).catch(() => undefined).then(work)
    tails.set(`${root}`, done)
    try {
      return await done
    } finally {
      if (tails.get(`${root}`) === done) tails.delete(`${root}`)
    }
  }
  /** What is told of the pin now, made of what it was: again, when another was faster. */
  const change = async (
    root: CID,
    next: (now: RefRecordView | undefined) => Promise<Next | Pin>
  ): Promise<Pin> => {
    for (let tries = 1; ; tries++) {
      const now = await refs.get(refOf(root))
      const made = await next(now)
      if ('root' in made) return made
      try {
        await set(made, now?.sequence ?? 0)
        if ((made.claims[ADOPTED] ?? '') !== '') background(refs.tidyPast(refOf(root)))
        return made.pin
      } catch (error) {
        if (!CairnError.is(error, 'REF_STALE') || tries >= TRIES_MAX) throw error
      }
    }
  }
  const add = (pin: Pin): Promise<Pin> =>
    serial(pin.root, async () => {
      let adopted: Promise<string | undefined> | undefined
      const done = await change(pin.root, async (now) => {
        const before = now && pinOf(now)
        const digests = digestsOf(pin, before && now)
        const replicas = Math.max(pin.replicas, before?.replicas ?? 1)
        const createdMs = before?.createdMs ?? pin.createdMs
        const merged = { ...pin, replicas, createdMs, lifetimeMs: before?.lifetimeMs ?? 0 }
        const lasts = before?.replicas === replicas && before.lifetimeMs === 0
        const isNew = before === undefined || (lasts && now?.metadata.digests !== digests)
        if (adopted === undefined && lasts && !isNew) {
          // What is claimed already needs none of the upload's claims.
          if (before.name === short(pin.name)) return merged
          return { pin: merged, digests, claims: sameClaims(now) }
        }
        if (isNew && mayAdopt(now)) adopted ??= uploads.adopt(pin.upload)
        const id = await adopted
        const claims = id === undefined ? claimsAnew(now) : claimsWith(now, id)
        return { pin: merged, digests, claims }
      })
      if (adopted === undefined) await uploads.finish(pin.upload)
      background(sweep())
      return done
    })
  const keep = (root: CID, { name, replicas, lifetimeMs }: PinAsked): Promise<Pin> =>
    serial(root, () =>
      change(root, async (now) => {
        const known = now && pinOf(now)
        const before = known ?? (await newPin(shell, root))
        const pin = {
          ...before,
          name: name ?? before.name,
          replicas: replicas ?? before.replicas,
          lifetimeMs: lifetimeMs ?? before.lifetimeMs
        }
        const lasts = known !== undefined && known.replicas === pin.replicas && known.lifetimeMs === 0
        const claims = lasts ? sameClaims(now) : claimsAnew(now)
        return { pin, digests: known && now?.metadata.digests, claims }
      })
    )
  /** Whatever else was begun or acknowledged of it points to the same: nothing can be lost of it. */
  const set = async ({ pin, digests, claims }: Next, ifSequence: number): Promise<void> => {
    const { root, replicas, lifetimeMs } = pin
    const metadata = { ...metadataOf(pin, digests), ...claims }
    const about = { root, replicas, lifetimeMs, keep: DIGESTS_MAX, metadata, settle: true, anew: true }
    const { name } = refOf(root)
    try {
      await refs.set(name, { ...about, ifSequence }, claimer)
    } catch (error) {
      if (!CairnError.is(error, 'TOO_FEW_REPLICAS') && !CairnError.is(error, 'REF_CONFLICT')) throw error
      await refs.set(name, { ...about, recover: true }, claimer)
    }
  }
  const remove = async (root: CID): Promise<void> => {
    const kept = await old.find(root)
    if (kept !== undefined) await makeRef(kept)
    const found = await refs.get(refOf(root), {})
    if (found === undefined || pinOf(found) === undefined) throw noPin(root, claimer.shared)
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
    add,
    keep,
    remove,
    start() {
      timer = setInterval(() => background(look()), Math.min(LOOK_MS, shell.core.config.uploadIdleMs))
      timer.unref()
    },
    stop: () => clearInterval(timer)
  }
}

/** A pin as it is to be: with the metadata that says by which claims it is kept. */
interface Next {
  pin: Pin
  digests: string | undefined
  claims: Record<string, string>
}

const CLAIM_KEYS = [ADOPTS, ADOPTED, HOLDS] as const

function sameClaims(now: RefRecordView | undefined): Record<string, string> {
  return Object.fromEntries(
    CLAIM_KEYS.flatMap((key) => {
      const value = now?.metadata[key]
      return value === undefined ? [] : [[key, value]]
    })
  )
}

/** An upload's claims are taken over by a pin that is new, or has no others but such. */
function mayAdopt(now: RefRecordView | undefined): boolean {
  const uploads = parseAdopted(now?.metadata[ADOPTS] ?? '').length
  return now?.root === undefined || (uploads > 0 && uploads < PAST_MAX)
}

/** It is kept by an upload's claims, beside those that it has: those of one that was removed are over. */
function claimsWith(now: RefRecordView | undefined, upload: string): Record<string, string> {
  const { [ADOPTS]: uploads = '', [ADOPTED]: past = '', [HOLDS]: holds } = now?.metadata ?? {}
  const own = holds === '1' || (now !== undefined && uploads === '')
  const had = parseAdopted(uploads)
  const alive = now?.root === undefined ? [] : had
  const gone = [...(now?.root === undefined ? had : []), ...parseAdopted(past)].slice(0, PAST_MAX)
  return {
    [ADOPTS]: [upload, ...alive].slice(0, PAST_MAX).join(' '),
    ...(gone.length === 0 ? {} : { [ADOPTED]: gone.join(' ') }),
    ...(own ? { [HOLDS]: '1' } : {})
  }
}

/** It is kept by claims of its own from now on: those that it had taken over are let go of. */
function claimsAnew(now: RefRecordView | undefined): Record<string, string> {
  const { [ADOPTS]: uploads = '', [ADOPTED]: past = '' } = now?.metadata ?? {}
  const gone = [...parseAdopted(uploads), ...parseAdopted(past)].slice(0, PAST_MAX).join(' ')
  return { ...(gone === '' ? {} : { [ADOPTED]: gone }), [HOLDS]: '1' }
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
