/**
 * How safe the data is, in the words of `status`: the members' tallies added up, and one DAG block by
 * block.
 */
import { keyOf } from '@cairn/blocks'
import { type AuditEvent, type BlockKey, brakedFor, members, type PeerId, type Tally } from '@cairn/core'
import type { CID } from 'multiformats/cid'
import type { DagStatus, Safety, Verdict } from './api.ts'
import { type Reached, reachable } from './dag.ts'
import type { Answered, Shell } from './shell.ts'

/** Keys of one inquiry; the core's limit. */
const INQUIRY_KEYS = 512
/** Samples of what is left, from which the rate of repair is taken. */
const SAMPLES_MAX = 20
const SAMPLE_AGE_MS = 30_000

let nextRequest = 1

type Question =
  | { type: 'survey' }
  | { type: 'inquire'; keys: BlockKey[] }
  | Omit<Extract<AuditEvent, { type: 'challenge' }>, 'request'>

/** Puts a question to the members; the core answers it by its number, and always does. */
export function ask(shell: Shell, event: Question): Promise<Answered> {
  const request = nextRequest++
  return new Promise((resolve, reject) => {
    shell.usable()
    shell.asked.set(request, { resolve, reject })
    shell.dispatch({ ...event, request })
  })
}

/** The network's safety, as all living members tell it together. */
export function safetyOf(shell: Shell): () => Promise<Safety> {
  const samples: { atMs: number; bytes: number }[] = []
  return async () => {
    const answer = await ask(shell, { type: 'survey' })
    if (answer.type !== 'surveyed') throw new TypeError('a survey answered as an inquiry')
    const left = answer.tally.short.reduce((sum, { bytes }) => sum + bytes, 0)
    const nowMs = performance.now()
    samples.push({ atMs: nowMs, bytes: left })
    while (samples.length > SAMPLES_MAX || (samples[0]?.atMs ?? nowMs) < nowMs - SAMPLE_AGE_MS)
      samples.shift()
    return tell(shell, answer, etaOf(samples))
  }
}

/** Seconds until nothing is left, by the rate since the oldest sample; undefined while it does not fall. */
function etaOf(samples: readonly { atMs: number; bytes: number }[]): number | undefined {
  const [first, last] = [samples[0], samples.at(-1)]
  if (first === undefined || last === undefined) return undefined
  if (last.bytes === 0) return 0
  const rate = (first.bytes - last.bytes) / ((last.atMs - first.atMs) / 1_000)
  return rate > 0 ? Math.ceil(last.bytes / rate) : undefined
}

function tell(shell: Shell, answer: Answered & { type: 'surveyed' }, eta: number | undefined): Safety {
  const { tally, silent } = answer
  const wanted = shell.network.replicas
  const byCopies = byCopiesOf(tally, wanted)
  const short = tally.short.reduce((sum, { blocks }) => sum + blocks, 0)
  const bytes = tally.short.reduce((sum, one) => sum + one.bytes, 0)
  const verdict = verdictOf(byCopies, wanted)
  const fresh = tally.unconfirmed.blocks
  const comparing = fresh === 0 ? '' : `; ${fresh} changed a moment ago and are being compared`
  const reason = reasonOf(shell, { verdict, wanted, short, silent }) + comparing
  const repairing = { blocks: short, bytes }
  return {
    verdict,
    reason,
    wanted,
    blocks: tally.blocks,
    bytes: tally.bytes,
    byCopies,
    repairing,
    etaSeconds: eta
  }
}

function byCopiesOf(tally: Tally, wanted: number): number[] {
  const byCopies = new Array<number>(wanted + 1).fill(0)
  let whole = tally.blocks
  for (const { copies, blocks } of tally.short) {
    const at = Math.min(copies, wanted - 1)
    byCopies[at] = (byCopies[at] ?? 0) + blocks
    whole -= blocks
  }
  byCopies[wanted] = Math.max(0, whole)
  return byCopies
}

function verdictOf(byCopies: readonly number[], wanted: number): Verdict {
  if ((byCopies[0] ?? 0) > 0) return 'lost'
  if (wanted > 1 && (byCopies[1] ?? 0) > 0) return 'at-risk'
  return byCopies.slice(0, wanted).some((blocks) => blocks > 0) ? 'under-replicated' : 'healthy'
}

function brakeText(braked: { members: number; ms: number }, short: number, wanted: number): string {
  return (
    `${short} blocks have fewer than ${wanted} copies. ${braked.members} members with over a third of ` +
    'the capacity vanished together, as in a partition: if they stay away, all is repaired in ' +
    `${Math.ceil(braked.ms / 60_000)} min; until then, what is down to one copy`
  )
}

function reasonOf(
  shell: Shell,
  told: { verdict: Verdict; wanted: number; short: number; silent: readonly PeerId[] }
): string {
  const { verdict, wanted, short, silent } = told
  const placed = [...shell.core.holders.standing.values()].filter(({ living }) => living).length
  const quiet = silent.length === 0 ? '' : `; no answer from ${silent.map(shell.nameOf).join(', ')}`
  if (placed < wanted) {
    return `${placed} of ${wanted} members: ${short} blocks wait for a member to join${quiet}`
  }
  if (verdict === 'healthy') return `every block has ${wanted} copies${quiet}`
  const braked = brakedFor(shell.core)
  if (braked !== undefined) return `${brakeText(braked, short, wanted)}${quiet}`
  const gone = members(shell.core.membership).filter(({ state }) => state === 'dead')
  const why = gone.length === 0 ? '' : ` since ${gone.map(({ id }) => shell.nameOf(id)).join(', ')} died`
  return `${short} blocks have fewer than ${wanted} copies${why}; their holders are fetching them${quiet}`
}

/** One DAG: every block of it asked of every living member. */
export async function safetyOfDag(
  shell: Shell,
  root: CID,
  { wanted, signal }: { wanted: number; signal?: AbortSignal | undefined }
): Promise<DagStatus> {
  const byCopies = new Array<number>(wanted + 1).fill(0)
  const byHolder = new Map<PeerId, number>()
  const silent = new Set<PeerId>()
  const total = { blocks: 0, bytes: 0, left: { blocks: 0, bytes: 0 } }
  let batch: Reached[] = []
  const count = async (): Promise<void> => {
    const some = batch
    batch = []
    if (some.length === 0) return
    signal?.throwIfAborted()
    const answer = await ask(shell, { type: 'inquire', keys: some.map(({ cid }) => keyOf(cid)) })
    if (answer.type !== 'inquired') throw new TypeError('an inquiry answered as a survey')
    for (const peer of answer.silent) silent.add(peer)
    for (const { cid, size = 0 } of some) {
      const holders = answer.holders.get(keyOf(cid)) ?? []
      for (const peer of holders) byHolder.set(peer, (byHolder.get(peer) ?? 0) + 1)
      const at = Math.min(holders.length, wanted)
      byCopies[at] = (byCopies[at] ?? 0) + 1
      total.blocks++
      total.bytes += size
      if (at < wanted) {
        total.left.blocks++
        total.left.bytes += size
      }
    }
  }
  for await (const reached of reachable(shell, root, signal)) {
    batch.push(reached)
    if (batch.length === INQUIRY_KEYS) await count()
  }
  await count()
  const verdict = verdictOf(byCopies, wanted)
  const states = new Map(members(shell.core.membership).map(({ id, state }) => [id, state]))
  return {
    root,
    verdict,
    reason: reasonOf(shell, { verdict, wanted, short: total.left.blocks, silent: [...silent] }),
    wanted,
    blocks: total.blocks,
    bytes: total.bytes,
    byCopies,
    repairing: total.left,
    etaSeconds: total.left.blocks === 0 ? 0 : undefined,
    holders: [...byHolder].map(([peer, blocks]) => {
      return { peer, name: shell.nameOf(peer), state: states.get(peer) ?? 'dead', blocks }
    })
  }
}
