/** `cairn receipts check`: what holders signed when it was put, checked without a node. */
import { keyOf, parseCid } from '@cairn/blocks'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, plural, safe, table } from '../format.ts'
import { type Holder, readReceipts } from '../receipts.ts'
import { act, type Program, type Session } from '../session.ts'

/** Bad lines that are named. */
const BAD_NAMED_MAX = 5

export function addReceipts(root: Command, program: Program): void {
  const receipts = root.command('receipts').summary('what holders signed: check').helpCommand(false)
  receipts
    .command('check')
    .argument('<FILE>', 'as cairn put --receipts wrote it')
    .argument('[CID]', 'only those for this block')
    .summary('who signed to hold what, and when (offline)')
    .description(
      'Checks signatures and says who signed to hold how many blocks, and when. It asks nobody: a receipt ' +
        'says that the block was held then. What is held now: cairn status CID.'
    )
    .action(act(program, check))
}

async function check({ out }: Session, command: Command): Promise<number> {
  const [file, cid] = command.processedArgs as [string, string | undefined]
  const key = cid === undefined ? undefined : keyOf(parseCid(cid))
  const { holders, bad } = await readReceipts(file, key)
  if (holders.length === 0 && bad.length === 0) {
    throw new CairnError(
      'NOT_FOUND',
      cid === undefined ? 'no receipt in it' : `no receipt for ${cid} in it`,
      {
        hint: 'receipts are for the blocks that a put sent; of a directory its own block, not all below it'
      }
    )
  }
  const dated = holders.map(({ firstMs, lastMs, ...rest }) => {
    return { ...rest, first: dateOf(firstMs), last: dateOf(lastMs) }
  })
  out.result({ holders: dated, bad }, () => tableOf(holders))
  for (const { line, reason } of bad.slice(0, BAD_NAMED_MAX))
    out.warn(`line ${line} proves nothing: ${safe(reason)}`)
  if (bad.length > BAD_NAMED_MAX) out.warn(`and ${plural(bad.length - BAD_NAMED_MAX, 'line')} more`)
  out.note('Held then, by their own clocks and signatures.')
  return bad.length > 0 ? EXIT.integrity : EXIT.ok
}

function tableOf(holders: readonly Holder[]): string {
  const columns = [
    { title: 'HOLDER' },
    { title: 'BLOCKS', right: true },
    { title: 'FIRST' },
    { title: 'LAST' },
    { title: 'NETWORK' },
    { title: 'PEER' }
  ]
  return table(
    columns,
    holders.map(({ peer, name, network, blocks, firstMs, lastMs }) => {
      return [name, count(blocks), dateOf(firstMs), dateOf(lastMs), network.slice(0, 8), peer]
    })
  )
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, '')
}
