/** How `npm start` and `npm test` begin: an install where one is needed, signals, exit codes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ROOT } from './structure/tree.ts'

interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs `scripts/bootstrap.mjs` of a root; `onOutput` sees its first output. */
async function bootstrap(
  root: string,
  args: string[],
  options: { path?: string; onOutput?: (kill: (signal: NodeJS.Signals) => void) => void } = {}
): Promise<Ended> {
  const env = { ...process.env, PATH: options.path ?? process.env.PATH }
  const child = spawn(process.execPath, [join(root, 'scripts', 'bootstrap.mjs'), ...args], { env })
  const ended: Ended = { code: null, stdout: '', stderr: '' }
  child.stdout.once('data', () => options.onOutput?.((signal) => child.kill(signal)))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ended.stderr += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { ...ended, code }
}

/** A root of its own with a lockfile, an entry, and an `npx` that is the shell script given, if any. */
async function inClone(npx: string | undefined, use: (root: string, bin: string) => Promise<void>) {
  const root = mkdtempSync(join(tmpdir(), 'clone-'))
  for (const name of ['scripts', 'bin']) mkdirSync(join(root, name))
  copyFileSync(join(ROOT, 'scripts', 'bootstrap.mjs'), join(root, 'scripts', 'bootstrap.mjs'))
  copyFileSync(join(ROOT, 'test', 'fixtures', 'entry.ts'), join(root, 'scripts', 'entry.ts'))
  writeFileSync(join(root, 'pnpm-lock.yaml'), 'lockfileVersion: 9\n')
  if (npx !== undefined) {
    writeFileSync(join(root, 'bin', 'npx'), `#!/bin/sh\n${npx}\n`)
    chmodSync(join(root, 'bin', 'npx'), 0o755)
  }
  try {
    await use(root, join(root, 'bin'))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const starts = suite('bootstrap')

starts('arguments, the condition and the exit code pass through', async () => {
  const { code, stdout, stderr } = await bootstrap(ROOT, ['test/fixtures/entry.ts', 'a', '--b'])
  assert.equal(JSON.parse(stdout), { args: ['a', '--b'], flags: ['--conditions=cairn-src'] }, stderr)
  assert.is(code, 3)
})

starts('SIGTERM reaches the script, whose own end counts', async () => {
  const { code } = await bootstrap(ROOT, ['test/fixtures/entry.ts', 'wait'], {
    onOutput: (kill) => kill('SIGTERM')
  })
  assert.is(code, 7)
})

const INSTALL = 'mkdir -p node_modules/.pnpm; cp pnpm-lock.yaml node_modules/.pnpm/lock.yaml'

starts('what is not installed is installed, and nothing of that goes to stdout', () =>
  inClone(`echo "installing $*"; ${INSTALL}`, async (root, bin) => {
    const path = [bin, process.env.PATH].join(delimiter)
    const first = await bootstrap(root, ['scripts/entry.ts'], { path })
    assert.match(first.stderr, /installing --yes pnpm@\d+\.\d+\.\d+ install --frozen-lockfile/)
    assert.equal(JSON.parse(first.stdout).args, [])
    assert.is(first.code, 3)
    const second = await bootstrap(root, ['scripts/entry.ts'], { path })
    assert.is(second.stderr, '', 'installed again')
    writeFileSync(join(root, 'pnpm-lock.yaml'), 'lockfileVersion: 9\n# changed\n')
    const third = await bootstrap(root, ['scripts/entry.ts'], { path })
    assert.match(third.stderr, /installing --yes/)
  })
)

starts('a failed install says what to do, and the script does not run', () =>
  inClone('exit 1', async (root, bin) => {
    const path = [bin, process.env.PATH].join(delimiter)
    const { code, stdout, stderr } = await bootstrap(root, ['scripts/entry.ts'], { path })
    assert.is(code, 1)
    assert.is(stdout, '')
    assert.match(stderr, /error: the install ended with code 1\nhint: .*network/)
  })
)

starts('a machine without npm is told to get it', () =>
  inClone(undefined, async (root, bin) => {
    const { code, stderr } = await bootstrap(root, ['scripts/entry.ts'], { path: bin })
    assert.is(code, 1)
    assert.match(stderr, /hint: install npm/)
  })
)

starts('the command in a clone runs its source, with its exit code', async () => {
  const bin = join(ROOT, 'packages', 'cli', 'bin', 'cairn.mjs')
  const child = spawn(process.execPath, [bin, 'no-such-command'], { stdio: 'ignore' })
  const [code] = (await once(child, 'close')) as [number | null]
  assert.is(code, 2, 'a wrong command is a usage error')
})

starts.run()
