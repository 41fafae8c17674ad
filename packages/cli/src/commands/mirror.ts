/** `cairn mirror`: read replicas of names on the node that is asked. */
import { resolve } from 'node:path'
import type { Mirror, Promoted } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { type Command, Option } from 'commander'
import { EXIT } from '../failure.ts'
import { count, duration, plural, safe, size, table } from '../format.ts'
import { parseDuration, parseSize } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'
import { splitOff } from '../split.ts'
import { refJson, refLine } from './ref.ts'

export function addMirror(root: Command, program: Program): void {
  const mirror = root
    .command('mirror')
    .summary('read replicas of names: add, ls, rm, promote')
    .helpCommand(false)
  mirror
    .command('add')
    .argument('<NAME|OWNER/NAME>')
    .summary('keep all of a name on this node too, and follow it')
    .description(
      'The node fetches every block of what the name points to, beyond the copies kept anyway, and ' +
        'follows each update. What it had whole stays until the next is whole. It serves reads. ' +
        'With --auto the node is willing to do so once the name is read much by others, as many as the ' +
        'reading is worth, and lets go of it all when that is over.'
    )
    .addOption(
      new Option('--lag <TIME>', 'how far behind it wants to be at most (5s)').argParser((text) =>
        parseDuration(text)
      )
    )
    .option('--auto', 'only while it is read much, and for a while after')
    .addOption(
      new Option('--lease <TIME>', 'with --auto, how long after (10m)').argParser((text) =>
        parseDuration(text)
      )
    )
    .option('--wait', 'until it has all of it')
    .action(act(program, add))
  mirror.command('ls').summary('what this node mirrors, and how far behind').action(act(program, list))
  mirror
    .command('rm')
    .argument('<NAME|OWNER/NAME>')
    .summary('stop mirroring a name, and free what only the mirror kept')
    .action(act(program, remove))
  mirror
    .command('promote')
    .argument('<NAME|OWNER/NAME>')
    .summary('make a name of its own of what the mirror has')
    .description(
      "Makes of the mirror's last whole root a name that stands alone, owned by this node (or by --key), " +
        'also while the old owner and every other member are away. Nobody but this node votes on it, until ' +
        'cairn ref share. What the old name had beyond it is told, as far as this node knows it. ' +
        'The mirror ends. With --network new what it has is copied into a new home instead, with a network ' +
        'id, a secret and a key of its own; nothing in the old network changes, and the mirror goes on.'
    )
    .option('--name <NEW>', 'what the new name is called (as the old one)')
    .addOption(new Option('--network <new>', 'as a network of its own').choices(['new']))
    .option('--to <HOME>', 'with --network new: the home of its first node, empty or not there yet')
    .addOption(
      new Option('--capacity <SIZE>', 'with --network new: what that node may hold').argParser((text) =>
        parseSize(text)
      )
    )
    .action(act(program, promote))
}

interface PromoteFlags {
  name?: string
  network?: 'new'
  to?: string
  capacity?: number
}

async function promote(whole: Session, command: Command): Promise<number> {
  const { out, signal, ...session } = whole
  const [ref] = command.processedArgs as [string]
  const { name, network, to, capacity } = command.opts<PromoteFlags>()
  if ((network === undefined) !== (to === undefined)) {
    throw new CairnError('BAD_REQUEST', '--network new and --to HOME go together', {
      hint: 'a network of its own needs an empty home: --network new --to HOME'
    })
  }
  if (to !== undefined) return promoteApart(whole, { ref, name, home: resolve(to), capacity })
  const { mirrors } = await session.client()
  const made = await mirrors.promote(ref, { signal, ...(name === undefined ? {} : { name }) })
  out.result({ ref: refJson(made.ref), from: promotedJson(made.from) }, () => refLine(made.ref))
  const { owner, name: old, sequence, behind } = made.from
  out.note(`stands alone, owned by ${made.ref.owner}; from ${safe(old)} of ${owner}, at ${sequence}`)
  for (const line of beyond(behind)) out.note(line)
  out.note(`others vote on it again after: cairn ref share ${safe(made.ref.name)}`)
  return EXIT.ok
}

async function promoteApart(
  { out, signal, ...session }: Session,
  {
    ref,
    name,
    home,
    capacity
  }: { ref: string; name: string | undefined; home: string; capacity: number | undefined }
): Promise<number> {
  const from = await session.client()
  const mirror = await from.mirrors.get(ref, { signal })
  const onProgress = (bytes: number): void => out.live.show(() => `copying: ${size(bytes)}`)
  const room = capacity === undefined ? {} : { capacity }
  const made = await splitOff({ from, mirror, home, name: name ?? mirror.name, ...room, signal, onProgress })
  const { lag, owner, name: old, whole } = mirror
  const cairn = `cairn --home ${home}`
  const lineage = { owner, name: old, sequence: whole?.sequence, behind: lag }
  out.result({ network: made.network, home, ref: refJson(made.ref), from: lineage }, () => refLine(made.ref))
  out.note(
    `network ${made.network.slice(0, 8)}…: ${plural(made.blocks, 'block')} (${size(made.bytes)}) in ${home}`
  )
  out.note(`from ${safe(old)} of ${owner}, at ${whole?.sequence}`)
  for (const line of beyond({ ...lag, updates: lag.updates ?? 0, beyond: [], begun: 0 })) out.note(line)
  out.note(`start it: ${cairn} start --listen ADDRESS`)
  out.note(`others join it with: cairn --home THEIRS join "$(${cairn} invite)"`)
  return EXIT.ok
}

/** What the old primary had beyond, as far as was known, and how far that goes. */
function beyond({ updates, ms, heardMs, beyond: roots, begun }: Promoted['behind']): string[] {
  const heard =
    heardMs === undefined
      ? 'its voters were not heard since this node started: there may be more'
      : `its voters were last heard ${duration(heardMs)} before: what came after that is not known`
  if (updates === 0 && begun === 0) return ['nothing beyond it is known', heard]
  const lines = [`not in it: ${plural(updates, 'update')}, the first seen ${duration(ms)} before`]
  for (const { sequence, root } of roots) lines.push(`  ${sequence}  ${root?.toString() ?? '(removed)'}`)
  if (begun > 0)
    lines.push(`  and ${plural(begun, 'update')} begun that no majority is known to have acknowledged`)
  return [...lines, heard]
}

function promotedJson({ root, behind, ...rest }: Promoted): object {
  const roots = behind.beyond.map((past) => ({ ...past, root: past.root?.toString() }))
  return { ...rest, root: root.toString(), behind: { ...behind, beyond: roots } }
}

interface AddOptions {
  lag?: number
  auto?: boolean
  lease?: number
  wait?: boolean
}

async function add({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [ref] = command.processedArgs as [string]
  const { lag, lease, ...opts } = command.opts<AddOptions>()
  const { auto = false, wait } = opts
  if (lease !== undefined && !auto) throw new CairnError('BAD_REQUEST', '--lease goes with --auto')
  const { mirrors } = await session.client()
  const times = {
    ...(lag === undefined ? {} : { lagMs: lag }),
    ...(lease === undefined ? {} : { leaseMs: lease })
  }
  let mirror = await mirrors.add(ref, { signal, auto, ...times })
  if (wait === true) {
    const onProgress = (now: Mirror): void => out.live.show(() => `${safe(now.name)}  ${doing(now)}`)
    mirror = await mirrors.waitFor(mirror, { signal, onProgress })
  }
  out.result(mirrorJson(mirror), () => `${safe(mirror.name)}  ${held(mirror)}`)
  if (wait !== true && mirror.whole === undefined && !auto)
    out.note('cairn mirror ls shows how far it has come')
  return EXIT.ok
}

async function list({ out, signal, ...session }: Session): Promise<number> {
  const mirrors = await (await session.client()).mirrors.list({ signal })
  if (out.json) for (const mirror of mirrors) out.result(mirrorJson(mirror), () => '')
  else if (mirrors.length > 0) {
    const columns = [
      { title: 'NAME' },
      { title: 'SEQ', right: true },
      { title: 'PRIMARY', right: true },
      { title: 'LAG', right: true },
      { title: 'UPDATES', right: true },
      { title: 'BLOCKS', right: true },
      { title: 'SIZE', right: true },
      { title: 'STATE' }
    ]
    const rows = mirrors.map((one) => [
      safe(one.name),
      String(one.whole?.sequence ?? '-'),
      one.primary === undefined ? '-' : `${one.primary.sequence}${one.primary.root ? '' : ' (removed)'}`,
      duration(one.lag.ms),
      String(one.lag.updates ?? '-'),
      count(one.whole?.blocks ?? 0),
      size(one.whole?.bytes ?? 0),
      doing(one)
    ])
    out.result({}, () => table(columns, rows))
  }
  if (mirrors.length === 0) out.note('this node mirrors nothing: cairn mirror add NAME')
  return EXIT.ok
}

async function remove({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [ref] = command.processedArgs as [string]
  const removed = await (await session.client()).mirrors.rm(ref, { signal })
  out.result(mirrorJson(removed), () => `${safe(removed.name)} is not mirrored here any more`)
  return EXIT.ok
}

/** Without an answer of the voters for so long, a lag is as of then. Three looks at the longest wish. */
const QUIET_MS = 45_000

/** Nobody reads it so much, and what a life before may have left of it goes, or is gone. */
function isIdle({ lease, whole, phase }: Mirror): boolean {
  return lease?.leftMs === 0 && whole === undefined && phase !== 'fetching'
}

function doing(mirror: Mirror): string {
  const { phase, reason, fetching, lag, lease } = mirror
  const heard =
    lag.heardMs === undefined
      ? ', its voters not heard yet'
      : `, its voters not heard for ${duration(lag.heardMs)}`
  const quiet = lag.heardMs === undefined || lag.heardMs > QUIET_MS ? heard : ''
  if (isIdle(mirror)) return 'waiting until it is read much'
  if (phase === 'resting') return `waiting to try again: ${safe(reason ?? '')}`
  if (phase === 'fetching' && fetching !== undefined) {
    return `fetching ${fetching.sequence}: ${plural(fetching.blocks, 'block')} (${size(fetching.bytes)})`
  }
  return `${phase}${lease === undefined ? '' : `, for ${duration(lease.leftMs)} more`}${quiet}`
}

function held(mirror: Mirror): string {
  const { whole, fetching } = mirror
  if (isIdle(mirror)) return 'mirrored here once it is read much'
  if (whole === undefined) return fetching === undefined ? 'nothing of it yet' : 'fetching'
  return `${whole.sequence} whole: ${plural(whole.blocks, 'block')} (${size(whole.bytes)})`
}

export function mirrorJson({ whole, primary, ...rest }: Mirror): object {
  return {
    ...rest,
    ...(whole === undefined ? {} : { whole: { ...whole, root: whole.root.toString() } }),
    ...(primary === undefined ? {} : { primary: { ...primary, root: primary.root?.toString() } })
  }
}
