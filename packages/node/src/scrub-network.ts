/**
 * A scrub of the whole network: every living member is asked to read its disk again, told again and again
 * that it is wanted, and what they say is added up. Silence is told as such. A private network only: in an
 * open one anybody could keep all disks busy.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { encodeMessage, members, type PeerId, SCRUB_RUN_BYTES, type ScrubMessage } from '@cairn/core'
import type { CairnNode, MemberScrub, NetworkScrub, ScrubOptions, ScrubProgress } from './api.ts'
import type { Shell } from './shell.ts'
import { asCairnError } from './uploads.ts'

/** Between two askings of each member. */
const ASK_MS = 500
/** A member that has said nothing for so long is silent. Above an event loop's longest stall. */
const SILENT_MS = 20_000
/** Between scrubs that others make this node begin: who asks for more is refused. */
const BEGIN_MS = 10_000
/** Runs of others that are remembered: they ask until they have heard the end. */
const RUNS_MAX = 8

type Told = Extract<ScrubMessage, { type: 'tell-scrub' }>
const NOTHING = { blocks: 0, bytes: 0, total: 0, damaged: 0, refetched: 0, besides: 0 }

export interface NetworkScrubs {
  heard(from: PeerId, message: ScrubMessage): void
  run(options: ScrubOptions): Promise<NetworkScrub>
}

export function createNetworkScrubs(shell: () => Shell, own: CairnNode['scrub']): NetworkScrubs {
  const served = new Map<string, Told>()
  const asking = new Map<string, Map<PeerId, Told & { atMs: number }>>()
  let beganMs = Number.NEGATIVE_INFINITY

  const tell = (to: PeerId, message: ScrubMessage): void => shell().transport.send(to, encodeMessage(message))

  const begin = (run: string): Told => {
    const refused: Told = { type: 'tell-scrub', run, state: 'refused', ...NOTHING }
    if (shell().network.open || performance.now() - beganMs < BEGIN_MS) return refused
    beganMs = performance.now()
    const note = (state: Told['state'], progress: Partial<ScrubProgress>): void => {
      served.set(run, { ...(served.get(run) ?? refused), state, ...progress })
    }
    note('running', {})
    own({ onProgress: (progress) => note('running', progress) }).then(
      (result) => note('done', result),
      (error: unknown) => {
        note('refused', {})
        shell().log('warn', `a scrub that another member asked for: ${asCairnError(error).message}`)
      }
    )
    for (const old of [...served.keys()].slice(0, -RUNS_MAX)) served.delete(old)
    return served.get(run) ?? refused
  }

  return {
    heard(from, message) {
      if (message.type === 'ask-scrub') tell(from, served.get(message.run) ?? begin(message.run))
      else asking.get(message.run)?.set(from, { ...message, atMs: performance.now() })
    },
    async run({ onProgress, signal }) {
      const run = randomBytes(SCRUB_RUN_BYTES).toString('hex')
      const told = new Map<PeerId, Told & { atMs: number }>()
      asking.set(run, told)
      const startMs = performance.now()
      const note = (state: Told['state'], progress: Partial<ScrubProgress>): void => {
        const before = told.get(shell().id) ?? { type: 'tell-scrub', run, state, ...NOTHING }
        told.set(shell().id, { ...before, state, ...progress, atMs: performance.now() })
      }
      note('running', {})
      const options = { onProgress: (progress: ScrubProgress) => note('running', progress) }
      const ours = own(signal === undefined ? options : { ...options, signal }).then(
        (result) => note('done', result),
        () => note('refused', {})
      )
      try {
        const others = livingOthers(shell())
        const isOpen = (id: PeerId) => {
          const { state, atMs } = told.get(id) ?? { state: 'running', atMs: startMs }
          return state === 'running' && performance.now() - atMs < SILENT_MS
        }
        while (others.some(isOpen) || told.get(shell().id)?.state === 'running') {
          for (const id of others.filter(isOpen)) tell(id, { type: 'ask-scrub', run })
          onProgress?.(sumOf([...told.values()]))
          await wait(ASK_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
          signal?.throwIfAborted()
          shell().usable()
        }
        const all = [shell().id, ...others].map((id): MemberScrub => {
          const said = told.get(id)
          const state = said === undefined || said.state === 'running' ? 'silent' : said.state
          const { blocks, bytes, damaged, refetched, besides } = said ?? NOTHING
          return { peer: id, name: shell().nameOf(id), state, blocks, bytes, damaged, refetched, besides }
        })
        const { total: _, ...sum } = sumOf([...told.values()])
        return { ...sum, members: all }
      } finally {
        asking.delete(run)
        await ours
      }
    }
  }
}

function livingOthers({ core, id: self }: Shell): PeerId[] {
  const living = members(core.membership).filter(({ state }) => state === 'alive' || state === 'suspect')
  return living.flatMap(({ id }) => (id === self ? [] : [id]))
}

function sumOf(all: readonly ScrubProgress[]): ScrubProgress {
  const sum = { ...NOTHING }
  for (const one of all) {
    for (const name of Object.keys(sum) as (keyof ScrubProgress)[]) sum[name] += one[name]
  }
  return sum
}
