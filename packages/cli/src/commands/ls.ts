/** `cairn ls`: the names in a directory; without a CID, what is pinned. */
import { type Entry, type GetBlock, readDirectory, stat } from '@cairn/blocks'
import type { Command } from 'commander'
import { blocksOf, find } from '../dag.ts'
import { EXIT } from '../failure.ts'
import { safe, size, table } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'
import { listPins } from './pin.ts'

export function addLs(root: Command, program: Program): void {
  root
    .command('ls')
    .argument('[CID[/PATH]]', 'a directory; without it, what is pinned here')
    .summary('the names in a directory, or what is pinned')
    .action(act(program, ls))
}

/** Blocks asked for at once, to learn what the entries are. A guess: one batch of the client. */
const STATS_AT_ONCE = 16

interface Line {
  name: string
  type: string
  size: number | undefined
  cid: string
}

async function ls(session: Session, command: Command): Promise<number> {
  const [what] = command.processedArgs as [string | undefined]
  if (what === undefined) return listPins(session)
  const { out, signal } = session
  const client = await session.client()
  const getBlock = blocksOf(client, signal)
  const { cid, path } = await find(what, client, signal)
  const rows: string[][] = []
  for await (const line of linesOf(cid, path.at(-1) ?? '', getBlock)) {
    // with --json each line goes out as it comes; a table needs all its rows for the widths
    if (out.json) out.result(line, () => '')
    else rows.push(cells(line))
  }
  if (!out.json) {
    const columns = [{ title: 'NAME' }, { title: 'SIZE', right: true }, { title: 'CID' }]
    out.result({}, () => table(columns, rows))
  }
  return EXIT.ok
}

function cells({ name, type, size: bytes, cid }: Line): string[] {
  const isFile = type === 'file' && bytes !== undefined
  return [safe(name) + (type === 'directory' ? '/' : ''), isFile ? size(bytes) : '-', cid]
}

async function* linesOf(cid: Entry['cid'], name: string, getBlock: GetBlock): AsyncGenerator<Line> {
  const about = await stat(cid, getBlock)
  if (about.type !== 'directory') {
    yield { name, type: about.type, size: about.size, cid: cid.toString() }
    return
  }
  let entries: Entry[] = []
  for await (const entry of readDirectory(cid, getBlock)) {
    entries.push(entry)
    if (entries.length < STATS_AT_ONCE) continue
    yield* await Promise.all(entries.map((each) => lineOf(each, getBlock)))
    entries = []
  }
  yield* await Promise.all(entries.map((each) => lineOf(each, getBlock)))
}

/** A file of one block is told whole by its directory; what anything else is, only its own block says. */
async function lineOf(entry: Entry, getBlock: GetBlock): Promise<Line> {
  const { name, cid, dagSize, type } = entry
  if (type !== undefined) return { name, type, size: dagSize, cid: cid.toString() }
  const about = await stat(cid, getBlock)
  return { name, type: about.type, size: about.size, cid: cid.toString() }
}
