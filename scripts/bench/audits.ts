/**
 * The two experiments about audits, in virtual time, each from seeds: how many honest members are accused in
 * so many rounds (none), with slow disks, losses, stalls, restarts and lossy networks; and in which cycle
 * one that dropped a tenth of what it acknowledged is found, by each of the two ways to lie about it.
 *
 * Run: npm run bench -- audits [rounds] [liars] [first seed]
 */
import { auditHonest, auditLiar } from '@cairn/simulator'

const [rounds = 1_000, liars = 20, firstSeed = 1] = process.argv.slice(2).map(Number)
const ROUNDS_PER_SEED = 1_000

const sum = { rounds: 0, silent: 0, proven: 0, absent: 0, accused: 0 }
let seed = firstSeed
for (; sum.rounds < rounds; seed++) {
  const run = auditHonest(seed, ROUNDS_PER_SEED)
  if (run.accused > 0) console.log(`seed ${seed}: ${run.accused} accused`)
  for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += run[name]
}
console.log(
  `honest members, seeds ${firstSeed}-${seed - 1}: ${sum.rounds} rounds, ${sum.silent} without an answer, ` +
    `${sum.proven} ranges proved, ${sum.absent} said to be gone; ${sum.accused} accused`
)

for (const lie of ['wrong', 'asks'] as const) {
  const cycles = [0, 0, 0, 0]
  let [falsely, repaired, slowestMs] = [0, 0, 0]
  for (let i = 0; i < liars; i++) {
    const run = auditLiar(firstSeed + i, lie)
    cycles[run.cycle] = (cycles[run.cycle] ?? 0) + 1
    falsely += run.falsely
    if (run.repairedMs === undefined) continue
    repaired++
    slowestMs = Math.max(slowestMs, run.repairedMs)
  }
  const [never = 0, ...found] = cycles
  const how = lie === 'wrong' ? 'answers anything' : 'asks others on the quiet'
  console.log(
    `one that ${how}, ${liars} seeds: found in cycle 1, 2, 3: ${found.join(', ')}; never: ${never}; ` +
      `others accused: ${falsely}; repaired: ${repaired}, at most ${(slowestMs / 1_000).toFixed(1)} s later`
  )
}
