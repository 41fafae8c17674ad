/**
 * Membership from ten members to thousands, in virtual time, with 1 to 50 ms of delay and 10% of messages
 * lost: how long until each of the others knows of a death (a host that falls silent with its sockets
 * open), false deaths, and what a member sends. With `--svg` it draws what it found.
 *
 * With --acquainted all know all at the start, and nobody joins: ten thousand would take hours to gather. The
 * rows are kept in a file of JSON (--rows), so that another run adds to them and draws all.
 *
 * Run: npm run bench -- scale [--nodes 10,100,1000] [--deaths 4] [--rows FILE] [--svg docs/membership.svg]
 *      of 10,000: NODE_OPTIONS=--max-old-space-size=14000, --acquainted --deaths 1
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import {
  acquaint,
  falseDeaths,
  feed,
  freeze,
  LOSSY,
  type Members,
  peerOf,
  runTo,
  simulateMembers
} from '@cairn/simulator'

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '10,100,1000' },
    deaths: { type: 'string', default: '4' },
    acquainted: { type: 'boolean', default: false },
    rows: { type: 'string' },
    svg: { type: 'string' }
  }
})
const SIZES = flags.nodes.split(',').map(Number)
const DEATHS = Number(flags.deaths)
const SEED = 1
/** Between looks at who knows whom, and for that at most, ms of virtual time. */
const LOOK_MS = 1_000
const GATHER_MS = 600_000
/** Until nobody talks of the gathering any more, and how long what is sent is counted. */
const SETTLE_MS = flags.acquainted ? 20_000 : 40_000
const QUIET_MS = flags.acquainted ? 20_000 : 60_000
const DETECT_MS = 120_000
const DAY_MS = 86_400_000

interface Row {
  nodes: number
  /** Undefined: all knew all from the start. */
  gatheredS: number | undefined
  /** From the death to each of the others' verdict, s. */
  p50: number
  p99: number
  falseDeaths: number
  nodeDays: number
  bytes: number
  messages: number
}

const rows: Row[] = flags.rows === undefined ? [] : await kept(flags.rows)
console.log(
  '| members | gathered, s | death known p50, s | p99, s | false deaths in node-days | B/s | messages/s |'
)
console.log('|---|---|---|---|---|---|---|')
for (const nodes of SIZES) {
  const row = measure(nodes)
  rows.push(row)
  rows.sort((a, b) => a.nodes - b.nodes)
  if (flags.rows !== undefined) await writeFile(flags.rows, `${JSON.stringify(rows, undefined, 2)}\n`)
  const { gatheredS, p50, p99, bytes, messages } = row
  const deaths = `${row.falseDeaths} in ${row.nodeDays.toFixed(2)}`
  const cells = [
    nodes,
    gatheredS?.toFixed(0) ?? '-',
    p50.toFixed(1),
    p99.toFixed(1),
    deaths,
    bytes.toFixed(0)
  ]
  console.log(`| ${[...cells, messages.toFixed(1)].join(' | ')} |`)
}
if (flags.svg !== undefined) await writeFile(flags.svg, drawing(rows))

function measure(nodes: number): Row {
  const sim = simulateMembers({ seed: SEED, nodes, link: LOSSY })
  const gatheredS = flags.acquainted ? meetBefore(sim) : gathered(sim)
  runTo(sim, sim.nowMs + SETTLE_MS)
  const { bytes, messages, nowMs } = sim
  runTo(sim, nowMs + QUIET_MS)
  const perNode = nodes * (QUIET_MS / 1000)
  const load = { bytes: (sim.bytes - bytes) / perNode, messages: (sim.messages - messages) / perNode }
  const gone: number[] = []
  const times: number[] = []
  for (let i = 1; i <= Math.min(DEATHS, nodes - 3); i++) {
    const victim = nodes - i
    gone.push(victim)
    const startMs = sim.nowMs
    freeze(sim, victim)
    const knowing = new Map<number, number>()
    let seen = sim.verdicts.length // a million of them, from gathering a thousand
    const others = nodes - gone.length
    while (knowing.size < others && sim.nowMs < startMs + DETECT_MS) {
      runTo(sim, sim.nowMs + LOOK_MS)
      for (; seen < sim.verdicts.length; seen++) {
        const { by, of, state, atMs } = sim.verdicts[seen] as Members['verdicts'][0]
        if (of === victim && state === 'dead' && atMs >= startMs && !gone.includes(by)) knowing.set(by, atMs)
      }
    }
    if (knowing.size < others)
      throw new Error(`${others - knowing.size} never heard of the death of ${victim}`)
    for (const atMs of knowing.values()) times.push((atMs - startMs) / 1000)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor(share * (times.length - 1))] as number
  return {
    ...{ nodes, gatheredS, p50: at(0.5), p99: at(0.99), ...load },
    falseDeaths: falseDeaths(sim, 0, gone).length,
    nodeDays: (nodes * sim.nowMs) / DAY_MS
  }
}

function meetBefore(sim: Members): undefined {
  acquaint(sim)
}

function gathered(sim: Members): number {
  const nodes = sim.nodes.length
  for (let node = 1; node < nodes; node++) feed(sim, node, { type: 'join', addresses: [peerOf(0)] })
  while (!knowAll(sim)) {
    if (sim.nowMs > GATHER_MS) throw new Error(`${nodes} members: not gathered in ${GATHER_MS / 1000} s`)
    runTo(sim, sim.nowMs + LOOK_MS)
  }
  return sim.nowMs / 1000
}

async function kept(path: string): Promise<Row[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]'
    throw error
  })
  return (JSON.parse(text) as Row[]).filter(({ nodes }) => !SIZES.includes(nodes))
}

function knowAll({ states, nodes }: Members): boolean {
  return states.length === nodes.length && states.every(({ table }) => table.living.length === nodes.length)
}

/** Three panels over the number of members, as powers of ten. */
function drawing(all: readonly Row[]): string {
  const panels: [string, [string, (row: Row) => number][]][] = [
    [
      'until a death is known, s',
      [
        ['p50', (row) => row.p50],
        ['p99', (row) => row.p99]
      ]
    ],
    ['bytes a second of each', [['', (row) => row.bytes]]],
    ['messages a second of each', [['', (row) => row.messages]]]
  ]
  const [width, height, margin] = [250, 190, 36]
  const first = Math.log10(all[0]?.nodes ?? 1)
  const last = Math.log10(all.at(-1)?.nodes ?? 10)
  const parts = panels.map(([title, lines], i) => {
    const most = Math.max(...all.flatMap((row) => lines.map(([, of]) => of(row))))
    const x = (nodes: number): number =>
      margin + ((Math.log10(nodes) - first) / Math.max(1e-9, last - first)) * (width - 1.5 * margin)
    const y = (value: number): number => height - margin - (value / most) * (height - 2 * margin)
    const drawn = lines.map(([name, of]) => {
      const points = all.map((row) => `${x(row.nodes).toFixed(1)},${y(of(row)).toFixed(1)}`)
      const end = all.at(-1) as Row
      const values = all.map(
        (row) =>
          `<text x="${x(row.nodes)}" y="${y(of(row)) - 5}" text-anchor="middle">${shortOf(of(row))}</text>`
      )
      const label = `<text x="${x(end.nodes) - 4}" y="${y(of(end)) + 14}" text-anchor="end">${name}</text>`
      return `<polyline points="${points.join(' ')}"/>${values.join('')}${label}`
    })
    const ticks = all.map(
      ({ nodes }) => `<text x="${x(nodes)}" y="${height - 18}" text-anchor="middle">${nodes}</text>`
    )
    const axis = `<path d="M${margin} ${height - margin}H${width - margin / 2}"/>`
    const heading = `<text x="${margin}" y="14" font-weight="bold">${title}</text>`
    return `<g transform="translate(${i * width} 0)">${heading}${axis}${drawn.join('')}${ticks.join('')}</g>`
  })
  const style = 'text{font:10px sans-serif;fill:#333}polyline,path{fill:none;stroke:#27c;stroke-width:1.5}'
  const size = `width="${3 * width}" height="${height}" viewBox="0 0 ${3 * width} ${height}"`
  const title = '<title>What membership takes, by the number of members</title>'
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${title}<style>${style}</style>`
  return `${head}<rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`
}

function shortOf(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1)
}
