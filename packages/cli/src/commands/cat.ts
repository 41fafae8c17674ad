/** `cairn cat`: a file to stdout, verified block by block. */
import { type GetBlock, readFile, stat } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { blocksOf, find } from '../dag.ts'
import { EXIT } from '../failure.ts'
import { type ByteRange, parseRange } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'

export function addCat(root: Command, program: Program): void {
  root
    .command('cat')
    .argument('<CID[/PATH]>')
    .summary('a file to stdout')
    .option('--range <A-B>', 'only these bytes, both included', (text) => parseRange(text))
    .action(
      act(
        program,
        async (session, command) => {
          const [what] = command.processedArgs as [string]
          await writeContent(session, what, command.opts<{ range?: ByteRange }>().range)
          return EXIT.ok
        },
        { stdoutIsContent: () => true }
      )
    )
}

/** Writes a file, or a range of it, to stdout no faster than it is read there. */
export async function writeContent(session: Session, what: string, range?: ByteRange): Promise<void> {
  const { signal } = session
  const client = await session.client()
  const getBlock = blocksOf(client, signal)
  const { cid } = await find(what, client, signal)
  const root = await getBlock(cid)
  const { type } = await stat(cid, async () => root)
  if (type !== 'file') {
    throw new CairnError('BAD_REQUEST', `${what} is a ${type}, not a file`, {
      hint: type === 'directory' ? `cairn ls ${what} · cairn get ${what}` : `cairn get ${what}`
    })
  }
  // the root is there already; of a small file it is all
  const getRest: GetBlock = async (of) => (of === cid ? root : getBlock(of))
  for await (const chunk of readFile(cid, getRest, window(range))) await session.out.bytes(chunk)
}

function window(range: ByteRange | undefined): { offset?: number; length?: number } {
  if (range === undefined) return {}
  const { start, end } = range
  return end === undefined ? { offset: start } : { offset: start, length: end - start + 1 }
}
