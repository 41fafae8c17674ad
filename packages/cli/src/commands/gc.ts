/** `cairn gc`: what a node holds that nobody claims any more, and collecting it now. */
import type { GcResult } from '@cairn/client'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, plural, size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addGc(root: Command, program: Program): void {
  root
    .command('gc')
    .summary('what nobody claims any more: how much there is, or --now')
    .description(
      'What was removed is collected on every node by itself, some minutes later. --dry-run tells how much ' +
        'one node still holds of it; --now has that node collect it at once, as far as other holders agree.'
    )
    .option('--dry-run', 'only tell how much there is (the default)')
    .option('--now', 'collect it now, without the grace')
    .action(act(program, gc))
}

async function gc(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const { now } = command.opts<{ now?: boolean; dryRun?: boolean }>()
  const client = await session.client()
  const result = await client.gc({ signal, now: now === true })
  out.result(result, () => text(result, now === true))
  return EXIT.ok
}

function text({ blocks, bytes, collected }: GcResult, now: boolean): string {
  if (blocks === 0) return 'nothing to collect: everything on this node is claimed'
  const found = `${plural(blocks, 'block')} (${size(bytes)}) that nobody claims any more`
  if (!now) return `${found}: collected by itself after its grace, or by cairn gc --now`
  const left = blocks - collected
  if (left === 0) return `${found}: collected`
  const rest = `${count(left)} when more of their holders are there to agree`
  return `${found}: ${count(collected)} collected; ${rest}`
}
