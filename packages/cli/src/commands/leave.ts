/** `cairn leave`: the node of this home leaves for good, handing over what it holds first. */
import type { LeaveProgress, Safety } from '@cairn/client'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { duration, plural, size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'
import { belowText } from './status.ts'

export function addLeave(root: Command, program: Program): void {
  root
    .command('leave')
    .option('--dry-run', 'only tell what would have too few copies without it')
    .option('--force', 'leave at once, with nothing handed over, and tell what has too few copies then')
    .summary('leave the network for good, handing over what is held')
    .description(
      'The node hands over what it holds, says that it leaves, and stops. ' +
        'To come back later, use stop instead. Forced, it exits with 6 when some blocks have fewer copies ' +
        'than they should until the others have made more, with 7 when some have none left.'
    )
    .action(act(program, leave))
}

async function leave(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const client = await session.client()
  const { name, id } = await client.node()
  const without = await client.safetyWithout([`node:${id}`], { signal })
  if (command.opts<{ dryRun?: boolean }>().dryRun === true) {
    out.result({ name, ...without }, () => forcedText(name, without))
    return EXIT.ok
  }
  if (command.opts<{ force?: boolean }>().force === true) {
    out.warn(forcedText(name, without))
    await client.leave({ signal, force: true })
    out.result({ left: name, forced: true, ...without }, () => `${name} has left`)
    return forcedExit(without)
  }
  const { progress, eta } = drain()
  await client
    .leave({
      signal,
      onProgress: (left) => {
        progress(left, performance.now())
        out.live.show(() => `handing over: ${plural(left.blocks, 'block')} left, ${size(left.bytes)}${eta()}`)
      }
    })
    .catch((error: unknown) => {
      if (CairnError.is(error, 'TOO_FEW_REPLICAS')) out.warn(forcedText(name, without))
      throw error
    })
  out.result({ left: name }, () => `${name} has left`)
  return EXIT.ok
}

/** What stopping it for good, with nothing handed over, would do. */
export function forcedText(name: string, without: Safety): string {
  const below = belowText(without)
  if (below === '') return `without ${name} every block would have ${without.wanted} copies still`
  return `without ${name}, with nothing handed over: of ${plural(without.blocks, 'block')}, ${below}`
}

export function forcedExit({ wanted, byCopies }: Safety): number {
  if ((byCopies[0] ?? 0) > 0) return EXIT.integrity
  return byCopies.slice(0, wanted).some((blocks) => blocks > 0) ? EXIT.underReplicated : EXIT.ok
}

/** How long the rest takes, by the rate since the first look. */
export function drain() {
  let first: { bytes: number; atMs: number } | undefined
  let last = { bytes: 0, atMs: 0 }
  return {
    progress({ bytes }: LeaveProgress, atMs: number): void {
      last = { bytes, atMs }
      if (first === undefined || bytes > first.bytes) first = last
    },
    eta(): string {
      const gone = (first?.bytes ?? 0) - last.bytes
      if (gone <= 0 || last.bytes === 0) return ''
      return `, ETA ${duration(((last.atMs - (first?.atMs ?? 0)) * last.bytes) / gone)}`
    }
  }
}
