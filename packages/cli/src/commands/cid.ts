/** `cairn cid`: the CID that a put would give, without a node. */
import { fileBlocks, treeBlocks } from '@cairn/blocks'
import { walkPath } from '@cairn/blocks/fs'
import { type Command, Option } from 'commander'
import { EXIT } from '../failure.ts'
import { size } from '../format.ts'
import { parseHash } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'

interface CidFlags {
  hash?: ReturnType<typeof parseHash>
  hidden?: boolean
}

export function addCid(root: Command, program: Program): void {
  root
    .command('cid')
    .argument('<PATH|->')
    .summary('the CID of a file, a directory or stdin (offline)')
    .option('--hidden', 'take hidden files too')
    .addOption(
      new Option('--hash <NAME>', 'sha2-256 (default), sha2-512 or blake3').argParser((text) =>
        parseHash(text)
      )
    )
    .action(act(program, cid))
}

async function cid({ out, signal }: Session, command: Command): Promise<number> {
  const [path] = command.processedArgs as [string]
  const { hash, hidden = false } = command.opts<CidFlags>()
  const options = hash === undefined ? {} : { hash }
  const blocks =
    path === '-' ? fileBlocks(out.streams.stdin, options) : treeBlocks(walkPath(path, { hidden }), options)
  let count = 0
  let next = await blocks.next()
  while (!next.done) {
    signal.throwIfAborted()
    count += 1
    out.live.show(() => `hashing: ${count} blocks`)
    next = await blocks.next()
  }
  const root = next.value
  out.result({ cid: root.cid.toString(), size: root.size, blocks: count }, () => root.cid.toString())
  out.note(out.prose('dim', `${size(root.size)} in ${count} blocks`))
  return EXIT.ok
}
