/** `cairn pin ls` and `cairn pin rm`: what is kept because it was put here. */
import { parseCid } from '@cairn/blocks'
import type { Pin } from '@cairn/client'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, duration, safe, size, table } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addPin(root: Command, program: Program): void {
  const pin = root.command('pin').summary('what is kept: ls, rm').helpCommand(false)
  pin.command('ls').summary('what is kept').action(act(program, listPins))
  pin
    .command('rm')
    .argument('<CID>')
    .summary('keep it no longer')
    .action(act(program, (session, command) => removePin(session, (command.processedArgs as [string])[0])))
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
  if (pins.length === 0) out.note('nothing is pinned here yet: cairn put PATH')
  return EXIT.ok
}

export async function removePin(session: Session, text: string): Promise<number> {
  const cid = parseCid(text)
  await (await session.client()).pins.rm(cid)
  session.out.result({ removed: cid.toString() }, () => `no longer pinned: ${cid}`)
  session.out.note('What nobody else claims is collected on every node, some minutes from now: cairn gc')
  return EXIT.ok
}
