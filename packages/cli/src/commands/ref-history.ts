/** `cairn ref log|diff|rollback`: what a name pointed to before, what changed, and back again. */
import type { Client, RefState } from '@cairn/client'
import { CairnError, keptRoots, toHex } from '@cairn/core'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { plural, safe, table } from '../format.ts'
import { parseCount } from '../parse.ts'
import { act, type Program, type Session } from '../session.ts'
import { acknowledgedBy, refJson, refLine } from './ref.ts'

export function addRefHistory(ref: Command, program: Program): void {
  ref.command('log').argument('<NAME>').summary('what it pointed to before').action(act(program, log))
  ref
    .command('diff')
    .argument('<NAME[@SEQ]>')
    .argument('[NAME[@SEQ]|CID]', 'what to compare with (what it points to now)')
    .summary('files that changed, since the one before or any other')
    .action(act(program, diff))
  ref
    .command('rollback')
    .argument('<NAME>')
    .argument('[SEQ]', 'the sequence to go back to (the one before)', (text) =>
      parseCount(text, 'a sequence', { least: 1, most: Number.MAX_SAFE_INTEGER })
    )
    .summary('point it to an earlier root again, as a new update')
    .action(act(program, rollback))
}

async function log({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [name] = command.processedArgs as [string]
  const found = await (await session.client()).refs.get(name, { signal })
  const kept = keptOf(found)
  const told = (one: { sequence: number; root: unknown }, what: string) => ({
    sequence: one.sequence,
    root: one.root === undefined ? undefined : String(one.root),
    what
  })
  const entries = [
    ...found.rivals.map((one) => told(one, 'begun, acknowledged by no majority')),
    told(found, 'now'),
    ...found.forks.map((one) => told(one, 'a fork, acknowledged too')),
    ...found.history.map((past) =>
      told(past, past.root && kept.has(toHex(past.root.bytes)) ? 'kept' : 'not kept')
    )
  ]
  if (out.json) for (const entry of entries) out.result({ name, ...entry }, () => '')
  else {
    const rows = entries.map(({ sequence, root, what }) => [String(sequence), root ?? '(removed)', what])
    out.result({}, () => table([{ title: 'SEQ', right: true }, { title: 'CID' }, { title: '' }], rows))
  }
  return EXIT.ok
}

function keptOf({ root, history, keep }: RefState): Set<string> {
  const past = history.map((one) => ({ sequence: one.sequence, root: one.root?.bytes }))
  return new Set(keptRoots({ root: root?.bytes, history: past, keep }).map(toHex))
}

async function diff({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [first, second] = command.processedArgs as [string, string | undefined]
  const client = await session.client()
  const name = first.replace(/@\d+$/, '')
  const from =
    first === name && second === undefined ? before(await client.refs.get(name, { signal })) : first
  const [old, now] = [await tree(client, from, signal), await tree(client, second ?? name, signal)]
  let changes = 0
  const tell = (path: string, what: string): void => {
    changes++
    out.result({ path, what }, () => `${what.padEnd(8)} ${safe(path === '' ? '.' : path)}`)
  }
  for (const [path, cid] of now) {
    if (!old.has(path)) tell(path, 'added')
    else if (old.get(path) !== cid) tell(path, 'changed')
  }
  for (const path of old.keys()) if (!now.has(path)) tell(path, 'removed')
  out.note(plural(changes, 'change'))
  return EXIT.ok
}

function before({ name, history }: RefState): string {
  const [last] = history
  if (last?.root === undefined) {
    throw new CairnError('NOT_FOUND', `${name} has no earlier root`, { hint: `cairn ref log ${name}` })
  }
  return last.root.toString()
}

/** Files and links by path; a directory differs where something in it does. */
async function tree(client: Client, where: string, signal: AbortSignal): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const entry of client.walk(where, { signal })) {
    if (entry.type !== 'directory') found.set(entry.path.join('/'), entry.cid.toString())
  }
  return found
}

async function rollback({ out, signal, ...session }: Session, command: Command): Promise<number> {
  const [name, sequence] = command.processedArgs as [string, number | undefined]
  const { refs } = await session.client()
  const now = await refs.get(name, { signal })
  const to = sequence === undefined ? now.history[0] : now.history.find((past) => past.sequence === sequence)
  if (to?.root === undefined) {
    throw new CairnError(
      'NOT_FOUND',
      `${name} has no root to go back to${sequence ? ` at ${sequence}` : ''}`,
      {
        hint: `cairn ref log ${name}`
      }
    )
  }
  const set = await refs.set(name, to.root, { ifSequence: now.sequence, signal })
  out.result(refJson(set), () => refLine(set))
  out.note(`as ${to.sequence} was; ${acknowledgedBy(set.receipts)}`)
  return EXIT.ok
}
