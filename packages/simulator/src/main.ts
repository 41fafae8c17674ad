/**
 * `npm run simulate`: plays seeds, a recorded churn, one kept scenario, or the planted bugs; says on stdout
 * what came of it and on stderr how far it is. Ends with 1 when anything broke, or a planted bug did not.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { CairnError } from '@cairn/core'
import { playAll, threadsOf } from './crew.ts'
import { MUTANTS } from './mutants.ts'
import { type Outcome, play } from './play.ts'
import { drawScenario, type Scenario } from './scenario.ts'
import { shrink } from './shrink.ts'
import { biteAll, draw } from './teeth.ts'
import { readTrace, traceScenario } from './trace.ts'

const HELP = `npm run simulate -- [options]

  --seeds K          so many seeds (100)            --first-seed S  from this one on (1)
  --nodes M          nodes of each (12)             --minutes T     of virtual time (3)
  --days D           the same, in days              --replicas N    of a trace (3)
  --whole            long quiet between faults is played, too; else 40 s of it
  --trace FILE       seconds,node,event lines with an event of up, down, lost, join or leave
  --scenario FILE    one scenario that was kept     --keep FILE     keep what fails, made short, there
  --teeth            the planted bugs: each must be found within --seeds
  --ci               500 seeds of an hour, each of the planted bugs, and one seed twice
  --threads T        side by side (one a core)      --json          one line of JSON each
`

const OPTIONS = {
  seeds: { type: 'string' },
  'first-seed': { type: 'string' },
  nodes: { type: 'string' },
  minutes: { type: 'string' },
  days: { type: 'string' },
  replicas: { type: 'string' },
  trace: { type: 'string' },
  scenario: { type: 'string' },
  keep: { type: 'string' },
  threads: { type: 'string' },
  whole: { type: 'boolean' },
  teeth: { type: 'boolean' },
  ci: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' }
} as const

interface Settings {
  first: number
  seeds: number
  nodes: number
  minutes: number
  whole: boolean
  threads: number
}

function numberOf(text: string | undefined, otherwise: number, what: string): number {
  const value = text === undefined ? otherwise : Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new CairnError('BAD_REQUEST', `--${what} ${text} is no number above 0`, { hint: 'see --help' })
}

type Values = ReturnType<typeof read>

function read(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values
  } catch (cause) {
    throw new CairnError('BAD_REQUEST', (cause as Error).message, { cause, hint: 'see --help' })
  }
}

function settingsOf(values: Values): Settings {
  const days = values.days === undefined ? undefined : numberOf(values.days, 1, 'days')
  return {
    first: numberOf(values['first-seed'], 1, 'first-seed'),
    seeds: numberOf(values.seeds, values.ci || values.teeth ? 500 : 100, 'seeds'),
    nodes: numberOf(values.nodes, 12, 'nodes'),
    minutes: days === undefined ? numberOf(values.minutes, values.ci ? 60 : 3, 'minutes') : days * 1_440,
    whole: values.whole === true,
    threads: threadsOf(values.threads === undefined ? undefined : numberOf(values.threads, 1, 'threads'))
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\u001b[K`)
}

/** Since the start. */
function seconds(): number {
  return Math.round(performance.now() / 1_000)
}

function say(values: Values, result: object, text: string): void {
  progress('')
  process.stdout.write(`${values.json ? JSON.stringify(result) : text}\n`)
}

function told({ seed, hash, broken, lost, acknowledged, repaired, atMs }: Outcome): string {
  const verdict = broken === undefined ? 'holds' : `BROKEN: ${broken}`
  const counts = `${acknowledged} acknowledged, ${lost} lost, ${repaired} repaired`
  return `seed ${seed}  ${hash}  ${Math.round(atMs / 60_000)} min  ${counts}  ${verdict}`
}

/** Says how to see a failure again, and the few steps that it takes. */
function explain(values: Values, settings: Settings, scenario: Scenario): void {
  const { nodes, minutes } = settings
  const size = `--nodes ${nodes} --minutes ${minutes}${settings.whole ? ' --whole' : ''}`
  const isDrawn = values.trace === undefined && values.scenario === undefined
  const short = shrink(scenario, (smaller) => play(smaller).broken !== undefined)
  const again = play(short)
  const replay = isDrawn
    ? `npm run simulate -- --first-seed ${scenario.seed} --seeds 1 ${size}`
    : 'the same command again'
  process.stderr.write(
    `replay: ${replay}\n${short.steps.length} of ${scenario.steps.length} steps are enough`
  )
  process.stderr.write(` for: ${again.broken}\n`)
  for (const step of short.steps) process.stderr.write(`  ${JSON.stringify(step)}\n`)
  if (values.keep !== undefined) writeFileSync(values.keep, `${JSON.stringify(short, null, 1)}\n`)
}

/** @returns what broke */
async function playSeeds(values: Values, settings: Settings, scenarios: Iterator<Scenario>): Promise<number> {
  const failed: Scenario[] = []
  let done = 0
  const { threads } = settings
  await playAll(scenarios, { threads, mutant: undefined }, (outcome, scenario) => {
    done++
    progress(`${done} seeds, ${failed.length} broken`)
    if (outcome.broken !== undefined) failed.push(scenario)
    if (values.json || outcome.broken !== undefined || settings.seeds <= 20) {
      const { log, ...rest } = outcome
      say(values, rest, told(outcome))
    }
    return false
  })
  if (!values.json) say(values, {}, `${done} seeds, ${failed.length} broken, after ${seconds()} s`)
  if (failed[0] !== undefined) explain(values, settings, failed[0])
  return failed.length
}

/** @returns how many planted bugs nobody found, and seeds that break without any */
async function playTeeth(values: Values, settings: Settings): Promise<number> {
  let [done, missed] = [0, 0]
  const unsound = new Set<number>()
  await biteAll(MUTANTS, { ...settings, minutes: Math.min(settings.minutes, 3) }, (found) => {
    progress(`${++done} of ${MUTANTS.length} planted bugs`)
    if (found.seed === undefined) missed++
    for (const seed of found.unsound) unsound.add(seed)
    const how = found.seed === undefined ? 'NOT FOUND' : `found by seed ${found.seed}: ${found.broken}`
    say(values, found, `${found.name.padEnd(60)} ${how}`)
  })
  const alone = unsound.size > 0 ? `; seeds that break without them: ${[...unsound].join()}` : ''
  const told = `${MUTANTS.length - missed} of ${MUTANTS.length} found${alone}, after ${seconds()} s`
  say(values, { planted: MUTANTS.length, missed, unsound: [...unsound] }, told)
  return missed + unsound.size
}

function sameTwice(values: Values, { first, nodes, minutes, whole }: Settings): number {
  const scenario = drawScenario({ seed: first, nodes, minutes, whole })
  const [one, two] = [play(scenario), play(scenario)]
  if (one.hash === two.hash) return 0
  say(values, { seed: first, hashes: [one.hash, two.hash] }, `seed ${first} ran otherwise the second time`)
  return 1
}

function scenariosOf(values: Values, settings: Settings): Iterator<Scenario> {
  const { first, seeds, nodes, minutes, whole } = settings
  if (values.scenario !== undefined) {
    return [JSON.parse(readFileSync(values.scenario, 'utf8')) as Scenario].values()
  }
  if (values.trace === undefined) return draw(first, seeds, { nodes, minutes, whole })
  const trace = readTrace(readFileSync(values.trace, 'utf8'))
  const replicas = numberOf(values.replicas, 3, 'replicas')
  const each = Array.from({ length: values.seeds === undefined ? 1 : seeds }, (_, i) => {
    return traceScenario(trace, { seed: first + i, replicas, nodes: Number(values.nodes ?? 1), minutes })
  })
  return each.values()
}

async function main(): Promise<void> {
  const values = read(process.argv.slice(2))
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const settings = settingsOf(values)
  let broken = 0
  if (!values.teeth) broken += await playSeeds(values, settings, scenariosOf(values, settings))
  if (values.ci) broken += sameTwice(values, settings)
  if (values.ci || values.teeth) broken += await playTeeth(values, settings)
  process.exitCode = broken > 0 ? 1 : 0
}

await main().catch((error: unknown) => {
  const known = CairnError.is(error) ? error : undefined
  process.stderr.write(`error: ${known?.message ?? (error as Error).stack}\n`)
  if (known?.hint !== undefined) process.stderr.write(`hint: ${known.hint}\n`)
  process.exitCode = known?.exit ?? 1
})
