/** `cairn stat`: what a CID is, the digests that were kept of it, and how many copies there are. */
import { DIGEST_NAMES } from '@cairn/blocks'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addStat(root: Command, program: Program): void {
  root
    .command('stat')
    .argument('<CID[/PATH]>')
    .summary('what it is, its digests, its copies')
    .action(act(program, stat))
}

async function stat({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [what] = command.processedArgs as [string]
  const client = await session.client()
  const { cid, type, size: bytes, digests, status } = await client.stat(what, { signal })
  const { blocks, bytes: stored, wanted, byCopies, verdict } = status
  const copies = byCopies.findIndex((blocks) => blocks > 0)
  const replicas = copies < 0 ? 0 : Math.min(copies, wanted)
  const value = { cid: cid.toString(), type, size: bytes, blocks, stored, wanted, replicas, verdict, digests }
  out.result(value, () => {
    const kept = `${replicas}/${wanted}`
    const rows: [string, string][] = [
      ['cid', cid.toString()],
      ['type', type],
      ['size', sizeText(type, bytes)],
      ['blocks', `${count(blocks)}, ${size(stored)}`],
      ['copies', out.style(replicas < wanted ? 'yellow' : 'green', `${kept} ${verdict}`)],
      ...DIGEST_NAMES.flatMap((name): [string, string][] => {
        const hex = digests[name]
        return hex === undefined ? [] : [[name, hex]]
      })
    ]
    return rows.map(([key, text]) => `${key.padEnd(8)}${text}`).join('\n')
  })
  if (type === 'file' && Object.keys(digests).length === 0) out.note('No digests were kept of it.')
  return EXIT.ok
}

function sizeText(type: string, bytes: number | undefined): string {
  if (bytes === undefined) return 'not known without reading it'
  if (type === 'directory') return `${count(bytes)} entries`
  return `${size(bytes)} (${count(bytes)} bytes)`
}
