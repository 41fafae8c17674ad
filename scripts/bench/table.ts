/**
 * What a run of `transfer` found, as text, as a page's part and as a plot: for each stage and each who
 * took part the median of all rounds with the least and the most.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'

export interface Sample {
  stage: string
  who: string
  seconds: number
  bytes: number
  /** Of all processes. */
  cpuSeconds: number
  /** The most that any process had by then. */
  peakMiB?: number
}

export interface Found {
  node: string
  processor: string
  cores: number
  mib: number
  files: number
  rounds: number
  /** Told beside the table: who is not in it, and why. */
  notes: string[]
  samples: Sample[]
}

interface Row {
  stage: string
  who: string
  seconds: { least: number; median: number; most: number }
  cpuSeconds: number
  rate: string
  peakMiB: number | undefined
}

const HEAD = ['', 'median', 'least to most', 'rate', 'CPU s', 'peak MiB']

export function rowsOf({ samples, files }: Found, order: readonly string[]): Row[] {
  const rows = [...Map.groupBy(samples, ({ stage, who }) => `${stage}\n${who}`).values()].map((all) => {
    const { stage, who, bytes } = all[0] as Sample
    const seconds = all.map((one) => one.seconds)
    const middle = median(seconds)
    const peaks = all.flatMap(({ peakMiB }) => (peakMiB === undefined ? [] : [peakMiB]))
    const small = stage.includes('files')
    return {
      ...{ stage, who, cpuSeconds: median(all.map((one) => one.cpuSeconds)) },
      seconds: { least: Math.min(...seconds), median: middle, most: Math.max(...seconds) },
      rate: small ? `${(files / middle).toFixed(0)} files/s` : `${(bytes / 1e6 / middle).toFixed(0)} MB/s`,
      peakMiB: peaks.length === 0 ? undefined : Math.max(...peaks)
    }
  })
  return rows.sort((a, b) => order.indexOf(a.stage) - order.indexOf(b.stage))
}

function cellsOf({ who, seconds, rate, cpuSeconds, peakMiB }: Row): string[] {
  const { least, median: middle, most } = seconds
  const range = `${least.toFixed(2)} to ${most.toFixed(2)} s`
  return [who, `${middle.toFixed(2)} s`, range, rate, cpuSeconds.toFixed(2), peakMiB?.toFixed(0) ?? '-']
}

export function textOf(rows: readonly Row[]): string {
  const widths = [24, 10, 20, 14, 8, 9]
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('')
  const stages = [...Map.groupBy(rows, ({ stage }) => stage)]
  const parts = stages.flatMap(([stage, all]) => [stage, ...all.map((row) => line(cellsOf(row)))])
  return [line(HEAD), ...parts].join('\n')
}

function markdownOf(found: Found, rows: readonly Row[], plot: string): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const stages = [...Map.groupBy(rows, ({ stage }) => stage)]
  const parts = stages.flatMap(([stage, all]) => [
    line([`**${stage}**`, ...HEAD.slice(1).map(() => '')]),
    ...all.map((row) => line(cellsOf(row)))
  ])
  const { cores, processor, node, rounds, notes } = found
  return [
    `${rounds} rounds, ${cores} cores (${processor}), Node ${node.slice(1)}.`,
    `\n${line(HEAD)}\n|${'---|'.repeat(HEAD.length)}`,
    ...parts,
    '',
    ...notes.map((note) => `- ${note}`),
    `\n![the same as bars, each with its least and its most](${plot})`
  ].join('\n')
}

/** Puts the table in the place of what lies between the page's two marks, and the plot beside the page. */
export async function writeDocs(path: string, found: Found, rows: readonly Row[]): Promise<void> {
  const [from, to] = ['<!-- made by npm run bench: begin -->', '<!-- made by npm run bench: end -->']
  const page = await readFile(path, 'utf8')
  const [head, rest] = page.split(from)
  const tail = rest?.split(to)[1]
  if (head === undefined || tail === undefined) throw new Error(`${path} has no ${from} with ${to} after it`)
  const plot = path.replace(/\.md$/, '.svg')
  await writeFile(plot, svgOf(rows))
  await writeFile(path, `${head}${from}\n${markdownOf(found, rows, basename(plot))}\n${to}${tail}`)
}

const [WIDTH, LEFT, RIGHT, LINE] = [720, 190, 90, 18]

/** A bar for each row, as long as its median; within a stage all have one scale. */
export function svgOf(rows: readonly Row[]): string {
  const parts: string[] = []
  let y = LINE
  for (const [stage, all] of Map.groupBy(rows, (row) => row.stage)) {
    parts.push(`<text x="8" y="${y}" font-weight="bold">${stage}</text>`)
    y += LINE / 2
    const scale = (WIDTH - LEFT - RIGHT) / Math.max(...all.map(({ seconds }) => seconds.most))
    for (const { who, seconds } of all) {
      const x = (value: number): string => (LEFT + value * scale).toFixed(1)
      const width = (seconds.median * scale).toFixed(1)
      const fill = who.startsWith('Cairn') ? '#27c' : '#999'
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${who}</text>`,
        `<rect x="${LEFT}" y="${y + 2}" width="${width}" height="${LINE - 5}" fill="${fill}"/>`,
        `<path d="M${x(seconds.least)} ${y + 8.5}H${x(seconds.most)}"/>`,
        `<text x="${Number(x(seconds.most)) + 6}" y="${y + 12}">${seconds.median.toFixed(2)} s</text>`
      )
      y += LINE
    }
    y += LINE
  }
  const style = 'text{font:11px sans-serif;fill:#333}path{fill:none;stroke:#000;stroke-width:1.5}'
  const size = `width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}"`
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size}><title>Seconds, by stage</title>`
  const white = '<rect width="100%" height="100%" fill="#fff"/>'
  return `${head}<style>${style}</style>${white}${parts.join('')}</svg>\n`
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2
}
