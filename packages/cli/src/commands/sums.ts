/** `cairn sums`: the digests of all files below a CID, as `sha256sum -c` and its like accept them. */
import {
  CODECS,
  type DigestName,
  type Digests,
  digestsOf,
  formatSum,
  hashOf,
  parseDigestNames
} from '@cairn/blocks'
import type { Client, WithDigests } from '@cairn/client'
import { CairnError, toHex } from '@cairn/core'
import { type Command, Option } from 'commander'
import { EXIT } from '../failure.ts'
import { plural } from '../format.ts'
import { parseDagPath } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'

interface SumsFlags {
  algorithm: DigestName[]
  compute?: boolean
  tag?: boolean
}

export function addSums(root: Command, program: Program): void {
  root
    .command('sums')
    .argument('<CID[/PATH]>')
    .summary('the digests of its files, for sha256sum -c')
    .description(
      'Prints the digests that were kept of all files below a CID: in the directory that cairn get wrote, ' +
        'cairn sums CID | sha256sum -c'
    )
    .addOption(
      new Option(
        '-a, --algorithm <NAME>',
        'md5, sha1, sha256 (default) or sha512; several need --tag and cksum -c'
      )
        .default(['sha256'], 'sha256')
        .argParser((text) => parseDigestNames(text))
    )
    .option('--compute', 'read the files that no digest was kept of, and compute it')
    .option('--tag', 'as SHA256 (NAME) = …, for cksum -c too')
    .action(act(program, sums))
}

async function sums({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [what] = command.processedArgs as [string]
  const { algorithm, compute = false, tag = false } = command.opts<SumsFlags>()
  const client = await session.client()
  const parsed = parseDagPath(what)
  const rootName = parsed.path.at(-1) ?? parsed.cid
  let missing = 0
  for await (const file of client.digests(what, { signal })) {
    const path = file.path.length === 0 ? rootName : file.path.join('/')
    const digests = await complete(client, file, { algorithm, compute, signal })
    for (const name of algorithm) {
      const hex = digests[name]
      if (hex === undefined) missing++
      else
        out.result({ path, cid: file.cid.toString(), [name]: hex }, () =>
          formatSum({ path, name, hex }, { tag })
        )
    }
  }
  if (missing === 0) return EXIT.ok
  throw new CairnError(
    'NOT_FOUND',
    `${plural(missing, 'digest')} ${missing === 1 ? 'was' : 'were'} not kept`,
    {
      hint: `cairn sums ${what} --compute reads those files`
    }
  )
}

/** What was kept, what the CID says itself, and, if that may be, what reading it gives. */
async function complete(
  client: Client,
  { cid, digests }: WithDigests,
  { algorithm, compute, signal }: { algorithm: readonly DigestName[]; compute: boolean; signal: AbortSignal }
): Promise<Digests> {
  const own = cid.code === CODECS.raw ? OWN[hashOf(cid)] : undefined
  const known = own === undefined ? digests : { ...digests, [own]: toHex(cid.multihash.digest) }
  const wanted = algorithm.filter((name) => known[name] === undefined)
  if (!compute || wanted.length === 0) return known
  return { ...known, ...(await digestsOf(await client.get(cid, { signal }), wanted)) }
}

/** Of a file of one block, its CID's hash is one of its digests. */
const OWN = { 'sha2-256': 'sha256', 'sha2-512': 'sha512', blake3: undefined } as const
