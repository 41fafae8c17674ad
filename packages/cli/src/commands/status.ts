/** `cairn status`: a verdict first, then the reason, then the figures; of the network or of one CID. */
import type { Forecast, ScrubStatus } from '@cairn/client'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, duration, plural, safe, size, table } from '../format.ts'
import type { Output } from '../output.ts'
import { act, type Program, type Session } from '../session.ts'
import { forecastText } from '../tell.ts'
import { scrubText } from './scrub.ts'

/** What both kinds of status say about safety. */
export interface Safety {
  verdict: 'healthy' | 'under-replicated' | 'at-risk' | 'lost'
  reason: string
  wanted: number
  blocks: number
  bytes: number
  byCopies: number[]
  bytesByCopies: number[]
  repairing: { blocks: number; bytes: number }
  etaSeconds?: number | undefined
}

const EXITS = {
  healthy: EXIT.ok,
  'under-replicated': EXIT.underReplicated,
  'at-risk': EXIT.underReplicated,
  lost: EXIT.integrity
} as const

const COLOURS = { healthy: 'green', 'under-replicated': 'yellow', 'at-risk': 'red', lost: 'red' } as const

export function addStatus(root: Command, program: Program): void {
  root
    .command('status')
    .argument('[CID]')
    .summary('how safe the data is: all of it, or one CID')
    .description(
      'A verdict, why, and what is being done. Exits with 6 when something is under-replicated, 7 when lost.'
    )
    .action(act(program, status))
}

async function status(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const client = await session.client()
  const [text] = command.processedArgs as [string | undefined]
  if (text === undefined) {
    const seen = await client.status()
    out.result(seen, () => networkText(out, seen))
    return EXITS[seen.verdict]
  }
  const dag = await client.status(text, { signal })
  const value = { ...dag, root: dag.root.toString(), lost: dag.lost.map(String) }
  out.result(value, () => dagText(out, dag))
  return EXITS[dag.verdict]
}

/** `UNDER-REPLICATED  2 of 3 copies (1,204 blocks; 18 have 1)  repairing, ETA 40 s`, and why. */
export function safetyText(out: Pick<Output, 'style'>, safety: Safety): string {
  const { verdict, reason, blocks, bytes, wanted, repairing, etaSeconds } = safety
  const parts = [
    out.style(COLOURS[verdict], verdict.toUpperCase()),
    `${plural(blocks, 'block')} (${size(bytes)}), ${plural(wanted, 'copy', 'copies')} of each wanted`
  ]
  const below = belowText(safety)
  if (below !== '') parts.push(below)
  if (repairing.blocks > 0) {
    const eta = etaSeconds === undefined ? '' : `, ETA ${duration(1_000 * etaSeconds)}`
    parts.push(`repairing ${plural(repairing.blocks, 'block')} (${size(repairing.bytes)})${eta}`)
  }
  return `${parts.join('  ')}\n  ${safe(reason)}`
}

/** `18 have 1 (18.9 MB), 1,186 have 2 (1.2 GB)`: those below N, fewest copies first. */
export function belowText({ byCopies, bytesByCopies, wanted }: Safety): string {
  const below = byCopies.slice(0, wanted).flatMap((n, copies) => {
    const bytes = bytesByCopies[copies] ?? 0
    return n > 0 ? [`${count(n)} have ${copies}${bytes > 0 ? ` (${size(bytes)})` : ''}`] : []
  })
  return below.join(', ')
}

type NetworkStatus = Safety & {
  name: string
  alive: number
  members: number
  usage: { blocks: number; bytes: number; diskBytes: number; capacity: number; full: boolean }
  scrub: ScrubStatus
  forecast?: Forecast
}

function networkText(out: Output, seen: NetworkStatus): string {
  const { usage } = seen
  const used = `${size(usage.diskBytes)} of ${size(usage.capacity)}${usage.full ? ' (full)' : ''}`
  return [
    safetyText(out, seen),
    `  members  ${seen.alive} alive${seen.members > seen.alive ? ` of ${seen.members}` : ''}`,
    `  here     ${safe(seen.name)}, ${plural(usage.blocks, 'block')}, ${used}`,
    `  scrub    ${scrubText(seen.scrub, Date.now())}`,
    ...(seen.forecast === undefined ? [] : [`  forecast ${lastForecastText(seen.forecast, Date.now())}`])
  ].join('\n')
}

/** What was last said of when all would be safe, and what became of it. */
function lastForecastText(forecast: Forecast, nowMs: number): string {
  const { blocks, bytes, atMs } = forecast
  const what = `${plural(blocks, 'block')} (${size(bytes)})`
  return `the last repair, of ${what}: ${forecastText(forecast)}; ${duration(Math.max(0, nowMs - atMs))} ago`
}

type DagStatus = Safety & {
  holders: readonly { name: string; state: string; blocks: number }[]
}

function dagText(out: Output, dag: DagStatus): string {
  const rows = dag.holders.map(({ name, state, blocks }) => [
    safe(name),
    dag.blocks === 0 ? '-' : `${Math.floor((100 * blocks) / dag.blocks)} %`,
    count(blocks),
    state
  ])
  const columns = [
    { title: 'HOLDER' },
    { title: 'SHARE', right: true },
    { title: 'BLOCKS', right: true },
    { title: 'STATE' }
  ]
  return `${safetyText(out, dag)}\n${table(columns, rows)}`
}
