/** `cairn find`: what has this digest, in all that is pinned. */
import { CairnError } from '@cairn/core'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { safe, size } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

export function addFind(root: Command, program: Program): void {
  root
    .command('find')
    .argument('<DIGEST>', 'sha256:…, sha512:…, sha1:… or md5:…')
    .summary('what has this digest, in all that is pinned')
    .action(act(program, find))
}

async function find({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [digest] = command.processedArgs as [string]
  const client = await session.client()
  const contents = new Set<string>()
  for await (const { cid, path, size: bytes, pin } of client.find(digest, { signal })) {
    contents.add(cid.toString())
    const value = { cid: cid.toString(), path, size: bytes, pin: pin.root.toString(), name: pin.name }
    out.result(value, () => {
      const where = pin.name === undefined || pin.name === path ? '' : `  in ${safe(pin.name)}`
      return `${cid}  ${safe(path)}  ${size(bytes)}${where}`
    })
  }
  if (contents.size === 0) {
    throw new CairnError('NOT_FOUND', `nothing pinned has ${digest}`, {
      hint: 'digests are known of what was put with them: cairn put --digests all'
    })
  }
  // known collisions, or new ones: worth a word, since people take such digests for names
  if (contents.size > 1) out.warn(`${contents.size} different contents have this digest`)
  return EXIT.ok
}
