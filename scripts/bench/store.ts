/**
 * What a store does in a second, beside what the machine could, and beside other stores:
 * `npm run bench -- store [SIZE...] [--own] [--churn] [--million]`.
 * Every figure is a ratio to a limit measured in the same run, since disks and neighbours change by the hour.
 */
import { execFileSync } from 'node:child_process'
import { hash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ownMounts } from '../../test/support/disk.ts'
import { churn } from './store-churn.ts'
import { million } from './store-million.ts'
import { type Measured, type Plan, seconds } from './store-work.ts'

const MiB = 1024 * 1024

const PLANS: Plan[] = [
  { size: MiB, count: 512, writers: 16 },
  { size: MiB / 4, count: 1024, writers: 16 },
  { size: 1024, count: 60_000, writers: 64 }
]
/** Of the smallest blocks others get fewer: one sync each, and a file each, would take minutes. */
const OTHERS_COUNT_MAX = 6_000

interface Limits {
  write: number
  read: number
  hash: number
}

type OfCairn = Measured & { compact: number; compactedBytes: number; reopen: number; rebuild: number }
const ORDER = ['cairn', 'fs', 'level'] as const
type Name = (typeof ORDER)[number]

/** MB/s of a sequential write synced every 16 MiB, of reading it back, and of SHA-256 on one core. */
async function limits(directory: string): Promise<Limits> {
  const path = join(directory, 'raw')
  const piece = randomBytes(MiB)
  const count = 384
  const megabytes = (count * MiB) / 1e6
  const fd = fs.openSync(path, 'w+')
  const write = await seconds(() => {
    for (let i = 1; i <= count; i++) {
      fs.writeSync(fd, piece)
      if (i % 16 === 0) fs.fdatasyncSync(fd)
    }
  })
  const read = await seconds(() => {
    for (let i = 0; i < count; i++) fs.readSync(fd, piece, 0, MiB, i * MiB)
  })
  const hashing = await seconds(() => {
    for (let i = 0; i < count; i++) hash('sha256', piece)
  })
  fs.closeSync(fd)
  fs.unlinkSync(path)
  return { write: megabytes / write, read: megabytes / read, hash: megabytes / hashing }
}

const OTHERS = fileURLToPath(new URL('../../test/store-blockstore/bench.mjs', import.meta.url))
const OWN = fileURLToPath(new URL('store-process.ts', import.meta.url))

/** In a process of its own, so that memory and threads are its own too. */
function measure(name: Name, { size, count, writers }: Plan, directory: string): Measured {
  const script = name === 'cairn' ? [OWN] : [OTHERS, name]
  const args = [...script, ...[size, count, writers].map(String), directory]
  const said = execFileSync(process.execPath, [...process.execArgv, ...args], { encoding: 'utf8' })
  return JSON.parse(said) as Measured
}

async function bench(plan: Plan, names: readonly Name[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'cairn-bench-'))
  const columns = new Map<Name, { measured: Measured; plan: Plan; limit: Limits }>()
  try {
    let before = await limits(directory)
    for (const name of names) {
      const count = name === 'cairn' ? plan.count : Math.min(plan.count, OTHERS_COUNT_MAX)
      const measured = measure(name, { ...plan, count }, join(directory, name))
      await rm(join(directory, name), { recursive: true })
      const after = await limits(directory)
      const limit = {
        write: (before.write + after.write) / 2,
        read: (before.read + after.read) / 2,
        hash: (before.hash + after.hash) / 2
      }
      before = after
      columns.set(name, { measured, plan: { ...plan, count }, limit })
    }
  } finally {
    await rm(directory, { recursive: true })
  }
  const { size, writers } = plan
  console.log(`\n### ${size >= 1024 ? `${size / 1024} KiB` : `${size} B`}, ${writers} writers\n`)
  const shown = [...columns.values()].map(({ measured, plan, limit }) => columnOf(measured, plan, limit))
  const [first = []] = shown
  console.log(`| | ${names.map((name) => TITLES[name]).join(' | ')} |\n|---${'|---'.repeat(names.length)}|`)
  for (const [i, [label]] of first.entries()) {
    console.log(`| ${label} | ${shown.map((column) => column[i]?.[1] ?? '-').join(' | ')} |`)
  }
}

const TITLES: Record<Name, string> = {
  cairn: 'Cairn',
  fs: 'blockstore-fs and a sync',
  level: 'blockstore-level, not synced'
}

function columnOf(measured: Measured, { size, count }: Plan, limit: Limits): [string, string][] {
  const megabytes = (size * count) / 1e6
  const possible = availableParallelism() / (1 / limit.read + 1 / limit.hash)
  const perSecond = (items: number, time: number): string =>
    `${Math.round(items / time).toLocaleString('en')}/s`
  const rate = (time: number, of: number): string =>
    size >= 16 * 1024
      ? `${(megabytes / time).toFixed(0)} MB/s (${(megabytes / time / of).toFixed(2)})`
      : perSecond(count, time)
  const rows: [string, string][] = [
    [
      'limits: write, read, hash, MB/s',
      [limit.write, limit.read, limit.hash].map((n) => n.toFixed(0)).join(', ')
    ],
    ['put (of the write)', rate(measured.put, limit.write)],
    ['processor for the put', `${measured.putCpu.toFixed(2)} s`],
    [
      'turns held > 5 ms in the put',
      `${measured.held} of ${measured.turns} (${((100 * measured.held) / measured.turns).toFixed(2)} %)`
    ],
    ['get (of read and hash, all cores)', rate(measured.get, possible)],
    ['has', perSecond(count, measured.has)],
    ['iterate keys', perSecond(count, measured.keys)],
    ['delete half', perSecond(count / 2, measured.delete)],
    ['disk for data', (measured.diskBytes / 1e6 / megabytes).toFixed(2)],
    ['peak memory, samples included', `${measured.peakMb.toFixed(0)} MB`]
  ]
  if (!('rebuild' in measured)) return rows
  const { compact, compactedBytes, reopen, rebuild } = measured as OfCairn
  return [
    ...rows,
    [
      'compact; disk for data then',
      `${compact.toFixed(2)} s; ${(compactedBytes / 1e6 / (megabytes / 2)).toFixed(2)}`
    ],
    ['reopen; rebuild', `${(1000 * reopen).toFixed(0)} ms; ${(1000 * rebuild).toFixed(0)} ms`]
  ]
}

const wanted = process.argv
  .slice(2)
  .map(Number)
  .filter((size) => size > 0)
const installed = fs.existsSync(join(OTHERS, '..', 'node_modules', 'blockstore-fs'))
if (!installed) console.log('the others are not measured: they need `npm ci` in test/store-blockstore')
const names = installed && !process.argv.includes('--own') ? ORDER : (['cairn'] as const)
if (process.argv.includes('--million')) {
  ownMounts(import.meta.url)
  await million()
} else if (process.argv.includes('--churn')) await churn()
else for (const plan of PLANS) if (wanted.length === 0 || wanted.includes(plan.size)) await bench(plan, names)
