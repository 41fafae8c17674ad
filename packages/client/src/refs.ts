/**
 * Names that live, for applications: read from any node and verified here, set with the key of a node or with
 * one of the application's own; and what `name/path` leads to.
 */
import { CairnError, checkRefName, isRefName, type PeerId } from '@cairn/core'
import { CID } from 'multiformats/cid'
import type { RefKey } from './keys.ts'
import type { Nodes } from './nodes.ts'
import { firstId, list, read, type Scene } from './ref-read.ts'
import type { RefOptions, RefSetOptions, Refs, Resolved } from './ref-types.ts'
import { setByKey, setByNode } from './ref-write.ts'
import { wait } from './wait.ts'

export type * from './ref-types.ts'

/** Between two looks of `watch`, ms. */
const WATCH_MS = 500
/** What was meant as a CID, whatever is wrong with it. */
const LIKE_A_CID = /^(b[a-z2-7]{30,}|Qm\w{30,}|z\w{40,}|f01[0-9a-f]{30,})$/

export function createRefs(nodes: Nodes, key: RefKey | undefined): Refs {
  const scene: Scene = { nodes, key, seen: new Map(), firstId: undefined, network: undefined }
  const owner = async (signal?: AbortSignal): Promise<PeerId> => key?.id ?? firstId(scene, signal)
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
      const by = all ? undefined : await ownerOf(options)
      const refs = await list(scene, by, options.signal)
      return refs.filter(({ metadata }) => metadata.pin !== '1')
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
  if (at !== undefined) {
    throw new CairnError('NOT_FOUND', `${name} was removed, as ${sequence}`, {
      hint: 'cairn ref ls shows those there are'
    })
  }
  const known = [ref, ...ref.history].map((past) => past.sequence).join(', ')
  throw new CairnError('NOT_FOUND', `${name} has no root at ${sequence}`, {
    hint: `its record tells of ${known}`
  })
}
