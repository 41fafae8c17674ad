/** `cairn usage`: what each name and pin keeps, by owner, and what would be freed without it. */
import type { NameUsage, UsageReport } from '@cairn/client'
import type { Command } from 'commander'
import { EXIT } from '../failure.ts'
import { count, plural, safe, size, table } from '../format.ts'
import { act, type Program, type Session } from '../session.ts'

/** Of an owner's id, in a table: enough to tell them apart. */
const OWNER_CHARS = 8

export function addUsage(root: Command, program: Program): void {
  root
    .command('usage')
    .summary('what each name and pin keeps, by owner')
    .description(
      'Bytes of blocks, each counted once whatever its copies: what a name or pin keeps (SIZE), and what ' +
        'of it no other keeps (OWN), which is what removing it would free.'
    )
    .action(act(program, usage))
}

async function usage({ out, signal, ...session }: Session): Promise<number> {
  const client = await session.client()
  const report = await client.usage({ signal })
  const names = [...report.names].sort((a, b) => order(a, b))
  if (out.json) {
    for (const one of names) out.result({ ...one, root: one.root?.toString() }, () => '')
    const { blocks, bytes } = report
    out.result({ total: { names: names.length, blocks, bytes }, owners: byOwner(names) }, () => '')
    return EXIT.ok
  }
  out.result({}, () => text(names, report))
  const unread = names.filter((one) => one.unread > 0)
  if (unread.length > 0)
    out.warn(`not all could be read of ${unread.map(({ name }) => safe(name)).join(', ')}`)
  return EXIT.ok
}

function order(a: NameUsage, b: NameUsage): number {
  return a.owner === b.owner ? b.bytes - a.bytes : a.owner < b.owner ? -1 : 1
}

function byOwner(names: readonly NameUsage[]) {
  const owners = new Map<string, { owner: string; names: number; bytes: number; own: number }>()
  for (const { owner, bytes, own } of names) {
    const sum = owners.get(owner) ?? { owner, names: 0, bytes: 0, own: 0 }
    owners.set(owner, { owner, names: sum.names + 1, bytes: sum.bytes + bytes, own: sum.own + own.bytes })
  }
  return [...owners.values()]
}

function text(names: readonly NameUsage[], { blocks, bytes }: UsageReport): string {
  const columns = [
    { title: 'OWNER' },
    { title: 'NAME' },
    { title: 'KIND' },
    { title: 'ROOTS', right: true },
    { title: 'BLOCKS', right: true },
    { title: 'SIZE', right: true },
    { title: 'OWN', right: true },
    { title: 'REPLICAS', right: true }
  ]
  const rows = names.map((one) => [
    `…${one.owner.slice(-OWNER_CHARS)}`,
    safe(one.name),
    one.kind,
    String(one.roots),
    count(one.blocks),
    size(one.bytes),
    size(one.own.bytes),
    String(one.replicas)
  ])
  const owners = byOwner(names).map((one) => {
    const what = `${plural(one.names, 'name')}, ${size(one.bytes)}`
    return `…${one.owner.slice(-OWNER_CHARS)}: ${what}, of which ${size(one.own)} under one name alone`
  })
  const total = `all together ${plural(blocks, 'block')}, ${size(bytes)}`
  return [table(columns, rows), ...owners, total].join('\n')
}
