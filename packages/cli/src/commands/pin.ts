/** `cairn pin add|ls|rm`: what is kept under no name but its own. */
import { parseCid } from '@cairn/blocks'
import type { Pin } from '@cairn/client'
import { type Command, Option } from 'commander'
import { EXIT } from '../failure.ts'
import { count, duration, plural, safe, size, table } from '../format.ts'
import { parseReplicas } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'
import { lifetimeOption } from './ref.ts'

export function addPin(root: Command, program: Program): void {
  const pin = root.command('pin').summary('what is kept: add, ls, rm').helpCommand(false)
  pin
    .command('add')
    .argument('<CID|NAME[/PATH]>')
    .summary('keep what is stored already, or change how')
    .addOption(new Option('--replicas <N>', 'copies of it').argParser(parseReplicas))
    .addOption(lifetimeOption())
    .option('--title <TEXT>', 'what it is called in lists')
    .action(act(program, addOne))
  pin.command('ls').summary('what is kept').action(act(program, listPins))
  pin
    .command('rm')
    .argument('<CID>')
    .summary('keep it no longer')
    .action(act(program, (session, command) => removePin(session, (command.processedArgs as [string])[0])))
}

async function addOne(session: Session, command: Command): Promise<number> {
  const [what] = command.processedArgs as [string]
  const { replicas, lifetime, title } = command.opts<{
    replicas?: number
    lifetime?: number
    title?: string
  }>()
  const client = await session.client()
  const pin = await client.pins.add(what, {
    signal: session.signal,
    ...(replicas === undefined ? {} : { replicas }),
    ...(lifetime === undefined ? {} : { lifetimeMs: lifetime }),
    ...(title === undefined ? {} : { name: title })
  })
  const { root, digests } = pin
  session.out.result({ ...pin, root: `${root}`, digests: digests?.toString() }, () => {
    const until = pin.lifetimeMs === 0 ? '' : `  for ${duration(pin.lifetimeMs)}`
    return `${root}  ${plural(pin.replicas, 'replica')}${until}`
  })
  return EXIT.ok
}

export async function listPins(session: Session): Promise<number> {
  const { out } = session
  const client = await session.client()
  const pins: Pin[] = []
  for await (const pin of client.pins.list({ signal: session.signal })) {
    // with --json each line goes out as it comes; a table needs all its rows for the widths
    const value = { ...pin, root: pin.root.toString(), digests: pin.digests?.toString() }
    if (out.json) out.result(value, () => '')
    else pins.push(pin)
  }
  if (out.json) return EXIT.ok
  const columns = [
    { title: 'NAME' },
    { title: 'SIZE', right: true },
    { title: 'BLOCKS', right: true },
    { title: 'REPLICAS', right: true },
    { title: 'SINCE', right: true },
    { title: 'CID' }
  ]
  const rows = pins.map((pin) => [
    safe(pin.name ?? '-'),
    size(pin.bytes),
    count(pin.blocks),
    String(pin.replicas),
    `${duration(Math.max(0, Date.now() - pin.createdMs))} ago`,
    pin.root.toString()
  ])
  out.result({}, () => table(columns, rows))
  if (pins.length === 0) out.note('nothing is pinned yet: cairn put PATH')
  return EXIT.ok
}

export async function removePin(session: Session, text: string): Promise<number> {
  const cid = parseCid(text)
  await (await session.client()).pins.rm(cid)
  session.out.result({ removed: cid.toString() }, () => `no longer pinned: ${cid}`)
  session.out.note('What nobody else claims is collected on every node, some minutes from now: cairn gc')
  return EXIT.ok
}
