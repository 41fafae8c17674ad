/** `cairn scrub`: how much of a node's disk was read again lately; with `--now`, all of it, at once. */
import type { DamageStatus, NetworkScrub, ScrubProgress, ScrubResult, ScrubStatus } from '@cairn/client'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, duration, plural, safe, size, table } from '../format.ts'
import { bar } from '../progress.ts'
import { act, type Program, type Session } from '../session.ts'

export function addScrub(root: Command, program: Program): void {
  root
    .command('scrub')
    .summary("read a node's disk again and compare: how far that is, or --now")
    .description(
      'A node reads all of its disk again within seven days, by itself. Damaged copies are put aside and ' +
        "replaced by the other members'. With --now all is read at once; exits with 7 when a damaged copy " +
        'could not be replaced.'
    )
    .option('--now', 'read all of it now, as fast as the disk goes')
    .option('--network', 'have all members do so, and add up; 6 when one does not')
    .action(act(program, scrub))
}

async function scrub(session: Session, command: Command): Promise<number> {
  const { out, signal } = session
  const client = await session.client()
  const { now, network } = command.opts<{ now?: boolean; network?: boolean }>()
  const onProgress = (progress: ScrubProgress): void => out.live.show(() => line(progress))
  if (network === true) {
    const result = await client.scrubNetwork({ signal, onProgress })
    out.result(result, () => networkText(result))
    if (!isHealed(result)) return EXIT.integrity
    return result.members.every(({ state }) => state === 'done') ? EXIT.ok : EXIT.underReplicated
  }
  if (now !== true) {
    const { name, scrub, damage } = await client.status()
    const latest = damage.latest.map((one) => ({ ...one, cid: one.cid.toString() }))
    const value = { name, ...scrub, damage: { ...damage, latest } }
    out.result(value, () => [scrubText(scrub, Date.now()), ...damageText(damage, Date.now())].join('\n'))
    return EXIT.ok
  }
  const result = await client.scrub({ signal, onProgress })
  out.result(result, () => resultText(result))
  return isHealed(result) ? EXIT.ok : EXIT.integrity
}

function line({ bytes, total, damaged, refetched }: ScrubProgress): string {
  const read = `reading ${bar(bytes, total)} ${size(bytes)}/${size(total)}`
  return damaged === 0
    ? read
    : `${read} · ${plural(damaged, 'damaged copy', 'damaged copies')}, ${refetched} back`
}

/** A copy that was held besides need not come back: as many others have theirs as must. */
function isHealed({ damaged, refetched, besides }: ScrubResult): boolean {
  return refetched + besides >= damaged
}

export function resultText({ blocks, bytes, damaged, refetched, besides }: ScrubResult): string {
  const read = `${plural(blocks, 'block')} (${size(bytes)}) read`
  if (damaged === 0) return `${read}, all of them good`
  const found = `${plural(damaged, 'damaged copy', 'damaged copies')} put aside`
  const missing = damaged - refetched - besides
  if (missing === 0 && besides === 0) return `${read}, ${found} and replaced by those of other members`
  const spare = besides === 0 ? '' : `, ${count(besides)} not needed: other members hold enough`
  const late = missing === 0 ? '' : `; ${count(missing)} not yet: see cairn status`
  return `${read}, ${found}, ${count(refetched)} replaced${spare}${late}`
}

/** What each member read and found, and the sum. */
function networkText({ members, ...sum }: NetworkScrub): string {
  const columns = [
    { title: 'MEMBER' },
    { title: 'STATE' },
    { title: 'BLOCKS', right: true },
    { title: 'READ', right: true },
    { title: 'DAMAGED', right: true },
    { title: 'REPLACED', right: true }
  ]
  const rows = members.map(({ name, state, blocks, bytes, damaged, refetched }) => {
    return [safe(name), state, count(blocks), size(bytes), count(damaged), count(refetched)]
  })
  return `${table(columns, rows)}\n${resultText(sum)}`
}

/** What was ever found damaged on this disk, and what became of the latest. */
export function damageText({ found, healed, latest }: DamageStatus, nowMs: number): string[] {
  if (found === 0) return ['never found a damaged copy']
  const ago = (ms: number): string => `${duration(Math.max(0, nowMs - ms))} ago`
  const lines = latest.map(({ cid, foundMs, healedMs, besides }) => {
    const good = besides === true ? 'not needed here, other members hold enough' : 'replaced'
    const end = healedMs === undefined ? 'not yet replaced' : `${good} after ${duration(healedMs - foundMs)}`
    return `  ${cid}  damaged, found ${ago(foundMs)}, ${end}`
  })
  return [
    `${plural(found, 'damaged copy', 'damaged copies')} found in all, ${count(healed)} made good`,
    ...lines
  ]
}

/** One line of how much was read again lately. */
export function scrubText({ oldestMs, verified, total, lost }: ScrubStatus, nowMs: number): string {
  if (total === 0) return 'nothing to read yet'
  const share = `${Math.floor((100 * verified) / total)} % read again in 7 days`
  const oldest = oldestMs === 0 ? '' : `, all since ${duration(Math.max(0, nowMs - oldestMs))} ago`
  const found = lost === 0 ? '' : `; ${plural(lost, 'damaged copy', 'damaged copies')} found since the start`
  return `${share}${oldest}${found}`
}
