/**
 * Makes a scenario that fails shorter: leaves out steps, by halves, then quarters, as long as what is left
 * still fails (Zeller and Hildebrandt 2002: delta debugging). What fails may become another thing on the way.
 */
import type { Scenario } from './scenario.ts'

/** Runs at most: each costs as much as the failure itself. */
const RUNS_MAX = 200

export function shrink(
  scenario: Scenario,
  fails: (smaller: Scenario) => boolean,
  runsMax = RUNS_MAX
): Scenario {
  let best = endEarlier(scenario, fails)
  let runs = 1
  for (let parts = 2; best.steps.length > 1 && runs < runsMax; ) {
    const size = Math.ceil(best.steps.length / parts)
    let isSmaller = false
    for (let from = 0; from < best.steps.length && runs < runsMax; ) {
      const steps = best.steps.filter((_, i) => i < from || i >= from + size)
      runs++
      if (fails({ ...best, steps })) {
        best = { ...best, steps }
        isSmaller = true
      } else from += size
    }
    if (isSmaller) parts = Math.max(2, parts - 1)
    else if (size === 1) break
    else parts = Math.min(2 * parts, best.steps.length)
  }
  return best
}

/** Nothing need happen after the last step. */
function endEarlier(scenario: Scenario, fails: (smaller: Scenario) => boolean): Scenario {
  const lastMs = scenario.steps.at(-1)?.atMs ?? scenario.untilMs
  const sooner = { ...scenario, untilMs: Math.min(scenario.untilMs, lastMs + 1_000) }
  return sooner.untilMs < scenario.untilMs && fails(sooner) ? sooner : scenario
}
