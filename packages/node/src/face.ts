/** A running node as others see it: `CairnNode` over the shell. */
import { checkFacts, checkRefName, members, refId } from '@cairn/core'
import type { ScrubStatus } from '@cairn/store'
import type { CairnNode, Pin, Upload } from './api.ts'
import { auditOf } from './audits.ts'
import { depart } from './departure.ts'
import { collectGarbage } from './gc.ts'
import { lossesOf } from './losses.ts'
import { formatInvite } from './network.ts'
import { openOldPins } from './old-pins.ts'
import { createPins, type Pins } from './pins.ts'
import { proofOf } from './proofs.ts'
import { wantOf } from './refs.ts'
import { safetyOf, safetyOfDag } from './safety.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'
import { usageOf } from './usage.ts'
import { VERSION } from './version.ts'

export interface Life {
  readonly notes: readonly string[]
  readonly closed: CairnNode['closed']
  /** The store, as a disk. */
  readonly disk: Pick<CairnNode, 'scrub'> & { scrubStatus(): ScrubStatus }
  stop(): Promise<void>
}

export function faceOf(shell: Shell, { notes, closed, disk, stop }: Life): CairnNode {
  const { id, network, home, core, transport, reads, store } = shell
  const pins = createPins(shell, openOldPins(home.path, shell.log))
  pins.start()
  void closed.then(pins.stop)
  const safety = safetyOf(shell)
  let leaving: Promise<void> | undefined

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
    announceHttp(http) {
      checkFacts({ ...core.placed, http }) // here the caller hears of it; in the loop it would end the node
      shell.dispatch({ type: 'describe', facts: { http } })
    },
    upload: (upload) => uploadOf(shell, pins, upload),
    pins: () => pins.list(),
    async pin(root, asked = {}) {
      shell.usable()
      const pin = await pins.keep(root, asked)
      shell.events.emit({ type: 'pin', root, removed: false, atMs: Date.now() })
      return pin
    },
    async unpin(root) {
      shell.usable()
      await pins.remove(root)
      shell.events.emit({ type: 'pin', root, removed: true, atMs: Date.now() })
    },
    usage: ({ signal } = {}) => usageOf(shell, signal),
    refs: {
      get: shell.refs.get,
      set: shell.refs.set,
      draft: ({ owner, name, ...asked }) => shell.refs.draft(wantOf(owner, checkRefName(name), asked)),
      propose: shell.refs.propose,
      list: shell.refs.list,
      carried: () => core.refs.table.carried.size
    },
    mirrors: {
      add: shell.mirrors.add,
      list: async () => shell.mirrors.list(),
      remove: shell.mirrors.remove,
      promote: shell.mirrors.promote
    },
    get(cid, { signal, ref } = {}) {
      shell.served()
      return reads.get(cid, signal, ref && refId(ref, shell.crypto.sha256))
    },
    status: async ({ without } = {}) => {
      await shell.told() // or what was put a moment ago would not be counted
      const all = members(core.membership)
      const told = await safety.tell(without && lossesOf(without, all))
      const alive = all.filter(({ state }) => state === 'alive' || state === 'suspect').length
      return {
        ...told,
        id,
        name: shell.nameOf(id),
        alive,
        members: all.length,
        usage: store.usage(),
        scrub: disk.scrubStatus(),
        damage: shell.damage.status(),
        forecast: safety.forecast()
      }
    },
    async statusOf(root, { signal, replicas, without: texts } = {}) {
      shell.usable()
      const wanted = replicas ?? (await pins.find(root))?.replicas ?? network.replicas
      const without = texts && lossesOf(texts, members(core.membership))
      return await safetyOfDag(shell, root, { wanted, signal, without })
    },
    async proofOf(root, options = {}) {
      shell.usable()
      const wanted = (await pins.find(root))?.replicas ?? network.replicas
      return await proofOf(shell, root, { ...options, wanted })
    },
    peers() {
      const connected = new Set(transport.connectedPeers())
      return members(core.membership).map((member) => {
        const self = member.id === id
        const rttMs = self ? 0 : (shell.roundTrips.lastMs(member.id) ?? transport.rttMs(member.id))
        const audit = auditOf(shell, member.id)
        return { ...member, rttMs, connected: self || connected.has(member.id), self, audit }
      })
    },
    stored: () => store.usage(),
    flow: () => ({
      puttingBytes: shell.uploads.held().bytes,
      ...transport.flow(),
      repaired: reads.repaired(),
      asked: { ...core.fetches.asked }
    }),
    scrub: disk.scrub,
    gc: (options) => collectGarbage(shell, options),
    scrubNetwork: (options = {}) => shell.scrubs.run(options),
    events: (signal) => shell.events.listen(signal),
    async leave(options = {}) {
      if (options.force === true) await depart(shell, options)
      else {
        leaving ??= depart(shell, options).finally(() => {
          leaving = undefined
        })
        await leaving
      }
      await stop()
    },
    stop,
    closed,
    notes
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
      const { name, bytes, blocks, digests } = about
      if (digests !== undefined) await shell.reads.get(digests)
      const facts = { root, upload: id, name, replicas, blocks, bytes, createdMs: Date.now(), lifetimeMs: 0 }
      const pin: Pin = await pins.add(digests === undefined ? facts : { ...facts, digests })
      shell.events.emit({ type: 'pin', root, removed: false, atMs: Date.now() })
      return pin
    },
    async end() {
      await shell.uploads.finish(id)
      const swept = shell.uploads.sweep() // nobody waits for what it frees
      void shell.during(swept).catch((error: unknown) => shell.log('warn', asCairnError(error).message))
    }
  }
}
