/** `cairn verify`: whether a path on disk is what a CID stands for; nothing of it is fetched but nodes. */
import type { Command } from 'commander'
import { compare } from '../compare.ts'
import { blocksOf, find } from '../dag.ts'
import { EXIT } from '../failure.ts'
import { plural, safe } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addVerify(root: Command, program: Program): void {
  root
    .command('verify')
    .argument('<PATH>', 'a file or directory on this machine')
    .argument('<CID[/PATH]>')
    .summary('compare what is on disk with a CID')
    .description(
      'Cuts and hashes what is on disk as put does, and names what differs. Exit code 7 if anything does.'
    )
    .option('--hidden', 'hidden files that are only on disk count too')
    .action(act(program, verify))
}

async function verify({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [path, what] = command.processedArgs as [string, string]
  const { hidden = false } = command.opts<{ hidden?: boolean }>()
  const getBlock = blocksOf(await session.client(), signal)
  const { cid } = await find(what, getBlock)
  const onFile = (files: number): void => out.live.show(() => `verifying: ${plural(files, 'file')}`)
  const differences = compare(path, cid, { getBlock, signal, hidden, onFile })
  let differ = 0
  let next = await differences.next()
  for (; next.done !== true; next = await differences.next()) {
    const { path: name, what } = next.value
    differ++
    const shown = name === '' ? path : name
    out.result({ path: shown, what }, () => `${safe(shown)}: ${what}`)
  }
  const same = next.value
  if (differ === 0) {
    out.result(
      { cid: cid.toString(), path, files: same, same: true },
      () => `${safe(path)}: the same, ${plural(same, 'file')}`
    )
    return EXIT.ok
  }
  out.note(`${plural(differ, 'difference')}; ${plural(same, 'file')} the same`)
  return EXIT.integrity
}
