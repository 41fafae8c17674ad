/** `cairn ref`: names that live. What a name points to, who acknowledged that, and how it came to be. */
import type { Client, Ref, RefReceiptInfo, RefSetOptions, RefState } from '@cairn/client'
import { CairnError } from '@cairn/core'
import { type Command, Option } from 'commander'
import { EXIT } from '../failure.ts'
import { duration, plural, safe, table } from '../format.ts'
import { parseCount, parseDuration, parseReplicas } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'
import { addRefHistory } from './ref-history.ts'

const KEEP_MAX = 16
/** A hundred years: beyond that, without end is meant. */
const LIFETIME_MAX_MS = 36_500 * 86_400_000

export function lifetimeOption(): Option {
  const about = 'how long the name keeps it, from each update on, e.g. 30d; 0: without end'
  return new Option('--lifetime <TIME>', about).argParser((text) =>
    text === '0' ? 0 : parseDuration(text, 'a lifetime', LIFETIME_MAX_MS)
  )
}

export function keepOption(): Option {
  return new Option('--keep <K>', 'earlier roots that the name keeps (1)').argParser((text) =>
    parseCount(text, 'a number of roots', { least: 0, most: KEEP_MAX })
  )
}

export function addRef(root: Command, program: Program): void {
  const ref = root
    .command('ref')
    .summary('names that live: set, get, ls, rm, log, watch, diff, rollback, share, recover')
    .helpCommand(false)
  ref
    .command('set')
    .argument('<NAME>')
    .argument('<CID|NAME[/PATH]>')
    .summary('point a name to content')
    .description(
      'Points a name to content, once a majority of the members that vote on it have acknowledged that. ' +
        'It is signed with the key of the node, or with one of your own (--key).'
    )
    .addOption(new Option('--replicas <N>', 'copies of what it points to').argParser(parseReplicas))
    .addOption(lifetimeOption())
    .addOption(keepOption())
    .addOption(
      new Option('--if-seq <N>', 'only if it is at this sequence; 0: if it is new').argParser((text) =>
        parseCount(text, 'a sequence', { least: 0, most: Number.MAX_SAFE_INTEGER })
      )
    )
    .option('--if-match <CID>', 'only if it points to this now')
    .option('--settle', 'take the place of rivals that no majority acknowledged')
    .action(act(program, setRef))
  ref
    .command('get')
    .argument('<NAME>')
    .summary('what it points to')
    .option('--latest', 'ask a majority of its voters')
    .action(act(program, getRef))
  ref.command('ls').summary('your names').option('--all', "everybody's").action(act(program, listRefs))
  ref.command('rm').argument('<NAME>').summary('let a name go').action(act(program, removeRef))
  ref.command('watch').argument('<NAME>').summary('each change, as it comes').action(act(program, watchRef))
  ref
    .command('share')
    .argument('<NAME>')
    .summary('of a promoted name: let the members vote on it, not one of them alone')
    .action(act(program, shareRef))
  ref
    .command('recover')
    .argument('<NAME>')
    .summary('when a majority of those who vote on it are gone for good')
    .description(
      'Names new voters without asking the old ones. What those acknowledged and nobody here knows ' +
        'is not in it: if they come back, the name has forked, and both are shown.'
    )
    .option('--yes', 'that is understood')
    .action(act(program, recoverRef))
  addRefHistory(ref, program)
}

const nameIn = (command: Command): string => (command.processedArgs as [string])[0]

interface SetFlags {
  replicas?: number
  lifetime?: number
  keep?: number
  ifSeq?: number
  ifMatch?: string
  settle?: boolean
}

async function setRef({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [name, what] = command.processedArgs as [string, string]
  const { replicas, lifetime, keep, ifSeq, ifMatch, settle } = command.opts<SetFlags>()
  const client = await session.client()
  const root = await client.locate(what, { signal })
  const options: RefSetOptions = {
    signal,
    ...(replicas === undefined ? {} : { replicas }),
    ...(lifetime === undefined ? {} : { lifetimeMs: lifetime }),
    ...(keep === undefined ? {} : { keep }),
    ...(ifSeq === undefined ? {} : { ifSequence: ifSeq }),
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(settle === true ? { settle } : {})
  }
  const set = await client.refs.set(name, root, options)
  out.result(refJson(set), () => refLine(set))
  out.note(acknowledgedBy(set.receipts))
  return EXIT.ok
}

/** `acknowledged by amber-fox 12:00:01.120, iron-owl 12:00:01.123`. */
export function acknowledgedBy(receipts: readonly RefReceiptInfo[]): string {
  if (receipts.length === 0) return 'acknowledged before'
  const each = receipts.map(
    ({ name, timeMs }) => `${safe(name)} ${new Date(timeMs).toISOString().slice(11, 23)}`
  )
  return `acknowledged by ${each.join(', ')}`
}

/** `photos  7  bafy…`. */
export function refLine({ name, sequence, root }: Ref): string {
  return `${safe(name)}  ${sequence}  ${root?.toString() ?? '(removed)'}`
}

export function refJson(ref: Ref & { receipts?: RefReceiptInfo[] }): object {
  const { record, receipts, root, history, ...rest } = ref
  return {
    ...rest,
    root: root?.toString(),
    history: history.map((past) => ({ sequence: past.sequence, root: past.root?.toString() })),
    record: Buffer.from(record).toString('hex'),
    ...(receipts === undefined
      ? {}
      : { receipts: receipts.map((one) => ({ ...one, receipt: Buffer.from(one.receipt).toString('hex') })) })
  }
}

async function getRef({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const { latest = false } = command.opts<{ latest?: boolean }>()
  const found = await (await session.client()).refs.get(nameIn(command), { latest, signal })
  return tell(out, found)
}

export function tell(out: Session['out'], found: RefState): number {
  const { rivals, forks } = found
  const value = { ...refJson(found), rivals: rivals.map(refJson), forks: forks.map(refJson) }
  out.result(value, () => refLine(found))
  if (!out.json) {
    out.note(acknowledgedBy(found.receipts))
    if (found.replicas > 0)
      out.note(`votes on the next: ${found.electorate.map(({ name }) => safe(name)).join(', ')}`)
  }
  for (const rival of rivals) out.warn(`begun, and acknowledged by no majority: ${refLine(rival)}`)
  for (const fork of forks) out.warn(`a fork, acknowledged too: ${refLine(fork)}`)
  return EXIT.ok
}

async function listRefs({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const { all = false } = command.opts<{ all?: boolean }>()
  const refs = await (await session.client()).refs.list({ all, signal })
  if (out.json) for (const ref of refs) out.result(refJson(ref), () => '')
  else {
    const columns = [
      { title: 'NAME' },
      { title: 'SEQ', right: true },
      { title: 'REPLICAS', right: true },
      { title: 'LIFETIME', right: true },
      ...(all ? [{ title: 'OWNER' }] : []),
      { title: 'CID' }
    ]
    const rows = refs.map((ref) => [
      safe(ref.name),
      String(ref.sequence),
      String(ref.replicas),
      ref.lifetimeMs === 0 ? '-' : duration(ref.lifetimeMs),
      ...(all ? [ref.owner] : []),
      ref.root?.toString() ?? ''
    ])
    out.result({}, () => table(columns, rows))
  }
  if (refs.length === 0) out.note('no names yet: cairn ref set NAME CID')
  return EXIT.ok
}

async function removeRef({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const removed = await (await session.client()).refs.rm(nameIn(command), { signal })
  out.result(refJson(removed), () => refLine(removed))
  out.note(acknowledgedBy(removed.receipts))
  return EXIT.ok
}

async function watchRef({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const client: Client = await session.client()
  for await (const ref of client.refs.watch(nameIn(command), { signal })) tell(out, ref)
  return EXIT.ok
}

async function shareRef({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const found = await (await session.client()).refs.set(nameIn(command), 'same', { share: true, signal })
  out.result(refJson(found), () => refLine(found))
  out.note(`votes on the next: ${found.electorate.map(({ name }) => safe(name)).join(', ')}`)
  return EXIT.ok
}

async function recoverRef({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const name = nameIn(command)
  if (command.opts<{ yes?: boolean }>().yes !== true) {
    throw new CairnError('BAD_REQUEST', `recovering ${name} may fork it: old voters are not asked`, {
      hint: `if they are gone for good: cairn ref recover ${name} --yes`
    })
  }
  const found = await (await session.client()).refs.set(name, 'same', { recover: true, signal })
  out.result(refJson(found), () => refLine(found))
  out.note(acknowledgedBy(found.receipts))
  out.warn(`a new line begins here; ${plural(found.electorate.length, 'member')} vote on what follows`)
  return EXIT.ok
}
