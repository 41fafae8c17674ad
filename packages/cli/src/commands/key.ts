/** `cairn key`: keys that sign refs. They stay in the home of whoever runs the command; no node sees one. */
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { table } from '../format.ts'
import { keyNames, readSeed, writeSeed } from '../keys.ts'
import { act, type Program, type Session } from '../session.ts'

export function addKey(root: Command, program: Program): void {
  const key = root.command('key').summary('keys that sign refs: new, ls, export, import').helpCommand(false)
  const named = (
    session: Session,
    command: Command,
    run: (session: Session, name: string) => Promise<number>
  ) => run(session, (command.processedArgs as [string])[0])
  key
    .command('new')
    .argument('<NAME>')
    .summary('make one')
    .action(act(program, (session, command) => named(session, command, newKey)))
  key.command('ls').summary('those in this home').action(act(program, listKeys))
  key
    .command('export')
    .argument('<NAME>')
    .summary('the secret key, as base64 of what libp2p tools read')
    .action(act(program, (session, command) => named(session, command, exportOne)))
  key
    .command('import')
    .argument('<NAME>')
    .argument('[FILE]', 'what export wrote, or - for stdin', '-')
    .summary('take one from elsewhere')
    .action(act(program, importOne))
}

async function idOf(seed: Uint8Array): Promise<string> {
  const { refKey } = await import('@cairn/client')
  return (await refKey(seed)).id
}

async function newKey({ home, out }: Session, name: string): Promise<number> {
  const { newSeed } = await import('@cairn/client')
  const seed = newSeed()
  await writeSeed(home, name, seed)
  const id = await idOf(seed)
  out.result({ name, id }, () => id)
  out.note(`Use it with --key ${name}. Whoever loses it can't update its refs: cairn key export ${name}`)
  return EXIT.ok
}

async function listKeys({ home, out }: Session): Promise<number> {
  const names = await keyNames(home)
  const rows = await Promise.all(names.map(async (name) => [name, await idOf(await readSeed(home, name))]))
  if (out.json) for (const [name, id] of rows) out.result({ name, id }, () => '')
  else out.result({}, () => table([{ title: 'NAME' }, { title: 'ID' }], rows))
  if (rows.length === 0) out.note('no keys here: the node signs with its own, or cairn key new NAME')
  return EXIT.ok
}

async function exportOne({ home, out }: Session, name: string): Promise<number> {
  const { exportKey } = await import('@cairn/client')
  const secret = Buffer.from(await exportKey(await readSeed(home, name))).toString('base64')
  out.result({ name, secret }, () => secret)
  return EXIT.ok
}

async function importOne({ home, out }: Session, command: Command): Promise<number> {
  const [name, from] = command.processedArgs as [string, string]
  const text = from === '-' ? await buffer(out.streams.stdin) : await readFile(from)
  const { importKey } = await import('@cairn/client')
  const seed = await importKey(new Uint8Array(Buffer.from(text.toString().trim(), 'base64')))
  await writeSeed(home, name, seed)
  const id = await idOf(seed)
  out.result({ name, id }, () => id)
  return EXIT.ok
}
