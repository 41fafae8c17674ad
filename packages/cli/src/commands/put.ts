/** `cairn put`: a file, a directory or stdin is kept on N members, and the command says when it is. */
import { readFile, stat } from 'node:fs/promises'
import { basename, relative, resolve } from 'node:path'
import { type DigestName, parseDigestNames } from '@cairn/blocks'
import { type LeftOut, walkPath } from '@cairn/blocks/fs'
import type { Client, Expect, Put, PutResult, RefSetOptions, RefWithReceipts } from '@cairn/client'
import { type Command, Option } from 'commander'
import { EXIT } from '../failure.ts'
import { duration, plural, rate, safe, size } from '../format.ts'
import { measure } from '../measure.ts'
import type { Output } from '../output.ts'
import { parseAck, parseHash } from '../parse.ts'
import { meter, putLine } from '../progress.ts'
import { type ReceiptFile, writeReceipts } from '../receipts.ts'
import { act, type Program, type Session, setting } from '../session.ts'
import { knownIn, openStatCache, type StatCache } from '../stat-cache.ts'
import { acknowledgedBy, keepOption, lifetimeOption, refJson, refLine } from './ref.ts'
import { replicasOption } from './start.ts'

export interface PutFlags {
  ack: ReturnType<typeof parseAck>
  cache?: boolean
  digests?: DigestName[]
  expect?: string
  hash?: ReturnType<typeof parseHash>
  hidden?: boolean
  keep?: number
  lifetime?: number
  name?: string
  onlyCid?: boolean
  receipts?: string
}

/** Names of hidden files that are told one by one; of further ones only the number. */
const LEFT_OUT_NAMED_MAX = 5

/** Different reasons for blocks that are short, told. */
const REASONS_MAX = 3
const WAITING = 'waiting for a member'

export function addPut(root: Command, program: Program): void {
  root
    .command('put')
    .argument('<PATH|->', 'a file, a directory, or - for stdin')
    .summary('keep a file, a directory or stdin on N members')
    .description(
      'Keeps a file, a directory or stdin on N members and waits for their receipts. Prints the CID that ' +
        'gets it back. The same command again resumes: what is held already is not sent again.'
    )
    .addOption(replicasOption())
    .addOption(
      new Option('--ack <WHOM>', 'wait for the receipts of: all, quorum, one')
        .default('all', 'all')
        .argParser((text) => parseAck(text))
    )
    .option('--hidden', 'take hidden files too')
    .addOption(
      new Option('--hash <NAME>', 'sha2-256 (default), sha2-512 or blake3').argParser((text) =>
        parseHash(text)
      )
    )
    .addOption(
      new Option(
        '--digests <LIST>',
        'kept of every file: all (default), none, or some of md5,sha1,sha256,sha512'
      ).argParser((text) => parseDigestNames(text))
    )
    .option(
      '--expect <DIGEST|@SUMS>',
      'pin nothing unless it is that: sha256:…, md5:…, or a file of checksums'
    )
    .option('--receipts <FILE>', 'add what the holders signed to FILE (see cairn receipts check)')
    .option('--name <NAME>', 'this name points to it and keeps it, in the place of a pin')
    .option('--no-cache', 'with --name: read and offer every file, also those that look unchanged')
    .addOption(keepOption())
    .addOption(lifetimeOption())
    .option('-Q, --only-cid', 'print the CID and nothing else')
    .action(act(program, put))
}

async function put(session: Session, command: Command): Promise<number> {
  const { out } = session
  const [path] = command.processedArgs as [string]
  const flags = command.opts<PutFlags>()
  const client = await session.client()
  const startedMs = performance.now()
  const leftOut: LeftOut[] = []
  const receipts = flags.receipts === undefined ? undefined : await writeReceipts(flags.receipts)
  const { name, upload, total, cache } = await begin({ client, session, command, path, leftOut, receipts })
  const following = follow(upload, { out, total, wanted: setting(session, command, 'replicas') ?? 3 })
  const result = await upload.then(undefined, async (error) => {
    await receipts?.close() // of what was acknowledged before it failed they hold good
    throw error
  })
  await receipts?.close()
  await following
  await cache?.save()
  out.live.clear()
  noteLeftOut(out, leftOut)
  const tookMs = performance.now() - startedMs
  return report(out, flags, { path, name, result, tookMs, named: result.ref, cache })
}

interface Begin {
  client: Client
  session: Session
  command: Command
  path: string
  leftOut: LeftOut[]
  receipts: ReceiptFile | undefined
}

interface Begun {
  /** As the pin is called; a directory's ends with a slash. */
  name: string | undefined
  upload: Put
  total: Promise<number | undefined>
  /** Of an update of a name. */
  cache?: StatCache | undefined
}

async function begin({ client, session, command, path, leftOut, receipts }: Begin): Promise<Begun> {
  const { signal, out } = session
  const flags = command.opts<PutFlags>()
  const { ack, digests, hash, hidden = false, name: given, expect } = flags
  const noCache = flags.cache === false
  const replicas = setting(session, command, 'replicas')
  const about = {
    ack,
    signal,
    ...(hash === undefined ? {} : { hash }),
    ...(digests === undefined ? {} : { digests }),
    ...(expect === undefined ? {} : { expect: await expected(expect, path) }),
    ...(receipts === undefined ? {} : { onReceipt: receipts.add }),
    ...(given === undefined ? {} : { ref: { name: given, ...refOptions(session, command) } }),
    ...(replicas === undefined ? {} : { replicas })
  }
  if (path === '-') {
    const named = given === undefined ? about : { ...about, name: given }
    return { name: given, upload: client.put(out.streams.stdin, named), total: Promise.resolve(undefined) }
  }
  const isDirectory = (await stat(path)).isDirectory()
  const name = given ?? basename(resolve(path)) + (isDirectory ? '/' : '')
  const cache = await cacheFor(session, command, path)
  const kept = given === undefined || noCache ? undefined : await client.kept(given, { signal })
  const tree = walkPath(path, {
    hidden,
    reuse: true,
    onLeftOut: (item) => leftOut.push(item),
    ...(cache === undefined ? {} : { onRead: cache.onRead }),
    ...(cache === undefined || kept === undefined ? {} : { known: knownIn(cache, kept) })
  })
  const update = {
    ...(cache === undefined ? {} : { onFile: cache.onFile }),
    ...(kept === undefined ? {} : { kept })
  }
  // measured beside the upload: on a large tree that takes a while, and nothing waits for it
  const total = measure(path, { hidden, signal }).catch(() => undefined)
  return { name, upload: client.putDir(tree, { ...about, ...update, name }), total, cache }
}

/** Only of what has a name: that keeps what is not sent again. Digests that are expected are computed. */
async function cacheFor(session: Session, command: Command, path: string): Promise<StatCache | undefined> {
  const { name, expect, digests = ['all'], hash = 'sha2-256' } = command.opts<PutFlags>()
  if (name === undefined || expect !== undefined) return undefined
  return openStatCache(session.home, path, [hash, ...digests])
}

/** A digest as it is; of `@FILE` what is in it, which may lie in the directory and not be listed itself. */
async function expected(text: string, path: string): Promise<Expect> {
  if (!text.startsWith('@')) return text
  const file = text.slice(1)
  const sums = await readFile(file, 'utf8')
  if (path === '-') return { sums, name: '-' }
  return { sums, name: basename(resolve(path)), except: relative(resolve(path), resolve(file)) }
}

interface Follow {
  out: Output
  total: Promise<number | undefined>
  wanted: number
}

async function follow(upload: Put, { out, total, wanted }: Follow): Promise<void> {
  const speed = meter()
  let known: number | undefined
  total.then((bytes) => {
    known = bytes
  })
  let hashed = 0
  let sent = 0
  let replicas = 0
  for await (const progress of upload.progress()) {
    if (progress.phase === 'hashing') hashed = progress.bytes
    else sent = progress.bytes
    replicas = progress.replicas
    speed.add(sent, performance.now())
    const whole = known ?? progress.total
    out.live.show(() =>
      putLine({ hashed, sent, total: whole, replicas, wanted, perSecond: speed.perSecond() })
    )
  }
}

function noteLeftOut(out: Output, leftOut: readonly LeftOut[]): void {
  if (leftOut.length === 0) return
  const hidden = leftOut.some(({ why }) => why === 'hidden')
  const named = leftOut.slice(0, LEFT_OUT_NAMED_MAX).map(({ path, why }) => `  ${safe(path)} (${why})`)
  const more = leftOut.length - named.length
  const advice = hidden ? '; --hidden takes hidden ones' : ''
  out.note(
    [
      `left out ${plural(leftOut.length, 'entry', 'entries')}${advice}:`,
      ...named,
      ...(more > 0 ? [`  and ${more} more`] : [])
    ].join('\n')
  )
}

interface Report {
  path: string
  name: string | undefined
  result: PutResult
  tookMs: number
  /** The ref that points to it now. */
  named: RefWithReceipts | undefined
  cache: StatCache | undefined
}

function refOptions(session: Session, command: Command): RefSetOptions {
  const replicas = setting(session, command, 'replicas')
  const { keep, lifetime } = command.opts<PutFlags>()
  return {
    ...(replicas === undefined ? {} : { replicas }),
    ...(keep === undefined ? {} : { keep }),
    ...(lifetime === undefined ? {} : { lifetimeMs: lifetime })
  }
}

function report(out: Output, { ack, onlyCid }: PutFlags, about: Report): number {
  const { path, name, result, tookMs, named, cache } = about
  const cid = result.cid.toString()
  const { replicas, wanted, holders, blocks, size: bytes, short } = result
  const value = {
    cid,
    name,
    size: bytes,
    blocks,
    replicas,
    wanted,
    holders,
    short: short.map((block) => ({ ...block, cid: block.cid.toString() })),
    digests: result.digests?.toString(),
    ...(named === undefined ? {} : { ref: refJson(named) }),
    ...(cache === undefined ? {} : { unchanged: cache.unchanged }),
    tookMs: Math.round(tookMs)
  }
  out.result(value, () => (onlyCid === true ? cid : resultLine(out, result, name)))
  const isShort = replicas < wanted
  if (isShort) out.warn(shortText(result, ack))
  if (onlyCid !== true) {
    out.note(
      out.prose('dim', `${plural(blocks, 'block')} in ${duration(tookMs)}, ${rate((1_000 * bytes) / tookMs)}`)
    )
    const same = cache?.unchanged ?? { files: 0, bytes: 0 }
    if (same.files > 0) out.note(`${plural(same.files, 'file')} unchanged (${size(same.bytes)})`)
    if (named !== undefined) out.note(`${refLine(named)}\n${acknowledgedBy(named.receipts)}`)
    const how = path === '-' ? `cat ${cid}` : `get ${cid} -o ${quoted(basename(resolve(path)))}`
    out.note(`Get it back: cairn ${how}`)
  }
  // who asked for fewer receipts by --ack has what was asked for
  return isShort && ack === 'all' ? EXIT.underReplicated : EXIT.ok
}

/** `bafy…  photos/  1.2 GB  3/3 replicas (amber-fox, iron-owl, salt-elk)`. */
function resultLine(out: Output, result: PutResult, name: string | undefined): string {
  const { cid, replicas, wanted, holders } = result
  const kept = `${replicas}/${wanted} replicas`
  const names = holders.map((holder) => safe(holder.name)).join(', ')
  const parts = [
    cid.toString(),
    ...(name === undefined ? [] : [safe(name)]),
    size(result.size),
    `${out.style(replicas < wanted ? 'yellow' : 'green', kept)}${names === '' ? '' : ` (${names})`}`
  ]
  return parts.join('  ')
}

function shortText({ replicas, wanted, short }: PutResult, ack: string): string {
  if (ack !== 'all')
    return `${replicas} of ${wanted} replicas confirmed, as --ack ${ack} asked; the rest follows by itself`
  const reasons = [...new Set(short.map(({ reason }) => reason))]
    .filter((reason) => reason !== WAITING)
    .slice(0, REASONS_MAX)
  const why = reasons.length === 0 ? '' : ` (${safe(reasons.join('; '))})`
  return `${replicas} of ${wanted}, ${WAITING}${why}\n  it heals by itself when one comes: cairn invite`
}

/** For a shell, only where it must be. */
function quoted(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${safe(text).replaceAll("'", "'\\''")}'`
}
