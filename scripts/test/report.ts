/** What a run prints: a line for each file as it finishes, all that a failing one said, the sum last. */
import type { Outcome } from './run.ts'

export interface Sum {
  passed: number
  failed: number
  skipped: number
}

export function lineOf({ name, passed, failed, skipped, seconds, problems }: Outcome): string {
  const mark = problems.length === 0 ? 'ok  ' : 'FAIL'
  const count = `${passed}/${passed + failed + skipped.length}`
  return `${mark} ${name}  ${count}  ${seconds.toFixed(1)} s`
}

/** The lines for one file: one if it passed, all that is known if it did not. */
export function report(outcome: Outcome): string {
  const skips = outcome.skipped.map((why) => `     skipped: ${why}`)
  if (outcome.problems.length === 0) return [lineOf(outcome), ...skips].join('\n')
  const problems = outcome.problems.map((problem) => `     ${problem}`)
  const output = outcome.output
    .trimEnd()
    .split('\n')
    .map((line) => `     | ${line}`)
  return [lineOf(outcome), ...problems, ...skips, ...output].join('\n')
}

export function sum(outcomes: readonly Outcome[]): Sum {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const { passed, failed, skipped } of outcomes) {
    total.passed += passed
    total.failed += failed
    total.skipped += skipped.length
  }
  return total
}

export function lastLine({ passed, failed, skipped }: Sum): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}
