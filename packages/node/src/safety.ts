/**
 * How safe the data is, in the words of `status`: the members' tallies added up, and one DAG block by
 * block.
 */
import { keyOf } from '@cairn/blocks'
import { members, type PeerId, safeInMs, type Tally } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { DagStatus, Forecast, Safety, Verdict } from './api.ts'
import { ask, INQUIRY_KEYS, inquire } from './ask.ts'
import { type Reached, reachable } from './dag.ts'
import { forecastsOf } from './forecasts.ts'
import { reasonOf, supposedReason } from './reasons.ts'
import type { Answered, Shell } from './shell.ts'
import { sparing } from './spared.ts'

/** The network's safety, as all living members tell it together. */
export interface SafetyTeller {
  /** As it is, or as if the copies of some members were lost. */
  tell(without?: readonly PeerId[]): Promise<Safety>
  /** What became of the last that was said of when all will be safe. */
  forecast(): Forecast | undefined
}

export function safetyOf(shell: Shell): SafetyTeller {
  const forecasts = forecastsOf(shell, async () => {
    const { tally, silent } = await surveyed(shell)
    return tally.short.length === 0 && silent.length === 0
  })
  return {
    async tell(without) {
      const counted = await surveyed(shell, without)
      const tally = without === undefined ? counted.tally : await sparing(shell, counted.tally, without)
      const answer = { ...counted, tally }
      const told = tell(shell, answer, without)
      const etaMs = without === undefined ? etaMsOf(shell, answer.tally) : undefined
      if (etaMs === undefined) return told
      if (etaMs > 0) forecasts.made(etaMs, told.repairing)
      return { ...told, etaSeconds: Math.ceil(etaMs / 1_000) }
    },
    forecast: forecasts.last
  }
}

async function surveyed(shell: Shell, without?: readonly PeerId[]): Promise<Answered & { type: 'surveyed' }> {
  const answer = await ask(shell, { type: 'survey', ...(without === undefined ? {} : { without }) })
  if (answer.type !== 'surveyed') throw new TypeError('a survey answered as an inquiry')
  return answer
}

function etaMsOf({ core }: Shell, tally: Tally): number | undefined {
  return safeInMs(core.holders, core.config, tally)
}

function tell(shell: Shell, answer: Answered & { type: 'surveyed' }, without?: readonly PeerId[]): Safety {
  const { tally, silent } = answer
  const wanted = shell.network.replicas
  const { byCopies, bytesByCopies } = byCopiesOf(tally, wanted)
  const short = tally.short.reduce((sum, { blocks }) => sum + blocks, 0)
  const bytes = tally.short.reduce((sum, one) => sum + one.bytes, 0)
  const counted = verdictOf(byCopies, wanted)
  // N of its own may be above the network's: what lies between them is in no number below that
  const verdict = counted === 'healthy' && short > 0 ? 'under-replicated' : counted
  const fresh = tally.unconfirmed.blocks
  const comparing = fresh === 0 ? '' : `; ${fresh} changed a moment ago and are being compared`
  const reason =
    without === undefined
      ? reasonOf(shell, { verdict, wanted, short, silent }) + comparing
      : supposedReason(without.map(shell.nameOf), { byCopies, wanted })
  const repairing = { blocks: short, bytes }
  const { blocks } = tally
  const total = { blocks, bytes: tally.bytes, byCopies, bytesByCopies }
  return { verdict, reason, wanted, ...total, repairing, etaSeconds: undefined }
}

function byCopiesOf(tally: Tally, wanted: number): Pick<Safety, 'byCopies' | 'bytesByCopies'> {
  const byCopies = new Array<number>(wanted + 1).fill(0)
  const bytesByCopies = [...byCopies]
  const whole = { blocks: tally.blocks, bytes: tally.bytes }
  for (const { copies, blocks, bytes } of tally.short) {
    // below an N of its own, where the network's is 1: not one of those that have no copy at all
    if (copies > 0 && wanted === 1) continue
    const at = Math.min(copies, wanted - 1)
    byCopies[at] = (byCopies[at] ?? 0) + blocks
    bytesByCopies[at] = (bytesByCopies[at] ?? 0) + bytes
    whole.blocks -= blocks
    whole.bytes -= bytes
  }
  byCopies[wanted] = Math.max(0, whole.blocks)
  bytesByCopies[wanted] = Math.max(0, whole.bytes)
  return { byCopies, bytesByCopies }
}

function verdictOf(byCopies: readonly number[], wanted: number): Verdict {
  if ((byCopies[0] ?? 0) > 0) return 'lost'
  if (wanted > 1 && (byCopies[1] ?? 0) > 0) return 'at-risk'
  return byCopies.slice(0, wanted).some((blocks) => blocks > 0) ? 'under-replicated' : 'healthy'
}

/** Of blocks that nobody has, as many are named. */
const LOST_NAMED_MAX = 100

export interface DagAsked {
  wanted: number
  signal?: AbortSignal | undefined
  /** As if the copies of these were lost. */
  without?: readonly PeerId[] | undefined
}

/** One DAG: every block of it asked of every living member. */
export async function safetyOfDag(shell: Shell, root: CID, asked: DagAsked): Promise<DagStatus> {
  const { wanted, signal, without } = asked
  const gone = new Set(without)
  const counted = newCount(wanted)
  let batch: Reached[] = []
  const count = async (): Promise<void> => {
    const some = batch
    batch = []
    if (some.length === 0) return
    signal?.throwIfAborted()
    const answer = await inquire(
      shell,
      some.map(({ cid }) => keyOf(cid))
    )
    for (const peer of answer.silent) counted.silent.add(peer)
    for (const reached of some) {
      const holders = answer.holders.get(keyOf(reached.cid)) ?? []
      add(
        counted,
        reached,
        holders.filter((peer) => !gone.has(peer))
      )
    }
  }
  for await (const reached of reachable(shell, root, signal)) {
    batch.push(reached)
    if (batch.length === INQUIRY_KEYS) await count()
  }
  await count()
  return dagStatus(shell, root, counted, asked)
}

interface DagCount extends Pick<DagStatus, 'byCopies' | 'bytesByCopies' | 'lost' | 'blocks' | 'bytes'> {
  readonly byHolder: Map<PeerId, number>
  readonly silent: Set<PeerId>
  readonly left: { blocks: number; bytes: number }
}

function newCount(wanted: number): DagCount {
  const byCopies = new Array<number>(wanted + 1).fill(0)
  const none = { blocks: 0, bytes: 0 }
  const lists = { byCopies, bytesByCopies: [...byCopies], lost: [] }
  return { ...none, ...lists, byHolder: new Map(), silent: new Set(), left: { ...none } }
}

function add(counted: DagCount, { cid, size = 0 }: Reached, holders: readonly PeerId[]): void {
  const { byCopies, bytesByCopies, byHolder, left, lost } = counted
  for (const peer of holders) byHolder.set(peer, (byHolder.get(peer) ?? 0) + 1)
  const wanted = byCopies.length - 1
  const at = Math.min(holders.length, wanted)
  byCopies[at] = (byCopies[at] ?? 0) + 1
  bytesByCopies[at] = (bytesByCopies[at] ?? 0) + size
  counted.blocks++
  counted.bytes += size
  if (at === 0 && lost.length < LOST_NAMED_MAX) lost.push(cid)
  if (at === wanted) return
  left.blocks++
  left.bytes += size
}

async function dagStatus(
  shell: Shell,
  root: CID,
  counted: DagCount,
  { wanted, without }: DagAsked
): Promise<DagStatus> {
  const { byHolder, silent, left, ...total } = counted
  const verdict = verdictOf(total.byCopies, wanted)
  const states = new Map(members(shell.core.membership).map(({ id, state }) => [id, state]))
  const supposed = without !== undefined
  const reason = supposed
    ? supposedReason(without.map(shell.nameOf), { byCopies: total.byCopies, wanted })
    : reasonOf(shell, { verdict, wanted, short: left.blocks, silent: [...silent] })
  // no later than all of the network: what has the fewest copies goes first
  const etaMs = left.blocks === 0 ? 0 : supposed ? undefined : await networkEtaMs(shell)
  return {
    root,
    verdict,
    reason,
    wanted,
    ...total,
    repairing: left,
    etaSeconds: etaMs === undefined ? undefined : Math.ceil(etaMs / 1_000),
    holders: [...byHolder].map(([peer, blocks]) => {
      return { peer, name: shell.nameOf(peer), state: states.get(peer) ?? 'dead', blocks }
    })
  }
}

async function networkEtaMs(shell: Shell): Promise<number | undefined> {
  return etaMsOf(shell, (await surveyed(shell)).tally)
}
