/** The checks that need no test: format, lint and types, each counted as one test. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Outcome } from './run.ts'

const CHECKS = [
  {
    name: 'check: biome ci (fix with `npm run format`)',
    command: 'biome',
    args: ['ci', '--colors=off', '.']
  },
  { name: 'check: tsc -b', command: 'tsc', args: ['-b', '--pretty', 'false'] },
  { name: 'check: tsc -p scripts', command: 'tsc', args: ['-p', 'scripts', '--pretty', 'false'] }
] as const

export async function* runChecks(root: string): AsyncGenerator<Outcome> {
  for (const { name, command, args } of CHECKS) {
    const startedMs = performance.now()
    const { code, output } = await finished(join(root, 'node_modules', '.bin', command), args, root)
    const seconds = (performance.now() - startedMs) / 1_000
    const problems = code === 0 ? [] : [`exited with ${code}`]
    const failed = problems.length
    yield { name, passed: 1 - failed, failed, skipped: [], seconds, problems, output }
  }
}

function finished(
  command: string,
  args: readonly string[],
  cwd: string
): Promise<{ code: number; output: string }> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const append = (text: string): void => {
    output += text
  }
  child.stdout.setEncoding('utf8').on('data', append)
  child.stderr.setEncoding('utf8').on('data', append)
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 127, output: `${error.message}\n` }))
    child.once('close', (code) => resolve({ code: code ?? 128, output }))
  })
}
