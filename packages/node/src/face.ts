/** A running node as others see it: `CairnNode` over the shell. */
import { dagBlocks } from '@cairn/blocks'
import { CairnError, leftToHandOver, members } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { CairnNode, Pin, Upload } from './api.ts'
import { formatInvite } from './network.ts'
import { openPins, type Pins } from './pins.ts'
import { safetyOf, safetyOfDag } from './safety.ts'
import type { Shell } from './shell.ts'
import { VERSION } from './version.ts'

/** Claims that one unpin ends at a time. */
const UNPIN_BLOCKS = 512
/** Between looks at what a leaving node has still to hand over. */
const LEAVE_LOOK_MS = 200
/** The last words of a member that left have this long to get out. */
const FAREWELL_MS = 300

export interface Life {
  failure: { handler(error: CairnError): void }
  close(): Promise<void>
}

export function faceOf(shell: Shell, life: Life): CairnNode {
  const { id, network, home, core, transport, reads, store } = shell
  const pins = openPins(home.path)
  const safety = safetyOf(shell)
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopping ??= life.close()
    return stopping
  }
  life.failure.handler = () => void stop()
  const own = () => core.placed

  return {
    id,
    get name() {
      return shell.nameOf(id)
    },
    version: VERSION,
    network: { id: network.id, open: network.open, replicas: network.replicas },
    home: home.path,
    token: home.token,
    addresses: () => transport.addresses(),
    invite: () => formatInvite(transport.addresses(), network),
    announceHttp: (http) => shell.dispatch({ type: 'describe', facts: { http } }),
    upload: (upload) => uploadOf(shell, pins, upload),
    pins: () => pins.list(),
    unpin: (root) => unpin(shell, pins, root),
    get: (cid, options = {}) => reads.get(cid, options.signal),
    status: async () => {
      const told = await safety()
      const all = members(core.membership)
      const alive = all.filter(({ state }) => state === 'alive' || state === 'suspect').length
      const { id: peer, name } = { id, name: shell.nameOf(id) }
      return { ...told, id: peer, name, alive, members: all.length, usage: store.usage() }
    },
    statusOf: (root, options = {}) => safetyOfDag(shell, root, options.signal),
    peers() {
      const connected = new Set(transport.connectedPeers())
      return members(core.membership).map((member) => {
        const self = member.id === id
        const rttMs = self ? 0 : transport.rttMs(member.id)
        return { ...member, rttMs, connected: self || connected.has(member.id), self }
      })
    },
    events: (signal) => shell.events.listen(signal),
    async leave({ onProgress } = {}) {
      if (own().state === 'alive') shell.dispatch({ type: 'leave' })
      await handedOver(shell, onProgress)
      shell.dispatch({ type: 'left-now' })
      await new Promise((resolve) => setTimeout(resolve, FAREWELL_MS))
      await stop()
    },
    stop
  }
}

function uploadOf(shell: Shell, pins: Pins, id: string): Upload {
  return {
    id,
    put: (blocks, options) => shell.uploads.put(id, blocks, options),
    keep: (cids, options) =>
      shell.uploads.put(
        id,
        cids.map((cid) => ({ cid })),
        options
      ),
    async finish(root, about) {
      await shell.reads.get(root) // a pin of what nobody holds would promise what is not so
      const replicas = about.replicas ?? shell.network.replicas
      const { name, bytes, blocks } = about
      const pin: Pin = { root, upload: id, name, replicas, blocks, bytes, createdMs: Date.now() }
      await pins.add(pin)
      shell.events.emit({ type: 'pin', root, removed: false, atMs: Date.now() })
      return pin
    }
  }
}

/** Ends the claims of every upload that put the pin's blocks, then forgets the pin. */
async function unpin(shell: Shell, pins: Pins, root: CID): Promise<void> {
  const uploads = await pins.uploadsOf(root)
  if (uploads.length === 0) {
    throw new CairnError('NOT_FOUND', `this node has no pin ${root}`, {
      hint: 'cairn pin ls lists those it has; a pin is removed where it was put'
    })
  }
  const replicas = shell.network.replicas
  const end = async (cids: CID[]): Promise<void> => {
    const blocks = cids.map((cid) => ({ cid }))
    for (const upload of uploads) await shell.uploads.put(upload, blocks, { replicas, end: true })
  }
  let batch: CID[] = []
  for await (const { cid } of dagBlocks(root, (cid) => shell.reads.get(cid))) {
    batch.push(cid)
    if (batch.length === UNPIN_BLOCKS) {
      await end(batch)
      batch = []
    }
  }
  if (batch.length > 0) await end(batch)
  await pins.remove(root)
  shell.events.emit({ type: 'pin', root, removed: true, atMs: Date.now() })
}

/** Waits until every holder has said that it holds what this node held. Alone, there is nobody to hand over to. */
async function handedOver(
  { core }: Shell,
  onProgress: ((left: { blocks: number; bytes: number }) => void) | undefined
): Promise<void> {
  for (;;) {
    if (core.holders.placement.size === 0) return
    const left = leftToHandOver(core)
    onProgress?.(left)
    if (left.blocks === 0) return
    await new Promise((resolve) => setTimeout(resolve, LEAVE_LOOK_MS))
  }
}
