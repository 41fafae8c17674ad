/**
 * Detection and load of simulated members: `node --conditions=cairn-src scripts/bench/membership.ts
 * [nodes] [seeds] [first seed] [loss in percent]`.
 * Prints, over the seeds, how long after a kill and a freeze the first and
 * the last of the others confirmed the death, false deaths, and what a member sends when nothing happens.
 */
import {
  allSee,
  falseDeaths,
  freeze,
  gather,
  kill,
  LOSSY,
  runTo,
  runUntil,
  simulateMembers
} from '@cairn/simulator'

const [nodes = 5, seeds = 100, first = 1, loss = 10] = process.argv.slice(2).map(Number)
const QUIET_MS = 60_000
const LIMIT_MS = 120_000

function quantiles(values: number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (q: number) =>
    ((sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0) / 1000).toFixed(2)
  return `p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)} s`
}

function measure(how: 'kill' | 'freeze') {
  const [firsts, lasts, gathered, loads, rates]: number[][] = [[], [], [], [], []]
  let deaths = 0
  let hours = 0
  for (let seed = first; seed < first + seeds; seed++) {
    const sim = simulateMembers({ seed, nodes, link: { ...LOSSY, loss: loss / 100 } })
    gathered?.push(gather(sim))
    runTo(sim, sim.nowMs + 10_000)
    const { bytes, messages, nowMs } = sim
    runTo(sim, nowMs + QUIET_MS)
    loads?.push(((sim.bytes - bytes) * 1000) / QUIET_MS / nodes)
    rates?.push(((sim.messages - messages) * 1000) / QUIET_MS / nodes)
    const victim = nodes - 1
    const startMs = sim.nowMs
    if (how === 'kill') kill(sim, victim)
    else freeze(sim, victim)
    const took = runUntil(sim, LIMIT_MS, () => allSee(sim, victim, 'dead'))
    if (took === undefined) console.log(`seed ${seed}: not dead for all in ${LIMIT_MS} ms`)
    const heard = sim.verdicts.find(
      (v) => v.of === victim && v.state === 'dead' && v.atMs >= startMs && v.by !== victim
    )
    firsts?.push((heard?.atMs ?? Number.NaN) - startMs)
    lasts?.push(took ?? LIMIT_MS)
    for (const v of falseDeaths(sim, 0, [victim])) {
      deaths++
      console.log(`seed ${seed}: ${v.by} buried ${v.of} at ${v.atMs}`)
    }
    hours += (sim.nowMs * nodes) / 3_600_000
  }
  console.log(`${nodes} nodes, ${how}, ${seeds} seeds from ${first}, ${loss}% loss`)
  console.log(`  gathered       ${quantiles(gathered ?? [])}`)
  console.log(`  first verdict  ${quantiles(firsts ?? [])}`)
  console.log(`  last verdict   ${quantiles(lasts ?? [])}`)
  console.log(`  false deaths   ${deaths} in ${hours.toFixed(1)} node-hours`)
  const mean = (values: number[] = []) => values.reduce((a, b) => a + b, 0) / values.length
  console.log(`  quiet load     ${mean(loads).toFixed(0)} B/s, ${mean(rates).toFixed(1)} messages/s a node`)
}

measure('kill')
measure('freeze')
