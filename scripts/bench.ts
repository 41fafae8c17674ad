/**
 * `npm run bench [-- arguments]`: the overall table, which is `transfer --all`.
 * `npm run bench -- NAME [arguments]`: runs one benchmark of scripts/bench in a process of its own.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const BENCHMARKS: Readonly<Record<string, string>> = {
  transfer:
    'put on three nodes and get through a fourth; without a name beside others, in five rounds ' +
    '[--mib N] [--files N] [--rounds N] [--only large|small] [--smoke] [--json] [--svg FILE] [--profile]',
  audits: 'who is accused and who is found, in virtual time [rounds] [liars] [first seed]',
  faults: 'what lying members and damaged disks cost a reader: wrong bytes, added time, healing [blocks]',
  digests: 'what MD5, SHA-1, SHA-256 and SHA-512 cost a put [MiB]',
  store: 'blocks on one disk, beside its limits and other stores [SIZE...] [--own] [--churn] [--million]',
  repair:
    'one of five killed, or stopped: time to full redundancy, bytes, readers beside it [--mib N] [--how]',
  reconcile: 'comparing two members: bytes and round trips for d differences among a million [BLOCKS]',
  scale: 'membership from ten members to thousands: detection, false deaths, load [--nodes] [--svg FILE]',
  probes: 'how long probes take while a file is put at full speed [MiB]',
  blocks: 'files to blocks and CAR and back [MiB]',
  membership: 'what membership costs',
  placement: 'what placement costs',
  mirrors: 'reading from 1, 2 and 4 mirrors, each on a cable of 20 MB/s; needs root [--mib N] [--rounds N]',
  holders: 'one get from 1, 3 and 5 holders, each on a cable of 20 MB/s; needs root [--mib N] [--rounds N]',
  'small-gets':
    '4 KiB blocks by 16 clients: how many a second, and p99 beside a put [--rounds N] [--seconds N]',
  busy: 'a hundred clients that upload at once: the first, the last, BUSY [--clients N] [--mib N]',
  freeze: 'what a holder that stops within a put or a get costs [--mib N] [--rounds N] [--json]',
  updates: 'a large tree under a name with 1 MiB changed: time and bytes on the wire [--mib N] [--rounds N]',
  refs: 'updates of a name: latency, and time to the next when a node is killed [--kills N]'
}

const given = process.argv.slice(2)
const overall = given[0] === undefined || (given[0].startsWith('-') && given[0] !== '--help')
const [name = '', ...args] = overall ? ['transfer', '--all', ...given] : given
if (Object.hasOwn(BENCHMARKS, name)) {
  const script = fileURLToPath(new URL(`bench/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, script, ...args], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
} else {
  for (const [known, words] of Object.entries(BENCHMARKS)) console.error(`${known.padEnd(12)} ${words}`)
  process.exitCode = 2
}
