/**
 * `cairn verify`: whether a path on disk is what a CID stands for, and nothing of it is fetched but nodes;
 * or, with `--remote`, whether all who must hold a CID can prove it.
 */
import { parseCid } from '@cairn/blocks'
import type { ProofResult } from '@cairn/client'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { compare } from '../compare.ts'
import { blocksOf, find } from '../dag.ts'
import { EXIT } from '../failure.ts'
import { count, plural, safe, size, table } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addVerify(root: Command, program: Program): void {
  root
    .command('verify')
    .argument('<WHAT...>', 'PATH CID[/PATH], or with --remote a CID')
    .usage('[options] <PATH> <CID[/PATH]>\n       cairn verify --remote <CID>')
    .summary('compare what is on disk with a CID, or have its holders prove it')
    .description(
      'Cuts and hashes what is on disk as put does, and names what differs. Exit code 7 if anything does. ' +
        'With --remote, each holder of each block must prove a random range of it now: exit code 6 when a ' +
        'block has fewer proofs than copies wanted, 7 when one has none or a holder answered wrongly.'
    )
    .option('--remote', 'ask all holders for proof, now')
    .option('--hidden', 'hidden files that are only on disk count too')
    .action(act(program, verify))
}

async function verify(session: Session, command: Command): Promise<number> {
  const [words] = command.processedArgs as [string[]]
  const remote = command.opts<{ remote?: boolean }>().remote === true
  if (words.length !== (remote ? 1 : 2)) {
    throw new CairnError(
      'BAD_REQUEST',
      remote ? 'one CID goes with --remote' : 'a PATH and a CID are compared',
      {
        hint: 'cairn verify --help'
      }
    )
  }
  return remote ? await verifyRemote(session, words[0] as string) : await verifyPath(session, command, words)
}

async function verifyPath(
  { out, signal, ...session }: Session,
  command: Command,
  [path = '', what = '']: readonly string[]
): Promise<number> {
  const { hidden = false } = command.opts<{ hidden?: boolean }>()
  const client = await session.client()
  const getBlock = blocksOf(client, signal)
  const { cid } = await find(what, client, signal)
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

async function verifyRemote(session: Session, text: string): Promise<number> {
  const { out, signal } = session
  const client = await session.client()
  const onProgress = ({ blocks, bytes }: { blocks: number; bytes: number }): void =>
    out.live.show(() => `asking for proof: ${plural(blocks, 'block')}, ${size(bytes)}`)
  const result = await client.prove(parseCid(text), { signal, onProgress })
  out.result({ ...result, root: result.root.toString() }, () => proofText(result))
  const { byProofs, holders, wanted } = result
  if ((byProofs[0] ?? 0) > 0 || holders.some(({ wrong }) => wrong > 0)) return EXIT.integrity
  return byProofs.slice(0, wanted).some((blocks) => blocks > 0) ? EXIT.underReplicated : EXIT.ok
}

/** Each holder and what it proved, then what that comes to. */
export function proofText({ blocks, bytes, unread, wanted, byProofs, holders }: ProofResult): string {
  const columns = [
    { title: 'HOLDER' },
    { title: 'ASKED', right: true },
    { title: 'PROVED', right: true },
    { title: 'MISSING', right: true },
    { title: 'WRONG', right: true },
    { title: 'SILENT', right: true }
  ]
  const rows = holders.map(({ name, asked, proven, absent, wrong, silent }) => [
    safe(name),
    ...[asked, proven, absent, wrong, silent].map(count)
  ])
  const short = byProofs.slice(0, wanted).reduce((sum, some) => sum + some, 0)
  const whole = `${plural(blocks, 'block')} (${size(bytes)})`
  const verdict =
    short === 0
      ? `${whole}: ${plural(wanted, 'holder')} proved each of them`
      : `${whole}: ${count(short)} with fewer than ${plural(wanted, 'proof')}`
  const lost = unread === 0 ? [] : [`${plural(unread, 'block')} could be read from nobody`]
  return [table(columns, rows), verdict, ...lost].join('\n')
}
