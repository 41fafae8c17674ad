/** `cairn whatif`: what would be lost with some nodes or zones, before it is. */
import type { Affected, WhatIf } from '@cairn/client'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, plural, safe, size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'
import { belowText } from './status.ts'

/** Pins and refs that are shown; --json has them all. */
const SHOWN_MAX = 20

const VERDICTS = {
  healthy: 'healthy',
  'under-replicated': 'fewer copies',
  'at-risk': 'one copy left',
  lost: 'unreadable'
} as const

export function addWhatif(root: Command, program: Program): void {
  root
    .command('whatif')
    .requiredOption('--lose <WHAT>', 'node:NAME, node:ID or zone:ZONE, with commas between')
    .summary('what would be lost with some nodes, or a zone')
    .description(
      'Nothing is changed. By what all members say that they hold: what would have no copy left, what ' +
        'fewer than it should, and which pins and refs that concerns. Exits with 7 when something would be ' +
        'lost, 6 when something would have fewer copies.'
    )
    .action(act(program, whatif))
}

async function whatif(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const lose = losses(command.opts<{ lose: string }>().lose)
  const client = await session.client()
  const onProgress = ({ done, total }: { done: number; total: number }): void =>
    out.live.show(() => `looking at ${plural(total, 'pin or ref', 'pins and refs')}: ${count(done)}`)
  const told = await client.whatIf(lose, { signal, onProgress })
  out.result(plain(told), () => whatIfText(told))
  return exitOf(told)
}

/** @throws BAD_REQUEST */
export function losses(text: string): string[] {
  const lose = text.split(',').filter((one) => one !== '')
  const wrong = lose.find((one) => !/^(node|zone):./.test(one))
  if (wrong === undefined && lose.length > 0) return lose
  throw new CairnError('BAD_REQUEST', `--lose ${wrong ?? text}: neither a node nor a zone`, {
    hint: 'such as --lose node:amber-fox,zone:attic; cairn peers shows them'
  })
}

function exitOf({ network, affected }: WhatIf): number {
  const verdicts = [network, ...affected].map(({ verdict }) => verdict)
  if (verdicts.includes('lost')) return EXIT.integrity
  return verdicts.every((verdict) => verdict === 'healthy') ? EXIT.ok : EXIT.underReplicated
}

function plain({ network, affected, roots }: WhatIf): object {
  const shown = affected.map(
    ({ names, root, verdict, wanted, blocks, bytes, byCopies, bytesByCopies, lost }) => {
      const counts = { wanted, blocks, bytes, byCopies, bytesByCopies }
      return { names, root: `${root}`, verdict, ...counts, lost: lost.map(String) }
    }
  )
  return { network, affected: shown, roots }
}

export function whatIfText({ network, affected, roots }: WhatIf): string {
  const below = belowText(network)
  const lines = [
    safe(network.reason),
    `  of ${plural(network.blocks, 'block')} (${size(network.bytes)})${below === '' ? '' : `: ${below}`}`
  ]
  if (affected.length === 0)
    lines.push(`  none of ${plural(roots, 'pin or ref', 'pins and refs')} would miss a copy`)
  for (const one of affected.slice(0, SHOWN_MAX)) lines.push(...affectedText(one))
  if (affected.length > SHOWN_MAX)
    lines.push(`  and ${count(affected.length - SHOWN_MAX)} more: --json has them`)
  return lines.join('\n')
}

function affectedText(one: Affected): string[] {
  const { names, root, verdict, byCopies, lost } = one
  const head = `  ${VERDICTS[verdict]}: ${safe(names.join(', '))}  ${root}`
  const lines = [head, `    of ${plural(one.blocks, 'block')} (${size(one.bytes)}): ${belowText(one)}`]
  if (lost.length === 0) return lines
  const more = (byCopies[0] ?? 0) - 1
  return [...lines, `    no copy of ${lost[0]}${more > 0 ? ` and ${count(more)} more` : ''}`]
}
