/**
 * Read replicas on this node: what the core decides of them is done here, and told to callers. A mirror's
 * state is on disk before anything rests on it; a restart goes on where it was.
 */
import {
  CairnError,
  checkRefName,
  type KeptMirror,
  MIRROR_LAG_MS,
  MIRRORS_MAX,
  type Mirror,
  type MirrorAction,
  mirrorLag,
  type PeerId,
  refId
} from '@cairn/core'
import { CID } from 'multiformats/cid'
import type { MirrorAsked, MirrorView, PromoteAsked, Promotion } from './api-mirrors.ts'
import type { MirrorFile, MirrorFiles } from './mirror-files.ts'
import { createMarks, freeRest, holdAll, type Marks, type Walked } from './mirror-walk.ts'
import { promote } from './promotion.ts'
import { monotonicMs } from './runtime.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

/** A wish below it would be a question every moment, one above it no wish. */
const LAG_MS_LEAST = 1_000
const LAG_MS_MOST = 24 * 3_600_000
/** A shorter one would fetch again and again what a pause in the reading lets go of. */
const LEASE_MS_LEAST = 1_000

type RefName = { owner: PeerId; name: string }
type Action<T extends MirrorAction['type']> = Extract<MirrorAction, { type: T }>

export interface NodeMirrors {
  /** Begins to mirror a ref, or takes another lag or lease for it. @throws BAD_REQUEST, FULL */
  add(ref: RefName, asked?: MirrorAsked): Promise<MirrorView>
  list(): MirrorView[]
  /** @throws NOT_FOUND */
  remove(ref: RefName): Promise<void>
  /** Makes a ref of its own of the last whole root. @throws NOT_FOUND, BAD_REQUEST, BUSY */
  promote(ref: RefName, asked?: PromoteAsked): Promise<Promotion>
  perform(action: Exclude<MirrorAction, { type: 'mirror-look' }>): void
  /** Goes on with those that were here when the node stopped. */
  start(): void
  close(error: CairnError): void
}

interface Work {
  abort: AbortController
  /** Of the last fetch that went through to its end. */
  marks: Marks | undefined
  walked: Walked | undefined
}

export function createNodeMirrors(shell: () => Shell, files: MirrorFiles): NodeMirrors {
  const works = new Map<string, Work>()
  const generations = new Map(files.found.map(({ id, kept }) => [id, kept.generation]))
  /** Ends of removed mirrors, to be waited for when they are added again. */
  const dropping = new Map<string, Promise<void>>()
  const workOf = (id: string): Work => {
    const known = works.get(id) ?? { abort: new AbortController(), marks: undefined, walked: undefined }
    works.set(id, known)
    return known
  }
  const background = (work: Promise<void>): void => {
    void shell()
      .during(work)
      .catch((error: unknown) => shell().log('error', asCairnError(error).message))
  }

  const fetch = async ({ id, generation, record }: Action<'mirror-fetch'>): Promise<void> => {
    const work = workOf(id)
    const { signal } = work.abort
    const marks = createMarks()
    work.marks = undefined
    work.walked = { blocks: 0, bytes: 0 }
    const said = { type: 'mirror-fetched', id, generation } as const
    try {
      const walk = { id, generation, root: record.root ?? new Uint8Array(), signal, marks }
      const walked = await holdAll(shell(), { ...walk, onProgress: (now) => (work.walked = now) })
      work.marks = marks
      shell().dispatch({ ...said, outcome: { type: 'whole', ...walked } })
    } catch (error) {
      if (signal.aborted) return
      const { code, message: reason } = asCairnError(error)
      const isLost = code === 'NO_PROVIDER' || code === 'BLOCK_CORRUPT'
      shell().log('warn', `the mirror of ${record.name} has not ${record.sequence}: ${reason}`)
      shell().dispatch({ ...said, outcome: { type: isLost ? 'lost' : 'failed', reason } })
    } finally {
      work.walked = undefined
    }
  }
  const keep = async ({ id, kept }: Action<'mirror-keep'>): Promise<void> => {
    const { generation } = kept
    generations.set(id, generation)
    try {
      await files.keep({ id, kept, removed: undefined })
      shell().dispatch({ type: 'mirror-kept', id, generation })
    } catch (error) {
      const failed = asCairnError(error).message
      shell().log('error', `a mirror was not kept on disk: ${failed}`)
      shell().dispatch({ type: 'mirror-kept', id, generation, failed })
    }
  }
  const free = async ({ id, generation, all }: Action<'mirror-free'>): Promise<void> => {
    const { marks, abort } = workOf(id)
    try {
      if (all) await freeRest(shell(), { id, generation, signal: abort.signal }, () => false)
      else if (marks?.isFull === true) shell().log('warn', 'a mirror of so many blocks frees nothing')
      else if (marks !== undefined) {
        await freeRest(shell(), { id, generation, signal: abort.signal }, marks.has)
      }
    } finally {
      workOf(id).marks = undefined
      shell().dispatch({ type: 'mirror-freed', id, generation })
    }
  }
  const drop = async ({ id, kept }: MirrorFile): Promise<void> => {
    works.get(id)?.abort.abort(new CairnError('TIMEOUT', 'the mirror was removed'))
    works.delete(id)
    // Above all that it ever claimed, a fetch that was under way included.
    const generation = (generations.get(id) ?? kept.generation) + 1
    generations.set(id, generation)
    const gone = { id, kept: { ...kept, generation, whole: undefined } }
    await files.keep({ ...gone, removed: 'ending' })
    const { signal } = new AbortController()
    await freeRest(shell(), { id, generation, signal }, () => false)
    await files.keep({ ...gone, removed: 'ended' })
  }
  const mirrorOf = (id: string): Mirror | undefined => shell().core.mirrors.byId.get(id)

  const end = async (id: string): Promise<void> => {
    const mirror = mirrorOf(id)
    if (mirror === undefined) return
    generations.set(id, Math.max(mirror.generation, generations.get(id) ?? 0))
    shell().dispatch({ type: 'unmirror', id })
    await dropping.get(id)
  }

  return {
    async add(ref, { lagMs = MIRROR_LAG_MS, leaseMs } = {}) {
      shell().usable()
      if (!Number.isInteger(lagMs) || lagMs < LAG_MS_LEAST || lagMs > LAG_MS_MOST) {
        throw new CairnError('BAD_REQUEST', `a lag is 1 s to 24 h, not ${lagMs} ms`)
      }
      if (leaseMs !== undefined && (!Number.isInteger(leaseMs) || leaseMs < LEASE_MS_LEAST)) {
        throw new CairnError('BAD_REQUEST', `a lease is 1 s at least, not ${leaseMs} ms`)
      }
      const id = refId({ ...ref, name: checkRefName(ref.name) }, shell().crypto.sha256)
      await dropping.get(id)
      if (mirrorOf(id) === undefined && shell().core.mirrors.byId.size >= MIRRORS_MAX) {
        throw new CairnError('FULL', `this node has ${MIRRORS_MAX} mirrors already`, {
          hint: 'remove one: cairn mirror rm'
        })
      }
      const generation = generations.get(id) ?? 0
      const kept: KeptMirror = { ref, lagMs, leaseMs, generation, whole: undefined }
      await files.keep({ id, kept: { ...kept, ...keptOf(mirrorOf(id)) }, removed: undefined })
      shell().dispatch({ type: 'mirror', id, kept })
      return viewOf(shell(), mirrorOf(id) as Mirror, works.get(id)?.walked)
    },
    list() {
      const { byId } = shell().core.mirrors
      return [...byId.values()].map((mirror) => viewOf(shell(), mirror, works.get(mirror.id)?.walked))
    },
    async remove(ref) {
      const id = refId(ref, shell().crypto.sha256)
      if (mirrorOf(id) === undefined) throw noMirror(ref.name)
      await end(id)
    },
    async promote(ref, asked = {}) {
      shell().usable()
      const id = refId(ref, shell().crypto.sha256)
      const mirror = mirrorOf(id)
      if (mirror === undefined) throw noMirror(ref.name)
      const promotion = await promote(shell(), mirror, asked)
      // Its blocks are claimed for the new ref by now: the mirror's claims may end.
      if (promotion.type === 'promoted') await end(id)
      return promotion
    },
    perform(action) {
      switch (action.type) {
        case 'mirror-fetch':
          generations.set(action.id, action.generation)
          void fetch(action) // reads wait for others: a stop does not wait for it
          return
        case 'mirror-keep':
          background(keep(action))
          return
        case 'mirror-free':
          background(free(action))
          return
        case 'mirror-drop': {
          const done = drop({ id: action.id, kept: action.kept, removed: undefined })
          dropping.set(action.id, done)
          background(done.finally(() => dropping.delete(action.id)))
        }
      }
    },
    start() {
      for (const { id, kept, removed } of files.found) {
        if (removed === undefined) shell().dispatch({ type: 'mirror', id, kept })
        else if (removed === 'ending') background(drop({ id, kept, removed }))
      }
    },
    close(error) {
      for (const { abort } of works.values()) abort.abort(error)
    }
  }
}

function keptOf(mirror: Mirror | undefined): Partial<KeptMirror> {
  return mirror === undefined ? {} : { generation: mirror.generation, whole: mirror.whole }
}

export function noMirror(name: string): CairnError {
  return new CairnError('NOT_FOUND', `this node does not mirror ${name}`, {
    hint: 'cairn mirror ls shows what it mirrors'
  })
}

function viewOf({ core }: Shell, mirror: Mirror, walked: Walked | undefined): MirrorView {
  const { ref, whole, best, target, phase, reason, lagMs, leaseMs, leasedUntilMs } = mirror
  const nowMs = monotonicMs() - core.stalledMs
  const { updates, ms, heardMs } = mirrorLag(mirror, nowMs)
  const view: MirrorView = { ...ref, phase, lag: { wantedMs: lagMs, ms: Math.round(ms) } }
  if (leaseMs !== undefined) {
    view.lease = { ms: leaseMs, leftMs: Math.max(0, Math.round(leasedUntilMs - nowMs)) }
  }
  if (whole?.record.root !== undefined) {
    const { record, blocks, bytes } = whole
    const root = CID.decode(record.root as Uint8Array)
    view.whole = { sequence: record.sequence, epoch: record.epoch, root, blocks, bytes }
  }
  if (best !== undefined) {
    const at = { sequence: best.sequence, epoch: best.epoch }
    view.primary = best.root === undefined ? at : { ...at, root: CID.decode(best.root) }
  }
  if (updates !== undefined) view.lag.updates = updates
  if (heardMs !== undefined) view.lag.heardMs = Math.round(heardMs)
  if (phase === 'resting' && reason !== undefined) view.reason = reason
  if (phase === 'fetching' && target !== undefined) {
    view.fetching = { sequence: target.sequence, blocks: walked?.blocks ?? 0, bytes: walked?.bytes ?? 0 }
  }
  return view
}
