/** The index of a stopped node's disk, made again from its segments: for when it is damaged, or in doubt. */
import { CairnError } from '@cairn/core'
import { type RecoveryProgress, rebuildStore, type Usage } from '@cairn/store'
import { openHome, readHome } from './home.ts'

export interface RebuildOptions {
  onProgress?: (progress: RecoveryProgress) => void
}

/** @throws CairnError NOT_FOUND when no node was ever here, LOCKED while it runs, what a store throws */
export async function rebuildHome(path: string, { onProgress }: RebuildOptions = {}): Promise<Usage> {
  if ((await readHome(path)) === undefined) {
    throw new CairnError('NOT_FOUND', `no node was ever started in ${path}`, {
      hint: 'name its home: --home DIR (of node K of a cluster: HOME/cluster/nK)'
    })
  }
  const home = await open(path)
  try {
    const settings = await home.settings()
    if (settings === undefined) {
      throw new CairnError('BAD_CONFIG', `${home.path} does not say how much its store may take`, {
        hint: 'start the node once: cairn start --capacity SIZE'
      })
    }
    const { capacity } = settings
    const progress = onProgress === undefined ? {} : { onProgress }
    return await rebuildStore({ directory: home.store, capacity, ...progress })
  } finally {
    await home.release()
  }
}

async function open(path: string): ReturnType<typeof openHome> {
  try {
    return await openHome(path)
  } catch (cause) {
    if (!CairnError.is(cause, 'LOCKED')) throw cause
    throw new CairnError('LOCKED', cause.message, { cause, hint: 'stop that node first: cairn stop' })
  }
}
