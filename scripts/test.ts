/**
 * `npm test [-- PART OF A PATH ...]`: format, lint, types, then every test file in a process of its own.
 * With parts of paths, only the files that match, without the checks. The last line is the sum.
 *
 * --node PATH   the Node that runs the files (a second run on another version)
 * --no-check    the files only
 */
import { existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runChecks } from './test/check.ts'
import { findTests, type TestFile } from './test/find.ts'
import { killAll, type Owner, processesOf } from './test/leaks.ts'
import { lastLine, report, sum } from './test/report.ts'
import { type Outcome, runFile } from './test/run.ts'

/** Test files of packages that run at once: the cores of the smallest machine that must do. */
const AT_ONCE = 2

const root = fileURLToPath(new URL('..', import.meta.url))
const { node, check, filters } = options()
const running = new Set<Owner>()
const outcomes: Outcome[] = []

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    for (const owner of running) {
      killAll(processesOf(owner))
      rmSync(owner.tmp, { recursive: true, force: true })
    }
    const { passed, failed, skipped } = sum(outcomes)
    process.stdout.write(`\nstopped by ${signal}\n\n${lastLine({ passed, failed: failed + 1, skipped })}\n`)
    process.exit(1)
  })
}

const all = findTests(root)
const unmatched = filters.filter((filter) => !all.some(({ path }) => path.includes(filter)))
if (unmatched.length > 0) wrong(`no test file has ${unmatched.join(' or ')} in its path`)
const chosen =
  filters.length === 0 ? all : all.filter(({ path }) => filters.some((part) => path.includes(part)))

if (check && filters.length === 0) for await (const outcome of runChecks(root)) show(outcome)
// the longest first, so that none of them is left to run on its own at the end
const together = chosen
  .filter(({ exclusive }) => !exclusive)
  .sort((a, b) => b.limitMs - a.limitMs)
  .values()
await Promise.all(Array.from({ length: AT_ONCE }, () => runEach(together)))
await runEach(chosen.filter(({ exclusive }) => exclusive).values())
finish()

/** Takes from the queue that all workers share until it is empty. */
async function runEach(queue: Iterator<TestFile, undefined>): Promise<void> {
  for (let next = queue.next(); next.done !== true; next = queue.next()) {
    let owner: Owner | undefined
    const onStart = (started: Owner): void => {
      owner = started
      running.add(started)
    }
    show(await runFile(next.value, { root, node, onStart }))
    if (owner !== undefined) running.delete(owner)
  }
}

function show(outcome: Outcome): void {
  outcomes.push(outcome)
  process.stdout.write(`${report(outcome)}\n`)
}

function finish(): void {
  const failing = outcomes.filter(({ problems }) => problems.length > 0)
  if (failing.length > 0) {
    process.stdout.write(`\nfailed:\n${failing.map(({ name }) => `  ${name}\n`).join('')}`)
  }
  const total = sum(outcomes)
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
  process.stdout.write(`\n${lastLine(total)}\n`)
}

function options(): { node: string; check: boolean; filters: string[] } {
  try {
    const { values, positionals } = parseArgs({
      options: { node: { type: 'string' }, 'no-check': { type: 'boolean', default: false } },
      allowPositionals: true
    })
    const path = values.node ?? process.execPath
    if (!existsSync(path)) throw new Error(`no Node at ${path}`)
    return { node: path, check: !values['no-check'], filters: positionals }
  } catch (error) {
    return wrong((error as Error).message)
  }
}

function wrong(message: string): never {
  process.stderr.write(
    `error: ${message}\nhint: npm test -- [--node PATH] [--no-check] [PART OF A PATH ...]\n`
  )
  process.exit(2)
}
