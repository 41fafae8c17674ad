/**
 * The test runner on files that are broken on purpose (fixtures/): each must be reported as failed, for
 * its own reason. Without this, a runner that passes everything would pass here too.
 */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describe, findTests, importsUvu } from '../../scripts/test/find.ts'
import { lastLine, lineOf, report, sum } from '../../scripts/test/report.ts'
import { type Outcome, runFile } from '../../scripts/test/run.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))

/** Long enough for Node to end by itself once its last test is done, and for what never does. */
const LINGER_MS = 30_000
const STAYS_MS = 1_500
const STAYS = ['leaked-port']

function run(fixture: string): Promise<Outcome> {
  const file = describe(root, `test/runner/fixtures/${fixture}.ts`)
  const lingerMs = STAYS.includes(fixture) ? STAYS_MS : LINGER_MS
  return runFile(file, { root, node: process.execPath, lingerMs })
}

/** A fixture, and what the report must say of it. */
const BROKEN: Record<string, RegExp> = {
  failing: /^1 of 2 tests failed$/m,
  hanging: /not done after 1 s/,
  'empty-loop': /exited with 1/,
  'no-run': /no suite called `.run\(\)`/,
  'no-tests': /ran no test/,
  'before-hook': /1 of 1 tests failed/,
  'after-hook': /1 of 1 tests failed/,
  only: /`\.only` or `\.skip` was left in/,
  'two-runs': /two summaries/,
  'leaked-directory': /left in its TMPDIR: left-/,
  'leaked-process': /left behind process \d+ \(sleep 120\)/,
  'leaked-daemon': /left behind process \d+ \(.*\), listening on 127\.0\.0\.1:\d+/,
  'leaked-nested': /left behind process \d+ \(sleep 121\)/,
  'leaked-port': /something is left open.*listens on 127\.0\.0\.1:\d+/,
  rejection: /exited with 1/,
  'throws-at-load': /exited with 1/,
  'early-exit': /it ended before its last test/,
  'limit-too-long': /600 s is the most/
}
const GOOD = ['good', 'skips']

const runner = suite('runner')

runner('a file below test/ runs alone, unless it says that it minds nothing', () => {
  assert.is(describe(root, 'test/detection.ts').exclusive, true)
  assert.is(describe(root, 'test/packaging.ts').exclusive, false)
  assert.is(describe(root, 'packages/core/test/core.ts').exclusive, false)
})

for (const [fixture, why] of Object.entries(BROKEN)) {
  runner(`${fixture} fails`, async () => {
    const outcome = await run(fixture)
    assert.match(outcome.problems.join('\n'), why, report(outcome))
    assert.ok(outcome.failed >= 1)
    assert.match(lineOf(outcome), /^FAIL /)
  })
}

runner('a good file passes', async () => {
  const outcome = await run('good')
  assert.equal(outcome.problems, [], report(outcome))
  assert.is(outcome.passed, 2)
  assert.is(outcome.failed, 0)
  assert.match(lineOf(outcome), /^ok .*good\.ts {2}2\/2/)
})

runner('a skipped test is counted apart, with its reason', async () => {
  const outcome = await run('skips')
  assert.equal(outcome.problems, [], report(outcome))
  assert.equal([outcome.passed, outcome.failed, outcome.skipped], [1, 0, ['needs root']])
})

runner('every fixture is tried', () => {
  const names = readdirSync(fixtures).map((file) => basename(file, '.ts'))
  assert.equal(names.sort(), [...Object.keys(BROKEN), ...GOOD].sort())
})

runner('no fixture is part of the real run, and this file is', () => {
  const paths = findTests(root).map(({ path }) => path)
  assert.not(paths.some((path) => dirname(path).endsWith('fixtures')))
  assert.ok(paths.includes('test/runner/runner.ts'))
})

runner('only a file that imports uvu itself is a test', () => {
  assert.ok(importsUvu("import { suite } from 'uvu'\n"))
  assert.ok(importsUvu("import {\n  suite\n} from 'uvu'\n"))
  assert.not(importsUvu("import * as assert from 'uvu/assert'\n"))
  assert.not(importsUvu("// import { suite } from 'uvu'\n"))
})

runner('the last line names skipped tests only when there are some', () => {
  const none = { name: '', passed: 2, failed: 1, skipped: [], seconds: 0, problems: [], output: '' }
  assert.is(lastLine(sum([none, none])), '4 passed, 2 failed')
  assert.is(lastLine(sum([none, { ...none, skipped: ['why'] }])), '4 passed, 2 failed, 1 skipped')
})

runner.run()
