/** `cairn get`: a file or a directory back on disk, verified; the same command again resumes. */
import { resolve } from 'node:path'
import { stat } from '@cairn/blocks'
import { type WriteProgress, writeTree } from '@cairn/blocks/fs'
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { checkFiles } from '../check.ts'
import { blocksOf, find } from '../dag.ts'
import { EXIT } from '../failure.ts'
import { duration, plural, rate, safe, size } from '../format.ts'
import { type ByteRange, parseRange } from '../parse.ts'
import { getLine, meter } from '../progress.ts'
import { act, type Program, type Session } from '../session.ts'
import { writeContent } from './cat.ts'

interface GetFlags {
  output?: string
  range?: ByteRange
  force?: boolean
  check?: boolean
}

const toStdout = (flags: GetFlags): boolean => flags.output === '-' || flags.range !== undefined

export function addGet(root: Command, program: Program): void {
  root
    .command('get')
    .argument('<CID[/PATH]>')
    .summary('a file or a directory back on disk')
    .description(
      'Writes a file or a directory to disk, every block verified, and nothing outside its target. The ' +
        'same command again resumes from what is there. With --range, or -o -, a file goes to stdout.'
    )
    .option('-o, --output <PATH>', 'where (the last name of the path, or the CID, in this directory)')
    .option('--range <A-B>', 'only these bytes, both included, to stdout', (text) => parseRange(text))
    .option('--check', 'then read what is on disk again, and compare it with the digests that were kept')
    .option('--force', 'replace files that are there and differ')
    .action(act(program, get, { stdoutIsContent: (command) => toStdout(command.opts<GetFlags>()) }))
}

async function get(session: Session, command: Command): Promise<number> {
  const [what] = command.processedArgs as [string]
  const flags = command.opts<GetFlags>()
  if (!toStdout(flags)) return toDisk(session, what, flags)
  if (flags.check === true) {
    throw new CairnError('BAD_REQUEST', '--check reads files on disk again, and this goes to stdout', {
      hint: `its blocks are verified anyway; for its digests: cairn stat ${what}`
    })
  }
  if (flags.range !== undefined && flags.output !== undefined && flags.output !== '-') {
    throw new CairnError('BAD_REQUEST', '--range goes to stdout, so -o has no use beside it', {
      hint: `cairn get ${what} --range … > ${flags.output}`
    })
  }
  await writeContent(session, what, flags.range)
  return EXIT.ok
}

async function toDisk(session: Session, what: string, { output, force, check }: GetFlags): Promise<number> {
  const { out, signal } = session
  const startedMs = performance.now()
  const client = await session.client()
  const getBlock = blocksOf(client, signal)
  const { cid, root, path } = await find(what, client, signal)
  const target = resolve(output ?? path.at(-1) ?? root.toString())
  const { dagSize } = await stat(cid, getBlock)
  const written = await writeTree(cid, getBlock, target, {
    overwrite: force === true,
    onProgress: progressOf(session, dagSize)
  })
  const tookMs = performance.now() - startedMs
  const checked = check === true ? await checkFiles(session, client, { what, target }) : undefined
  const { files, directories, symlinks, bytes, kept } = written
  const value = { cid: cid.toString(), path: target, ...written, ...checked, tookMs: Math.round(tookMs) }
  out.result(value, () => {
    const parts = [size(bytes), plural(files, 'file')]
    if (directories > 0) parts.push(plural(directories, 'directory', 'directories'))
    if (symlinks > 0) parts.push(plural(symlinks, 'symlink'))
    return `${safe(target)}  ${parts.join(', ')}`
  })
  const fetched = bytes - kept
  const before = kept === 0 ? '' : `${size(kept)} were there already; `
  out.note(
    out.prose(
      'dim',
      `${before}${size(fetched)} verified in ${duration(tookMs)}, ${rate((1_000 * fetched) / tookMs)}`
    )
  )
  return EXIT.ok
}

function progressOf({ out }: Session, total: number): (progress: WriteProgress) => void {
  const speed = meter()
  let done = 0
  let resumed = 0
  return ({ bytes, kept }) => {
    done += bytes
    resumed += kept
    speed.add(done - resumed, performance.now())
    out.live.show(() => getLine({ done, total, resumed, perSecond: speed.perSecond() }))
  }
}
